"""A bundle on disk: what is in the folder, and the checks before any of it is believed.

::

    bundle/
      manifest.json           format number, bundle id, SHA-256 of every file, how the model was made
      contract.json           labels, how text is cut, sanity sentences with their known answers
      calibration.json        temperature, prediction sets, abstention
      config.yaml             what was asked for
      model/                  Hugging Face layout: ``AutoModel.from_pretrained`` opens it
        config.json, model.safetensors, tokenizer.json ...
        head.safetensors      ``weight`` (W, D) and ``bias`` (W,): logits = weight @ embedding + bias
      onnx/model.onnx         input_ids, attention_mask[, token_type_ids] -> logits (B, W), embedding (B, D) per chunk
      evaluation.json, README.md (the model card), plots/*.svg, licences.txt

An ensemble has no ``model`` and no ``onnx`` of its own::

    ensemble/
      manifest.json, contract.json, calibration.json, evaluation.json, README.md ...
      ensemble.json           how the members' answers become one
      members/0, members/1 .. complete bundles of the same label contract

A text longer than ``max_length`` tokens is read in chunks; its logits are the mean of the chunks' logits weighted by
their token counts, which for mean pooling and a linear head equals taking one mean over the tokens of all chunks.

Nothing in a bundle is ever executed: no pickle, no Python, no path that leaves the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

from tapereader.bundle.calibration import Calibration
from tapereader.bundle.combination import Combination
from tapereader.bundle.contract import LabelContract
from tapereader.bundle.facts import ContractFacts
from tapereader.bundle.tokenizer import ChunkingTokenizer
from tapereader.core.errors import BundleError, ConfigError

FORMAT = 1
MANIFEST = "manifest.json"
CONTRACT = "contract.json"
CALIBRATION = "calibration.json"
TOKENIZER = "model/tokenizer.json"
ONNX = "onnx/model.onnx"
INT8 = "onnx/model-int8.onnx"
ENSEMBLE = "ensemble.json"
MEMBERS = "members"
CARD = "README.md"

#: Files that could run code when something opens them. No bundle holds one.
_EXECUTABLE = frozenset({".bin", ".ckpt", ".dll", ".dylib", ".joblib", ".pickle", ".pkl", ".pt", ".pth", ".py", ".so"})
#: What transformers writes when nobody gave label names.
_UNNAMED = re.compile(r"LABEL_\d+")


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A trained model on disk, checked and ready to be read without a deep-learning library.

    Parameters
    ----------
    path : the folder
    id : twelve hex digits over all file hashes and the manifest; moving or copying the folder keeps it
    facts : what ``contract.json`` holds
    calibration : how far to trust the outputs
    manifest : how the model was made
    pad_id : token id that fills up a batch
    members, combination : of an ensemble, the bundles it asks and how their answers become one
    """

    path: Path
    id: str
    facts: ContractFacts
    calibration: Calibration
    manifest: dict[str, Any]
    pad_id: int = 0
    members: tuple[Bundle, ...] = ()
    combination: Combination | None = None

    @classmethod
    def load(cls, path: Path | str, *, verify: bool = True) -> Self:
        """Open a bundle after checking that it is whole and fits together.

        Labels and tokenizer are compared first, so that a swapped order is refused as what it is and not only as a
        wrong hash.

        Parameters
        ----------
        path : the folder
        verify : compare the SHA-256 of every file; False saves reading the weights once

        Raises
        ------
        BundleError
            Naming the file or field that is missing, damaged, foreign or out of order.
        """
        root = Path(path)
        if not root.is_dir():
            what = "a file" if root.exists() else "no such folder"
            raise BundleError(f"A bundle must be a folder with a {MANIFEST}; got {str(path)!r}: {what}.")
        root = root.resolve()
        if not (root / MANIFEST).is_file():
            raise BundleError(
                f"A bundle must be a folder with a {MANIFEST}; {str(path)!r} has none. Give the folder that training "
                "wrote."
            )
        stated = _read_json(root, MANIFEST)
        _check_format(stated, root)
        files, manifest = _stated_files(stated, root)
        for name in files:
            _check_place(root, name)
        facts = ContractFacts.from_dict(_read_json(root, CONTRACT))
        try:
            calibration = Calibration.from_dict(_read_json(root, CALIBRATION))
        except TypeError as error:
            raise BundleError(f"{CALIBRATION} must hold numbers; {error}.") from error
        config = _read_json(root, "model/config.json") if "model/config.json" in files else {}
        _check_label_order(facts.contract, config)
        combination = Combination.from_dict(_read_json(root, ENSEMBLE)) if ENSEMBLE in files else None
        bundle = cls(
            path=root,
            id=bundle_id(files, manifest),
            facts=facts,
            calibration=calibration,
            manifest=manifest,
            pad_id=_pad_id(config),
            members=() if combination is None else _members(cls, root, facts, combination),
            combination=combination,
        )
        if combination is None:
            bundle._check_tokenizer()
        if verify:
            _check_hashes(root, files)
        _check_nothing_added(root, files)
        if bundle.id != stated["bundle_id"]:
            raise BundleError(
                f"The `bundle_id` in {MANIFEST} must fit its contents, which give {bundle.id!r}; got "
                f"{stated['bundle_id']!r}. The manifest was edited: restore it."
            )
        return bundle

    @property
    def contract(self) -> LabelContract:
        """Label names, order and kind."""
        return self.facts.contract

    @property
    def task(self) -> str:
        """Registered task name."""
        return self.facts.task

    @property
    def language(self) -> str:
        """Language of the training text."""
        return self.facts.language

    @property
    def has_pair(self) -> bool:
        """Whether every text comes with a second one."""
        return self.facts.has_pair

    @property
    def max_length(self) -> int:
        """Tokens in a chunk."""
        return self.facts.max_length

    @property
    def onnx_path(self) -> Path:
        """The exported network; the engine refuses a bundle where the file is not there."""
        return self.path / ONNX

    @property
    def int8_path(self) -> Path:
        """The same network in eight bits, for ONNX Runtime; many a bundle has none."""
        return self.path / INT8

    @property
    def ships_int8(self) -> bool:
        """Whether the network, or that of every member, is there in eight bits too."""
        return all(one.int8_path.is_file() for one in self.members or (self,))

    @property
    def card(self) -> str:
        """The model card as Markdown, or empty."""
        path = self.path / CARD
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def tokenizer(self) -> ChunkingTokenizer:
        """Return the tokenizer the network was trained with."""
        return ChunkingTokenizer(self.path / TOKENIZER, max_length=self.facts.max_length, prefix=self.facts.prefix)

    def _check_tokenizer(self) -> None:
        found = self.tokenizer().fingerprint
        if found != self.facts.tokenizer_fingerprint:
            raise BundleError(
                f"The tokenizer of bundle {self.path.name!r} must have the fingerprint "
                f"{self.facts.tokenizer_fingerprint!r}; got {found!r} from {TOKENIZER}. It belongs to another model: "
                "restore the original file."
            )


def bundle_id(files: Mapping[str, str], manifest: Mapping[str, Any]) -> str:
    """Return the name that a bundle's contents give it: twelve hex digits over file hashes and manifest."""
    payload = json.dumps([dict(files), dict(manifest)], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(payload.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def list_files(root: Path) -> list[str]:
    """Return every file below a folder but the manifest, as sorted paths with ``/``; links are not followed."""
    found = []
    for folder, folders, names in os.walk(root):
        linked = [name for name in folders if (Path(folder) / name).is_symlink()]
        found += [(Path(folder) / name).relative_to(root).as_posix() for name in names + linked]
    return sorted(name for name in found if name != MANIFEST)


def _read_json(root: Path, name: str) -> Any:
    try:
        return json.loads((root / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{name} of bundle {root.name!r} must be readable JSON: {error}.") from error


def _check_format(stated: Any, root: Path) -> None:
    number = stated.get("format") if isinstance(stated, dict) else None
    if number != FORMAT:
        raise BundleError(
            f"The format of bundle {root.name!r} must be {FORMAT}; got {number!r}. If a newer release wrote it, "
            "install that release."
        )


def _stated_files(stated: dict[str, Any], root: Path) -> tuple[dict[str, str], dict[str, Any]]:
    files, manifest = stated.get("files"), stated.get("manifest")
    if not isinstance(files, dict) or not isinstance(manifest, dict) or "bundle_id" not in stated:
        raise BundleError(f"{MANIFEST} of bundle {root.name!r} must hold `bundle_id`, `files` and `manifest`.")
    for name in (CONTRACT, CALIBRATION, *(() if ENSEMBLE in files else (TOKENIZER,))):
        if name not in files:
            raise BundleError(f"A bundle must hold {name}; {MANIFEST} of {root.name!r} does not list it.")
    return files, manifest


def _members(cls: type[Bundle], root: Path, facts: ContractFacts, combination: Combination) -> tuple[Bundle, ...]:
    """Open what an ensemble asks; the hashes of their files are among the ensemble's own."""
    found = tuple(cls.load(root / MEMBERS / str(number), verify=False) for number in range(combination.n_members))
    for number, member in enumerate(found):
        facts.contract.check_same(member.contract, ours=CONTRACT, theirs=f"{MEMBERS}/{number}")
        if member.has_pair != facts.has_pair or member.members:
            raise BundleError(
                f"Every member of an ensemble must be one network that is asked as the others are; {MEMBERS}/{number} "
                f"of {root.name!r} is not. Make the ensemble again."
            )
    return found


def _check_place(root: Path, name: str) -> None:
    """Refuse a path that leaves the folder, a file that is not there, and files that could run code."""
    pure = PurePosixPath(name)
    if not name or pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name or "\0" in name:
        raise BundleError(f"Every path in {MANIFEST} must stay inside the bundle; got {name!r}.")
    path = root / name
    if not path.resolve().is_relative_to(root):
        raise BundleError(f"Every file of a bundle must lie inside it; {name!r} is a link to {str(path.resolve())!r}.")
    if not path.is_file():
        raise BundleError(f"Bundle {root.name!r} must hold every file its {MANIFEST} lists; {name!r} is missing.")
    if pure.suffix.lower() in _EXECUTABLE:
        raise BundleError(
            f"A bundle must not hold files that can run code; got {name!r}. Weights are kept as safetensors and ONNX."
        )


def _check_label_order(contract: LabelContract, config: Any) -> None:
    stated = config.get("id2label") if isinstance(config, dict) else None
    if not stated:
        return
    try:
        names = tuple(str(stated[key]) for key in sorted(stated, key=int))
    except (TypeError, ValueError) as error:
        raise BundleError(f"`id2label` in model/config.json must map positions to names; got {stated!r}.") from error
    if all(_UNNAMED.fullmatch(name) for name in names):
        return
    try:
        theirs = LabelContract(kind=contract.kind, names=names)
    except ConfigError as error:
        raise BundleError(f"`id2label` in model/config.json must name the labels: {error}") from error
    contract.check_same(theirs, ours=CONTRACT, theirs="model/config.json")


def _pad_id(config: Any) -> int:
    value = config.get("pad_token_id") if isinstance(config, dict) else None
    return value if isinstance(value, int) and value >= 0 else 0


def _check_hashes(root: Path, files: dict[str, str]) -> None:
    for name, stated in sorted(files.items()):
        found = file_hash(root / name)
        if found != stated:
            raise BundleError(
                f"{name} of bundle {root.name!r} must have the SHA-256 {str(stated)[:16]}...; got {found[:16]}... "
                "The file was changed or damaged: restore it, or write the bundle again."
            )


def _check_nothing_added(root: Path, files: dict[str, str]) -> None:
    """Refuse strangers among the files that a model library opens by name; notes elsewhere do no harm."""
    for name in list_files(root):
        parts = PurePosixPath(name).parts
        if name not in files and parts[0] in ("model", "onnx", MEMBERS) and not parts[-1].startswith("."):
            raise BundleError(
                f"The folders model, onnx and members of a bundle must hold only files listed in {MANIFEST}; got "
                f"{name!r}. Remove it."
            )

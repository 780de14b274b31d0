"""What a Hugging Face folder holds, read from its files without torch."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapereader.core.errors import BundleError
from tapereader.models.backbones.records import BackboneKind
from tapereader.models.weights.archives import sha256_of

_ENCODERS = {
    *("albert", "bert", "camembert", "deberta", "deberta-v2", "distilbert", "electra", "ernie", "eurobert"),
    *("mobilebert", "modernbert", "mpnet", "nomic_bert", "roberta", "xlm-roberta", "xlm-roberta-xl"),
}
_DECODERS = {
    *("falcon", "gemma", "gemma2", "gemma3_text", "gpt2", "gpt_neo", "gpt_neox", "granite", "llama", "mistral"),
    *("olmo", "olmo2", "opt", "phi", "phi3", "qwen2", "qwen3", "smollm3", "stablelm"),
}
_SEQ2SEQ = {"bart", "led", "longt5", "marian", "mbart", "mt5", "pegasus", "t5", "umt5"}
#: These count positions from the padding mark's index on, so two of them are never used.
_SHIFTED = {"camembert", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl"}
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_UNBOUNDED = 512  # a network with relative positions has no limit of its own; its authors trained it on so many


@dataclass(frozen=True, kw_only=True)
class FolderFacts:
    """What the files of a model folder say.

    Parameters
    ----------
    kind : of the network
    model_type : as ``transformers`` names the architecture
    parameters : numbers in the weight files
    max_tokens : tokens it can read at once, special tokens included
    sha256 : of the one weight file, or of the sorted names and hashes of several
    """

    kind: BackboneKind
    model_type: str
    parameters: int
    max_tokens: int
    sha256: str


def inspect_folder(folder: Path) -> FolderFacts:
    """Read what kind of network a folder holds, and check that it can be opened safely.

    Raises
    ------
    BundleError
        If ``config.json`` or ``tokenizer.json`` is missing or damaged, the architecture is not supported, needs code
        of its own, or its weights are absent, cut short, or only there as pickles, which run code when opened.
    """
    config = _read_json(folder / "config.json", "A model folder must hold a readable config.json")
    kind = _kind(config, folder)
    if not (folder / "tokenizer.json").is_file():
        raise BundleError(
            f"A model folder must hold tokenizer.json; {folder} does not. If it has another tokenizer file, write it "
            f"once with transformers: AutoTokenizer.from_pretrained(folder).save_pretrained(folder)."
        )
    files = _weight_files(folder)
    hashes = {path.name: sha256_of(path) for path in files}
    one = next(iter(hashes.values()))
    together = hashlib.sha256(json.dumps(sorted(hashes.items())).encode()).hexdigest()
    return FolderFacts(
        kind=kind,
        model_type=str(config["model_type"]),
        parameters=sum(_count(path) for path in files),
        max_tokens=_max_tokens(config, folder),
        sha256=one if len(hashes) == 1 else together,
    )


def _kind(config: dict[str, Any], folder: Path) -> BackboneKind:
    model_type = config.get("model_type")
    if model_type in _SEQ2SEQ:
        return "seq2seq"
    if model_type in _DECODERS or (model_type in _ENCODERS and config.get("is_decoder") is True):
        return "decoder"
    if model_type in _ENCODERS:
        return "encoder"
    if "auto_map" in config:
        raise BundleError(
            f"A backbone must be an architecture that transformers has itself; {folder} brings code of its own "
            f"({model_type!r}), which is never run."
        )
    known = ", ".join(sorted(_ENCODERS | _DECODERS | _SEQ2SEQ))
    raise BundleError(f"A backbone's `model_type` must be one of {known}; got {model_type!r}, in {folder}.")


def _weight_files(folder: Path) -> list[Path]:
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = _read_json(index, "An index of weights must be readable JSON").get("weight_map")
        names = sorted({str(name) for name in shards.values()}) if isinstance(shards, dict) else []
        if not names or any(Path(name).name != name or not name.endswith(".safetensors") for name in names):
            raise BundleError(f"An index of weights must name safetensors files beside it; got {names}, in {folder}.")
        for name in names:
            if not (folder / name).is_file():
                raise BundleError(f"A model folder must hold all its weights; {name!r} is missing in {folder}.")
        return [folder / name for name in names]
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES)
    if pickles:
        raise BundleError(
            f"Weights must be safetensors only; {folder} has {', '.join(pickles)}, a pickle, which can run any code "
            "when opened. Save the model as safetensors where you trust it, or use a copy that has them."
        )
    raise BundleError(f"A model folder must hold model.safetensors; {folder} does not.")


def _count(path: Path) -> int:
    """Count a safetensors file's numbers, and check that the file is as long as its header says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        raw = file.read(length) if length <= min(size, 100_000_000) else b""
    try:
        header = json.loads(raw)
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        ends = [int(entry["data_offsets"][1]) for entry in tensors]
        # Whole numbers are tables of positions that old files carry along; they learn nothing.
        count = sum(int(math.prod(entry["shape"])) for entry in tensors if entry["dtype"][0] in "FB")
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise BundleError(
            f"{path.name} must be a safetensors file; got {size} bytes that are none, in {path.parent}. A file of a "
            "few hundred bytes is a Git LFS pointer: fetch the real one with `git lfs pull`."
        ) from error
    whole = 8 + length + max(ends, default=0)
    if whole != size:
        raise BundleError(f"{path.name} must be {whole} bytes; got {size}, in {path.parent}. Copy it again.")
    return count


def _max_tokens(config: dict[str, Any], folder: Path) -> int:
    positions = config.get("max_position_embeddings") or config.get("n_positions") or _UNBOUNDED
    limit = int(positions) - 2 * (config["model_type"] in _SHIFTED)
    settings = folder / "tokenizer_config.json"
    if settings.is_file():
        stated = _read_json(settings, "A tokenizer_config.json must be readable").get("model_max_length")
        if isinstance(stated, int) and 0 < stated < limit:
            return stated
    return limit


def _read_json(path: Path, must: str) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{must}; {path}: {error}.") from error
    if not isinstance(values, dict):
        raise BundleError(f"{must}; {path} holds no JSON object.")
    return values

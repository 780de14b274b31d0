"""Models on the Hugging Face hub: the local cache first, the network only when asked for, never waiting long."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tapereader.core.errors import BundleError, ConfigError, MissingDataError, missing_extra
from tapereader.models.backbones.cutoffs import OLD_IDS

#: Only what is read later: no pickles, no code.
_PATTERNS = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model-*.safetensors",
    "model.safetensors.index.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)
_WORD = r"[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9])?"
_HUB_ID = re.compile(rf"{_WORD}/{_WORD}", flags=re.ASCII)
_TIMEOUT_SECONDS = 10


def is_hub_id(text: str) -> bool:
    """Say whether a text is written as a hub id, ``owner/name``, and cannot be read as a path out of a folder."""
    return _HUB_ID.fullmatch(text) is not None and ".." not in text and "--" not in text


def find_on_hub(hub_id: str, *, allow_download: bool, revision: str | None = None) -> tuple[Path, str]:
    """Return the local folder of a hub model and its commit.

    Parameters
    ----------
    hub_id : ``owner/name``, or an old id such as ``gpt2``
    allow_download : whether the network may be used where the local cache does not have it
    revision : commit, branch or tag; None for the main branch

    Raises
    ------
    MissingDataError
        If it is not in the cache and may not or cannot be downloaded.
    BundleError
        If the hub has it only as pickles.
    MissingExtraError
        If ``huggingface_hub`` is not installed.
    """
    hub_id = OLD_IDS.get(hub_id, hub_id)
    if not is_hub_id(hub_id):
        raise ConfigError(f"A hub id must look like `owner/name`; got {hub_id!r}.")
    try:
        from huggingface_hub import HfApi, snapshot_download, try_to_load_from_cache
    except ImportError as error:
        raise missing_extra("train", needed_for=f"Opening {hub_id!r} from the Hugging Face hub") from error
    # Caches filled before ids had owners keep the short name.
    for written in (hub_id, *(old for old, new in OLD_IDS.items() if new == hub_id)):
        config = try_to_load_from_cache(written, "config.json", revision=revision)
        if isinstance(config, str) and _is_whole(Path(config).parent):
            return Path(config).parent, Path(config).parent.name
    if not allow_download:
        raise MissingDataError(f"{hub_id!r} must be in the local Hugging Face cache; it is not. {_offline(hub_id)}")
    try:
        # One short question first: it tells at once whether there is a hub, and what it would send.
        facts = HfApi().model_info(hub_id, revision=revision, timeout=_TIMEOUT_SECONDS)
        names = [sibling.rfilename for sibling in facts.siblings or ()]
        if not any(name.endswith(".safetensors") for name in names):
            raise BundleError(
                f"Weights must be safetensors only; {hub_id!r} offers {', '.join(sorted(names)) or 'no files'} on the "
                "hub. Pickles are never opened: choose a model that has model.safetensors."
            )
        folder = Path(
            snapshot_download(hub_id, revision=revision, allow_patterns=list(_PATTERNS), etag_timeout=_TIMEOUT_SECONDS)
        )
    except BundleError:
        raise
    except Exception as error:  # the hub library and its HTTP library share no base class for what can fail here
        raise MissingDataError(
            f"{hub_id!r} must be downloadable from the hub; got {type(error).__name__}. {_offline(hub_id)}"
        ) from error
    return folder, folder.name


def _is_whole(folder: Path) -> bool:
    """Say whether a download into the cache was finished; one of pickles is for the reader of folders to refuse."""
    names = {path.name for path in folder.iterdir()}
    if "model.safetensors.index.json" in names:
        try:
            index = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))
            return set(index["weight_map"].values()) <= names
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return True  # damaged, not unfinished: the reader of folders says so
    return any(name.endswith((".safetensors", ".bin")) for name in names)


def _offline(hub_id: str) -> str:
    name = hub_id.partition("/")[2]
    return (
        f"Where there is a network, run: hf download {hub_id} --local-dir {name}; copy that folder here and give its "
        f"path. Offline, `tapereader models list` shows what is ready."
    )

"""An authors' release turned into a table of the data folder, whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from tapereader.core.errors import DataError, UnknownNameError
from tapereader.core.registry import Registry
from tapereader.sources.catalog.named import ORIGIN_FILE, NamedDataset, origin_notes
from tapereader.sources.labelled import LabelledText
from tapereader.sources.releases import chinese, english
from tapereader.sources.releases.files import ReleaseFiles

#: Table in the data folder -> how its authors' release is read. Data sets that share a table share the reader.
_READERS: dict[str, Callable[[ReleaseFiles], pd.DataFrame]] = {
    "cn_finbert2_sc2/news.parquet": chinese.finbert2_sc2,
    "cn_fincuge/finese_event_subject.parquet": chinese.finese,
    "cn_fincuge/finfe_sentiment.parquet": chinese.finfe,
    "cn_fincuge/finnl_topics.parquet": chinese.finnl,
    "cn_fincuge/finnsp_negative_news.parquet": chinese.finnsp,
    "cn_fincuge/finre_relations.parquet": chinese.finre,
    "cn_stock_comments/comments.parquet": chinese.stock_comments,
    "financial_phrasebank/sentences.parquet": english.phrasebank,
    "fiqa_posts/posts.parquet": english.fiqa,
    "fomc_stance/sentences.parquet": english.fomc,
    "gold_news/headlines.parquet": english.gold,
    "semeval2017_headlines/headlines.parquet": english.semeval,
    "stockemotions/posts.parquet": english.stockemotions,
}


def importable_names(registry: Registry | None = None) -> tuple[str, ...]:
    """Return the names of the data sets whose authors' release can be read, sorted."""
    found = registry or Registry("tapereader.sources")
    return tuple(name for name in found.names() if _table(found.find(name)) in _READERS)


def import_release(name: str, path: Path | str, *, out: Path | str, registry: Registry | None = None) -> Path:
    """Read an authors' release and write it as a table that ``load_dataset`` finds.

    Beside the table, ``origin.json`` notes that it is the original release, its rows and the SHA-256 of every file
    that was read; cards then say so. Tables that share a folder share that file.

    Parameters
    ----------
    name : one of :func:`importable_names`
    path : the release as downloaded: a folder, a .zip archive, or a file
    out : data folder to write below; it is what ``TAPEREADER_DATA`` names afterwards

    Returns
    -------
    path of the table

    Raises
    ------
    UnknownNameError
        If there is no such data set, or its release cannot be read here.
    MissingDataError
        If a file of the release is not there.
    DataError
        If a file is not as its authors publish it, a copy that was not imported would be overwritten, or the folder
        cannot be written. Nothing is left half written.
    """
    found = registry or Registry("tapereader.sources")
    source = found.find(name)
    key = _table(source)
    if key not in _READERS:
        known = ", ".join(importable_names(found))
        raise UnknownNameError(f"A release can be imported for {known}; got {name!r}.")
    target = Path(out) / key
    notes = origin_notes(target.parent)
    existed = target.exists()
    if existed and target.name not in notes:
        raise DataError(
            f"An import must not overwrite a copy that was not imported; got {str(target)!r}. Choose another `out`."
        )
    files = ReleaseFiles(Path(path))
    table = _READERS[key](files)
    if table.empty:
        raise DataError(f"A release must have rows; got none in {str(path)!r} for {name!r}.")
    # Every label must be in the contract before anything is written.
    LabelledText(card=source.card, frame=source.build(table).assign(row=0)).targets()
    note = {"origin": "original release", "rows": len(table), "sha256": dict(sorted(files.sha256.items()))}
    _write(target, lambda temporary: table.to_parquet(temporary, compression="zstd", index=False))
    text = json.dumps(notes | {target.name: note}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    try:
        _write(target.parent / ORIGIN_FILE, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    except DataError:
        # A table whose origin is not stated would pass for the repacked copy.
        if not existed:
            target.unlink(missing_ok=True)
        raise
    return target


def _table(source: Any) -> str:
    return f"{source.folder}/{source.file}" if isinstance(source, NamedDataset) else ""


def _write(target: Path, write: Callable[[Path], object]) -> None:
    # In the same folder, so that the last step is one rename: a reader sees the old file or the new one.
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        os.chmod(temporary, 0o644)  # a temporary file is the owner's alone; a data folder is shared
        os.replace(temporary, target)
    except OSError as error:
        raise DataError(f"The data folder must be writable; got {str(target)!r}: {error.strerror or error}.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)

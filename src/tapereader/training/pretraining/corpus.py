"""Unlabelled text to learn from: each once, none from later, none that a test set holds."""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pandas as pd
from pydantic import Field

from tapereader.core.config import Config
from tapereader.core.errors import ConfigError, DataError, LookAheadError, UnknownNameError
from tapereader.dataset.documents import normalise
from tapereader.sources import (
    Licence,
    corpus_names,
    dataset_names,
    describe_corpus,
    load_dataset,
    stream_texts,
    unlabelled_texts,
)
from tapereader.sources.text.times import known_at
from tapereader.training.pretraining.overlap import overlaps

#: Fewer distinct texts than this cannot be learnt from and judged on.
FEWEST = 10


class CorpusConfig(Config):
    """Which unlabelled text is learnt from, and which must not be."""

    sources: tuple[str, ...] = Field(min_length=1)
    """Names of unlabelled corpora or labelled data sets (their texts alone), or files."""
    text: str | None = None
    """Column of the text in files; None takes one whose name leaves no doubt."""
    time: str | None = None
    """Column of the time at which a text of a file was known; None gives a text without a date."""
    encoding: str | None = None
    """Of a text file; None demands UTF-8 or a byte-order mark."""
    max_documents: int | None = Field(default=None, ge=1)
    """At most so many distinct texts, drawn at random from all; None takes every one."""
    until: date | None = None
    """Only text known before the start of this day, UTC; text dated by a day alone is known at that day's end."""
    exclude: tuple[str, ...] = ()
    """Labelled data sets whose texts must not be learnt from, nor near-copies of them."""
    near_duplicates: float = Field(default=0.8, ge=0.5, le=1.0)
    """Jaccard similarity that makes two texts near-copies."""
    held_out_share: float = Field(default=0.02, gt=0.0, le=0.5)
    """Share of the documents that is kept away to measure the loss on."""


@dataclass(frozen=True, kw_only=True)
class CorpusSource:
    """One source, as it was read.

    Parameters
    ----------
    name : of the corpus or data set, or of the file without its folder
    id : twelve hex digits over all its texts and times
    licence : its terms
    rows : texts read
    used : documents of the finished corpus that were seen here first
    synthetic : whether a program made them
    """

    name: str
    id: str
    licence: Licence
    rows: int
    used: int = 0
    synthetic: bool = False


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Distinct texts in a random order that depends on the texts and the seed alone.

    Parameters
    ----------
    train, held_out : what is learnt from, and what the loss is measured on
    sources : where they came from
    first_known_at, last_known_at : UTC, over both parts; None where no text has a date
    undated : texts without a date
    empty, later, duplicates : rows left out: blank; known too late; equal to another
    beyond_limit : rows left out by ``max_documents``
    excluded_exact, excluded_near : documents left out as copies and near-copies of excluded texts
    near_held_out : training documents left out as near-copies of held-out ones
    """

    train: tuple[str, ...]
    held_out: tuple[str, ...]
    sources: tuple[CorpusSource, ...]
    first_known_at: datetime | None
    last_known_at: datetime | None
    undated: int
    empty: int
    later: int
    duplicates: int
    beyond_limit: int
    excluded_exact: int
    excluded_near: int
    near_held_out: int

    @property
    def id(self) -> str:
        """Twelve hex digits over the texts of both parts."""
        return text_id((*self.train, "\x1d", *self.held_out))

    def counts(self) -> dict[str, int]:
        """Return how many documents there are, and why others are not among them."""
        left_out = ("empty", "later", "duplicates", "beyond_limit", "excluded_exact", "excluded_near", "near_held_out")
        counts = {"train": len(self.train), "held_out": len(self.held_out), "undated": self.undated}
        return counts | {name: getattr(self, name) for name in left_out}


@dataclass(slots=True)
class _Kept:
    text: str
    known: pd.Timestamp | None
    source: int


class _Sample:
    """Distinct texts: those with the smallest keyed hashes, so that memory is bounded and order does not matter."""

    def __init__(self, *, size: int | None, seed: int) -> None:
        self.size = size
        self.key = seed.to_bytes(8, "little")
        self.kept: dict[int, _Kept] = {}
        self.heap: list[int] = []  # negated, so that the largest hash is first
        self.duplicates = 0
        self.beyond = 0

    def add(self, text: str, known: pd.Timestamp | None, source: int) -> None:
        folded = normalise(text).encode("utf-8", "surrogatepass")
        rank = int.from_bytes(hashlib.blake2b(folded, digest_size=8, key=self.key).digest(), "little")
        found = self.kept.get(rank)
        if found is not None:
            self.duplicates += 1
            # Words that were published twice were known when they came out first.
            if known is not None and (found.known is None or known < found.known):
                self.kept[rank] = _Kept(text, known, source)
            return
        if self.size is not None and len(self.kept) == self.size:
            self.beyond += 1
            if rank > -self.heap[0]:
                return
            del self.kept[-heapq.heapreplace(self.heap, -rank)]
        elif self.size is not None:
            heapq.heappush(self.heap, -rank)
        self.kept[rank] = _Kept(text, known, source)

    def in_order(self) -> list[_Kept]:
        return [self.kept[rank] for rank in sorted(self.kept)]


def build_corpus(config: CorpusConfig, *, seed: int, root: Path | None = None) -> Corpus:
    """Read, filter, deduplicate and deal text for pretraining.

    A text is used once, with the earliest time it carries. Where ``until`` is set, a text without a time is refused: it
    may be from later. Copies of excluded texts are looked for in whole documents and in their sentences.

    Parameters
    ----------
    config : what to read
    seed : of the draw and of the held-out part
    root : folder of named sets; None takes ``TAPEREADER_DATA``

    Raises
    ------
    UnknownNameError
        If a source is neither a name nor a file, or an excluded set has no labels.
    LookAheadError
        If ``until`` is set and a text has no date.
    DataError
        If fewer than ten documents are left.
    """
    sample = _Sample(size=config.max_documents, seed=seed)
    until = None if config.until is None else pd.Timestamp(config.until, tz="UTC")
    sources, empty, later = [], 0, 0
    for number, name in enumerate(config.sources):
        facts, frames = _open(name, config, root)
        digest, rows = hashlib.sha256(), 0
        for frame in frames:
            times = frame["known_at"].tolist() if "known_at" in frame.columns else [None] * len(frame)
            for text, time in zip(frame["text"].tolist(), times, strict=True):
                known = None if time is None or time is pd.NaT else time
                rows += 1
                digest.update(f"{text}\x1f{known}\x1e".encode("utf-8", "surrogatepass"))
                if not text.strip():
                    empty += 1
                elif until is None or (known is not None and known < until):
                    sample.add(text, known, number)
                elif known is None:
                    raise LookAheadError(
                        f"Every text must have a time when `until` is set; got none in row {rows} of {facts.name!r}. "
                        "Name the column of times with `time`, or leave the source or `until` out."
                    )
                else:
                    later += 1
        sources.append(CorpusSource(name=facts.name, id=digest.hexdigest()[:12], licence=facts.licence, rows=rows,
                                    synthetic=facts.synthetic))  # fmt: skip
    documents = sample.in_order()
    banned = [text for name in config.exclude for text in load_dataset(name, root=root).texts]
    found = overlaps([d.text for d in documents], banned, threshold=config.near_duplicates, seed=seed, sentences=True)
    documents = [document for document, hit in zip(documents, found, strict=True) if not hit]
    if len(documents) < FEWEST:
        raise DataError(
            f"Pretraining must have at least {FEWEST} distinct texts; got {len(documents)} from "
            f"{', '.join(source.name for source in sources)}, after leaving out {empty:,} blank, {later:,} known too "
            f"late and {int((found > 0).sum()):,} like excluded ones."
        )
    n_held_out = math.ceil(config.held_out_share * len(documents))
    held_out, train = documents[:n_held_out], documents[n_held_out:]
    # A near-copy on the other side would make the held-out loss a measure of memory.
    near = overlaps([d.text for d in train], [d.text for d in held_out], threshold=config.near_duplicates, seed=seed,
                    sentences=False)  # fmt: skip
    train = [document for document, hit in zip(train, near, strict=True) if not hit]
    if not train:
        raise DataError(
            f"Some text must be unlike the {len(held_out):,} held-out texts; all {len(near):,} others are near-copies."
        )
    used = [*train, *held_out]
    dated = [document.known.to_pydatetime() for document in used if document.known is not None]
    counted = tuple(
        CorpusSource(name=s.name, id=s.id, licence=s.licence, rows=s.rows, synthetic=s.synthetic,
                     used=sum(document.source == n for document in used))
        for n, s in enumerate(sources)
    )  # fmt: skip
    return Corpus(
        train=tuple(d.text for d in train), held_out=tuple(d.text for d in held_out), sources=counted,
        first_known_at=min(dated, default=None), last_known_at=max(dated, default=None),
        undated=len(used) - len(dated), empty=empty, later=later, duplicates=sample.duplicates,
        beyond_limit=sample.beyond, excluded_exact=int((found == 2).sum()), excluded_near=int((found == 1).sum()),
        near_held_out=int((near > 0).sum()),
    )  # fmt: skip


def text_id(texts: tuple[str, ...]) -> str:
    """Return twelve hex digits over texts, in order."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{text}\x1e".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:12]


@dataclass(frozen=True)
class _Facts:
    name: str
    licence: Licence
    synthetic: bool = False


def _open(name: str, config: CorpusConfig, root: Path | None) -> tuple[_Facts, Iterator[pd.DataFrame]]:
    if name in corpus_names():
        return _Facts(name, describe_corpus(name).licence), iter([unlabelled_texts(name, root=root)])
    if name in dataset_names():
        labelled = load_dataset(name, root=root)
        return _Facts(name, labelled.card.licence, labelled.card.synthetic), iter([labelled.frame])
    path = Path(name)
    if path.suffix or path.exists():
        licence = Licence(name="not stated", commercial_use=None, source="your file")
        return _Facts(path.name, licence), _file(path, config)
    raise UnknownNameError(
        f"A source of text must be a name from `tapereader data list`, or a file; got {name!r}, neither. "
        f"Unlabelled sets are {', '.join(corpus_names())}."
    )


def _file(path: Path, config: CorpusConfig) -> Iterator[pd.DataFrame]:
    for frame in stream_texts(path, text=config.text, encoding=config.encoding):
        if config.time is None:
            yield frame[["text"]]
            continue
        # The reader keeps its own names free: a column that carries one of them comes with a prefix.
        column = next((c for c in (f"source_{config.time}", config.time) if c in frame.columns and c != "row"), None)
        if column is None:
            raise ConfigError(f"`time` must name a column of the file; got {config.time!r}, not in {str(path)!r}.")
        yield pd.DataFrame({"text": frame["text"], "known_at": known_at(frame[column], where=str(path))})

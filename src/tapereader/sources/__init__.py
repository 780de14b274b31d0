"""The outside world as text with labels and dates: named data sets, the user's own files, authors' releases.

Whatever the source, the result is the same: :class:`LabelledText`, a card and rows in one fixed set of columns.
"""

from tapereader.sources.catalog import (
    CorpusCard,
    corpus_names,
    data_root,
    dataset_names,
    describe,
    describe_corpus,
    import_root,
    load_dataset,
    unlabelled_texts,
)
from tapereader.sources.labelled import DatasetCard, LabelledText, Licence
from tapereader.sources.releases import import_release, importable_names
from tapereader.sources.text import read_labelled, read_table, stream_texts

__all__ = [
    "CorpusCard",
    "DatasetCard",
    "LabelledText",
    "Licence",
    "corpus_names",
    "data_root",
    "dataset_names",
    "describe",
    "describe_corpus",
    "import_release",
    "import_root",
    "importable_names",
    "load_dataset",
    "read_labelled",
    "read_table",
    "stream_texts",
    "unlabelled_texts",
]

"""Named data sets: what each states about itself, and its rows from the data folder."""

from tapereader.sources.catalog.loading import (
    corpus_names,
    data_root,
    dataset_names,
    describe,
    describe_corpus,
    import_root,
    load_dataset,
    unlabelled_texts,
)
from tapereader.sources.catalog.named import CorpusCard, LabelledSource, NamedCorpus, NamedDataset

__all__ = [
    "CorpusCard",
    "LabelledSource",
    "NamedCorpus",
    "NamedDataset",
    "corpus_names",
    "data_root",
    "dataset_names",
    "describe",
    "describe_corpus",
    "import_root",
    "load_dataset",
    "unlabelled_texts",
]

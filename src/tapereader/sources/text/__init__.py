"""The user's own texts: labelled files to learn from, and streams of any size to score."""

from tapereader.sources.text.labels import read_labelled
from tapereader.sources.text.stream import count_rows, stream_texts
from tapereader.sources.text.table import read_table

__all__ = ["count_rows", "read_labelled", "read_table", "stream_texts"]

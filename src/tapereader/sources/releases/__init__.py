"""Authors' original releases, read as they are published, so that anybody can rebuild the data folder."""

from tapereader.sources.releases.importing import import_release, importable_names

__all__ = ["import_release", "importable_names"]

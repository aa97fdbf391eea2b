"""The trusted sources: who is visited, why, and where they are on the map."""

from elunum.sources.checking import Coverage, Stats, check, stats
from elunum.sources.importing import ImportReport, Rejection, import_files
from elunum.sources.official import build, update
from elunum.sources.register import HEADER, KINDS, Problem, SourceList, key_of, kind_named, local_path, read, write

__all__ = [
    "HEADER",
    "KINDS",
    "Coverage",
    "ImportReport",
    "Problem",
    "Rejection",
    "SourceList",
    "Stats",
    "build",
    "check",
    "import_files",
    "key_of",
    "kind_named",
    "local_path",
    "read",
    "stats",
    "update",
    "write",
]

"""The trusted sources: who is visited, why, and where they are on the map."""

from elunum.sources.register import HEADER, KINDS, Problem, SourceList, key_of, local_path, read, write

__all__ = ["HEADER", "KINDS", "Problem", "SourceList", "key_of", "local_path", "read", "write"]

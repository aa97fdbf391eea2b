"""Elunum, the search engine of French public action."""

__version__ = "0.1.0"

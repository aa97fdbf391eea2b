"""Expressions that search knows as one: acronyms and what they stand for, compound words, synonyms.

The lists are data (acronyms.csv, compounds.txt, synonyms.txt in elunum/french): a thin or wrong list is a bug like any
other. The index marks the pages that hold an expression of several words, so that looking for it costs as little as
looking for a word; search calls them for one another.
"""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from elunum.text import FRENCH, stems


class Said(NamedTuple):
    """An expression, and another way to say it."""

    typed: str
    other: str
    same: bool = False  # another spelling of the same word


_JOINED = str.maketrans("", "", "-'")


@cache
def said() -> tuple[Said, ...]:
    """Every expression with each other way to say it."""
    return tuple(_said())


def _said() -> Iterator[Said]:
    for line in (FRENCH / "compounds.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            joined = line.translate(_JOINED)
            yield Said(joined, line, same=True)
            yield Said(line, joined, same=True)
    for row in csv.DictReader((FRENCH / "acronyms.csv").read_text(encoding="utf-8").splitlines()):
        yield Said(row["acronym"], row["expansion"])
        yield Said(row["expansion"], row["acronym"])
    for line in (FRENCH / "synonyms.txt").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        mutual = []
        for part in line.split(";"):
            typed, arrow, other = (piece.strip() for piece in part.partition(">"))
            if arrow:
                yield Said(typed, other)
            else:
                mutual.append(typed)
        for one in mutual:
            for other in mutual:
                yield Said(one, other)


def mark(words: Sequence[str]) -> str:
    """The term that stands in the index for the stems of an expression."""
    return "_".join(words)


def marks_in(words: Sequence[str]) -> list[str]:
    """The marks of the expressions that these stems, in their order, hold, as often as they do."""
    known = _by_first()
    found = []
    for at, word in enumerate(words):
        for expression in known.get(word, ()):
            if tuple(words[at : at + len(expression)]) == expression:
                found.append(mark(expression))
    return found


@cache
def _by_first() -> dict[str, tuple[tuple[str, ...], ...]]:
    """The stems of each expression of several words that search may look for, by the first of them."""
    found: dict[str, dict[tuple[str, ...], None]] = defaultdict(dict)
    for one in said():
        expression = tuple(stems(one.other))
        if len(expression) > 1:
            found[expression[0]][expression] = None
    return {first: tuple(expressions) for first, expressions in found.items()}


@cache
def version() -> str:
    """A hash of the marks that pages are given: pages marked otherwise are written anew."""
    text = "\n".join(sorted(mark(e) for expressions in _by_first().values() for e in expressions))
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

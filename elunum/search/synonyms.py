"""Other ways to say what was typed: acronyms and what they stand for, and expressions that mean the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

from elunum.expressions import mark, said
from elunum.search.parse import Clause, Phrase, Query, Word
from elunum.text import STOP_WORDS, spans

Key = tuple[str, ...]
"""Stems of an expression, words without subject left out: « accident du travail » and « accident de travail » agree."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another way to say the plain words of a query from `start` to `end` (excluded)."""

    start: int
    end: int
    clause: Word | Phrase
    text: str  # as shown to the reader
    same: bool = False  # another spelling of the same word, which counts as much


def alternatives(words: Sequence[Word]) -> tuple[Alternative, ...]:
    """For each known expression among these words, longest first, without overlap: the other ways to say it."""
    known, longest = _known()
    found: list[Alternative] = []
    at = 0
    while at < len(words):
        for length in range(min(longest, len(words) - at), 0, -1):
            key = tuple(word.stem for word in words[at : at + length])
            others = known.get(key, ())
            if others:
                found += [Alternative(at, at + length, *other) for other in others]
                at += length
                break
        else:
            at += 1
    return tuple(found)


@cache
def _known() -> tuple[dict[Key, tuple[tuple[Word | Phrase, str, bool], ...]], int]:
    """Alternatives by key, and the longest key."""
    gathered: dict[Key, dict[Key, tuple[Word | Phrase, str, bool]]] = {}

    def add(typed: str, other: str, same: bool) -> None:
        key, clause = _key(typed), clause_of(other)
        if key and clause is not None and _key(other) != key:
            gathered.setdefault(key, {}).setdefault(_key(other), (clause, other, same))

    for one in said():
        add(*one)
    return {key: tuple(others.values()) for key, others in gathered.items()}, max(map(len, gathered))


def joined(query: Query, often: Callable[[str], int]) -> Query:
    """The query with each compound typed in two words (« télé travail ») as the one word of it, where pages say that
    more often.

    often: how many pages have a stem, or the mark of an expression.
    """
    one_of, gone = dict[int, Word](), set[int]()  # of words by identity: one may be typed twice
    for left, right in pairwise(query.typed):
        one = _compounds().get((left.stem, right.stem))
        if one and id(left) not in gone and often(one.stem) > often(mark([left.stem, right.stem])):
            one_of[id(left)] = replace(one, text=f"{left.text} {right.text}")
            gone.add(id(right))
    clauses: list[Clause] = [one_of.get(id(one), one) for one in query.clauses if id(one) not in gone]
    typed = [one_of.get(id(word), word) for word in query.typed if id(word) not in gone]
    return replace(query, clauses=tuple(clauses), typed=tuple(typed)) if gone else query


@cache
def _compounds() -> dict[Key, Word]:
    """The one word of each compound, by its stems in two."""
    found = ((_key(one.typed), clause_of(one.other)) for one in said() if one.same)
    return {key: word for key, word in found if isinstance(word, Word)}


def _key(text: str) -> Key:
    return tuple(span.stem for span in spans(text) if span.word not in STOP_WORDS)


def clause_of(text: str) -> Word | Phrase | None:
    """An expression of ours as a clause; None when it holds no word."""
    found = tuple(Word(text[s.start : s.end], s.word, s.stem) for s in spans(text))
    if not found:
        return None
    return found[0] if len(found) == 1 else Phrase(found)


def shown(found: Sequence[Alternative]) -> tuple[str, ...]:
    """The texts of the alternatives, each once, in order. That « mi-temps » was looked for as one word is nothing to
    tell: nobody writes it so."""
    glued = [other for other in found if other.same and isinstance(other.clause, Word)]
    return tuple(dict.fromkeys(other.text for other in found if other not in glued))


def units(words: Sequence[Word], others: Sequence[Alternative]) -> Iterator[tuple[int, int]]:
    """The plain words, from start to end (excluded), that say one thing together: joined by hyphens (« tiers-lieux »),
    or an expression of our lists (« espace de travail partagé »)."""
    start = 0
    for place in range(1, len(words) + 1):
        if place == len(words) or not words[place].joined:
            if place - start > 1:
                yield start, place
            start = place
    yield from dict.fromkeys((other.start, other.end) for other in others if other.end - other.start > 1)

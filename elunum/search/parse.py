"""Typed text -> Query: what a reader means, as a tree that any engine can be given.

    words              all of them preferred, best matches first
    "exact words"      this phrase; « … » and “ … ” too
    -word -"phrase"    without it
    a OR b, a OU b     one or the other
    site:  type:  enjeu:  commune:  departement:  region:  depuis:  jusque:

Everything else is words: no input is an error but one that is too long. The tree is flat and its size is bounded, so
time is linear in the text; no engine ever sees what was typed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from elunum import geo
from elunum.errors import QueryError
from elunum.model import Search
from elunum.search.request import from_params
from elunum.text import STOP_WORDS, nfc, spans

MAX_WORDS = 60
"""Words of a query that are searched; the following ones are left out. No phrase anyone types is longer."""


@dataclass(frozen=True, slots=True)
class Word:
    text: str  # as typed
    word: str  # folded
    stem: str
    exact: bool = False  # quoted: this form, accents and case aside; it must hold, and is never corrected


@dataclass(frozen=True, slots=True)
class Phrase:
    words: tuple[Word, ...]  # two at least, in order; matched in their exact form, accents and case aside


@dataclass(frozen=True, slots=True)
class Either:
    """At least one of them."""

    options: tuple[Word | Phrase, ...]


Clause = Word | Phrase | Either


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query. Plain words may be missing from a result, though all are preferred; other clauses must hold."""

    clauses: tuple[Clause, ...] = ()
    without: tuple[Word | Phrase, ...] = ()
    typed: tuple[Word, ...] = ()  # every plain word, those without subject too, in order

    @property
    def words(self) -> tuple[Word, ...]:
        """The plain words that carry a subject, in order."""
        return tuple(clause for clause in self.clauses if is_plain(clause))  # type: ignore[misc]

    @property
    def is_empty(self) -> bool:
        return not self.clauses


def is_plain(clause: Clause) -> bool:
    """Whether a clause is a word that a result may lack."""
    return isinstance(clause, Word) and not clause.exact


_TOKEN = re.compile(
    r"(?P<minus>(?<!\S)-(?=\S))?"
    r"(?:(?P<name>[a-zA-Zéè_]{2,12}):(?=\S))?"
    r"(?:\"(?P<q1>[^\"]*)\"|«(?P<q2>[^»]*)»|“(?P<q3>[^”]*)”|(?P<bare>[^\s\"«»“”]+))"
)

_OPERATORS = {
    "site": "site",
    "type": "type",
    "enjeu": "enjeu",
    "commune": "commune",
    "departement": "departement",
    "département": "departement",
    "region": "region",
    "région": "region",
    "depuis": "since",
    "since": "since",
    "jusque": "until",
    "until": "until",
}

_TERRITORIES = {"commune", "departement", "region"}


def parse(search: Search, max_chars: int = 1_000) -> tuple[Query, Search]:
    """The tree of `search.q`, and the search with the operators found in the words added to its filters.

    An operator with a value nobody could mean (type:zzz, commune:Nulpart) is words like any other. Raises QueryError
    when the text is longer than max_chars.
    """
    if len(search.q) > max_chars:
        raise QueryError("q", f"au plus {max_chars} caractères")
    clauses: list[Clause] = []
    without: list[Word | Phrase] = []
    either = False  # an OR stands before the next clause
    room = MAX_WORDS
    for match in _TOKEN.finditer(nfc(search.q)):
        quoted = match["q1"] or match["q2"] or match["q3"]
        bare = match["bare"]
        if bare in ("OR", "OU") and not match["minus"] and not match["name"]:
            either = bool(clauses)
            continue
        if match["name"] and (filtered := _filtered(search, match["name"], quoted or bare or "")) is not None:
            search, either = filtered, False
            continue
        text = f"{match['name']} {quoted or bare or ''}" if match["name"] else (quoted or bare or "")
        exact = quoted is not None
        found = tuple(Word(text[s.start : s.end], s.word, s.stem, exact) for s in spans(text))[:room]
        room -= len(found)
        if not found:
            continue
        one: Word | Phrase = found[0] if len(found) == 1 else Phrase(found)
        if match["minus"]:
            without.append(one)
        elif either:
            last = clauses.pop()
            options = last.options if isinstance(last, Either) else (last,)
            clauses.append(Either((*options, one)))
        elif quoted is not None and isinstance(one, Phrase):
            clauses.append(one)
        else:
            clauses.extend(found)
        either = False
    typed = tuple(clause for clause in clauses if isinstance(clause, Word) and not clause.exact)
    return Query(_with_subject(clauses), tuple(without), typed), search


def _with_subject(clauses: list[Clause]) -> tuple[Clause, ...]:
    """The clauses less the words that carry no subject, unless there would be nothing left."""
    kept = tuple(c for c in clauses if not (isinstance(c, Word) and not c.exact and c.word in STOP_WORDS))
    return kept or tuple(clauses)


def _filtered(search: Search, name: str, value: str) -> Search | None:
    """The search with this operator added, or None when it is no operator of ours or has no meaning."""
    parameter = _OPERATORS.get(name.lower())
    if parameter is None:
        return None
    if parameter in _TERRITORIES and not any(letter.isdigit() for letter in value):
        named = geo.load().named(value, parameter)
        if not named:
            return None
        value = named[0].code
    try:
        read = from_params([(parameter, value)])
    except QueryError:
        return None
    found: Any = getattr(read, parameter)
    if isinstance(found, tuple):
        found = tuple(dict.fromkeys((*getattr(search, parameter), *found)))
    return replace(search, **{parameter: found})

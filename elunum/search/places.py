"""Territories named in a query: their own pages come first, then those of what contains them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from elunum.geo import Geo
from elunum.model import Territory
from elunum.search.parse import Word
from elunum.text import STOP_WORDS

MAX_NAME_WORDS = 8

HINTS = frozenset(
    {"mairie", "commune", "ville", "village", "agglomeration", "communaute", "metropole", "departement", "region"}
)
"""Folded words that announce the name of a territory, or ask for its own site."""

HOME = HINTS | frozenset(
    {"site", "officiel", "accueil", "internet", "web", "hotel", "municipal", "communes", "conseil", "departemental"}
    | {"regional", "page"}
)
"""With a name, and nothing else, these ask for the home page: « mairie de Rixheim »."""

BEFORE_A_NAME = frozenset({"a", "au", "aux", "de", "des", "du", "d", "en", "pres", "sur", "vers", "chez"})

BIG_ENOUGH = 5_000
"""Inhabitants from which a name alone, without capital or preposition, is taken for a place."""


@dataclass(frozen=True, slots=True)
class Place:
    """The plain words of a query from `start` to `end` (excluded) name these territories."""

    start: int
    end: int
    territories: tuple[Territory, ...]  # most populated first


def places(typed: Sequence[Word], geo: Geo) -> tuple[Place, ...]:
    """Names of territories among the typed words, longest first, without overlap. Places count words with a subject."""
    found: list[Place] = []
    subject = [0]  # how many words with a subject stand before each typed word
    for word in typed:
        subject.append(subject[-1] + (word.word not in STOP_WORDS))
    if not subject[-1]:
        return ()
    at = 0
    while at < len(typed):
        longest = min(MAX_NAME_WORDS, len(typed) - at) if geo.begins_a_name(typed[at].text) else 0
        for length in range(longest, 0, -1):
            start, end = subject[at], subject[at + length]
            if end == start or not (named := _named(typed, at, length, geo)):
                continue
            found.append(Place(start, end, named[:2]))
            at += length
            break
        else:
            at += 1
    return tuple(found)


def asks_for_home(typed: Sequence[Word], found: Sequence[Place]) -> bool:
    """Whether a query holds one name of a territory and nothing but words that ask for its site."""
    if len(found) != 1:
        return False
    words = [word.word for word in typed if word.word not in STOP_WORDS]
    rest = words[: found[0].start] + words[found[0].end :]
    return all(word in HOME for word in rest)


def _named(typed: Sequence[Word], at: int, length: int, geo: Geo) -> tuple[Territory, ...]:
    words = typed[at : at + length]
    if words[0].word in STOP_WORDS and words[0].word not in ("la", "le", "les", "l"):
        return ()
    if length == 1 and words[0].word in HOME:
        return ()  # « ville de Vannes »: a commune is called Ville
    named = geo.named(" ".join(word.text for word in words))
    if length > 1 or not named:
        return named
    before = typed[at - 1].word if at else ""
    sure = words[0].text[0].isupper() or before in BEFORE_A_NAME or before in HINTS or len(typed) == 1
    return named if sure or named[0].population >= BIG_ENOUGH else ()

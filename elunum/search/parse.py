"""Typed text -> Query: what a reader means, as a tree that any engine can be given.

    words              all of them preferred, best matches first
    "exact words"      this phrase; « … » and “ … ” too
    -word -"phrase"    without it
    a OR b, a OU b     one or the other
    site:  type:  enjeu:  service:  nature:  langue:  commune:  epci:  departement:  region:
    depuis:2024  avant:2024  jusque:2024  date:2024-03    from it on, before it, up to its end, in it
    -site:  -type: ...                                    not there

Everything else is words, an operator with a value nobody could mean too: no input is an error but one that is too long.
The tree is flat and its size is bounded, so time is linear in the text; no engine ever sees what was typed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache, cached_property
from typing import Any

from elunum import geo
from elunum.errors import QueryError
from elunum.index.tags import load_referentiel
from elunum.model import Homonym, Search, Territory
from elunum.search.request import from_params, read_date
from elunum.text import STOP_WORDS, fold, nfc, spans, words

MAX_WORDS = 60
"""Words of a query that are searched; the following ones are left out. No phrase anyone types is longer."""

MAX_PHRASES = 8
"""Of a query; the following ones are left out: each reads where its words stand on every page that has them.

One without a subject (« à la une ») counts for four: every page has its words."""

MAX_WORDS_WITHOUT_SUBJECT = 8
"""Of a query that has nothing else (« à la une »): every page has them, and each costs as much as all pages do."""


@dataclass(frozen=True, slots=True)
class Word:
    text: str  # as typed
    word: str  # folded
    stem: str
    exact: bool = False  # quoted: this form, accents and case aside; it must hold, and is never corrected
    joined: bool = False  # by a hyphen to the word before


@dataclass(frozen=True, slots=True)
class Phrase:
    words: tuple[Word, ...]  # two at least, in order; matched in their exact form, accents and case aside


@dataclass(frozen=True, slots=True)
class Either:
    """At least one of them."""

    options: tuple[Word | Phrase, ...]


Clause = Word | Phrase | Either


ANYTHING = Search()
"""What no operator narrows."""


@dataclass(frozen=True)
class Query:
    """A parsed query. Plain words may be missing from a result, though all are preferred; other clauses must hold."""

    clauses: tuple[Clause, ...] = ()
    without: tuple[Word | Phrase, ...] = ()
    inside: Search = ANYTHING  # the operators: parameters that must hold beside those of the search
    outside: tuple[Search, ...] = ()  # what each lets through is left out
    typed: tuple[Word, ...] = ()  # every plain word, those without subject too, in order
    homonyms: tuple[Homonym, ...] = ()  # operators that could mean several territories

    @cached_property
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
    r"(?:(?P<name>[^\W\d]{2,12}):(?=\S))?"
    r"(?:\"(?P<q1>[^\"]*)\"|«(?P<q2>[^»]*)»|“(?P<q3>[^”]*)”"
    # Thousands are one number, as in the text of pages: their space ends no word.
    r"|(?P<bare>(?:(?<!\d)\d{1,3}(?:[\u00a0\u2009\u202f ]\d{3})+(?!\d)|[^\s\"«»“”])+))"
)

_OPERATORS = {
    "site": "site",
    "type": "type",
    "enjeu": "enjeu",
    "service": "service",
    "nature": "kind",
    "kind": "kind",
    "langue": "lang",
    "lang": "lang",
    "commune": "commune",
    "ville": "commune",
    "epci": "epci",
    "departement": "departement",
    "region": "region",
    "depuis": "since",
    "apres": "since",
    "since": "since",
    "avant": "before",
    "jusque": "until",
    "until": "until",
    "date": "date",
    "annee": "date",
}
"""What each operator, folded, filters: a parameter, or one of its own."""

_PUNCTUATION = ".,;!?)"
"""Of the sentence around an operator: no part of its value."""

_TERRITORIES = {"commune", "epci", "departement", "region"}


def parse(text: str, max_chars: int = 1_000) -> Query:
    """The tree of what was typed.

    An operator with a value nobody could mean (type:zzz, commune:Nulpart, commune:99999) is words like any other.
    Raises QueryError when the text is longer than max_chars.
    """
    if len(text) > max_chars:
        raise QueryError("q", f"au plus {max_chars} caractères")
    clauses: list[Clause] = []
    without: list[Word | Phrase] = []
    inside, outside, homonyms = ANYTHING, list[Search](), list[Homonym]()
    either = False  # an OR stands before the next clause
    room, phrases = MAX_WORDS, MAX_PHRASES
    for match in _TOKEN.finditer(nfc(text)):
        quoted = match["q1"] or match["q2"] or match["q3"]
        bare = match["bare"]
        if bare in ("OR", "OU") and not match["minus"] and not match["name"]:
            either = bool(clauses)
            continue
        if match["name"] and (meant := _meant(match["name"], _value(match))):
            homonyms.extend(_homonyms(match))
            if match["minus"]:
                outside.append(replace(ANYTHING, **meant))
            else:
                inside, either = _narrowed(inside, meant), False
            continue
        piece = f"{match['name']} {quoted or bare or ''}" if match["name"] else (quoted or bare or "")
        exact = quoted is not None
        found = tuple(_words(piece, exact))[:room]
        room -= len(found)
        if not found:
            continue
        one: Word | Phrase = found[0] if len(found) == 1 else Phrase(found)
        if isinstance(one, Phrase) and (match["minus"] or either or exact):
            phrases -= 1 if any(word.word not in STOP_WORDS for word in found) else 4
            if phrases < 0:
                continue
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
    return Query(
        _with_subject(clauses),
        tuple(without),
        inside,
        tuple(dict.fromkeys(outside)),
        typed,
        tuple(dict.fromkeys(homonyms)),
    )


def _value(match: re.Match[str]) -> str:
    """What an operator is followed by, without the punctuation of the sentence."""
    return (match["q1"] or match["q2"] or match["q3"] or match["bare"] or "").rstrip(_PUNCTUATION)


def _words(piece: str, exact: bool) -> Iterator[Word]:
    end = -1
    for span in spans(piece):
        joined = end >= 0 and piece[end : span.start] == "-"
        yield Word(piece[span.start : span.end], span.word, span.stem, exact, joined)
        end = span.end


def _with_subject(clauses: list[Clause]) -> tuple[Clause, ...]:
    """The clauses less the words that carry no subject; the first of these when there would be nothing left."""
    kept = tuple(c for c in clauses if not (isinstance(c, Word) and not c.exact and c.word in STOP_WORDS))
    return kept or tuple(clauses[:MAX_WORDS_WITHOUT_SUBJECT])


def _meant(name: str, value: str) -> dict[str, Any]:
    """The parameters that an operator stands for; none when it is no operator of ours or its value has no meaning."""
    parameter = _OPERATORS.get(fold(name))
    if parameter is None:
        return {}
    if parameter == "before":
        day = read_date(value)
        return {"until": day - timedelta(days=1)} if day and day > date.min else {}
    if parameter == "date":
        first, last = read_date(value), read_date(value, end=True)
        return {"since": first, "until": last} if first and last else {}
    if parameter in _TERRITORIES:
        value = next((territory.code for territory in _territories(parameter, value)), "")
    elif parameter in ("type", "lang", "kind"):
        value = fold(value)
    elif parameter in ("enjeu", "service"):
        value = _named(parameter, value)
    try:
        read = from_params([(parameter, value)])
    except QueryError:
        return {}
    found = getattr(read, parameter)
    return {parameter: found} if found else {}


def _homonyms(match: re.Match[str]) -> Iterator[Homonym]:
    """The operator, when it could mean several territories."""
    kind = _OPERATORS[fold(match["name"])]
    if kind in _TERRITORIES:
        taken, *others = _territories(kind, _value(match))
        if others:
            yield Homonym(match[0].removeprefix("-").rstrip(_PUNCTUATION), taken, tuple(others))


def _territories(kind: str, value: str) -> tuple[Territory, ...]:
    """The territories meant by a code, by a postal code of one commune alone, or by a name: several may bear it, the
    most populated first."""
    places = geo.load()
    found = places.territory(kind, value.upper())
    if found is None and kind == "commune":
        served = places.by_postal_code(value)
        # A postal code before a retired INSEE code: 75001 is the centre of Paris, and was Alfortville's until 1968.
        found = served[0] if len(served) == 1 else places.commune(value.upper())
    return (found,) if found else places.named(value, kind)


def _named(parameter: str, value: str) -> str:
    """The slug of an enjeu, or the name of a service, from how it is called: « enjeu:"Démocratie locale" »; or ""."""
    return _names(parameter).get(tuple(words(value)), "")


@cache
def _names(parameter: str) -> dict[tuple[str, ...], str]:
    referentiel = load_referentiel()
    if parameter == "service":
        return {tuple(words(service.nom)): service.nom for service in referentiel.services}
    slugs = referentiel.enjeux
    return {tuple(words(name)): slug for slug in slugs for name in (slug, slugs[slug].nom)}


def _narrowed(search: Search, meant: Mapping[str, Any]) -> Search:
    """The search with parameters added. Dates narrow each other; of the rest, a repeatable one gathers."""
    added: dict[str, Any] = {}
    for name, value in meant.items():
        before = getattr(search, name)
        if isinstance(value, tuple):
            value = tuple(dict.fromkeys((*before, *value)))
        elif before and name in ("since", "until"):
            value = max(before, value) if name == "since" else min(before, value)
        added[name] = value
    return replace(search, **added)

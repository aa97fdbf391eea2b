"""Query tree and filters -> which pages answer, and roughly how well.

Operations on whole arrays, see index/postings.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from elunum.expressions import mark
from elunum.index.postings import K1, MANY, Chosen, Held, Listed, Postings, Rows, chosen, few, listed, term
from elunum.index.schema import bare_site, name_key
from elunum.model import Comparable, Search, Territory
from elunum.search.parse import ANYTHING, Clause, Either, Phrase, Query, Word, is_plain
from elunum.search.places import Place
from elunum.search.ranking import Ranking
from elunum.search.synonyms import Alternative, units
from elunum.text import STOP_WORDS

Filter = Callable[[Rows | None], Held]
"""Which of these pages, or of all, a filter lets through."""

Standing = Callable[[Clause], Rows]
"""The pages where a phrase, or a word in its exact form, stands: asked of the engine, which knows positions."""

Value = TypeVar("Value", bound=np.number)

MOST = 255.0
"""The impact of a page that says nothing else."""


class Gain(NamedTuple):
    """What pages gain, whatever their words."""

    label: str
    given: Callable[[Rows | None], NDArray[np.float32]]  # of these pages, or of all
    start: int = 0  # the words that name the territory, from `start` to `end` (excluded); none otherwise
    end: int = 0


class Way(NamedTuple):
    """One way to answer a word: the pages that do, and what the most of it is worth."""

    pages: Listed
    worth: float


class Sought:
    """What the words of a query look for: phrases and quoted words must hold; of the plain words, some or all.

    Words are looked for wherever a page says them, those of its title counting more: one list a word tells which pages
    answer, and roughly how well.
    """

    def __init__(
        self,
        postings: Postings,
        query: Query,
        others: Sequence[Alternative],
        named: Sequence[Place],
        ranking: Ranking,
        standing: Standing,
    ) -> None:
        """others: other ways to say some plain words; one stands for each word it covers. named: territories that plain
        words name; a page of the territory needs not repeat its name."""
        self._postings, self._query, self._others, self._named = postings, query, others, named
        self._ranking, self._standing = ranking, standing
        self._lists: dict[str, Listed] = {}

    def answering(self, level: int) -> Chosen:
        """The pages that answer so many of the plain words, and everything else that must hold."""
        ways = sorted(self._ways, key=_size)
        if ways and level >= len(ways):
            # From the rarest word on: each next one is looked up among what is left.
            if _size(ways[0]) * MANY < self._postings.size:
                found = few(_union([way.pages for way in ways[0]]))
            else:
                found = chosen(_some(ways[0], None))
            for place in ways[1:]:
                found = found.narrowed(_some(place, found.few))
        elif ways:
            said = np.zeros(self._postings.size, np.uint8)
            for place in ways:
                if len(place) == 1 and (some := place[0].pages.alone) is not None:
                    said[some[0]] += 1
                else:
                    said += _some(place, None)
            found = chosen(said >= max(level, 1))
        else:
            found = chosen(np.ones(self._postings.size, bool))
        for pages in self._required:
            found = found.narrowed(pages.at(found.few) > 0)
        for pages in self._excluded:
            found = found.narrowed(pages.at(found.few) == 0)
        return found

    def scores(self, pages: Chosen, gains: Sequence[Gain]) -> NDArray[np.number]:
        """Roughly how well these pages answer: what each word is worth where it is said best, and what is gained.

        Of all pages when they are many, less than any of them where they are not chosen. In a unit of their own unless
        something is gained: only their order counts.
        """
        # Whole numbers of 16 bits that cannot overflow, roundings included: a third of the time of real ones.
        worths = [max(way.worth for way in place) for place in self._ways] + [way.worth for way in self._together]
        unit = sum(worths) / (255 - len(worths)) or 1.0
        picked = pages.few
        scores = np.full(self._postings.size if picked is None else len(picked), 1, np.uint16)
        aside = np.empty_like(scores)
        for place in self._ways:
            if len(place) == 1:
                _add(scores, place[0], picked, unit, aside)
            else:
                best = _worth(place[0], picked, unit, np.empty_like(scores))
                for way in place[1:]:
                    np.maximum(best, _worth(way, picked, unit, aside), out=best)
                np.add(scores, best, out=scores)
        for way in self._together:
            _add(scores, way, picked, unit, aside)
        if not gains:
            return scores if pages.held is None else np.multiply(scores, pages.held, out=aside)
        whole = scores * np.float32(unit / MOST)
        for gain in gains:
            whole += gain.given(picked)
        return whole if pages.held is None else np.where(pages.held, whole, np.float32(-1))

    @cached_property
    def _ways(self) -> list[list[Way]]:
        """The ways to answer each plain word."""
        found = []
        for place, word in enumerate(self._query.words):
            ways = [self._way(word.stem)]
            for other in self._others:
                if other.start <= place < other.end:
                    share = 1.0 if other.same else self._ranking.synonym
                    ways.append(self._way(_said(other.clause), share / (other.end - other.start)))
            for named in self._named:
                if named.start <= place < named.end:
                    for territory in named.territories:
                        pages = self._postings.find(term("place", place_key(territory)))
                        ways.append(Way(pages, 0.0))
            found.append([way for way in ways if way.pages.count] or ways[:1])
        return found

    @cached_property
    def _together(self) -> list[Way]:
        """What counts beside each word: expressions of which all words stand together, and the words of phrases."""
        words = self._query.words
        found = [self._way(mark([w.stem for w in words[start:end]])) for start, end in units(words, self._others)]
        for clause in self._query.clauses:
            if not is_plain(clause):
                found += [self._way(word.stem) for word in subject_words(clause)]
        return found

    @cached_property
    def _required(self) -> list[Listed]:
        return [self._listed(clause) for clause in self._query.clauses if not is_plain(clause)]

    @cached_property
    def _excluded(self) -> list[Listed]:
        return [self._listed(clause) for clause in self._query.without]

    def _listed(self, clause: Clause) -> Listed:
        """The pages of a clause that must hold."""
        if isinstance(clause, Word) and not clause.exact:
            return self._find(clause.stem)
        if isinstance(clause, Either):
            return listed(self._postings.size, _union([self._listed(option) for option in clause.options]))
        return listed(self._postings.size, self._standing(clause))

    def _find(self, said: str) -> Listed:
        if (found := self._lists.get(said)) is None:
            found = self._lists[said] = self._postings.find(said)
        return found

    def _way(self, said: str, share: float = 1.0) -> Way:
        pages = self._find(said)
        return Way(pages, share * (K1 + 1) * _idf(pages.count, self._postings.size))


def _idf(held: int, size: int) -> float:
    return math.log1p((size - held + 0.5) / (held + 0.5))


def _size(ways: Sequence[Way]) -> int:
    return sum(way.pages.count for way in ways)


def _union(lists: Sequence[Listed]) -> Rows:
    """The pages of any of these lists."""
    if len(lists) == 1:
        return lists[0].rows
    if not lists:
        return np.empty(0, np.intp)
    some = lists[0].dense > 0
    for one in lists[1:]:
        some |= one.dense > 0
    return np.flatnonzero(some)


def _some(ways: Sequence[Way], rows: Rows | None) -> Held:
    """Which of these pages, or of all, answer in one of these ways."""
    held: Held | None = None
    for way in ways:
        found = way.pages.at(rows) > 0
        held = found if held is None else held | found
    assert held is not None
    return held


_Worth = NDArray[np.uint16]


def _worth(way: Way, rows: Rows | None, unit: float, into: _Worth) -> _Worth:
    """What the way is worth in each of these pages, or in all, in 255ths of a unit: the impact in whole units."""
    return np.multiply(way.pages.at(rows), np.uint16(round(way.worth / unit)), out=into)


def _add(scores: _Worth, way: Way, rows: Rows | None, unit: float, aside: _Worth) -> None:
    """Add what the way is worth: where it stands alone when few pages have it."""
    if rows is None and (some := way.pages.alone) is not None:
        at, impacts = some
        scores[at] += np.multiply(impacts, np.uint16(round(way.worth / unit)), out=aside[: len(at)])
    else:
        np.add(scores, _worth(way, rows, unit, aside), out=scores)


def _said(clause: Word | Phrase) -> str:
    """The term of what is said: pages that hold an expression of several words are marked with it."""
    return clause.stem if isinstance(clause, Word) else mark([word.stem for word in clause.words])


def subject_words(clause: Clause) -> Iterator[Word]:
    """The words of a clause, those without subject left out of phrases."""
    if isinstance(clause, Word):
        yield clause
    elif isinstance(clause, Phrase):
        yield from (word for word in clause.words if word.word not in STOP_WORDS)
    else:
        for option in clause.options:
            yield from subject_words(option)


# --- gains -------------------------------------------------------------------------------------------------------


def near(
    postings: Postings, named: Sequence[Place], around: Sequence[Territory], home: bool, ranking: Ranking
) -> Iterator[Gain]:
    """What the territories named in a query add: their pages first, then those of the territories that contain them.

    around: the containing territories, smallest first. home: the query asks for a territory's own site.
    """

    for place in named:
        for territory in place.territories:
            key, label = place_key(territory), f"place: {territory.name}"
            yield from _constant(postings, label, key, ranking.local, place.start, place.end)
    for rank, territory in enumerate(around, start=1):
        yield from _constant(postings, f"place: {territory.name}", place_key(territory), ranking.local / 2**rank)
    for place in named if home else ():
        for rank, territory in enumerate(place.territories, start=1):
            key = f"home:{place_key(territory)}"
            yield from _constant(postings, f"home page: {territory.name}", key, ranking.home / rank)


def named_site(postings: Postings, query: Query, ranking: Ranking) -> Iterator[Gain]:
    """The home page of a source whose whole name was typed, and nothing else."""
    words = query.words
    if words and len(words) == len(query.clauses):
        key = name_key(word.stem for word in words)
        yield from _constant(postings, "site: " + " ".join(word.text for word in words), key, ranking.home)


def _constant(postings: Postings, label: str, place: str, gain: float, start: int = 0, end: int = 0) -> Iterator[Gain]:
    """The same for each page of a place; nothing when it has none."""
    if (pages := postings.find(term("place", place))).count:
        yield Gain(label, lambda rows: (pages.at(rows) > 0) * np.float32(gain), start, end)


def closeness(postings: Postings, peers: Sequence[Comparable], ranking: Ranking) -> Iterator[Gain]:
    """What being comparable adds to a score."""
    if peers:
        worth = np.zeros(len(postings.names.publishers), np.float32)
        for peer in peers:
            worth[postings.number_of(place_key(peer.territory))] = ranking.closeness * peer.closeness
        worth[0] = 0
        yield Gain("comparable", lambda rows: worth[_of(postings.publisher, rows)])


def place_key(territory: Territory) -> str:
    """The name of a territory in the index: "commune:68278"."""
    return f"{territory.kind}:{territory.code}"


# --- filters -----------------------------------------------------------------------------------------------------


def filters(postings: Postings, search: Search, peers: Sequence[Comparable] = ()) -> dict[str, Filter]:
    """One filter for each parameter that filters, by its name. All of them must hold; they do not score."""
    found: dict[str, Filter] = {}

    def having(field: str, values: Sequence[str], every: bool = False) -> Filter:
        lists = [postings.find(term(field, value)) for value in values]

        def held(rows: Rows | None) -> Held:
            kept = lists[0].at(rows) > 0
            for one in lists[1:]:
                kept = (np.logical_and if every else np.logical_or)(kept, one.at(rows) > 0)
            return kept

        return held

    if search.enjeu:
        found["enjeu"] = having("facet", [f"enjeu:{slug}" for slug in search.enjeu], every=search.combine != "ou")
    for name in ("service", "lang"):
        if value := getattr(search, name):
            found[name] = having("facet", [f"{name}:{value}"])
    for name in ("commune", "epci", "departement", "region"):
        if value := getattr(search, name):
            found[name] = having("place", [f"{name}:{value}"])
    if search.publisher:
        found["publisher"] = _published_by(postings, [search.publisher])
    if search.label is not None:
        found["label"] = having("facet", [f"label:{search.label}"])
    for name in ("kind", "type"):
        if values := getattr(search, name):
            found[name] = having("facet", [f"{name}:{value}" for value in values])
    if search.site:
        found["site"] = having("site", [bare_site(search.site)])
    if search.population_min is not None or search.population_max is not None:
        found["population"] = _between(postings.population, search.population_min or 0, search.population_max)
    if search.since or search.until:
        low = search.since.toordinal() if search.since else 1
        found["date"] = _between(postings.day, low, search.until.toordinal() if search.until else None)
    if search.like:
        found["like"] = _published_by(postings, [place_key(peer.territory) for peer in peers])
    return found


def _published_by(postings: Postings, publishers: Sequence[str]) -> Filter:
    among = np.zeros(len(postings.names.publishers), bool)
    among[[postings.number_of(publisher) for publisher in publishers]] = True
    among[0] = False  # of none that has pages
    return lambda rows: among[_of(postings.publisher, rows)]


def typed(postings: Postings, query: Query) -> dict[str, Filter]:
    """What the operators among the words let through, as one filter more; none without operators."""
    if query.inside is ANYTHING and not query.outside:
        return {}
    inside = list(filters(postings, query.inside).values())
    outside = [list(filters(postings, one).values()) for one in query.outside]
    if not inside and not outside:
        return {}

    def held(rows: Rows | None) -> Held:
        kept = _passing(inside, rows, postings.size)
        for one in outside:
            kept = kept & ~_passing(one, rows, postings.size)
        return kept

    return {"typed": held}


def _passing(filters: Sequence[Filter], rows: Rows | None, size: int) -> Held:
    """Which of these pages, or of all, pass all the filters."""
    kept = np.ones(size if rows is None else len(rows), bool)
    for one in filters:
        kept &= one(rows)
    return kept


def _between(column: NDArray[np.integer], low: int, high: int | None) -> Filter:
    def held(rows: Rows | None) -> Held:
        values = _of(column, rows)
        kept: Held = values >= low
        return kept if high is None else kept & (values <= high)

    return held


def _of(column: NDArray[np.integer], rows: Rows | None) -> NDArray[np.integer]:
    """The values of these pages, or of all."""
    return column if rows is None else column[rows]


# --- order and counts --------------------------------------------------------------------------------------------


def best(pages: Chosen, values: NDArray[Value], start: int, end: int) -> tuple[Rows, NDArray[Value]]:
    """From the place `start` to `end` (excluded) of these pages in the order of values, highest first, with their
    values. values: of `few`, or of all and lowest where they are not chosen."""
    places = first(values, min(end, len(pages)))[start:]
    return (places if pages.few is None else pages.few[places]), values[places]


def first(values: NDArray[np.number], most: int) -> NDArray[np.intp]:
    """Where the `most` highest of these values stand, highest first; equal ones in their own order."""
    if not most:
        return np.empty(0, np.intp)
    places = np.arange(len(values)) if most >= len(values) else _high(values, most)
    order = np.argsort(-values[places].astype(np.float64), kind="stable")
    return places[order][:most]


LOOKED_AT = 4_096
"""Of many values, how many are looked at first."""


def _high(values: NDArray[np.number], most: int) -> NDArray[np.intp]:
    """Where the `most` highest of more values stand, and those equal to the last of them."""
    if (step := len(values) // max(LOOKED_AT, most)) > 1:
        # What is reached by twice as many of one in so many is reached by enough of all, most often.
        some = values[::step]
        wanted = 2 * most // step + 16
        places = np.flatnonzero(values >= np.partition(some, len(some) - wanted)[len(some) - wanted])
        if most < len(places) < len(values) // 2:
            return places[_high(values[places], most)]
    least = np.partition(values, len(values) - most)[len(values) - most]
    return np.flatnonzero(values >= least)

"""Which pages have what, as arrays: an inverted index of words and filters, a column for each date, number and facet.

Pages are numbered by rows. Finding, filtering, counting and the rough order of results are a few operations on whole
arrays, so that every count is exact and costs less than a page of text. Files of a version, never changed once written:

    postings.terms    hashes of the terms, sorted
    postings.lists    for each, in the same order, where its list is and how long
    postings.rows     the pages of each term, ascending
    postings.impacts  for each, how much the page says it: 1 to 255
    postings.dense    the terms that very many pages have, one byte a page instead
    postings.pages    one record a page: its key, dates, population, weight, publisher and source
    postings.values   the facet values of each page, SLOTS numbers a page
    postings.more     page and number of the values that have no slot left
    postings.addresses  where the engine keeps each page: segment and document
    postings.names    what the numbers of values, publishers and sources stand for (JSON)

A version is written from runs, sorted lists of some pages each: the last version is the first of them, without the
pages that are gone. Lists are never in memory whole (external merge sort); columns are, 60 bytes a page.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from elunum.index.forward import mapped
from elunum.urls import domains

Rows = NDArray[np.intp]
"""Numbers of pages, ascending, as arrays are looked up by; on disk they take half of that."""

Held = NDArray[np.bool_]
"""Whether each of some pages, or of all, has something."""

_Kept = NDArray[np.uint32]
"""Numbers of pages, as they are on disk."""

K1, B = 1.2, 0.75
"""Of BM25 (Robertson and Zaragoza 2009)."""

MEAN_WORDS = 400
"""Length of a page that is neither short nor long, in words. Fixed, so that a page does not change with the others."""

SLOT_OF = {"kind": 0, "type": 1, "lang": 2, "year": 3, "population": 4, "departement": 5, "region": 6}
"""Facets that have one value for nearly every page, each in a slot of its own."""

SLOTS = 14
"""Facet values of nearly every page: the slots that follow are for the others, tags first of all."""

DENSE = 10
"""A term that one page in so many has, or more, is kept as one byte a page."""

RUN_PAGES = 20_000
"""Pages sorted in memory at a time."""

IN_TITLE = 1 << 20
"""What the title says counts as said so many times more: a page says nothing as often, so both are known again."""

OFTEN = 2 * IN_TITLE - 1
"""A term that is no word is as good as said so many times: its impact is the same on every page."""

TITLED = 0.5
"""What a word of the title counts more than one of the text said without end. Measured: bench/relevance."""

SLAB = 4_000_000
"""Entries of lists merged in memory at a time."""

_LIST = np.dtype([("start", "<u8"), ("count", "<u4"), ("dense", "<u4")])
_LISTED = Struct("<QII")
"""The same, as one is read: in a tenth of the time."""

_PAGE = np.dtype(
    [
        ("key", "<u8"),
        ("weight", "<f4"),
        ("day", "<u4"),
        ("news", "<u4"),
        ("population", "<i4"),
        ("publisher", "<u4"),
        ("source", "<u4"),
    ]
)
_PACKED = Struct("<QfIIiII")
"""The same, as it is written one by one."""

_MORE = np.dtype([("row", "<u4"), ("value", "<u2")])

_ADDRESS = np.dtype([("segment", "<u4"), ("document", "<u4")])

_TYPES = {
    "terms": np.dtype("<u8"),
    "lists": _LIST,
    "rows": np.dtype("<u4"),
    "impacts": np.dtype("u1"),
    "dense": np.dtype("u1"),
    "pages": _PAGE,
    "values": np.dtype("<u2"),
    "more": _MORE,
    "addresses": _ADDRESS,
}


class Names(msgspec.Struct):
    """What numbers stand for: 0 is nothing."""

    values: list[str] = msgspec.field(default_factory=lambda: [""])  # "enjeu:culture"
    publishers: list[str] = msgspec.field(default_factory=lambda: [""])  # "commune:68278", or the key of a source
    sources: list[str] = msgspec.field(default_factory=lambda: [""])  # key, tab, name


@dataclass(frozen=True, slots=True)
class Page:
    """What is kept of a page beside its words."""

    key: int
    weight: float  # what its scores are multiplied by
    day: int  # proleptic ordinal; 0 without a date
    news: int  # the same, or else the day it was first seen
    population: int  # -1 unknown
    publisher: str
    source: str
    facets: Sequence[str]  # "name:value"
    terms: Sequence[str]  # what it is found by beside its words: see `term`


def term(field_: str, value: str) -> str:
    """A term of a field: "place:commune:68278". Words have none of these names for a field."""
    return f"{field_}\t{value}"


def _hash(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


def impact(times: NDArray[np.integer], length: NDArray[np.integer]) -> NDArray[np.uint8]:
    """How much pages of that many words say what they say so many times: BM25's saturation, and more for what stands in
    the title; 1 to 255."""
    often = times % IN_TITLE
    said = often / (often + K1 * (1 - B + B * length / MEAN_WORDS)) + TITLED * (times >= IN_TITLE)
    return np.maximum(1, np.round(255 / (1 + TITLED) * said)).astype(np.uint8)


# --- reading -----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Chosen:
    """Some of the pages of a version: by their rows when they are few, else by a byte for each page there is.

    What is looked up for few pages, `at(few)`, is asked of all when `few` is None: where very many pages are chosen,
    reading all one after the other costs less than picking.
    """

    count: int
    few: Rows | None
    held: Held | None = None  # of all pages, when they are many
    _rows: Rows | None = None

    @property
    def rows(self) -> Rows:
        """Their rows, ascending."""
        if self.few is not None:
            return self.few
        if self._rows is None:
            assert self.held is not None
            self._rows = np.flatnonzero(self.held)
        return self._rows

    def __len__(self) -> int:
        return self.count

    def narrowed(self, *passing: Held) -> Chosen:
        """Those that pass all of these, each said of `few` or of all."""
        if not passing:
            return self
        kept = passing[0]
        for one in passing[1:]:
            kept = kept & one
        if self.few is not None:
            return few(self.few[kept])
        return chosen(kept if self.held is None else kept & self.held)


MANY = 8
"""One page in so many, or more, are many."""


def few(rows: Rows) -> Chosen:
    """Pages by their rows, ascending."""
    return Chosen(len(rows), rows)


def chosen(held: Held) -> Chosen:
    """The pages that have something, of all."""
    count = int(np.count_nonzero(held))
    return few(np.flatnonzero(held)) if count * MANY < len(held) else Chosen(count, None, held)


@dataclass(slots=True)
class Listed:
    """The pages of a term, among `size` pages."""

    size: int
    count: int
    kept: _Kept | None = None  # either its pages, with impacts
    impacts: NDArray[np.uint8] | None = None
    dense_: NDArray[np.uint8] | None = None  # or one byte a page, 0 where the page has not the term

    @property
    def dense(self) -> NDArray[np.uint8]:
        """One byte a page: its impact, or 0."""
        if self.dense_ is None:
            self.dense_ = np.zeros(self.size, np.uint8)
            if self.kept is not None and self.impacts is not None:
                self.dense_[self.kept.astype(np.intp)] = self.impacts  # half the time of an index of 32 bits
        return self.dense_

    @property
    def alone(self) -> tuple[Rows, NDArray[np.uint8]] | None:
        """Its pages with their impacts; None where they are very many, and a byte a page is what there is."""
        return None if self.kept is None or self.impacts is None else (self.kept.astype(np.intp), self.impacts)

    @property
    def rows(self) -> Rows:
        """The pages, ascending."""
        return np.flatnonzero(self.dense > 0) if self.kept is None else self.kept.astype(np.intp)

    def at(self, rows: Rows | None) -> NDArray[np.uint8]:
        """The impact in each of these pages (None: in all), 0 where they have not the term."""
        if rows is None:
            return self.dense
        if self.dense_ is None and self.kept is not None and len(rows) * MUCH_LONGER < len(self.kept):
            wanted = rows.astype(np.uint32)
            places = np.searchsorted(self.kept, wanted)
            places[places == len(self.kept)] = 0
            assert self.impacts is not None
            return np.where(self.kept[places] == wanted, self.impacts[places], np.uint8(0))
        return self.dense[rows]


MUCH_LONGER = 16
"""Times a list is longer than what is looked up in it, from which searching costs less than laying the list out."""


def listed(size: int, rows: Rows) -> Listed:
    """A list of pages found elsewhere."""
    return Listed(size, len(rows), rows.astype(np.uint32), np.full(len(rows), 255, np.uint8))


class Postings:
    """The files of a version, open. Raises OSError or ValueError when one is missing or cut."""

    def __init__(self, folder: Path) -> None:
        files = {name: mapped(folder / f"postings.{name}", dtype) for name, dtype in _TYPES.items()}
        self.terms: NDArray[np.uint64] = files["terms"]
        self.lists = files["lists"]
        self._lists = self.lists.view(np.uint8).data
        self.all_rows: NDArray[np.uint32] = files["rows"]
        self.all_impacts: NDArray[np.uint8] = files["impacts"]
        self.all_dense: NDArray[np.uint8] = files["dense"]
        self.pages = files["pages"]
        self.values: NDArray[np.uint16] = files["values"].reshape(-1, SLOTS)
        self.more, self.addresses = files["more"], files["addresses"]
        try:
            self.names = msgspec.json.decode((folder / "postings.names").read_bytes(), type=Names)
        except msgspec.MsgspecError:
            raise ValueError(f"{folder / 'postings.names'} is damaged") from None
        if len(self.terms) != len(self.lists) or not (len(self.values) == len(self.addresses) == len(self.pages)):
            raise ValueError(f"the files {folder / 'postings.*'} are not of one version")
        self.size = len(self.pages)
        dense = self.lists["dense"] > 0
        listed_ = int(self.lists["count"][~dense].sum(dtype=np.int64))
        held = (len(self.all_rows), len(self.all_impacts), len(self.all_dense))
        if held != (listed_, listed_, int(dense.sum()) * self.size):
            raise ValueError(f"one of the files {folder / 'postings.*'} is cut")
        # Columns of their own: operations on all the pages read one after the other.
        self.key: NDArray[np.uint64] = np.ascontiguousarray(self.pages["key"])
        self.day = np.ascontiguousarray(self.pages["day"])
        self.news = np.ascontiguousarray(self.pages["news"])
        self.population = np.ascontiguousarray(self.pages["population"])
        self.weight = np.ascontiguousarray(self.pages["weight"])
        self.publisher = np.ascontiguousarray(self.pages["publisher"])
        self.source = np.ascontiguousarray(self.pages["source"])
        self.everything: Rows = np.arange(self.size)
        self._by_key = np.argsort(self.key)
        self._of: dict[str, Held] = {}
        drawn = self.key.astype(np.uint16)  # keys are hashes: any bits of them are chance
        self._drawn = drawn
        self._draws = [np.flatnonzero(drawn < 1 << (16 - halvings)) for halvings in range(1, 17)]
        self._publishers = {name: number for number, name in enumerate(self.names.publishers)}

    def find(self, name: str) -> Listed:
        """The pages of a term."""
        hashed = np.uint64(_hash(name))
        place = int(self.terms.searchsorted(hashed))
        if place == len(self.terms) or self.terms[place] != hashed:
            return Listed(self.size, 0, self.all_rows[:0], self.all_impacts[:0])
        return self.list_at(place)

    def list_at(self, place: int) -> Listed:
        """The pages of the term at this place among all."""
        start, count, dense = _LISTED.unpack_from(self._lists, place * _LISTED.size)
        if dense:
            return Listed(self.size, count, dense_=self.all_dense[start : start + self.size])
        return Listed(self.size, count, self.all_rows[start : start + count], self.all_impacts[start : start + count])

    def by_keys(self, keys: Sequence[int]) -> Rows:
        """The rows of these keys, each given once, ascending; keys that are not here are left out."""
        if not self.size:
            return self.everything
        wanted = np.array(keys, np.uint64)
        places = np.searchsorted(self.key, wanted, sorter=self._by_key)
        places[places == self.size] = 0
        rows = self._by_key[places]
        return np.sort(rows[self.key[rows] == wanted])

    def published(self, publisher: str) -> Rows:
        """The pages of a publisher."""
        number = self._publishers.get(publisher)
        return np.flatnonzero(self.publisher == number) if number else self.everything[:0]

    def number_of(self, publisher: str) -> int:
        """The number of a publisher; 0 when it has no page here."""
        return self._publishers.get(publisher, 0)

    def sample(self, pages: Chosen, most: int) -> Rows:
        """All of these pages or, of more than `most` (0: any number), half as many, a quarter, an eighth… drawn once
        for all by their keys: never by where they stand, for neighbours are alike."""
        if not most or len(pages) <= most:
            return pages.rows
        halvings = min(math.ceil(math.log2(len(pages) / most)), 16)
        if pages.few is not None:
            some = pages.few[self._drawn[pages.few] < 1 << (16 - halvings)]
        else:
            assert pages.held is not None
            drawn = self._draws[halvings - 1]
            some = drawn[pages.held[drawn]]
        return some if len(some) else pages.rows[:1]

    def counts(self, rows: Rows, name: str = "") -> NDArray[np.intp]:
        """How many of these pages have each value, by its number, [values]; of one facet or of all."""
        size = len(self.names.values)
        if (slot := SLOT_OF.get(name)) is not None:
            counts = np.bincount(self.values[rows, slot], minlength=size)
        else:
            values = self.values.take(rows, axis=0)  # a quarter of the time of an index
            counts = np.bincount(values[:, len(SLOT_OF) if name else 0 :].ravel(), minlength=size)
        if len(self.more):
            inside = np.zeros(self.size, bool)
            inside[rows] = True
            counts += np.bincount(self.more["value"][inside[self.more["row"]]], minlength=size)
        if name:
            counts = np.where(self._values_of(name), counts, 0)
        counts[0] = 0
        return counts

    def facets(self, rows: Rows, name: str = "") -> dict[str, int]:
        """The same by name, "enjeu:culture", those that are not 0."""
        return _named(self.counts(rows, name), self.names.values)

    def _values_of(self, name: str) -> Held:
        """Which values are of a facet."""
        if (found := self._of.get(name)) is None:
            found = self._of[name] = np.array([value.startswith(f"{name}:") for value in self.names.values])
        return found

    def sources(self, rows: Rows, times: float = 1.0, most: int | None = None) -> dict[str, int]:
        """How many of these pages each source has, "key, tab, name".

        most: only so many, those that have the most, each with what the filter `site` finds under its key: the pages of
        sources under its domain too.
        """
        counts = np.bincount(self.source[rows], minlength=len(self.names.sources))
        if most is not None:
            above, below = self._within
            np.add.at(counts, above, counts[below])
        return _named(counts, self.names.sources, times, most)

    @cached_property
    def _within(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The numbers of sources whose host has others under it, each with the number of one of these."""
        keys = [name.partition("\t")[0] for name in self.names.sources]
        numbers: dict[str, list[int]] = defaultdict(list)
        for number, key in enumerate(keys):
            numbers[key].append(number)
        pairs = [
            (above, below)
            for below, key in enumerate(keys)
            for domain in domains(key.partition("/")[0])
            for above in numbers.get(domain, ())
            if above != below
        ]
        pairs_ = np.array(pairs, np.intp).reshape(-1, 2)
        return pairs_[:, 0], pairs_[:, 1]

    def publishers(self, rows: Rows) -> dict[str, int]:
        """How many of these pages each publisher has."""
        return _named(np.bincount(self.publisher[rows], minlength=1), self.names.publishers)


def _named(
    counts: NDArray[np.integer], names: Sequence[str], times: float = 1.0, most: int | None = None
) -> dict[str, int]:
    """Counts by name, those that are not 0; the `most` highest. Multiplied, they are estimates, and rounded."""
    counts[0] = 0
    found = np.flatnonzero(counts > 0)  # of bytes: a quarter of the time
    if most is not None and len(found) > most:
        found = np.sort(found[np.argpartition(-counts[found], most)[:most]])
    return dict(zip([names[number] for number in found.tolist()], rounded(counts[found], times).tolist(), strict=True))


def rounded(counts: NDArray[np.integer], times: float) -> NDArray[np.integer]:
    """Counts of a sample, each page of which stands for so many, to two significant digits: no more is known of them.
    What was counted whole stays as it is."""
    if times == 1:
        return counts
    numbers = counts * times
    scale = 10.0 ** np.maximum(np.floor(np.log10(np.maximum(numbers, 1))) - 1, 0)
    kept: NDArray[np.int64] = np.rint(np.rint(numbers / scale) * scale).astype(np.int64)
    return kept


# --- writing -----------------------------------------------------------------------------------------------------


_Entries = tuple[NDArray[np.uint64], _Kept, NDArray[np.uint8]]
"""Term, page and impact of each entry of some lists."""


def write_addresses(folder: Path, found: Iterable[tuple[int, int, int]]) -> None:
    """Write where the engine keeps each page: the key, segment and document of all, in any order.

    Raises ValueError when they are not those of the pages.
    """
    keys: NDArray[np.uint64] = mapped(folder / "postings.pages", _PAGE)["key"]
    places = np.fromiter(found, np.dtype([("key", "<u8"), *_ADDRESS.descr]))
    places.sort(order="key")
    order = np.argsort(keys)
    if not np.array_equal(places["key"], keys[order]):
        raise ValueError(f"{folder} does not hold the same pages in the engine's files and in ours")
    addresses = np.zeros(len(keys), _ADDRESS)
    for name in _ADDRESS.names or ():
        addresses[name][order] = places[name]
    addresses.tofile(folder / "postings.addresses")


@dataclass
class _Run:
    """Sorted lists of some pages: terms, the end of each list, and rows and impacts one list after the other."""

    terms: NDArray[np.uint64]
    ends: NDArray[np.integer]
    rows: _Kept
    impacts: NDArray[np.uint8]

    def between(self, first: int, after: int) -> _Entries:
        """The entries of the terms from `first` to `after` (excluded): term, row and impact of each."""
        begin = int(self.ends[first - 1]) if first else 0
        end = int(self.ends[after - 1]) if after else 0
        sizes = np.diff(self.ends[first:after], prepend=begin)
        return np.repeat(self.terms[first:after], sizes), self.rows[begin:end], self.impacts[begin:end]


@dataclass
class _Numbers:
    """Numbers given to names as they come."""

    names: list[str]
    numbers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.numbers = {name: number for number, name in enumerate(self.names)}

    def __getitem__(self, name: str) -> int:
        if (number := self.numbers.get(name)) is None:
            number = self.numbers[name] = len(self.names)
            self.names.append(name)
        return number


class PostingsWriter:
    """Writes the files of a version: those of the last one that stay, then pages one by one.

    last: the version to start from. Its pages that are gone are told at the end, and so come first all the same: what
    is added is numbered from 0 and moved up then.
    """

    def __init__(self, folder: Path, last: Postings | None = None) -> None:
        self._folder, self._last = folder, last
        names = last.names if last else Names()
        self._values, self._publishers, self._sources = map(
            _Numbers, (list(names.values), list(names.publishers), list(names.sources))
        )
        self._pages = bytearray()  # of _PAGE
        self._slots = array("H")
        self._more: list[tuple[int, int]] = []
        self._aside = Path(tempfile.mkdtemp(prefix=".runs-", dir=folder))
        self._files = 0
        self._runs: list[_Run] = []
        self._begin()

    def _begin(self) -> None:
        self._terms: dict[str, int] = {}
        self._of_terms, self._times, self._sizes, self._lengths = array("I"), array("I"), array("I"), array("I")

    def add(self, page: Page, words: Iterable[str], titled: Iterable[str] = ()) -> None:
        """Add a page, which says these words, each as often as it is given, and some in its title."""
        row = len(self._pages) // _PAGE.itemsize
        counted = Counter(words)
        length = sum(counted.values())
        counted.update(dict.fromkeys(titled, IN_TITLE))
        counted.update(dict.fromkeys(page.terms, OFTEN))
        terms = self._terms
        self._of_terms.extend([terms.setdefault(name, len(terms)) for name in counted])
        self._times.extend(counted.values())
        self._sizes.append(len(counted))
        self._lengths.append(length)
        slots, free = [0] * SLOTS, len(SLOT_OF)
        for value in page.facets:
            slot = SLOT_OF.get(value.partition(":")[0], free)
            if slot >= SLOTS or slots[slot]:
                self._more.append((row, self._values[value]))
            else:
                slots[slot] = self._values[value]
                free += slot == free
        self._slots.extend(slots)
        self._pages += _PACKED.pack(
            page.key,
            page.weight,
            page.day,
            page.news,
            page.population,
            self._publishers[page.publisher],
            self._sources[page.source],
        )
        if len(self._sizes) == RUN_PAGES:
            self._spill()

    def _spill(self) -> None:
        """Sort what was added since the last time, aside."""
        hashes = np.fromiter(map(_hash, self._terms), np.uint64, len(self._terms))
        ranks = np.empty(len(hashes), np.uint32)
        order = np.argsort(hashes)
        ranks[order] = np.arange(len(hashes), dtype=np.uint32)
        terms = ranks[np.array(self._of_terms, np.uint32)]
        sizes = np.array(self._sizes, np.int64)
        count = len(self._pages) // _PAGE.itemsize
        rows = np.repeat(np.arange(count - len(sizes), count, dtype=np.uint32), sizes)
        impacts = impact(np.array(self._times, np.int64), np.repeat(np.array(self._lengths, np.int64), sizes))
        by_term = np.argsort(terms, kind="stable")
        ends = np.cumsum(np.bincount(terms, minlength=len(hashes)))
        kept = self._kept
        self._runs.append(_Run(kept(hashes[order]), kept(ends), kept(rows[by_term]), kept(impacts[by_term])))
        self._begin()

    def _kept(self, made: NDArray[Any]) -> NDArray[Any]:
        """The same array, on disk."""
        self._files += 1
        path = self._aside / f"{self._files}.npy"
        np.save(path, made)
        return np.asarray(np.load(path, mmap_mode="r"))

    def close(self) -> None:
        """Let go of what was kept aside, finished or not."""
        shutil.rmtree(self._aside, ignore_errors=True)

    def finish(self, gone: Iterable[int] = ()) -> None:
        """Take over the pages of the last version but those `gone` (their keys) or added since; write the files."""
        if len(self._sizes):
            self._spill()
        pages = np.frombuffer(bytes(self._pages), _PAGE)
        values = np.array(self._slots, np.uint16).reshape(-1, SLOTS)
        more = np.array(self._more, _MORE)
        stays, stay = 0, None
        if self._last is not None:
            stay = ~np.isin(self._last.key, np.concatenate([pages["key"], np.fromiter(gone, np.uint64)]))
            stays = int(stay.sum())
            moved = (np.cumsum(stay) - 1).astype(np.uint32)
            kept = self._last.more[stay[self._last.more["row"]]]
            kept["row"] = moved[kept["row"]]
            more["row"] += stays
            pages = np.concatenate([self._last.pages[stay], pages])
            values = np.concatenate([self._last.values[stay], values])
            more = np.concatenate([kept, more])
        for name, made in (("pages", pages), ("values", values), ("more", more)):
            made.tofile(self._folder / f"postings.{name}")
        names = Names(self._values.names, self._publishers.names, self._sources.names)
        (self._folder / "postings.names").write_bytes(msgspec.json.encode(names))
        with _Lists(self._folder, len(pages)) as lists:
            for entries in _merged(self._runs, self._last, stays, stay):
                lists.add(*entries)
        self.close()


def _merged(
    runs: Sequence[_Run], last: Postings | None, stays: int, stay: NDArray[np.bool_] | None
) -> Iterator[_Entries]:
    """The entries of all runs, in the order of terms and then of pages, some whole lists at a time."""
    moved = (np.cumsum(stay) - 1).astype(np.uint32) if stay is not None else None
    sizes = sum(int(run.ends[-1]) for run in runs if len(run.ends))
    if last is not None:
        sizes += int(last.lists["count"].sum(dtype=np.int64))
    # Hashes are spread evenly: equal ranges of them hold much the same number of entries.
    slabs = max(1, math.ceil(sizes / SLAB))
    bounds = [(n << 64) // slabs for n in range(slabs)] + [1 << 64]
    for low, high in pairwise(bounds):
        parts: list[_Entries] = []
        if last is not None and stay is not None and moved is not None:
            first, after = _range(last.terms, low, high)
            parts += _old(last, first, after, stay, moved)
        for run in runs:
            terms, rows, impacts = run.between(*_range(run.terms, low, high))
            parts.append((terms, rows + np.uint32(stays), impacts))
        if not parts:
            continue
        terms, rows, impacts = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(terms, kind="stable")
        yield terms[order], rows[order], impacts[order]


def _range(terms: NDArray[np.uint64], low: int, high: int) -> tuple[int, int]:
    first = int(np.searchsorted(terms, np.uint64(low)))
    after = len(terms) if high >> 64 else int(np.searchsorted(terms, np.uint64(high)))
    return first, after


def _old(
    last: Postings, first: int, after: int, stay: NDArray[np.bool_], moved: NDArray[np.uint32]
) -> Iterator[_Entries]:
    """The entries of the last version's terms from `first` to `after`, of the pages that stay."""
    lists, terms = last.lists[first:after], last.terms[first:after]
    thin = lists["dense"] == 0
    if thin.any():
        # Lists that are no bytes stand one after the other, in the order of their terms.
        begin = int(lists["start"][thin][0])
        end = int(lists["start"][thin][-1]) + int(lists["count"][thin][-1])
        rows, impacts = last.all_rows[begin:end], last.all_impacts[begin:end]
        held = stay[rows]
        yield np.repeat(terms[thin], lists["count"][thin])[held], moved[rows[held]], impacts[held]
    for place in np.flatnonzero(~thin).tolist():
        found = last.list_at(first + place)
        rows_ = found.rows[stay[found.rows]]
        yield np.full(len(rows_), terms[place]), moved[rows_], found.dense[rows_]


class _Lists:
    """Writes lists, whole terms in their order."""

    def __init__(self, folder: Path, size: int) -> None:
        self._size = size
        self._files: dict[str, BinaryIO] = {
            name: (folder / f"postings.{name}").open("wb") for name in ("terms", "lists", "rows", "impacts", "dense")
        }
        self._thin = self._dense = 0

    def __enter__(self) -> _Lists:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def add(self, terms: NDArray[np.uint64], rows: _Kept, impacts: NDArray[np.uint8]) -> None:
        """Add the lists of some terms: the term, row and impact of each entry, sorted."""
        begins = np.flatnonzero(np.append(True, terms[1:] != terms[:-1])[: len(terms)])
        counts = np.diff(begins, append=len(terms))
        lists = np.zeros(len(begins), _LIST)
        lists["count"] = counts
        lists["dense"] = dense = counts * DENSE >= max(self._size, 1)
        thin = np.repeat(~dense, counts)
        for place in np.flatnonzero(dense).tolist():
            begin, end = int(begins[place]), int(begins[place] + counts[place])
            line = np.zeros(self._size, np.uint8)
            line[rows[begin:end]] = impacts[begin:end]
            line.tofile(self._files["dense"])
            lists["start"][place] = self._dense
            self._dense += self._size
        sizes = counts[~dense]
        lists["start"][~dense] = self._thin + np.cumsum(sizes) - sizes
        self._thin += int(sizes.sum())
        terms[begins].tofile(self._files["terms"])
        lists.tofile(self._files["lists"])
        rows[thin].tofile(self._files["rows"])
        impacts[thin].tofile(self._files["impacts"])

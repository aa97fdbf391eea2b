"""Word vectors learned from the pages themselves, and what each page is about in them.

Latent semantic analysis (Deerwester et al. 1990): words that stand on the same pages get vectors that point the same
way, so a page about « rupture du contrat » is near the query « quitter son emploi » without one word in common. Nothing
is learned from readers, nor taken from elsewhere. Three files a version, never changed once written:

    vectors.npz    the vectors of words, with how telling each word is
    vectors.pages  for each page, in the order of forward.keys, the vector of its title and first words
    vectors.titles for each page, in the same order, how telling the words of its title are together

Pages that come later are placed among the vectors that are there; those are learned anew when pages have doubled.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elunum.index.forward import PARTS, Forward, mapped, token
from elunum.text import STOP_WORDS

DIMENSIONS = 128
"""Of a vector; one byte each for a page. Measured: 64 cost .001 of nDCG, 200 gain nothing."""

LEAST_PAGES = 1_000
"""Fewer pages say too little of which words go together: no vector is learned, and words decide alone."""

SAMPLE = 20_000
"""Pages that vectors are learned from; keys being hashes, the first ones are drawn at random."""

READ_WORDS = 1_000
"""Of each of these pages."""

LEAD_WORDS = 80
"""Of a page, that its vector is made of, with its title."""

RARE, COMMON = 3, 0.2
"""Pages that must have a word, and share of them that may: others say nothing of what goes together."""

TITLE = 0.5
"""What a word of the title counts more, against one said very often."""

_WITHOUT_SUBJECT = frozenset(token("", word) >> 8 for word in STOP_WORDS)
"""Codes of the words that carry none."""

_SORTED_WITHOUT_SUBJECT = np.array(sorted(_WITHOUT_SUBJECT), np.uint32)
"""The same, for arrays of codes."""

_K1, _B = 1.2, 0.75
_NAMES = ("vectors.npz", "vectors.pages", "vectors.titles")

Matrix = NDArray[np.float32]


class Asked(NamedTuple):
    """What some words ask for."""

    direction: Matrix  # of all together, of length 1; 0 when none is known
    telling: Matrix  # how telling each word is; 0 without subject


@dataclass(frozen=True)
class Vectors:
    """The vectors of words and pages, open; none when pages were too few."""

    codes: NDArray[np.uint32]  # of stems, see forward.token; sorted
    idf: Matrix
    words: NDArray[np.float16]  # [codes, dimensions], each of length 1
    learned_from: int  # pages there were
    pages: NDArray[np.int8]  # [pages, dimensions], in the order of forward.keys; of any length
    titles: Matrix  # [pages]: the idf of the stems of each title, each that carries a subject once, together

    def query(self, stems: Sequence[str]) -> Asked:
        """What some words ask for."""
        codes = [token("", stem) >> 8 for stem in stems]
        rows = self.rows(np.array(codes, np.uint32))
        telling = self._telling(rows)
        telling[[place for place, code in enumerate(codes) if code in _WITHOUT_SUBJECT]] = 0
        rows = rows[rows >= 0]
        whole = self.idf[rows] @ self.words[rows].astype(np.float32)
        length = math.sqrt(whole @ whole)
        return Asked(whole / np.float32(length or 1), telling)

    def rows(self, codes: NDArray[np.integer]) -> NDArray[np.intp]:
        """The row of each code, -1 when it has no vector."""
        if not len(self.codes):
            return np.full(len(codes), -1)
        rows = np.searchsorted(self.codes, codes)
        rows[rows == len(self.codes)] = 0
        return np.where(self.codes[rows] == codes, rows, -1)

    def telling(self, codes: NDArray[np.integer]) -> Matrix:
        """The idf of each code; as that of the rarest word for those that are unknown."""
        return self._telling(self.rows(codes))

    @cached_property
    def _most(self) -> np.float32:
        """How telling the rarest word is."""
        return np.float32(self.idf.max())

    def _telling(self, rows: NDArray[np.intp]) -> Matrix:
        if not len(self.idf):
            return np.ones(len(rows), np.float32)
        return np.where(rows >= 0, self.idf[rows], self._most)

    def title_of(self, places: NDArray[np.intp], here: NDArray[np.bool_]) -> Matrix:
        """How telling the titles of pages at these places among all are; 0 where not `here`."""
        if not len(self.titles):
            return np.zeros(len(places), np.float32)
        return np.where(here, self.titles[places], np.float32(0))

    def of_titles(self, titles: NDArray[np.integer], codes: NDArray[np.uint32], count: int) -> Matrix:
        """How telling titles are. titles: as for `placed`; what is not in a title is passed over."""
        inside = (titles % 2 == 1) & ~np.isin(codes, _SORTED_WITHOUT_SUBJECT)
        found = np.unique((titles[inside] // 2).astype(np.int64) << 24 | codes[inside])
        weights = self.telling(found & 0xFFFFFF)
        return np.bincount(found >> 24, weights, minlength=count).astype(np.float32)

    def alike(self, places: NDArray[np.intp], here: NDArray[np.bool_], direction: Matrix) -> Matrix:
        """The cosine of a direction of length 1 with each of the pages that stand at these places among all, [pages];
        0 where it is negative, and where the page is not `here`."""
        if not len(direction):
            return np.zeros(len(places), np.float32)
        pages = self.pages[places].astype(np.float32)
        lengths = np.sqrt(np.einsum("pd,pd->p", pages, pages))
        cosines: Matrix = np.maximum(pages @ direction, 0) / np.maximum(lengths, 1)  # whole numbers: 1 at least, or 0
        return np.where(here, cosines, np.float32(0))

    def placed(self, titles: NDArray[np.integer], codes: NDArray[np.uint32], count: int) -> NDArray[np.int8]:
        """The vectors of pages. titles: for each code, twice its page, plus 1 where it stands in the title."""
        place, rows = titles.astype(np.int64), self.rows(codes)
        known = rows >= 0
        size = max(len(self.codes), 1)
        found, often = np.unique(place[known] * size + rows[known], return_counts=True)
        place, rows = found // size, found % size
        weights = (self.idf[rows] * often / (often + 1)).astype(np.float32)
        halves = _unit(_sums(place, weights, rows, self.words, 2 * count)).reshape(count, 2, -1)
        whole = halves.sum(axis=1)
        most = np.abs(whole).max(axis=1, keepdims=True, initial=0)
        return np.asarray(np.rint(whole / np.where(most, most, 1) * 127), np.int8)


def read(folder: Path, count: int) -> Vectors:
    """The vectors of a version that holds `count` pages. Raises OSError or ValueError when they are missing or cut."""
    path = folder / _NAMES[1]
    try:
        with (folder / _NAMES[0]).open("rb") as file, np.load(file) as kept:
            codes, idf, words, learned_from = (kept[name] for name in ("codes", "idf", "words", "learned_from"))
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{folder / _NAMES[0]} is damaged: {error}") from None
    if path.stat().st_size != count * words.shape[1]:
        raise ValueError(f"{path} is cut")
    titles = mapped(folder / _NAMES[2], np.dtype("<f4"))
    if len(titles) != count:
        raise ValueError(f"{folder / _NAMES[2]} is cut")
    shape = (count, words.shape[1])
    pages = mapped(path, np.dtype(np.int8)).reshape(shape) if count and shape[1] else np.zeros(shape, np.int8)
    return Vectors(codes, idf, words, int(learned_from), pages, titles)


def write(folder: Path, last: Path | None = None, added: Iterable[int] = ()) -> None:
    """Write the vectors of a version, whose pages are written already.

    last: the version it began with, whose vectors are kept, but for the pages `added` since, by their keys.
    """
    forward = Forward(folder)
    count = len(forward.keys)
    keys = Forward(last).keys if last is not None else np.empty(0, np.uint64)
    vectors = read(last, len(keys)) if last is not None else None
    if vectors is None or count > 2 * max(vectors.learned_from, LEAST_PAGES // 2):
        vectors, keys = learn(forward), keys[:0]
    stays = np.isin(forward.keys, keys) & ~np.isin(forward.keys, np.fromiter(added, np.uint64))
    pages = np.zeros((count, vectors.words.shape[1]), np.int8)
    pages[stays] = vectors.pages[np.searchsorted(keys, forward.keys[stays])]
    titles = np.zeros(count, np.float32)
    titles[stays] = vectors.titles[np.searchsorted(keys, forward.keys[stays])]
    missing = np.flatnonzero(~stays)
    for begin in range(0, len(missing), 2_000):
        some = missing[begin : begin + 2_000]
        place, codes = _beginnings(forward, some)
        titles[some] = vectors.of_titles(place, codes, len(some))
        if len(vectors.codes):
            pages[some] = vectors.placed(place, codes, len(some))
    np.savez(
        folder / _NAMES[0],
        codes=vectors.codes,
        idf=vectors.idf,
        words=vectors.words,
        learned_from=np.array(vectors.learned_from),
    )
    pages.tofile(folder / _NAMES[1])
    titles.astype("<f4").tofile(folder / _NAMES[2])


def learn(forward: Forward) -> Vectors:
    """Vectors of the words of these pages: the right singular vectors of pages by words, weighted as by BM25.

    Singular values are left out and each vector has length 1: measured, a mean of directions tells pages apart better
    than their projection does.
    """
    count = len(forward.keys)
    if count < LEAST_PAGES:
        nothing, words, pages = np.empty(0, np.float32), np.empty((0, 0), np.float16), np.empty((0, 0), np.int8)
        return Vectors(np.empty(0, np.uint32), nothing, words, count, pages, nothing)
    page, code, often, titled, lengths = _counted(forward, min(count, SAMPLE))
    codes, word, held = np.unique(code, return_inverse=True, return_counts=True)
    sampled = len(lengths)
    kept = held >= RARE
    says = (held <= COMMON * sampled) & ~np.isin(codes, _SORTED_WITHOUT_SUBJECT)
    idf = np.log(sampled / held).astype(np.float32)
    use = (kept & says)[word]
    page, word, often, titled = page[use], word[use], often[use], titled[use]
    norms = _K1 * (1 - _B + _B * lengths / lengths.mean())
    weights = (idf[word] * (often / (often + norms[page]) + TITLE * titled)).astype(np.float32)
    weights /= np.sqrt(np.bincount(page, weights**2, minlength=sampled))[page]
    # Words that are everywhere have no direction; their idf is kept, for it is known.
    directions = _singular(page, np.cumsum(kept & says)[word] - 1, weights, sampled, int((kept & says).sum()))
    words = np.zeros((int(kept.sum()), directions.shape[1]), np.float16)
    words[says[kept]] = directions
    pages = np.empty((0, words.shape[1]), np.int8)
    return Vectors(codes[kept], idf[kept], words, count, pages, np.empty(0, np.float32))


def _counted(
    forward: Forward, count: int
) -> tuple[NDArray[np.intp], NDArray[np.uint32], NDArray[np.intp], NDArray[np.bool_], NDArray[np.int64]]:
    """Of each word of the first pages: its page, code, how often it is said, and whether in the title; and how many
    words each page has that were read."""
    pages, codes, often, titled = [], [], [], []
    lengths = np.zeros(count, np.int64)
    for place, (title, body) in enumerate(_texts(forward, range(count), READ_WORDS)):
        found, times = np.unique(np.concatenate([title, body]), return_counts=True)
        pages.append(np.full(len(found), place))
        codes.append(found)
        often.append(times)
        titled.append(np.isin(found, title))
        lengths[place] = len(title) + len(body)
    return np.concatenate(pages), np.concatenate(codes), np.concatenate(often), np.concatenate(titled), lengths


def _beginnings(forward: Forward, places: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.uint32]]:
    """The codes of the titles and first words of some pages, each with twice its page's rank, plus 1 in a title."""
    parts = [part for title, body in _texts(forward, places.tolist(), LEAD_WORDS) for part in (body, title)]
    sizes = [len(part) for part in parts]
    return np.repeat(np.arange(len(parts)), sizes), np.concatenate(parts)


def _texts(
    forward: Forward, places: Iterable[int], words: int
) -> Iterator[tuple[NDArray[np.unsignedinteger], NDArray[np.unsignedinteger]]]:
    """The codes of the title and of the first words of each of these pages."""
    title, body = PARTS.index("title"), PARTS.index("body")
    for place in places:
        record = forward.records[place]
        begin, kept = int(record["start"]), record["kept"].tolist()
        first = begin + sum(kept[:title])
        second = begin + sum(kept[:body])
        yield (
            np.right_shift(forward.tokens[first : first + kept[title]], np.uint32(8)),
            np.right_shift(forward.tokens[second : second + min(kept[body], words)], np.uint32(8)),
        )


def _singular(page: NDArray[np.intp], word: NDArray[np.intp], weights: Matrix, pages: int, words: int) -> Matrix:
    """The first right singular vectors of a sparse matrix, [words, dimensions] (Halko, Martinsson and Tropp 2011)."""
    by_word = np.argsort(word, kind="stable")
    across, down = page[by_word], word[by_word]
    turned = weights[by_word]

    def times(right: Matrix) -> Matrix:
        return _sums(page, weights, word, right, pages)

    def back(left: Matrix) -> Matrix:
        return _sums(down, turned, across, left, words)

    wanted = min(DIMENSIONS, words, pages)
    drawn = np.random.default_rng(0).standard_normal((words, min(wanted + 10, words, pages)), np.float32)
    left = times(drawn)
    for _ in range(2):
        left = times(back(np.linalg.qr(left)[0]))
    right = back(np.linalg.qr(left)[0])
    vectors = np.linalg.svd(right, full_matrices=False)[0]
    return _unit(np.ascontiguousarray(vectors[:, :wanted], np.float32))


def _sums(
    groups: NDArray[np.integer], weights: Matrix, rows: NDArray[np.integer], matrix: NDArray[np.generic], count: int
) -> Matrix:
    """The weighted sum of rows of a matrix for each group, [count, columns]. groups: sorted."""
    sums = np.zeros((count, matrix.shape[1]), np.float32)
    step = 200_000  # so many rows at a time are looked at: a copy of each is made
    begin = 0
    while begin < len(groups):
        end = min(begin + step, len(groups))
        group = groups[begin:end]
        first = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
        sums[group[first]] += np.add.reduceat(
            weights[begin:end, None] * matrix[rows[begin:end]].astype(np.float32, copy=False), first, axis=0
        )
        begin = end
    return sums


def _unit(matrix: NDArray[np.floating]) -> Matrix:
    lengths = np.linalg.norm(matrix, axis=-1, keepdims=True)
    return np.asarray(matrix / np.where(lengths, lengths, 1), np.float32)

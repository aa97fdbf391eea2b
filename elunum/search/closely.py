"""What candidates score when looked at closely, from what each page says word after word.

The engine proposes a hundred pages in a rough order; here their tokens are read and every sign of relevance is weighed,
for all of them at once. Scores are sums of parts that have names: what `elunum search --explain` prints was added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from elunum.index.forward import PARTS, Forward, token
from elunum.index.postings import K1, B
from elunum.index.schema import LEAD_WORDS
from elunum.index.vectors import WITHOUT_SUBJECT, Vectors
from elunum.search.parse import Clause, Either, Phrase, Query, Word, is_plain
from elunum.search.ranking import Ranking
from elunum.search.synonyms import Alternative, units

Scores = NDArray[np.floating]
"""One number a page."""

PASSAGE_WORDS = 50
"""Length of a passage."""

_PLACE = {name: number for number, name in enumerate(PARTS)}

_FORMS = [_PLACE["title"], _PLACE["body"]]
"""The parts in which the form of a word counts, and what stands beside it."""

_WEIGHTS = (
    *((part, part) for part in PARTS),
    ("lead", "lead"),
    ("title_words", "exact_title"),
    ("body_words", "exact_body"),
)
"""The fields in which a word counts, each with the name of its weight in Ranking."""

_FIELDS = tuple(field_ for field_, _ in _WEIGHTS)

_Parts = tuple[Sequence[str], Scores]
"""Names of parts of a score, and what each page gets of them, [pages, names]."""


@dataclass
class Looked:
    """Scores of candidates, [pages], and their parts by name."""

    scores: Scores
    parts: list[tuple[Sequence[str], Scores]] = field(default_factory=list)  # names, and [pages, names]
    unit: float = 0.0  # what the words score where they score most: signs that are shares are worth a part of it

    def add(self, name: str, given: Scores) -> None:
        """Add a part to the scores."""
        self.add_all((name,), given[:, None])

    def add_all(self, names: Sequence[str], given: Scores) -> Scores:
        """Add parts to the scores, [pages, names]; their sum."""
        whole: Scores = given.sum(axis=1)
        self.scores = self.scores + whole
        self.parts.append((names, given))
        return whole

    def weigh(self, name: str, weights: Scores) -> None:
        """Multiply the scores, last of all."""
        self.scores = self.scores * weights
        self.parts.append(((name,), weights[:, None]))

    def explained(self, page: int) -> list[tuple[str, float]]:
        """What made the score of a page: each part that is not 0, in the order they were added."""
        given = [
            (name, float(value)) for names, part in self.parts for name, value in zip(names, part[page], strict=True)
        ]
        return [(name, value) for name, value in given if value]


@dataclass(frozen=True)
class Gained:
    """A gain of `matching.Gain`, for each page."""

    label: str
    given: Scores
    start: int = 0  # the words that name the territory, from `start` to `end` (excluded); none otherwise
    end: int = 0


class Closely:
    """Some pages, looked at for one query."""

    def __init__(
        self,
        forward: Forward,
        vectors: Vectors,
        keys: Sequence[int] | NDArray[np.unsignedinteger],
        idf: Callable[[str, str], float],
        ranking: Ranking,
    ) -> None:
        """idf: of a term in a field of the index."""
        places, here = forward.places(keys)
        self.pages = forward.pages(places, here)
        self._vectors = vectors
        self._ranking = ranking
        self._idf = idf
        self._stems = self.pages.tokens >> 8
        # The slot of each token: its page times the number of parts, plus its part.
        self._slots = np.repeat(np.arange(len(self.pages) * len(PARTS), dtype=np.int32), self.pages.kept.ravel())
        bodies = np.cumsum(self.pages.kept.ravel())[len(PARTS) - 1 :: len(PARTS)] - self.pages.kept[:, _PLACE["body"]]
        self._body_begins = bodies
        lengths = self.pages.kept.astype(float)
        lengths[:, _PLACE["body"]] = self.pages.length
        means = np.append(forward.mean_kept[:-1], forward.mean_length)
        self._norms = K1 * (1 - B + B * lengths / np.maximum(means, 1e-9))
        lead = np.minimum(self.pages.length, LEAD_WORDS)
        self._lead_norm = K1 * (1 - B + B * lead / max(min(forward.mean_length, LEAD_WORDS), 1e-9))
        self._directions = vectors.of_pages(places, here)
        self._titles = vectors.title_of(places, here)
        self._at: dict[str, NDArray[np.integer]] = {}  # where each stem stands among the tokens

    @cached_property
    def _nothing(self) -> Scores:
        return np.zeros(len(self.pages))

    def look(
        self,
        query: Query,
        others: Sequence[Alternative] = (),
        gains: Sequence[Gained] = (),
        unit: float | None = None,
    ) -> Looked:
        """What the words of a query score. Another way to say a word counts in its place where it is worth more, and so
        does belonging to the territory that the word names.

        unit: that of the first pages that were looked at, for others to be compared with them; None for the first.
        """
        looked, ranking = Looked(self._nothing), self._ranking
        words = query.words
        clauses = [*query.clauses, *(other.clause for other in others)]
        self._read([word for clause in clauses for word in _words(clause)])
        self._weigh([word for clause in clauses for word in _options(clause) if isinstance(word, Word)])
        share: list[Scores] = [np.ones(len(self.pages)) for _ in words]
        for start, end in units(words, others):
            share[start:end] = [np.where(self._stand_close(words[start:end]), 1.0, ranking.apart)] * (end - start)
        for place, word in enumerate(words):
            names, given = self._word(word)
            best = looked.add_all(names, given * share[place][:, None])
            ways = [
                (other.text, self._clause(other.clause) * ((1.0 if other.same else ranking.synonym) / _length(other)))
                for other in others
                if other.start <= place < other.end
            ]
            ways += [
                (gained.label, (gained.given > 0) * (ranking.local / _length(gained)))
                for gained in gains
                if gained.start <= place < gained.end
            ]
            for name, way in ways:
                more = np.maximum(way - best, 0.0)
                looked.add(name, more)
                best = best + more
        for clause in query.clauses:
            if not is_plain(clause):
                for part in self._parts(clause):
                    looked.add_all(*part)
        for left, right in pairwise(words):
            looked.add_all(*self._pair(left, right))
        if words:
            looked.unit = float(looked.scores.max(initial=0)) if unit is None else unit
            looked.add("about", ranking.about * looked.unit * self._about(words))
            looked.add("title covered", ranking.covered * looked.unit * self._covered(words))
            looked.add("passage", ranking.passage * looked.unit * self._passage(words))
        for gained in gains:
            looked.add(gained.label, gained.given)
        return looked

    # --- what is found, and what it is worth ---------------------------------------------------------------------

    def _read(self, words: Sequence[Word]) -> None:
        """Find where the stems of these words stand among the tokens, in one pass over these."""
        codes = {word.stem: token("", word.stem) >> 8 for word in words}
        wanted = np.unique(np.fromiter(codes.values(), np.uint32, len(codes)))
        maybe = np.zeros(1 << 16, bool)
        maybe[wanted & 0xFFFF] = True
        at = np.flatnonzero(maybe[self._stems.astype(np.uint16)])  # by their last 16 bits: a table that stays at hand
        found = self._stems[at]
        which = np.searchsorted(wanted, found)
        sure = which < len(wanted)
        sure[sure] = wanted[which[sure]] == found[sure]
        at, which = at[sure], which[sure]
        at = at[np.argsort(which, kind="stable")]
        ends = np.cumsum(np.bincount(which, minlength=len(wanted))).tolist()
        pieces = {code: at[begin:end] for code, begin, end in zip(wanted.tolist(), [0, *ends], ends, strict=False)}
        self._at = {stem: pieces[code] for stem, code in codes.items()}

    def _counts(self, at: NDArray[np.integer]) -> NDArray[np.integer]:
        """How often what stands there is found, [pages, parts]."""
        slots = len(self.pages) * len(PARTS)
        counts: NDArray[np.integer] = np.bincount(self._slots[at], minlength=slots).reshape(-1, len(PARTS))
        return counts

    def _weigh(self, words: Sequence[Word]) -> None:
        """What these words are worth in each field that counts, all at once: [pages, words, fields]."""
        ranking, idf, size = self._ranking, self._idf, len(self.pages)
        named = dict.fromkeys((word.word, word.stem) for word in words)
        self._columns = {names: column for column, names in enumerate(named)}
        count = len(self._columns)
        at = [self._at[stem] for _, stem in self._columns]
        column = np.repeat(np.arange(count), [len(places) for places in at])
        places = np.concatenate(at) if at else np.empty(0, np.intp)
        slots = self._slots[places]
        pages, parts = np.divmod(slots, len(PARTS))
        forms = np.array([token(*names) for names in self._columns], np.uint32)
        exact = self.pages.tokens[places] == forms[column]
        lead = (parts == _PLACE["body"]) & (places - self._body_begins[pages] < LEAD_WORDS)

        def counted(kept: slice | NDArray[np.bool_]) -> NDArray[np.integer]:
            cells = (pages[kept] * count + column[kept]) * len(PARTS) + parts[kept]
            return np.bincount(cells, minlength=size * count * len(PARTS)).reshape(size, count, len(PARTS))

        counts, norms = counted(slice(None)), self._norms[:, None, :]
        self._titled = counts[:, :, _PLACE["title"]] > 0
        leads = counted(lead)[:, :, _PLACE["body"]]
        formed, own = counted(exact)[:, :, _FORMS], norms[:, :, _FORMS]
        saturated = (counts / (counts + norms), leads[:, :, None] / (leads + self._lead_norm[:, None])[:, :, None])
        given = np.concatenate((*saturated, formed / (formed + own)), axis=2)
        worth = np.zeros((count, len(_FIELDS)))
        names = list(self._columns)
        for row, place in zip(*np.nonzero(given.any(axis=0)), strict=True):  # idf costs as much as the rest
            (word, stem), (field_, weight) = names[row], _WEIGHTS[place]
            worth[row, place] = getattr(ranking, weight) * idf(field_, word if field_.endswith("_words") else stem)
        self._given = (K1 + 1) * given * worth

    def _word(self, word: Word) -> _Parts:
        """What a word is worth in each field that counts."""
        names = [f"{field}: {word.word if field.endswith('_words') else word.stem}" for field in _FIELDS]
        return names, self._given[:, self._columns[word.word, word.stem]]

    def _clause(self, clause: Clause) -> Scores:
        """What a clause is worth where it stands."""
        return sum((given.sum(axis=1) for _, given in self._parts(clause)), self._nothing)

    def _parts(self, clause: Clause) -> Iterator[_Parts]:
        """The same, part by part."""
        if isinstance(clause, Word):
            yield self._word(clause)
        elif isinstance(clause, Phrase):
            ranking, said = self._ranking, " ".join(word.stem for word in clause.words)
            weights = [(part, getattr(ranking, part)) for part in ("title", "headings", "body")]
            worth = [weight * sum(self._idf(part, word.stem) for word in clause.words) for part, weight in weights]
            counts = self._saturated(self._counts(self._together(clause)))
            yield [f"{part}: {said}" for part, _ in weights], counts[:, [_PLACE[part] for part, _ in weights]] * worth
        else:
            for option in clause.options:
                yield from self._parts(option)

    def _together(self, phrase: Phrase) -> NDArray[np.integer]:
        """Where a phrase begins."""
        length = len(phrase.words)
        at = self._at[phrase.words[0].stem]
        at = at[at + length <= len(self._stems)]
        for step, word in enumerate(phrase.words):
            at = at[self._stems[at + step] == token("", word.stem) >> 8]
        whole: NDArray[np.integer] = at[self._slots[at] == self._slots[at + length - 1]]
        return whole

    def _stand_close(self, words: Sequence[Word]) -> NDArray[np.bool_]:
        """Whether each two neighbours among these words stand side by side, in this order, somewhere on the page; one
        word without subject may stand between."""
        close = np.ones(len(self.pages), bool)
        for left, right in pairwise(words):
            close &= self._counts(self._near(left, right, 2)).any(axis=1)
        return close

    def _near(self, left: Word, right: Word, steps: int) -> NDArray[np.integer]:
        """Where the left one stands with the right one so many words after it, at most."""
        lefts, rights = self._at[left.stem], self._at[right.stem]
        if not len(rights):
            return rights
        after = np.minimum(np.searchsorted(rights, lefts, "right"), len(rights) - 1)
        nearest = rights[after]
        away = nearest - lefts
        near: NDArray[np.integer] = lefts[(away > 0) & (away <= steps) & (self._slots[nearest] == self._slots[lefts])]
        return near

    def _pair(self, left: Word, right: Word) -> _Parts:
        """What two words are worth that stand close together, in this order."""
        counts = self._saturated(self._counts(self._near(left, right, 1 + self._ranking.slop)))
        weights = (("title", self._ranking.pair_title), ("body", self._ranking.pair))
        worth = [weight * (self._idf(part, left.stem) + self._idf(part, right.stem)) for part, weight in weights]
        return [f"{part}: {left.stem} {right.stem}" for part, _ in weights], counts[:, _FORMS] * worth

    # --- signs of the query as a whole ---------------------------------------------------------------------------

    def _about(self, words: Sequence[Word]) -> Scores:
        """The cosine of the query with each page, in the vectors of their words; 0 where it is negative."""
        asked = self._vectors.query([word.stem for word in words])
        if not len(asked):
            return self._nothing
        alike: Scores = np.maximum(self._directions @ asked, 0.0)
        return alike

    def _covered(self, words: Sequence[Word]) -> Scores:
        """The share of each title that the words cover, each stem that carries a subject counting once, and as much as
        it is telling."""
        stems = {word.stem: self._columns[word.word, word.stem] for word in words}
        codes = np.array([token("", stem) >> 8 for stem in stems], np.uint32)
        telling = np.where(np.isin(codes, WITHOUT_SUBJECT), 0, self._vectors.telling(codes))
        asked = self._titled[:, list(stems.values())] @ telling
        shares: Scores = asked / np.where(self._titles, self._titles, 1)
        return shares

    def _passage(self, words: Sequence[Word]) -> Scores:
        """The share of the words, by how telling they are, that the best passage of each text holds: any two
        neighbouring halves of a passage."""
        telling = {word.stem: self._idf("body", word.stem) for word in words}
        total = sum(telling.values())
        most = int(self.pages.kept[:, _PLACE["body"]].max(initial=0)) // (PASSAGE_WORDS // 2) + 2
        held = np.zeros((len(self.pages), most, len(telling)), bool)
        for number, stem in enumerate(telling):
            at = self._at[stem]
            at = at[self._slots[at] % len(PARTS) == _PLACE["body"]]
            pages = self._slots[at] // len(PARTS)
            half = (at - self._body_begins[pages]) // (PASSAGE_WORDS // 2)
            held[pages, half, number] = held[pages, half + 1, number] = True
        best: Scores = (held @ np.array(list(telling.values()))).max(axis=1)
        return best / (total or 1.0)

    def _saturated(self, counts: NDArray[np.integer]) -> Scores:
        """BM25's saturation of counts, [pages, parts]."""
        saturated: Scores = (K1 + 1) * counts / (counts + self._norms)
        return saturated


def _options(clause: Clause) -> Iterator[Word | Phrase]:
    """The words and phrases of a clause."""
    yield from clause.options if isinstance(clause, Either) else (clause,)


def _words(clause: Clause) -> Iterator[Word]:
    """The words of a clause, those of its phrases too."""
    for option in _options(clause):
        yield from option.words if isinstance(option, Phrase) else (option,)


def _length(covering: Alternative | Gained) -> int:
    """How many words it stands for."""
    return max(covering.end - covering.start, 1)

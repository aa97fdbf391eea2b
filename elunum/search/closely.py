"""What candidates score when looked at closely, from what each page says word after word.

The engine proposes forty pages; here their tokens are read and every sign of relevance is weighed,
for all of them at once. Scores are sums of parts that have names: what `elunum search --explain` prints was added.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from elunum.index.forward import PARTS, Forward, token
from elunum.index.postings import K1, B
from elunum.index.schema import LEAD_WORDS
from elunum.index.vectors import Asked
from elunum.search.matching import Gain
from elunum.search.parse import Clause, Either, Phrase, Query, Word, is_plain
from elunum.search.ranking import Ranking
from elunum.search.synonyms import Alternative, units

Scores = NDArray[np.floating]
"""One number a page."""

PASSAGE_WORDS = 50
"""Length of a passage."""

_WEIGHTS = (
    *((part, part) for part in PARTS),
    ("lead", "lead"),
    ("title_words", "exact_title"),
    ("body_words", "exact_body"),
)
"""The fields in which a word counts, the parts of a page first, each with the name of its weight in Ranking."""

_FIELDS = tuple(field_ for field_, _ in _WEIGHTS)
_FIELD = {name: number for number, name in enumerate(_FIELDS)}
_TITLE, _BODY, _LEAD = _FIELD["title"], _FIELD["body"], _FIELD["lead"]

_PART_OF = np.array([_FIELD[field_.removesuffix("_words").replace("lead", "body")] for field_ in _FIELDS])
"""The part that each field is in."""

_FORM_OF = np.array([_FIELD.get(f"{part}_words", len(_FIELDS)) for part in PARTS])
"""The field of exact forms in each part; one more than there are where forms do not count."""

_NEIGHBOURS = [_TITLE, _BODY]
"""The parts in which what stands beside a word counts."""

Names = Callable[[], Sequence[str]]
"""Names of parts of a score: made when they are asked for, which few requests do."""


@dataclass
class Looked:
    """Scores of candidates, [pages], and their parts by name."""

    scores: Scores
    parts: list[tuple[Names, Scores]] = field(default_factory=list)  # names, and [pages, names]
    unit: float = 0.0  # what the words score where they score most: signs that are shares are worth a part of it

    def add(self, name: str, given: Scores) -> None:
        """Add a part to the scores."""
        self.add_all(lambda: (name,), given[:, None])

    def add_all(self, names: Names, given: Scores) -> None:
        """Add parts to the scores, [pages, names]."""
        self.scores = self.scores + given.sum(axis=1)
        self.parts.append((names, given))

    def weigh(self, name: str, weights: Scores) -> None:
        """Multiply the scores, last of all."""
        self.scores = self.scores * weights
        self.parts.append((lambda: (name,), weights[:, None]))

    def explained(self, page: int) -> list[tuple[str, float]]:
        """What made the score of a page: each part that is not 0, in the order they were added."""
        given = [
            (name, float(value)) for names, part in self.parts for name, value in zip(names(), part[page], strict=True)
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
        places: NDArray[np.intp],
        here: NDArray[np.bool_],
        idf: Callable[[str, str], float],
        ranking: Ranking,
    ) -> None:
        """places, here: see Forward.pages. idf: of a term in a field of the index."""
        self.pages = pages = forward.pages(places, here)
        self._ranking = ranking
        self._idf = idf
        self._stems = pages.tokens >> 8
        # The slot of each token: its page times the number of parts, plus its part.
        kept = pages.kept.ravel()
        self._slots = np.repeat(np.arange(len(kept), dtype=np.int32), kept)
        self._body_begins = np.cumsum(kept)[_BODY :: len(PARTS)] - pages.kept[:, _BODY]
        lengths, means = pages.kept[:, _PART_OF].astype(float), forward.means[_PART_OF]
        lengths[:, _PART_OF == _BODY] = pages.length[:, None]
        lengths[:, _LEAD] = np.minimum(pages.length, LEAD_WORDS)
        means[_LEAD] = min(means[_LEAD], LEAD_WORDS)
        self._norms = K1 * (1 - B + B * lengths / np.maximum(means, 1e-9))  # [pages, fields]

    @cached_property
    def _nothing(self) -> Scores:
        return np.zeros(len(self.pages))

    def look(
        self,
        query: Query,
        asked: Asked,
        about: Scores,
        titles: Scores,
        others: Sequence[Alternative] = (),
        gains: Sequence[Gained] = (),
        unit: float | None = None,
    ) -> Looked:
        """What the words of a query score. Another way to say a word counts in its place where it is worth more, and so
        does belonging to the territory that the word names.

        asked: its subject (see `subject`) in vectors.py; about: its cosine with each page; titles: how telling the
        title of each is.
        unit: that of the first pages that were looked at, for others to be compared with them; None for the first.
        """
        looked, ranking, words = Looked(self._nothing), self._ranking, query.words
        clauses = [*query.clauses, *(other.clause for other in others)]
        self._read([word for clause in clauses for word in _words(clause)])
        self._weigh([word for clause in clauses for word in _options(clause) if isinstance(word, Word)])
        if words:
            self._add_words(looked, words, others, gains)
        for clause in query.clauses:
            if not is_plain(clause):
                for part in self._parts(clause):
                    looked.add_all(*part)
        if len(words) > 1:
            looked.add_all(*self._pairs(words, _names_in(gains)))
        if words:
            asked_for = subject(words, gains)
            looked.unit = float(looked.scores.max(initial=0)) if unit is None else unit
            looked.add("about", ranking.about * looked.unit * about)
            looked.add("title covered", ranking.covered * looked.unit * self._covered(asked_for, asked, titles))
            looked.add("passage", ranking.passage * looked.unit * self._passage(asked_for))
        for gained in gains:
            looked.add(gained.label, gained.given)
        return looked

    # --- what is found, and what it is worth ---------------------------------------------------------------------

    def _read(self, words: Sequence[Word]) -> None:
        """Find where the stems of these words stand among the tokens."""
        self._number = {stem: number for number, stem in enumerate(dict.fromkeys(word.stem for word in words))}
        self._at = [np.flatnonzero(self._stems == np.uint32(token("", stem) >> 8)) for stem in self._number]

    def _weigh(self, words: Sequence[Word]) -> None:
        """What these words are worth in each field that counts, all at once: [pages, words, fields]."""
        ranking, idf, size, fields = self._ranking, self._idf, len(self.pages), len(_FIELDS)
        named = dict.fromkeys((word.word, word.stem) for word in words)
        self._column = {names: column for column, names in enumerate(named)}
        count = len(named)
        at = [self._at[self._number[stem]] for _, stem in named]
        self._columns = np.repeat(np.arange(count), [len(places) for places in at])  # of each place
        places = np.concatenate(at) if at else np.empty(0, np.intp)
        self._pages, parts = np.divmod(self._slots[places], np.int32(len(PARTS)))
        self._in_body = np.where(parts == _BODY, places - self._body_begins[self._pages], -1)  # words before it there
        exact = self.pages.tokens[places] == np.array([token(*names) for names in named], np.uint32)[self._columns]
        # A word counts in the part where it stands, among the first words, and in its exact form; one column more takes
        # what does not count.
        cells = (self._pages * count + self._columns) * (fields + 1)
        lead = np.where((self._in_body >= 0) & (self._in_body < LEAD_WORDS), _LEAD, fields)
        formed = np.where(exact, _FORM_OF[parts], fields)
        found = np.concatenate((cells + parts, cells + lead, cells + formed))
        counts = np.bincount(found, minlength=size * count * (fields + 1))
        counts = counts.reshape(size, count, fields + 1)[:, :, :fields]
        self._titled = counts[:, :, _TITLE] > 0
        worth = np.zeros((count, fields))
        names = list(named)
        for row, place in np.argwhere(counts.any(axis=0)).tolist():  # idf costs as much as the rest
            (word, stem), (field_, weight) = names[row], _WEIGHTS[place]
            worth[row, place] = getattr(ranking, weight) * idf(field_, word if field_.endswith("_words") else stem)
        self._given = counts / (counts + self._norms[:, None, :]) * ((K1 + 1) * worth)

    def _add_words(
        self, looked: Looked, words: Sequence[Word], others: Sequence[Alternative], gains: Sequence[Gained]
    ) -> None:
        """Add what each word is worth, or what says it otherwise."""
        ranking = self._ranking
        given = self._given[:, [self._column[word.word, word.stem] for word in words]]
        for start, end in units(words, others):
            share = np.where(self._stand_close(words[start:end]), 1.0, ranking.apart)
            given[:, start:end] *= share[:, None, None]
        for start, end in _names_in(gains):
            given[:, start:end] /= end - start  # a name is one word, however long
        looked.add_all(lambda: [name for word in words for name in _names(word)], given.reshape(len(self.pages), -1))
        for place in range(len(words)):
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
            best = given[:, place].sum(axis=1) if ways else self._nothing
            for name, way in ways:
                more = np.maximum(way - best, 0.0)
                looked.add(name, more)
                best = best + more

    def _clause(self, clause: Clause) -> Scores:
        """What a clause is worth where it stands."""
        return sum((given.sum(axis=1) for _, given in self._parts(clause)), self._nothing)

    def _parts(self, clause: Clause) -> Iterator[tuple[Names, Scores]]:
        """The same, part by part."""
        if isinstance(clause, Word):
            word = clause
            yield lambda: _names(word), self._given[:, self._column[word.word, word.stem]]
        elif isinstance(clause, Phrase):
            ranking, said = self._ranking, " ".join(word.stem for word in clause.words)
            weights = [(part, getattr(ranking, part)) for part in ("title", "headings", "body")]
            worth = [weight * sum(self._idf(part, word.stem) for word in clause.words) for part, weight in weights]
            counts = self._counts(self._together(clause))[:, [_FIELD[part] for part, _ in weights]]
            norms = self._norms[:, [_FIELD[part] for part, _ in weights]]
            yield lambda: [f"{part}: {said}" for part, _ in weights], (K1 + 1) * counts / (counts + norms) * worth
        else:
            for option in clause.options:
                yield from self._parts(option)

    def _counts(self, at: NDArray[np.integer]) -> NDArray[np.integer]:
        """How often what stands there is found, [pages, parts]."""
        slots = len(self.pages) * len(PARTS)
        counts: NDArray[np.integer] = np.bincount(self._slots[at], minlength=slots).reshape(-1, len(PARTS))
        return counts

    def _together(self, phrase: Phrase) -> NDArray[np.integer]:
        """Where a phrase begins."""
        length = len(phrase.words)
        at = self._at[self._number[phrase.words[0].stem]]
        at = at[at + length <= len(self._stems)]
        for step, word in enumerate(phrase.words):
            at = at[self._stems[at + step] == token("", word.stem) >> 8]
        whole: NDArray[np.integer] = at[self._slots[at] == self._slots[at + length - 1]]
        return whole

    def _stand_close(self, words: Sequence[Word]) -> NDArray[np.bool_]:
        """Whether each two neighbours among these words stand side by side, in this order, somewhere on the page; one
        word without subject may stand between."""
        at, pair = self._near(words, 2)
        slots = self._slots[at].astype(np.intp) // len(PARTS) * (len(words) - 1) + pair
        found = np.bincount(slots, minlength=len(self.pages) * (len(words) - 1)).reshape(len(self.pages), -1)
        close: NDArray[np.bool_] = np.logical_and.reduce(found > 0, axis=1)
        return close

    def _near(self, words: Sequence[Word], steps: int) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
        """Where each word stands with the next one so many words after it, at most, and which word it is."""
        numbers = [self._number[word.stem] for word in words]
        lefts = [self._at[number] for number in numbers[:-1]]
        which = np.repeat(np.arange(len(lefts)), [len(at) for at in lefts])
        at = np.concatenate(lefts)
        # The places of all stems one stem after the other, so that each is looked up among those of its neighbour.
        away, everywhere = len(self._stems) + steps + 1, self._everywhere(len(self._stems) + steps + 1)
        wanted = np.array(numbers[1:])[which] * away + at
        after = np.searchsorted(everywhere, wanted, "right")
        nearest = everywhere[np.minimum(after, len(everywhere) - 1)] - wanted
        near = (nearest > 0) & (nearest <= steps)
        at, which, nearest = at[near], which[near], nearest[near]
        whole = self._slots[at] == self._slots[at + nearest]
        return at[whole], which[whole]

    def _everywhere(self, away: int) -> NDArray[np.integer]:
        return np.concatenate([at + number * away for number, at in enumerate(self._at)])

    def _pairs(self, words: Sequence[Word], names: Collection[tuple[int, int]]) -> tuple[Names, Scores]:
        """What each two neighbouring words are worth that stand close together, in this order; of a name, nothing."""
        ranking, idf, size, count = self._ranking, self._idf, len(self.pages), len(words) - 1
        weights = (("title", ranking.pair_title), ("body", ranking.pair))
        at, pair = self._near(words, 1 + ranking.slop)
        pages, parts = np.divmod(self._slots[at], np.int32(len(PARTS)))
        found = np.bincount((pages * count + pair) * len(PARTS) + parts, minlength=size * count * len(PARTS))
        counts = found.reshape(size, count, len(PARTS))[:, :, _NEIGHBOURS]
        worth = [
            [weight * (idf(part, left.stem) + idf(part, right.stem)) for part, weight in weights]
            for left, right in pairwise(words)
        ]
        for start, end in names:
            worth[start : end - 1] = [[0.0] * len(weights)] * (end - 1 - start)
        given = (K1 + 1) * counts / (counts + self._norms[:, None, _NEIGHBOURS]) * worth
        return (
            lambda: [f"{part}: {left.stem} {right.stem}" for left, right in pairwise(words) for part, _ in weights],
            given.reshape(size, -1),
        )

    # --- signs of the query as a whole ---------------------------------------------------------------------------

    def _covered(self, words: Sequence[Word], asked: Asked, titles: Scores) -> Scores:
        """The share of each title that the words cover, each stem that carries a subject counting once, and as much as
        it is telling."""
        telling = np.zeros(len(self._column))
        for word, worth in zip(words, asked.telling.tolist(), strict=True):
            telling[self._first(word)] = worth
        shares: Scores = (self._titled @ telling) / np.where(titles, titles, 1)
        return shares

    def _passage(self, words: Sequence[Word]) -> Scores:
        """The share of the words, by how telling they are, that the best passage of each text holds: any two
        neighbouring halves of a passage."""
        telling = np.zeros(len(self._column))
        for word in words:
            telling[self._first(word)] = self._idf("body", word.stem)
        most = int(self.pages.kept[:, _BODY].max(initial=0)) // (PASSAGE_WORDS // 2) + 2
        held = np.zeros((len(self.pages), most, len(telling)), bool)
        inside = self._in_body >= 0
        pages, half, column = self._pages[inside], self._in_body[inside] // (PASSAGE_WORDS // 2), self._columns[inside]
        held[pages, half, column] = held[pages, half + 1, column] = True
        best: Scores = (held @ telling).max(axis=1)
        return best / (telling.sum() or 1.0)

    def _first(self, word: Word) -> int:
        """The first column of the stem of a word: a stem that was typed in two forms counts once."""
        return next(column for (_, stem), column in self._column.items() if stem == word.stem)


def subject(words: Sequence[Word], gains: Sequence[Gain | Gained]) -> Sequence[Word]:
    """The words that say what is asked for, rather than where: those of no name, or all when there are no others."""
    named = {place for start, end in _names_in(gains) for place in range(start, end)}
    return [word for place, word in enumerate(words) if place not in named] or words


def _names_in(gains: Sequence[Gain | Gained]) -> set[tuple[int, int]]:
    """From where to where the words name a territory that has pages."""
    return {(gain.start, gain.end) for gain in gains if gain.start < gain.end}


def _names(word: Word) -> list[str]:
    """What a word is called in each field."""
    return [f"{field}: {word.word if field.endswith('_words') else word.stem}" for field in _FIELDS]


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

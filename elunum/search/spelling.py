"""Misspelt words -> words of the index. Nothing is learnt from readers: the vocabulary is that of the pages.

A word that French knows is right, whether the pages have it or not: see docs/decisions/spelling.md.
"""

from __future__ import annotations

import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from itertools import chain, islice
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import OSA
from rapidfuzz.process import extract

from elunum import geo
from elunum.expressions import said
from elunum.index.tags import load_referentiel
from elunum.search.parse import Word
from elunum.text import fold, stem, words

MIN_LETTERS = 5
"""Shorter words have too many neighbours, and are acronyms as often as words."""

LONG = 7
"""Letters that both words have when two edits part them: « vapoter » is not « voter »."""

RARE = 2
"""A word met more often is not doubted; pages have misspellings too."""

MUCH_MORE = 30
"""A word that is in the index is only doubted for one this many times more frequent."""

SOUND_ALIKE = ("ckqs", "fp", "gj", "aehio")
"""First letters that are taken for one another: « kantine », « fotovoltaïque », « arcèlement ». Other slips seldom
touch the first letter, and « disent » is not « visent »."""

ELIDED = "dlnsmtcj"
"""First letters that may be an article whose apostrophe is missing: « dessai » is « d'essai »."""

MAX_DOUBTED = 8
"""Words of a query that are compared with the vocabulary: each may cost milliseconds, and nobody misspells more."""


class _Near(NamedTuple):
    word: str
    away: int  # letters missing, added, replaced or crossed
    often: int  # as the pages have it


class Spelling:
    """The vocabulary of an index version, and the corrections it allows."""

    def __init__(self, vocabulary: Counter[str]) -> None:
        """vocabulary: words as written, in lower case, with their counts, most frequent first."""
        self._count: Counter[str] = Counter()
        self._shown: dict[str, str] = {}
        for form, count in vocabulary.items():  # the first form met is the one shown
            word = fold(form)
            self._count[word] += count
            self._shown.setdefault(word, form)
        self._by_initial: dict[str, list[str]] = defaultdict(list)
        for word in self._count:
            if len(word) >= MIN_LETTERS - 1:
                self._by_initial[word[0]].append(word)
        _french()  # read now rather than at the first reader's expense

    def correction(self, word: str) -> str | None:
        """What a folded word was probably meant to be, with its accents; None when it seems right."""
        if not self._doubted(word):
            return None
        best = self._nearest(word)
        if best is not None:
            # Another form of the word itself (« voilées », « voilée ») finds the same pages.
            return None if stem(best) == stem(word) else self._shown[best]
        return None if self._count[word] else self._cut(word)

    def _doubted(self, word: str) -> bool:
        return len(word) >= MIN_LETTERS and word.isalpha() and self._count[word] <= RARE and not is_french(word)

    def _nearest(self, word: str) -> str | None:
        """What sounds the same, else the nearest, else the most frequent."""
        if word[0] in ELIDED and word[1] in "aehiouy" and self._count[word[1:]] >= self._enough(word):
            return word[1:]
        said = sound(word)
        alike = {word[0]}.union(*(letters for letters in SOUND_ALIKE if word[0] in letters))
        found = []
        for one in self._near(word, alike, 2 if len(word) >= LONG else 1):
            # Two letters away with another ending is another word of the family: « annualisé », « annualisation ».
            kindred = one.word[0] == word[0] and one.word[-2:] == word[-2:]
            if one.away == 1 or (len(one.word) >= LONG and (kindred or sound(one.word) == said)):
                found.append(one)
        best = max(found, key=lambda one: (sound(one.word) == said, -one.away, one.often, one.word), default=None)
        return best.word if best else None

    def _near(self, word: str, initials: Iterable[str], distance: int) -> list[_Near]:
        """Words at this distance at most that begin with one of these letters, and are frequent enough."""
        enough = self._enough(word)
        return [
            _Near(other, int(away), self._count[other])
            for initial in initials
            for other, away, _ in extract(
                word, self._by_initial.get(initial, ()), scorer=OSA.distance, score_cutoff=distance, limit=30
            )
            # A word that the pages have once is right, or a slip of theirs.
            if away and (self._count[other] >= enough or (not self._count[word] and is_french(other)))
        ]

    def _enough(self, word: str) -> int:
        return max(2, self._count[word] * MUCH_MORE)

    def _cut(self, word: str) -> str | None:
        """Two words written as one: « budgetparticipatif »."""
        cuts = [(word[:at], word[at:]) for at in range(5, len(word) - 4)]
        best = max(cuts, key=lambda pair: min(self._count[pair[0]], self._count[pair[1]]), default=None)
        if best is None or min(self._count[best[0]], self._count[best[1]]) < 3:
            return None
        return f"{self._shown[best[0]]} {self._shown[best[1]]}"

    def corrected(self, text: str, words: Sequence[Word]) -> str | None:
        """The text typed with its doubtful plain words replaced; None when there are none."""
        changed = text
        for word in islice((word for word in words if self._doubted(word.word)), MAX_DOUBTED):
            if (better := self.correction(word.word)) is not None:
                changed = _replaced(changed, word.text, better)
        return changed if changed != text else None


_SOUNDS = tuple(
    (re.compile(written), spoken)
    for written, spoken in (
        ("ph", "f"), ("eau|au", "o"), ("ai|ei", "e"), ("y", "i"), ("ch(?![rl])", "1"), ("h", ""), ("ti(?=on)", "si"),
        ("sc(?=[ei])", "s"), ("c(?=[ei])", "s"), ("qu|[cq]", "k"), ("g(?=[ei])", "j"), ("je(?=[ao])", "j"),
        ("m(?=[bp])", "n"), ("en", "an"), ("[xz]", "s"), (r"(.)\1+", r"\1"),
    )
)  # fmt: skip
"""Letters of a folded word and what they are said like, in the order in which they are rewritten."""


def sound(word: str) -> str:
    """How a folded word sounds, roughly: two spellings of one sound have the same."""
    for written, spoken in _SOUNDS:
        word = written.sub(spoken, word)
    return word


def is_french(word: str) -> bool:
    """Whether a folded word is right, whatever the pages hold: in a list of French words, in ours, the name of a
    territory, or in those of several (« provence »)."""
    known, sought = _french(), hash(word)
    at = int(np.searchsorted(known, sought))
    return (at < len(known) and int(known[at]) == sought) or bool(geo.load().named(word))


@cache
def _french() -> NDArray[np.int64]:
    """The hashes of the words of the lists and of names, sorted: 1 MB, where a set of words takes 15."""
    listed = files("spellchecker").joinpath("resources", "fr.json.gz").read_bytes()
    ours = [text for one in said() for text in (one.typed, one.other)]
    ours += [expression.text for expression in load_referentiel().expressions]
    french = map(fold, msgspec.json.decode(gzip.decompress(listed), type=dict[str, int]))
    named = Counter(word for name in geo.load().names() for word in set(name.split()))
    several = (word for word, names in named.items() if names > 1)
    return np.sort(np.fromiter(map(hash, chain(french, words("\n".join(ours)), several)), np.int64))


def _replaced(text: str, old: str, new: str) -> str:
    """The text with the first whole word `old` replaced."""
    start = 0
    while (at := text.find(old, start)) >= 0:
        end = at + len(old)
        if (at == 0 or not text[at - 1].isalnum()) and (end == len(text) or not text[end].isalnum()):
            return text[:at] + new + text[end:]
        start = end
    return text

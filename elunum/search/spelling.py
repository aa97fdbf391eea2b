"""Misspelt words -> words of the index. Nothing is learnt from readers: the vocabulary is that of the pages."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice

from rapidfuzz.distance import OSA
from rapidfuzz.process import extract

from elunum.search.parse import Word
from elunum.text import fold

MIN_LETTERS = 4
"""Shorter words have too many neighbours."""

RARE = 2
"""A word met more often is not doubted; pages have misspellings too."""

MUCH_MORE = 30
"""A word that is in the index is only doubted for one this many times more frequent."""


MAX_DOUBTED = 8
"""Words of a query that are compared with the vocabulary: each may cost milliseconds, and nobody misspells more."""


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
        for word, count in self._count.items():
            if count > 1 and len(word) >= MIN_LETTERS:
                self._by_initial[word[0]].append(word)

    def correction(self, word: str) -> str | None:
        """What a folded word was probably meant to be, with its accents; None when it seems right."""
        if not self._doubted(word):
            return None
        best = self._near(word, [word[0]], 1)
        if best is None and len(word) >= 7:
            best = self._near(word, [word[0]], 2)
        if best is None:
            best = self._near(word, self._by_initial.keys() - {word[0]}, 1)
        if best is not None:
            return self._shown[best]
        return None if self._count[word] else self._cut(word)

    def _doubted(self, word: str) -> bool:
        return len(word) >= MIN_LETTERS and word.isalpha() and self._count[word] <= RARE

    def _near(self, word: str, initials: Iterable[str], distance: int) -> str | None:
        """The most frequent word at this distance at most that begins with one of these letters."""
        enough = max(2, self._count[word] * MUCH_MORE)
        found = []
        for initial in initials:
            for other, away, _ in extract(
                word, self._by_initial.get(initial, ()), scorer=OSA.distance, score_cutoff=distance, limit=30
            ):
                if away and self._count[other] >= enough:
                    found.append((-away, self._count[other], other))
        return max(found)[2] if found else None

    def _cut(self, word: str) -> str | None:
        """Two words written as one: « budgetparticipatif »."""
        cuts = [(word[:at], word[at:]) for at in range(3, len(word) - 2)]
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


def _replaced(text: str, old: str, new: str) -> str:
    """The text with the first whole word `old` replaced."""
    start = 0
    while (at := text.find(old, start)) >= 0:
        end = at + len(old)
        if (at == 0 or not text[at - 1].isalnum()) and (end == len(text) or not text[end].isalnum()):
            return text[:at] + new + text[end:]
        start = end
    return text

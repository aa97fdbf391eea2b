"""The lines under a title: the part of a text that answers best, escaped, the words found in <mark>."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from html import escape

from elunum.text import analysed, fold, forms_of

CHARS = 280
"""Length aimed at, before escaping."""

MAX_MATCHES = 100
"""Words looked at in one text: the best part is among the first ones, or nearly as good."""

TOGETHER = 60
"""Characters within which the words of another way to say a query must stand: « espace de travail partagé »."""

_SENTENCE = re.compile(r"(?:[.!?…:;]\s+|\n)")
_BLANKS = re.compile(r"[^\S\u00a0\u202f]{2,}|[^\S \u00a0\u202f]")
"""What is shown as one space; those that keep a number together stay."""


class Snippets:
    """The best parts of texts for the words of one query."""

    def __init__(
        self, wanted: Collection[str] = (), expressions: Sequence[Collection[str]] = (), chars: int = CHARS
    ) -> None:
        """wanted: stems. expressions: sets of stems that count only where all of a set stand close together."""
        self._wanted, self._expressions, self._chars = wanted, expressions, chars
        self._skimmer = Skimmer({*wanted}.union(*expressions))

    def of(self, text: str) -> str:
        """HTML of the best part of `text` (in NFC). The only tag is <mark>.

        It holds the most different stems, then the most of them, then comes first. Without any, the beginning.
        """
        found = self._skimmer.matches(text)
        if self._expressions:
            wanted, expressions = self._wanted, self._expressions
            found = [match for at, match in enumerate(found) if match[2] in wanted or _whole(found, at, expressions)]
        start = _sentence_start(text, _best(found, self._chars)) if found else 0
        end = min(len(text), start + self._chars)
        if end < len(text) and (space := max(text.rfind(" ", start, end), text.rfind("\n", start, end))) > start:
            end = space
        shown = escape(_BLANKS.sub(" ", _with_marks(text, start, end, found)).strip())
        html = shown.replace(_OPEN, "<mark>").replace(_CLOSE, "</mark>")
        return f"{'… ' if start > 0 else ''}{html}{' …' if end < len(text) else ''}"


_OPEN, _CLOSE = "\x02", "\x03"
"""Stand for the tags of <mark> until the rest is escaped; taken out of texts first."""

_NO_MARKS = {ord(_OPEN): " ", ord(_CLOSE): " "}


def _with_marks(text: str, start: int, end: int, found: list[tuple[int, int, str]]) -> str:
    """The text from `start` to `end`, the words found inside it between marks."""
    part = text[start:end]
    if _OPEN in part or _CLOSE in part:
        part = part.translate(_NO_MARKS)
    pieces, at = [], start
    for first, last, _ in found:
        if first >= at and last <= end:
            pieces += [part[at - start : first - start], _OPEN, part[first - start : last - start], _CLOSE]
            at = last
    return "".join([*pieces, part[at - start :]])


class Skimmer:
    """Finds the words of some stems in texts.

    A text is first skimmed for words that begin like a wanted stem; only those are analysed. Skimming works on one byte
    a character, so places in the bytes are places in the text: ISO 8859-1, and œ, which it lacks to write French whole.
    """

    def __init__(self, wanted: Collection[str]) -> None:
        self._wanted = wanted
        self._heads = sorted({head for stem in wanted for head in _heads(stem)})

    def matches(self, text: str) -> list[tuple[int, int, str]]:
        """Start, end and stem of each word of the text whose stem is wanted, in order."""
        if not self._heads:
            return []
        letters = text.replace("œ", _OE).replace("Œ", _OE).encode("latin-1", "replace")
        skimmed = b" " + letters.translate(_BARE) + b" "
        wanted, find = self._wanted, skimmed.find
        found: list[tuple[int, int, str]] = []
        for head in self._heads:
            room = len(found) + MAX_MATCHES // len(self._heads)
            at = find(head)
            while at >= 0 and len(found) < room:
                end = find(b" ", at + 1)
                stem = analysed(text[at : end - 1])[1]
                if stem in wanted:
                    found.append((at, end - 1, stem))
                at = find(head, end)
        found.sort()
        return found


def _whole(found: list[tuple[int, int, str]], at: int, expressions: Sequence[Collection[str]]) -> bool:
    """Whether an expression that holds this match stands whole around it."""
    low = high = at
    while low and found[at][0] - found[low - 1][0] <= TOGETHER:
        low -= 1
    while high + 1 < len(found) and found[high + 1][0] - found[at][0] <= TOGETHER:
        high += 1
    near = {stem for _, _, stem in found[low : high + 1]}
    return any(found[at][2] in expression and near.issuperset(expression) for expression in expressions)


def _heads(stem: str) -> set[bytes]:
    """How the words of this stem begin in a skimmed text, after a space."""
    heads = [b" " + form[:4].encode("ascii", "ignore") for form in (stem, *forms_of(stem))]
    return {way for head in heads if len(head) > 1 for way in (head, head.replace(b"oe", _OE.encode("latin-1")))}


_OE = "\x9c"
"""Stands for œ in a skimmed text."""


def _bare(byte: int) -> int:
    folded = fold(chr(byte))
    bare = len(folded) == 1 and folded.isascii() and folded.isalnum()
    return ord(folded) if bare else byte if chr(byte) == _OE else 0x20


_BARE = bytes(_bare(byte) for byte in range(256))
"""Each byte of ISO 8859-1 -> its letter without accent or capital, or a space."""


def _best(found: list[tuple[int, int, str]], chars: int) -> int:
    """Where the best window starts: a sliding window over the matches."""
    best, best_key = found[0][0], (0, 0)
    counts: dict[str, int] = {}
    first = 0
    for _, end, stem in found:
        counts[stem] = counts.get(stem, 0) + 1
        while end - found[first][0] > chars * 3 // 4:
            old = found[first][2]
            counts[old] -= 1
            if not counts[old]:
                del counts[old]
            first += 1
        key = (len(counts), min(sum(counts.values()), 6))
        if key > best_key:
            best, best_key = found[first][0], key
    return best


def _sentence_start(text: str, start: int) -> int:
    """The beginning of the sentence around `start` when it is near, else of the word."""
    low = max(0, start - 90)
    before = [match.end() for match in _SENTENCE.finditer(text, low, start)]
    if before:
        return before[-1]
    if low == 0:
        return 0
    space = text.rfind(" ", low, start)
    return space + 1 if space > 0 else start

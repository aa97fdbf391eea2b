"""The lines under a title: the part of a text that answers best, escaped, the words found in <mark>."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from html import escape

from elunum.text import analysed, fold

CHARS = 280
"""Length aimed at, before escaping."""

MAX_MATCHES = 100
"""Words looked at in one text: the best part is among the first ones, or nearly as good."""

TOGETHER = 60
"""Characters within which the words of another way to say a query must stand: « espace de travail partagé »."""

_SENTENCE = re.compile(r"(?:[.!?…:;]\s+|\n)")
_SPACE = re.compile(r"\s+")


def snippet(text: str, wanted: Collection[str], expressions: Sequence[Collection[str]] = (), chars: int = CHARS) -> str:
    """HTML of the best part of `text` (in NFC) for the stems `wanted`. The only tag is <mark>.

    expressions: sets of stems that count only where all of a set stand close together.
    The best part holds the most different stems, then the most of them, then comes first. Without any, the beginning.
    """
    found = _matches(text, {*wanted}.union(*expressions))
    if expressions:
        found = [match for at, match in enumerate(found) if match[2] in wanted or _whole(found, at, expressions)]
    start = _best(found, chars) if found else 0
    start = _sentence_start(text, start)
    end = min(len(text), start + chars)
    if end < len(text) and (space := max(text.rfind(" ", start, end), text.rfind("\n", start, end))) > start:
        end = space
    shown = "".join(_with_marks(text, start, end, found))
    html = _plain(shown).replace(_OPEN, "<mark>").replace(_CLOSE, "</mark>")
    return f"{'… ' if start > 0 else ''}{html}{' …' if end < len(text) else ''}".strip()


_OPEN, _CLOSE = "\x02", "\x03"
"""Stand for the tags of <mark> until the rest is escaped; taken out of texts first."""

_NO_MARKS = {ord(_OPEN): " ", ord(_CLOSE): " "}


def _with_marks(text: str, start: int, end: int, found: list[tuple[int, int, str]]) -> Iterator[str]:
    """The text from `start` to `end`, the words found inside it between marks."""
    at = start
    for first, last, _ in found:
        if first >= at and last <= end:
            yield _unmarked(text[at:first])
            yield f"{_OPEN}{text[first:last]}{_CLOSE}"
            at = last
    yield _unmarked(text[at:end])


def _unmarked(text: str) -> str:
    return text.translate(_NO_MARKS) if _OPEN in text or _CLOSE in text else text


def marked(text: str, wanted: Collection[str]) -> str:
    """HTML of the whole text, escaped, the words of these stems in <mark>."""
    pieces, at = [], 0
    for first, last, _ in _matches(text, wanted):
        pieces += [_plain(text[at:first]), "<mark>", _plain(text[first:last]), "</mark>"]
        at = last
    return "".join([*pieces, _plain(text[at:])])


def _plain(text: str) -> str:
    return escape(_SPACE.sub(" ", text))


def _matches(text: str, wanted: Collection[str]) -> list[tuple[int, int, str]]:
    """Start, end and stem of each word of the text whose stem is wanted.

    The text is first skimmed for words that begin like a wanted stem; only those are analysed. Skimming works on one
    byte a character (Windows-1252, which writes French whole), so places in the bytes are places in the text.
    """
    skimmed = b" " + text.encode("cp1252", "replace").translate(_BARE) + b" "
    heads = {variant for stem in wanted for variant in _heads(stem)}
    found: list[tuple[int, int, str]] = []
    for head in heads:
        room = len(found) + MAX_MATCHES // len(heads)
        at = skimmed.find(head)
        while at >= 0 and len(found) < room:
            end = skimmed.index(b" ", at + 1)
            stem = analysed(text[at : end - 1])[1]
            if stem in wanted:
                found.append((at, end - 1, stem))
            at = skimmed.find(head, end)
    return sorted(found)


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
    """How a word of this stem begins in a skimmed text, after a space."""
    head = b" " + stem[:4].encode("ascii", "ignore")
    return {head, head.replace(b"oe", b"\x9c")} if len(head) > 1 else set()


def _bare(byte: int) -> int:
    letter = bytes([byte]).decode("cp1252", "replace")
    if letter in "œŒ":
        return 0x9C
    folded = fold(letter)
    return ord(folded) if len(folded) == 1 and folded.isascii() and folded.isalnum() else 0x20


_BARE = bytes(_bare(byte) for byte in range(256))
"""Each byte of Windows-1252 -> its letter without accent or capital, œ for both of its cases, or a space."""


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

"""Expressions of ours written as they are heard, with other French words: « conte rendu », « fond de concours ».

Each word is right: only the pages tell, of which none or few say what was typed, and many what it sounds like. That is
only ever proposed. See docs/decisions/spelling.md.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import NamedTuple

from elunum.expressions import said
from elunum.index.tags import load_referentiel
from elunum.search.parse import Phrase, Word
from elunum.search.places import BIG_ENOUGH, Place
from elunum.search.spelling import MUCH_MORE, sound
from elunum.search.synonyms import clause_of
from elunum.text import STOP_WORDS, fold, nfc, spans

LONGEST = 4
"""Words with a subject of the expressions that are looked for."""

MOST_ASKED = 3
"""Expressions of a query that pages are asked for: that is reading where words stand. Nobody misspells more."""

SHORT = 3
"""A word of fewer letters sounds like too many others."""


class _Expression(NamedTuple):
    text: str
    stem: str  # of the word that is left out of its key
    heard: str  # how that word sounds; empty when it is short


def meant(text: str, words: Sequence[Word], named: Sequence[Place], pages: Callable[[Phrase], int]) -> str | None:
    """The text typed with an expression in place of what sounds like it; None when there is none.

    words: the plain ones of the text that carry a subject. named: what they name; a territory of some size is meant.
    pages: how many hold a phrase, in any form of its words.
    """
    if len(words) < 2:
        return None
    text = nfc(text)
    for start, end, expressions in islice(_alike(words), MOST_ASKED):
        place = _place(text, words[start:end])
        if place is None or any(name.start < end and start < name.end and _is_known(name) for name in named):
            continue
        typed = _phrase(text[slice(*place)])
        others = ((one.text, _phrase(one.text)) for one in expressions)
        asked = {other: pages(phrase) for other, phrase in others if len(phrase.words) >= len(typed.words)}
        best = max(asked, key=lambda other: (asked[other], -len(other), other), default="")
        if best and asked[best] >= max(2, pages(typed) * MUCH_MORE):
            return text[: place[0]] + best + text[place[1] :]
    return None


def _phrase(text: str) -> Phrase:
    phrase = clause_of(text)
    assert isinstance(phrase, Phrase)  # of several words with a subject
    return phrase


def _alike(words: Sequence[Word]) -> Iterator[tuple[int, int, list[_Expression]]]:
    """Words, from start to end (excluded), and the expressions that differ from them by a word that sounds the same."""
    sounds = cache(heard)  # for as long as one query
    for start in range(len(words) - 1):
        for end in range(min(start + LONGEST, len(words)), start + 1, -1):
            found = _differing(words[start:end], sounds)
            if found is None:
                break
            if found:
                yield start, end, found


def _differing(words: Sequence[Word], sounds: Callable[[str], str]) -> list[_Expression] | None:
    """The expressions that differ from these words by one that sounds the same; None when the words are one of ours."""
    known, stems = _by_others(), [word.stem for word in words]
    found = []
    for at, word in enumerate(words):
        expressions = known.get((at, *stems[:at], *stems[at + 1 :]), ())
        if any(one.stem == word.stem for one in expressions):
            return None
        if expressions and len(word.text) >= SHORT:
            found += [one for one in expressions if one.heard == sounds(word.text)]
    return found


def _is_known(name: Place) -> bool:
    return name.territories[0].population >= BIG_ENOUGH  # there is a village called Conte, another called Mère


def _place(text: str, words: Sequence[Word]) -> tuple[int, int] | None:
    """From where to where these words stand in the text with no other that has a subject between them."""
    found = [span for span in spans(text) if span.word not in STOP_WORDS]
    wanted = [word.word for word in words]
    for at in range(len(found) - len(wanted) + 1):
        part = found[at : at + len(wanted)]
        if [span.word for span in part] == wanted:
            return part[0].start, part[-1].end
    return None


_CLOSED = re.compile(r"(?<=..)(?:er|ez|ée?s?)$")
_SILENT = re.compile(r"(?<=..)[dpstx]+$")


def heard(form: str) -> str:
    """How a word sounds, as written: as `sound` says, its silent end left out. « payer » sounds like « payés »."""
    form = form.lower()
    if (closed := _CLOSED.sub("", form)) != form:
        return sound(fold(closed)).replace("pt", "t") + "é"
    form = fold(form).removesuffix("s")
    form = form[:-1] if form.endswith("e") and len(form) > SHORT else _SILENT.sub("", form)
    return sound(form).replace("pt", "t")


@cache
def _by_others() -> dict[tuple[int | str, ...], list[_Expression]]:
    """Our expressions of several words, by the place of one of those with a subject and the stems of the others."""
    texts = [text for one in said() for text in (one.typed, one.other)]
    texts += [expression.text for expression in load_referentiel().expressions]
    found: dict[tuple[int | str, ...], list[_Expression]] = defaultdict(list)
    sounds: dict[str, str] = {}
    for text in dict.fromkeys(texts):
        words = [span for span in spans(text) if span.word not in STOP_WORDS]
        if not 1 < len(words) <= LONGEST:
            continue
        stems = [span.stem for span in words]
        for at, span in enumerate(words):
            form = text[span.start : span.end]
            if form not in sounds:
                sounds[form] = heard(form) if len(form) >= SHORT else ""
            found[at, *stems[:at], *stems[at + 1 :]].append(_Expression(text, span.stem, sounds[form]))
    return dict(found)

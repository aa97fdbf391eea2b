"""Words as the index and the query both see them: folding, elision, stems.

One analysis serves both sides: whatever is done to a page is done to a query, so they can only agree.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

FRENCH = Path(__file__).with_name("french")
"""The lists of words that analysis and search use: data, one subject a file."""

MAX_WORD_CHARS = 40
"""A longer word is cut: base64 and glued text would fill the dictionary of the index."""


def _lines(name: str) -> list[str]:
    lines = (FRENCH / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _listed(name: str) -> frozenset[str]:
    return frozenset(word for line in _lines(name) for word in line.split())


_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae", "ø": "o", "đ": "d", "ł": "l", "ħ": "h", "ŧ": "t"})
_MARKS = re.compile(r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+")

_APOSTROPHES = "'’\u02bc`\u00b4"

_LETTERS = {"a": "[aà-å]", "c": "[cç]", "e": "[eè-ë]", "i": "[iì-ï]", "n": "[nñ]", "u": "[uù-ü]"}


def _any_of(endings: str) -> str:
    """A pattern for these endings, with accents or without."""
    return "|".join("".join(_LETTERS.get(letter, letter) for letter in ending) for ending in endings.split())


_INCLUSIVE = (
    # Both genders at once: « élu·e·s », « agent.e.s », « acteur-rice-s », « assistant(e)s ». Such an ending stands
    # after three letters at least. The mark is looked for first: words without it are nearly all.
    r"(?=[·‧(.-])"
    rf"(?<=[^\W\d_]{{3}})(?i:[·‧](?:{_any_of('e ne le te ve se sse ere iere ive rice trice euse ale s x')})(?:[·‧]?s)?"
    rf"|\((?:{_any_of('e es ne nes le les s x rice trice')})\)s?|[.-](?:{_any_of('e ne rice trice euse')})(?:[.-]?s)?)"
    r"(?![^\W_])"
)
_ENDING = re.compile(_INCLUSIVE)

_WORD = re.compile(
    # Thousands are one number: « 10 000 habitants » is found by 10000.
    r"\d{1,3}(?:[\u00a0\u2009\u202f .]\d{3})+(?!\d)"
    # Letters with points between are an acronym: « C.C.A.S. » is found by CCAS.
    r"|[^\W\d_](?=\.)(?<![^\W_][^\W\d_])(?:\.[^\W\d_])+(?![^\W_])"
    # « L1234-9 » and « L. 1234-9 » are one article of law, « D951 » and « D 951 » one road.
    r"|[lrdLRD](?=\d{3})(?<![^\W_][lrdLRD])"
    # A word keeps the apostrophe that ends it: that is how an elided article is known, so « qualité de l'eau » has no
    # hole in it.
    rf"|[^\W_]+(?:[{_APOSTROPHES}]|{_INCLUSIVE})?"
)
_ELIDED = frozenset({"c", "d", "j", "l", "m", "n", "s", "t", "qu", "jusqu", "lorsqu", "puisqu", "quoiqu"})
"""Folded words that are dropped when an apostrophe ends them."""

_NOT_WORD = re.compile(r"[\W_]+")


class Span(NamedTuple):
    """A word of a text: where it stands, folded, and its stem."""

    start: int
    end: int
    word: str
    stem: str


def fold(text: str) -> str:
    """The text in lower case without accents or ligatures. `fold(fold(t)) == fold(t)`.

    Compatibility forms first (NFKD), for some capitals only show after it: U+1D54A is a plain S.
    """
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKD", text).casefold()
    text = _MARKS.sub("", unicodedata.normalize("NFKD", text)).translate(_LIGATURES)
    return text if text.isascii() else _settled(text)


def _settled(text: str) -> str:
    """Fold again until nothing moves: rare scripts need it; two rounds have always been enough."""
    for _ in range(4):
        again = unicodedata.normalize("NFKD", text).casefold()
        again = _MARKS.sub("", unicodedata.normalize("NFKD", again)).translate(_LIGATURES)
        if again == text:
            break
        text = again
    return text


def words(text: str) -> list[str]:
    """The folded words of a text, in order."""
    return [span.word for span in spans(nfc(text))]


def stems(text: str) -> list[str]:
    """The stems of a text, in order."""
    return [span.stem for span in spans(nfc(text))]


def forms(text: str) -> list[str]:
    """The words of a text as written, in lower case: what a spelling is corrected to."""
    return [_plain(form).lower() for form in _WORD.findall(nfc(text)) if form[-1] not in _APOSTROPHES]


def _plain(raw: str) -> str:
    """A word as matched, without its inclusive ending and the points of an acronym."""
    return raw if raw.isalnum() else _ENDING.sub("", raw).replace(".", "")


def spans(text: str) -> Iterator[Span]:
    """Each word of a text with its place. Offsets are those of `text` as given: pass it in NFC."""
    for match in _WORD.finditer(text):
        word, stem_ = _known.get(match[0]) or _analysed(match[0])
        if word:
            end = match.end() - (text[match.end() - 1] in _APOSTROPHES)
            yield Span(match.start(), end, word, stem_)


def nfc(text: str) -> str:
    """The text with composed accents: what `spans` expects."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def analyse(text: str) -> list[tuple[str, str]]:
    """The folded words of a page's text, each with its stem, in order: what the index holds.

    For pages alone: their words are remembered. What a reader types goes through `spans`, `words` and `stems`, which
    remember nothing.
    """
    known = _known
    return [pair for raw in _WORD.findall(nfc(text)) if (pair := known.get(raw) or analysed(raw))[0]]


_known: dict[str, tuple[str, str]] = {}
_MAX_KNOWN = 400_000


def analysed(raw: str) -> tuple[str, str]:
    """The folded form of a page's word and its stem. Remembered: pages repeat their words, and each other's."""
    if (pair := _known.get(raw)) is None:
        if len(_known) >= _MAX_KNOWN:
            _known.clear()
        pair = _known[raw] = _analysed(raw)
    return pair


def _analysed(raw: str) -> tuple[str, str]:
    word = _NOT_WORD.sub("", fold(_plain(raw)))[:MAX_WORD_CHARS]
    if raw[-1] in _APOSTROPHES and word in _ELIDED:
        word = ""
    return word, stem(word)


# --- stems -------------------------------------------------------------------------------------------------------

UNCHANGED = _listed("unchanged.txt") | {fold(line.partition(",")[0]) for line in _lines("acronyms.csv")[1:]}
"""Folded words whose last letters are no ending, or that a longer one of another meaning would meet; acronyms too."""

STOP_WORDS = _listed("stop_words.txt")
"""Folded words that carry no subject. Kept in the index, so phrases have no holes; left out of queries."""

_KEPT = UNCHANGED | STOP_WORDS
"""What no other word is cut down to: « danse » is not « dans », « course » is not « cours »."""

_ENDINGS = (
    ("iv", "if"),  # active, actif
    ("tric", "teu"),  # directrice, directeur
    ("eur", "eu"),
    ("eus", "eu"),  # chercheuse, chercheur; heureuse, heureux
    ("ais", "ai"),  # française, français
    ("ois", "oi"),
    ("er", ""),  # première, premier
)
"""What ends a word once its plural and its e are gone, and what its other gender leaves in common with it."""

_ORDINAL = re.compile(r"(\d+)(?:i?eme|e|ere|er|re|nde|nd)s?")


def _roman(number: int) -> str:
    return "x" * (number // 10) + ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")[number % 10]


_IRREGULAR = {
    # « XIXe siècle », « 19e », « 19ème »; but « vie » is a word.
    **{_roman(n) + ending: f"{n}e" for n in range(2, 31) if n != 6 for ending in ("e", "eme")},
    **dict(line.split() for line in _lines("irregular.txt")),
}

_FORMS: dict[str, list[str]] = defaultdict(list)
for _form, _stem in _IRREGULAR.items():
    _FORMS[_stem].append(_form)


def forms_of(stem: str) -> Sequence[str]:
    """The folded words of this stem that do not begin like it, among others: « neuve » is of « neuf »."""
    return _FORMS.get(stem, ())


def stem(word: str) -> str:
    """The stem of a folded word: plural and gender removed, families left apart.

    Deliberately light: « collectivité » is not « collecte », « logement » is not « log », « commune » is not
    « communication ». See docs/decisions/french-words.md for what was measured.
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if not word.isalpha():
        return f"{ordinal[1]}e" if (ordinal := _ORDINAL.fullmatch(word)) else word
    if len(word) < 4 or word in _KEPT:
        return word
    base = word
    if base.endswith("eaux"):
        return base[:-1]
    if base.endswith("aux") and len(base) > 4:
        return base[:-3] + "al"
    if base[-1] in "sx" and not base.endswith("ss"):
        base = base[:-1]
        if base in STOP_WORDS:
            return word
    for shorter in _shorter(base):
        if shorter in _KEPT:
            break
        base = shorter
    return base


def _shorter(base: str) -> Iterator[str]:
    """The singular of a word cut step by step."""
    while len(base) > 4 and base[-1] == "e":
        base = base[:-1]
        yield base
    for ending, common in _ENDINGS:
        if len(base) > 4 and base.endswith(ending):
            base = base[: -len(ending)] + common
            yield base
    if len(base) > 3 and base[-1] == base[-2]:
        yield base[:-1]

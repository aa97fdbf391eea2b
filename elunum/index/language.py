"""The language of a text: ISO 639-1 (Alsatian, which has no code there, is "gsw"), or "" when nothing says.

Small words tell French, which nine pages in ten are in, and Corsican and Alsatian, which no detector knows. A page that
says it is in French and that py3langid takes for French is. langdetect decides on the others; it has never heard of
Occitan or Breton, so py3langid, which has, is believed when the answer is one of the languages it mistakes them for.
"""

from __future__ import annotations

import re
from functools import cache

from langdetect import DetectorFactory, LangDetectException
from langdetect import detect_langs as langdetect_langs
from py3langid import classify

ENOUGH_CHARS = 100
"""Below this, the language that the page declares is believed."""

LOOKED_AT_CHARS = 600
"""More costs more and changes nothing: 2.7 ms at 500 characters, 6 ms at 2,000."""

_LETTERS = re.compile(r"[^\W\d_]+")
_SMALL_WORDS = {
    "fr": (
        "est dans pour avec sur au aux et une du des qui pas vous ce cette par ou sont nous votre vos il elle peut "
        "être leur ces ses cet si leurs dont fait où chez sous entre plus depuis comme aussi nos notre même toute tous"
    ),
    "co": (
        "hè hà ùn cù chì ellu ella elli pà pè trà ind anu induva induve duva duve cusì dopu ancu sò fà issu issa issi "
        "nimu tuttu quandu sottu contru modu nantu nantà sempri sempre senza ogni guasgi hannu eranu sarà serà"
    ),
    "gsw": (
        "isch ìsch esch nit nìt ùff vùn vùm ùn ùf ìn ìm mìt fer hàn het mr mer dr àss dàss às wàs dàs dìs odder àlli "
        "àlle wùrd wurd muess güet hüs züe zü züem äu öi gsi gsìnn sìnn sìn àn àm àls wànn kànn noh üs elsàss "
        "elsassisch elsasser ditsch"
    ),
}
_SMALL = {language: frozenset(words.split()) for language, words in _SMALL_WORDS.items()}
"""Four of them, and one word in ten or twelve: no neighbour writes so."""

_REGIONAL = {"oc", "br", "ca", "eu"}
"""py3langid is believed when it answers one of these and langdetect did not answer French."""

_DECLARED = {"co", "gsw"}
"""Corsican and Alsatian: whoever says that a page is in them is right, whatever its spelling."""


def language_of(text: str, declared: str = "") -> str:
    """Language of `text`. declared: what the page says of itself ("fr-FR"), believed for short texts."""
    said = declared.strip().lower().replace("_", "-").partition("-")[0]
    said = said if said in _DECLARED or (len(said) == 2 and said.isalpha() and said.isascii()) else ""
    sample = text[:LOOKED_AT_CHARS]
    if len(sample) < ENOUGH_CHARS or said in _DECLARED:
        return said
    return _detect(sample, said) or said


def _detect(sample: str, said: str) -> str:
    words = _LETTERS.findall(sample.lower())
    for language, small in _SMALL.items():
        found = [word for word in words if word in small]
        if len(set(found)) >= 4 and len(found) >= (0.1 if language == "fr" else 0.08) * len(words):
            return language
    second, _ = classify(sample)
    if second == said == "fr":
        return said  # titles and forms have few small words; two who agree cost a twentieth of the third
    _seed()
    try:
        best = langdetect_langs(sample)[0]
    except LangDetectException:
        return ""
    code = str(best.lang).partition("-")[0]
    if code == "fr" and best.prob > 0.9:
        return code
    return second if second in _REGIONAL else code


@cache
def _seed() -> None:
    """langdetect draws at random: the same text must always give the same answer."""
    DetectorFactory.seed = 0

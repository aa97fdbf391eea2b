"""The language of a text: ISO 639-1 (Alsatian, which has no code there, is "gsw"), or "" when nothing says.

langdetect decides on enough text; it has never heard of Occitan, Breton or Corsican, so py3langid, which has (but for
Corsican), is asked for a second opinion when the answer is one of the languages it mistakes them for.
"""

from __future__ import annotations

from functools import cache

from langdetect import DetectorFactory, LangDetectException
from langdetect import detect_langs as langdetect_langs
from py3langid import classify

ENOUGH_CHARS = 100
"""Below this, the language that the page declares is believed."""

LOOKED_AT_CHARS = 600
"""More costs more and changes nothing: 2.7 ms at 500 characters, 6 ms at 2,000."""

_REGIONAL = {"oc", "br", "ca", "eu"}
"""py3langid is believed when it answers one of these and langdetect did not answer French."""

_DECLARED = {"co", "gsw"}
"""Corsican and Alsatian: no detector knows them, and no page that is not in them says it is."""


def language_of(text: str, declared: str = "") -> str:
    """Language of `text`. declared: what the page says of itself ("fr-FR"), believed for short texts."""
    said = declared.strip().lower().replace("_", "-").partition("-")[0]
    said = said if said in _DECLARED or (len(said) == 2 and said.isalpha() and said.isascii()) else ""
    sample = text[:LOOKED_AT_CHARS]
    if len(sample) < ENOUGH_CHARS or said in _DECLARED:
        return said
    return _detect(sample) or said


def _detect(sample: str) -> str:
    _seed()
    try:
        best = langdetect_langs(sample)[0]
    except LangDetectException:
        return ""
    code = str(best.lang).partition("-")[0]
    if code == "fr" and best.prob > 0.9:
        return code
    second, _ = classify(sample)
    return second if second in _REGIONAL else code


@cache
def _seed() -> None:
    """langdetect draws at random: the same text must always give the same answer."""
    DetectorFactory.seed = 0

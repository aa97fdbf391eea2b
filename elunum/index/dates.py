"""When a page was published or last changed, as the page says: metadata, then what is written, then its address."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlsplit

from lxml.html import HtmlElement

from elunum.model import Page

OLDEST = date(1990, 1, 1)
"""Before the web: a date of birth, a law, or a mistake."""

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("janvier", "janv"),
            ("février", "fevrier", "févr", "fevr", "fév", "fev"),
            ("mars",),
            ("avril", "avr"),
            ("mai",),
            ("juin",),
            ("juillet", "juil"),
            ("août", "aout"),
            ("septembre", "sept"),
            ("octobre", "oct"),
            ("novembre", "nov"),
            ("décembre", "decembre", "déc", "dec"),
        ),
        start=1,
    )
    for name in names
}
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DIGIT = re.compile(r"\d")
_ISO = re.compile(r"\b((?:19|20)\d\d)-(\d\d?)-(\d\d?)(?!\d)")
_WRITTEN = re.compile(rf"\b(\d\d?)(?:\s?er)?\s+({_MONTH})\.?\s+((?:19|20)\d\d)\b", re.I)
_SLASHES = re.compile(r"\b(\d\d?)[/.-](\d\d?)[/.-]((?:19|20)\d\d)\b")
_IN_URL = re.compile(r"/((?:19|20)\d\d)[/-](\d\d)(?:[/-](\d\d))?(?=[/_-]|$)")
_SAYS = (
    r"(?:publi[ée]e?s?|mise?s? en ligne|mise?s? à jour|modifi[ée]e?s?|vérifi[ée]e?s?|actualis[ée]e?s?|posté|"
    r"(?:séance|réunion) du)"
)
_ANNOUNCED = re.compile(
    rf"\b{_SAYS}(?:\s+(?:le|en|depuis le|du))?\s*:?\s*(?:\w+di\s+|dimanche\s+)?"
    rf"(\d\d?(?:\s?er)?\s+(?:{_MONTH})\.?\s+\d{{4}}|\d\d?[/.-]\d\d?[/.-]\d{{4}})",
    re.I,
)
_PUBLISHED = (
    *("article:published_time", "og:published_time", "datepublished", "dc.date", "dcterms.date", "dc.date.issued"),
    *("dcterms.issued", "dcterms.created", "dc.date.created", "date", "pubdate", "publishdate", "publication_date"),
)
_MODIFIED = (
    *("article:modified_time", "og:updated_time", "datemodified", "dcterms.modified", "dc.date.modified"),
    *("last-modified", "revised", "lastmod"),
)


def parse_date(text: str) -> date | None:
    """The first date of a text: 2024-03-12, 12/03/2024 or « 12 mars 2024 », « 1er » included; None without one."""
    text = text[:300]
    if found := _ISO.search(text):
        return _date(found[1], found[2], found[3])
    if found := _WRITTEN.search(text):
        return _date(found[3], str(_MONTHS[found[2].lower()]), found[1])
    if found := _SLASHES.search(text):
        return _date(found[3], found[2], found[1])
    if (compact := text.strip()[:8]).isdigit() and len(compact) == 8:
        return _date(compact[:4], compact[4:6], compact[6:])
    return None


def _date(year: str, month: str, day: str) -> date | None:
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def announced_date(text: str) -> date | None:
    """The latest date that a text says it was published, voted, held or changed on."""
    found = [when for m in _ANNOUNCED.finditer(text) if (when := parse_date(m[1])) and when >= OLDEST]
    return max(found, default=None)


def date_of(page: Page, root: HtmlElement, meta: Mapping[str, str]) -> date | None:
    """The date of a page, or None. Dates before the web or after the visit are not believed.

    In order: what is written (« Mis à jour le 3 mai 2024 »), the publication in metadata (JSON-LD, meta elements), the
    last change in metadata, a lone `<time>`, the address. A publication is preferred to a change in metadata because
    systems touch every page when they move.
    """
    return next((d for d in _candidates(page, root, meta) if believable(d, page)), None)


def believable(when: date | None, page: Page) -> date | None:
    """The date, unless it is before the web or after the visit."""
    latest = page.fetched_at.date() + timedelta(days=1)
    return when if when is not None and OLDEST <= when <= latest else None


def _candidates(page: Page, root: HtmlElement, meta: Mapping[str, str]) -> Iterator[date | None]:
    yield max((when for text in _short_texts(root) if (when := announced_date(text))), default=None)
    linked = dict(_json_ld(root))
    for name in _PUBLISHED:
        yield from _parsed(linked.get(name), meta.get(name))
    for name in _MODIFIED:
        yield from _parsed(linked.get(name), meta.get(name))
    if len(marked := set(_marked(root))) == 1:
        yield marked.pop()
    times = {t.get("datetime") or t.text_content() for t in root.iter("time")}
    if len(times) == 1:
        yield parse_date(times.pop())
    if in_url := _IN_URL.search(urlsplit(page.url).path):
        yield _date(in_url[1], in_url[2], in_url[3] or "1")


def _parsed(*texts: str | None) -> Iterator[date]:
    for text in texts:
        if text and (found := parse_date(text)):
            yield found


_MAY_SAY = (
    *("p", "span", "div", "time", "li", "small", "em", "i", "strong", "b", "font", "td", "dd", "footer", "abbr"),
    *("center", "address"),
)
_MARKED = re.compile(r"(?:^|[\s_-])(?:published|info-publi|date-?publi\w*)(?:$|[\s_-])", re.I)


def _marked(root: HtmlElement) -> Iterator[date]:
    """Dates of what is named as the moment of publication: « mardi 14 novembre 2023 » with an ISO date for title."""
    for element in root.iter("abbr", "span", "p", "div", "time", "dd", "li"):
        names = element.get("class")
        if names and _MARKED.search(names):
            yield from _parsed(element.get("title"), element.get("datetime"), element.text_content()[:120])


def _short_texts(root: HtmlElement) -> Iterator[str]:
    """Texts short enough to be a mention of date rather than a sentence of the page."""
    for element in root.iter(*_MAY_SAY):
        text = element.text
        if text and len(text) < 200 and _DIGIT.search(text):
            yield text
        elif text and len(text) < 60 and len(element) and "time" in (child.tag for child in element):
            yield " ".join(element.itertext())[:200]


def _json_ld(root: HtmlElement) -> Iterable[tuple[str, str]]:
    """datePublished and dateModified of the first thing described that has one, names in lower case."""
    found: dict[str, str] = {}
    for script in root.iter("script"):
        if "ld+json" not in (script.get("type") or "") or len(script.text or "") > 200_000:
            continue
        try:
            described: Any = json.loads(script.text or "")
        except (ValueError, RecursionError):
            continue
        queue: list[Any] = [described]
        for _ in range(200):
            if not queue:
                break
            thing = queue.pop(0)
            if isinstance(thing, list):
                queue.extend(thing[:50])
            elif isinstance(thing, dict):
                for name in ("datePublished", "dateModified"):
                    if isinstance(value := thing.get(name), str):
                        found.setdefault(name.lower(), value)
                queue.extend(value for key, value in list(thing.items())[:50] if isinstance(value, dict | list))
    return found.items()

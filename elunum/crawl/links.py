"""What a page says to crawlers: where it links to, whether it wants to be indexed, and what its text amounts to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from selectolax.lexbor import LexborHTMLParser

MAX_HTML_BYTES = 1_000_000
"""Links beyond are not looked for."""

MAX_LINKS = 2_000
"""Read on one page; more is a map of the machine, not of the site."""

_MAX_HREF = 2_000
_WITH_VALUE = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_FEEDS = frozenset({"application/rss+xml", "application/atom+xml"})
_REFRESH = re.compile(r"url\s*=\s*['\"]?([^'\"\s>]{1,2000})", re.IGNORECASE)
_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([A-Za-z0-9_:-]{2,40})""", re.IGNORECASE)
MAX_TAGS = 20_000
MAX_DEPTH = 1_000
MAX_TAG_BYTES = 10_000
"""Of one tag, its quoted values apart. The parser takes a time that grows as the square of the depth and of the
attributes of a tag: 60,000 levels took 35 s, 80,000 attributes 168 s. What follows the excess is not looked at."""

_TAG = re.compile(rb"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_LONG_TAG = re.compile(rb"<[a-zA-Z][^>]{10000,}")
_QUOTED = re.compile(rb"\"[^\"]*\"|'[^']*'")
_CLOSED_BY_THE_NEXT = frozenset(
    b"area base br col dd dt embed hr img input li link meta option p param path source td th tr track wbr".split()
)


@dataclass(frozen=True, slots=True)
class Orders:
    """What a page asks of crawlers, wherever it says so."""

    noindex: bool = False
    nofollow: bool = False
    reserved: bool = False  # text and data mining is reserved (TDM Reservation Protocol, W3C community group, 2024)


@dataclass(frozen=True, slots=True)
class Links:
    """What was read of an HTML page, addresses as written."""

    orders: Orders
    hrefs: tuple[str, ...]  # of followable links, each once, in the page's order
    base: str  # of <base href>, "" when it has none
    canonical: str  # of <link rel=canonical>, "" when it has none
    feeds: tuple[str, ...]
    text_digest: bytes  # 8 bytes: equal when title and visible text are
    text_bytes: int  # of that text


def orders_of_headers(headers: Iterable[tuple[str, str]], agent: str) -> Orders:
    """The orders of X-Robots-Tag and tdm-reservation; `googlebot: noindex` is for another agent."""
    words: set[str] = set()
    reserved = False
    for name, value in headers:
        lowered = name.lower()
        if lowered == "x-robots-tag":
            words |= _words_for(value, agent)
        elif lowered == "tdm-reservation":
            reserved = value.strip() == "1"
    return Orders(bool(words & {"noindex", "none"}), bool(words & {"nofollow", "none"}), reserved)


def _words_for(value: str, agent: str) -> set[str]:
    """Directives of one X-Robots-Tag that concern us. `unavailable_after: date` is no agent's name."""
    words: set[str] = set()
    for_us = True
    for part in value.lower().split(","):
        before, colon, after = part.partition(":")
        if colon and before.strip() not in (
            "unavailable_after",
            "max-snippet",
            "max-image-preview",
            "max-video-preview",
        ):
            for_us = before.strip() in (agent.lower(), "robots")
            part = after
        if for_us:
            words.add(part.strip())
    return words


def together(first: Orders, second: Orders) -> Orders:
    """The stricter of two."""
    return Orders(first.noindex or second.noindex, first.nofollow or second.nofollow, first.reserved or second.reserved)


def read(body: bytes, charset: str, agent: str) -> Links:
    """The links and orders of an HTML page; never raises, whatever the bytes.

    charset: of the Content-Type header, "" when it names none.
    """
    tree = LexborHTMLParser(_reasonable(_decoded(body[:MAX_HTML_BYTES], charset)))
    noindex = nofollow = reserved = False
    for meta in tree.css("meta[name]"):
        name = (meta.attributes.get("name") or "").strip().lower()
        content = (meta.attributes.get("content") or "").lower()
        if name in ("robots", agent.lower()):
            words = {word.strip() for word in content.split(",")}
            noindex |= bool(words & {"noindex", "none"})
            nofollow |= bool(words & {"nofollow", "none"})
        elif name == "tdm-reservation":
            reserved = content.strip() == "1"
    base = canonical = ""
    feeds: dict[str, None] = {}
    for link in tree.css("link[href], base[href]"):
        href = (link.attributes.get("href") or "").strip()
        rel = (link.attributes.get("rel") or "").lower().split()
        if link.tag == "base":
            base = base or href
        elif "canonical" in rel:
            canonical = canonical or href
        elif "alternate" in rel and (link.attributes.get("type") or "").strip().lower() in _FEEDS and len(feeds) < 3:
            feeds[href] = None
    hrefs: dict[str, None] = {}
    if not nofollow:
        for refresh in tree.css("meta[http-equiv][content]"):
            # How many a town's home page is only a door to the real one.
            if (refresh.attributes.get("http-equiv") or "").strip().lower() == "refresh" and (
                target := _REFRESH.search(refresh.attributes.get("content") or "")
            ):
                hrefs[target.group(1).strip()] = None
        for anchor in tree.css("a[href], area[href], frame[src], iframe[src]"):
            href = (anchor.attributes.get("href") or anchor.attributes.get("src") or "").strip()
            rel_words = (anchor.attributes.get("rel") or "").lower().split()
            if not href or href[0] == "#" or len(href) > _MAX_HREF or "nofollow" in rel_words:
                continue
            hrefs[href.partition("#")[0]] = None
            if len(hrefs) >= MAX_LINKS:
                break
    text = _text(tree).encode("utf-8", "replace")
    digest = hashlib.sha256(text).digest()[:8]
    return Links(Orders(noindex, nofollow, reserved), tuple(hrefs), base, canonical, tuple(feeds), digest, len(text))


def _reasonable(text: str) -> str:
    """The beginning of a page, up to where it stops being one that a person would write."""
    whole = body = text.encode("utf-8", "replace")
    for long in _LONG_TAG.finditer(body):
        if len(_QUOTED.sub(b"", long.group())) > MAX_TAG_BYTES:
            body = body[: long.start()]
            break
    if body.count(b"<") > MAX_DEPTH:
        depth = 0
        for count, tag in enumerate(_TAG.finditer(body)):
            if tag.group(2).lower() not in _CLOSED_BY_THE_NEXT:
                depth = max(depth - 1, 0) if tag.group(1) else depth + 1
            if depth > MAX_DEPTH or count >= MAX_TAGS:
                body = body[: tag.start()]
                break
    return text if body is whole else body.decode("utf-8", "ignore")


def _decoded(body: bytes, charset: str) -> str:
    """The body as text. Links and orders are ASCII in nearly every page, so a wrong guess costs little."""
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        charset = "utf-16"
    elif body[:3] == b"\xef\xbb\xbf":
        charset = "utf-8-sig"
    elif not charset and (found := _CHARSET.search(body[:2_048])):
        charset = found.group(1).decode("ascii")
    for candidate in (charset or "utf-8", "utf-8", "cp1252"):
        try:
            return body.decode(candidate, "strict" if candidate != "cp1252" else "replace")
        except (LookupError, UnicodeError, ValueError):
            continue
    return body.decode("utf-8", "replace")


def _text(tree: LexborHTMLParser) -> str:
    """Title and visible text, blanks made one."""
    title = tree.css_first("title")
    said = title.text() if title is not None else ""
    tree.strip_tags(["script", "style", "noscript", "template"])
    body = tree.body
    said += "\n" + (body.text(separator=" ") if body is not None else "")
    return " ".join(said.split())

"""Sitemaps and feeds: what a site lists by itself, with the dates it gives.

Sources: sitemaps.org protocol 0.9, RSS 2.0, Atom (RFC 4287). Read leniently and within bounds: a list cut short or
badly formed gives what comes before the fault.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import Literal

from lxml import etree

MAX_ENTRIES = 50_000
"""In one sitemap, as the protocol says."""

MAX_UNPACKED_BYTES = 50_000_000

_NAMES = frozenset({"url", "sitemap", "item", "entry"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a list."""

    url: str  # as written
    kind: Literal["page", "sitemap"]
    lastmod: float = 0.0  # seconds since 1970, UTC; 0 when not given or not understood


def read(body: bytes) -> Iterator[Entry]:
    """The entries of a sitemap, a sitemap index or a feed, packed or not; nothing for anything else."""
    if body[:2] == b"\x1f\x8b":
        body = _unpacked(body)
    if body.lstrip()[:1] != b"<":
        yield from _plain(body)
        return
    count = 0
    parser = etree.iterparse(
        BytesIO(body), events=("end",), recover=True, resolve_entities=False, no_network=True, load_dtd=False
    )
    try:
        for _, element in parser:
            if not isinstance(element.tag, str):
                continue
            name = etree.QName(element).localname
            if name not in _NAMES:
                continue
            if entry := _entry(name, element):
                yield entry
                count += 1
                if count >= MAX_ENTRIES:
                    return
            element.clear()
            while element.getprevious() is not None:
                parent = element.getparent()
                if parent is None:
                    break
                del parent[0]
    except (etree.XMLSyntaxError, ValueError):
        return


def _unpacked(body: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(body, MAX_UNPACKED_BYTES)
    except zlib.error:
        return b""


def _plain(body: bytes) -> Iterator[Entry]:
    """The text form: one address a line."""
    for line in body[:MAX_UNPACKED_BYTES].split(b"\n")[:MAX_ENTRIES]:
        if line.startswith((b"http://", b"https://")):
            yield Entry(line.strip().decode("utf-8", "replace"), "page")


def _entry(name: str, element: etree._Element) -> Entry | None:
    url, dates = "", []
    for child in element:
        if not isinstance(child.tag, str):
            continue
        tag, text = etree.QName(child).localname, (child.text or "").strip()
        if (tag == "loc" and name in ("url", "sitemap")) or (tag == "link" and name == "item"):
            url = url or text
        elif tag == "link" and name == "entry":
            if child.get("rel", "alternate") == "alternate":
                url = url or (child.get("href") or "").strip()
        elif tag in ("lastmod", "pubDate", "updated", "published"):
            dates.append(text)
    if not url:
        return None
    return Entry(url, "sitemap" if name == "sitemap" else "page", max(map(when, dates), default=0.0))


def when(text: str) -> float:
    """A W3C or RFC 822 date as seconds since 1970; 0 when it is neither."""
    text = text.strip()[:40]
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        try:
            found = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError):
            return 0.0
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    try:
        return max(found.timestamp(), 0.0)
    except (OverflowError, OSError, ValueError):
        return 0.0

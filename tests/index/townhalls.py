"""Pages as town halls' systems serve them, written for this project, their text marked by hand: tests/townhalls."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elunum.model import Page
from tests.index.web import NIGHT

FOLDER = Path(__file__).parents[1] / "townhalls"
_MARKED = re.compile(r"<!--text-->(.*?)<!--/text-->", re.S)
_NAMED = re.compile(r"^(\w+): *(.*?) *$", re.M)


@dataclass(frozen=True)
class TownHall:
    """A page and what a careful reader would take from it. Marks are comments: no reader of pages sees them."""

    name: str
    what: str
    title: str
    date: str  # ISO; empty when the page says none
    lang: str
    text: str  # what is marked, without its elements
    page: Page


def townhalls() -> Iterator[TownHall]:
    """All of them, in the order of their names."""
    for path in sorted(FOLDER.glob("*.html")):
        body = path.read_bytes()
        said = dict(_NAMED.findall(text_of(body).partition("-->")[0]))
        page = Page(said["url"], 200, (("Content-Type", "text/html"),), body, NIGHT)
        marked = " ".join(_MARKED.findall(text_of(body)))
        text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", marked)).split())
        yield TownHall(path.stem, said["what"], said["title"], said["date"], said["lang"], text, page)


def text_of(body: bytes) -> str:
    """UTF-8, or windows-1252 as the one old page is."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode("cp1252")


def filled(template: TownHall, title: str, text: str) -> bytes:
    """The page with another text in the place of its own: the same site's next page."""
    first, *others = _MARKED.findall(text_of(template.page.body))
    body = text_of(template.page.body).replace(first, f"<h1>{title}</h1><p>{text}</p>", 1)
    for other in others:
        body = body.replace(other, "", 1)
    return re.sub(r"<title>.*?</title>", f"<title>{title}</title>", body, count=1, flags=re.S | re.I).encode()

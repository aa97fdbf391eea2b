"""Page -> Document: title, text, headings, date, description, language, links. Pure; run inside workers.

One parse per page. What stands around the text (menus, banners, share buttons) is pruned from the tree by what it says
of itself: HTML elements, ARIA roles, classes. What is left is the text when the page says where its text is (`<main>`,
a lone `<article>`); otherwise runs of short links are menus and the rest is the text. What a site repeats on most of
its pages is removed later, by update.py, which sees the whole site. docs/decisions/text-of-a-page.md says what was
measured against trafilatura and resiliparse.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from copy import deepcopy
from email.message import Message
from hashlib import sha1
from itertools import groupby
from urllib.parse import unquote, urlsplit

import lxml.etree
import lxml.html
from lxml.html import HtmlElement, HTMLParser
from resiliparse.extract.html2text import extract_plain_text
from trafilatura import bare_extraction

from elunum.index.dates import believable, date_of
from elunum.index.files import FileText, read_office, read_pdf, read_text
from elunum.index.language import language_of
from elunum.model import Document, Link, Page, Skipped
from elunum.settings import ExtractSettings
from elunum.text import fold
from elunum.urls import canonical, document_id

VERSION = "7"
"""Changes whenever a page could give another document; every page of the archive is then read again."""

MIN_TEXT_CHARS = 150
"""With less than this, a part of the page is not its text."""

MAX_TEXT_CHARS = 500_000
MAX_TITLE_CHARS = 300
MAX_LINKS = 300
MAX_TAG_CHARS = 20_000
"""A longer tag is emptied: libxml2's cost is not linear either, in the attributes of one tag."""


def extract(page: Page, settings: ExtractSettings | None = None) -> Document | Skipped:
    """The document a page holds, or why it holds none. Its source, places and tags are added later."""
    settings = settings or ExtractSettings()
    if not 200 <= page.status < 300:
        return Skipped("not a success")
    if not page.body.strip():
        return Skipped("empty")
    if "noindex" in header(page, "X-Robots-Tag").lower():
        return Skipped("noindex")
    match content_type(page):
        case "html":
            return _html(page, settings)
        case "pdf":
            return _file(page, read_pdf(page.body))
        case "zip":
            return _file(page, read_office(page.body))
        case "text":
            return _file(page, read_text(decode(page.body, header(page, "Content-Type"))))
    return Skipped("not a text")


def header(page: Page, name: str) -> str:
    """The values of a response header, joined by commas; "" when absent."""
    return ", ".join(value for key, value in page.headers if key.lower() == name.lower())


def content_type(page: Page) -> str:
    """What the bytes are: "html", "pdf", "zip", "text" or "other". The bytes are believed before the header."""
    start = page.body[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    declared = header(page, "Content-Type").partition(";")[0].strip().lower()
    if b"%PDF-" in page.body[:1024]:
        return "pdf"
    if start.startswith(b"PK\x03\x04"):
        return "zip"
    if re.match(rb"<(!doctype html|html|head|body|!--|\?xml)", start, re.I) or declared in _HTML_TYPES:
        return "html"
    if declared.startswith("text/plain"):
        return "text"
    return "html" if not declared and b"<" in start else "other"


_HTML_TYPES = {"text/html", "application/xhtml+xml"}


# --- files -------------------------------------------------------------------------------------------------------


def _file(page: Page, found: FileText | Skipped) -> Document | Skipped:
    """The document that a file makes. A scan has no text: it is found by its title and by the links to it."""
    if isinstance(found, Skipped):
        return found
    if not found.lines and found.type != "pdf":
        return Skipped("no text")
    body = "\n".join(found.lines)[:MAX_TEXT_CHARS]
    return Document(
        id=document_id(page.url),
        url=page.url,
        title=(found.title or title_from_url(page.url))[:MAX_TITLE_CHARS],
        text=body,
        headings=found.headings,
        date=believable(found.date, page),
        fetched_at=page.fetched_at,
        lang=language_of(body),
        type=found.type,
        size=len(page.body),
        pages=found.pages,
        fingerprint=fingerprint(body),
    )


# --- HTML --------------------------------------------------------------------------------------------------------


def _html(page: Page, settings: ExtractSettings) -> Document | Skipped:
    text = decode(page.body[: settings.max_html_bytes], header(page, "Content-Type"))
    root = parse(text)
    if root is None:
        return Skipped("not parsed")
    meta = _metas(root)
    if "noindex" in meta.get("robots", "").lower():
        return Skipped("noindex")
    base = _base(root, page.url)
    title = _title(root, meta, page.url)
    when = date_of(page, root, meta)
    declared = (root.get("lang") or root.get("{http://www.w3.org/XML/1998/namespace}lang") or "")[:20]
    own = _canonical(root, base)
    breadcrumb = _breadcrumb(root)
    _prune(root)
    lines, region, around = _main_text(root)
    if not lines:
        # libxml2 stops reading where elements are nested too deep; the other parser does not.
        plain = str(extract_plain_text(text, alt_texts=False, list_bullets=False))
        lines = [line for line in map(clean, plain.split("\n")) if line]
    headings = tuple(dict.fromkeys(filter(None, (_words(h)[:200] for h in region.iter("h1", "h2", "h3")))))[:100]
    links = tuple(_links(region, base, page.url))
    body = "\n".join(lines)[:MAX_TEXT_CHARS]
    title = title or (headings[0] if headings else "") or title_from_url(page.url)
    if not body:
        return Skipped("no text")
    return Document(
        id=document_id(page.url),
        url=page.url,
        title=title[:MAX_TITLE_CHARS],
        text=body,
        headings=headings,
        description=clean(meta.get("description") or meta.get("og:description") or "")[:1000],
        date=when,
        fetched_at=page.fetched_at,
        lang=language_of(body, declared),
        type="html",
        size=len(page.body),
        links=links,
        canonical=own if own and document_id(own) != document_id(page.url) else "",
        breadcrumb=breadcrumb,
        fingerprint=fingerprint(body),
        around=tuple(around),
    )


def decode(body: bytes, content_type: str = "") -> str:
    """The characters of a body. Valid UTF-8 is UTF-8 whatever is declared; otherwise the byte order mark, the header,
    the meta element, then windows-1252, which is what French pages that declare nothing or lie are written in.

    Source: WHATWG Encoding (latin-1 labels mean windows-1252); HTML, 13.2.3.2.
    """
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, errors="replace")
    try:
        # A body that was cut may end in the middle of a character.
        return body.decode("utf-8") if len(body) < 4 else body[:-3].decode("utf-8") + _tail(body)
    except UnicodeDecodeError:
        pass
    labels = [_charset(content_type)]
    if found := re.search(rb"""charset\s*=\s*["']?([\w:.-]{2,40})""", body[:4096], re.I):
        labels.append(found[1].decode("ascii", errors="ignore"))
    for label in labels:
        encoding = label.lower()
        if encoding in ("utf-16", "utf-16le", "utf-16be") and body[:200].count(0) > 20:
            return body.decode("utf-16-be" if body[:1] == b"\0" else "utf-16-le", errors="replace")
        if not encoding or encoding.startswith(("utf", "latin")) or encoding in ("iso-8859-1", "us-ascii", "ascii"):
            continue
        try:
            return body.decode(encoding, errors="replace")
        except LookupError:
            continue
    if body[:200].count(0) > 60:
        return body.decode("utf-16-be" if body[:1] == b"\0" else "utf-16-le", errors="replace")
    mostly_utf8 = body.decode("utf-8", errors="replace")
    accents = sum(mostly_utf8.count(letter) for letter in "éèàçêâîôù")
    if accents > 4 * mostly_utf8.count("\ufffd"):
        return mostly_utf8
    return body.decode("windows-1252", errors="replace")


def _tail(body: bytes) -> str:
    """The last three bytes, which may be half a character after the rest decoded."""
    return body[-3:].decode("utf-8", errors="ignore")


def _charset(content_type: str) -> str:
    message = Message()
    message["Content-Type"] = content_type.replace("\r", " ").replace("\n", " ")
    value = message.get_param("charset", "")
    return value if isinstance(value, str) else ""


_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+")


_LONG_TAG = re.compile(rf"<(\w{{1,20}})[^<>]{{{MAX_TAG_CHARS},}}>")


_FRAMESET = re.compile(r"<frameset\b", re.I)
_FRAMES = re.compile(r"</?(?:frameset|frame|noframes)\b[^>]*>", re.I)


def parse(text: str) -> HtmlElement | None:
    """The tree of a page; None when nothing in it is HTML. Entities that are not characters are not followed."""
    text = re.sub(r"^\s*<\?xml[^>]*>", "", _CONTROLS.sub("", text), count=1)
    text = _LONG_TAG.sub(r"<\1>", text)
    if _FRAMESET.search(text):
        # libxml2 gives what stands in noframes as characters, tags and all; it is all that such a page says.
        text = _FRAMES.sub("", text)
    try:
        root = lxml.html.document_fromstring(
            text, parser=HTMLParser(encoding=None, remove_comments=True, remove_pis=True, huge_tree=True)
        )
    except (lxml.etree.LxmlError, ValueError):
        return None
    return root if isinstance(root, HtmlElement) else None


def clean(text: str) -> str:
    """On one line, spaces collapsed."""
    return " ".join(text.split())


def _words(element: HtmlElement) -> str:
    return clean(" ".join(element.itertext()))


def _metas(root: HtmlElement) -> dict[str, str]:
    metas: dict[str, str] = {}
    for element in root.iter("meta"):
        name = (element.get("name") or element.get("property") or element.get("itemprop") or "").lower()
        if name and len(metas) < 200:
            metas.setdefault(name, (element.get("content") or "")[:5000])
    return metas


def _base(root: HtmlElement, url: str) -> str:
    for element in root.iter("base"):
        if href := element.get("href"):
            return canonical(href, url) or url
    return url


def _canonical(root: HtmlElement, base: str) -> str:
    for element in root.iter("link"):
        if "canonical" in (element.get("rel") or "").lower().split():
            return canonical(element.get("href") or "", base) or ""
    return ""


_TRAIL = re.compile(r"breadcrumb|ariane|chemin-de-fer", re.I)


def _breadcrumb(root: HtmlElement) -> tuple[str, ...]:
    """« Accueil > Cadre de vie > Déchets » as the page shows it, without its first step home; at most eight."""
    for element in root.iter("nav", "div", "ul", "ol", "p"):
        said = f"{element.get('class') or ''} {element.get('id') or ''} {element.get('aria-label') or ''}"
        if said.strip() and _TRAIL.search(said[:300]):
            steps = [_words(a)[:100] for a in element.iter("a", "li") if a.tag == "a" or a.find(".//a") is None]
            kept = [step for step in dict.fromkeys(steps) if step and step.casefold() not in _HOME]
            return tuple(kept[:8])
    return ()


_HOME = {"accueil", "home", ">", "/", "»", "vous êtes ici", "vous êtes ici :", "voir le fil d'ariane"}

_SEPARATOR = re.compile(r"\s+[|·•–—:»>-]\s+|\s*\|\s*|\s+::\s+")


def _title(root: HtmlElement, meta: dict[str, str], url: str) -> str:
    """The title a reader would give: an h1 that `<title>` holds too, else `<title>` without the site's name."""
    element = next(iter(root.iter("title")), None)
    title = _words(element) if element is not None else ""
    h1s = [words for words in (_words(h) for h in root.iter("h1")) if 2 < len(words) <= MAX_TITLE_CHARS]
    home = urlsplit(url).path in ("", "/")
    if not home:
        # The name of the site is the title of its home page only.
        h1s = [h1 for h1 in h1s if not _names_site(h1, url)] or h1s[:1]
    folded = title.casefold()
    for h1 in h1s:
        if h1.casefold() in folded or (len(folded) > 3 and folded in h1.casefold()):
            return h1
    site = meta.get("og:site_name", "").casefold().strip()
    parts = [part.strip() for part in _SEPARATOR.split(title) if part.strip()]
    kept = [part for part in parts if part.casefold() != site and (home or not _names_site(part, url))]
    short = " - ".join(kept) if len(kept) < len(parts) else title
    if short.casefold() in _EMPTY_TITLES or (len(h1s) == 1 and short.casefold() in _RUBRICS):
        short = ""
    return short or (h1s[0] if h1s else "") or clean(meta.get("og:title", "")) or title


_EMPTY_TITLES = {"accueil", "home", "index", "sans titre", "untitled", "untitled document", "document sans nom", "page"}
_RUBRICS = {
    *("démarches", "démarches administratives", "vos démarches", "mes démarches", "démarches en ligne", "vos droits"),
    *("vos droits et démarches", "droits et démarches", "service public", "particuliers", "professionnels"),
    *("associations", "actualités", "actualité", "agenda", "article", "fiche", "détail"),
}
"""Titles that some systems give to all their pages: the heading says more."""

_WHOSE = re.compile(
    r"(?:(?:mairie|ville|commune|communauté de communes|agglomération|métropole|département|région|"
    r"site (?:officiel|internet)|bienvenue (?:à|au|aux|sur))\s+)*"
    r"(?:(?:de la|de l['’]|de|du|des|d['’]|la|le|les|l['’])\s*)*",
    re.I,
)


def _names_site(words: str, url: str) -> bool:
    """Whether words are the name of the site: « Mairie de Vaux » on mairie-vaux.fr."""
    name = _key(fold(_WHOSE.sub("", words, count=1)))
    host = fold(urlsplit(url).netloc).removeprefix("www.")
    # Half of it at least: « Aides » is no name of aides-territoires.
    return len(name) >= 4 and any(
        name in label and 2 * len(name) >= len(label) for label in map(_key, (host, *host.split(".")))
    )


def title_from_url(url: str) -> str:
    """Words of the end of an address, for what has no title: "compte rendu 2024" for "/a/compte-rendu_2024.pdf"."""
    parts = urlsplit(url)
    name = unquote(parts.path.rstrip("/").rpartition("/")[2]).rpartition(".")
    return clean(re.sub(r"[-_+.]+", " ", name[0] or name[2])) or parts.netloc


# --- what surrounds the text -------------------------------------------------------------------------------------

_NEVER_TEXT = (
    *("script", "style", "noscript", "template", "iframe", "object", "svg", "canvas", "math", "video", "audio", "map"),
    *("select", "button", "input", "textarea", "label", "nav", "dialog", "menu"),
)
_AROUND_ROLES = {"navigation", "banner", "contentinfo", "search", "dialog", "alertdialog", "menu", "menubar", "toolbar"}
_AROUND = re.compile(
    r"(?:^|[\s_-])(?:\w*cookies?\w*|tarteaucitron\w*|orejime|axeptio|didomi|onetrust|cmplz|klaro|iubenda|rgpd|gdpr|"
    r"\w*consent|cc-window|breadcrumbs?|ariane|fil-ariane|filariane|share|sharing|"
    r"partage|partager|social|socials|reseaux-sociaux|addtoany|skip-?links?|evitement|liens-evitement|menu|navbar|nav|"
    r"navigation|pagination|pager|pagenav|footer|header|entete|en-tete|bandeau|banniere|banner|topbar|top-bar|sidebar|"
    r"aside|related(?:-\w+)?|pied|pied-?de-?page|bas-?de-?page|sr-only|visually-hidden|element-invisible|"
    r"screen-reader-text|newsletter|back-to-top|retour-haut|print|popup|modal|rsbtn|readspeaker|text-resize|"
    r"font-?size|a11y|feedback|(?:article|post)-infos?|(?:entry|post|node)[_-]+meta|fr-nav|fr-header|fr-footer|fr-breadcrumb|fr-share|"
    r"fr-follow|fr-skiplinks|fr-sidemenu|fr-summary)(?:$|[\s_-])"
)
_COMPONENT = re.compile(
    r"(?<![a-z])(?:accordion|card|panel|views?|entry|post|article|section|module|block|item|tab|title|content|list|table)"
    r"[\w-]*?[_-]header\b|(?<![a-z])(?:card|panel|views?|table)-footer\b"
)
"""Headers and footers of something inside the text."""
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.I)


MAX_NESTED = 20
"""Elements named as surroundings, one inside the other, that are looked into: each costs a reading of what it holds."""


def _prune(root: HtmlElement) -> None:
    """Take out of the tree what says of itself that it is not the text."""
    doomed: list[HtmlElement] = []
    holding: set[HtmlElement] = set()  # named as surroundings, and holding the text all the same
    nested = articles = 0  # of these, and of articles, around the element
    walk = lxml.etree.iterwalk(root, events=("start", "end"))
    for event, element in walk:
        articles += (element.tag == "article") * (1 if event == "start" else -1)
        if event == "end":
            nested -= element in holding
        elif (beside := _beside(element, articles > 0, nested < MAX_NESTED)) is None:
            holding.add(element)
            nested += 1
        elif beside:
            doomed.append(element)
            walk.skip_subtree()
    for element in doomed:
        if element.getparent() is not None:
            element.drop_tree()
    for table in root.iter("table"):
        if next(table.iterdescendants("p", "div", "br", "table", "h1", "h2", "h3", "ul"), None) is not None:
            # A table that lays the page out, as pages did before 2005: its cells are not a row of figures.
            for part in table.iter("tr", "td", "th", "tbody"):
                part.tag = "div"
            table.tag = "div"


_CALENDAR = re.compile(r"calend[ra]|datepicker")


def _beside(element: HtmlElement, in_article: bool, look: bool) -> bool | None:
    """Whether an element says that it is beside the text; None when it does and holds the text all the same.

    look: whether to look into it; it is believed to hold the text otherwise.
    """
    tag = element.tag
    if tag in _NEVER_TEXT:
        return True
    if tag in ("html", "body", "main", "article"):
        return False
    if tag in ("header", "footer", "aside"):
        return not (tag == "header" and in_article)  # the header of an article holds its title
    if tag == "form":  # one that wraps the whole page, as ASP.NET makes, holds everything
        return None if not look or _holds_text(element) else True
    if (
        (element.get("role") or "").lower() in _AROUND_ROLES
        or element.get("hidden") is not None
        or _HIDDEN.search(element.get("style") or "")
    ):
        return True
    if tag in ("p", "a", "span", "strong", "em", "td", "h1", "h2", "h3", "h4", "h5", "h6"):
        return False
    names = f"{element.get('class') or ''} {element.get('id') or ''}".lower()[:500]
    if names.strip() and (named := _AROUND.search(_COMPONENT.sub("", names))):
        return None if not look or _holds_text(element, named.group().strip(" _-")) else True
    return tag == "table" and _CALENDAR.search(f"{names} {element.get('summary') or ''}".lower()) is not None


def _holds_text(element: HtmlElement, named: str = "") -> bool:
    """Whether it holds the page rather than something beside it: its main part, its title or much of its prose.

    named: what its class or identifier says it is. A header may be the title's, a menu the canteen's, and articles
    related to the page are not the page.
    """
    links = list(element.iter("a"))
    if named == "header" and len(links) <= 1 and next(element.iter("h2", "h3"), None) is not None:
        return True
    if named == "menu":
        length = len(element.text_content())
        if length > 100 and 2 * sum(len(a.text_content()) for a in links) < length:
            return True
    parts = ("main",) if named.startswith(("related", "aside", "sidebar", "footer")) else ("main", "article")
    return (
        next(element.iter(*parts), None) is not None
        or next(element.iter("h1"), None) is not None
        or sum(len(p.text_content()) for p in element.iter("p")) > 1500
    )


# --- the text ----------------------------------------------------------------------------------------------------


def _main_text(root: HtmlElement) -> tuple[list[str], HtmlElement, list[str]]:
    """The lines of the text, the part of the tree they come from, and the lines of that part that are around them."""
    body = root.find("body")
    body = root if body is None else body
    articles = list(body.iter("article"))
    alone = articles if len(articles) == 1 else []  # several are a list of news
    for region in (*body.iter("main"), *body.xpath("//*[@role='main']"), *alone):
        if len("".join(lines := list(lines_of(region)))) >= MIN_TEXT_CHARS:
            return lines, region, []
    blocks = list(_blocks_of(body))
    lines = _without_menus(blocks)
    if sum(map(len, lines)) < MIN_TEXT_CHARS:
        # A page that is a list of links, as home pages and tables of contents are, has no other text.
        return [line for line, _, _ in blocks], body, []
    first, last = _bounds(body, lines)
    return lines[first:last], body, lines[:first] + lines[last:]


MAX_ELEMENTS = 20_000
"""trafilatura's time grows faster than a page: larger ones are read without it."""

AGREES = 0.85
"""trafilatura is believed when it keeps this share of our lines: less, and it has dropped lists and short items."""


def _bounds(body: HtmlElement, lines: list[str]) -> tuple[int, int]:
    """Where the text of a page that does not say where it is begins and ends: at the first and after the last line that
    trafilatura takes for text. What it drops between them are lists, short items and headings: they stay."""
    if sum(1 for _ in body.iter()) > MAX_ELEMENTS:
        return 0, len(lines)
    found = bare_extraction(deepcopy(body), fast=True, include_comments=False, with_metadata=False)
    text = _key("" if found is None or isinstance(found, dict) else found.text or "")
    kept = [n for n, line in enumerate(lines) if _key(line) in text]
    if sum(len(lines[n]) for n in kept) < AGREES * sum(map(len, lines)):
        return 0, len(lines)
    first = kept[0]
    headings = {_words(h) for h in body.iter("h1", "h2", "h3")}
    while first and lines[first - 1] in headings:
        first -= 1
    return first, kept[-1] + 1


_NOT_LETTERS = re.compile(r"[\W_]+")


def _key(text: str) -> str:
    """Letters and digits alone, for texts that were cut into lines in different ways."""
    return _NOT_LETTERS.sub("", text)


_BLOCK_NAMES = (
    "address article aside blockquote body br caption center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 header hr legend li main nav ol option p pre section summary table tbody "
    "tfoot thead tr ul"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())


_TRAIL_LINE = re.compile(r"(?:vous êtes ici\W{0,3})?accueil(?: \w+)?\s?[>»\u203a/|→]", re.I)
"""A breadcrumb that does not say of itself that it is one."""

_NOT_SAID = re.compile(
    r"(?:aller|passer|accéder)(?: directement)? (?:aux?|à la|à l['’]) ?(?:contenu|menu|navigation|recherche)|"
    r"©|copyright\b|"
    r"(?:(?:ce|notre|le) (?:site|portail)|nous|en (?:poursuivant|continuant)\b).{0,120}\b(?:cookies|traceurs)\b",
    re.I,
)
"""Links for those who do not see the page, the last line of many pages, banners that do not say that they are one."""


def lines_of(region: HtmlElement) -> Iterator[str]:
    """The visible text, one line per paragraph, heading, list item or table row."""
    return (line for line, _, _ in _blocks_of(region))


_Block = tuple[str, float, int]
"""A line, the share of it that is links, and how many links begin in it."""


def _blocks_of(region: HtmlElement) -> Iterator[_Block]:
    """Each line of the visible text."""
    pieces: list[str] = []
    cell = False  # the row has had one
    links, inside = 0, 0  # characters in links, depth of links
    begun = 0  # links that began in the line
    for event, element in lxml.etree.iterwalk(region, events=("start", "end")):
        tag = element.tag
        if tag in _BLOCKS:
            if (line := clean("".join(pieces)).strip(" |")) and not (_TRAIL_LINE.match(line) or _NOT_SAID.match(line)):
                yield line, links / len(line), begun
                begun = 0
            pieces, cell, links = [], False, 0
        elif tag == "a":
            inside += 1 if event == "start" else -1
            begun += event == "start"
        elif tag in ("td", "th") and event == "start":
            pieces.append(" | " if cell else " ")
            cell = True
        if event == "start":
            said = element.text or ""
            if tag == "img" and len((alt := element.get("alt") or "").split()) > 2:
                said = f" {alt[:300]} "
        else:
            said = "" if element is region else element.tail or ""
        if said:
            pieces.append(said)
            links += len(said) if inside else 0
    if line := clean("".join(pieces)).strip(" |"):
        yield line, links / len(line), begun


MENU_CHARS = 40
"""Three links in a row, shorter than this in the mean, are a menu; titles of news and cards are longer."""


_SEE_ALSO = re.compile(
    r"(?:à (?:lire|voir|découvrir)|(?:lire|voir) aussi|dans la même (?:rubrique|catégorie)|sur le même (?:sujet|thème)|"
    r"(?:articles|pages|actualités) (?:similaires|liée?s))\b.{0,25}",
    re.I,
)
"""A heading above links to other pages of the site."""


def _without_menus(blocks: list[_Block]) -> list[str]:
    """The lines that are not in a run of short links, as menus are, nor links to read next with their heading."""
    kept: list[str] = []
    for linked, group in groupby(blocks, key=lambda block: block[1] > 0.7):
        run = list(group)
        links = sum(begun for _, _, begun in run)
        if linked and links > 1 and kept and _SEE_ALSO.fullmatch(kept[-1]):
            kept.pop()
        elif not linked or links < 3 or sum(len(line) for line, _, _ in run) >= MENU_CHARS * links:
            kept += [line for line, _, _ in run]
    return kept


def _links(region: HtmlElement, base: str, own: str) -> Iterator[Link]:
    """The links of the text, each address once with its first anchor; an image's alt text is its anchor."""
    found: dict[str, str] = {}
    for element in region.iter("a"):
        href = element.get("href")
        if not href or href.startswith("#") or len(found) >= MAX_LINKS:
            continue
        url = canonical(href.strip(), base)
        if url is None or url == own:
            continue
        anchor = _words(element) or clean(" ".join(img.get("alt") or "" for img in element.iter("img")))
        if not found.get(url):
            found[url] = anchor[:200]
    return (Link(url, anchor) for url, anchor in found.items())


_EMPTY_ANCHORS = re.compile(
    r"(?:(?:cliquez|cliquer|voir|lire|consulter|télécharger|accéder|en savoir|savoir|découvrir|retour|page|suivante?|"
    r"précédente?|ici|plus|la|le|les|suite|au|à|fichier|document|pdf|détails?|site|lien|article|tout|toutes?|tous|"
    r"https?|www|fr|com|org|html?|php)\W*|[\d\W]+)+",
    re.I,
)


def tells_something(anchor: str) -> bool:
    """Whether a link's text says what it leads to: « Lire la suite », a number or an address do not."""
    address = "/" in anchor or ("." in anchor and " " not in anchor)
    return len(anchor) > 3 and not address and not _EMPTY_ANCHORS.fullmatch(anchor)


def fingerprint(text: str) -> str:
    """Equal for texts that differ only by case, spaces and punctuation; "" for no text."""
    words: Iterable[str] = re.findall(r"\w+", text.casefold())
    joined = " ".join(words)
    return sha1(joined.encode(), usedforsecurity=False).hexdigest() if joined else ""

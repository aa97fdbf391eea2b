"""demo/web/ -> the answers of every host of the demo web. Standard library only.

One folder per host, one file per page: a Markdown subset under a few `name: value` lines (see demo/README.md). A page
is rendered when the web is read, in the style of its host, so that a mistake in a page stops the start with its name.
"""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import re
import secrets
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from email.utils import format_datetime
from pathlib import Path
from string import Template
from urllib.parse import quote, urljoin, urlsplit
from urllib.robotparser import RobotFileParser

from demo.files import docx, odt, pdf

HERE = Path(__file__).resolve().parent
WEB = HERE / "web"

BANNER = (
    "Exemple écrit pour la démonstration d’Elunum : les noms de communes réelles ne servent que d’illustration, "
    "rien ici n’est une information officielle."
)

MONTHS = [
    "janvier", "février", "mars", "avril", "mai", "juin",
    "juillet", "août", "septembre", "octobre", "novembre", "décembre",
]  # fmt: skip


class DemoError(Exception):
    """A page or a site of the demo web is wrong; the message names the file."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One response, before the server looks at conditions and compression."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.body).hexdigest()[:16]}"'


@dataclass(frozen=True, slots=True)
class Page:
    """One file of demo/web/."""

    file: Path
    host: str
    path: str  # where it is served, with its query if any
    title: str
    source: str  # what follows the head, in the Markdown subset
    head: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://{self.host}{self.path}"

    @property
    def date(self) -> date | None:
        return date.fromisoformat(self.head["date"]) if "date" in self.head else None

    @property
    def modified(self) -> datetime:
        """What Last-Modified and the sitemap say: `modified`, else `date`, else a fixed day."""
        day = date.fromisoformat(self.head.get("modified", self.head.get("date", "2026-01-05")))
        return datetime(day.year, day.month, day.day, 8, tzinfo=UTC)

    @property
    def listed(self) -> bool:
        return self.head.get("listed", "yes") != "no"


@dataclass(frozen=True)
class Site:
    """How one host answers: site.toml and the defaults of what it leaves out."""

    host: str
    name: str
    style: str = "moderne"  # a file of demo/styles
    encoding: str = "utf-8"
    ending: str = ""  # of the address of its pages: "", "/", ".html", ".php"
    dates: str = "visible"  # visible, numeric, time, jsonld, meta, url or none
    lang: str = "fr"
    robots: str = "User-agent: *\nDisallow:\n"  # empty: there is no robots.txt
    sitemap: str = "plain"  # plain, index (a gzipped sitemap behind an index) or none
    feed: str = ""  # rss, atom or none
    twin: str = "redirect"  # what the host with or without www. does: redirect, same or none
    calendar_months: int = 0  # empty months of /agenda/YYYY/MM before and after November 2026: a trap for crawlers
    print_views: bool = False  # every page again at ?print=1
    session_ids: bool = False  # every link carries a fresh PHPSESSID
    redirects: dict[str, str] = field(default_factory=dict)
    gone: tuple[str, ...] = ()

    @property
    def twin_host(self) -> str:
        return self.host[4:] if self.host.startswith("www.") else f"www.{self.host}"


class Web:
    """Every host of a folder laid out as demo/web/, ready to answer. Raises DemoError when a file is wrong."""

    def __init__(self, folder: Path = WEB) -> None:
        folder = folder.resolve()
        self.sites = {path.parent.name: _read_site(path) for path in sorted(folder.glob("*/site.toml"))}
        self.pages: dict[Path, Page] = {}
        self._answers: dict[str, dict[str, Answer]] = {}
        for host, site in self.sites.items():
            for file in sorted((folder / host).rglob("*.md")):
                self.pages[file] = _read_page(file, site, folder / host)
        for host, site in self.sites.items():
            self._answers[host] = dict(self._site_answers(site, folder / host))

    def answer(self, host: str, target: str) -> Answer:
        """What `host` says to GET `target`; 404 for an unknown host or page.

        host: the Host header, a port and any case accepted. target: path and query as sent.
        """
        host = host.lower().partition(":")[0].rstrip(".")
        site = self.sites.get(host)
        if site is None:
            return self._twin(host, target)
        try:
            parts = urlsplit(target)
        except ValueError:  # such as "//["
            return Answer(400, b"This is not an address.\n", (("Content-Type", "text/plain"),))
        path = quote(parts.path, safe="/%~:@!$&'()*+,;=")
        query = re.sub(r"(^|&)PHPSESSID=[^&]*", "", parts.query).strip("&").removesuffix("=")
        answers = self._answers[host]
        # A server that does not know a parameter ignores it: ?utm_source=... is one more address of the same page.
        found = answers.get(f"{path}?{query}" if query else path) or answers.get(path)
        if found is None and site.calendar_months:
            found = self._calendar(site, path)
        if found is None:
            return Answer(404, self._message(site, "Page introuvable", "Cette page n’existe pas."), _html(site))
        if site.session_ids and b"PHPSESSID=" in found.body:
            sid = secrets.token_hex(13).encode()
            return Answer(found.status, re.sub(rb"PHPSESSID=\w*", b"PHPSESSID=" + sid, found.body), found.headers)
        return found

    def pages_of(self, host: str) -> list[Page]:
        return [page for page in self.pages.values() if page.host == host]

    def refused(self, agent: str = "Elunum") -> list[Page]:
        """The pages that must never reach an index: robots.txt forbids them to `agent`, or they say noindex."""
        out = []
        for host, site in self.sites.items():
            rules = RobotFileParser()
            rules.parse(site.robots.splitlines())
            for page in self.pages_of(host):
                said = page.head.get("robots", "") + page.head.get("x-robots", "")
                if "noindex" in said or not rules.can_fetch(agent, page.url):
                    out.append(page)
        return out

    def _twin(self, host: str, target: str) -> Answer:
        for site in self.sites.values():
            if site.twin_host == host and site.twin != "none":
                if site.twin == "same":
                    return self.answer(site.host, target)
                return Answer(301, b"", (("Location", f"http://{site.host}{target}"),))
        return Answer(404, b"No such host in the demo web.\n", (("Content-Type", "text/plain"),))

    def _site_answers(self, site: Site, folder: Path) -> Iterator[tuple[str, Answer]]:
        pages = self.pages_of(site.host)
        for page in pages:
            yield page.path, self._page_answer(site, page, site.style)
            if site.print_views:
                separator = "&" if "?" in page.path else "?"
                yield f"{page.path}{separator}print=1", self._page_answer(site, page, "impression")
        for file in sorted(folder.rglob("*.html")):  # written by hand, served as they are
            body = _with_notice(file.read_text(encoding=site.encoding)).encode(site.encoding, "xmlcharrefreplace")
            yield "/" + file.relative_to(folder).as_posix(), Answer(200, body, _html(site))
        if site.robots:
            sitemap = {"plain": "/sitemap.xml", "index": "/sitemap_index.xml"}.get(site.sitemap)
            text = site.robots + (f"\nSitemap: http://{site.host}{sitemap}\n" if sitemap else "")
            yield "/robots.txt", Answer(200, text.encode(), (("Content-Type", "text/plain; charset=utf-8"),))
        yield from _sitemaps(site, pages)
        yield from _feeds(site, pages)
        for path, target in site.redirects.items():
            location = self._link(site, folder / "site.toml", target)
            yield path, Answer(301, b"", (("Location", urljoin(f"http://{site.host}/", location)),))
        for path in site.gone:
            text = "Cette page a été retirée."
            yield path, Answer(410, self._message(site, "Page retirée", text), _html(site))

    def _page_answer(self, site: Site, page: Page, style: str) -> Answer:
        headers = [("Last-Modified", format_datetime(page.modified, usegmt=True))]
        if "x-robots" in page.head:
            headers.append(("X-Robots-Tag", page.head["x-robots"]))
        writer = FILES.get(page.head.get("as", ""))
        if writer is not None:
            content_type, write = writer
            return Answer(
                200,
                write(page.title, page.source, BANNER, page.modified.date()),
                (("Content-Type", content_type), *headers),
            )
        body = self._render(site, page, style)
        return Answer(200, body.encode(site.encoding, "xmlcharrefreplace"), (*_html(site), *headers))

    def _render(self, site: Site, page: Page, style: str) -> str:
        def link(target: str) -> str:
            return self._link(site, page.file, target)

        body = to_html(page.source, link)
        home = page.path == "/"
        if home:
            others = [p for p in self.pages_of(site.host) if p.listed and p.path != "/"]
            items = "".join(f'<li><a href="{link(_relative(p, page))}">{html.escape(p.title)}</a></li>' for p in others)
            body += f"<h2>À lire sur ce site</h2><ul>{items}</ul>" if items else ""
        menu = "".join(
            f'<li><a href="{link(_relative(p, page))}">{html.escape(p.head.get("menu", p.title))}</a></li>'
            for p in self.pages_of(site.host)
            if "menu" in p.head
        )
        crumb = "" if home else f'<a href="{link("/")}">Accueil</a> &gt; {html.escape(page.title)}'
        if site.calendar_months:
            menu += f'<li><a href="{link("/agenda/2026/11")}">Agenda</a></li>'
        if site.print_views and style != "impression":
            separator = "&amp;" if "?" in page.path else "?"
            crumb += f' <a href="{html.escape(page.path)}{separator}print=1">Version imprimable</a>'
        return _fill(
            style,
            site,
            title=html.escape(page.title),
            lang=page.head.get("lang", site.lang),
            head=_head(site, page, self._canonical(site, page, style)),
            menu=menu,
            breadcrumb=crumb,
            when=_when(site, page),
            body=body,
        )

    def _canonical(self, site: Site, page: Page, style: str) -> str:
        if style == "impression":
            return page.url
        target = page.head.get("canonical", "")
        return urljoin(page.url, self._link(site, page.file, target)) if target else ""

    def _link(self, site: Site, file: Path, target: str) -> str:
        """The address to write for a link of `file`: to another page's file, or to anything else as it is."""
        name, hash_, fragment = target.partition("#")
        if name.endswith(".md"):
            folder = file.parent
            if name.startswith("//"):
                other = next(p for p in file.parents if p.name == site.host).parent / name[2:]
            else:
                other = folder / name
            page = self.pages.get(other.resolve())
            if page is None:
                raise DemoError(f"{file}: there is no page {name}; correct the link")
            name = page.path if page.host == site.host else page.url
        if site.session_ids and name.startswith("/"):
            name += ("&amp;" if "?" in name else "?") + "PHPSESSID=0"
        return name + hash_ + fragment

    def _calendar(self, site: Site, path: str) -> Answer | None:
        found = re.fullmatch(r"/agenda/(\d{4})/(\d\d)", path)
        if found is None:
            return None
        year, month = int(found[1]), int(found[2])
        away = (year - 2026) * 12 + month - 11
        if not 1 <= month <= 12 or abs(away) > site.calendar_months:
            return None
        links = []
        for step, label in ((-1, "Mois précédent"), (1, "Mois suivant")):
            there, other = divmod(year * 12 + month - 1 + step, 12)
            if abs(away + step) <= site.calendar_months:
                links.append(f'<a href="/agenda/{there:04}/{other + 1:02}">{label}</a>')
        name = f"{MONTHS[month - 1]} {year}"
        text = f"Aucun rendez-vous n’est annoncé en {name}."
        return Answer(200, self._message(site, f"Agenda de {name}", text, " ".join(links)), _html(site))

    def _message(self, site: Site, title: str, text: str, more: str = "") -> bytes:
        body = f"<p>{html.escape(text)}</p>{more}"
        # Empty months stay out of indexes, as a careful town would ask, so that the demo shows its pages.
        head = '<meta name="robots" content="noindex">'
        page = _fill(
            site.style, site, title=title, lang=site.lang, head=head, menu="", breadcrumb="", when="", body=body
        )
        return page.encode(site.encoding, "xmlcharrefreplace")


FILES: dict[str, tuple[str, Callable[[str, str, str, date], bytes]]] = {
    "pdf": ("application/pdf", pdf),
    "odt": ("application/vnd.oasis.opendocument.text", odt),
    "docx": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", docx),
}
"""What the line `as:` of a page accepts."""


# --- reading -----------------------------------------------------------------------------------------------------


def _read_site(path: Path) -> Site:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        values["gone"] = tuple(values.get("gone", ()))
        return Site(host=path.parent.name, **values)
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise DemoError(f"{path}: {error}") from None


def _read_page(file: Path, site: Site, folder: Path) -> Page:
    top, _, source = file.read_text(encoding="utf-8").partition("\n\n")
    head = dict(line.split(": ", 1) for line in top.splitlines() if ": " in line)
    if "title" not in head:
        raise DemoError(f"{file}: the first lines hold no `title: ...`")
    name = file.relative_to(folder).with_suffix("").as_posix()
    extension = f".{head['as']}" if "as" in head else site.ending
    path = f"/{name}{extension}"
    if file.stem == "index":
        path = path.removesuffix(f"index{extension}")
    elif site.dates == "url" and "date" in head and "as" not in head:
        path = f"/{head['date'][:4]}/{head['date'][5:7]}{path}"
    return Page(file, site.host, quote(head.get("url", path), safe="/?&=%+"), head["title"], source, head)


def _relative(page: Page, seen_from: Page) -> str:
    """The link to write in `seen_from` to reach `page` of the same host."""
    return f"//{page.host}/{page.file.relative_to(_host_folder(page)).as_posix()}"


def _host_folder(page: Page) -> Path:
    return next(parent for parent in page.file.parents if parent.name == page.host)


# --- writing -----------------------------------------------------------------------------------------------------


def to_html(source: str, link: Callable[[str], str]) -> str:
    """HTML of the Markdown subset: ## and ###, lists, tables, quotes, paragraphs, **bold**, *italic*, [links](...)."""

    def inline(text: str) -> str:
        text = html.escape(text, quote=False)
        text = re.sub(
            r"\[([^\]]+)\]\(([^)\s]+(?:\([^)]*\))?)\)",
            lambda m: f'<a href="{link(html.unescape(m[2]))}">{m[1]}</a>',
            text,
        )
        return re.sub(r"\*([^*]+)\*", r"<em>\1</em>", re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text))

    blocks = []
    for block in re.split(r"\n\s*\n", source.strip()):
        lines = block.splitlines()
        if block.startswith("#"):
            level = len(block) - len(block.lstrip("#"))
            blocks.append(f"<h{level}>{inline(block.lstrip('# '))}</h{level}>")
        elif all(line.startswith("- ") for line in lines):
            blocks.append("<ul>" + "".join(f"<li>{inline(line[2:])}</li>" for line in lines) + "</ul>")
        elif all(line.startswith("|") for line in lines):
            rows = [[inline(cell.strip()) for cell in line.strip("|").split("|")] for line in lines]
            first, *rest = rows
            header = "".join(f"<th>{cell}</th>" for cell in first)
            cells = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rest)
            blocks.append(f"<table><tr>{header}</tr>{cells}</table>")
        elif all(line.startswith("> ") for line in lines):
            blocks.append(f"<blockquote><p>{inline(' '.join(line[2:] for line in lines))}</p></blockquote>")
        else:
            blocks.append(f"<p>{inline(' '.join(lines))}</p>")
    return "\n".join(blocks)


def french_date(day: date) -> str:
    return f"{'1er' if day.day == 1 else day.day} {MONTHS[day.month - 1]} {day.year}"


def _when(site: Site, page: Page) -> str:
    """How the page shows its date to readers."""
    day = page.date
    if day is None:
        return ""
    return {
        "visible": f"Publié le {french_date(day)}",
        "numeric": f"Mis en ligne le {day:%d/%m/%Y}",
        "time": f'<time datetime="{day.isoformat()}">{french_date(day)}</time>',
    }.get(site.dates, "")


def _head(site: Site, page: Page, canonical: str) -> str:
    lines = []
    if "description" in page.head:
        lines.append(f'<meta name="description" content="{html.escape(page.head["description"])}">')
    if "robots" in page.head:
        lines.append(f'<meta name="robots" content="{html.escape(page.head["robots"])}">')
    if canonical:
        lines.append(f'<link rel="canonical" href="{html.escape(canonical)}">')
    if site.feed:
        lines.append(f'<link rel="alternate" type="application/{site.feed}+xml" href="{FEED_PATHS[site.feed]}">')
    day = page.date
    if day and site.dates == "meta":
        lines.append(f'<meta property="article:published_time" content="{day.isoformat()}T09:00:00+02:00">')
    if day and site.dates == "jsonld":
        data = {"@context": "https://schema.org", "@type": "NewsArticle", "headline": page.title}
        data |= {"datePublished": day.isoformat(), "dateModified": page.modified.date().isoformat()}
        text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
        lines.append(f'<script type="application/ld+json">{text}</script>')
    return "\n".join(lines)


def _fill(style: str, site: Site, **values: str) -> str:
    template = Template((HERE / "styles" / f"{style}.html").read_text(encoding="utf-8"))
    return _with_notice(template.substitute(values, site=html.escape(site.name), charset=site.encoding))


def _with_notice(page: str) -> str:
    """The page saying, first and last, that it is an example, whatever its style."""
    notice = f'<aside style="background:#ffe9a8;padding:.5rem">{BANNER}</aside>'
    start = re.search("<body[^>]*>", page, re.IGNORECASE)
    page = page[: start.end()] + notice + page[start.end() :] if start else notice + page
    end = page.lower().rfind("</body>")
    return page[:end] + notice + page[end:] if end >= 0 else page + notice


def _html(site: Site) -> tuple[tuple[str, str], ...]:
    # Old sites leave the encoding to a <meta>: the demo's do too.
    charset = "; charset=utf-8" if site.encoding == "utf-8" else ""
    return (("Content-Type", f"text/html{charset}"),)


FEED_PATHS = {"rss": "/feed/", "atom": "/atom.xml"}


def _sitemaps(site: Site, pages: list[Page]) -> Iterator[tuple[str, Answer]]:
    xml = (("Content-Type", "application/xml"),)
    space = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
    entries = "".join(
        f"<url><loc>{html.escape(page.url)}</loc><lastmod>{page.modified.date()}</lastmod></url>\n" for page in pages
    )
    urls = f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset {space}>\n{entries}</urlset>\n'.encode()
    if site.sitemap == "plain":
        yield "/sitemap.xml", Answer(200, urls, xml)
    elif site.sitemap == "index":
        where = f"http://{site.host}/sitemap-pages.xml.gz"
        entry = f"<sitemap><loc>{where}</loc></sitemap>"
        index = f'<?xml version="1.0" encoding="UTF-8"?>\n<sitemapindex {space}>{entry}</sitemapindex>\n'
        yield "/sitemap_index.xml", Answer(200, index.encode(), xml)
        yield (
            "/sitemap-pages.xml.gz",
            Answer(200, gzip.compress(urls, mtime=0), (("Content-Type", "application/gzip"),)),
        )


def _feeds(site: Site, pages: list[Page]) -> Iterator[tuple[str, Answer]]:
    dated = sorted((page for page in pages if page.date), key=lambda page: page.modified, reverse=True)
    if site.feed == "rss":
        items = "".join(
            f"<item><title>{html.escape(page.title)}</title><link>{html.escape(page.url)}</link>"
            f"<pubDate>{format_datetime(page.modified)}</pubDate></item>\n"
            for page in dated
        )
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0"><channel><title>{html.escape(site.name)}'
            f"</title><link>http://{site.host}/</link><description>{BANNER}</description>\n{items}</channel></rss>\n"
        )
    elif site.feed == "atom":
        items = "".join(
            f'<entry><title>{html.escape(page.title)}</title><link href="{html.escape(page.url)}"/>'
            f"<id>{html.escape(page.url)}</id><updated>{page.modified.isoformat()}</updated></entry>\n"
            for page in dated
        )
        updated = dated[0].modified.isoformat() if dated else "2026-01-05T08:00:00+00:00"
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom"><title>'
            f"{html.escape(site.name)}</title><id>http://{site.host}/</id><updated>{updated}</updated>\n{items}</feed>\n"
        )
    else:
        return
    yield FEED_PATHS[site.feed], Answer(200, text.encode(), (("Content-Type", f"application/{site.feed}+xml"),))

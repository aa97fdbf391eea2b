"""Which addresses are ours to visit: those of the listed sites, minus the endless ones that machines make up.

A site is a host, or a host and a path where many share one host. `www.` and the bare name are one site.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from urllib.parse import unquote_plus, urlsplit
from zlib import crc32

from elunum.model import Source
from elunum.urls import host_of

_NOT_TEXT = re.compile(
    r"7z|aac|ai|apk|avif?|bin|bmp|bz2|cab|css|dmg|docm?|dwg|eot|eps|exe|flac|flv|gif|gz|ic[os]|iso|jar|jp[eg]|jpeg|"
    r"js(?:on|onld)?|km[lz]|m3u8|m4[av]|map|mid|mkv|mobi|mov|mp[34g]|mpeg|msi|od[gp]|og[agv]|opus|otf|pptx?|ps|psd|"
    r"rar|rtf|shp|svg|swf|tar|tgz|tiff?|tsv|ttf|vcf|wav|wasm|web[mp]|webmanifest|wm[av]|woff2?|xls|xpi|xsd|xsl|zip",
    re.IGNORECASE,
)
_IDLE_PATH = re.compile(
    r"/(?:wp-json|wp-login|wp-admin|xmlrpc|cgi-bin|cart|panier|login|logout|connexion|deconnexion|signin|signup|register|"
    r"user/(?:login|register|password)|component/(?:mailto|users)|comment/reply|search/(?:node|site|user)|"
    r"feed|trackback|embed|print|imprimer|printpdf|printmail|share|tipafriend|ical|webcal)(?:\.\w{2,5})?(?:/|$)|/amp/?$",
    re.IGNORECASE,
)
_IDLE_PARAMETER = re.compile(
    # Judged as name=value; of a[b][c]=value, as a=value, b=value and c=value. First what only logs in, votes, answers,
    # shares or shows a page or a list otherwise, whatever the value.
    r"(?:print|imprimer|imprimable|printable|tmpl|share|sharer|replytocom|unapproved|preview|amp|noamp|feed|ajax|"
    r"redirect|redirect_to|return|returnurl|destination|sort|order|sort_by|sort_order|orderby|order_by|tri|"
    r"items_per_page|view_mode|viewmode|font|fontsize|contrast|add-to-cart|ical|outlook-ical)=.*|"
    # Then names that old sites give to their pages too: the value tells.
    r"\w*=(?:print|printable|printer|imprimer|impression|imprimable)|pdf=(?:1|true|yes|oui|)|(?:sens|dir)=(?:asc|desc)|"
    r"(?:action|do)=(?:edit|login|logout|register|lostpassword|history|revisions|diff|send|share|vote|rss|raw|export_\w*|"
    r"index|recent|backlink|media|converser|cookie)|view=(?:login|reset|remind|registration)|option=com_(?:mailto|users)|"
    r"page=(?:backend\w*|ical|imprim\w*|login|spip_pass|forum|spipdf|article_pdf)|"
    r"format=(?:feed|pdf|raw|json|xml|rss|atom|ical|ics|opensearch)|type=(?:rss|atom|98)|"
    r"(?-i:C)=(?-i:[NMSD])(?:;O=[AD])?",  # the columns of a folder that Apache lists
    re.IGNORECASE | re.DOTALL,
)
_FACET = re.compile(r"(?:filter|filters|filtre|filtres|facet|facets)(?:_\w+)?$", re.IGNORECASE)
_CALENDAR_PARAMETER = re.compile(
    r"(?:eventdisplay|tribe[-_].*|calendar|cal[-_]\w*|simcal\w*|mois|month|mo|semaine|week|jour|day|annee|year|yr|mini|"
    r"date|getdate|iccaldate|occurrence|datedebut|date_debut|datefin|date_fin)=.*|(?:from|to)=\d{4}-.*|"
    r"view=(?:day|week|month|year)|task=(?:(?:day|week|month|year|cat)\..*|calendar|ical\w*)",
    re.IGNORECASE | re.DOTALL,
)
_ITEM = re.compile(r"\[(?:tt_news|news|event|article|uid)\]$")
"""TYPO3's detail of one thing, dated in its address or not."""

_CALENDAR = re.compile(
    r"(?<![a-z])(?:agenda|calendrier|calendar|ev[ea]nement|event|manifestation)s?(?![a-z])", re.IGNORECASE
)
_CALENDAR_VIEWS = re.compile(r"(?:(?:jour|day|date|mois|month|semaine|week|liste|list)/)*", re.IGNORECASE)
_CALENDAR_MADE = re.compile(
    r"/(?:action|exact_date|page_offset|request_format)~|/(?:day|week|month|year)\.(?:listevents|calendar)(?:/|$)"
)
_DAY = re.compile(r"(?:\d{4}([-/])\d{1,2}\1\d{1,2}|\d{1,2}([-/.])\d{1,2}\2\d{4}|(?:19|20)\d{6})/?")
_YEAR = re.compile(r"(?<!\d)((?:19|2[01])\d\d)[-/](?:0?[1-9]|1[0-2])(?!\d)")
_DATE = re.compile(r"[/=](20\d\d)(?:-(?:0?[1-9]|1[0-2])(?:-\d{1,2})?|/(?:0?[1-9]|1[0-2])/\d{1,2})(?=/?(?:[?&]|$))")
_NUMBERS = re.compile(r"\d+")
_ANYTHING = frozenset({"", "all", "tous", "toutes"})
MAX_DEPTH = 12
MAX_PARAMETERS = 8


class Scope:
    """The sites of a list, or the part of them that falls to one shard.

    shard: (K, N), the K-th of N parts of the hosts, 1 to N. only: a single host.
    """

    def __init__(self, sources: Iterable[Source], shard: tuple[int, int] = (1, 1), only: str = "") -> None:
        self.sources: list[Source] = []
        self._paths: dict[str, list[str]] = {}
        wanted = twin_key(host_of(f"http://{only}/")) if only else ""
        for source in sources:
            host = host_of(source.url)
            key = twin_key(host)
            if not host or crc32(key.encode()) % shard[1] != shard[0] - 1 or (wanted and key != wanted):
                continue
            self.sources.append(source)
            self._paths.setdefault(key, []).append(urlsplit(source.url).path or "/")
        for key, paths in self._paths.items():
            # A source that is only an entrance (https://a.fr/accueil.html) covers its whole folder.
            self._paths[key] = sorted({_folder(path) for path in paths})

    def __len__(self) -> int:
        return len(self._paths)

    def __contains__(self, url: str) -> bool:
        paths = self._paths.get(twin_key(host_of(url)))
        return paths is not None and (paths[0] == "/" or _under(url, paths))

    def has_host(self, host: str) -> bool:
        """Whether some page of this host, or of its twin, is in scope."""
        return twin_key(host) in self._paths


def _folder(path: str) -> str:
    last = path.rpartition("/")[2]
    return path.rpartition("/")[0] + "/" if "." in last else path


def _under(url: str, paths: list[str]) -> bool:
    path = "/" + url.split("/", 3)[3]
    return any(path.startswith(p) and (p.endswith("/") or path[len(p) : len(p) + 1] in ("", "/", "?")) for p in paths)


def twin_key(host: str) -> str:
    """The host without `www.`: what its two names have in common."""
    return host.removeprefix("www.")


def shape(url: str) -> str:
    """What addresses made by one machine have in common: the path with its numbers blanked, the parameters' names."""
    path, _, query = url.split("/", 3)[3].partition("?")
    names = "&".join(sorted({part.partition("=")[0] for part in query.split("&")})) if query else ""
    return _NUMBERS.sub("#", path) + ("?" + _NUMBERS.sub("#", names) if names else "")


def is_no_text(url: str) -> bool:
    """Whether the ending of an address is that of pictures, sounds, programs or data."""
    last = url.partition("?")[0].rpartition("/")[2]
    return "." in last and _NOT_TEXT.fullmatch(last.rpartition(".")[2]) is not None


def trap(url: str) -> str:
    """Why a canonical address is not worth a visit: a short constant, or "" when it is.

    Only what pages link to is judged so; what a sitemap lists is taken at its word.
    """
    path, _, query = url.split("/", 3)[3].partition("?")
    if is_no_text(url):
        return "not a text"
    if _IDLE_PATH.search("/" + path):
        return "not a page"
    segments = [segment for segment in path.split("/") if segment]
    if len(segments) > MAX_DEPTH:
        return "too deep"
    if _repeats(segments):
        return "repeated segments"
    if query and (reason := _made_by(query)):
        return reason
    return "calendar" if _is_calendar(f"/{path}", query) else ""


def _made_by(query: str) -> str:
    """Why the parameters of an address say that it is another view of a page, or one of too many."""
    pairs = [
        (unquote_plus(name), unquote_plus(value)) for name, _, value in (p.partition("=") for p in query.split("&"))
    ]
    # Forms send what was left empty too.
    chosen = [name for name, value in pairs if value.lower() not in _ANYTHING]
    if len(chosen) > MAX_PARAMETERS or len(set(chosen)) < len(chosen) or any(name.startswith("f[") for name in chosen):
        return "facets"
    told = [(name.replace("]", "").split("["), value) for name, value in pairs]
    if any(_FACET.match(part) for parts, _ in told for part in parts):
        return "facets"
    if any(_IDLE_PARAMETER.fullmatch(f"{part}={value}") for parts, value in told for part in parts):
        return "another view"
    dates = [v for parts, v in told if any(_CALENDAR_PARAMETER.fullmatch(f"{part}={v}") for part in parts)]
    if not dates or any(_ITEM.search(name) for name, _ in pairs):
        return ""
    # A year alone is a shelf of an archive.
    alone = len(dates) == 1 and len(dates[0]) == 4 and dates[0].isdecimal()
    return "" if alone and 1990 <= int(dates[0]) <= _next_year() else "calendar"


def _is_calendar(path: str, query: str) -> bool:
    """Whether an address is a day of a calendar, or a month that no editor has reached. Old years are history."""
    if _CALENDAR_MADE.search(path):
        return True
    if under := _CALENDAR.search(path):
        rest = _CALENDAR_VIEWS.sub("", path[under.end() :].partition("/")[2], count=1)
        if _DAY.fullmatch(rest) or any(not 1990 <= int(year) <= _next_year() for year in _YEAR.findall(rest)):
            return True
    return any(int(year) > _next_year() for year in _DATE.findall(f"{path}?{query}"))


def _next_year() -> int:
    return datetime.now(UTC).year + 1


def _repeats(segments: list[str]) -> bool:
    """Whether a segment comes three times, or a run of two or more follows itself: /a/b/a/b."""
    if len(segments) < 3:
        return False
    if any(segments.count(segment) >= 3 for segment in set(segments) if not segment.isdigit()):
        return True
    for size in range(2, len(segments) // 2 + 1):
        for start in range(len(segments) - 2 * size + 1):
            if segments[start : start + size] == segments[start + size : start + 2 * size]:
                return True
    return False


# --- parameters that do not change the page --------------------------------------------------------------------------

IDLE_VOTES = 3
"""Addresses that a parameter left the same page before it is believed idle, and how many for each that it changed."""

MAX_COMPARED = 5_000
"""Pages of a host that are compared: what these do not tell, more would not."""


class Parameters:
    """What the parameters of one host's addresses do to its pages.

    Two pages whose addresses differ by one parameter, or by its absence, say whether it changes what the rest of their
    address leads to. An old site keeps its pages apart by one parameter alone (index.php?id=12), many of them perhaps
    empty alike: that is said of one address, and not enough.
    """

    def __init__(self) -> None:
        # By address less one parameter: the first page seen there, its text, and whether others had the same.
        self._seen: dict[int, tuple[int, bytes, bool | None]] = {}
        self._same, self._other = Counter[str](), Counter[str]()
        self._texts: set[int] = set()
        self._compared = 0
        self.idle: frozenset[str] = frozenset()

    def note(self, url: str, text: bytes, text_of: Callable[[str], bytes | None]) -> bool:
        """Learn from a page with parameters; whether another page of its path has the same text.

        text: its digest. text_of: that of another address, None when it is no page of ours.
        """
        path, _, query = url.partition("?")
        key, me = hash((path, text)), hash(url)
        known = key in self._texts
        self._texts.add(key)
        if self._compared >= MAX_COMPARED:
            return known
        self._compared += 1
        parts = set(query.split("&"))
        for part in parts:
            name = part.partition("=")[0]
            less = hash((path, *sorted(parts - {part}), name))
            first, other, same = self._seen.get(less, (me, text, None))
            told = text_of(without(url, frozenset((name,)))) if first == me else other
            now = same if told is None else same is not False and told == text
            self._seen[less] = (first, text if first == me else other, now)
            if now is not same:
                self._same[name] += (now is True) - (same is True)
                self._other[name] += now is False
        self.idle = frozenset(
            name for name, n in self._same.items() if n >= IDLE_VOTES and n > IDLE_VOTES * self._other[name]
        )
        return known


def without(url: str, names: frozenset[str]) -> str:
    """The address without these parameters."""
    path, _, query = url.partition("?")
    kept = "&".join(part for part in query.split("&") if part.partition("=")[0] not in names)
    return f"{path}?{kept}" if kept else path

"""Which addresses are ours to visit: those of the listed sites, minus the endless ones that machines make up.

A site is a host, or a host and a path where many share one host. `www.` and the bare name are one site.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
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
    r"/(?:wp-json|wp-login\.php|wp-admin|xmlrpc\.php|cgi-bin|cart|panier|login|logout|connexion|deconnexion|signin|"
    r"signup|register|user/(?:login|register|password)|feed|print|imprimer|printpdf|share|ical|webcal)(?:/|$)",
    re.IGNORECASE,
)
_IDLE_PARAMETER = re.compile(
    # Views of a page that exists elsewhere, orders of a list, and what only logs in, votes, replies or shares.
    r"(?:print|imprimer|imprimable|printable|pdf|tmpl|replytocom|share|sharer|action|do|redirect|redirect_to|return|"
    r"returnurl|destination|sort|order|orderby|order_by|tri|sens|dir|view_mode|viewmode|layout|theme|font|fontsize|"
    r"contrast|add-to-cart|ical|outlook-ical|eventdisplay|tribe-bar-date|tribe_\w*|calendar|mois|month|semaine|week|"
    r"jour|day|annee|year|date|datedebut|date_debut|datefin|date_fin|from|to|cal_\w*)",
    re.IGNORECASE,
)
_FACET = re.compile(r"(?:f|filter|filters|filtre|filtres|facet|facets)(?:\[.*\]|_\w+)?$", re.IGNORECASE)
_YEAR = re.compile(r"(?<!\d)((?:1[0-9]|2[0-9])\d\d)[-/](?:0?[1-9]|1[0-2])(?:[-/](?:0?[1-9]|[12]\d|3[01]))?(?!\d)")
_NUMBERS = re.compile(r"\d+")
MAX_DEPTH = 12
MAX_PARAMETERS = 4


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


def trap(url: str) -> str:
    """Why a canonical address is not worth a visit: a short constant, or "" when it is.

    Only what pages link to is judged so; what a sitemap lists is taken at its word.
    """
    path, _, query = url.split("/", 3)[3].partition("?")
    last = path.rpartition("/")[2]
    if "." in last and _NOT_TEXT.fullmatch(last.rpartition(".")[2]):
        return "not a text"
    if _IDLE_PATH.search("/" + path):
        return "not a page"
    segments = [segment for segment in path.split("/") if segment]
    if len(segments) > MAX_DEPTH:
        return "too deep"
    if _repeats(segments):
        return "repeated segments"
    if query:
        names = [unquote_plus(part.partition("=")[0]) for part in query.split("&")]
        if len(names) > MAX_PARAMETERS or len(set(names)) < len(names):
            return "facets"
        if any(_FACET.match(name) for name in names):
            return "facets"
        if any(_IDLE_PARAMETER.fullmatch(name) for name in names):
            return "another view"
    this_year = datetime.now(UTC).year
    if any(not 1990 <= int(year) <= this_year + 1 for year in _YEAR.findall(path + "?" + query)):
        return "calendar"
    return ""


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

"""One address for one page.

Two spellings that a server cannot tell apart become one; two addresses that a server may answer differently stay two.
Source: RFC 3986, section 6.2 (syntax-based normalisation), and the WHATWG's URL standard where browsers are kinder.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from urllib.parse import urljoin, urlsplit

import idna

from elunum.model import DocumentId

MAX_CHARS = 2_000
"""Longer addresses are built by machines for machines: sitemaps stop at 2,048 too."""

_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}))*", re.ASCII)
_IPV6 = re.compile(r"\[[0-9a-f:.]{2,45}\]", re.ASCII)
_CLEAN = re.compile(r"https?://[a-z0-9_.-]+(?:/[A-Za-z0-9_~-]+(?:\.[A-Za-z0-9_~-]+)*)*/?", re.ASCII)
_CLEAN_PATH = re.compile(r"(?:/[A-Za-z0-9_~-]+(?:\.[A-Za-z0-9_~-]+)*)+/?", re.ASCII)
_OUTSIDE_PATH = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9\-._~!$&'()*+,;=:@/]")
_OUTSIDE_QUERY = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9\-._~!$&'()*+,;=:@/?]")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PATH_SESSION = re.compile(r";(?:jsessionid|phpsessid|sessionid|sid)=[^/;]*|/\(S\([a-z0-9]{24}\)\)(?=/)", re.IGNORECASE)
"""The second form is that of ASP.NET without cookies."""
_IDLE_PARAMETER = re.compile(
    # What follows readers around, and what only names their session: the page is the same without.
    r"(?:utm_\w*|mtm_\w*|pk_(?:campaign|kwd|source|medium|content)|matomo_\w*|at_(?:medium|campaign|custom\d+)|xtor|"
    r"fbclid|fb_action_\w*|gclid|dclid|gclsrc|gbraid|wbraid|gad_\w*|srsltid|msclkid|yclid|twclid|ttclid|li_fat_id|igshid|"
    r"igsh|mc_[ce]id|mkt_tok|_ga|_gl|_hsenc|_hsmi|wt_\w*|"
    r"phpsessid|jsessionid|aspsessionid\w*|sessionid|session_id|sessid|ezsessid\w*|fe_typo_user|oscsid|zenid|cfid|"
    r"cftoken)(?:=|$)",
    re.IGNORECASE,
)
_DEFAULT_PORT = {"http": 80, "https": 443}
_BLANKS = "".join(map(chr, range(0x21)))


def canonical(url: str, base: str = "") -> str | None:
    """The one address of a page; None when it is not http(s), too long, carries a password or makes no sense.

    base: the canonical address that `url` is relative to. No fragment, no default port, host in lower case and
    punycode, percent-encoding spelt one way, dot segments resolved, session and tracking parameters dropped.
    canonical(canonical(u)) == canonical(u).
    """
    url = url.strip(_BLANKS)
    if len(url) > 4 * MAX_CHARS:
        return None
    if len(url) <= MAX_CHARS and _CLEAN.fullmatch(url) and (host := _host(url.split("/", 3)[2])):
        scheme, _, rest = url.partition("://")
        return f"{scheme}://{host}/{rest.partition('/')[2]}"
    if base and len(url) < MAX_CHARS // 2 and _CLEAN_PATH.fullmatch(url) and (origin := _origin(base)):
        return origin + url
    try:
        before_query, mark, query = url.partition("?")
        url = before_query.replace("\\", "/") + mark + query  # browsers read http:\\a.fr\b so
        parts = urlsplit(urljoin(base, url) if base else url)
        scheme, port = parts.scheme.lower(), parts.port
        if scheme not in _DEFAULT_PORT or parts.username is not None or parts.password is not None:
            return None
        host = _host(parts.hostname or "") or _ipv6(parts.hostname or "")
    except ValueError:  # an unclosed bracket, a port that is not a number
        return None
    if not host:
        return None
    if port is not None and port != _DEFAULT_PORT[scheme]:
        host = f"{host}:{port}"
    path = _path(parts.path)
    query = "&".join(p for p in _spell(parts.query, _OUTSIDE_QUERY).split("&") if p and not _IDLE_PARAMETER.match(p))
    found = f"{scheme}://{host}{path}" + (f"?{query}" if query else "")
    return found if len(found) <= MAX_CHARS else None


def document_id(url: str) -> DocumentId:
    """Sixteen hexadecimal digits: the same for every spelling of an address, and for http and https."""
    rest = (canonical(url) or url).partition("://")[2]
    return DocumentId(hashlib.sha256(rest.encode("utf-8", "surrogatepass")).hexdigest()[:16])


def host_of(url: str) -> str:
    """The host in lower case and punycode, with its port when it is not the default; "" for what is no web address."""
    found = url if _CLEAN.fullmatch(url) else canonical(url)
    return found.split("/", 3)[2] if found else ""


def domains(host: str) -> list[str]:
    """A host and the domains above it, but the last: a.b.fr, b.fr."""
    labels = host.split(".")
    return [".".join(labels[at:]) for at in range(len(labels) - 1)]


@lru_cache(maxsize=4096)
def _host(name: str) -> str:
    """A host name in lower case and punycode, without its final dot; "" when it cannot be one."""
    name = name.lower().rstrip(".")
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii").lower().rstrip(".")
        except (idna.IDNAError, UnicodeError):
            return ""
    return name if _HOST.fullmatch(name) else ""


@lru_cache(maxsize=4096)
def _origin(base: str) -> str:
    """Scheme and host of an address, canonical."""
    found = canonical(base)
    return "/".join(found.split("/", 3)[:3]) if found else ""


def _ipv6(name: str) -> str:
    return f"[{name.lower()}]" if _IPV6.fullmatch(f"[{name.lower()}]") and ":" in name else ""


def _path(path: str) -> str:
    spelt = _PATH_SESSION.sub("", _spell(path, _OUTSIDE_PATH))
    if "/." not in spelt:
        return spelt if spelt.startswith("/") else "/" + spelt
    kept: list[str] = []
    segments = spelt.lstrip("/").split("/") if not spelt.startswith("//") else spelt[1:].split("/")
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", "..") and (not kept or kept[-1]):
        kept.append("")
    return "/" + "/".join(kept)


def _spell(text: str, outside: re.Pattern[str]) -> str:
    return outside.sub(_spell_one, text) if outside.search(text) else text


def _spell_one(match: re.Match[str]) -> str:
    found = match.group()
    if len(found) == 3:
        character = chr(int(found[1:], 16))
        return character if character in _UNRESERVED else found.upper()
    return "".join(f"%{byte:02X}" for byte in found.encode("utf-8", "replace"))

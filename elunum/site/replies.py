"""How an answer leaves: its weight, its compression and the headers that keep the promise.

HTML is compressed once and weighed on the way, so that the footer can say what the page really cost: the text before
the weight is flushed and counted, what follows it is a few dozen bytes.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import Response

from elunum.index.tags import BY_OPERATOR
from elunum.model import HitTag
from elunum.settings import CHECKOUT

WEB = CHECKOUT / "web" if (CHECKOUT / "web").is_dir() else Path(__file__).resolve().parents[1] / "web"
"""Templates and static files: beside the code in a checkout, inside the package once installed."""

HEADERS = [
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        b"frame-ancestors 'none'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), browsing-topics=(), interest-cohort=()"),
]
"""On every answer. The site has no script at all, so none is allowed."""

NO_STORE = {"cache-control": "no-store", "x-robots-tag": "noindex, nofollow"}
"""On every answer that holds what a reader asked."""

SHORT = {"cache-control": "public, max-age=300"}
"""On pages that are the same for everyone."""

FOREVER = {"cache-control": "public, max-age=31536000, immutable"}

_WEIGHT = b"\x00"
_LEVEL = 2  # a third less time than 4, for 6 % more bytes
_TAIL_BYTES = 60  # what follows the weight, compressed
_MONTHS = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
]
_NARROW = "\u202f"
_LANGUAGES = {
    "en": "anglais", "de": "allemand", "es": "espagnol", "it": "italien", "pt": "portugais", "nl": "néerlandais",
    "br": "breton", "oc": "occitan", "co": "corse", "eu": "basque", "ca": "catalan", "lb": "luxembourgeois",
    "ar": "arabe", "zh": "chinois", "ru": "russe", "uk": "ukrainien", "pl": "polonais", "ro": "roumain",
    "tr": "turc", "gcf": "créole", "rcf": "créole réunionnais", "ty": "tahitien",
}  # fmt: skip


# --- words and figures as readers of French read them ---------------------------------------------------------------


WHERES = {
    "title": "titre",
    "headings": "intertitre",
    "breadcrumb": "fil d’Ariane",
    "url": "adresse",
    "anchor": "lien",
    "body": "texte",
    "learned": "mot appris sur des pages étiquetées",
}


def raisons(tag: HitTag) -> str:
    """Why a tag was given, for readers: the words, where they stand, and how sure it is."""
    if tag.why and tag.why[0].expression == BY_OPERATOR:
        return "Mis à la main par l’opérateur de ce site."
    told = (
        f"«\u00a0{one.expression}\u00a0» ({WHERES[one.where]}{f', {one.count} fois en tout' if one.count > 1 else ''})"
        for one in tag.why
    )
    sure = f"Sûr à {tag.score * 100:.0f}\u00a0%."
    return f"Reconnu par {', '.join(told)}. {sure}" if tag.why else sure


def nombre(value: float) -> str:
    """1234567 -> 1 234 567, with narrow no-break spaces."""
    return f"{value:,.0f}".replace(",", _NARROW)


def environ(value: float, before: str = "environ ") -> str:
    """An estimated count, to two figures: environ 12 000. Below a hundred an estimate is said as it is."""
    digits = len(str(int(value)))
    return before + nombre(round(value, min(0, 2 - digits)))


def jour(value: date | datetime) -> str:
    """A date in words: 1er mars 2024."""
    return f"{'1er' if value.day == 1 else value.day} {_MONTHS[value.month - 1]} {value.year}"


def poids(size: int) -> str:
    """A size in bytes, rounded for people: 812 o, 12 Ko, 1,4 Mo, with a no-break space."""
    if size < 1000:
        return f"{size}\u00a0o"
    if size < 1_000_000:
        return f"{max(1, round(size / 1000))}\u00a0Ko"
    return f"{size / 1_000_000:.1f}\u00a0Mo".replace(".", ",")


def pluriel(count: int, one: str, many: str = "") -> str:
    """`3 résultats`, `1 résultat`, `0 résultat`: French counts zero as singular."""
    return f"{nombre(count)} {one if count < 2 else many or one + 's'}"


def resultats(count: int, exact: bool) -> str:
    """How many results: `3 résultats`, `environ 12 000 résultats`."""
    return pluriel(count, "résultat") if exact else environ(count) + " résultats"


def langue(code: str) -> str:
    """Name of a language in French; the code itself when it is a rare one."""
    return _LANGUAGES.get(code, code)


def lien(url: str) -> str:
    """The address when it is one a browser may be sent to (http or https), else an anchor to nowhere."""
    return url if url.startswith(("http://", "https://")) else "#"


def adresse(url: str) -> str:
    """An address shortened for reading: no scheme, no www, at most 80 characters."""
    short = url.partition("://")[2].removeprefix("www.").rstrip("/")
    if "xn--" in short:
        host, slash, path = short.partition("/")
        with suppress(UnicodeError):
            short = host.encode().decode("idna") + slash + path
    return short if len(short) <= 80 else short[:79] + "…"


# --- compression -----------------------------------------------------------------------------------------------------


def accepts_gzip(request: Request) -> bool:
    """Whether the browser said it reads gzip."""
    return "gzip" in request.headers.get("accept-encoding", "")


def _gzip(data: bytes, level: int) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


# --- static files ---------------------------------------------------------------------------------------------------


class Static:
    """The files of web/static, in memory with their compressed form; their address changes when they do."""

    types = {".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".png": "image/png"}

    def __init__(self, folder: Path) -> None:
        self.files: dict[str, tuple[bytes, bytes, str]] = {}
        self.address: dict[str, str] = {}
        for path in sorted(folder.iterdir()):
            if path.suffix in self.types:
                plain = path.read_bytes()
                self.files[path.name] = (plain, _gzip(plain, 9), self.types[path.suffix])
                self.address[path.name] = f"/static/{path.name}?{hashlib.sha256(plain).hexdigest()[:10]}"
        self.first_load = sum(len(packed) for _, packed, _ in self.files.values())

    def reply(self, request: Request, name: str) -> Response | None:
        """The file, or None when there is no such file."""
        if name not in self.files:
            return None
        plain, packed, media_type = self.files[name]
        headers = FOREVER | {"vary": "accept-encoding"}
        if accepts_gzip(request):
            return Response(packed, headers=headers | {"content-encoding": "gzip"}, media_type=media_type)
        return Response(plain, headers=headers, media_type=media_type)


STATIC = Static(WEB / "static")


_NEEDS_ESCAPING = re.compile("[&<>\"']").search


def escaped(value: Any) -> str:
    """What a template writes of a value: what `markupsafe.escape` gives, as a plain string.

    Most of what a page writes needs no escaping, and the class Markup takes longer to make than all the rest.
    """
    if type(value) is not str:
        if isinstance(value, Markup):
            return value
        value = str(value)
    return escape(value) if _NEEDS_ESCAPING(value) else value


class _Template(jinja2.Template):
    """Jinja's, with our `escaped`: what it is given is only ever joined to the rest of the page."""

    @classmethod
    def from_code(cls, *args: Any) -> jinja2.Template:
        template = super().from_code(*args)
        template.root_render_func.__globals__["escape"] = escaped
        return template


class _Context(jinja2.runtime.Context):
    """Jinja's, which looks at each call whether the function wants the context: none of ours does, and looking takes
    longer than most of them."""

    def call(
        self, function: Callable[..., Any], *args: Any, _loop_vars: Any = None, _block_vars: Any = None, **named: Any
    ) -> Any:
        return function(*args, **named)


class _Environment(jinja2.Environment):
    template_class = _Template
    context_class = _Context


TEMPLATES = _Environment(
    loader=jinja2.FileSystemLoader(WEB / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
    auto_reload=False,
)
TEMPLATES.filters.update(
    raisons=raisons,
    nombre=nombre,
    environ=environ,
    resultats=resultats,
    jour=jour,
    poids=poids,
    pluriel=pluriel,
    langue=langue,
    lien=lien,
    adresse=adresse,
)
TEMPLATES.globals.update(static=STATIC.address, weight=_WEIGHT.decode())


# --- answers ----------------------------------------------------------------------------------------------------------


def html(
    request: Request, template: str, values: dict[str, Any], headers: dict[str, str] = SHORT, status: int = 200
) -> Response:
    """A page, weighed, compressed when the browser can read it."""
    text = TEMPLATES.get_template(template).render(values, request=request, path=request.url.path)
    head, _, tail = text.encode().partition(_WEIGHT)
    if not accepts_gzip(request):
        weight = poids(len(head) + len(tail) + STATIC.first_load)
        body = head + weight.encode() + tail
        return Response(body, status, headers | {"vary": "accept-encoding"}, "text/html; charset=utf-8")
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
    packed = packer.compress(head) + packer.flush(zlib.Z_SYNC_FLUSH)
    weight = poids(len(packed) + _TAIL_BYTES + STATIC.first_load)
    packed += packer.compress(weight.encode() + tail) + packer.flush()
    headers = headers | {"vary": "accept-encoding", "content-encoding": "gzip"}
    return Response(packed, status, headers, "text/html; charset=utf-8")


def json(request: Request, value: Any, headers: dict[str, str] = NO_STORE, status: int = 200) -> Response:
    """JSON bytes, straight from msgspec; readable by the pages of other sites, for it is public."""
    body = msgspec.json.encode(value)
    headers = headers | {"access-control-allow-origin": "*", "cross-origin-resource-policy": "cross-origin"}
    if len(body) > 1000 and accepts_gzip(request):
        return Response(
            _gzip(body, _LEVEL),
            status,
            headers | {"vary": "accept-encoding", "content-encoding": "gzip"},
            "application/json",
        )
    return Response(body, status, headers, "application/json")


def download(
    request: Request, body: bytes, media_type: str, name: str = "", headers: dict[str, str] = NO_STORE
) -> Response:
    """A file: shown by a feed reader or a browser when it has no name, saved under `name` otherwise."""
    headers = dict(headers)
    if name:
        headers["content-disposition"] = f'attachment; filename="{name}"'
    if len(body) > 1000 and "zip" not in media_type and "opendocument" not in media_type and accepts_gzip(request):
        body, headers = _gzip(body, 5), headers | {"vary": "accept-encoding", "content-encoding": "gzip"}
    return Response(body, 200, headers, media_type)

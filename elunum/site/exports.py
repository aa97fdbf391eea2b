"""Results taken away: CSV for programs, ODS for people, GeoJSON for maps, Atom to follow a search.

At most MAX_ROWS results; the same search gives the same rows in the same order in every shape.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from xml.sax.saxutils import escape

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from elunum.index.tags import FOLDER
from elunum.model import Hit, Search
from elunum.site import register, replies, views
from elunum.site.context import Asked, Context, asked, chosen_of, context, only, pairs_of
from elunum.site.metrics import Address

MAX_ROWS = 1_000
FEED_ROWS = 50

Cell = str | int | float | date | None

COLUMNS: dict[str, tuple[str, Callable[[Hit], Cell]]] = {
    "title": ("Titre", lambda hit: hit.title),
    "url": ("Adresse", lambda hit: hit.url),
    "source": ("Source", lambda hit: hit.source.name),
    "kind": ("Nature", lambda hit: hit.source.kind),
    "commune": ("Commune", lambda hit: hit.source.commune),
    "insee": ("Code INSEE", lambda hit: hit.source.insee),
    "epci": ("Intercommunalité", lambda hit: hit.source.epci),
    "siren": ("SIREN", lambda hit: hit.source.siren),
    "departement": ("Département", lambda hit: hit.source.departement),
    "region": ("Région", lambda hit: hit.source.region),
    "population": ("Habitants", lambda hit: hit.source.population),
    "date": ("Date", lambda hit: hit.date),
    "fetched_at": ("Vu le", lambda hit: hit.fetched_at.date() if hit.fetched_at else None),
    "enjeux": ("Enjeux", lambda hit: ", ".join(tag.nom for tag in hit.enjeux)),
    "services": ("Services", lambda hit: " ; ".join(tag.service for tag in hit.enjeux if tag.service)),
    "why": (
        "Pourquoi ces enjeux",
        lambda hit: " ".join(f"{tag.nom}\u00a0: {replies.raisons(tag)}" for tag in hit.enjeux),
    ),
    "type": ("Format", lambda hit: hit.type),
    "lang": ("Langue", lambda hit: hit.lang),
    "host": ("Site", lambda hit: hit.source.host),
    "id": ("Identifiant", lambda hit: hit.id),
}
"""Name in CSV (that of the JSON), heading in ODS, and value."""

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def inert(text: str) -> str:
    """A text that no spreadsheet takes for a formula: a quote before what could begin one (OWASP, CSV injection)."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def all_hits(here: Context, search: Search, at_most: int) -> list[Hit]:
    """The first results of a search, from its first page, whatever page it asks."""
    hits: list[Hit] = []
    size = min(100, at_most)
    for number in range(1, at_most // size + 1):
        results = here.engine.search(replace(search, page=number, size=size))
        hits.extend(results.hits)
        if len(results.hits) < size:
            break
    return hits


# --- shapes ---------------------------------------------------------------------------------------------------------


def csv_of(hits: Iterable[Hit]) -> bytes:
    """CSV (RFC 4180, comma, CRLF) in UTF-8 with a byte-order mark, which Excel needs to read accents."""
    return csv_rows(list(COLUMNS), ([value(hit) for _, value in COLUMNS.values()] for hit in hits))


def csv_rows(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """Rows of cells as CSV bytes; texts made inert."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    for row in rows:
        writer.writerow([inert(cell) if isinstance(cell, str) else "" if cell is None else cell for cell in row])
    return b"\xef\xbb\xbf" + out.getvalue().encode("utf-8", "replace")


_ODS_BEFORE = (
    '<?xml version="1.0" encoding="UTF-8"?><office:document-content '
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:xlink="http://www.w3.org/1999/xlink" office:version="1.3"><office:body><office:spreadsheet>'
)
_ODS_MANIFEST = (
    '<?xml version="1.0" encoding="UTF-8"?><manifest:manifest '
    'xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" manifest:version="1.3">'
    '<manifest:file-entry manifest:full-path="/" manifest:media-type="application/vnd.oasis.opendocument.spreadsheet"/>'
    '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>'
)


def ods_of(hits: Iterable[Hit]) -> bytes:
    """A spreadsheet (OpenDocument 1.3) of one sheet; dates and numbers are typed, addresses are links.

    Written here because odfdo takes seconds for a thousand rows: see docs/decisions/ods-written-by-hand.md.
    """
    rows = ["".join(_ods_cell(heading) for heading, _ in COLUMNS.values())]
    rows += ["".join(_ods_cell(value(hit)) for _, value in COLUMNS.values()) for hit in hits]
    table = "".join(f"<table:table-row>{row}</table:table-row>" for row in rows)
    content = (
        f'{_ODS_BEFORE}<table:table table:name="Elunum">{table}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet", zipfile.ZIP_STORED)
        file.writestr("META-INF/manifest.xml", _ODS_MANIFEST)
        file.writestr("content.xml", content.encode("utf-8", "replace"))
    return out.getvalue()


def _ods_cell(value: Cell) -> str:
    if value is None or value == "":
        return "<table:table-cell/>"
    if isinstance(value, int | float):
        kind, shown = f'"float" office:value="{value}"', str(value)
    elif isinstance(value, date):
        kind, shown = f'"date" office:date-value="{value.isoformat()}"', value.isoformat()
    else:
        kind, shown = '"string"', escape(_NOT_XML.sub("", value))
        if value.startswith(("http://", "https://")):
            address = escape(_NOT_XML.sub("", value), {'"': "&quot;"})
            shown = f'<text:a xlink:type="simple" xlink:href="{address}">{shown}</text:a>'
    return f"<table:table-cell office:value-type={kind}><text:p>{shown}</text:p></table:table-cell>"


def geojson_of(hits: Iterable[Hit]) -> bytes:
    """A FeatureCollection (RFC 7946) of the results whose territory has a place; longitude first."""
    features = [
        {
            "type": "Feature",
            "id": hit.id,
            "geometry": {"type": "Point", "coordinates": [hit.source.longitude, hit.source.latitude]},
            "properties": {name: value(hit) for name, (_, value) in COLUMNS.items() if name != "id"},
        }
        for hit in hits
        if hit.source.latitude is not None and hit.source.longitude is not None
    ]
    return msgspec.json.encode({"type": "FeatureCollection", "features": features})


def atom_of(here: Context, search: Search, hits: Iterable[Hit]) -> bytes:
    """A feed (RFC 4287), newest first. A page without a date says when it was first seen, which never moves: the day
    of our last visit would make it look changed every night."""
    built_at = here.engine.info().built_at
    dated = sorted(((hit, _appeared(hit) or built_at) for hit in hits), key=lambda pair: pair[1], reverse=True)
    query = Asked(search).to()
    return (
        replies.TEMPLATES.get_template("flux.atom")
        .render(
            base=here.settings.site.base_url,
            query=query,
            id=hashlib.sha256(query.encode()).hexdigest()[:32],
            title=search.q or "Toutes les pages",
            entries=[(hit, when.strftime("%Y-%m-%dT%H:%M:%SZ"), _plain(hit.snippet_html)) for hit, when in dated],
            updated=max((when for _, when in dated), default=built_at).strftime("%Y-%m-%dT%H:%M:%SZ"),
            clean=lambda text: _NOT_XML.sub("", text),
        )
        .encode("utf-8", "replace")
    )


def _appeared(hit: Hit) -> datetime | None:
    """When a page appeared: the day it gives, or else when we first saw it; None for one that was never fetched."""
    if hit.date:
        return datetime.combine(hit.date, datetime.min.time(), UTC)
    return hit.first_seen or hit.fetched_at


def _plain(snippet_html: str) -> str:
    return snippet_html.replace("<mark>", "").replace("</mark>", "")


# --- answers --------------------------------------------------------------------------------------------------------

ODS = "application/vnd.oasis.opendocument.spreadsheet"
CSV = "text/csv; charset=utf-8"


async def search_csv(request: Request) -> Response:
    """/recherche.csv"""
    hits = all_hits(context(request), (await asked(request)).search, MAX_ROWS)
    return replies.download(request, csv_of(hits), CSV, "elunum.csv")


async def search_ods(request: Request) -> Response:
    """/recherche.ods"""
    hits = all_hits(context(request), (await asked(request)).search, MAX_ROWS)
    return replies.download(request, ods_of(hits), ODS, "elunum.ods")


async def search_geojson(request: Request) -> Response:
    """/recherche.geojson"""
    hits = all_hits(context(request), (await asked(request)).search, MAX_ROWS)
    return replies.download(request, geojson_of(hits), "application/geo+json", "elunum.geojson")


async def search_atom(request: Request) -> Response:
    """/recherche.atom: always newest first. An unchanged feed is answered 304 (RFC 9110, 13.1.2)."""
    here = context(request)
    search = replace((await asked(request)).search, sort="pertinence", page=1, size=10)
    body = atom_of(here, search, all_hits(here, replace(search, sort="nouveaute"), FEED_ROWS))
    # The tag is that of the content, the same for everyone: it recognises a feed, not a reader.
    etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    headers: dict[str, str] = replies.NO_STORE | {"cache-control": "private, no-cache", "etag": etag}
    if request.headers.get("if-none-match") in (etag, f"W/{etag}"):
        return Response(status_code=304, headers=headers)
    return replies.download(request, body, "application/atom+xml; charset=utf-8", headers=headers)


async def selection_csv(request: Request) -> Response:
    """/selection.csv?id=...&id=..."""
    hits = views.kept(request, chosen_of(_only_ids(await pairs_of(request))))
    return replies.download(request, csv_of(hits), CSV, "elunum-selection.csv")


async def selection_ods(request: Request) -> Response:
    """/selection.ods?id=...&id=..."""
    hits = views.kept(request, chosen_of(_only_ids(await pairs_of(request))))
    return replies.download(request, ods_of(hits), ODS, "elunum-selection.ods")


async def selection_geojson(request: Request) -> Response:
    """/selection.geojson?id=...&id=..."""
    hits = views.kept(request, chosen_of(_only_ids(await pairs_of(request))))
    return replies.download(request, geojson_of(hits), "application/geo+json", "elunum-selection.geojson")


def _only_ids(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    only(pairs, "id")
    return pairs


async def enjeux_csv(request: Request) -> Response:
    """/enjeux.csv: the rules of the tags, as the tagger reads them. Loi pour une République numérique, article 6."""
    only(await pairs_of(request))
    return replies.download(request, (FOLDER / "expressions.csv").read_bytes(), CSV, "enjeux.csv", replies.SHORT)


async def sources_csv(request: Request) -> Response:
    """/sources.csv: the register, or the part that /sources shows: the columns of sources.csv, then what is known."""
    values = only(await pairs_of(request), *register.CHOICES)
    here = context(request).register
    here.found(values)  # what is wrong with a parameter is said here, and a changed list read
    # Tens of thousands of rows: readers are answered meanwhile.
    body = await asyncio.to_thread(lambda: csv_rows(register.COLUMNS, (one.row() for one in here.every(values))))
    headers = replies.NO_STORE if values else replies.SHORT
    return replies.download(request, body, CSV, "sources.csv", headers)


ROUTES = [
    Address("/recherche.csv", search_csv, methods=["GET", "POST"]),
    Address("/recherche.ods", search_ods, methods=["GET", "POST"]),
    Address("/recherche.geojson", search_geojson, methods=["GET", "POST"]),
    Address("/recherche.atom", search_atom, methods=["GET"]),
    Address("/selection.csv", selection_csv, methods=["GET", "POST"]),
    Address("/selection.ods", selection_ods, methods=["GET", "POST"]),
    Address("/selection.geojson", selection_geojson, methods=["GET", "POST"]),
    Address("/enjeux.csv", enjeux_csv, methods=["GET"]),
    Address("/sources.csv", sources_csv, methods=["GET"]),
]

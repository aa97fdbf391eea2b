"""The fields of the index, what each is for, and what a Document becomes in them."""

from __future__ import annotations

import csv
import hashlib
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
from tantivy import DocAddress, Index, Schema, SchemaBuilder, Searcher, TextAnalyzerBuilder, Tokenizer

from elunum.expressions import marks_in
from elunum.geo import Geo
from elunum.index.forward import Analysed
from elunum.index.postings import Page, term
from elunum.index.tags import Referentiel
from elunum.model import (
    TERRITORIAL_KINDS,
    Document,
    DocumentId,
    DocumentType,
    HitSource,
    HitTag,
    Kind,
    Source,
    Territory,
)
from elunum.text import FRENCH, STOP_WORDS, analyse, nfc, stems
from elunum.urls import domains

FORMAT = 11
"""Raised whenever an index written before could not be read, or would rank differently."""

STORED_CHARS = 20_000
"""Of a text, kept for the lines under a title; a match further down still finds the document."""

MAX_INDEXED_WORDS = 100_000
"""Of a document: a longer one is found by its beginning."""

TITLE_TIMES = 4
"""A word of the title counts for so many more of the text, in the rough order of documents."""

LEAD_WORDS = 80
"""Of a text, counted once more as its beginning."""

BANDS = ((0, 499), (500, 1_999), (2_000, 9_999), (10_000, 49_999), (50_000, 99_999), (100_000, None))
"""Population bands of the facet: first and last number of inhabitants."""

SPACED = "spaced"
"""The tokenizer of our text fields. Words come already analysed by elunum.text, separated by spaces."""


def schema() -> Schema:
    """The fields. Text fields hold stems, but `*_words`, which hold the folded words as written."""
    builder = SchemaBuilder()
    builder.add_text_field("id", tokenizer_name="raw", index_option="basic")
    for name in ("title", "title_words", "headings", "lead", "body"):
        builder.add_text_field(name, tokenizer_name=SPACED, index_option="position")
    builder.add_text_field("body_words", tokenizer_name=SPACED, index_option="freq")
    for name in ("address", "anchors"):
        builder.add_text_field(name, tokenizer_name=SPACED, index_option="freq")
    builder.add_text_field("facet", tokenizer_name="raw", index_option="basic")  # see `facets_of`
    builder.add_unsigned_field("group", indexed=True)  # who publishes: the territory, or else the source
    builder.add_float_field("weight", fast=True)  # see `weight_of`
    builder.add_unsigned_field("key", indexed=True, fast=True)  # the id as a number: its row in the postings
    builder.add_bytes_field("shown", stored=True)
    return builder.build()


def with_tokenizers(index: Index) -> Index:
    """The index, ready to be used: tokenizers are not kept on disk."""
    index.register_tokenizer(SPACED, TextAnalyzerBuilder(Tokenizer.whitespace()).build())
    return index


class Shown(msgspec.Struct, frozen=True):
    """What the index keeps of a document to show it: a Hit needs nothing else."""

    id: DocumentId
    url: str
    title: str
    text: str  # at most STORED_CHARS characters
    date: date | None
    fetched_at: datetime | None
    first_seen: datetime | None
    lang: str
    type: DocumentType
    size: int
    pages: int
    enjeux: tuple[HitTag, ...]
    source: HitSource
    source_key: str  # what the parameter `site` accepts for this source
    territory: str  # "commune:68278": who publishes, or whom the text is about when a State site does; or ""
    copies: tuple[str, ...]
    fingerprint: str


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Shown)


def read_shown(searcher: Searcher, address: DocAddress) -> Shown:
    """What was kept of a document."""
    return decode_shown(searcher.doc(address).get_first("shown"))  # type: ignore[arg-type]  # every document has it


def decode_shown(kept: bytes) -> Shown:
    """What was kept of a document, from the field `shown`."""
    return _decoder.decode(kept)


def parts_of(document: Document) -> dict[str, Analysed]:
    """The words of a document with their stems, part by part: see forward.PARTS."""
    return {
        "title": analyse(document.title),
        "headings": analyse(" \n ".join(document.headings)),
        "anchors": analyse(" \n ".join((*document.anchors, *_names(document)))),
        "address": analyse(address_words(document.url)),
        "body": analyse(document.text)[:MAX_INDEXED_WORDS],
    }


@dataclass(frozen=True, slots=True)
class Indexed:
    """What the index holds of a document."""

    page: Page  # in the postings, with its words
    words: list[str]  # each stem as often as the page says it, those of its title more, and the marks of expressions
    titled: list[str]  # the stems of its title
    fields: dict[str, Any]  # as the engine takes them


def indexed(
    document: Document, parts: Mapping[str, Analysed], geo: Geo, referentiel: Referentiel, level: int = 0
) -> Indexed:
    """What the index holds of a document. level: how central its host is, see links.py."""
    shown = shown_of(document, geo, referentiel)
    territory = geo.territory(*shown.territory.split(":")) if shown.territory else None
    places = places_of(document, territory, geo)
    said = {name: [stem for _, stem in part] for name, part in parts.items()}
    marks = [mark for name in ("title", "headings", "body") for mark in marks_in(said[name])]
    facets, weight = facets_of(document, shown, places), weight_of(document, level)
    day = document.date.toordinal() if document.date else 0
    named = (("facet", facets), ("place", places), ("site", sites_of(document)))
    population = shown.source.population
    page = Page(
        key=key_of(document.id),
        weight=weight,
        day=day,
        news=day or (document.first_seen.toordinal() if document.first_seen else 0),
        population=-1 if population is None else population,
        publisher=shown.territory or shown.source_key,
        source=f"{shown.source_key}\t{shown.source.name}",
        facets=facets,
        terms=[term(field, value) for field, values in named for value in values],
    )
    fields: dict[str, Any] = {
        "id": document.id,
        **{name: " ".join(stems_) for name, stems_ in said.items()},
        "title_words": " ".join(word for word, _ in parts["title"]),
        "lead": " ".join(said["body"][:LEAD_WORDS]),
        "body_words": " ".join(word for word, _ in parts["body"]),
        "facet": facets,
        "group": group_of(page.publisher),
        # The engine multiplies by log2(2 + field).
        "weight": 2**weight - 2,
        "key": page.key,
        "shown": _encoder.encode(shown),
    }
    words = [*marks, *said["title"] * TITLE_TIMES, *itertools.chain(*said.values())]
    return Indexed(page, words, said["title"], fields)


def shown_of(document: Document, geo: Geo, referentiel: Referentiel) -> Shown:
    """What is kept of a document to show it, joined with the geography and the names of the référentiel."""
    territory = territory_of(document, geo)
    return Shown(
        id=document.id,
        url=document.url,
        title=nfc(document.title),
        text=nfc(_below_title(document)[:STORED_CHARS]),
        date=document.date,
        fetched_at=document.fetched_at,
        first_seen=document.first_seen,
        lang=document.lang,
        type=document.type,
        size=document.size,
        pages=document.pages,
        enjeux=tuple(
            HitTag(tag.slug, referentiel.enjeux[tag.slug].nom, tag.service, tag.score, tag.why)
            for tag in document.enjeux
            if tag.slug in referentiel.enjeux
        ),
        source=_hit_source(document, territory, geo),
        source_key=source_key(document),
        territory=f"{territory.kind}:{territory.code}" if territory else "",
        copies=document.copies,
        fingerprint=document.fingerprint,
    )


_DATELINE = re.compile(r"(?:publiée?|mise? à jour|mise? en ligne|modifiée?|actualisée?)\b.{0,60}", re.IGNORECASE)


def _below_title(document: Document) -> str:
    """The text without the breadcrumb, title and date it opens with: a result already shows them above it."""
    lines = document.text.split("\n")
    title = document.title.casefold()
    for start, line in enumerate(lines[:4]):
        breadcrumb = line.casefold().endswith(title) and len(line) < len(title) + 100
        if not breadcrumb and not _DATELINE.fullmatch(line):
            return "\n".join(lines[start:])
    return document.text


def territory_of(document: Document, geo: Geo) -> Territory | None:
    """Whose page this is: the territory of its source or, for a national source, the only one its text is about."""
    if document.source is not None and (own := geo.of_source(document.source)) is not None:
        return own
    about = [geo.territory(*place.split(":")) for place in document.places if ":" in place]
    found = [territory for territory in about if territory is not None]
    return found[0] if len(found) == 1 else None


def places_of(document: Document, territory: Territory | None, geo: Geo) -> list[str]:
    """The territories that hold a document, as "commune:68278"; "home:commune:68278" and "name:…" for a home page.

    A territory holds the documents it publishes and those whose text is about it, whoever publishes them; so do the
    EPCI, département and région that contain it. See docs/decisions/what-a-territory-finds.md.
    """
    found = set()
    about = [geo.territory(*place.split(":")) for place in document.places if ":" in place]
    for place in (territory, *about):
        if place is not None:
            found.add(f"{place.kind}:{place.code}")
            found.update(f"{outer.kind}:{outer.code}" for outer in _around(place, geo))
    if document.source is not None:
        # A source without a territory of its own (a school, a hospital) still says where it is.
        found.update(f"departement:{code}" for code in (document.source.departement,) if code)
        found.update(f"region:{code}" for code in (document.source.region,) if code)
    own = document.source is not None and document.source.kind in TERRITORIAL_KINDS
    if territory is not None and own and is_home(document):
        found.add(f"home:{territory.kind}:{territory.code}")
    found.update(name_key(stems(name)) for name in _names(document))
    return sorted(found)


def _names(document: Document) -> tuple[str, ...]:
    """What the list of sources calls a site, on its home page: « préfecture du Haut-Rhin » finds it first."""
    return (document.source.name,) if document.source is not None and is_home(document) else ()


def name_key(words: Iterable[str]) -> str:
    """The field value that a home page has for the name of its source: words with a subject, in any order."""
    return "name:" + " ".join(sorted({word for word in words if word not in STOP_WORDS}))


def facets_of(document: Document, shown: Shown, places: Sequence[str]) -> list[str]:
    """Every value of a document that a facet counts, as "name:value"."""
    found = {f"kind:{shown.source.kind}", f"type:{document.type}"}
    found.update(place for place in places if place.startswith(("departement:", "region:")))
    if document.lang:
        found.add(f"lang:{document.lang}")
    if document.date:
        found.add(f"year:{document.date.year:04}")
    for tag in document.enjeux:
        found.add(f"enjeu:{tag.slug}")
        if tag.service:
            found.add(f"service:{tag.service}")
    # "At least that many arobases": each level holds the higher ones.
    found.update(f"label:{level}" for level in range(1, shown.source.arobases + 1))
    if shown.source.population is not None:
        found.add(f"population:{band_of(shown.source.population)}")
    return sorted(found)


def is_home(document: Document) -> bool:
    """Whether the document is the home page of its source."""
    return document.source is not None and bare_site(document.url) == bare_site(document.source.url)


def band_of(population: int) -> str:
    """The population band of the facet: "500-1999", or "100000-" for the last one."""
    for low, high in BANDS:
        if high is None or population <= high:
            return f"{low}-{'' if high is None else high}"
    raise AssertionError("the last band has no end")


def _around(territory: Territory, geo: Geo) -> tuple[Territory, ...]:
    if territory.kind == "commune":
        return geo.containing(territory)
    outer = []
    if territory.kind == "epci" and territory.departement and (found := geo.departement(territory.departement)):
        outer.append(found)
    if territory.kind in ("epci", "departement") and territory.region and (found := geo.region(territory.region)):
        outer.append(found)
    return tuple(outer)


def _hit_source(document: Document, territory: Territory | None, geo: Geo) -> HitSource:
    host = urlsplit(document.url).netloc
    source = document.source or Source(url=document.url, name=host, kind="autre")
    departement, region = source.departement, source.region
    joined: dict[str, Any] = {}
    if territory is not None:
        kind, code = territory.kind, territory.code
        epci = geo.epci(territory.epci) if territory.epci else territory if kind == "epci" else None
        departement = code if kind == "departement" else territory.departement or departement
        region = code if kind == "region" else territory.region or region
        joined = {
            "insee": source.insee or (code if kind == "commune" else ""),
            "siren": source.siren or (code if kind == "epci" else ""),
            "commune": territory.name if kind == "commune" else "",
            "epci": epci.name if epci else "",
            "epci_siren": epci.code if epci else "",
            "population": territory.population,
            "arobases": territory.arobases,
            "latitude": territory.latitude,
            "longitude": territory.longitude,
        }
    in_departement = geo.departement(departement) if departement else None
    in_region = geo.region(region) if region else None
    return HitSource(
        name=source.name,
        kind=source.kind,
        host=host,
        departement=in_departement.name if in_departement else "",
        region=in_region.name if in_region else "",
        departement_code=departement,
        region_code=region,
        **({"insee": source.insee, "siren": source.siren} | joined),
    )


def group_of(key: str) -> int:
    """The number under which all pages of one publisher stand: territory "commune:68278", or source key."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") >> 1


def key_of(id_: DocumentId) -> int:
    """The number of a document, by which it is found among candidates."""
    return group_of(id_)


def source_key(document: Document) -> str:
    """Host and path of the source, without www. and final slash: what the parameter `site` accepts."""
    return bare_site(document.source.url if document.source else f"//{urlsplit(document.url).netloc}")


def bare_site(url: str) -> str:
    """A site as it is compared: without scheme, www. and final slash, in lower case."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    return (parts.netloc.lower().removeprefix("www.") + parts.path).rstrip("/")


def sites_of(document: Document) -> list[str]:
    """Every value of `site` that holds a document: its host, the domains above, its source when it has a path."""
    host = urlsplit(document.url).netloc.lower().removeprefix("www.")
    return sorted({host, *domains(host), source_key(document)})


def address_words(url: str) -> str:
    """The words of an address: host without www. and ending, then path."""
    parts = urlsplit(url)
    host = parts.netloc.removeprefix("www.").rpartition(".")[0]
    return f"{host} {unquote(parts.path)}"


AUTHORITY: dict[Kind, float] = {
    "commune": 1.0,
    "epci": 1.0,
    "departement": 1.0,
    "region": 1.0,
    "etat": 1.0,
    "operateur": 1.0,
    "sante": 0.95,
    "education": 0.95,
    "association": 0.9,
    "autre": 1.0,
}
"""How much the score of a page counts by who publishes it."""

CENTRAL = 0.02
"""What each level of its host, 0 to 5, adds to how much the score of a page counts."""

LISTING = 0.25
"""What a page loses of its weight when half of it or more is links; less in proportion under that."""

YEARLY = 0.01
"""A page one year younger scores this much more, all else equal; by the rate of ageing.csv where its title has one."""

USUAL = date(2022, 1, 1)
"""A page of this day weighs the same whatever its subject, and as much as one without a date: about the middle of what
is published, so that no subject gains by its rate alone. To be moved when FORMAT is raised."""

OLDEST, NEWEST = -12.0, 15.0
"""Years from USUAL beyond which a page ages no more: dates are read from pages, and some are wrong."""


def listing_of(document: Document) -> float:
    """Share of the text of a web page that is links, 0 to 1."""
    if document.type != "html" or not document.text:
        return 0.0
    lines = set(document.text.split("\n"))
    linked = sum(len(link.anchor) for link in document.links if link.anchor in lines)
    return min(linked / len(document.text), 1.0)


@cache
def _ageing() -> dict[str, list[tuple[tuple[str, ...], float]]]:
    """Stems of each expression of ageing.csv with its rate, by the first of them."""
    found = defaultdict(list)
    for row in csv.DictReader((FRENCH / "ageing.csv").read_text(encoding="utf-8").splitlines()):
        expression = tuple(stems(row["expression"]))
        found[expression[0]].append((expression, int(row["yearly"]) / 100))
    return found


def yearly_of(title: str) -> float:
    """How much more a page of this title scores when it is one year younger: what ages soonest in it decides.

    Amounts, calls for projects and agendas do, what is told of history does not: french/ageing.csv, by hand.
    """
    said = tuple(stems(title))
    rates = [
        rate
        for at, word in enumerate(said)
        for expression, rate in _ageing().get(word, ())
        if said[at : at + len(expression)] == expression
    ]
    return max(rates, default=YEARLY)


def weight_of(document: Document, level: int = 0) -> float:
    """What multiplies the score of a document: who publishes it, who links to its host, and how old it is.

    A page that lists others (a home page, a list of news) counts less than the pages it leads to.

    Age works by ratio between two dates, so the weight needs no clock and stays right as the index grows old.
    """
    weight = AUTHORITY[document.source.kind if document.source else "autre"]
    weight *= (1 + CENTRAL * level) * (1 - LISTING * min(2 * listing_of(document), 1.0))
    if document.date:
        years = min(max((document.date - USUAL).days / 365.25, OLDEST), NEWEST)
        weight *= (1 + yearly_of(document.title)) ** years
    return weight

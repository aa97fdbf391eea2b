"""The nouns that every room shares. Frozen, without behaviour beyond what their fields already say.

What a request makes hundreds of is a Struct: made seven times faster than a frozen dataclass.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, NewType

from msgspec import Struct

CodeInsee = NewType("CodeInsee", str)
"""Code of a commune, five characters, never an int: "01001" keeps its zero, "2A004" its letter."""

Siren = NewType("Siren", str)
"""Nine digits: the identity of an EPCI or of any other legal person."""

DocumentId = NewType("DocumentId", str)
"""Sixteen hexadecimal digits of the SHA-256 of the canonical URL without its scheme: http and https are one page."""

Kind = Literal[
    "commune", "epci", "departement", "region", "etat", "operateur", "sante", "education", "association", "autre"
]
"""Who publishes. The column `kind` of sources.csv and the parameter `kind` of a search."""

DocumentType = Literal["html", "pdf", "odt", "docx", "ods", "xlsx", "txt"]

TERRITORIAL_KINDS: tuple[Kind, ...] = ("commune", "epci", "departement", "region")


# --- who to visit ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source:
    """One line of sources.csv: a site that is trusted, who publishes it and where."""

    url: str  # canonical home address; its key is the host, or host + path on a shared platform
    name: str
    kind: Kind
    insee: str = ""  # CodeInsee of a commune
    siren: str = ""  # Siren of an EPCI or of another legal person
    departement: str = ""  # code: "68", "2A", "971"
    region: str = ""  # INSEE code: "44"


# --- the geography -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Territory:
    """A commune, an EPCI, a département or a région."""

    kind: Kind  # one of TERRITORIAL_KINDS
    code: str  # CodeInsee, Siren, or code of the département or région
    name: str
    population: int  # inhabitants (population municipale)
    departement: str = ""  # code; empty for an EPCI across several and for a région
    region: str = ""  # code; empty for an EPCI across several
    epci: str = ""  # Siren of the EPCI a commune belongs to
    postal_codes: tuple[str, ...] = ()
    latitude: float | None = None  # degrees, WGS 84
    longitude: float | None = None
    area_km2: float | None = None
    arobases: int = 0  # label Villes Internet 2019, 1 to 5; 0 when not labelled


@dataclass(frozen=True, slots=True)
class Comparable:
    """A territory comparable to another, and why, in French for readers."""

    territory: Territory
    reason: str
    closeness: float  # 0 (barely) to 1 (a twin)


# --- what the archive holds --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """One fetched response, exactly as the server sent it."""

    url: str  # canonical, see crawl/urls.py
    status: int
    headers: tuple[tuple[str, str], ...]  # as received, names in any case
    body: bytes  # after content encoding, before charset decoding; at most Settings.crawl.max_page_bytes
    fetched_at: datetime  # UTC


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A page visited again that had not changed: 304, or the same bytes."""

    url: str
    fetched_at: datetime  # UTC


@dataclass(frozen=True, slots=True)
class Gone:
    """A page that is to leave the index."""

    url: str
    reason: str  # "410", "404", "robots", "noindex", "vanished", "redirect", "forgotten", "expired"
    decided_at: datetime  # UTC


Record = Page | Unchanged | Gone


@dataclass(frozen=True, slots=True)
class Skipped:
    """What went wrong with one page. Counted by reason, never raised."""

    reason: str  # a short constant: "too large", "empty", "worker timed out"


# --- documents ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a page, resolved."""

    url: str  # absolute, canonical
    anchor: str  # its text, at most 200 characters


Where = Literal["title", "headings", "breadcrumb", "url", "anchor", "body", "learned"]
"""Place of the expression in the page; or a word that weights learned from labelled pages count."""


class Why(Struct, frozen=True, gc=False):
    """An expression of the page that earned a tag, and where it stands."""

    expression: str  # as it is read in the référentiel
    where: Where
    count: int = 1


@dataclass(frozen=True, slots=True)
class Tag:
    """An enjeu (or transversal theme) of a document, with the words that earned it."""

    slug: str
    service: str  # name of the service of the référentiel that weighed most; empty when none
    score: float  # 0 to 1, calibrated
    why: tuple[Why, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """One page or file as readers find it."""

    id: DocumentId
    url: str
    title: str
    text: str  # the page's own words, paragraphs separated by "\n"; no boilerplate
    headings: tuple[str, ...] = ()
    description: str = ""
    date: date | None = None  # when it was published or last changed, as the page says
    fetched_at: datetime | None = None  # UTC, last time it was seen
    first_seen: datetime | None = None  # UTC, first time it was
    lang: str = ""  # ISO 639-1, empty when unknown
    type: DocumentType = "html"
    size: int = 0  # bytes of the body
    pages: int = 0  # of a PDF or an office text; 0 when it has none
    source: Source | None = None  # the source whose key is the longest prefix of the URL
    places: tuple[str, ...] = ()  # territories the text is about: "commune:68278", "epci:200066009", "region:44"
    links: tuple[Link, ...] = ()
    anchors: tuple[str, ...] = ()  # texts of the links of other pages that lead here, most frequent first
    canonical: str = ""  # the address that the page gives as its own, when it is another
    breadcrumb: tuple[str, ...] = ()  # where the page says it stands in its site, from the top
    enjeux: tuple[Tag, ...] = ()
    copy_of: DocumentId | None = None  # the document shown in its place
    copies: tuple[str, ...] = ()  # URLs of the copies shown under it
    fingerprint: str = ""  # of the normalised text: equal texts are equal
    around: tuple[str, ...] = ()  # lines read before and after the text, for what sites repeat; never in the store


# --- questions and answers ---------------------------------------------------------------------------------------

Sort = Literal["pertinence", "date"]
OnePer = Literal["collectivite", "none"]
Combine = Literal["et", "ou"]
"""How several enjeux go together: all of them on a document, or at least one."""


@dataclass(frozen=True, slots=True)
class Search:
    """What a reader asks: the parameters of the contract, validated. Empty or None means "any"."""

    q: str = ""
    enjeu: tuple[str, ...] = ()  # slugs
    combine: Combine = "et"  # whether all of them must be on the document, or one of them
    service: str = ""
    label: int | None = None  # at least that many arobases
    kind: tuple[Kind, ...] = ()
    commune: str = ""  # CodeInsee
    epci: str = ""  # Siren
    departement: str = ""
    region: str = ""
    publisher: str = ""  # whose page it is: a territory, "commune:68278", or the key of a source
    population_min: int | None = None
    population_max: int | None = None
    like: str = ""  # CodeInsee: rank and filter to collectivités comparable to it
    type: tuple[DocumentType, ...] = ()
    lang: str = ""
    since: date | None = None
    until: date | None = None
    site: str = ""
    sort: Sort | Literal["nouveaute"] = "pertinence"  # nouveaute: for feeds; a page without a date by its first_seen
    one_per: OnePer = "none"
    page: int = 1
    size: int = 10


class HitSource(Struct, frozen=True):
    """The source of a result, joined with the geography."""

    name: str
    kind: Kind
    host: str
    insee: str = ""
    siren: str = ""
    commune: str = ""  # name
    epci: str = ""  # name
    departement: str = ""  # name
    region: str = ""  # name
    departement_code: str = ""
    region_code: str = ""
    epci_siren: str = ""
    population: int | None = None
    arobases: int = 0
    latitude: float | None = None
    longitude: float | None = None


class HitTag(Struct, frozen=True):
    """A tag as shown: the référentiel's own name beside the slug."""

    slug: str
    nom: str
    service: str
    score: float
    why: tuple[Why, ...]


class Hit(Struct, frozen=True):
    """One result."""

    id: DocumentId
    url: str
    title: str
    snippet_html: str  # escaped; the only tag is <mark>
    date: date | None
    fetched_at: datetime | None
    lang: str
    type: DocumentType
    size: int
    score: float
    enjeux: tuple[HitTag, ...]
    source: HitSource
    first_seen: datetime | None = None
    pages: int = 0
    copies: tuple[str, ...] = ()  # URLs of co-published copies folded under it
    publisher: str = ""  # what the parameter `publisher` accepts for it
    others: int = 0  # with one_per=collectivite: results of the same publisher not shown
    comparable: str = ""  # with like=: why the collectivité is comparable, in French
    explanation: tuple[tuple[str, float], ...] = ()  # what made the score, filled when asked


class FacetValue(Struct, frozen=True, gc=False):
    value: str  # what to give as the parameter
    label: str  # what to show
    count: int


@dataclass(frozen=True, slots=True)
class Homonym:
    """An operator typed whose name several territories bear."""

    typed: str  # « commune:Saint-Denis », as it stands in the query
    taken: Territory  # the most populated
    others: tuple[Territory, ...]  # most populated first; `kind:code` finds one


@dataclass(frozen=True, slots=True)
class Results:
    """The answer to a Search."""

    query: str
    total: int
    total_is_exact: bool  # always: part of the contract, which allows an estimate
    took_ms: float
    hits: tuple[Hit, ...]
    facets: dict[str, tuple[FacetValue, ...]] = field(default_factory=dict)
    suggestion: str | None = None  # the query with its spelling corrected
    corrected: bool = False  # the hits answer `suggestion`, not `query`
    relaxed: bool = False  # no document has all the words: the hits have some of them
    also: tuple[str, ...] = ()  # synonyms and expanded acronyms that were searched too
    documents: int = 0  # with `one_per`, all that answer: `total` counts who publishes them, facets count them
    peers: int | None = None  # with `like`: comparable communes that publish, among which the hits are
    estimated: frozenset[str] = frozenset()  # names of the facets whose counts are estimates
    homonyms: tuple[Homonym, ...] = ()  # in the order of the query, each once


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A completion, from titles, enjeux, services and places; never from what others typed."""

    text: str
    kind: Literal["title", "enjeu", "service", "place"]
    url: str = ""


# --- comparing territories -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MosaicRow:
    """An enjeu, or one of its services, in a territory and in those comparable to it."""

    slug: str  # of the enjeu
    nom: str  # of the enjeu, as shown
    service: str  # "" on the row of the enjeu itself
    here: int  # documents of the territory
    peers: tuple[int, ...]  # documents of each peer, in the order of Collectivite.peers


@dataclass(frozen=True, slots=True)
class Collectivite:
    """What a territory published, by enjeu and service, beside comparable territories (the mosaïque)."""

    territory: Territory
    containing: tuple[Territory, ...]  # its EPCI, département and région
    documents: int
    peers: tuple[Comparable, ...]  # comparable territories with at least one document, closest first
    mosaic: tuple[MosaicRow, ...]  # each enjeu followed by its services; only rows where someone has a document
    newest: tuple[Hit, ...]  # of the territory, newest first
    missing: tuple[Hit, ...]  # pages of peers on services the territory has no document about


@dataclass(frozen=True, slots=True)
class TreeService:
    service: str
    count: int  # documents


@dataclass(frozen=True, slots=True)
class TreeEnjeu:
    """An enjeu, its services, and the enjeux that stand with it on the same documents."""

    slug: str
    nom: str
    count: int  # documents
    services: tuple[TreeService, ...]  # most documents first
    together: tuple[FacetValue, ...]  # other enjeux of the same documents: value is the slug, most frequent first


@dataclass(frozen=True, slots=True)
class Point:
    """A territory on the map, with how many results are its own."""

    territory: Territory
    count: int


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """What is being served."""

    version: str
    built_at: datetime  # UTC
    documents: int
    sources: int
    referentiel_version: str
    last_fetched_at: datetime | None  # UTC, of the most recent page

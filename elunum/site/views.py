"""The pages. Each is: read what is asked, ask the engine, fill a template.

Handlers are `async` and call the engine directly: a search holds the processor for a few milliseconds, handing it to
a thread costs more than it gives (docs/decisions/site-answers-in-processes.md), and workers are processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from urllib.parse import urlencode

import msgspec
from msgspec import structs
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from elunum import __version__
from elunum.errors import QueryError
from elunum.geo import band
from elunum.index import tags
from elunum.index.build import read_about
from elunum.index.tags import Expression, Referentiel, load_referentiel
from elunum.model import Document, DocumentId, FacetValue, Hit, Kind, Point, Results, Search, Territory
from elunum.search.engine import FACTOR, LATER, PEERS
from elunum.search.matching import place_key
from elunum.search.request import from_params
from elunum.site import links, metrics, pictures, register, replies
from elunum.site.api import PARAMETERS
from elunum.site.context import Asked, Context, asked, chosen_of, context, number, only, pairs_of, quoted, split
from elunum.text import nfc

KINDS: dict[str, str] = {
    "commune": "commune", "epci": "intercommunalité", "departement": "département", "region": "région",
    "etat": "État", "operateur": "opérateur public", "sante": "établissement de santé",
    "education": "enseignement et recherche", "association": "association", "autre": "autre organisme public",
}  # fmt: skip
TERRITORIAL = ("commune", "epci", "departement", "region")
"""Kinds whose population is their own; of another kind, a place is the one that the page speaks of."""

TYPES = {
    "html": "page web", "pdf": "PDF", "odt": "texte ODT", "docx": "texte Word", "ods": "tableur ODS",
    "xlsx": "tableur Excel", "txt": "texte brut",
}  # fmt: skip

PANEL = {
    "kind": "Qui publie", "population": "Habitants", "region": "Région",
    "departement": "Département", "year": "Année", "type": "Format", "lang": "Langue",
    "label": "Label Villes Internet", "source": "Site",
}  # fmt: skip
"""Facets in the order of the panel, below the enjeux; those the engine does not give are left out."""

ROWS_OF_A_FACET = 8

NAMESAKES = 5
"""Territories of one name that are listed beside the one that was taken; operators of which this is said."""

TRANSVERSAL = "Thèmes transversaux"
"""What the enjeux without a domaine are shown under."""


def domains(referentiel: Referentiel) -> dict[str, str]:
    """Class of the colour of each enjeu: one of d1 to d4 by domain, d5 for transversal themes."""
    return {slug: f"d{referentiel.domaines.index(e.domaine) + 1}" for slug, e in referentiel.enjeux.items()}


# The same on every page: macros that need nothing of one page are compiled once, not at each answer.
DOMAINS = domains(load_referentiel())
replies.TEMPLATES.globals.update(kinds=KINDS, territorial=TERRITORIAL, domains=DOMAINS, go=links.go, rows=links.rows)


def common(request: Request) -> dict[str, Any]:
    """What every template may use."""
    here = context(request)
    return {
        "demo": here.settings.site.demo,
        "settings": here.settings,
    }


def page(request: Request, template: str, headers: dict[str, str] = replies.SHORT, **values: Any) -> Response:
    """A page made of a template and values."""
    return replies.html(request, template, common(request) | values, headers)


# --- searching ------------------------------------------------------------------------------------------------------


class Row(msgspec.Struct, frozen=True, gc=False):
    """A value of a facet, or an active filter: what a click on it asks."""

    label: str
    count: int
    query: str
    active: bool = False
    exact: bool = True  # count; an estimate otherwise
    services: tuple[Row, ...] = ()  # of an enjeu that is chosen


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Namesake:
    """An operator whose name several territories bear: which was taken, and the query that takes each of the others."""

    typed: str
    taken: str
    others: tuple[tuple[str, str], ...]  # label, query
    more: int  # others that are not listed


@dataclass(frozen=True, slots=True)
class Way:
    """A way out of an empty page of results."""

    label: str
    query: str
    path: str = "/recherche"


async def search(request: Request) -> Response:
    """/recherche: the results of a search, with its facets and filters."""
    what = await asked(request)
    here = context(request)
    results = here.engine.search(what.search)
    return page(
        request,
        "resultats.html",
        replies.NO_STORE,
        asked=what,
        results=results,
        heading=f"«\u00a0{what.search.q}\u00a0»" if what.search.q else "Toutes les pages",
        chips=list(active_filters(here, what)),
        namesakes=list(namesakes(here, what, results)),
        typed=as_typed(what.search.q, results.suggestion) if results.corrected and results.suggestion else "",
        compared=compared(here, what.search.like, results.peers or 0) if what.search.like else "",
        domaines=domaines_of(here.referentiel, what, results),
        groups=groups_of(what, results),
        years=pictures.years(what, results.facets.get("year", ()), "year" not in results.estimated),
        pages=numbers_of_pages(what.search, results.total, here.settings.search.max_page),
        ways=list(ways_out(here, what, results.suggestion)) if not results.total else [],
    )


def as_typed(text: str, corrected: str) -> str:
    """The query that finds the words as they were typed: those that were corrected between quotes."""
    words, better = text.split(), corrected.split()
    if len(words) != len(better):  # a word was cut in two
        return " ".join(f'"{word}"' if word not in better and '"' not in word else word for word in words)
    return " ".join(
        f'"{one}"' if one != two and '"' not in one else one for one, two in zip(words, better, strict=True)
    )


def namesakes(here: Context, what: Asked, results: Results) -> Iterator[Namesake]:
    """Each operator typed whose name several territories bear (« commune:Saint-Denis »)."""
    for one in results.homonyms[:NAMESAKES]:
        others = one.others[:NAMESAKES]
        codes = [nfc(what.search.q).replace(one.typed, f"{other.kind}:{other.code}", 1) for other in others]
        links = tuple((_placed(here, other), what.to(q=q)) for other, q in zip(others, codes, strict=True))
        yield Namesake(one.typed, _placed(here, one.taken), links, len(one.others) - len(others))


def _placed(here: Context, territory: Territory) -> str:
    """« Saint-Denis (Aude) »: a name with what tells it from its namesakes."""
    departement = here.geo.departement(territory.departement) if territory.departement else None
    return f"{territory.name} ({departement.name if departement else territory.code})"


def compared(here: Context, like: str, peers: int) -> str:
    """Among whom the pages of communes comparable to `like` were looked for, in one sentence."""
    me = here.geo.commune(like)
    if me is None:
        return "Ce code INSEE n’est celui d’aucune commune."
    fewest, most = band(me.population)
    sizes = f"de {replies.nombre(fewest)} à {replies.nombre(most)} habitants" if fewest else (
        f"d’au plus {replies.nombre(most)} habitants"
    )  # fmt: skip
    if not peers:
        return f"Aucune commune comparable à {me.name} ({sizes}) n’a encore de page ici."
    if peers >= PEERS:
        return f"Cherché chez les {peers} communes les plus semblables à {me.name}, parmi celles qui ont des pages ici."
    who = "la seule commune comparable" if peers == 1 else f"les {peers} communes comparables"
    return f"Cherché chez {who} à {me.name} ({sizes}) qui {'a' if peers == 1 else 'ont'} des pages ici."


def groups_of(what: Asked, results: Results) -> list[Group]:
    """The panel of filters: what each value would leave."""
    groups = []
    for name, title in PANEL.items():
        rows = rows_of(what, results, name, [v for v in results.facets.get(name, ())[:ROWS_OF_A_FACET] if v.count])
        if rows and (len(rows) > 1 or rows[0].active):
            groups.append(Group(title, rows))
    return groups


def domaines_of(referentiel: Referentiel, what: Asked, results: Results) -> list[Group]:
    """The facet of enjeux, a group a domaine, with the services of each enjeu chosen."""
    # An enjeu may be of a référentiel newer or older than the one of this process, until the next start.
    values = [value for value in results.facets.get("enjeu", ()) if value.value in referentiel.enjeux]
    rows: dict[str, list[Row]] = {domaine: [] for domaine in referentiel.domaines}
    for value, row in zip(values, rows_of(what, results, "enjeu", values), strict=True):
        if row.active:
            names = _services(value.value)
            services = [service for service in results.facets.get("service", ()) if service.value in names]
            row = structs.replace(row, services=tuple(rows_of(what, results, "service", services)))
        rows[referentiel.enjeux[value.value].domaine].append(row)
    return [Group(domaine or TRANSVERSAL, found) for domaine, found in rows.items() if found]


def _services(slug: str) -> set[str]:
    """Names of the services of an enjeu."""
    return {service.nom for service in load_referentiel().services if service.enjeu == slug}


def _without(search: Search, slug: str) -> dict[str, Any]:
    """What changes when an enjeu is no longer asked for: its services go with it."""
    kept = tuple(other for other in search.enjeu if other != slug)
    service = "" if search.service in _services(slug) else search.service
    return {"enjeu": kept, "service": service, "combine": search.combine if kept else "et"}


_FIELDS = {
    "year": ("since", "until"), "population": ("population_min", "population_max"), "source": ("site",),
}  # fmt: skip
"""Fields of the search that a facet sets, when they are not the one of its name."""


def _part(facet: str, value: str) -> str:
    """What a value of a facet writes in a query string, each parameter after « & »."""
    if facet == "year":
        return f"&since={value}-01-01&until={value}-12-31"
    if facet == "population":
        low, _, high = value.partition("-")
        return (low and f"&population_min={low}") + (high and f"&population_max={high}")
    return f"&{_FIELDS.get(facet, (facet,))[0]}={quoted(value)}"


def rows_of(what: Asked, results: Results, facet: str, values: Sequence[FacetValue]) -> list[Row]:
    """Values of a facet, with what choosing each one asks, or taking back one that is chosen."""
    exact = facet not in results.estimated
    fields = _FIELDS.get(facet, (facet,))
    before, own, after = what.around(fields[0], fields[-1])
    chosen = getattr(what.search, fields[0])
    rows = []
    for value in values:
        part = _part(facet, value.value)
        if isinstance(chosen, tuple):  # several may be chosen
            if active := value.value in chosen:
                kept = {facet: tuple(other for other in chosen if other != value.value)}
                query = "&" + what.to(**(_without(what.search, value.value) if facet == "enjeu" else kept))
            else:
                query = before + own + part + after
        else:
            active = part == own
            query = before + ("" if active else part) + after
        rows.append(Row(value.label or value.value, value.count, query[1:], active, exact))
    return rows


def active_filters(here: Context, what: Asked) -> Iterator[Row]:
    """Each filter of the search, as a chip that removes it."""
    search = what.search

    def chip(shown: str, /, **change: Any) -> Row:
        return Row(shown, 0, what.to(**change), True)

    for place, slug in enumerate(search.enjeu):
        joined = f"{search.combine} " if place else ""
        yield chip(joined + here.referentiel.enjeux[slug].nom, **_without(search, slug))
    if search.service:
        yield chip(f"service\u00a0: {search.service}", service="")
    for kind in search.kind:
        yield chip(KINDS[kind], kind=tuple(kept for kept in search.kind if kept != kind))
    if search.like:
        yield chip(f"comparables à {_name(here, 'commune', search.like)}", like="")
    for field in ("commune", "epci", "departement", "region"):
        if code := getattr(search, field):
            yield chip(_name(here, field, code), **{field: ""})
    if search.publisher:
        kind_, _, code = search.publisher.partition(":")
        name = _name(here, kind_, code) if kind_ in TERRITORIAL else search.publisher
        yield chip(f"publié par\u00a0: {name}", publisher="")
    if search.population_min is not None or search.population_max is not None:
        low, high = search.population_min, search.population_max
        words = f"{replies.nombre(low)} à {replies.nombre(high)}" if low is not None and high is not None else (
            f"au moins {replies.nombre(low)}" if low is not None else f"au plus {replies.nombre(high or 0)}"
        )  # fmt: skip
        yield chip(f"{words} {'habitant' if high == 1 else 'habitants'}", population_min=None, population_max=None)
    if search.label is not None:
        yield chip(f"label Villes Internet, {search.label} @ ou plus", label=None)
    if search.since:
        yield chip(f"depuis le {replies.jour(search.since)}", since=None)
    if search.until:
        yield chip(f"jusqu’au {replies.jour(search.until)}", until=None)
    for type_ in search.type:
        yield chip(TYPES[type_], type=tuple(kept for kept in search.type if kept != type_))
    if search.lang:
        yield chip(f"en {replies.langue(search.lang)}" if search.lang != "fr" else "en français", lang="")
    if search.site:
        yield chip(search.site, site="")


def _name(here: Context, kind: str, code: str) -> str:
    territory = here.geo.territory(_kind(kind), code)
    return territory.name if territory else code


def _kind(text: str) -> Kind:
    assert text in get_args(Kind)
    return text  # type: ignore[return-value]  # just checked


def numbers_of_pages(search: Search, total: int, at_most: int) -> list[tuple[int, str]]:
    """The pages a reader may go to: previous, the neighbours, next."""
    last = min(-(-total // search.size), at_most)
    now = search.page
    near = [n for n in range(now - 2, now + 3) if 1 <= n <= last]
    numbers = [(n, str(n)) for n in near]
    if near and near[0] > 1:
        numbers.insert(0, (1, "1" if near[0] == 2 else "1 …"))
    if 1 < now <= last:
        numbers.insert(0, (now - 1, "← Précédents"))
    if now < last:
        numbers.append((now + 1, "Suivants →"))
    return numbers


MAX_WAYS, MAX_TRIES = 6, 24
"""Of a page without results: ways shown, and searches made to find them."""


def ways_out(here: Context, what: Asked, suggestion: str | None) -> Iterator[Way]:
    """What to try when nothing was found: only ways that lead somewhere, with how many results they have."""
    tried: set[Search] = set()
    shown = 0
    for label, search in _attempts(here, what.search, suggestion):
        if search in tried or shown == MAX_WAYS or len(tried) == MAX_TRIES:
            continue
        tried.add(search)
        found = here.engine.search(replace(search, page=1, size=1))
        if found.total:
            shown += 1
            said = replies.resultats(found.total, found.total_is_exact)
            yield Way(f"{label} ({said})", Asked(search, what.chosen).to())


def _attempts(here: Context, search: Search, suggestion: str | None) -> Iterator[tuple[str, Search]]:
    """Searches close to one that found nothing: the closest first."""

    def words(text: str) -> str:
        return f"Chercher «\u00a0{text}\u00a0»"

    if suggestion:
        yield words(suggestion), replace(search, q=suggestion)
    if len(search.enjeu) > 1 and search.combine == "et":
        yield "Se contenter d’au moins un des enjeux choisis", replace(search, combine="ou")
    for field in ("commune", "epci", "departement"):
        if place := here.geo.territory(_kind(field), getattr(search, field)):
            for outer in here.geo.containing(place):
                wider: dict[str, Any] = {field: "", outer.kind: outer.code}
                yield f"Élargir à\u00a0: {outer.name}", replace(search, **wider)
    chips = list(active_filters(here, Asked(search)))
    for chip in chips:
        yield f"Enlever le filtre «\u00a0{chip.label}\u00a0»", from_params(split(chip.query))
    if len(chips) > 1:
        yield "Enlever tous les filtres", Search(q=search.q)
    typed = search.q.split()
    plain = " ".join(word.strip('"()') for word in typed if not word.startswith("-") and word not in ("OU", "SAUF"))
    if plain != search.q:
        yield words(plain), replace(search, q=plain)
    if chips and search.q:
        yield "Garder les filtres sans les mots", replace(search, q="")
    found = here.tagger.candidates(Document(DocumentId(""), "", plain, plain)) if plain else []
    for tag in found[:2]:
        yield f"Parcourir l’enjeu «\u00a0{here.referentiel.enjeux[tag.slug].nom}\u00a0»", Search(enjeu=(tag.slug,))
    kept = plain.split()
    if 1 < len(kept) <= 8:  # a search for each word: a request of 500 words would keep the process for seconds
        for n in range(len(kept)):
            shorter = " ".join(kept[:n] + kept[n + 1 :])
            yield words(shorter), Search(q=shorter)
    for completion in here.engine.suggest(plain[:40], 3) if plain else ():
        yield words(completion.text), Search(q=completion.text)


_SIGNS = {
    "title": "dans le titre", "title_words": "dans le titre, écrit ainsi", "headings": "dans un intertitre",
    "lead": "au début du texte", "body": "dans le texte", "body_words": "dans le texte, écrit ainsi",
    "address": "dans l’adresse", "anchors": "dans les liens qui y mènent",
}  # fmt: skip
_PLACES = {
    "place": "Lieu cherché", "home page": "Page d’accueil du lieu cherché", "site": "Page d’accueil du site de ce nom",
}  # fmt: skip
_WHOLE = {
    "about": "Sujet proche de celui de la demande, d’après les mots qui vont ensemble dans les pages",
    "comparable": "Collectivité comparable",
    "title covered": "Part du titre que la demande contient",
    "passage": "Mots de la demande réunis dans un même passage",
}


def sign(name: str) -> str:
    """A sign of relevance, as the engine names it, in French."""
    field, _, value = name.partition(": ")
    if field in _SIGNS:
        return f"«\u00a0{value}\u00a0» {_SIGNS[field]}"
    if field in _PLACES:
        return f"{_PLACES[field]}\u00a0: {value}"
    if name in _WHOLE:
        return _WHOLE[name]
    if name == LATER:
        return "Regardée de près après d’autres, et laissée derrière elles"
    if name == FACTOR:
        return "Le tout multiplié, pour l’âge de la page, qui la publie et qui y mène"
    return f"«\u00a0{name}\u00a0», cherché aussi"


async def why(request: Request) -> Response:
    """/pourquoi: what made the score of one result (the `id`) of a search."""
    what = await asked(request)
    if len(what.chosen) != 1:
        raise QueryError("id", "l’identifiant d’un résultat de la recherche")
    results = context(request).engine.search(what.search, explain=True)
    found = [hit for hit in results.hits if hit.id == what.chosen[0]]
    if not found:
        raise HTTPException(404)
    added = [(sign(name), value) for name, value in found[0].explanation if name != FACTOR]
    factor = next((value for name, value in found[0].explanation if name == FACTOR), 1.0)
    what = replace(what, chosen=())
    return page(request, "pourquoi.html", replies.NO_STORE, asked=what, hit=found[0], added=added, factor=factor)


async def similar(request: Request) -> Response:
    """/similaires/{id}: initiatives comparable to a result."""
    (id,) = chosen_of([("id", request.path_params["id"])])
    what = await asked(request)
    engine = context(request).engine
    hits = engine.similar(id, 10)
    hit = engine.hit(id)
    if hits is None or hit is None:
        raise HTTPException(404)
    return page(request, "similaires.html", replies.NO_STORE, asked=what, hit=hit, hits=hits)


def kept(request: Request, ids: Sequence[DocumentId]) -> list[Hit]:
    """The documents of a selection that still exist, in order."""
    engine = context(request).engine
    return [hit for id in ids if (hit := engine.hit(id)) is not None]


async def note(request: Request) -> Response:
    """/note: the kept results as a page to print for a council."""
    what = await asked(request)
    hits = kept(request, what.chosen)
    return page(
        request, "note.html", replies.NO_STORE,
        asked=what, hits=hits, lost=len(what.chosen) - len(hits), today=datetime.now(UTC),
    )  # fmt: skip


async def map_(request: Request) -> Response:
    """/carte: where the results of a search are."""
    what = await asked(request)
    here = context(request)
    results = here.engine.search(replace(what.search, size=1, page=1))
    points = sorted(here.engine.points(what.search), key=lambda point: -point.count)
    regions = [value for value in results.facets.get("region", ()) if value.count]
    departements = [value for value in results.facets.get("departement", ()) if value.count]
    known = [(place, value.count) for value in regions if (place := here.geo.territory("region", value.value))]
    return page(
        request,
        "carte.html",
        replies.NO_STORE,
        asked=what,
        results=results,
        chips=list(active_filters(here, what)),
        picture=pictures.france(what, known, departements, points[: pictures.MAX_POINTS], _around(here, what.search)),
        regions=rows_of(what, results, "region", regions),
        departements=rows_of(what, results, "departement", departements),
        points=[_point(what, point) for point in points[:50]],
        more=len(points) > 50,
        undrawn=max(0, len(points) - pictures.MAX_POINTS),
    )


def _around(here: Context, search: Search) -> tuple[str, ...]:
    """Codes of the départements of the région that the map draws closer, whether they have results or not."""
    own = here.geo.territory("departement", search.departement) if search.departement else None
    region = own.region if own else search.region
    return tuple(place.code for place in here.geo.all("departement") if region and place.region == region)


def _point(what: Asked, point: Point) -> Row:
    """A collectivité of the map's list, and what leads to its results."""
    place = point.territory
    change: dict[str, Any] = {place.kind: place.code}
    if place.kind not in ("commune", "epci"):
        change["kind"] = (place.kind,)  # the département's own pages, not those of its communes
    return Row(place.name, point.count, what.to(**change))


# --- communes, enjeux, sources --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tile:
    nom: str
    words: str
    domain: str
    href: str = ""


async def home(request: Request) -> Response:
    """/ and /discret: one field, the enjeux, what is inside, what is refused."""
    only(await pairs_of(request))
    here = context(request)
    quiet = request.url.path == "/discret"
    return page(
        request, "accueil.html", quiet=quiet, info=here.engine.info(), tiles=_tiles(here),
    )  # fmt: skip


def _tiles(here: Context) -> list[Tile]:
    counts = {branch.slug: branch.count for branch in here.tree()}
    tiles = []
    for enjeu in here.referentiel.enjeux.values():
        count = counts.get(enjeu.slug, 0)
        href = f"/recherche?enjeu={enjeu.slug}" if count else ""
        tiles.append(Tile(enjeu.nom, replies.pluriel(count, "page"), DOMAINS[enjeu.slug], href))
    return tiles


MAX_COMMUNES = 60
"""Shown of those that bear a name, or begin by it."""


async def communes(request: Request) -> Response:
    """/communes: choose a commune by name or postal code, homonyms shown, then compare with those like it."""
    pairs = await pairs_of(request)
    name = "".join(value for key, value in pairs if key == "nom")[:200]
    rest = [pair for pair in pairs if pair[0] not in ("nom", "like")]
    what = replace(_search_of(rest), discreet=request.method == "POST")
    searching = any(value for _, value in rest)
    here = context(request)
    found = _communes_named(here, name) if name else ()
    if len(found) == 1 and not what.discreet:
        aim = f"/recherche?{what.to(like=found[0].code)}" if searching else f"/collectivites/{found[0].code}"
        return RedirectResponse(aim, 303, replies.NO_STORE)
    rows = [(commune, here.geo.containing(commune)) for commune in found[:MAX_COMMUNES]]
    return page(
        request, "communes.html", replies.NO_STORE,
        asked=what, name=name, rows=rows, more=len(found) > MAX_COMMUNES, searching=searching,
    )  # fmt: skip


def _search_of(pairs: list[tuple[str, str]]) -> Asked:
    return Asked(from_params(pair for pair in pairs if pair[0] != "id"), chosen_of(pairs))


def _communes_named(here: Context, name: str) -> tuple[Territory, ...]:
    if name.isdigit() and len(name) == 5:
        return here.geo.by_postal_code(name)
    exact = here.geo.named(name, "commune") or here.geo.former(name)
    if len(exact) == 1:
        return exact
    longer = (t for t in here.geo.starting_with(name, 2 * MAX_COMMUNES) if t.kind == "commune")
    return tuple(dict.fromkeys((*exact, *longer)))


async def collectivite(request: Request) -> Response:
    """/collectivites/{insee}: what a commune (INSEE code) or an EPCI (SIREN) published, beside its peers."""
    pairs = await pairs_of(request)
    only(pair for pair in pairs if pair[0] != "id")
    here = context(request)
    found = here.engine.collectivite(request.path_params["code"])
    if found is None:
        raise HTTPException(404)
    sources = [source for source in here.register if found.territory.code in (source.insee, source.siren)]
    return page(
        request, "collectivite.html", replies.NO_STORE if pairs else replies.SHORT,
        asked=Asked(Search(), chosen_of(pairs)), found=found, tiles=_mosaic(here, found), sources=sources,
        publisher=place_key(found.territory),
    )  # fmt: skip


def _mosaic(here: Context, found: Any) -> list[Tile]:
    rows, publisher = {row.slug: row for row in found.mosaic if not row.service}, place_key(found.territory)
    tiles = []
    for enjeu in here.referentiel.enjeux.values():
        row = rows.get(enjeu.slug)
        with_it = sum(1 for count in row.peers if count) if row else 0
        peers = f", {replies.pluriel(with_it, 'comparable')}" if with_it else ""
        if row and row.here:
            href = "/recherche?" + urlencode({"enjeu": enjeu.slug, "publisher": publisher})
            tiles.append(Tile(enjeu.nom, replies.pluriel(row.here, "page") + peers, DOMAINS[enjeu.slug], href))
        else:
            tiles.append(Tile(enjeu.nom, "rien trouvé" + peers, ""))
    return tiles


async def enjeux(request: Request) -> Response:
    """/enjeux: the référentiel, domaine by domaine: counts, newest pages, and how pages are tagged."""
    only(await pairs_of(request))
    here = context(request)
    referentiel = here.referentiel
    branches = {branch.slug: branch for branch in here.tree()}
    grouped = {
        domaine or TRANSVERSAL: [(e, branches[e.slug]) for e in referentiel.enjeux.values() if e.domaine == domaine]
        for domaine in referentiel.domaines
    }
    return page(
        request, "enjeux.html",
        grouped=grouped, newest=here.newest(), referentiel=referentiel,
        version=here.engine.info().referentiel_version, tagging=tags,
    )  # fmt: skip


async def enjeu(request: Request) -> Response:
    """/enjeux/{slug}: an enjeu, its newest pages, and every expression that announces it: the published rules."""
    only(await pairs_of(request))
    here = context(request)
    chosen = here.referentiel.enjeux.get(request.path_params["slug"])
    if chosen is None:
        raise HTTPException(404)
    branch = next(branch for branch in here.tree() if branch.slug == chosen.slug)
    counts = {service.service: service.count for service in branch.services}
    names = [service.nom for service in here.referentiel.services if service.enjeu == chosen.slug]
    rules: dict[str, list[Expression]] = {name: [] for name in [*names, ""]}
    for expression in here.referentiel.expressions:
        if expression.enjeu == chosen.slug:
            rules[expression.service].append(expression)
    return page(
        request, "enjeu.html",
        enjeu=chosen, branch=branch, newest=here.newest()[chosen.slug],
        counts=counts, rules=rules, version=here.referentiel.version,
    )  # fmt: skip


async def tree(request: Request) -> Response:
    """/arbre: which enjeux and services stand together in the pages, as a tree one walks by links."""
    values = only(await pairs_of(request), "enjeu")
    here = context(request)
    branches = here.tree()
    slug = values.get("enjeu", "")
    if slug and slug not in here.referentiel.enjeux:
        raise QueryError("enjeu", "le nom court d’un enjeu, tel que la page /enjeux les donne")
    chosen = next((branch for branch in branches if branch.slug == slug), None)
    picture = pictures.tree(branches, chosen, DOMAINS)
    return page(request, "arbre.html", branches=branches, chosen=chosen, picture=picture)


async def sources(request: Request) -> Response:
    """/sources: the register, searched by name or address, by kind and by place."""
    values = only(await pairs_of(request), *register.CHOICES, "page", "size")
    now, size = number(values, "page", 1, register.MAX_PAGE), number(values, "size", register.SIZE, register.MAX_SIZE)
    here = context(request)
    part = here.register.part(values, now, size)
    return page(
        request, "sources.html", replies.NO_STORE if values else replies.SHORT,
        part=part, asked_for={name: values.get(name, "") for name in register.CHOICES},
        regions=sorted(here.geo.all("region"), key=lambda region: region.name),
        departements=here.geo.all("departement"),
        query=urlencode({name: value for name, value in values.items() if name != "page"}),
        choices=urlencode({name: value for name, value in values.items() if name in register.CHOICES}),
    )  # fmt: skip


async def source(request: Request) -> Response:
    """/sources/{key}: all that is known of a source, and how its webmaster corrects or refuses."""
    only(await pairs_of(request))
    here = context(request)
    listed = here.register.one(request.path_params["key"])
    if listed is None:
        raise HTTPException(404)
    places = [
        place
        for kind, code in (("commune", listed.source.insee), ("epci", listed.source.siren),
                           ("departement", listed.source.departement), ("region", listed.source.region))
        if code and (place := here.geo.territory(kind, code))
    ]  # fmt: skip
    return page(request, "source.html", listed=listed, places=places, reason=register.reason)


# --- what we promise, and what we are -------------------------------------------------------------------------------


_NIGHT = {
    "read": "réponses rapportées par le robot", "unchanged": "pages inchangées, laissées telles quelles",
    "changed": "pages nouvelles ou changées", "extracted": "textes extraits", "removed": "pages retirées",
    "documents": "pages et documents en tout", "copies": "copies montrées sous une autre page",
}  # fmt: skip
"""Counts of a night that readers may care about: names in the report, and in French."""


async def state(request: Request) -> Response:
    """/etat: what is being served, and how the last night went."""
    only(await pairs_of(request))
    here = context(request)
    path = here.settings.data / "nightly.json"
    night: dict[str, Any] = {}
    try:
        night = msgspec.json.decode(path.read_bytes())
        ended = datetime.fromtimestamp(night["ended_at"], UTC)
        took_h = (night["ended_at"] - night["started_at"]) / 3600
        counts = [(words, int(night["documents"][name])) for name, words in _NIGHT.items()]
        whole = night["crawl_exit"] == 0
    except (OSError, ValueError, KeyError, TypeError):
        # No night yet, or one written by another version: the page says so.
        ended, took_h, counts, whole = None, 0.0, [], False
    return page(
        request, "etat.html", info=here.engine.info(), ended=ended, took_h=took_h, counts=counts, whole=whole,
        crawl=here.register.crawl(), reason=register.reason,
    )  # fmt: skip


async def state_json(request: Request) -> Response:
    """/etat.json: what `elunum status --json` prints; of a crawl that goes on, as it was minutes ago.

    But for the pages kept out by the rules of personal data: what serves never opens the store that counts them.
    """
    only(await pairs_of(request))
    here = context(request)
    try:
        night = msgspec.json.decode((here.settings.data / "nightly.json").read_bytes())
    except (OSError, ValueError):
        night = None
    told = {
        "version": __version__,
        "index": msgspec.to_builtins(read_about(here.settings)),
        "crawl": here.register.visits.crawl,
        "nightly": night,
    }
    return replies.json(request, told, replies.SHORT)


def text_page(template: str) -> Any:
    """A page without any parameter."""

    async def answer(request: Request) -> Response:
        only(await pairs_of(request))
        return page(request, template, info=context(request).engine.info())

    return answer


async def api_page(request: Request) -> Response:
    """/api: the API told to people."""
    only(await pairs_of(request))
    hits = context(request).engine.search(Search(size=1)).hits
    return page(
        request, "api.html",
        parameters=[(name, help_) for name, (_, help_) in PARAMETERS.items()],
        example=hits[0].id if hits else "0" * 16,
    )  # fmt: skip


async def robots(request: Request) -> Response:
    """/robots.txt: our own results are not to be indexed, the rest is."""
    ours = ("/recherche", "/carte", "/note", "/pourquoi", "/similaires", "/selection", "/api/")
    text = "User-agent: *\n" + "".join(f"Disallow: {path}\n" for path in ours)
    return Response(text, headers=replies.SHORT, media_type="text/plain; charset=utf-8")


async def opensearch(request: Request) -> Response:
    """/opensearch.xml: what lets a browser add Elunum among its search engines.

    No suggestion address on purpose: a browser would send us every keystroke.
    """
    xml = replies.TEMPLATES.get_template("opensearch.xml").render(base=context(request).settings.site.base_url)
    return Response(xml, headers=replies.SHORT, media_type="application/opensearchdescription+xml")


async def security(request: Request) -> Response:
    """/.well-known/security.txt (RFC 9116): good for half a year from the day it is read, while someone serves it."""
    site = context(request).settings.site
    contact = site.contact or f"{site.base_url}/mentions-legales"
    contact = contact if ":" in contact else f"mailto:{contact}"
    expires = f"{datetime.now(UTC) + timedelta(days=180):%Y-%m-%d}T00:00:00Z"
    text = (
        f"Contact: {contact}\nExpires: {expires}\nPreferred-Languages: fr, en\n"
        f"Canonical: {site.base_url}/.well-known/security.txt\n"
    )
    return Response(text, headers=replies.SHORT, media_type="text/plain; charset=utf-8")


async def health(request: Request) -> Response:
    """/healthz: 200 while an index is served; IndexVersionError (503) otherwise."""
    info = context(request).engine.info()
    return replies.json(request, {"status": "ok", "version": info.version, "documents": info.documents})


async def counts(request: Request) -> Response:
    """/metrics."""
    await asyncio.sleep(0)
    return Response(
        metrics.exposition(), headers=replies.NO_STORE, media_type="text/plain; version=0.0.4; charset=utf-8"
    )


async def static(request: Request) -> Response:
    """/static/{name}."""
    reply = replies.STATIC.reply(request, request.path_params["name"])
    if reply is None:
        raise HTTPException(404)
    return reply


def _route(path: str, answer: Any, methods: Sequence[str] = ("GET",)) -> metrics.Address:
    return metrics.Address(path, answer, methods=list(methods))


FORM = ("GET", "POST")
ROUTES = [
    _route("/", home),
    _route("/discret", home),
    _route("/recherche", search, FORM),
    _route("/pourquoi", why, FORM),
    _route("/carte", map_, FORM),
    _route("/note", note, FORM),
    _route("/communes", communes, FORM),
    _route("/similaires/{id}", similar, FORM),
    _route("/collectivites/{code}", collectivite),
    _route("/enjeux", enjeux),
    _route("/enjeux/{slug}", enjeu),
    _route("/arbre", tree),
    _route("/sources", sources),
    _route("/sources/{key:path}", source),
    _route("/etat", state),
    _route("/etat.json", state_json),
    _route("/confidentialite", text_page("confidentialite.html")),
    _route("/robot", text_page("robot.html")),
    _route("/accessibilite", text_page("accessibilite.html")),
    _route("/api", api_page),
    _route("/mentions-legales", text_page("mentions.html")),
    _route("/robots.txt", robots),
    _route("/opensearch.xml", opensearch),
    _route("/.well-known/security.txt", security),
    _route("/healthz", health),
    _route("/metrics", counts),
    _route("/static/{name}", static),
]

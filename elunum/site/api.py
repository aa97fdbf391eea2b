"""The JSON API: the same searches, for programs. No key, no account; the document is /openapi.json.

The models below describe the answers for the document and for tests; the bytes come from msgspec on plain objects,
because validating what we just made would cost more than the search.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import date, datetime
from operator import attrgetter
from typing import Any, Literal, TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from elunum.model import Hit, Results, Where
from elunum.site import register, replies
from elunum.site.context import asked, chosen_of, context, number, only, pairs_of


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Why(_Answer):
    """An expression of the page that gave the tag."""

    expression: str
    where: Where
    count: int


class Tag(_Answer):
    """An enjeu of a page."""

    slug: str
    nom: str
    service: str
    score: float
    why: list[Why]


class Publisher(_Answer):
    """Who publishes, and where."""

    name: str
    kind: str
    host: str
    insee: str
    siren: str
    commune: str
    epci: str
    departement: str
    region: str
    population: int | None


class Result(_Answer):
    """One result."""

    id: str
    url: str
    title: str
    snippet_html: str
    date: date | None
    fetched_at: datetime | None
    lang: str
    type: str
    score: float
    enjeux: list[Tag]
    source: Publisher
    similar: str


class Facet(_Answer):
    """A value, what to show for it, and how many results have it."""

    value: str
    label: str
    count: int


class PlaceAnswer(_Answer):
    kind: str
    code: str
    name: str
    population: int
    departement: str
    region: str
    latitude: float | None
    longitude: float | None
    arobases: int


class HomonymAnswer(_Answer):
    """A name typed after an operator that several territories bear, and the one that was taken."""

    typed: str
    taken: PlaceAnswer
    others: list[PlaceAnswer]


class SearchAnswer(_Answer):
    """The answer to a search."""

    query: str
    total: int
    total_is_exact: bool
    took_ms: float
    suggestion: str | None
    corrected: bool
    relaxed: bool
    results: list[Result]
    facets: dict[str, list[Facet]]
    estimated: list[str]
    homonyms: list[HomonymAnswer]


class Completion(_Answer):
    text: str
    kind: Literal["title", "enjeu", "service", "place"]
    url: str


class SuggestAnswer(_Answer):
    suggestions: list[Completion]


class SimilarAnswer(_Answer):
    id: str
    results: list[Result]


class EnjeuAnswer(_Answer):
    slug: str
    nom: str
    type: str
    domaine: str
    description: str
    count: int
    services: list[Facet]
    together: list[Facet]
    newest: list[Result]


class EnjeuxAnswer(_Answer):
    version: str
    enjeux: list[EnjeuAnswer]


class SourceAnswer(_Answer):
    """A site of the register, and what is known of it. `refusals` and `errors` count by the crawler's reasons."""

    url: str
    name: str
    kind: str
    insee: str
    siren: str
    departement: str
    region: str
    key: str
    pages: int
    last_visit: datetime | None
    silent_since: datetime | None
    known: int
    refusals: dict[str, int]
    errors: dict[str, int]


class SourcesAnswer(_Answer):
    total: int
    page: int
    sources: list[SourceAnswer]


class PeerAnswer(_Answer):
    territory: PlaceAnswer
    reason: str
    closeness: float


class MosaicAnswer(_Answer):
    slug: str
    nom: str
    service: str
    here: int
    peers: list[int]


class CollectiviteAnswer(_Answer):
    territory: PlaceAnswer
    containing: list[PlaceAnswer]
    documents: int
    peers: list[PeerAnswer]
    mosaic: list[MosaicAnswer]
    newest: list[Result]
    missing: list[Result]


class Problem(_Answer):
    code: str
    message: str
    parameter: str | None


class ErrorAnswer(_Answer):
    """Why there is no answer. `code` is stable; `message` is for people; neither holds what was asked."""

    error: Problem


# --- objects --------------------------------------------------------------------------------------------------------


# Facets, tags and their reasons have in the model the very fields of the contract: msgspec writes them as they are.
_PUBLISHER = tuple(Publisher.model_fields)
_publisher = attrgetter(*_PUBLISHER)


def results_object(results: Results) -> dict[str, Any]:
    """The answer of a search as the contract names it."""
    return {
        "query": results.query,
        "total": results.total,
        "total_is_exact": results.total_is_exact,
        "took_ms": round(results.took_ms, 2),
        "suggestion": results.suggestion,
        "corrected": results.corrected,
        "relaxed": results.relaxed,
        "results": [hit_object(hit) for hit in results.hits],
        "facets": results.facets,
        "estimated": sorted(results.estimated),
        "homonyms": [
            {"typed": one.typed, "taken": _place(one.taken), "others": [_place(other) for other in one.others]}
            for one in results.homonyms
        ],
    }


def hit_object(hit: Hit) -> dict[str, Any]:
    """A result as the contract names it."""
    return {
        "id": hit.id,
        "url": hit.url,
        "title": hit.title,
        "snippet_html": hit.snippet_html,
        "date": hit.date,
        "fetched_at": hit.fetched_at,
        "lang": hit.lang,
        "type": hit.type,
        "score": hit.score,
        "enjeux": hit.enjeux,
        "source": dict(zip(_PUBLISHER, _publisher(hit.source), strict=True)),
        "similar": f"/api/v1/similar/{hit.id}",
    }


def _place(territory: Any) -> dict[str, Any]:
    return {name: getattr(territory, name) for name in PlaceAnswer.model_fields}


# --- answers --------------------------------------------------------------------------------------------------------

_WORD = {"type": "string"}
_WORDS = {"type": "array", "items": {"type": "string"}, "maxItems": 30}
_COUNT = {"type": "integer", "minimum": 0}
PARAMETERS: dict[str, tuple[dict[str, Any], str]] = {
    "q": (_WORD | {"maxLength": 1000}, "Les mots cherchés"),
    "enjeu": (_WORDS, "Nom court d’un enjeu ; répétable : tous exigés, sauf si combine=ou"),
    "combine": (
        {"type": "string", "enum": ["et", "ou"], "default": "et"},
        "Plusieurs enjeux : « et », tous sur la page ; « ou », au moins un",
    ),
    "service": (_WORD | {"maxLength": 200}, "Service du référentiel"),
    "label": ({"type": "integer", "minimum": 1, "maximum": 5}, "Au moins ce nombre d’arobases (Villes Internet 2019)"),
    "kind": (_WORDS, "Qui publie ; répétable"),
    "commune": (_WORD, "Code INSEE"),
    "epci": (_WORD, "SIREN de l’intercommunalité"),
    "departement": (_WORD, "Code du département"),
    "region": (_WORD, "Code INSEE de la région"),
    "publisher": (_WORD | {"maxLength": 200}, "Qui publie : commune:68278, epci:200066009, ou le site d’une source"),
    "population_min": (_COUNT, "Habitants, au moins"),
    "population_max": (_COUNT, "Habitants, au plus"),
    "like": (_WORD, "Code INSEE : seulement les communes comparables à celle-ci"),
    "type": (_WORDS, "Format du document ; répétable"),
    "lang": (_WORD, "Langue (ISO 639-1)"),
    "since": (_WORD, "Depuis : 2024, 2024-03 ou 2024-03-05"),
    "until": (_WORD, "Jusqu’à"),
    "site": (_WORD, "Hôte, ou hôte et début de chemin"),
    "sort": ({"type": "string", "enum": ["pertinence", "date"], "default": "pertinence"}, "Ordre"),
    "one_per": (
        {"type": "string", "enum": ["collectivite", "none"], "default": "none"},
        "Un par collectivité ; les facettes comptent toujours les pages",
    ),
    "page": ({"type": "integer", "minimum": 1, "maximum": 100, "default": 1}, "Page de résultats"),
    "size": ({"type": "integer", "minimum": 1, "maximum": 100, "default": 10}, "Résultats par page"),
}  # fmt: skip

Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Response]])
ROUTER = APIRouter(prefix="/api/v1", tags=["v1"])


def _documented(*parameters: tuple[str, dict[str, Any], str]) -> dict[str, Any]:
    return {
        "parameters": [
            {"name": name, "in": "query", "required": False, "schema": schema, "description": help_}
            for name, schema, help_ in parameters
        ]
    }


def _in_path(name: str, help_: str) -> dict[str, Any]:
    # Declared here rather than as an argument: FastAPI would document its own validation error, which never happens.
    return {"parameters": [{"name": name, "in": "path", "required": True, "schema": _WORD, "description": help_}]}


_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": ErrorAnswer, "description": "Un paramètre inconnu ou mal formé ; l’erreur le nomme"},
    503: {"model": ErrorAnswer, "description": "Le service démarre ou change d’index"},
}
_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ErrorAnswer, "description": "Rien sous ce nom"}}


def _get(
    path: str, model: type[BaseModel], extra: dict[str, Any], errors: dict[int | str, dict[str, Any]]
) -> Callable[[Handler], Handler]:
    answers: dict[int | str, dict[str, Any]] = {200: {"model": model}, **errors}
    return ROUTER.api_route(path, methods=["GET"], response_class=Response, responses=answers, openapi_extra=extra)


@_get("/search", SearchAnswer, _documented(*((n, s, h) for n, (s, h) in PARAMETERS.items())), _ERRORS)
async def search(request: Request) -> Response:
    """Chercher : les mêmes paramètres et les mêmes résultats que la page /recherche."""
    what = await asked(request)
    return replies.json(request, results_object(context(request).engine.search(what.search)))


@_get("/suggest", SuggestAnswer, _documented(("q", _WORD | {"maxLength": 200}, "Le début d’un mot")), _ERRORS)
async def suggest(request: Request) -> Response:
    """Compléter un début de recherche : titres, enjeux, services, lieux ; jamais ce que d’autres cherchent."""
    values = only(await pairs_of(request), "q")
    found = context(request).engine.suggest(values.get("q", ""))
    return replies.json(request, {"suggestions": found})


@_get("/similar/{id}", SimilarAnswer, _in_path("id", "Identifiant d’un résultat"), _ERRORS | _NOT_FOUND)
async def similar(request: Request) -> Response:
    """Les initiatives comparables à un résultat."""
    only(await pairs_of(request))
    (known,) = chosen_of([("id", request.path_params["id"])])
    hits = context(request).engine.similar(known)
    if hits is None:
        raise HTTPException(404)
    return replies.json(request, {"id": known, "results": [hit_object(hit) for hit in hits]})


@_get("/enjeux", EnjeuxAnswer, {}, _ERRORS)
async def enjeux(request: Request) -> Response:
    """Le référentiel des enjeux, avec ce que chacun réunit."""
    only(await pairs_of(request))
    here = context(request)
    branches = {branch.slug: branch for branch in here.tree()}
    found = []
    for enjeu in here.referentiel.enjeux.values():
        branch = branches[enjeu.slug]
        found.append(
            asdict(enjeu)
            | {
                "count": branch.count,
                "services": [{"value": s.service, "label": s.service, "count": s.count} for s in branch.services],
                "together": branch.together,
                "newest": [hit_object(hit) for hit in here.newest()[enjeu.slug]],
            }
        )
    return replies.json(request, {"version": here.engine.info().referentiel_version, "enjeux": found}, replies.SHORT)


@_get(
    "/sources",
    SourcesAnswer,
    _documented(
        ("q", _WORD | {"maxLength": 200}, "Mots du nom ou de l’adresse"),
        ("kind", _WORD, "Qui publie"),
        ("commune", _WORD | {"maxLength": 200}, "Nom ou code INSEE de la commune"),
        *((name, PARAMETERS[name][0], PARAMETERS[name][1]) for name in ("departement", "region")),
        ("page", {"type": "integer", "minimum": 1, "maximum": register.MAX_PAGE, "default": 1}, "Page de la liste"),
        ("size", {"type": "integer", "minimum": 1, "maximum": 100, "default": 100}, "Sources par page"),
    ),
    _ERRORS,
)
async def sources(request: Request) -> Response:
    """Les sources : leur dernière visite, leurs pages dans l’index, et pourquoi d’autres n’y sont pas."""
    values = only(await pairs_of(request), *register.CHOICES, "page", "size")
    now, size = number(values, "page", 1, register.MAX_PAGE), number(values, "size", 100, register.MAX_SIZE)
    part = context(request).register.part(values, now, size)
    told = {"total": part.total, "page": now, "sources": [listed.object() for listed in part.listed]}
    return replies.json(request, told, replies.NO_STORE if values else replies.SHORT)


@_get("/collectivites/{insee}", CollectiviteAnswer, _in_path("insee", "Code INSEE ou SIREN"), _ERRORS | _NOT_FOUND)
async def collectivite(request: Request) -> Response:
    """Une commune (code INSEE) ou une intercommunalité (SIREN), par enjeu, à côté de ses semblables."""
    only(await pairs_of(request))
    found = context(request).engine.collectivite(request.path_params["insee"])
    if found is None:
        raise HTTPException(404)
    value = {
        "territory": _place(found.territory),
        "containing": [_place(outer) for outer in found.containing],
        "documents": found.documents,
        "peers": [
            {"territory": _place(p.territory), "reason": p.reason, "closeness": round(p.closeness, 3)}
            for p in found.peers
        ],
        "mosaic": found.mosaic,
        "newest": [hit_object(hit) for hit in found.newest],
        "missing": [hit_object(hit) for hit in found.missing],
    }
    return replies.json(request, value, replies.SHORT)

"""What is made once is made before a process answers: the first readers wait for nothing."""

from __future__ import annotations

import asyncio
import functools
import gc
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import httpx
from fastapi import FastAPI

from elunum.settings import Settings
from elunum.site.app import create_app
from elunum.site.context import Context
from elunum.site.replies import TEMPLATES

REQUESTS = [
    "/", "/discret", "/recherche?q=piscine+Rixheim", "/recherche?q=budjet+participatiff+mairie+de+Lyon",
    "/recherche?q=commune:75001+commune:Saint-Denis+enjeu:Solidarit%C3%A9+service:ehpad", "/recherche?q=commune:01033",
    "/recherche?q=%22budget+participatif%22+-eau&one_per=collectivite&like=68278", "/pourquoi?q=budget&id={id}",
    "/carte?q=budget", "/communes?nom=Bellegarde-sur-Valserine", "/communes?nom=Saint-Denis", "/similaires/{id}",
    "/collectivites/68278", "/collectivites/01033", "/enjeux", "/enjeux/democratie-locale", "/arbre", "/sources",
    "/sources?commune=Rixheim", "/sources/agen.example", "/note?id={id}", "/etat", "/api", "/robot", "/nulle-part",
    "/recherche.ods?q=budget", "/recherche.atom?q=budget", "/selection.csv?id={id}", "/opensearch.xml", "/openapi.json",
    "/api/v1/suggest?q=rixh", "/api/v1/enjeux", "/api/v1/collectivites/200066009",
]  # fmt: skip


def test_the_first_requests_of_a_process_make_no_table_and_read_no_template(content: Settings) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
        assert fresh.submit(made_by_first_requests, content).result() == set()


def made_by_first_requests(settings: Settings) -> set[str]:
    """Names of the tables, templates and modules that a process lacks before these requests and has after them."""
    app = create_app(settings)
    kept = [
        one
        for one in gc.get_objects()
        # Those of bounded size remember a few answers, they are not tables.
        if isinstance(one, functools._lru_cache_wrapper) and one.cache_parameters()["maxsize"] is None
    ]

    def made() -> set[str]:
        here: Context = app.state.context
        kinds = (
            (f"{one.__module__}.{one.__qualname__} {one.cache_info().misses}" for one in kept),
            (str(name) for _, name in list(TEMPLATES.cache or {})),
            (f"openapi {app.openapi_schema is not None}", f"tree {here._tree[0]}", f"newest {here._newest[0]}"),
            vars(here.geo),
            sys.modules,
        )
        return set().union(*kinds)

    before = made()
    asyncio.run(_ask(app))
    return made() - before


async def _ask(app: FastAPI) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", follow_redirects=True
    ) as client:
        id = (await client.get("/api/v1/search?q=budget")).json()["results"][0]["id"]
        answers = [await client.get(request.format(id=id)) for request in REQUESTS]
    refused = [str(answer.url) for answer in answers if answer.status_code != 200]
    assert refused == ["http://127.0.0.1/nulle-part"], refused

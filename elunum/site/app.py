"""The wiring: which address answers what, what is counted, and how each error looks to a reader.

Everything a request could leak passes one door: `Door` catches every exception before a server's own logger could
print it, adds the headers that keep the promise, and counts by route template, never by what was asked.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from elunum import __version__, maps
from elunum.errors import IndexVersionError, QueryError
from elunum.settings import Settings
from elunum.site import api, exports, metrics, replies, views
from elunum.site.context import Context
from elunum.site.guard import Guard

log = logging.getLogger("elunum.site")

_OFF: dict[str, Any] = {
    "tracing": False, "metrics": False, "logs": False, "operation_spans": False, "auto_configure": False,
}  # fmt: skip
"""FastAPI records spans with query strings, and exceptions with their messages, for whatever OpenTelemetry provider
it finds: none of that may ever be on here."""


def create_app(settings: Settings) -> FastAPI:
    """The site, ready to answer. Raises IndexVersionError when there is no index to serve."""
    app = FastAPI(
        title="Elunum",
        version=__version__,
        description="Le moteur de recherche de l’action publique. Sans clé, sans compte, sans trace.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        telemetry=_OFF,  # type: ignore[arg-type]  # a TypedDict that lives in a private module
        servers=[{"url": settings.site.base_url}],
    )
    app.state.context = Context(settings)
    # First, for routes are tried in turn and this one is tried by its prefix.
    app.include_router(api.ROUTER)
    app.router.routes.extend(views.ROUTES + exports.ROUTES)
    app.add_exception_handler(QueryError, _bad_parameter)
    app.add_exception_handler(IndexVersionError, _no_index)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _refused)
    app.add_middleware(Guard, per_minute=settings.site.requests_per_minute, at_once=settings.site.in_hand)
    app.add_middleware(Door)
    # Made now, as all that the context holds: no reader waits for what is made once.
    app.openapi()
    maps.contours()
    for name in replies.TEMPLATES.list_templates():
        replies.TEMPLATES.get_template(name)
    return app


class Door:
    """What every request passes, in and out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 0

        async def send_out(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                present = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(h for h in replies.HEADERS if h[0] not in present)]
            await send(message)

        try:
            await self.app(scope, receive, send_out)
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            raise
        # Tantivy's panics descend from BaseException. Nothing may reach the server's own logger: an exception's
        # message can hold what the reader typed.
        except BaseException as error:
            log.error("crash", exc_info=error, extra={"route": metrics.route_of(scope)})
            if status == 0:
                await _crashed(Request(scope))(scope, receive, send_out)
        finally:
            metrics.count(scope, status, time.perf_counter() - started)


# --- how each error looks -------------------------------------------------------------------------------------------

_SENTENCES = {
    400: ("Cette adresse ne va pas", "Un paramètre n’est pas de ceux que cette page connaît."),
    404: ("Cette page n’existe pas", "L’adresse est peut-être incomplète, ou la page a été retirée."),
    405: ("Cette page ne se demande pas ainsi", "La méthode HTTP employée n’est pas acceptée à cette adresse."),
    413: ("C’est trop long", "Le formulaire envoyé dépasse la taille acceptée."),
    415: ("Format inattendu", "Seul un formulaire ordinaire est accepté à cette adresse."),
    500: ("Une panne de notre côté", "Elle a été notée sans rien de ce que vous cherchiez. Réessayez dans un instant."),
    503: ("Un instant", "Le service démarre ou change d’index. Réessayez dans une minute."),
}
_CODES = {
    400: "bad_parameter", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type",
    500: "internal_error", 503: "unavailable",
}  # fmt: skip


def error_reply(request: Request, status: int, sentence: str = "", parameter: str = "") -> Response:
    """An error as the reader expects it: JSON under /api, a page elsewhere; never a word of what was asked."""
    if status not in _SENTENCES:
        status = 400 if status < 500 else 500
    title, default = _SENTENCES[status]
    headers = dict(replies.NO_STORE)
    if status == 503:
        headers["retry-after"] = "30"
    if request.url.path.startswith("/api/"):
        error = {"code": _CODES[status], "message": sentence or default, "parameter": parameter or None}
        return replies.json(request, {"error": error}, headers, status)
    values = {"title": title, "sentence": sentence or default, "status": status}
    return replies.html(request, "erreur.html", values | views.common(request), headers, status)


async def _bad_parameter(request: Request, error: Exception) -> Response:
    assert isinstance(error, QueryError)
    return error_reply(request, 400, str(error), error.parameter)


async def _no_index(request: Request, error: Exception) -> Response:
    log.error("no_index")
    return error_reply(request, 503)


async def _refused(request: Request, error: Exception) -> Response:
    reply = error_reply(request, getattr(error, "status_code", 400))
    if allowed := (getattr(error, "headers", None) or {}).get("Allow"):
        reply.headers["allow"] = allowed
    return reply


def _crashed(request: Request) -> Response:
    try:
        return error_reply(request, 500)
    except Exception:  # the page of errors itself: say it plainly
        return Response("Une panne de notre côté.", 500, replies.NO_STORE, "text/plain; charset=utf-8")

"""What every answer needs: the engine, the geography, the register and the référentiel; and what a request asks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request

from elunum import geo
from elunum.errors import QueryError
from elunum.index.tags import Referentiel, Tagger, load_referentiel
from elunum.model import DocumentId, Hit, Search, TreeEnjeu
from elunum.search.engine import Engine, open_engine
from elunum.search.request import from_params, known, to_params
from elunum.settings import Settings
from elunum.site.register import Register

MAX_CHOSEN = 50
MAX_FIELDS = 200
MAX_BODY_BYTES = 16_384


class Context:
    """Opened once by each serving process. Nothing in it changes while requests are answered, except the engine,
    which follows new index versions by itself."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine: Engine = open_engine(settings)
        self.geo = geo.load()
        self.referentiel: Referentiel = load_referentiel()
        self.tagger = Tagger(self.referentiel)
        self.register = Register(settings.sources, settings.data, self.engine, self.geo)
        self._tree: tuple[str, tuple[TreeEnjeu, ...]] = ("", ())
        self._newest: tuple[str, dict[str, tuple[Hit, ...]]] = ("", {})
        # What is made at first use (names of places, lexicon, pages by enjeu) is made now: no reader waits for it.
        self.geo.ready()
        self.engine.search(Search(q="Elunum Elunum enjeu:Elunum service:Elunum"))
        self.engine.suggest("Elunum")
        self.tree()
        self.newest()
        self.register.found({})

    def tree(self) -> tuple[TreeEnjeu, ...]:
        """The tree of enjeux, counted once for each index version: it reads the whole index."""
        version = self.engine.info().version
        if self._tree[0] != version:
            self._tree = (version, self.engine.tree())
        return self._tree[1]

    def newest(self) -> dict[str, tuple[Hit, ...]]:
        """The newest pages of each enjeu, found once for each index version."""
        version = self.engine.info().version
        if self._newest[0] != version:
            self._newest = (version, self.engine.newest())
        return self._newest[1]


def context(request: Request) -> Context:
    """The context of the application that answers this request."""
    found: Context = request.app.state.context
    return found


_DEFAULTS = {field.name: field.default for field in fields(Search)}
_PLACES = {name: place for place, name in enumerate([*_DEFAULTS, "id"])}
"""Of each parameter in a query string."""
_NEEDS_NO_QUOTING = re.compile(r"[\w.~-]*", re.ASCII).fullmatch


def _encoded(name: str, value: Any) -> str:
    """A parameter as it stands in a query string, after « & »; empty when it says nothing."""
    if value is None or value == _DEFAULTS.get(name):
        return ""
    if isinstance(value, tuple):
        return "".join([f"&{name}={quoted(one)}" for one in value])
    return f"&{name}={quoted(value)}"


def quoted(value: Any) -> str:
    """A value as it stands in a query string."""
    text = str(value)
    return text if _NEEDS_NO_QUOTING(text) else quote_plus(text)


@dataclass(frozen=True)
class Asked:
    """A search, the results the reader has kept so far, and whether words must stay out of addresses.

    All of it lives in the address (or in the body, in « mode discret ») and nowhere else, so every link of a page
    of results is made from it by `to`.
    """

    search: Search
    chosen: tuple[DocumentId, ...] = ()
    discreet: bool = False

    @cached_property
    def _parts(self) -> list[str]:
        parts = [_encoded(name, getattr(self.search, name)) for name in _DEFAULTS]
        parts[_PLACES["page"]] = ""
        return [*parts, _encoded("id", self.chosen)]

    @cached_property
    def _frames(self) -> dict[tuple[str, ...], tuple[str, list[tuple[str, str]]]]:
        """What of the query string stays when the fields named change: before the first of them, then after each.

        Encoded once: a page has two hundred links, of few sorts.
        """
        return {}

    def _frame(self, names: tuple[str, ...]) -> tuple[str, list[tuple[str, str]]]:
        ordered = sorted(names, key=_PLACES.__getitem__)
        places = [-1, *map(_PLACES.__getitem__, ordered), len(self._parts)]
        between = ["".join(self._parts[start + 1 : end]) for start, end in pairwise(places)]
        self._frames[names] = frame = between[0], list(zip(ordered, between[1:], strict=True))
        return frame

    def to(self, **changes: Any) -> str:
        """Query string of this search with some fields changed; page 1 again unless `page` is among the changes.

        `chosen` replaces the kept results.
        """
        if "chosen" in changes:
            changes["id"] = changes.pop("chosen")
        names = tuple(changes)
        query, pieces = self._frames.get(names) or self._frame(names)
        for name, after in pieces:
            query += _encoded(name, changes[name]) + after
        return query[1:]

    def around(self, first: str, last: str) -> tuple[str, str, str]:
        """What `to` writes before, for and after the fields from `first` to `last`, each parameter after « & »."""
        start, end = _PLACES[first], _PLACES[last] + 1
        return "".join(self._parts[:start]), "".join(self._parts[start:end]), "".join(self._parts[end:])

    @cached_property
    def here(self) -> str:
        """Query string of this very page of results."""
        return self.to(page=self.search.page)

    def keeping(self, id: DocumentId) -> str:
        """Query string of this very page of results, with one more kept."""
        return f"{self.here}&id={id}".removeprefix("&")  # `id` comes last

    def bare(self) -> str:
        """Query string of the same words without any filter."""
        return urlencode([*to_params(Search(q=self.search.q)), *(("id", id) for id in self.chosen)])

    def ids(self) -> str:
        """Query string of the kept results alone."""
        return urlencode([("id", id) for id in self.chosen])

    def without(self, id: DocumentId) -> tuple[DocumentId, ...]:
        """The kept results but one."""
        return tuple(kept for kept in self.chosen if kept != id)

    @cached_property
    def _pairs(self) -> list[tuple[str, str]]:
        return [*to_params(replace(self.search, page=1)), *(("id", id) for id in self.chosen)]

    def pairs(self, *without: str) -> list[tuple[str, str]]:
        """Name and value of each parameter but those named: the hidden fields of a form that changes these."""
        return [(name, value) for name, value in self._pairs if name not in without]


async def pairs_of(request: Request) -> list[tuple[str, str]]:
    """Parameters of a request, from the address (GET, HEAD) or from the body of a form (POST).

    Blank values are kept: they mean nothing, as forms send them, but under a name that must be one we know.
    A POST may hold them packed in one field `aller`: that is what the buttons of « mode discret » send.
    Raises QueryError when there are too many, HTTPException 413 or 415 for a body that is not a small form.
    """
    if request.method != "POST":
        return split(request.scope["query_string"].decode("latin-1"))
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise HTTPException(415)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise HTTPException(413)
    pairs = split(body.decode("latin-1"))
    packed = [value for name, value in pairs if name == "aller"]
    return split(packed[-1]) if packed else pairs


def split(query: str) -> list[tuple[str, str]]:
    """Name and value pairs of a query string. Raises QueryError when there are too many."""
    try:
        found = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_FIELDS, encoding="utf-8", errors="replace")
    except ValueError:
        raise QueryError("nombre de paramètres", f"au plus {MAX_FIELDS} valeurs") from None
    return [(name, value.strip()) for name, value in found]


async def asked(request: Request) -> Asked:
    """The search of a request and the results kept with it. Raises QueryError naming the parameter."""
    pairs = await pairs_of(request)
    search = from_params(pair for pair in pairs if pair[0] != "id")
    return Asked(search, chosen_of(pairs), discreet=request.method == "POST")


def chosen_of(pairs: Iterable[tuple[str, str]]) -> tuple[DocumentId, ...]:
    """The documents named by `id`, each once, in order. Raises QueryError when one is not an identifier."""
    ids = tuple(dict.fromkeys(value for name, value in pairs if name == "id" and value))
    if len(ids) > MAX_CHOSEN or any(len(id) != 16 or not set(id) <= set("0123456789abcdef") for id in ids):
        raise QueryError("id", f"au plus {MAX_CHOSEN} identifiants de résultats (16 chiffres hexadécimaux)")
    return tuple(DocumentId(id) for id in ids)


def only(pairs: Iterable[tuple[str, str]], *names: str) -> dict[str, str]:
    """Parameters of a page that is not a search, by name. Raises QueryError for a name that is not among `names`."""
    values: dict[str, str] = {}
    for name, value in pairs:
        if name not in names:
            raise QueryError(
                known(name), "aucune valeur ici ; sur cette page on connaît " + (", ".join(names) or "rien")
            )
        if len(value) > 200:
            raise QueryError(name, "au plus 200 caractères")
        if value:
            values[name] = value
    return values


def number(values: dict[str, str], name: str, default: int, at_most: int) -> int:
    """A whole number from 1 to `at_most`. Raises QueryError."""
    text = values.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 7 and 1 <= int(text) <= at_most):
        raise QueryError(name, f"un nombre entier de 1 à {at_most}")
    return int(text)

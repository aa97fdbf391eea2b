"""The parameters of the contract: pairs of strings -> Search, and back for links."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from datetime import date
from typing import Any, get_args
from urllib.parse import urlsplit

from elunum.errors import QueryError
from elunum.index.schema import bare_site
from elunum.index.tags import load_referentiel
from elunum.model import Combine, DocumentType, Kind, OnePer, Search, Sort

MAX_POPULATION = 100_000_000
MAX_SIZE = 100
MAX_VALUES = 30
"""Of a repeatable parameter: more is nobody's question."""

_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")


def from_params(pairs: Iterable[tuple[str, str]]) -> Search:
    """The search asked by the parameters of an address, or of a command.

    Empty values are absent ones: that is how a form sends what was left blank. Raises QueryError, which names the
    parameter and what it accepts and never holds the value.
    """
    values: dict[str, Any] = {}
    for name, value in pairs:
        reader = _READERS.get(name)
        if reader is None:
            raise QueryError(known(name), "rien : ce paramètre n’existe pas. Existent : " + ", ".join(_READERS))
        if not value.strip():
            continue
        found = reader(name, value if name == "q" else value.strip())
        if name in _REPEATABLE:
            values[name] = tuple(dict.fromkeys((*values.get(name, ()), found)))
            if len(values[name]) > MAX_VALUES:
                raise QueryError(name, f"au plus {MAX_VALUES} valeurs")
        elif name in values:
            raise QueryError(name, "une seule valeur")
        else:
            values[name] = found
    return _coherent(Search(**values))


def known(name: str) -> str:
    """The name of an unknown parameter, if it looks like one: what else was put there may be a reader's words."""
    return name if re.fullmatch(r"[a-z_]{1,20}", name) else "?"


def to_params(search: Search) -> list[tuple[str, str]]:
    """The parameters that give this search back, defaults left out, in the order of the contract."""
    pairs: list[tuple[str, str]] = []
    for field in fields(Search):
        value = getattr(search, field.name)
        if value in ((), None) or value == field.default:
            continue
        for one in value if isinstance(value, tuple) else (value,):
            pairs.append((field.name, one.isoformat() if isinstance(one, date) else str(one)))
    return pairs


def read_date(text: str, end: bool = False) -> date | None:
    """The date of « 2024 », « 2024-03 » or « 2024-03-05 »; the last day of a year or month when `end`. None if bad."""
    match = _DATE.fullmatch(text)
    if not match:
        return None
    year, month, day = (int(part) if part else 0 for part in match.groups())
    try:
        if day:
            return date(year, month, day)
        month = month or (12 if end else 1)
        return date(year, month, calendar.monthrange(year, month)[1] if end else 1)
    except ValueError:
        return None


def _coherent(search: Search) -> Search:
    low, high = search.population_min, search.population_max
    if low is not None and high is not None and low > high:
        raise QueryError("population_max", "un nombre d’habitants au moins égal à population_min")
    if search.since and search.until and search.since > search.until:
        raise QueryError("until", "une date qui ne précède pas since")
    return search


Reader = Callable[[str, str], Any]


def _one_of(choices: tuple[str, ...]) -> Reader:
    def read(name: str, value: str) -> str:
        if value not in choices:
            raise QueryError(name, "l’une de ces valeurs : " + ", ".join(choices))
        return value

    return read


def _number(low: int, high: int) -> Reader:
    def read(name: str, value: str) -> int:
        # isdecimal alone accepts digits of every script; int() of a very long one is slow.
        if not (value.isascii() and value.isdecimal() and len(value) < 12 and low <= int(value) <= high):
            raise QueryError(name, f"un nombre entier de {low} à {high}")
        return int(value)

    return read


def _like(pattern: str, accepts: str) -> Reader:
    compiled = re.compile(pattern)

    def read(name: str, value: str) -> str:
        if not compiled.fullmatch(value):
            raise QueryError(name, accepts)
        return value

    return read


def _date(end: bool) -> Reader:
    def read(name: str, value: str) -> date:
        found = read_date(value, end)
        if found is None:
            raise QueryError(name, "une date : 2024, 2024-03 ou 2024-03-05")
        return found

    return read


def _words(name: str, value: str) -> str:
    return value.strip()


_INSEE = _like(r"\d[\dAB]\d{3}", "le code INSEE d’une commune, cinq caractères, par exemple 68278")


def _enjeu(name: str, value: str) -> str:
    slugs = load_referentiel().enjeux
    if value not in slugs:
        raise QueryError(name, "un enjeu du référentiel : " + ", ".join(slugs))
    return value


_address = _like(r"[^\s\"<>\\]{1,200}", "une adresse de site, par exemple www.rixheim.fr")


def _site(name: str, value: str) -> str:
    _address(name, value)
    try:
        urlsplit(value if "//" in value else f"//{value}")
    except ValueError:  # a lone bracket, or a letter that hides a slash
        raise QueryError(name, "une adresse de site, par exemple www.rixheim.fr") from None
    return value


_TERRITORY = re.compile(r"(?:commune|epci|departement|region):\d[\dAB]\d{0,7}")


def _publisher(name: str, value: str) -> str:
    if _TERRITORY.fullmatch(value):
        return value
    site = bare_site(_site(name, value))
    if ":" in site:
        raise QueryError(name, "un territoire ou un site, par exemple commune:68278, epci:200066009 ou www.ademe.fr")
    return site


_READERS: dict[str, Reader] = {
    "q": _words,
    "enjeu": _enjeu,
    "combine": _one_of(get_args(Combine)),
    "service": _like(r".{1,200}", "le nom d’un service du référentiel"),
    "label": _number(1, 5),
    "kind": _one_of(get_args(Kind)),
    "commune": _INSEE,
    "epci": _like(r"\d{9}", "le numéro SIREN d’un EPCI, neuf chiffres"),
    "departement": _like(r"\d[\dAB]\d?", "le code d’un département, par exemple 68, 2A ou 971"),
    "region": _like(r"\d{2}", "le code INSEE d’une région, par exemple 44"),
    "publisher": _publisher,
    "population_min": _number(0, MAX_POPULATION),
    "population_max": _number(0, MAX_POPULATION),
    "like": _INSEE,
    "type": _one_of(get_args(DocumentType)),
    "lang": _like(r"[a-z]{2,3}", "le code d’une langue, par exemple fr"),
    "since": _date(end=False),
    "until": _date(end=True),
    "site": _site,
    "sort": _one_of(get_args(Sort)),
    "one_per": _one_of(get_args(OnePer)),
    "page": _number(1, 100),
    "size": _number(1, MAX_SIZE),
}

_REPEATABLE = {"enjeu", "kind", "type"}

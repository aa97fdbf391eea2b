"""The public register: each source with what the crawler and the index know of it, searched, shown and taken away."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import msgspec

from elunum.errors import QueryError, SourceError
from elunum.geo import Geo
from elunum.model import Kind, Source
from elunum.search.engine import Engine
from elunum.sources import HEADER, SourceList, key_of, local_path, read
from elunum.urls import canonical, host_of
from elunum.visits import Host, Visits

CHOICES = ("q", "kind", "commune", "departement", "region")
"""Parameters that choose sources; `page` and `size` say which of them to show."""

SIZE = 50
MAX_SIZE = 100
MAX_PAGE = 2_000

REASONS = {
    "robots": "interdites par robots.txt",
    "noindex": "marquées noindex par le site",
    "reserved": "réservées par leur éditeur (fouille de textes refusée)",
    "404": "introuvables (404)",
    "410": "retirées par le site (410)",
    "redirect": "qui renvoient à une autre adresse du site",
    "redirect out of scope": "qui renvoient hors des sites de la liste",
    "redirect loop": "qui renvoient à elles-mêmes",
    "redirect to nowhere": "qui renvoient à une adresse sans forme",
    "canonical elsewhere": "qui donnent une autre adresse pour la leur",
    "idle parameter": "en double, à un paramètre près",
    "not a text": "sans texte à lire : images, archives, programmes",
    "too large": "trop lourdes",
    "vanished": "d’un site qui ne répond plus depuis un mois",
    "forgotten": "retirées à la demande",
    "no such host": "nom de domaine inexistant",
    "DNS": "annuaire des noms (DNS) muet",
    "refused address": "adresse interne, refusée",
    "timeout": "réponse trop lente",
    "TLS certificate expired": "certificat HTTPS périmé",
    "TLS certificate of another name": "certificat HTTPS d’un autre site",
    "TLS certificate not trusted": "certificat HTTPS que rien ne garantit, ou incomplet",
    "TLS": "connexion HTTPS impossible",
    "connection refused": "connexion refusée",
    "no connection": "connexion impossible",
    "connection lost": "connexion coupée",
    "cut short": "réponse incomplète",
    "bad answer": "réponse illisible",
    "unknown encoding": "compression inconnue",
    "bad encoding": "compression abîmée",
    "robots.txt unreachable": "robots.txt inaccessible : le site est laissé tranquille",
    "304 unasked": "dite inchangée sans avoir jamais été lue",
    "fault of ours": "panne de notre robot",
    "keeps failing": "répond par des erreurs, quatre fois de suite",
    "asks for a long pause": "demande une longue pause",
    "out of time": "la durée prévue est écoulée",
    "the network is gone": "notre réseau est coupé",
    "stopped by an error": "une panne de notre machine",
    "killed": "le programme a été interrompu brutalement",
    "SIGINT": "à la demande de l’opérateur",
    "SIGTERM": "à la demande de l’opérateur",
}
"""The crawler's reasons, as a webmaster reads them: after « pages », as an error, or why it stopped."""


def reason(name: str) -> str:
    """A reason of the crawler in French."""
    if name.startswith("status "):
        return f"réponse HTTP {name.removeprefix('status ')}"
    return REASONS.get(name, name)


@dataclass(frozen=True, slots=True)
class Listed:
    """A source of the register."""

    source: Source
    key: str  # what makes it unique: host without www., path on a shared platform
    pages: int  # in the index
    visit: Host | None  # of its whole host; None before any visit
    shared: int = 1  # sources of the list that share its host

    @property
    def seen(self) -> datetime | None:
        """When the host last answered, UTC."""
        return datetime.fromtimestamp(self.visit.seen, UTC) if self.visit and self.visit.seen else None

    @property
    def silent_since(self) -> datetime | None:
        """Since when the host has only failed, UTC."""
        return datetime.fromtimestamp(self.visit.silent_since, UTC) if self.visit and self.visit.silent_since else None

    @property
    def refusals(self) -> Mapping[str, int]:
        """Addresses that are not kept, by reason, most first."""
        return _most_first(self.visit.refusals) if self.visit else {}

    @property
    def errors(self) -> Mapping[str, int]:
        """Answers that failed at the last visit, by reason, most first."""
        return _most_first(self.visit.errors) if self.visit else {}

    @property
    def stopped_until(self) -> datetime | None:
        """Until when the crawler leaves the host alone, UTC; `visit.stopped` says why."""
        stopped = self.visit is not None and self.visit.stopped
        return datetime.fromtimestamp(self.visit.stopped_until, UTC) if self.visit and stopped else None

    @property
    def closed(self) -> bool:
        """Whether robots.txt is why nothing of it is in the index."""
        return not self.pages and "robots" in self.refusals

    def object(self) -> dict[str, object]:
        """As the API gives it: the columns of sources.csv, then what is known."""
        return {name: getattr(self.source, name) for name in HEADER} | {
            "key": self.key,
            "pages": self.pages,
            "last_visit": self.seen,
            "silent_since": self.silent_since,
            "known": self.visit.known if self.visit else 0,
            "refusals": self.refusals,
            "errors": self.errors,
        }

    def row(self) -> list[str | int | None]:
        """As CSV gives it: the same, reasons as `reason 3, reason 1`."""
        found = []
        for value in self.object().values():
            if isinstance(value, Mapping):
                value = ", ".join(f"{name} {count}" for name, count in value.items())
            elif isinstance(value, datetime):
                value = value.strftime("%Y-%m-%dT%H:%M:%SZ")
            assert value is None or isinstance(value, str | int)
            found.append(value)
        return found


COLUMNS = [*HEADER, "key", "pages", "last_visit", "silent_since", "known", "refusals", "errors"]


def _most_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


@dataclass(frozen=True, slots=True)
class Part:
    """A page of the sources that were asked for."""

    listed: list[Listed]
    total: int
    page: int
    last: int  # page


class Crawl(msgspec.Struct):
    """The last crawl, as far as readers and webmasters may care: what `elunum status` calls `crawl`."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    gone: int = 0
    missing: int = 0
    refused: int = 0
    failed: int = 0
    hosts: int = 0
    hosts_left: int = 0
    hosts_stopped: dict[str, int] = {}
    known: int = 0
    pages_per_s: float = 0.0
    finished: bool = True
    running: bool = False
    stopped_by: str = ""
    started_at: datetime | None = None
    seen_at: datetime | None = None
    expected_end: datetime | None = None
    refusals: dict[str, int] = {}
    errors: dict[str, int] = {}
    errors_by_host: dict[str, dict[str, int]] = {}
    slowest_hosts: dict[str, float] = {}

    @property
    def goes_on(self) -> bool:
        """Whether it is under way: a crawler that was killed has not written for longer than it ever waits."""
        return self.running and self.seen_at is not None and datetime.now(UTC) - self.seen_at < timedelta(minutes=15)

    @property
    def reasons(self) -> dict[str, int]:
        """Why pages are not kept, most first."""
        return _most_first(self.refusals)

    @property
    def faults(self) -> dict[str, int]:
        """Answers that failed, by reason, most first."""
        return _most_first(self.errors)


class Register:
    """The list of sources as it stands on disk, beside the index and the crawler's figures."""

    def __init__(self, path: Path, data: Path, engine: Engine, geo: Geo) -> None:
        self._path, self._engine, self._geo = path, engine, geo
        self.visits = Visits(data)
        self._stamp: tuple[int, ...] = ()
        self._take(())

    def __iter__(self) -> Iterator[Source]:
        return iter(self._fresh())

    def part(self, values: Mapping[str, str], page: int, size: int) -> Part:
        """A page of the sources that the parameters choose. Raises QueryError naming the parameter."""
        found = self.found(values)
        shown = self._listed(found[(page - 1) * size : page * size])
        return Part(shown, len(found), page, max(1, -(-len(found) // size)))

    def crawl(self) -> Crawl | None:
        """The last crawl; None before any, or when another version wrote its report."""
        told = self.visits.crawl
        try:
            return msgspec.convert(told, Crawl) if told is not None else None
        except msgspec.ValidationError:
            return None

    def every(self, values: Mapping[str, str]) -> list[Listed]:
        """All the sources that the parameters choose. Raises QueryError naming the parameter."""
        return self._listed(self.found(values))

    def one(self, key: str) -> Listed | None:
        """The source with this key, spelt in any way that leads to its site; None when it is not listed."""
        url = canonical(f"https://{key}")
        source = self._fresh().of_key(key_of(url)) if url else None
        return self._listed([source])[0] if source else None

    def found(self, values: Mapping[str, str]) -> list[Source]:
        """The sources that the parameters choose, in the order of names. Raises QueryError naming the parameter."""
        kind = values.get("kind", "")
        if kind and kind not in get_args(Kind):
            raise QueryError("kind", "l’une de ces valeurs : " + ", ".join(get_args(Kind)))
        for name, what in (("departement", "le code d’un département"), ("region", "le code INSEE d’une région")):
            if (code := values.get(name, "")) and self._geo.territory(name, code) is None:
                raise QueryError(name, what)
        sources = self._fresh()
        found, _ = sources.search(
            values.get("q", ""), kind, values.get("departement", ""), values.get("region", ""), size=len(sources) or 1
        )
        if place := values.get("commune", ""):
            communes = [c] if (c := self._geo.commune(place)) else self._geo.named(place, "commune")
            codes = {commune.code for commune in communes}
            found = [source for source in found if source.insee in codes]
        return found

    def _listed(self, sources: Sequence[Source]) -> list[Listed]:
        pages = self._engine.pages_by_source()
        hosts = [host_of(source.url) for source in sources]
        found = []
        for source, host, visit in zip(sources, hosts, self.visits.hosts(hosts), strict=True):
            key, shared = key_of(source.url), self._sharing.get(host.removeprefix("www."), 1)
            found.append(Listed(source, key, pages.get(key, 0), visit, shared))
        return found

    def _fresh(self) -> SourceList:
        """The list, read again when its file or its corrections have changed."""
        stamp = self._stamp_now()
        if stamp != self._stamp:
            self._stamp = stamp
            # Absent or being edited: `elunum sources check` says what is wrong; the last good list goes on.
            with contextlib.suppress(SourceError):
                self._take(read(self._path))
        return self._sources

    def _take(self, sources: Iterable[Source]) -> None:
        self._sources = SourceList(self._placed(source) for source in sources)
        self._sharing: dict[str, int] = {}
        for source in self._sources:
            host = host_of(source.url).removeprefix("www.")
            self._sharing[host] = self._sharing.get(host, 0) + 1

    def _placed(self, source: Source) -> Source:
        """With the département and région that its commune or EPCI says, where the line says none."""
        if (source.departement and source.region) or not (source.insee or source.siren or source.departement):
            return source
        place = self._geo.of_source(source)
        if place is None:
            place = self._geo.departement(source.departement) if source.departement else None
        if place is None:
            return source
        return replace(
            source,
            departement=source.departement or place.departement,
            region=source.region or place.region,
        )

    def _stamp_now(self) -> tuple[int, ...]:
        stamp = []
        for path in (self._path, local_path(self._path)):
            try:
                about = path.stat()
                stamp += [about.st_mtime_ns, about.st_ino, about.st_size]
            except OSError:
                stamp.append(0)
        return tuple(stamp)

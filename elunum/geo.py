"""Communes, EPCI, départements, régions: who contains whom, who bears which name, who is comparable to whom.

The tables are elunum/geography/*.tsv, built by scripts/build_geography.py from open data (INSEE, DGCL, La Poste, IGN).
A line becomes a Territory when somebody asks for it: 35,000 objects would cost more than the search they serve.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import math
import re
from array import array
from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import overload

from elunum.model import TERRITORIAL_KINDS, CodeInsee, Comparable, Kind, Siren, Source, Territory
from elunum.text import fold

GEOGRAPHY = Path(__file__).with_name("geography")

_NOT_WORD = re.compile(r"[\W_]+")
_ARTICLE = re.compile(r"^(?:les?|las?|l|los|aux?) (?=\w)")
_GROUPING = re.compile(
    r"^(?:communaute (?:de communes|d agglomeration|urbaine)|cc|ca|cu|metropole|eurometropole)"
    r"(?: (?:des?|du|d|la|le|l|les))* "
)
_SAID_BEFORE = frozenset(
    {"le", "les", "la", "las", "l", "los", "au", "aux"} | {"communaute", "cc", "ca", "cu", "metropole", "eurometropole"}
)
"""The first words of what these two leave out."""

_PLAIN = str.maketrans(
    {c: " " for c in map(chr, range(128)) if not c.isalnum()}
    | dict(zip("àâäáãåçéèêëíìîïñóòôöõúùûüýÿ", "aaaaaaceeeeiiiinooooouuuuyy", strict=True))
    | {"œ": "oe", "æ": "ae", "’": " "}
)
_SHORT = {"st": "saint", "ste": "sainte", "sts": "saints", "stes": "saintes"}


def name_key(name: str) -> str:
    """A name as it is compared: lower case, no accents, hyphens and apostrophes as spaces, St and Ste in full.

    `name_key("St-Étienne-de-l’Olm") == "saint etienne de l olm"`.
    """
    # The letters of French take one pass; whatever else comes pays for the full folding and gets the same answer.
    plain = name.lower().translate(_PLAIN)
    words = (plain if plain.isascii() else _NOT_WORD.sub(" ", fold(name))).split()
    return " ".join([_SHORT.get(word, word) for word in words])


class _Table:
    """One file of elunum/geography: a line per territory, read when asked."""

    def __init__(self, file: str) -> None:
        header, *self.lines = (GEOGRAPHY / file).read_text(encoding="utf-8").removesuffix("\n").split("\n")
        self.columns = header.split("\t")
        self.index = {line[: line.index("\t")]: n for n, line in enumerate(self.lines)}

    def row(self, n: int) -> dict[str, str]:
        # The build script refuses a tab inside a value: a line is cut without a CSV reader.
        return dict(zip(self.columns, self.lines[n].split("\t"), strict=True))

    def column(self, name: str) -> list[str]:
        at = self.columns.index(name)
        return [line.split("\t", at + 1)[at] for line in self.lines]


class _Territories(Sequence[Territory]):
    """All the territories of a kind in the order of their codes, made when reached."""

    def __init__(self, geo: Geo, kind: Kind, codes: Sequence[str]) -> None:
        self._geo, self._kind, self._codes = geo, kind, codes

    def __len__(self) -> int:
        return len(self._codes)

    @overload
    def __getitem__(self, at: int) -> Territory: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Territory]: ...
    def __getitem__(self, at: int | slice) -> Territory | Sequence[Territory]:
        if isinstance(at, slice):
            return _Territories(self._geo, self._kind, self._codes[at])
        found = self._geo.territory(self._kind, self._codes[at])
        assert found is not None
        return found


class Geo:
    """The geography of France. Get it with `load()`: one for the whole process."""

    def __init__(self) -> None:
        self._tables: dict[str, _Table] = {
            "commune": _Table("communes.tsv"),
            "epci": _Table("epci.tsv"),
            "departement": _Table("departements.tsv"),
            "region": _Table("regions.tsv"),
        }
        departements = self._tables["departement"]
        self._region_of = dict(zip(departements.index, departements.column("region"), strict=True))
        label = _Table("label_2019.tsv")
        self._arobases = {
            (row["kind"], row["code"]): int(row["arobases"]) for row in map(label.row, range(len(label.lines)))
        }
        self._made: dict[tuple[str, str], Territory] = {}

    def ready(self) -> None:
        """Make every table now: for who serves, where the first to need one would wait for it."""
        for name, table in vars(Geo).items():
            if isinstance(table, functools.cached_property):
                getattr(self, name)

    # --- by code -------------------------------------------------------------------------------------------------

    def commune(self, code: str) -> Territory | None:
        """The commune with this INSEE code; a retired code gives the commune its land is part of now."""
        found = self.territory("commune", code)
        if found is None and (current := self._current.get(code)) is not None:
            return self.territory("commune", current)
        return found

    def epci(self, siren: str) -> Territory | None:
        return self.territory("epci", siren)

    def departement(self, code: str) -> Territory | None:
        return self.territory("departement", code)

    def region(self, code: str) -> Territory | None:
        return self.territory("region", code)

    def territory(self, kind: Kind | str, code: str) -> Territory | None:
        """The territory of this kind with exactly this code; None when there is none, or the kind is no territory."""
        key = (kind, code)
        if (made := self._made.get(key)) is not None:
            return made
        table = self._tables.get(kind)
        if table is None or (n := table.index.get(code)) is None:
            return None
        self._made[key] = made = self._make(kind, table.row(n))
        return made

    def _make(self, kind: str, row: Mapping[str, str]) -> Territory:
        code = row["code"]
        departement = row.get("departement", "")
        region = row.get("region", "")
        if kind == "commune":
            departement = departement_of(code)
            region = self._region_of.get(departement, "")
        elif kind == "departement":
            departement = code
        elif kind == "region":
            region = code
        return Territory(
            kind=_kind(kind),
            code=code,
            name=row["name"],
            population=int(row["population"]),
            departement=departement,
            region=region,
            epci=row.get("epci", ""),
            postal_codes=tuple(row.get("postal_codes", "").split()),
            latitude=float(row["latitude"]) if row["latitude"] else None,
            longitude=float(row["longitude"]) if row["longitude"] else None,
            area_km2=float(row["area_km2"]) if row["area_km2"] else None,
            arobases=self._arobases.get((kind, code), 0),
        )

    def all(self, kind: Kind | str) -> Sequence[Territory]:
        """Every territory of a kind, in the order of codes: 34,963 communes, 1,255 EPCI, 107 départements, 18 régions.

        The six inhabited collectivités d'outre-mer (975 to 988) count as départements without a région.
        """
        table = self._tables.get(kind)
        return () if table is None else _Territories(self, _kind(kind), list(table.index))

    # --- by name and postal code ---------------------------------------------------------------------------------

    def names(self) -> Mapping[str, tuple[tuple[str, str], ...]]:
        """Folded full name (see `name_key`) -> (kind, code) of all who bear it, most populated first."""
        return self._names

    def named(self, name: str, kind: Kind | str | None = None) -> tuple[Territory, ...]:
        """Who bears this name, most populated first; several when it is ambiguous, none when nobody does.

        Accents, case, hyphens and "St" for "Saint" do not matter. A missing article ("Mans") or a grouping word ("CC
        du", "Communauté de communes du") is forgiven when nobody bears exactly that name.
        """
        key = name_key(name)
        exact = self._existing(self._names.get(key, ()), kind)
        return exact or self._existing(self._bare_names.get(_bare(key), ()), kind)

    def begins_a_name(self, word: str) -> bool:
        """Whether `named` may find a name that begins with this word: most words of a query are no territory's."""
        return name_key(word).partition(" ")[0] in self._first_words

    def starting_with(self, prefix: str, limit: int = 8) -> tuple[Territory, ...]:
        """Territories whose name (or name without its article) starts with `prefix`, most populated first."""
        key = name_key(prefix)
        if not key:
            return ()
        names, ranks = self._prefixes
        found = set(ranks[bisect_left(names, key) : bisect_right(names, key + "\uffff")])
        return self._existing([self._ranked[rank] for rank in heapq.nsmallest(max(limit, 0), found)], None)

    def by_postal_code(self, code: str) -> tuple[Territory, ...]:
        """The communes that this postal code serves, most populated first."""
        found = [("commune", c) for c in self._by_postal_code.get(code, ())]
        return self._existing(sorted(found, key=self._most_populated), None)

    def former(self, name: str) -> tuple[Territory, ...]:
        """The communes of today whose land holds a former commune (since 1943) of this name."""
        return self._existing([("commune", code) for code in self._former.get(name_key(name), ())], None)

    def former_names(self) -> list[tuple[str, str]]:
        """(name, INSEE code of today) of every commune that was merged or renamed since 1943."""
        return [(name, new) for name, _, new in self._former_rows]

    def _existing(self, found: Sequence[tuple[str, str]], kind: str | None) -> tuple[Territory, ...]:
        return tuple(t for k, c in found if (kind is None or k == kind) and (t := self.territory(k, c)) is not None)

    @functools.cached_property
    def _names(self) -> dict[str, tuple[tuple[str, str], ...]]:
        found: dict[str, tuple[tuple[str, str], ...]] = {}
        shared = set()
        for kind, table in self._tables.items():
            for code, name in zip(table.index, table.column("name"), strict=True):
                key = name_key(name)
                if key in found:
                    shared.add(key)
                    found[key] += ((kind, code),)
                else:
                    found[key] = ((kind, code),)
        for key in shared:
            found[key] = tuple(sorted(found[key], key=self._most_populated))
        return found

    @functools.cached_property
    def _bare_names(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """The same without article nor grouping word."""
        found: dict[str, tuple[tuple[str, str], ...]] = {}
        for key, who in self._names.items():
            bare = _bare(key)
            found[bare] = tuple(sorted(found[bare] + who, key=self._most_populated)) if bare in found else who
        return found

    @functools.cached_property
    def _first_words(self) -> frozenset[str]:
        """The first word of each name, and of what may be said before it."""
        names = itertools.chain(self._names, self._bare_names)
        return frozenset(name.partition(" ")[0] for name in names) | _SAID_BEFORE

    def _most_populated(self, who: tuple[str, str]) -> tuple[int, tuple[str, str]]:
        kind, code = who
        return (-self._populations[kind][self._tables[kind].index[code]], who)

    @functools.cached_property
    def _populations(self) -> dict[str, list[int]]:
        return {kind: [*map(int, table.column("population"))] for kind, table in self._tables.items()}

    @functools.cached_property
    def _ranked(self) -> list[tuple[str, str]]:
        """Every territory, most populated first."""
        return sorted(
            ((kind, code) for kind, table in self._tables.items() for code in table.index), key=self._most_populated
        )

    @functools.cached_property
    def _prefixes(self) -> tuple[list[str], array[int]]:
        """Every name, with and without its article, in order; and the place in `_ranked` of who bears it.

        Numbers, because « saint » begins thousands of names: the largest must be found among them while someone types.
        """
        rank = {who: at for at, who in enumerate(self._ranked)}
        named = {
            (name, rank[who])
            for table in (self._names, self._bare_names)
            for name, every in table.items()
            for who in every
        }
        ordered = sorted(named)
        return [name for name, _ in ordered], array("I", [at for _, at in ordered])

    @functools.cached_property
    def _by_postal_code(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        table = self._tables["commune"]
        for code, postal_codes in zip(table.index, table.column("postal_codes"), strict=True):
            for postal_code in postal_codes.split(" "):
                found[postal_code].append(code)
        found.pop("", None)
        return dict(found)

    @functools.cached_property
    def _former_rows(self) -> list[list[str]]:
        lines = (GEOGRAPHY / "former.tsv").read_text(encoding="utf-8").splitlines()
        return [line.split("\t") for line in lines[1:]]

    @functools.cached_property
    def _current(self) -> dict[str, str]:
        """Retired INSEE code -> the code of today."""
        codes = self._tables["commune"].index
        return {old: new for _, old, new in self._former_rows if old not in codes}

    @functools.cached_property
    def _former(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for name, _, new in self._former_rows:
            if new not in found[key := name_key(name)]:
                found[key].append(new)
        return dict(found)

    # --- relations -----------------------------------------------------------------------------------------------

    def containing(self, commune: Territory) -> tuple[Territory, ...]:
        """The EPCI, the département and the région of a territory, smallest first, itself left out."""
        found = (self.epci(commune.epci), self.departement(commune.departement), self.region(commune.region))
        return tuple(t for t in found if t is not None and t != commune)

    def communes_of(self, kind: Kind | str, code: str) -> tuple[Territory, ...]:
        """The communes of an EPCI, a département or a région, in the order of codes."""
        table = self._tables["commune"]
        if kind == "epci":
            codes = [c for c, epci in zip(table.index, table.column("epci"), strict=True) if epci == code]
        elif kind == "departement":
            codes = [c for c in table.index if departement_of(c) == code]
        elif kind == "region":
            codes = [c for c in table.index if self._region_of.get(departement_of(c)) == code]
        else:
            codes = []
        return self._existing([("commune", c) for c in codes], None)

    def of_source(self, source: Source) -> Territory | None:
        """The territory a source speaks for: a commune's, an EPCI's, a département's or a région's own site."""
        if source.kind == "commune":
            return self.commune(source.insee)
        if source.kind == "epci":
            return self.epci(source.siren)
        if source.kind == "departement":
            return self.departement(source.departement)
        if source.kind == "region":
            return self.region(source.region)
        return None

    def comparables(self, among: Collection[str] | None = None) -> Comparables:
        """Who is comparable to whom, among the communes and EPCI of these codes (INSEE, Siren); all without `among`."""
        return Comparables(self, among)

    def _peer(self, territory: Territory) -> _Peer:
        peers = self._peers[territory.kind][1]
        return peers[bisect_left(peers, (territory.population, territory.code), key=lambda p: (p.population, p.code))]

    @functools.cached_property
    def _peers(self) -> dict[str, tuple[list[int], list[_Peer]]]:
        """Communes and EPCI by increasing population; of equals, by code."""
        found: dict[str, tuple[list[int], list[_Peer]]] = {}
        for kind in ("commune", "epci"):
            table = self._tables[kind]
            if kind == "epci":
                types, seats = table.column("type"), [""] * len(table.lines)
            else:
                grouping = dict(zip(self._tables["epci"].index, self._tables["epci"].column("type"), strict=True))
                types = [grouping.get(siren, "") for siren in table.column("epci")]
                seats = table.column("seat")
            names = ("population", "area_km2", "latitude", "longitude")
            columns = zip(table.index, types, seats, *(table.column(name) for name in names), strict=True)
            peers = [
                _Peer(code, type_, seat, int(population), _float(area), _float(latitude), _float(longitude))
                for code, type_, seat, population, area, latitude, longitude in columns
            ]
            peers.sort(key=lambda peer: (peer.population, peer.code))
            found[kind] = ([peer.population for peer in peers], peers)
        return found


class Comparables:
    """Who is comparable to whom among some territories: those that publish, for one who looks for examples."""

    def __init__(self, geo: Geo, among: Collection[str] | None = None) -> None:
        self._geo = geo
        self._kept = geo._peers
        if among is not None:
            chosen = {k: [p for p in peers if p.code in among] for k, (_, peers) in geo._peers.items()}
            self._kept = {k: ([p.population for p in peers], peers) for k, peers in chosen.items()}
        self._found: dict[tuple[str, int], tuple[Comparable, ...]] = {}

    def of(self, code: CodeInsee | Siren | str, limit: int = 50) -> tuple[Comparable, ...]:
        """Communes comparable to this one (or EPCI, given a Siren), closest first, with the reason in French.

        First the population band (from two thirds to one and a half times, widened while four times `limit` are not in
        it, never beyond `WIDEST`), then density (or the kind of grouping, for EPCI), then distance. The
        territory itself needs not be among them. Empty for an unknown code, and when none is of its size.
        """
        key = (code, limit)
        if key not in self._found:
            # Codes are public and of thousands: what is remembered tells no one from another.
            if len(self._found) > 2_000:
                self._found.clear()
            self._found[key] = self._compare(code, limit)
        return self._found[key]

    def _compare(self, code: str, limit: int) -> tuple[Comparable, ...]:
        me = self._geo.commune(code) or self._geo.epci(code)
        if me is None or limit < 1:
            return ()
        populations, peers = self._kept[me.kind]
        for times in _BANDS:
            fewest, most = band(me.population, times)
            low, high = bisect_left(populations, fewest), bisect_right(populations, most)
            if high - low > limit * 4:
                break
        mine, best = self._geo._peer(me), _Best(limit)
        above = min(max(bisect_left(populations, me.population), low), high)
        below = above - 1
        # Outwards from its own population: past some point the gap of population alone is more than the worst kept.
        while below >= low or above < high:
            down = mine.weight - peers[below].weight if below >= low else math.inf
            up = peers[above].weight - mine.weight if above < high else math.inf
            if _PEOPLE * min(down, up) > best.worst:
                break
            if down <= up:
                peer, below = peers[below], below - 1
            else:
                peer, above = peers[above], above + 1
            if peer is not mine:
                best.offer(mine.unlike(peer, best.worst), peer)
        return tuple(
            Comparable(t, mine.reason(peer), round(max(0.0, 1 - far), 3))
            for far, peer in best.sorted()
            if (t := self._geo.territory(me.kind, peer.code)) is not None
        )


WIDEST = 4.0
"""Times more or fewer inhabitants beyond which nobody is comparable, however few publish."""

_BANDS = (1.5, 2.0, 3.0, WIDEST)

_HANDFUL = 100
"""Inhabitants under which a family more or less would count as another size."""


def band(population: int, times: float = WIDEST) -> tuple[int, int]:
    """Fewest and most inhabitants of who has `times` fewer to `times` more; under a hundred, all count as a hundred."""
    counted = max(population, _HANDFUL)
    fewest = math.ceil(counted / times)
    return (fewest if fewest > _HANDFUL else 0), math.floor(counted * times)


class _Peer:
    """What makes two territories alike: people, density, type, place."""

    __slots__ = ("code", "density", "latitude", "longitude", "population", "seat", "type", "weight")

    def __init__(
        self,
        code: str,
        type_: str,
        seat: str,
        population: int,
        area_km2: float | None,
        latitude: float | None,
        longitude: float | None,
    ) -> None:
        self.code = code
        # The métropole de Lyon is a collectivité of its own (MET69): a métropole all the same.
        self.type = "METRO" if type_ == "MET69" else type_  # of grouping: its own, or the one a commune belongs to
        self.seat = seat  # "préfecture", "sous-préfecture" or ""
        self.population = population
        self.weight = math.log(max(population, 1))
        self.density = math.log(max(population, 1) / area_km2) if area_km2 else None
        self.latitude = latitude
        self.longitude = longitude

    def unlike(self, other: _Peer, worst: float = math.inf) -> float:
        """0 for a twin, 1 and more for a stranger; no more than some number beyond `worst` when it is beyond."""
        people = abs(self.weight - other.weight)
        dense = 1.15 if self.density is None or other.density is None else abs(self.density - other.density)
        type_ = (self.type != other.type) + (self.seat != other.seat)
        near = _PEOPLE * people + 0.13 * dense + 0.05 * type_
        if near > worst:
            return near  # most of them: the distance costs more than the rest and could only add to it
        away = self.km_to(other)
        far = 1.0 if away is None else min(away / 1000, 1.5)
        return near + 0.1 * far

    def km_to(self, other: _Peer) -> float | None:
        if self.latitude is None or self.longitude is None or other.latitude is None or other.longitude is None:
            return None
        # Flat triangle: within 1 % across metropolitan France, enough to rank; overseas is far whatever the formula.
        narrow = math.cos(math.radians((self.latitude + other.latitude) / 2))
        return 111.2 * math.hypot(self.latitude - other.latitude, narrow * (self.longitude - other.longitude))

    def reason(self, other: _Peer) -> str:
        """Why `other` is comparable to me, for readers."""
        parts = [f"{_thousands(other.population)} habitants contre {_thousands(self.population)}"]
        if other.density is not None:
            close = self.density is not None and abs(self.density - other.density) <= math.log(1.5)
            dense = f"{_thousands(math.exp(other.density))} hab./km²"
            parts.append(f"densité semblable ({dense})" if close else f"densité de {dense}")
        if self.seat and self.seat == other.seat:
            parts.append(f"{self.seat} aussi")
        if self.type and self.type == other.type:
            parts.append(("" if len(self.code) == 9 else "en ") + f"{_TYPES[self.type]} aussi")
        if (away := self.km_to(other)) is not None:
            parts.append(f"à {_thousands(away)} km" if away >= 1 else "voisine")
        return ", ".join(parts)


_TYPES = {
    "CC": "communauté de communes",
    "CA": "communauté d’agglomération",
    "CU": "communauté urbaine",
    "METRO": "métropole",
}
_PEOPLE = 0.28
"""Weight of the gap of population: six times more or fewer people count for one half."""


class _Best:
    """The nearest of those offered; of equals, the first in the order of codes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.worst = math.inf
        self._found: list[tuple[float, str, _Peer]] = []

    def offer(self, far: float, peer: _Peer) -> None:
        if far <= self.worst:
            insort(self._found, (far, peer.code, peer))
            if len(self._found) > self.limit:
                self._found.pop()
            if len(self._found) == self.limit:
                self.worst = self._found[-1][0]

    def sorted(self) -> list[tuple[float, _Peer]]:
        return [(far, peer) for far, _, peer in self._found]


def departement_of(code: str) -> str:
    """The code of the département of an INSEE code: three characters overseas, two elsewhere."""
    return code[:3] if code.startswith(("97", "98")) else code[:2]


def _bare(key: str) -> str:
    return _ARTICLE.sub("", _GROUPING.sub("", key))


def _kind(kind: str) -> Kind:
    return TERRITORIAL_KINDS[TERRITORIAL_KINDS.index(kind)]


def _float(text: str) -> float | None:
    return float(text) if text else None


def _thousands(value: float) -> str:
    """« 14 380 », with the narrow space French typography asks for."""
    return f"{round(value):,}".replace(",", "\u202f")


@functools.cache
def load() -> Geo:
    """The geography, read once per process."""
    return Geo()

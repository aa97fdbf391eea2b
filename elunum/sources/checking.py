"""What is wrong with a list of sources, line by line, and what it covers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elunum import geo
from elunum.model import Source
from elunum.sources.addresses import mended, platform_segments, unfit
from elunum.sources.register import Line, Problem, key_of, lines, local_path, read, sort_key
from elunum.urls import host_of

_ALSO = {
    # One body does the work of several: Paris (Code général des collectivités territoriales, L2512-1), Corse (L4421-1),
    # Guyane (L7111-1), Martinique (L7211-1), Mayotte (L3511-1 as of 2026) and Alsace (L3431-1).
    ("commune", "75056"): (("departement", "75"),),
    ("region", "94"): (("departement", "2A"), ("departement", "2B")),
    ("region", "03"): (("departement", "973"),),
    ("region", "02"): (("departement", "972"),),
    ("region", "06"): (("departement", "976"),),
    ("departement", "67"): (("departement", "68"),),
}

_REMEDIES = {
    "infrastructure host": "remove the line: no reader visits it",
    "parked host": "remove the line: the domain has lapsed",
    "social network": "remove the line, or write the site of the publisher",
    "not a public host": "remove the line: nobody outside reaches it",
}


def check(path: Path) -> list[Problem]:
    """Every problem of a list, in the order of lines, then those of its `.local.csv`, in any order of hosts.

    Raises SourceError when the file cannot be read at all.
    """
    found: list[Problem] = []
    seen: dict[str, int] = {}
    last: tuple[str, str] | None = None
    unsorted = False
    for line in lines(path):
        if isinstance(line, Problem):
            found.append(line)
            continue
        found += (Problem(line.number, problem, remedy) for problem, remedy in _problems(line))
        key = key_of(line.source.url)
        if key in seen:
            found.append(Problem(line.number, f"the same site as line {seen[key]}", "keep the better of the two"))
        seen.setdefault(key, line.number)
        place = sort_key(line.source.url)
        if last is not None and place < last and not unsorted:
            unsorted = True  # said once: one line out of place makes many
            found.append(Problem(line.number, "not in the order of hosts", "move it up; `www.` does not count"))
        last = place
    local = local_path(path)
    if local.exists():
        for line in lines(local):
            of_line = [line] if isinstance(line, Problem) else [Problem(line.number, *each) for each in _problems(line)]
            found += (Problem(p.line, f"in {local.name}: {p.problem}", p.remedy) for p in of_line)
    return found


def _problems(line: Line) -> Iterator[tuple[str, str]]:
    source = line.source
    if line.removed:
        return
    host = host_of(source.url).partition(":")[0]
    key = key_of(source.url)
    if (reason := unfit(host)) is not None:
        yield reason, _REMEDIES.get(reason, "remove the line")
    if (
        platform_segments(host.removeprefix("www.")) is not None
        and "/" not in key
        and not host.endswith(".wixsite.com")
    ):
        yield "a platform that many publishers share", "write the address with the path of this publisher"
    if "?" in source.url:
        yield "the address has a query", "write the address of the home page"
    if mended(source.name) != source.name:
        yield "the name was read in the wrong encoding", f"write {mended(source.name)}"
    yield from _misplaced(source)


def _misplaced(source: Source) -> Iterator[tuple[str, str]]:
    """Codes that no territory has, or that contradict each other."""
    known = geo.load()
    departement, region = source.departement, source.region
    if source.insee:
        commune = known.commune(source.insee)
        if commune is None:
            yield f"no commune has the INSEE code {source.insee}", "correct it, or leave it empty"
        else:
            if commune.code != source.insee:
                yield f"the INSEE code {source.insee} is retired", f"write {commune.code} ({commune.name})"
            if departement and departement != commune.departement:
                yield f"{commune.name} is not in département {departement}", f"write {commune.departement}"
            if region and region != commune.region:
                yield f"{commune.name} is not in région {region}", f"write {commune.region or 'nothing'}"
    elif source.kind == "epci" and source.siren and known.epci(source.siren) is None:
        yield f"no EPCI with a tax of its own has the Siren {source.siren}", "correct it, or leave it empty"
    if departement and known.departement(departement) is None:
        yield f"no département has the code {departement}", "correct it"
    if region and known.region(region) is None:
        yield f"no région has the code {region}", "correct it"
    if source.siren and not _luhn(source.siren):
        yield f"the Siren {source.siren} has a wrong digit", "correct it: its control digit does not fit"
    if source.kind == "departement" and not departement:
        yield "a département without its code", "fill the column departement"
    if source.kind == "region" and not region:
        yield "a région without its code", "fill the column region"


def _luhn(digits: str) -> bool:
    """Source: ISO/IEC 7812-1, which the Siren follows."""
    doubled = [int(d) * 2 if n % 2 else int(d) for n, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a kind of territory has a source of its own."""

    with_source: int
    of: int
    population_share: float  # of the inhabitants, 0 to 1
    missing: tuple[str, ...]  # names of the most populated without one, at most 20


@dataclass(frozen=True, slots=True)
class Stats:
    """What a list of sources holds and lacks."""

    sources: int
    hosts: int
    https: int
    by_kind: dict[str, int]
    by_region: dict[str, int]  # by name of the région; "sans région" for national bodies
    joined: int  # to a commune, an EPCI, a département or a région
    coverage: dict[str, Coverage]  # by kind of territory


def stats(path: Path) -> Stats:
    """Counts of a list, corrections by hand included. Raises SourceError as `read` does."""
    sources = read(path)
    known = geo.load()
    territories = [known.of_source(source) for source in sources]
    own: set[tuple[str, str]] = {(t.kind, t.code) for t in territories if t is not None}
    own |= {other for territory in own for other in _ALSO.get(territory, ())}
    regions = Counter(source.region for source in sources)
    names = {code: territory.name if (territory := known.region(code)) else "sans région" for code in regions}
    return Stats(
        sources=len(sources),
        hosts=len({host_of(source.url).removeprefix("www.") for source in sources}),
        https=sum(source.url.startswith("https:") for source in sources),
        by_kind=dict(Counter(source.kind for source in sources).most_common()),
        by_region={names[code]: count for code, count in regions.most_common()},
        joined=sum(territory is not None for territory in territories),
        coverage={kind: _coverage(known, kind, own) for kind in ("commune", "epci", "departement", "region")},
    )


def _coverage(known: geo.Geo, kind: str, own: set[tuple[str, str]]) -> Coverage:
    everywhere = known.all(kind)
    without = sorted((t for t in everywhere if (kind, t.code) not in own), key=lambda t: (-t.population, t.code))
    population = sum(t.population for t in everywhere)
    return Coverage(
        with_source=len(everywhere) - len(without),
        of=len(everywhere),
        population_share=round(1 - sum(t.population for t in without) / population, 4),
        missing=tuple(f"{t.name} ({t.code})" for t in without[:20]),
    )

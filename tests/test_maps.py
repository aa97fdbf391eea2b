"""The drawing of France: contours and points agree, and every territory stands where readers look for it."""

import re
from pathlib import Path

import pytest
from shapely.geometry import Point, Polygon

from elunum import geo, maps

GEO = geo.load()


def polygons(path: str) -> list[Polygon]:
    """The rings of SVG path data made of M, relative l and z."""
    assert re.fullmatch(r"(?:M[-0-9. ]+l[-0-9. ]+z)+", path)
    found = []
    for ring in path.split("M")[1:]:
        start, steps = ring.removesuffix("z").split("l")
        numbers = [float(n) for n in re.findall(r"-?(?:\d+\.\d+|\.\d+|\d+)", start)]
        x, y = numbers
        points = [(x, y)]
        moves = [float(n) for n in re.findall(r"-?(?:\d+\.\d+|\.\d+|\d+)", steps)]
        for dx, dy in zip(moves[::2], moves[1::2], strict=True):
            x, y = x + dx, y + dy
            points.append((x, y))
        found.append(Polygon(points))
    return found


def test_every_departement_and_region_of_france_has_a_contour() -> None:
    drawn = maps.contours()
    assert set(drawn.departements) == {d.code for d in GEO.all("departement") if d.region}
    assert set(drawn.regions) == {r.code for r in GEO.all("region")}
    assert set(drawn.ring) == {"75", "92", "93", "94"}


def test_the_contours_fit_in_150_kilobytes_and_in_the_drawing() -> None:
    assert (Path(geo.GEOGRAPHY) / "contours.json").stat().st_size <= 150_000
    for path in (*maps.contours().departements.values(), *maps.contours().ring.values()):
        for polygon in polygons(path):
            left, top, right, bottom = polygon.bounds
            assert left >= 0
            assert top >= 0
            assert right <= maps.WIDTH
            assert bottom <= maps.HEIGHT


@pytest.mark.parametrize("kind", ["departement", "region"])
def test_areas_on_the_drawing_are_those_of_the_land(kind: str) -> None:
    paths = maps.contours().departements if kind == "departement" else maps.contours().regions
    for territory in GEO.all(kind):
        if territory.region and len(territory.departement) != 3 and territory.region > "10":
            area = sum(p.area for p in polygons(paths[territory.code])) * maps.KM_PER_UNIT**2
            assert territory.area_km2 == pytest.approx(area, rel=0.06), territory.name


def test_a_town_stands_within_a_step_of_its_departement() -> None:
    shapes = {code: polygons(path) for code, path in maps.contours().departements.items()}
    for commune in GEO.all("commune")[::41]:
        if (at := maps.place(commune)) is not None:
            drawn = maps.contours().ring if commune.departement in maps.contours().ring else None
            shape = polygons(drawn[commune.departement]) if drawn else shapes[commune.departement]
            assert min(p.distance(Point(at)) for p in shape) < 15, commune  # small islands are not drawn


def test_what_is_off_the_drawing_has_no_place() -> None:
    papeete = GEO.commune("98735")
    assert papeete is not None
    assert maps.place(papeete) is None


def test_every_region_has_a_place() -> None:
    assert all(maps.place(region) is not None for region in GEO.all("region"))


def test_north_is_up_and_east_is_right() -> None:
    lille, marseille, brest, strasbourg = (
        maps.project(*at) for at in [(50.63, 3.06), (43.3, 5.4), (48.4, -4.5), (48.6, 7.7)]
    )
    assert lille[1] < marseille[1]
    assert brest[0] < strasbourg[0]

"""Where things are drawn on the map of France: one drawing of 1000 by 870 units, overseas and Paris in insets.

The contours are elunum/geography/contours.json, dissolved from commune contours (IGN, Licence Ouverte) and simplified
by scripts/build_geography.py, which projects with the functions below: points and contours can only agree.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from elunum.model import Territory

WIDTH, HEIGHT = 1000, 870

_FILE = Path(__file__).with_name("geography") / "contours.json"


@dataclass(frozen=True, slots=True)
class Inset:
    """A box of the drawing that shows a far or a small place at its own scale."""

    name: str  # in French, for readers
    departements: tuple[str, ...]
    west: float  # degrees
    south: float
    east: float
    north: float
    x: float  # the box, in units of the drawing
    y: float
    width: float
    height: float

    def project(self, latitude: float, longitude: float) -> tuple[float, float]:
        """Equirectangular, centred in the box, the largest scale that fits."""
        narrow = math.cos(math.radians((self.south + self.north) / 2))
        across, up = (self.east - self.west) * narrow, self.north - self.south
        scale = min(self.width / across, self.height / up)
        left = self.x + (self.width - across * scale) / 2
        top = self.y + (self.height - up * scale) / 2
        return left + (longitude - self.west) * narrow * scale, top + (self.north - latitude) * scale


INSETS = (
    Inset("Guadeloupe", ("971",), -61.83, 15.80, -61.00, 16.53, 5, 300, 105, 105),
    Inset("Martinique", ("972",), -61.25, 14.38, -60.79, 14.90, 5, 415, 105, 105),
    Inset("Guyane", ("973",), -54.65, 2.10, -51.60, 5.80, 5, 530, 105, 105),
    Inset("La Réunion", ("974",), 55.20, -21.40, 55.86, -20.85, 5, 645, 105, 105),
    Inset("Mayotte", ("976",), 45.00, -13.02, 45.32, -12.62, 5, 760, 105, 105),
    Inset("Paris et petite couronne", ("75", "92", "93", "94"), 2.14, 48.68, 2.62, 49.02, 850, 5, 145, 145),
)

_RING = INSETS[-1]
_INSET_OF = {departement: inset for inset in INSETS for departement in inset.departements}

_RADIUS = 6371.0088  # km, mean radius of the Earth (IUGG)
_PARALLELS = (math.radians(44), math.radians(49))
_CENTRE = (math.radians(46.5), math.radians(3))
KM_PER_UNIT = 1.36


def _tangent(latitude: float) -> float:
    return math.tan(math.pi / 4 + latitude / 2)


_N = math.log(math.cos(_PARALLELS[0]) / math.cos(_PARALLELS[1])) / math.log(
    _tangent(_PARALLELS[1]) / _tangent(_PARALLELS[0])
)
_F = math.cos(_PARALLELS[0]) * _tangent(_PARALLELS[0]) ** _N / _N
_RHO_0 = _F / _tangent(_CENTRE[0]) ** _N


def project(latitude: float, longitude: float) -> tuple[float, float]:
    """Metropolitan France: x to the right and y down, in units of the drawing (1.36 km).

    The conformal conic projection of Lambert on a sphere, with the parallels of Lambert-93 (44° and 49° N). Source:
    J. P. Snyder, Map Projections: A Working Manual, USGS Professional Paper 1395 (1987), equations 15-1 to 15-3.
    """
    rho = _F / _tangent(math.radians(latitude)) ** _N
    theta = _N * (math.radians(longitude) - _CENTRE[1])
    x, y = rho * math.sin(theta), _RHO_0 - rho * math.cos(theta)
    return 565 + x * _RADIUS / KM_PER_UNIT, 400 - y * _RADIUS / KM_PER_UNIT


def place(territory: Territory, ring: bool = True) -> tuple[float, float] | None:
    """Where a territory stands on the drawing, in its inset if it has one; None when it is on none of its parts.

    ring: whether Paris and its neighbours stand in their inset, or where they are on the map.
    """
    if territory.latitude is None or territory.longitude is None:
        return None
    inset = _INSET_OF.get(territory.departement)
    if not ring and inset is _RING:
        inset = None
    if inset is None and len(territory.departement) == 3:
        return None
    if inset is None and not (41 < territory.latitude < 52 and -6 < territory.longitude < 10):
        # A région or an EPCI without a département of its own: overseas, its one département has an inset.
        inset = next((i for i in INSETS if _holds(i, territory.latitude, territory.longitude)), None)
        if inset is None:
            return None
    x, y = (inset.project if inset else project)(territory.latitude, territory.longitude)
    return round(x, 1), round(y, 1)


def _holds(inset: Inset, latitude: float, longitude: float) -> bool:
    return inset.south <= latitude <= inset.north and inset.west <= longitude <= inset.east


@dataclass(frozen=True, slots=True)
class Contours:
    """SVG path data by code, in units of the drawing; the overseas départements and régions in their insets."""

    departements: Mapping[str, str]
    regions: Mapping[str, str]
    ring: Mapping[str, str]  # Paris and its three neighbours again, in their inset


@functools.cache
def contours() -> Contours:
    """The contours of the 101 départements and 18 régions."""
    found = json.loads(_FILE.read_text(encoding="utf-8"))
    return Contours(found["departements"], found["regions"], found["ring"])


@functools.cache
def frame(path: str) -> tuple[float, float, float, float]:
    """The part of the drawing that shows a contour whole, with a margin and the proportions of the drawing: the
    viewBox's left, top, width and height."""
    across, down = [], []
    for ring in path.split("M")[1:]:
        x = y = 0.0
        numbers = [float(number) for number in _NUMBER.findall(ring)]
        for dx, dy in zip(numbers[::2], numbers[1::2], strict=True):
            x, y = x + dx, y + dy
            across.append(x)
            down.append(y)
    middle = (min(across) + max(across)) / 2, (min(down) + max(down)) / 2
    width = 1.15 * max(max(across) - min(across), (max(down) - min(down)) * WIDTH / HEIGHT)
    height = width * HEIGHT / WIDTH
    return middle[0] - width / 2, middle[1] - height / 2, width, height


_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)")

"""From the name a host bears to the commune it is of, by a rule strict enough to be wrong once in ten thousand.

`www.mairie-rixheim.fr` bears "rixheim". It is joined only when no other commune has that name, no longer name starts
with it, no former commune nor any département, région or EPCI bore it, and it has five letters or more; or when a
département number follows (`saintyon91.fr`) and the name is alone there. Measured by scripts/measure_joining.py.
"""

from __future__ import annotations

import functools
import re
from bisect import bisect_left
from collections import defaultdict

from elunum.geo import Geo, departement_of, load, name_key
from elunum.text import fold

MIN_LETTERS = 5

_PREFIX = re.compile(r"^(?:la|site|mairie|www)?-?(?:mairie|commune|municipalite|ville(?=-|de)|village(?=-|de))-?")
_LINK = re.compile(r"^(?:des?|du|d)-?")
_SUFFIX = re.compile(r"-?(?:mairie|commune|ville|village|officiel)$")
_NUMBER = re.compile(r"^(.*?)-?(2a|2b|97[1-8]|\d\d)$")
_TLD = re.compile(
    r"\.(?:fr|com|net|org|eu|info|bzh|alsace|corsica|paris|re|gp|mq|gf|yt|nc|pf|free\.fr|ville\.fr|mairie\.fr)$"
)


def commune_of(host: str) -> str | None:
    """The INSEE code of the commune whose name this host bears; None when the rule does not settle it."""
    host = _readable(host)
    match = _TLD.search(host)
    if match is None:
        return None
    name = host[: match.start()]
    if "." in name:
        # "mairie.rixheim.fr", "ville.rixheim.fr": a word, then the name. Any other label is another service.
        word, _, name = name.rpartition(".")
        if word not in ("mairie", "ville", "commune", "www"):
            return None
    known = _known()
    readings = _readings(name)
    found = {code for reading in readings if (code := known.settle(reading)) is not None}
    # "ville-fontaine" may be Villefontaine or one of the towns called Fontaine: nobody can tell from here.
    if len(found) != 1 or any(known.bearers(reading) - found for reading in readings):
        return None
    return found.pop()


def _readings(name: str) -> set[str]:
    """The ways to read the name in a host: as it is, and without the words that say "town hall of"."""
    readings = {name}
    for pattern in (_PREFIX, _LINK, _SUFFIX):
        shorter = {pattern.sub("", reading) for reading in readings if pattern is not _LINK or reading != name}
        readings |= shorter - {""}
    return readings


def _readable(host: str) -> str:
    host = host.removeprefix("www.")
    if "xn--" in host:
        try:
            host = host.encode("ascii").decode("idna")
        except UnicodeError:
            return ""
    return fold(host)


class _Known:
    """Every name a host could bear, without spaces: "saintgermainenlaye"."""

    def __init__(self, geo: Geo) -> None:
        self.communes: dict[str, set[str]] = defaultdict(set)
        self.taken: set[str] = set()
        for key, bearers in geo.names().items():
            compact = key.replace(" ", "")
            for kind, code in bearers:
                if kind == "commune":
                    self.communes[compact].add(code)
                else:
                    self.taken.add(compact)
                    # "CA Grand Lac" is called "Grand Lac", "Pays de Barr" too.
                    self.taken.add(re.sub(r"^(?:cc|ca|cu)(?:de|du|des|d)?(?:la|le|les|l)?", "", compact))
        self.former: dict[str, set[str]] = defaultdict(set)
        for name, current in geo.former_names():
            self.former[name_key(name).replace(" ", "")].add(current)
        self.sorted = sorted(self.communes)

    def bearers(self, reading: str) -> set[str]:
        """Every commune that a reading may name, however doubtful."""
        return self.communes.get(_compact(reading), set())

    def settle(self, reading: str) -> str | None:
        if (numbered := _NUMBER.match(reading)) is not None:
            return self._in_departement(_compact(numbered[1]), numbered[2].upper())
        name = _compact(reading)
        bearers = self.communes.get(name, set())
        if len(name) < MIN_LETTERS or len(bearers) != 1 or name in self.taken:
            return None
        (code,) = bearers
        if self.former.get(name, set()) - {code}:
            return None
        after = bisect_left(self.sorted, name) + 1
        if after < len(self.sorted) and self.sorted[after].startswith(name):
            return None
        return code

    def _in_departement(self, name: str, departement: str) -> str | None:
        def within(codes: set[str]) -> set[str]:
            return {code for code in codes if departement_of(code) == departement}

        bearers = within(self.communes.get(name, set()))
        if len(name) < 3 or len(bearers) != 1 or within(self.former.get(name, set())) - bearers:
            return None
        return next(iter(bearers))


def _compact(reading: str) -> str:
    """Words joined; "st" and "ste" in full when they stand as words, or begin a name that only so exists."""
    name = name_key(reading.replace("_", "-")).replace(" ", "")
    for short, full in (("ste", "sainte"), ("st", "saint")):
        if name.startswith(short) and not name.startswith(full) and full + name[len(short) :] in _known().communes:
            return full + name[len(short) :]
    return name


@functools.cache
def _known() -> _Known:
    return _Known(load())

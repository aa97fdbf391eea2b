"""Counts of facet values -> what is shown of them: each with its name, in order.

Counted on arrays, see index/postings.py; of very many results on some, and said so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elunum.geo import Geo
from elunum.index.postings import Chosen, Held, Postings, Rows, rounded
from elunum.index.tags import Referentiel
from elunum.model import FacetValue, Search

FACETS = (
    "enjeu", "service", "kind", "type", "lang", "departement", "region", "year", "population", "label", "source"
)  # fmt: skip
"""Names of the facets, in the order they are shown."""

SOURCES_SHOWN = 20
"""Values of the facet `source`, the most frequent ones; the other facets are whole."""

FILTER_OF = {name: name for name in FACETS} | {"year": "date", "source": "site"}
"""The filter that each facet stands for."""

_LABELS = {
    "kind": {
        "commune": "Communes",
        "epci": "Intercommunalités",
        "departement": "Départements",
        "region": "Régions",
        "etat": "État",
        "operateur": "Opérateurs de l’État",
        "sante": "Santé",
        "education": "Éducation",
        "association": "Associations",
        "autre": "Autres",
    },
    "type": {
        "html": "Page web",
        "pdf": "PDF",
        "odt": "Texte (ODT)",
        "docx": "Texte (Word)",
        "ods": "Tableur (ODS)",
        "xlsx": "Tableur (Excel)",
        "txt": "Texte brut",
    },
    "lang": {
        "fr": "Français",
        "en": "Anglais",
        "de": "Allemand",
        "es": "Espagnol",
        "it": "Italien",
        "pt": "Portugais",
        "nl": "Néerlandais",
        "oc": "Occitan",
        "br": "Breton",
        "co": "Corse",
        "eu": "Basque",
        "ca": "Catalan",
        "als": "Alsacien",
        "gsw": "Alsacien",
    },
    "population": {
        "0-499": "Moins de 500 habitants",
        "500-1999": "500 à 1 999 habitants",
        "2000-9999": "2 000 à 9 999 habitants",
        "10000-49999": "10 000 à 49 999 habitants",
        "50000-99999": "50 000 à 99 999 habitants",
        "100000-": "100 000 habitants et plus",
    },
    "label": {"1": "1 arobase et plus", **{str(n): f"{n} arobases et plus" for n in (2, 3, 4)}, "5": "5 arobases"},
}


class Tried(NamedTuple):
    """Documents that answer the words, and which of them, or of all where they are many, pass each filter."""

    answering: Chosen
    held: Mapping[str, Held]

    def passing(self, but: str = "") -> Chosen:
        """Those that pass all filters, but one."""
        return self.answering.narrowed(*(held for name, held in self.held.items() if name != but))


class Facets:
    """The facet values of one index version, with what they are called and the order they are shown in."""

    def __init__(self, postings: Postings, referentiel: Referentiel, geo: Geo) -> None:
        self._postings, self._referentiel = postings, referentiel
        pairs = [value.partition(":") for value in postings.names.values]
        self._values = [value for _, _, value in pairs]
        self._labels = [_label(name, value, referentiel, geo) for name, _, value in pairs]
        known = {name: number for number, name in enumerate(FACETS)}
        self._facet = np.array([known.get(name, len(FACETS)) for name, _, _ in pairs])
        self._of: dict[str, Held] = {name: self._facet == number for name, number in known.items()}
        self._always: Held = (self._facet < len(FACETS)) & ~self._of["service"]
        # Years and labels from the highest, populations from the lowest; the others by their counts, then by name.
        self._fixed: Held = self._of["year"] | self._of["label"] | self._of["population"]
        self._rank = np.zeros(len(pairs), np.intp)
        for name, held in self._of.items():
            order = np.flatnonzero(held).tolist()
            if name in ("year", "label"):
                order.sort(key=self._values.__getitem__, reverse=True)
            elif name == "population":
                order.sort(key=lambda number: int(self._values[number].partition("-")[0]))
            else:
                order.sort(key=self._labels.__getitem__)
            self._rank[order] = np.arange(len(order))

    def counted(
        self, asked: Search, inside: Chosen, tried: Sequence[Tried], most: int
    ) -> tuple[dict[str, tuple[FacetValue, ...]], frozenset[str]]:
        """Counts by value, and the names of the facets whose counts are estimates.

        A facet already chosen counts what choosing another value instead would return. inside: the results. tried: what
        answers the words, more and more loosely. most: results up to which they are counted one by one; 0 for all.
        """
        postings = self._postings
        some, times = self._some(inside, most)
        counts, sources = rounded(postings.counts(some), times), postings.sources(some, times, SOURCES_SHOWN)
        estimated = set() if times == 1 else set(FACETS)
        for name, filter_ in FILTER_OF.items():
            if filter_ not in tried[-1].held or (name == "enjeu" and asked.combine == "et"):
                continue  # with « et », all of them must hold: each enjeu counts inside those already chosen
            estimated.discard(name)
            sources = {} if name == "source" else sources
            counts[self._of[name]] = 0
            for one in reversed(tried):  # a value that the words as asked for find counts what they find
                some, times = self._some(one.passing(but=filter_), most)
                if name == "source":
                    sources |= postings.sources(some, times, SOURCES_SHOWN)
                else:
                    instead = rounded(postings.counts(some, name), times)
                    np.copyto(counts, instead, where=instead > 0)
                estimated |= set() if times == 1 else {name}
        kept = self._always | self._services(asked.enjeu) if asked.enjeu else self._always
        facets = self._shown(counts, np.flatnonzero(kept & (counts > 0)))
        if sources:
            named = ((source.partition("\t"), count) for source, count in sources.items())
            found = (FacetValue(key, label, count) for (key, _, label), count in named)
            facets["source"] = tuple(sorted(found, key=lambda value: (-value.count, value.label)))
        return facets, frozenset(estimated & facets.keys())

    def _some(self, pages: Chosen, most: int) -> tuple[Rows, float]:
        """The pages that are counted, and how many each of them stands for."""
        some = self._postings.sample(pages, most)
        return some, len(pages) / len(some) if len(some) else 1.0

    def _services(self, enjeux: Sequence[str]) -> Held:
        """The values that are services of these enjeux."""
        names = {service.nom for service in self._referentiel.services if service.enjeu in enjeux}
        held = np.zeros(len(self._values), bool)
        services = np.flatnonzero(self._of["service"]).tolist()
        held[[number for number in services if self._values[number] in names]] = True
        return held

    def _shown(self, counts: NDArray[np.integer], numbers: Rows) -> dict[str, tuple[FacetValue, ...]]:
        """These values by facet, in order."""
        facet, counts = self._facet[numbers], counts[numbers]
        order = np.lexsort((self._rank[numbers], np.where(self._fixed[numbers], 0, -counts), facet))
        at = numbers[order].tolist()
        values, labels = map(self._values.__getitem__, at), map(self._labels.__getitem__, at)
        shown = tuple(map(FacetValue, values, labels, counts[order].tolist()))
        ends = np.searchsorted(facet[order], range(len(FACETS)), "right").tolist()
        return {
            name: shown[begin:end] for name, begin, end in zip(FACETS, [0, *ends], ends, strict=False) if begin < end
        }


def _label(name: str, value: str, referentiel: Referentiel, geo: Geo) -> str:
    if name == "enjeu":
        return referentiel.enjeux[value].nom if value in referentiel.enjeux else value
    if name in ("departement", "region"):
        territory = geo.territory(name, value)
        return territory.name if territory else value
    return _LABELS.get(name, {}).get(value, value)

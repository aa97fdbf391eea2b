"""Which territories a text is about."""

from __future__ import annotations

import csv
import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elunum import geo
from elunum.index.places import Places
from elunum.model import Document, Source
from elunum.urls import document_id
from tests.index.archives import documents_of

ETAT = Source("https://www.exemple.gouv.fr/", "État", "etat")
HAUT_RHIN = Source("https://www.exemple68.fr/", "Département", "departement", departement="68")


@cache
def finder() -> Places:
    return Places(geo.load())


def places(text: str, title: str = "", source: Source = ETAT) -> set[str]:
    url = "https://www.exemple.gouv.fr/x"
    return set(finder().of(Document(document_id(url), url, title, text, source=source)))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Le réseau des voisins de Rixheim (68) se réunit.", "commune:68278"),
        ("Le réseau des voisins de Rixheim, dans le Haut-Rhin.", "commune:68278 departement:68"),
        ("Salle polyvalente, 68170 Rixheim", "commune:68278"),
        ("La commune de Rixheim et celle de Riedisheim", "commune:68278 commune:68271"),
        ("Les communes de Rixheim, Riedisheim et Habsheim", "commune:68278 commune:68271 commune:68118"),
        ("Une maire élue à Saint-Mars-du-Désert (Loire-Atlantique)", "commune:44179 departement:44"),
        ("Une maire élue à Saint-Mars-du-Désert (53)", "commune:53236"),
        ("Le musée ouvre au Mans et à Tours.", "commune:72181 commune:37261"),
        ("La gare de Lyon, rue de Paris, lycée Montaigne, accord de Paris", ""),
        ("Votre opérateur est Orange. Écrivez à Orange. L'Union européenne finance.", ""),
        ("La ville d'Orange a voté.", "commune:84087"),
        ("Les habitants de Sainte-Colombe", ""),
        ("Les habitants de Sainte-Colombe (Seine-et-Marne)", "commune:77404 departement:77"),
        ("Le préfet de l'Isère et le conseil départemental du Nord", "departement:38 departement:59"),
        ("Le département du Nord", "departement:59"),
        ("Au bord de la Loire, dans le nord de la ville", ""),
        ("Trois départements pilotes (Gard, Hérault, Somme)", "departement:30 departement:34 departement:80"),
        ("Mayenne (53)", "departement:53"),
        ("À Mayenne (53)", "commune:53147"),
        ("En Bretagne comme en Grande-Bretagne", "region:53"),
        ("Mulhouse Alsace Agglomération collecte les déchets.", "epci:200066009"),
        ("La communauté d'agglomération Pau Béarn Pyrénées", "epci:200067254"),
        ("Jean Nancy a voté. Mme Lille aussi. Son avis compte.", ""),
        ("75007 Paris", ""),
        ("Les départements de la Marne, des Ardennes et de l'Aube", "departement:51 departement:08 departement:10"),
        ("La commune de La Marne (44)", "commune:44090"),
        ("La Caf du Pas-de-Calais", "departement:62"),
        ("La CA La Rochelle", "epci:241700434"),
        ("La communauté d'agglomération Chalon-sur-Saône", "epci:247100589"),
        ("La métropole de Strasbourg", "epci:246700488"),
        ("L'aéroport de Nice Côte d'Azur", ""),
        ("Le tribunal administratif de Nantes, la cour d'appel de Rennes", ""),
        ("Des taux propres à la Polynésie française et à l'ADEME Normandie", "departement:987 region:28"),
        (
            "Une loi appliquée à Saint-Barthélemy, à Saint-Martin et à Mayotte",
            "departement:977 departement:978 departement:976 region:06",
        ),
        ("Exemples\nMalaunay\nUne note est vérifiée.\nNice\nDes fleurs.", "commune:76402"),
        ("Ils ont choisi Malaunay.", ""),
        ("La ville du Petit-Quevilly, les élus de Petit-Quevilly", "commune:76498"),
        ("La commune de Brécé et celle de Luitré", "commune:35039"),
        ("La commune de Brece", ""),
        ("", ""),
    ],
)
def test_a_name_is_read_with_what_stands_around_it(text: str, found: str) -> None:
    assert places(text) == set(found.split())


def test_the_source_settles_which_of_two_communes_is_meant() -> None:
    text = "La commune de Sainte-Croix-en-Plaine et celle de Sainte-Colombe. La fête a lieu à Ruelisheim."
    assert "commune:68289" in places(text, source=HAUT_RHIN)
    seine_et_marne = Source("https://www.exemple77.fr/", "Département", "departement", departement="77")
    assert "commune:77404" in places("La commune de Sainte-Colombe", source=seine_et_marne)


def test_the_place_of_the_source_comes_first_and_the_title_before_the_rest() -> None:
    url = "https://www.rixheim.fr/x"
    rixheim = Source("https://www.rixheim.fr/", "Rixheim", "commune", insee="68278", departement="68")
    document = Document(document_id(url), url, "Jumelage avec Lyon", "À Marseille et à Marseille.", source=rixheim)
    assert finder().of(document) == ("commune:68278", "commune:69123", "commune:13055")


@given(st.text(max_size=300), st.text(max_size=40))
def test_any_text_is_read(text: str, title: str) -> None:
    assert all(":" in place for place in places(text, title))


def judged(name: str) -> list[dict[str, str]]:
    with (Path(__file__).parents[1] / "judged" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def found(shared: Path) -> dict[str, set[str]]:
    """The places of every judged page, by its address."""
    pages = {row["url"] for name in ("places.csv", "places_blind.csv") for row in judged(name)}
    return {d.url: set(finder().of(d)) for d in documents_of(shared, lambda url: url in pages)}


@pytest.mark.shared
def test_nineteen_places_in_twenty_are_right_on_the_judged_pages(found: dict[str, set[str]]) -> None:
    """tests/judged/places.csv: places found on archived pages, judged by reading the sentence."""
    wanted = {(row["url"], row["place"]): row["right"] == "1" for row in judged("places.csv")}
    verdicts = [right for (url, place), right in wanted.items() if place in found[url]]
    assert len(verdicts) >= 0.9 * sum(wanted.values())
    assert sum(verdicts) >= 0.95 * len(verdicts)


@pytest.mark.shared
def test_places_are_found_and_right_on_pages_judged_before_they_were_looked_for(found: dict[str, set[str]]) -> None:
    """tests/judged/places_blind.csv: all the places of pages drawn at random; an accepted one may be found or not."""
    right = wrong = missed = 0
    for row in judged("places_blind.csv"):
        wanted, accepted = set(row["wanted"].split()), set(row["accepted"].split())
        right += len(found[row["url"]] & wanted)
        wrong += len(found[row["url"]] - wanted - accepted)
        missed += len(wanted - found[row["url"]])
    assert right >= 0.97 * (right + wrong)
    assert right >= 0.92 * (right + missed)


@pytest.mark.shared
def test_local_initiatives_are_found_under_their_commune(shared: Path) -> None:
    """Of the pages of local initiatives that name their commune in full, how many are found under it."""
    lines = (shared / "data" / "municipal" / "pages.jsonl").read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    named = [r for r in rows if r["insee"] and f" {r['collectivite']}" in f" {r['title']} {r['text']}"]
    found = [r for r in named if f"commune:{r['insee']}" in places(r["text"], r["title"])]
    assert len(named) >= 10
    assert len(found) >= 0.7 * len(named), [r["id"] for r in named if r not in found]

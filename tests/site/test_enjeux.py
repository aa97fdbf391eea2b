"""Enjeux as readers meet them: counted, combined, explained, and their rules published."""

from __future__ import annotations

import csv
import html
import io
import re
import zipfile
from itertools import pairwise
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elunum.index.tags import FOLDER, load_referentiel
from elunum.model import Search
from elunum.search.engine import Engine, open_engine
from elunum.search.request import from_params
from elunum.settings import Settings

REFERENTIEL = load_referentiel()


@pytest.fixture(scope="module")
def engine(content: Settings) -> Engine:
    return open_engine(content)


ASKED = st.fixed_dictionaries(
    {
        "q": st.sampled_from(["", "projet", "les habitants de la commune", "numérique OU cantine"]),
        "enjeu": st.lists(st.sampled_from(sorted(REFERENTIEL.enjeux)), unique=True, max_size=3).map(tuple),
        "combine": st.sampled_from(["et", "ou"]),
        "kind": st.sampled_from([(), ("commune",)]),
    }
)


@given(ASKED)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_count_of_the_facets_is_what_its_link_returns(engine: Engine, asked: dict[str, object]) -> None:
    search = Search(**asked)  # type: ignore[arg-type]  # the strategies give the types of the fields
    found = engine.search(search)
    chosen = search.enjeu if search.combine == "et" else ()
    for value in found.facets.get("enjeu", ()):
        pairs = [("q", search.q), *(("kind", kind) for kind in search.kind)]
        pairs += [("enjeu", slug) for slug in (*chosen, value.value)]
        assert engine.search(from_params(pairs)).total == value.count
    for value in found.facets.get("service", ()):
        pairs = [("q", search.q), ("combine", search.combine), ("service", value.value)]
        pairs += [("enjeu", slug) for slug in search.enjeu] + [("kind", kind) for kind in search.kind]
        assert engine.search(from_params(pairs)).total == value.count


def links_of(text: str) -> dict[str, tuple[str, int]]:
    """The rows of the panel: label -> address and count."""
    rows = re.findall(r'<li><a href="(/recherche[^"]*)">(.*?)</a> <span>([^<]*)</span>', text)
    return {
        re.sub("<[^>]*>", "", label).strip(): (html.unescape(href), int(re.sub(r"\D", "", count)))
        for href, label, count in rows
    }


def total_of(client: httpx.Client, address: str) -> int:
    total: int = client.get("/api/v1/search?" + urlsplit(address).query).json()["total"]
    return total


def test_the_facet_of_enjeux_is_grouped_by_domaine_and_its_links_lead_to_its_counts(client: httpx.Client) -> None:
    text = client.get("/recherche?q=commune").text
    places = [text.index(f"<h3>{domaine or 'Thèmes transversaux'}</h3>") for domaine in REFERENTIEL.domaines]
    assert all(before < after for before, after in pairwise(places))
    links = links_of(text)
    counted = [enjeu.nom for enjeu in REFERENTIEL.enjeux.values() if enjeu.nom in links]
    assert len(counted) >= 12
    for nom in counted:
        assert total_of(client, links[nom][0]) == links[nom][1]


def test_services_stand_under_the_enjeu_that_was_chosen(client: httpx.Client) -> None:
    text = client.get("/recherche?enjeu=democratie-locale").text
    links = links_of(text)
    named = [s.nom for s in REFERENTIEL.services if s.enjeu == "democratie-locale" and s.nom in links]
    assert len(named) > 3
    for nom in named:
        address, count = links[nom]
        assert ("enjeu", "democratie-locale") in parse_qsl(urlsplit(address).query)
        assert total_of(client, address) == count
    assert "Services de l’enjeu Démocratie locale" in text
    # Leaving the enjeu leaves its service too: the chip leads to more pages, never to none.
    inside = client.get("/recherche", params={"enjeu": "democratie-locale", "service": named[0]}).text
    chip = re.search(r'href="([^"]*)" aria-label="Enlever le filtre\s: Démocratie locale"', inside)
    assert chip
    assert "service" not in chip[1]
    assert total_of(client, html.unescape(chip[1])) > links[named[0]][1]


def test_a_page_says_whether_all_the_enjeux_are_asked_or_one_and_offers_the_other(client: httpx.Client) -> None:
    both = client.get("/recherche?enjeu=emploi&enjeu=innovation").text
    assert "<strong>tous</strong> les enjeux choisis" in both
    either = re.search(r'href="([^"]*)"[^>]*>Se contenter d’au moins un<', both)
    assert either
    assert "Se contenter d’au moins un des enjeux choisis" in both  # no page has both: a way out is offered
    text = client.get(html.unescape(either[1])).text
    assert "<strong>au moins un</strong> des enjeux choisis" in text
    assert "ou Innovation" in text
    assert "chaque nombre est celui de l’enjeu seul" in text
    again = re.search(r'href="([^"]*)"[^>]*>Exiger tous ces enjeux<', text)
    assert again
    assert html.unescape(again[1]) == "/recherche?enjeu=emploi&enjeu=innovation"


def test_every_shape_of_a_search_combines_enjeux_alike(client: httpx.Client) -> None:
    query = "enjeu=emploi&enjeu=innovation&combine=ou&size=100"
    wanted = {result["id"] for result in client.get(f"/api/v1/search?{query}").json()["results"]}
    rows = list(csv.DictReader(io.StringIO(client.get(f"/recherche.csv?{query}").content.decode("utf-8-sig"))))
    assert {row["id"] for row in rows} == wanted
    assert {f["id"] for f in client.get(f"/recherche.geojson?{query}").json()["features"]} <= wanted
    feed = client.get(f"/recherche.atom?{query}").text
    assert set(re.findall(r"/similaires/([0-9a-f]{16})</id>", feed)) == wanted
    assert "combine=ou" in feed
    assert len(wanted) > total_of(client, "/?enjeu=emploi") > 0


def test_a_tag_filters_and_says_why_without_script(client: httpx.Client) -> None:
    (result, *_) = client.get("/api/v1/search?enjeu=emploi&size=1").json()["results"]
    tag = next(tag for tag in result["enjeux"] if tag["slug"] == "emploi")
    text = client.get("/recherche?enjeu=emploi&size=1").text
    assert 'href="/recherche?enjeu=emploi&amp;size=1" aria-label="Voir seulement l’enjeu Emploi"' in text
    said = re.search(r"<details><summary>pourquoi.*?</details>", text, re.DOTALL)
    assert said
    told = html.unescape(said[0])
    assert all(why["expression"] in told for why in tag["why"])
    counted = [why for why in tag["why"] if why["count"] > 1]  # wherever it stands: the place named is the first one
    assert counted
    assert all(
        re.search(rf"{why['expression']}.{{0,3}} \([^)]*, {why['count']} fois en tout\)", told) for why in counted
    )
    assert f"Sûr à {tag['score'] * 100:.0f}" in told
    rows = csv.DictReader(io.StringIO(client.get("/recherche.csv?enjeu=emploi").content.decode("utf-8-sig")))
    row = next(row for row in rows if row["id"] == result["id"])
    assert all(why["expression"] in row["why"] for why in tag["why"])
    assert tag["service"] in row["services"]
    with zipfile.ZipFile(io.BytesIO(client.get("/recherche.ods?enjeu=emploi").content)) as file:
        sheet = html.unescape(file.read("content.xml").decode())
    assert row["why"] in sheet


def test_the_page_of_enjeux_shows_every_one_with_its_count_its_services_and_its_newest_pages(
    client: httpx.Client,
) -> None:
    with client.stream("GET", "/enjeux") as answer:
        weight = sum(len(chunk) for chunk in answer.iter_raw())
    text = html.unescape(client.get("/enjeux").text)
    said = client.get("/api/v1/enjeux").json()
    assert said["version"] in text
    for enjeu in said["enjeux"]:
        assert f'<a href="/recherche?enjeu={enjeu["slug"]}">{enjeu["count"]} page' in text
        assert total_of(client, f"/?enjeu={enjeu['slug']}") == enjeu["count"]
        assert all(service["value"] in text for service in enjeu["services"])
        assert all(hit["title"][:50] in text for hit in enjeu["newest"])
        assert enjeu["newest"] or not enjeu["count"]
    assert all(service.nom in text for service in REFERENTIEL.services)
    assert weight < 20_000
    print(f"/enjeux: {weight} bytes of HTML")


@pytest.mark.parametrize("slug", sorted(REFERENTIEL.enjeux))
def test_the_rules_of_an_enjeu_are_public(client: httpx.Client, slug: str) -> None:
    with client.stream("GET", f"/enjeux/{slug}") as answer:
        assert answer.status_code == 200
        assert sum(len(chunk) for chunk in answer.iter_raw()) < 20_000
    text = html.unescape(client.get(f"/enjeux/{slug}").text)
    rules = [expression for expression in REFERENTIEL.expressions if expression.enjeu == slug]
    assert len(rules) > 100
    assert [rule.text for rule in rules if rule.text not in text] == []
    assert [rule.text for rule in rules if rule.excludes and "pas près de" not in text] == []
    # Services that no page renders are named, but lead nowhere: every link leads to pages.
    for address in re.findall(rf'href="(/recherche\?enjeu={slug}&service=[^"]*)"', text):
        assert total_of(client, address) > 0
    named = [s.nom for s in REFERENTIEL.services if s.enjeu == slug]
    assert [nom for nom in named if nom not in text] == []


def test_the_rules_can_be_taken_away_as_the_tagger_reads_them(client: httpx.Client) -> None:
    assert client.get("/enjeux.csv").content == (FOLDER / "expressions.csv").read_bytes()
    assert client.get("/enjeux/nulle-part").status_code == 404
    assert client.get("/enjeux/emploi?a=b").status_code == 400

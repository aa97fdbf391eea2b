"""Every page answers, says what it must, and keeps the promise in its headers."""

from __future__ import annotations

import asyncio
import html
import re
from dataclasses import replace
from typing import Any

import httpx
import msgspec
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup, escape
from starlette.requests import Request

from elunum.model import Search
from elunum.search.engine import open_engine
from elunum.search.request import from_params
from elunum.settings import Settings
from elunum.site import app, replies, views
from elunum.site.context import Asked, chosen_of, split
from elunum.site.replies import WEB

PAGES = [
    "/", "/discret", "/recherche", "/recherche?q=budget+participatif", "/recherche?q=zzyzx", "/enjeux", "/arbre",
    "/arbre?enjeu=democratie-locale", "/carte", "/carte?q=eau", "/sources", "/sources?q=ville",
    "/sources?departement=68", "/sources/rixheim.example",
    "/communes",
    "/communes?nom=saint-martin", "/collectivites/68278", "/collectivites/200066009", "/confidentialite", "/robot",
    "/accessibilite", "/api", "/mentions-legales", "/etat", "/note", "/enjeux/emploi",
    "/recherche?q=budjet+particpatif", "/recherche?q=piscine&kind=epci&population_max=500",
    "/recherche?like=68278&q=eau",
]  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_html_in_french_with_one_title_and_strict_headers(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert '<html lang="fr">' in answer.text
    assert len(re.findall("<h1", answer.text)) == 1
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "script" not in policy
    assert "unsafe" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers
    assert "<script" not in answer.text
    assert "style=" not in answer.text


@pytest.mark.parametrize("path", [path for path in PAGES if "recherche" in path or "q=" in path])
def test_what_holds_a_search_is_neither_stored_nor_indexed(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["cache-control"] == "no-store"
    assert "noindex" in headers["x-robots-tag"]


def weighed(client: httpx.Client, path: str) -> int:
    """Bytes on the wire, compressed as browsers ask."""
    with client.stream("GET", path) as answer:
        return sum(len(chunk) for chunk in answer.iter_raw())


def test_every_page_says_its_own_weight_and_a_first_load_of_results_is_under_20_kilobytes(client: httpx.Client) -> None:
    print("\n first load   HTML alone   requests   page")
    for path in [*PAGES, "/nulle-part", "/recherche?size=0"]:
        text = client.get(path).text
        parts = [
            found[1]
            for tag in re.findall(r'<(?:link rel="(?:stylesheet|icon)"|img |script|iframe|source |image )[^>]*>', text)
            if (found := re.search(r'(?:href|src)="([^"]+)"', tag))
        ]
        page = weighed(client, path)
        total = page + sum(weighed(client, part) for part in parts)
        print(f"{total:9} o {page:10} o {1 + len(parts):10}   {path}")
        said = re.search(r"Cette page\s:\s(\d+)\sKo", text)
        assert said, path
        assert abs(total / 1000 - int(said[1])) <= 1, path
        assert 1 + len(parts) <= 3, path
        if path.startswith("/recherche"):
            assert total <= 20_000, path


def test_the_style_sheet_is_one_file_of_at_most_12_kilobytes(client: httpx.Client) -> None:
    text = client.get("/").text
    (address,) = re.findall(r'rel="stylesheet" href="([^"]+)"', text)
    answer = client.get(address, headers={"accept-encoding": "identity"})
    assert len(answer.content) <= 12_288
    assert "immutable" in answer.headers["cache-control"]
    assert "url(" not in answer.text


@pytest.mark.parametrize(
    ("path", "status"),
    [("/nulle-part", 404), ("/recherche?size=0", 400), ("/recherche?inconnu=1", 400), ("/collectivites/99999", 404),
     ("/similaires/zzz", 400), ("/similaires/0000000000000000", 404), ("/sources?kind=zzz", 400), ("/static/../x", 404),
     ("/arbre?enjeu=zzz", 400), ("/enjeux?a=b", 400)],
)  # fmt: skip
def test_an_error_is_a_page_that_helps(client: httpx.Client, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert "Reprendre depuis l’accueil" in answer.text


def test_a_bad_parameter_is_named_and_never_echoed(client: httpx.Client) -> None:
    for path in ("/recherche", "/api/v1/search", "/recherche.csv", "/recherche.atom"):
        answer = client.get(path, params={"population_min": "canaribleu", "q": "autrecanari"})
        assert answer.status_code == 400
        assert "population_min" in answer.text
        assert "canaribleu" not in answer.text
        assert "autrecanari" not in answer.text


def test_an_api_error_is_json_with_a_stable_code(client: httpx.Client) -> None:
    assert client.get("/api/v1/search?size=0").json()["error"]["code"] == "bad_parameter"
    assert client.get("/api/v1/search?size=0").json()["error"]["parameter"] == "size"
    assert client.get("/api/v1/nulle-part").json()["error"]["code"] == "not_found"
    wrong = client.post("/api/v1/search")
    assert wrong.status_code == 405
    assert wrong.json()["error"]["code"] == "method_not_allowed"


_NOT_TEXT = re.compile(r"<pre.*?</pre>|<code.*?</code>|{#.*?#}|{%.*?%}|{{.*?}}|<[^>]*>", re.DOTALL)


def test_french_punctuation_keeps_to_its_word() -> None:
    parted = []
    for path in sorted((WEB / "templates").glob("*.html")):
        for piece in _NOT_TEXT.split(path.read_text(encoding="utf-8")):
            parted += [f"{path.name}: {piece.strip()[:80]}" for _ in re.findall(r"« | »| [:;?!](?=\s|$|\))", piece)]
            assert "'" not in piece, f"{path.name}: an apostrophe is ’ in French: {piece.strip()[:80]}"
    assert parted == [], "write a no-break space (U+00A0) before : ; ? ! » and after «"


@pytest.mark.parametrize(
    "query",
    ["q=budget+participatif&population_max=1&kind=epci", "q=cantine&departement=2A", "q=agriculture&commune=68278",
     "q=%22ferme+municipale+bio+en+r%C3%A9gie+directe%22", "q=piscine+olympique+-ville", "q=xylophone&enjeu=emploi"],
)  # fmt: skip
def test_each_way_out_of_an_empty_page_has_the_results_it_says(client: httpx.Client, query: str) -> None:
    page = client.get(f"/recherche?{query}").text
    ways = re.findall(r'<li><a href="(/recherche\?[^"]+)"[^>]*>[^<]*\((\d+) résultats?\)</a>', page)
    assert 0 < len(ways) <= 6
    for address, promised in ways:
        found = client.get("/api/v1/search?" + html.unescape(address).partition("?")[2]).json()["total"]
        assert found == int(promised) > 0, address


@pytest.mark.parametrize(
    ("insee", "said"),
    [
        ("68278", "les {peers} communes comparables à Rixheim (de 3 595 à 57 520 habitants) qui ont des pages ici."),
        ("75056", "Aucune commune comparable à Paris (de 525 945 à 8 415 112 habitants) n’a encore de page ici."),
        ("00000", "Ce code INSEE n’est celui d’aucune commune."),
    ],
)
def test_a_comparison_says_with_whom_or_that_there_is_nobody(client: httpx.Client, insee: str, said: str) -> None:
    peers = client.get(f"/api/v1/search?like={insee}&one_per=collectivite").json()["total"]
    text = html.unescape(client.get(f"/recherche?like={insee}").text)
    assert said.format(peers=peers) in text.replace("\u202f", " ")


# --- counts that are estimates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "said"), [(7, "environ 7"), (99, "environ 99"), (104, "environ 100"), (12_345, "environ 12\u202f000"),
                        (987_654, "environ 990\u202f000")],
)  # fmt: skip
def test_an_estimate_is_said_as_one_and_to_two_figures(count: int, said: str) -> None:
    assert replies.environ(count) == said


@pytest.fixture(scope="module")
def estimating(content: Settings) -> FastAPI:
    """The site over an engine whose counts, once real, are said to be estimates of a hundred times more pages."""
    site = app.create_app(content)
    engine = site.state.context.engine
    exact = engine.search

    def estimated(search: Search, explain: bool = False) -> Any:
        found = exact(search, explain)
        facets = {
            n: tuple(msgspec.structs.replace(v, count=v.count * 123) for v in values)
            for n, values in found.facets.items()
        }
        return replace(found, total=found.total * 123, total_is_exact=False, facets=facets, estimated=frozenset(facets))

    engine.search = estimated
    return site


def rendered(site: FastAPI, answer: Any, path: str, query: str) -> str:
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "headers": [], "app": site}
    return bytes(asyncio.run(answer(Request(scope))).body).decode()


def test_a_count_that_is_an_estimate_says_so_everywhere_and_why(estimating: FastAPI, client: httpx.Client) -> None:
    total = client.get("/api/v1/search?q=budget").json()["total"] * 123
    text = rendered(estimating, views.search, "/recherche", "q=budget")
    status = re.search(r'role="status">(.*?)</p>', text)
    assert status
    assert status[1].startswith(f"{replies.environ(total)} résultats en ")
    assert "<summary>Pourquoi «\u00a0environ\u00a0»\u00a0?</summary>" in text
    counts = re.findall(r"</a> <span>([^<]*)</span>", text)
    assert len(counts) > 20
    assert all(count.startswith("env. ") for count in counts)
    bars = re.findall(r'aria-label="\d{4} : ([^"]*)"', text)
    assert bars
    assert all(bar.startswith("environ ") for bar in bars)
    whole = client.get("/recherche?q=budget").text
    assert "environ" not in whole.partition("<main")[2].partition('class="resultats"')[0]
    assert "env. " not in whole
    map_ = rendered(estimating, views.map_, "/carte", "q=budget")
    assert f'role="status">{replies.environ(total)} résultats' in map_
    places = map_.partition("<h2>Collectivités")[0]  # those are counted one by one
    assert all(count.startswith("env. ") for count in re.findall(r"</a> <span>([^<]*)</span>", places))


def test_ways_out_of_an_empty_page_say_when_their_count_is_an_estimate(estimating: FastAPI) -> None:
    text = rendered(estimating, views.search, "/recherche", "q=budget+participatif&population_max=1&kind=epci")
    assert re.findall(r"\(environ [\d\u202f]+ résultats\)</a>", text)


# --- what a hurried reader meets --------------------------------------------------------------------------------------


def test_a_page_of_another_publisher_says_which_commune_it_speaks_of(client: httpx.Client) -> None:
    told = client.get("/api/v1/search?q=tiers-lieu&size=50").json()["results"]
    other = next(r for r in told if r["source"]["kind"] == "association" and r["source"]["commune"])
    text = client.get("/recherche?q=tiers-lieu&size=50").text
    card = text.partition(f'id="r-{other["id"]}"')[2].partition("</article>")[0]
    assert f"page sur {other['source']['commune']} (" in card
    assert "@@" not in card  # the label is the commune's, not the publisher's


def test_communes_whose_name_begins_so_follow_those_of_that_name(client: httpx.Client) -> None:
    names = re.findall(r'<td><a href="/collectivites/[^"]*">([^<]*)</a>', client.get("/communes?nom=saint-martin").text)
    exact = [name for name in names if name == "Saint-Martin"]
    assert len(exact) > 3
    assert names[: len(exact)] == exact
    assert "Saint-Martin-de-Crau" in names


def test_a_former_commune_leads_to_that_of_today(client: httpx.Client) -> None:
    # Annecy-le-Vieux is part of Annecy since 2017 (Insee).
    answer = client.get("/communes?nom=annecy-le-vieux")
    assert (answer.status_code, answer.headers["location"]) == (303, "/collectivites/74010")


@pytest.mark.parametrize(
    "path",
    [
        "/collectivites/68278", "/collectivites/200066009", "/recherche?q=commune&one_per=collectivite",
        "/recherche?q=budget+ville&one_per=collectivite",
    ],
)  # fmt: skip
def test_a_number_of_pages_is_that_of_where_it_leads(path: str, client: httpx.Client) -> None:
    links = re.findall(r'href="/recherche\?([^"]+)"[^>]*>(?:[^<]*<span>)?(\d+) (page|autre)', client.get(path).text)
    assert links
    for query, number, what in links:
        led = client.get(f"/api/v1/search?{html.unescape(query)}").json()
        assert led["total"] == int(number) + (what == "autre"), query


def test_an_operator_that_names_several_communes_says_which_and_leads_to_the_others(client: httpx.Client) -> None:
    text = client.get("/recherche?q=eau+commune:Saint-Denis").text
    assert "<strong>commune:Saint-Denis</strong>\u00a0: ce sont les pages de Saint-Denis (La Réunion)" in text
    other = re.search(r'href="([^"]*)">Saint-Denis \(Aude\)</a>', text)
    assert other
    assert "q=eau+commune%3A11339" in html.unescape(other[1])
    assert "ce sont les pages de" not in client.get("/recherche?q=eau+commune:11339").text


def test_an_empty_page_offers_to_be_told_when_a_page_appears(client: httpx.Client) -> None:
    text = client.get("/recherche?q=zzyzx&kind=commune").text
    feed = re.search(r'<a href="(/recherche\.atom\?[^"]*)">Suivre cette recherche</a>', text)
    assert feed
    assert client.get(html.unescape(feed[1])).status_code == 200


def test_no_page_has_an_image_that_could_fail_to_load(client: httpx.Client) -> None:
    for path in PAGES:
        assert not re.search(r"<img|<picture|background-image", client.get(path).text), path


def test_the_legal_notice_names_who_publishes_and_who_hosts(content: Settings) -> None:
    named = {
        "operator": "Syndicat d’exemple",
        "hosting": "Centre <b>d’exemple</b>, 1 rue des Lilas",
        "contact": "a@b.example",
    }
    settings = content.model_copy(update={"site": content.site.model_copy(update=named)})
    shown = rendered(app.create_app(settings), views.text_page("mentions.html"), "/mentions-legales", "")
    assert "Syndicat d’exemple" in shown
    assert "Centre &lt;b&gt;d’exemple&lt;/b&gt;, 1 rue des Lilas" in shown
    assert "a@b.example" in shown
    assert "Non renseigné" not in shown


@pytest.mark.parametrize("q", ["budget participatif", "tiers-lieux", "mairie de Rixheim", "qualité de l’eau", "CCAS"])
def test_every_sign_that_made_a_score_is_told_in_french(content: Settings, q: str) -> None:
    results = app.create_app(content).state.context.engine.search(Search(q=q), explain=True)
    assert results.hits
    for hit in results.hits:
        for name, _ in hit.explanation:
            if "cherché aussi" in views.sign(name):  # what is left when no other sign is known by that name
                assert name in results.also


def test_a_correction_is_said_with_a_way_back_to_the_words_as_typed(client: httpx.Client) -> None:
    answer = client.get("/recherche", params={"q": "budjet participatif"})
    assert "voici les résultats de <strong>budget participatif</strong>" in answer.text
    back = re.search(r'href="([^"]*)"[^>]*>Chercher les mots tels que tapés', answer.text)
    assert back is not None
    again = client.get(html.unescape(back[1]))
    assert "«\u00a0&#34;budjet&#34; participatif\u00a0»" in again.text
    assert "voici les résultats de" not in again.text


@pytest.mark.parametrize(
    ("typed", "corrected", "back"),
    [
        ("budjet participatif", "budget participatif", '"budjet" participatif'),
        ("budgetparticipatif vote", "budget participatif vote", '"budgetparticipatif" vote'),
        ('"budjet" particpatif', '"budjet" participatif', '"budjet" "particpatif"'),
    ],
)
def test_the_way_back_quotes_what_was_corrected_alone(typed: str, corrected: str, back: str) -> None:
    assert views.as_typed(typed, corrected) == back


def test_being_comparable_is_a_sign_said_in_french(client: httpx.Client) -> None:
    asked = {"q": "jardin", "like": "68278"}
    hit = client.get("/api/v1/search", params=asked).json()["results"][0]
    answer = client.get("/pourquoi", params=asked | {"id": hit["id"]})
    assert "Collectivité comparable" in answer.text
    assert "comparable\u00a0: <" not in answer.text


@pytest.mark.parametrize("query", ["q=eau", "q=eau&kind=commune&kind=epci&since=2020&sort=date&one_per=collectivite",
                                   "enjeu=sante&combine=ou&type=html&id=0123456789abcdef"])  # fmt: skip
def test_what_chooses_a_value_of_a_facet_takes_it_back_once_chosen(content: Settings, query: str) -> None:
    pairs = split(query)
    before = Asked(from_params(pair for pair in pairs if pair[0] != "id"), chosen_of(pairs))
    results = open_engine(content).search(before.search)
    tried = set()
    for facet, values in results.facets.items():
        for value, row in zip(values, views.rows_of(before, results, facet, values), strict=True):
            if row.active:
                continue
            pairs = split(row.query)
            after = Asked(from_params(pair for pair in pairs if pair[0] != "id"), chosen_of(pairs))
            assert (after.chosen, after.search.q) == (before.chosen, before.search.q)
            (back,) = views.rows_of(after, results, facet, [value])
            assert back.active
            if facet != "year" or before.search.since is None:
                assert back.query == before.to()
            tried.add(facet)
    assert {"region", "population", "year", "enjeu", "source"} <= tried


@given(st.text() | st.integers() | st.text().map(Markup))
def test_templates_escape_as_markupsafe_does(value: str | int) -> None:
    shown = replies.TEMPLATES.from_string("{{ value }}").render(value=value)
    assert shown == str(escape(value))

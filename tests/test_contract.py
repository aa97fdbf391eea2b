"""The names that other programs rely on: commands, addresses, parameters and answers, against the real thing."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import lxml.etree
import pytest
import typer.main

from elunum import geo, sources
from elunum.cli import app
from elunum.errors import SettingsError, SourceError
from elunum.settings import CHECKOUT, load
from tests.installation import Installation

Result = dict[str, Any]
QUERY = {"q": "tiers-lieu commune", "kind": "commune", "size": "100"}
ODS = {"t": "urn:oasis:names:tc:opendocument:xmlns:table:1.0"}


def found(site: httpx.Client, **parameters: Any) -> dict[str, Any]:
    answer = site.get("/api/v1/search", params=parameters)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def all_of(site: httpx.Client, **parameters: Any) -> list[Result]:
    """Every result of a search, from all its pages."""
    results: list[Result] = []
    for page in range(1, 101):
        answer = found(site, **parameters, page=page, size=100)
        results += answer["results"]
        if len(results) >= answer["total"]:
            break
    return results


@pytest.fixture(scope="module")
def everything(site: httpx.Client) -> list[Result]:
    results = all_of(site)
    assert len({result["id"] for result in results}) == len(results) > 150
    return results


# --- commands ----------------------------------------------------------------------------------------------------


def commands(command: Any, *words: str) -> Iterator[tuple[str, ...]]:
    if not getattr(command, "commands", {}):
        yield words
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, *words, name)


CONTRACT = {
    "sources check", "sources stats", "sources update", "sources import", "crawl", "import", "index", "nightly",
    "serve", "search", "status", "forget", "privacy-check", "enjeux check", "enjeux tag", "eval",
}  # fmt: skip
OPTIONS = {
    "crawl": {"--sources", "--hours", "--only", "--shard"},
    "index": {"--full"},
    "serve": {"--host", "--port", "--workers"},
    "search": {"--enjeu"},
    "eval": {"--run"},
}
COMMANDS = {" ".join(words): words for words in commands(typer.main.get_command(app))}


def options_of(name: str) -> set[str]:
    command: Any = typer.main.get_command(app)
    for word in COMMANDS[name]:
        command = command.commands[word]
    return {option for parameter in command.params for option in parameter.opts}


def test_every_command_of_the_contract_exists_with_its_options() -> None:
    assert set(COMMANDS) >= CONTRACT
    for name, expected in OPTIONS.items():
        assert options_of(name) >= expected, name


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_json(name: str) -> None:
    assert "--json" in options_of(name)


@pytest.mark.parametrize("name", ["sources import"])
def test_help_is_on_stdout_and_ends_well(name: str, installation: Installation) -> None:
    done = installation.run(*COMMANDS[name], "--help")
    assert "--json" in done.stdout
    assert done.stderr == ""


def one_object(stdout: str) -> dict[str, Any]:
    assert stdout.count("\n") == 1
    value: dict[str, Any] = json.loads(stdout)
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(
    ("words", "codes"),
    [
        (("sources", "stats"), {0}),
        (("search", "tiers-lieu", "--enjeu", "innovation"), {0}),
        (("status",), {0}),
        (("enjeux", "check"), {0, 1}),
        (("index",), {0}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_json_is_one_object_on_stdout_and_nothing_else(
    words: tuple[str, ...], codes: set[int], installation: Installation
) -> None:
    done = installation.run(*words, "--json", check=False)
    assert done.returncode in codes, done.stderr
    assert one_object(done.stdout)


def test_enjeux_tag_answers_a_line_of_json_for_each_document(installation: Installation, tmp_path: Path) -> None:
    docs = tmp_path / "docs.jsonl"
    texts = {"a": "Le tiers-lieu ouvre un espace de coworking et un fablab.\u2028Tout le monde vient.", "b": "Rien."}
    rows = [
        {"id": id, "url": f"https://{id}.example/", "title": "", "text": text, "plus": 1} for id, text in texts.items()
    ]
    docs.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    done = installation.run("enjeux", "tag", str(docs))
    tagged = [json.loads(line) for line in done.stdout.strip("\n").split("\n")]
    assert [set(row) for row in tagged] == [{"id", "enjeux"}] * 2
    assert [row["id"] for row in tagged] == ["a", "b"]
    assert tagged[0]["enjeux"]
    assert all(set(tag) >= {"slug", "service", "score", "why"} for tag in tagged[0]["enjeux"])
    assert one_object(installation.run("enjeux", "tag", str(docs), "--json").stdout)["documents"] == tagged


def test_eval_scores_and_writes_the_run(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "d").write_text(
        '{"id":"1","url":"https://a.example/1","title":"Le vélo","text":"Une piste cyclable en ville."}\n'
        '{"id":"2","url":"https://a.example/2","title":"La cantine","text":"Des repas bio à l’école."}\n'
    )
    (tmp_path / "q").write_text("qid\tquery\nx\tvélo en ville\n")
    (tmp_path / "r").write_text("qid\tdocid\trel\nx\t1\t3\n")
    run = tmp_path / "run"
    scores = one_object(
        installation.run("eval", *(str(tmp_path / n) for n in "dqr"), "--run", str(run), "--json").stdout
    )
    assert any("ndcg" in name and value == 1.0 for name, value in scores.items())
    lines = [line.split("\t") for line in run.read_text().splitlines()]
    rows = [line for line in lines if line[0] == "x"]
    assert rows[0][1:3] == ["1", "1"]
    assert float(rows[0][3]) > 0


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("crawl", "--shard", "3/2"), "--shard"),
        (("import", "absent.warc.gz"), "absent.warc.gz"),
        (("forget", "mots introuvables"), "title"),
        (("search", "eau", "--with", "couleur=bleu"), "couleur"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_what_is_refused_ends_with_2_and_one_sentence_that_names_it(
    words: tuple[str, ...], named: str, installation: Installation
) -> None:
    done = installation.run(*words, "--json", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert named in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_check_that_fails_ends_with_1(installation: Installation, tmp_path: Path) -> None:
    file = tmp_path / "sources.csv"
    file.write_text("url,name,kind,insee,siren,departement,region\nhtp://a.example/,A,autre,,,,\n")
    done = installation.run("sources", "check", "--sources", str(file), "--json", check=False)
    assert done.returncode == 1
    assert one_object(done.stdout)["count"] == 1


# --- settings ----------------------------------------------------------------------------------------------------


def test_only_a_loopback_address_can_stand_for_the_web(installation: Installation, tmp_path: Path) -> None:
    for address in ("192.0.2.1:80", "exemple.fr:80", "127.0.0.1", "127.0.0.1:0"):
        with pytest.raises(SettingsError, match="loopback"):
            load({"ELUNUM_CRAWL_CONNECT_TO": address})
    done = installation.aside(tmp_path / "var", ELUNUM_CRAWL_CONNECT_TO="192.0.2.1:80").run("crawl", check=False)
    assert done.returncode == 2
    assert "ELUNUM_CRAWL_CONNECT_TO" in done.stderr
    assert not (tmp_path / "var").exists()


def test_settings_come_from_the_file_then_from_the_environment(installation: Installation, tmp_path: Path) -> None:
    file = tmp_path / "elunum.toml"
    file.write_text('[crawl]\nconnect_to = "192.0.2.1:80"\n[search]\nmax_query_chars = 3\n')
    from_file = installation.aside(installation.data, ELUNUM_CONFIG=str(file))
    done = from_file.run("search", "tiers-lieu", check=False)  # connect_to comes from the environment: it is accepted
    assert done.returncode == 2
    assert "« q »" in done.stderr
    both = installation.aside(installation.data, ELUNUM_CONFIG=str(file), ELUNUM_SEARCH_MAX_QUERY_CHARS="100")
    assert both.json("search", "tiers-lieu")["total"] > 0


# --- addresses ---------------------------------------------------------------------------------------------------

HTML = [
    "/", "/recherche", "/recherche?q=eau", "/enjeux", "/sources", "/collectivites/68278", "/carte", "/arbre",
    "/confidentialite", "/robot", "/accessibilite", "/api",
]  # fmt: skip
OTHERS = {
    "/recherche.csv?q=eau": "text/csv; charset=utf-8",
    "/recherche.ods?q=eau": "application/vnd.oasis.opendocument.spreadsheet",
    "/recherche.atom?q=eau": "application/atom+xml; charset=utf-8",
    "/recherche.geojson?q=eau": "application/geo+json",
    "/api/v1/search?q=eau": "application/json",
    "/api/v1/suggest?q=ti": "application/json",
    "/api/v1/enjeux": "application/json",
    "/api/v1/sources": "application/json",
    "/api/v1/collectivites/68278": "application/json",
    "/opensearch.xml": "application/opensearchdescription+xml",
    "/robots.txt": "text/plain; charset=utf-8",
    "/healthz": "application/json",
    "/metrics": "text/plain; version=0.0.4; charset=utf-8",
}


@pytest.mark.parametrize("path", HTML)
def test_every_page_answers_in_html(path: str, site: httpx.Client) -> None:
    answer = site.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "</html>" in answer.text


@pytest.mark.parametrize("path", OTHERS)
def test_every_other_address_answers_with_its_type(path: str, site: httpx.Client) -> None:
    answer = site.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, OTHERS[path])
    assert answer.content


def test_the_same_query_gives_the_same_results_in_every_shape(site: httpx.Client) -> None:
    results = found(site, **QUERY)["results"]
    urls = [result["url"] for result in results]
    assert 5 < len(urls) < 100, "the shapes that hold all the results are comparable to one page"
    rows = list(csv.DictReader(io.StringIO(site.get("/recherche.csv", params=QUERY).content.decode("utf-8-sig"))))
    assert [row["url"] for row in rows] == urls
    assert [row["title"].lstrip("'") for row in rows] == [result["title"] for result in results]
    with zipfile.ZipFile(io.BytesIO(site.get("/recherche.ods", params=QUERY).content)) as file:
        sheet = lxml.etree.fromstring(file.read("content.xml"))
    cells = [
        ["".join(cell.itertext()) for cell in row.iterfind("t:table-cell", ODS)]
        for row in sheet.iter(f"{{{ODS['t']}}}table-row")
    ]
    assert [row[1] for row in cells[1:]] == urls
    points = site.get("/recherche.geojson", params=QUERY).json()
    assert points["type"] == "FeatureCollection"
    assert [point["properties"]["url"] for point in points["features"]] == urls, "every commune has a place"
    feed = lxml.etree.fromstring(site.get("/recherche.atom", params=QUERY).content)
    atom = {"a": "http://www.w3.org/2005/Atom"}
    links = [link.get("href") for link in feed.iterfind("a:entry/a:link", atom)]
    days = [day.text or "" for day in feed.iterfind("a:entry/a:updated", atom)]
    newest = found(site, **QUERY, sort="date")["results"]
    assert sorted(links, key=str) == sorted(result["url"] for result in newest)
    assert days == sorted(days, reverse=True), "newest first"
    # A page without a date stands at the day it was first seen.
    assert {r["url"]: r["date"] or days[links.index(r["url"])][:10] for r in newest} == {
        link: day[:10] for link, day in zip(links, days, strict=True)
    }


def test_what_does_not_exist_gets_404_in_the_shape_asked(site: httpx.Client) -> None:
    for path in ("/api/v1/similar/0000000000000000", "/api/v1/collectivites/99999", "/api/v1/rien"):
        answer = site.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json"), path
    answer = site.get("/collectivites/99999")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_metrics_count_by_route_and_hold_no_words(site: httpx.Client) -> None:
    site.get("/recherche", params={"q": "zythologue"})
    site.get("/zythologue")
    site.get("/api/v1/search", params={"zythologue": "1"})
    text = site.get("/metrics").text
    assert 'route="/recherche"' in text
    assert "zythologue" not in text


# --- answers -----------------------------------------------------------------------------------------------------


def test_an_answer_has_the_keys_of_the_contract(site: httpx.Client) -> None:
    answer = found(site, q="tiers-lieu")
    assert set(answer) >= {"query", "total", "total_is_exact", "took_ms", "suggestion", "results", "facets"}
    assert answer["query"] == "tiers-lieu"
    assert answer["total"] >= len(answer["results"]) > 0
    for result in answer["results"]:
        assert set(result) >= {
            "id", "url", "title", "snippet_html", "date", "fetched_at", "lang", "type", "score", "enjeux", "source",
            "similar",
        }  # fmt: skip
        assert set(result["source"]) >= {
            "name", "kind", "host", "insee", "siren", "commune", "epci", "departement", "region", "population",
        }  # fmt: skip
    tags = [tag for result in answer["results"] for tag in result["enjeux"]]
    assert tags
    assert all(set(tag) >= {"slug", "nom", "service", "score", "why"} for tag in tags)
    assert all(tag["why"] for tag in tags)
    assert answer["facets"]
    for values in answer["facets"].values():
        assert isinstance(values, list)
        assert all({"value", "label", "count"} == set(value) for value in values)


def test_the_link_to_similar_results_leads_to_them(site: httpx.Client) -> None:
    first = found(site, q="tiers-lieu", kind="commune")["results"][0]
    answer = site.get(first["similar"])
    assert answer.status_code == 200
    assert answer.json()["results"]
    assert first["id"] not in [result["id"] for result in answer.json()["results"]]


# --- parameters: each against a filter written by hand -------------------------------------------------------------


def dated(result: Result) -> date:
    return date.fromisoformat(result["date"]) if result["date"] else date.min


def published(result: Result) -> bool:
    return bool(result["date"])


@cache
def arobases() -> dict[str, int]:
    """The label of 2019 of each commune and EPCI, read here from the file itself."""
    with (CHECKOUT / "elunum" / "geography" / "label_2019.tsv").open(encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    return {row[0]: int(row[-1]) for row in rows if row[-1].isdigit()}


FILTERS: dict[str, Callable[[Result], bool]] = {
    "enjeu=democratie-locale": lambda r: "democratie-locale" in {t["slug"] for t in r["enjeux"]},
    "kind=epci": lambda r: r["source"]["kind"] == "epci",
    "kind=epci&kind=region": lambda r: r["source"]["kind"] in ("epci", "region"),
    "population_min=100000": lambda r: (r["source"]["population"] or 0) >= 100_000,
    "population_max=2000": lambda r: r["source"]["population"] is not None and r["source"]["population"] <= 2_000,
    "population_min=2000&population_max=50000": lambda r: 2_000 <= (r["source"]["population"] or 0) <= 50_000,
    "type=pdf": lambda r: r["type"] == "pdf",
    "type=odt&type=docx": lambda r: r["type"] in ("odt", "docx"),
    "type=html": lambda r: r["type"] == "html",
    "lang=br": lambda r: r["lang"] == "br",
    "lang=fr": lambda r: r["lang"] == "fr",
    "since=2024-01-01": lambda r: published(r) and dated(r) >= date(2024, 1, 1),
    "until=2018-12-31": lambda r: published(r) and dated(r) <= date(2018, 12, 31),
    "since=2020&until=2021": lambda r: date(2020, 1, 1) <= dated(r) <= date(2021, 12, 31),
    "since=2024-03&until=2024-09": lambda r: date(2024, 3, 1) <= dated(r) <= date(2024, 9, 30),
    "site=www.dijon.example": lambda r: r["source"]["host"] == "www.dijon.example",
    "site=dijon.example": lambda r: r["source"]["host"] == "www.dijon.example",
    "label=5": lambda r: arobases().get(r["source"]["insee"] or r["source"]["siren"], 0) >= 5,
    "label=3": lambda r: arobases().get(r["source"]["insee"] or r["source"]["siren"], 0) >= 3,
    "kind=commune&lang=fr&type=html&since=2023": lambda r: (
        r["source"]["kind"] == "commune" and r["lang"] == "fr" and r["type"] == "html" and dated(r) >= date(2023, 1, 1)
    ),
}


@pytest.mark.parametrize("query", FILTERS)
def test_a_filter_keeps_what_a_filter_written_by_hand_keeps(
    query: str, site: httpx.Client, everything: list[Result]
) -> None:
    expected = {result["id"] for result in everything if FILTERS[query](result)}
    answer = site.get(f"/api/v1/search?{query}&size=100").json()
    assert 0 < len(expected) < len(everything) or query in ("type=html", "lang=fr")
    assert answer["total"] == len(expected)
    results = [result for page in range(1, 4) for result in _page(site, query, page)]
    assert {result["id"] for result in results} == expected


def _page(site: httpx.Client, query: str, page: int) -> list[Result]:
    results: list[Result] = site.get(f"/api/v1/search?{query}&size=100&page={page}").json()["results"]
    return results


def test_enjeux_asked_together_must_all_be_there(site: httpx.Client, everything: list[Result]) -> None:
    slugs = next({tag["slug"] for tag in r["enjeux"]} for r in everything if len(r["enjeux"]) > 1)
    expected = {r["id"] for r in everything if slugs <= {tag["slug"] for tag in r["enjeux"]}}
    assert {r["id"] for r in all_of(site, enjeu=sorted(slugs))} == expected


def test_of_several_enjeux_one_is_enough_when_asked_so(site: httpx.Client, everything: list[Result]) -> None:
    slugs = {"emploi", "innovation"}
    expected = {r["id"] for r in everything if slugs & {tag["slug"] for tag in r["enjeux"]}}
    assert {r["id"] for r in all_of(site, enjeu=sorted(slugs), combine="ou")} == expected


def test_service_keeps_the_pages_of_a_service(site: httpx.Client, everything: list[Result]) -> None:
    services = {tag["service"] for result in everything for tag in result["enjeux"]} - {""}
    assert len(services) > 10
    for service in sorted(services)[:5]:
        expected = {r["id"] for r in everything if service in {tag["service"] for tag in r["enjeux"]}}
        assert {r["id"] for r in all_of(site, service=service)} == expected


@pytest.mark.parametrize(
    ("parameter", "code", "field", "name"),
    [
        ("commune", "68278", "insee", "68278"),
        ("epci", "200066009", "epci", "Mulhouse Alsace Agglomération"),
        ("departement", "68", "departement", "Haut-Rhin"),
        ("region", "44", "region", "Grand Est"),
    ],
)
def test_a_territory_holds_what_it_publishes_and_what_is_about_it(
    parameter: str, code: str, field: str, name: str, site: httpx.Client, everything: list[Result]
) -> None:
    published = {result["id"] for result in everything if name in result["source"][field]}
    results = all_of(site, **{parameter: code})
    assert published
    assert published <= {result["id"] for result in results}
    others = {result["id"] for result in results} - published
    assert len(others) < len(results) / 2
    if parameter == "commune":
        assert others <= {result["id"] for result in all_of(site, q="Rixheim")}, "what is about it names it"


@pytest.mark.parametrize("insee", ["68278", "94033"])
def test_like_keeps_comparable_communes_and_puts_the_closest_first(
    insee: str, site: httpx.Client, everything: list[Result]
) -> None:
    published = {result["source"]["insee"] for result in everything} - {""}
    closest = {str(p.territory.code): p.closeness for p in geo.load().comparables(published).of(insee, 100)}
    assert insee not in closest
    expected = [result for result in everything if result["source"]["insee"] in closest]
    results = all_of(site, like=insee)
    assert {result["id"] for result in results} == {result["id"] for result in expected}
    closeness = [closest[result["source"]["insee"]] for result in results]
    assert closeness == sorted(closeness, reverse=True)
    assert closeness[-1] < closeness[0]


def test_one_per_collectivite_shows_the_best_page_of_each(site: httpx.Client) -> None:
    whole = all_of(site, q="eau")
    best: dict[str, str] = {}
    for result in whole:
        best.setdefault(result["source"]["host"], result["id"])
    answer = found(site, q="eau", one_per="collectivite", size=100)
    assert [result["id"] for result in answer["results"]] == list(best.values())
    assert answer["total"] == len(best) < len(whole)
    assert found(site, q="eau", one_per="none")["total"] == len(whole)


def test_sort_by_date_is_newest_first_with_the_undated_last(site: httpx.Client) -> None:
    results = all_of(site, q="commune", sort="date")
    days = [dated(result) for result in results]
    assert days == sorted(days, reverse=True)
    assert {None} < {result["date"] for result in results}
    best = all_of(site, q="commune", sort="pertinence")
    scores = [result["score"] for result in best]
    assert scores == sorted(scores, reverse=True)
    assert [r["id"] for r in best] != [r["id"] for r in results]


def test_size_and_page_cut_the_results(site: httpx.Client) -> None:
    for size in (1, 37, 100):
        assert len(found(site, size=size)["results"]) == size
    assert len(found(site)["results"]) == 10
    assert found(site, q="eau", page=90, size=100)["results"] == []


# --- bad parameters ----------------------------------------------------------------------------------------------

BAD = {
    "enjeu": "zythologue!",
    "combine": "zythologue",
    "service": "zythologue" * 30,
    "label": "zythologue",
    "kind": "zythologue",
    "commune": "zythologue",
    "epci": "zythologue",
    "departement": "zythologue",
    "region": "zythologue",
    "publisher": "zythologue:zythologue",
    "population_min": "zythologue",
    "population_max": "zythologue",
    "like": "zythologue",
    "type": "zythologue",
    "lang": "zythologue",
    "since": "zythologue",
    "until": "zythologue",
    "site": "zythologue zythologue",
    "sort": "zythologue",
    "one_per": "zythologue",
    "page": "zythologue",
    "size": "zythologue",
    "q": "zythologue " * 200,
    "couleur": "zythologue",
}
OUT_OF_RANGE = [
    "size=0", "size=101", "size=-1", "size=٣", "page=0", "page=101", "label=0", "label=6", "population_min=-1",
    "since=2024-13", "since=2024-02-30", "until=24", "since=2024&until=2023", "population_min=9&population_max=8",
    "sort=date&sort=date", "sort=pertinence&sort=date",
]  # fmt: skip


@pytest.mark.parametrize("path", ["/api/v1/search", "/recherche", "/recherche.csv", "/recherche.atom", "/carte"])
@pytest.mark.parametrize("parameter", BAD)
def test_a_bad_value_gets_400_with_what_is_accepted_and_no_echo(parameter: str, path: str, site: httpx.Client) -> None:
    answer = site.get(path, params={parameter: BAD[parameter]})
    assert answer.status_code == 400
    assert "zythologue" not in answer.text
    if path.startswith("/api/"):
        error = answer.json()["error"]
        assert error["parameter"] == parameter
        assert parameter in error["message"]
        assert "accepte" in error["message"]
    else:
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert re.search(rf"« {parameter} » accepte [^<]{{4,}}", answer.text)


@pytest.mark.parametrize("query", OUT_OF_RANGE)
def test_a_value_out_of_range_gets_400_with_the_name_of_the_parameter(query: str, site: httpx.Client) -> None:
    answer = site.get(f"/api/v1/search?{quote(query, safe='=&')}")
    assert answer.status_code == 400
    assert answer.json()["error"]["parameter"] in re.findall(r"([a-z_]+)=", query)


@pytest.mark.parametrize(
    "path",
    ["/api/v1/suggest", "/api/v1/enjeux", "/api/v1/sources", "/api/v1/collectivites/68278", "/enjeux", "/sources"],
)
def test_an_unknown_parameter_gets_400_everywhere_with_its_name(path: str, site: httpx.Client) -> None:
    answer = site.get(path, params={"couleur": "zythologue"})
    assert answer.status_code == 400
    assert "couleur" in answer.text
    assert "zythologue" not in answer.text


# --- sources.csv -------------------------------------------------------------------------------------------------


def test_the_list_of_sources_has_the_header_and_the_kinds_of_the_contract() -> None:
    kinds = {
        "commune", "epci", "departement", "region", "etat", "operateur", "sante", "education", "association", "autre",
    }  # fmt: skip
    for path in (CHECKOUT / "sources.csv", CHECKOUT / "demo" / "sources.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            assert file.readline().rstrip("\r\n") == "url,name,kind,insee,siren,departement,region"
            assert {row[2] for row in csv.reader(file)} <= kinds


@pytest.mark.parametrize("kind", ["Commune", "ville", ""])
def test_another_kind_is_refused_by_its_line(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "sources.csv"
    file.write_text(f"url,name,kind,insee,siren,departement,region\nhttps://a.example/,A,{kind},,,,\n")
    with pytest.raises(SourceError, match="line 2"):
        sources.read(file)

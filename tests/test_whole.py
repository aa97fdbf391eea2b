"""The whole thing on the demo web: a night, the real server, and the three doors of an answer."""

from __future__ import annotations

import fcntl
import re
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from protego import Protego

from tests.installation import Installation

QUERIES = ["tiers-lieu", "l'élection", "budget participatif", "BUDJET PARTICIPATIF", "qualite de l eau", "voisins"]


def found(site: httpx.Client, **parameters: Any) -> dict[str, Any]:
    answer = site.get("/api/v1/search", params=parameters)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


@pytest.mark.parametrize("query", QUERIES)
def test_the_command_the_page_and_the_api_give_the_same_results(
    query: str, site: httpx.Client, installation: Installation
) -> None:
    api = found(site, q=query)
    command = installation.json("search", query)
    assert api["results"], f"nothing found for {query}"
    assert [r["id"] for r in command["results"]] == [r["id"] for r in api["results"]]
    assert (command["total"], command["facets"]) == (api["total"], api["facets"])
    page = site.get("/recherche", params={"q": query}).text
    places = [page.find(f'href="{result["url"]}"') for result in api["results"]]
    assert -1 not in places, "a result of the API is not on the page"
    assert places == sorted(places), "the page shows another order"
    assert str(api["total"]) in re.sub(r"[\s\u202f\xa0]", "", page)


def test_the_command_the_page_and_the_api_say_which_territory_was_taken_and_which_words_were_corrected(
    site: httpx.Client, installation: Installation
) -> None:
    query = "budjet -commune:Saint-Denis"
    api = found(site, q=query)
    (one,) = api["homonyms"]
    assert one["typed"] == "commune:Saint-Denis"
    assert (one["taken"]["code"], [place["code"] for place in one["others"]]) == ("97411", ["93066", "11339", "30247"])
    assert (api["suggestion"], api["corrected"]) == ("budget -commune:Saint-Denis", True)
    command = installation.json("search", query)
    assert {k: command[k] for k in ("homonyms", "suggestion", "corrected")} == {
        k: api[k] for k in ("homonyms", "suggestion", "corrected")
    }
    told = installation.run("search", query).stdout
    assert "commune:Saint-Denis : Saint-Denis (commune:97411) ; il y a aussi Saint-Denis (commune:93066)" in told
    assert "voici ceux de : budget" in told
    page = site.get("/recherche", params={"q": query}).text
    assert "<strong>commune:Saint-Denis</strong>\u00a0: ce sont les pages de Saint-Denis (La Réunion)" in page
    assert found(site, q="budget commune:93066")["homonyms"] == []


@pytest.mark.parametrize("query", ["", "tiers-lieu", "numérique"])
@pytest.mark.parametrize("facet", ["enjeu", "kind", "type", "lang", "departement", "region"])
def test_each_count_of_a_facet_is_what_filtering_returns(query: str, facet: str, site: httpx.Client) -> None:
    values = found(site, q=query)["facets"][facet]
    assert values
    for value in values[:12]:
        assert found(site, q=query, **{facet: value["value"]})["total"] == value["count"], value


def test_every_result_has_what_a_mayor_compares(site: httpx.Client) -> None:
    results = found(site, q="tiers-lieu", kind="commune")["results"]
    assert len(results) >= 3
    for result in results:
        assert result["source"]["commune"]
        assert result["source"]["population"] > 0
        assert "<mark>" in result["snippet_html"]
        assert all(tag["why"] for tag in result["enjeux"])
    assert sum(bool(result["date"]) for result in results) >= len(results) / 2
    assert sum(bool(result["enjeux"]) for result in results) >= len(results) / 2


def test_pages_of_results_follow_each_other_without_hole_or_repeat(site: httpx.Client) -> None:
    whole = [r["id"] for r in found(site, q="commune", size=30)["results"]]
    parts = [r["id"] for page in (1, 2, 3) for r in found(site, q="commune", size=10, page=page)["results"]]
    assert parts == whole
    assert len(set(whole)) == 30


def test_what_robots_or_noindex_refuse_is_not_found(site: httpx.Client, installation: Installation) -> None:
    demo = installation.web.web
    refused = set()
    for page in demo.pages.values():
        robots = Protego.parse(demo.sites[page.host].robots)
        marks = page.head.get("robots", "") + page.head.get("x-robots", "")
        if "noindex" in marks or not robots.can_fetch(page.url, "Elunum"):
            refused.add(page.url)
    assert len(refused) >= 3, "the demo web has pages that must not be indexed"
    everything = {r["url"] for n in range(1, 5) for r in found(site, q="", size=100, page=n)["results"]}
    assert len(everything) > 100
    assert not refused & everything


def test_a_page_that_appears_is_served_after_the_next_night_without_a_restart(
    site: httpx.Client, installation: Installation
) -> None:
    assert found(site, q="pédibus")["total"] == 0
    page = installation.web.folder / "www.rixheim.example" / "pedibus.md"
    page.write_text(
        "title: Un pédibus pour aller à l’école\ndate: 2026-05-04\nmenu: Pédibus\n\n"
        "Chaque matin, des parents accompagnent à pied les enfants de l’école. Le pédibus compte trois lignes.\n"
    )
    installation.web.reload()
    before = len(installation.web.requests)
    installation.run("nightly")
    seen = [request for request in installation.web.requests[before:] if request.status == 200]
    assert len(seen) < len(installation.web.requests[:before]) / 2, "unchanged pages were transferred again"
    results = found(site, q="pédibus")["results"]
    assert [r["url"] for r in results][:1] == ["http://www.rixheim.example/pedibus.html"]
    page.unlink()


def test_importing_what_was_crawled_gives_the_same_documents_without_a_network(
    installation: Installation, tmp_path: Path
) -> None:
    other = Installation(installation.web, installation.environment | {"ELUNUM_DATA": str(tmp_path / "data")})
    archives = sorted((Path(installation.environment["ELUNUM_DATA"]) / "archive").glob("*.warc.gz"))
    before = len(installation.web.requests)
    other.run("import", *map(str, archives))
    other.run("index")
    assert len(installation.web.requests) == before
    crawled = installation.json("search", "tiers-lieu", "--with", "size=50")
    imported = other.json("search", "tiers-lieu", "--with", "size=50")
    # An index that grew by steps counts deleted documents a little longer: near ties may change places.
    assert _shown(imported) == _shown(crawled)


def _shown(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """What readers see of the results, but their order and what depends on when they were fetched."""
    kept = [{k: v for k, v in r.items() if k not in ("score", "fetched_at")} for r in answer["results"]]
    return sorted(kept, key=lambda result: str(result["id"]))


# --- bad input ---------------------------------------------------------------------------------------------------


def test_a_missing_list_of_sources_is_refused_in_one_sentence(installation: Installation, tmp_path: Path) -> None:
    done = installation.run("crawl", "--sources", str(tmp_path / "none.csv"), check=False)
    assert done.returncode == 2
    assert "none.csv" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_broken_line_of_sources_is_refused_with_its_number(installation: Installation, tmp_path: Path) -> None:
    broken = tmp_path / "sources.csv"
    header = "url,name,kind,insee,siren,departement,region\n"
    broken.write_text(header + "https://a.example/,A,autre,,,,\nhtp://b.example/,B,autre,,,,\n")
    done = installation.run("crawl", "--sources", str(broken), check=False)
    assert done.returncode == 2
    assert re.search(r"sources\.csv line 3: ", done.stderr)


def test_an_unreachable_data_folder_is_refused(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    other = Installation(installation.web, installation.environment | {"ELUNUM_DATA": str(tmp_path / "file" / "data")})
    for words in (["index"], ["nightly"], ["search", "eau"]):
        done = other.run(*words, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr


def test_no_index_yet_is_refused_with_the_command_to_run(installation: Installation, tmp_path: Path) -> None:
    other = Installation(installation.web, installation.environment | {"ELUNUM_DATA": str(tmp_path)})
    done = other.run("search", "eau", check=False)
    assert done.returncode == 2
    assert "elunum index" in done.stderr


def test_a_port_in_use_is_refused_in_one_sentence(installation: Installation) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = installation.run("serve", "--port", str(taken.getsockname()[1]), check=False)
    assert done.returncode == 2
    assert "port" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_file_that_is_no_web_archive_is_refused(installation: Installation, tmp_path: Path) -> None:
    file = tmp_path / "page.warc.gz"
    file.write_text("not a web archive")
    done = installation.run("import", str(file), check=False)
    assert done.returncode == 2
    assert "page.warc.gz" in done.stderr


def test_two_crawls_of_one_folder_do_not_run_together(installation: Installation) -> None:
    folder = Path(installation.environment["ELUNUM_DATA"])
    with (folder / "crawl-1-of-1.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = installation.run("crawl", check=False)
    assert done.returncode == 2
    assert "another crawl" in done.stderr

"""The public register, over a real crawl of the demo web, its index and the real server."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import httpx
import pytest

from demo.serve import DemoWeb
from elunum import visits
from elunum.crawl.run import CrawlReport, crawl
from elunum.index.build import build
from elunum.index.update import update
from elunum.search.engine import open_engine
from elunum.settings import CHECKOUT, CrawlSettings, Settings
from elunum.site import api
from elunum.site.register import REASONS, Register, reason
from elunum.sources import SourceList, local_path, read
from elunum.visits import Visits
from tests.site.conftest import SOURCES, serving

CONTACT = "mairies@exemple.invalid"


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A data folder after a night over the demo web, with a list of its own."""
    folder = tmp_path_factory.mktemp("register")
    listed = folder / "sources.csv"
    listed.write_bytes(SOURCES.read_bytes())
    with DemoWeb() as web:
        settings = Settings(
            data=folder / "data", sources=listed, crawl=CrawlSettings(connect_to=web.address, delay_s=0.0)
        )
        with ThreadPoolExecutor(1) as thread:  # a browser that is open has a loop of its own in this one
            thread.submit(crawl, settings, read(listed)).result()
    update(settings, SourceList(read(listed)))
    build(settings)
    return settings


@pytest.fixture(scope="module")
def register(crawled: Settings) -> Iterator[httpx.Client]:
    with serving(crawled, ELUNUM_SITE_CONTACT=CONTACT) as server, server.client() as client:
        yield client


def told(client: httpx.Client, **parameters: str) -> dict[str, Any]:
    answer = client.get("/api/v1/sources", params=parameters)
    assert answer.status_code == 200
    api.SourcesAnswer.model_validate(answer.json())
    found: dict[str, Any] = answer.json()
    return found


def names(client: httpx.Client, **parameters: str) -> set[str]:
    return {source["name"] for source in told(client, **parameters)["sources"]}


def test_pages_of_sources_add_up_to_the_index(register: httpx.Client, crawled: Settings) -> None:
    engine = open_engine(crawled)
    counts = engine.pages_by_source()
    assert sum(counts.values()) == engine.info().documents
    sources = told(register)["sources"]
    assert sum(source["pages"] for source in sources) == engine.info().documents
    for source in [source for source in sources if source["pages"]][:5]:
        found = register.get("/api/v1/search", params={"site": source["key"]}).json()["total"]
        assert found == source["pages"]


def test_a_source_says_when_it_was_visited_and_why_pages_are_not_in_the_index(
    register: httpx.Client, crawled: Settings
) -> None:
    seen = Visits(crawled.data)
    refused = [source for source in told(register)["sources"] if source["refusals"]]
    assert {"robots", "noindex"} <= {name for source in refused for name in source["refusals"]}
    for source in refused:
        host = seen.host(source["url"].split("/")[2])
        assert host is not None
        assert source["refusals"] == dict(host.refusals)
        text = unescape(register.get(f"/sources/{source['key']}").text)
        for name, count in source["refusals"].items():
            assert re.search(rf">{re.escape(reason(name))}</th><td class=\"n\">{count}</td>", text), (name, count)
        assert re.search(rf'<time datetime="{source["last_visit"][:16]}Z">', text)


def test_the_register_is_searched_by_name_kind_and_territory(register: httpx.Client, crawled: Settings) -> None:
    listed = read(crawled.sources)
    commune = next(source for source in listed if source.kind == "commune" and source.insee == "68278")
    assert commune.name in names(register, q="rixheim")
    assert names(register, commune="68278") == names(register, commune="Rixheim") == names(register, commune="RIXHEIM")
    assert commune.name in names(register, commune="rixheim")
    assert names(register, commune="nulle part du tout") == set()
    for field, value in (("kind", "commune"), ("departement", "68"), ("region", "44")):
        expected = {source.name for source in listed if getattr(source, field) == value}
        assert expected
        assert names(register, **{field: value}) == expected
    both = names(register, kind="commune", departement="68")
    assert both == {source.name for source in listed if (source.kind, source.departement) == ("commune", "68")}


@pytest.mark.parametrize(
    ("parameters", "at_fault"),
    [({"kind": "zzz"}, "kind"), ({"departement": "zz"}, "departement"), ({"region": "<b>"}, "region"),
     ({"page": "0"}, "page"), ({"size": "101"}, "size"), ({"q": "a" * 201}, "q")],
)  # fmt: skip
def test_a_bad_parameter_is_named(register: httpx.Client, parameters: dict[str, str], at_fault: str) -> None:
    answer = register.get("/api/v1/sources", params=parameters)
    assert answer.status_code == 400
    assert answer.json()["error"]["parameter"] == at_fault
    assert register.get("/sources", params=parameters).status_code == 400


def test_the_page_the_api_and_the_csv_tell_the_same_sources(register: httpx.Client) -> None:
    query = {"q": "e", "kind": "commune"}
    sources = told(register, **query)["sources"]
    page = register.get("/sources", params={**query, "size": "100"})
    assert page.headers["cache-control"] == "no-store"
    assert re.findall(r'<tr><td><a href="/sources/([^"]+)"', page.text) == [source["key"] for source in sources]
    rows = list(csv.DictReader(io.StringIO(register.get("/sources.csv", params=query).content.decode("utf-8-sig"))))
    assert [row["key"] for row in rows] == [source["key"] for source in sources]
    assert [int(row["pages"]) for row in rows] == [source["pages"] for source in sources]
    assert [row["last_visit"][:19] for row in rows] == [source["last_visit"][:19] for source in sources]
    assert [row["refusals"] for row in rows] == [
        ", ".join(f"{name} {count}" for name, count in source["refusals"].items()) for source in sources
    ]


def test_pages_of_the_list_follow_each_other(register: httpx.Client) -> None:
    whole = [source["key"] for source in told(register)["sources"]]
    parts = [told(register, size="10", page=str(n))["sources"] for n in range(1, len(whole) // 10 + 2)]
    assert [source["key"] for part in parts for source in part] == whole
    first = register.get("/sources?size=10&kind=commune").text
    following = re.findall(r'href="(/sources\?[^"]*page=2)"', first)
    assert register.get(unescape(following[0])).status_code == 200


def test_the_page_of_a_source_tells_its_webmaster_how_to_correct_and_refuse(register: httpx.Client) -> None:
    key = told(register, commune="68278")["sources"][0]["key"]
    text = unescape(register.get(f"/sources/{key}").text)
    for words in (CONTACT, "sources.local.csv", "elunum forget", "User-agent: Elunum\nDisallow: /", "noindex", key):
        assert words in text
    assert register.get(f"/sources/www.{key}").status_code == 200
    assert register.get(f"/sources/{key}?a=b").status_code == 400


@pytest.mark.parametrize("key", ["nulle.part.fr", "%3Cscript%3E", "a/../../b", "x" * 3000, "%00", "[::1", "é.fr"])
def test_a_source_that_is_not_listed_is_a_page_that_helps(register: httpx.Client, key: str) -> None:
    answer = register.get(f"/sources/{key}")
    assert answer.status_code == 404
    assert "<script" not in answer.text


def test_corrections_are_shown_without_a_restart_and_a_broken_list_changes_nothing(
    register: httpx.Client, crawled: Settings
) -> None:
    before = told(register)["total"]
    local = local_path(crawled.sources)
    header = "url,name,kind,insee,siren,departement,region\n"
    hostile = "<img src=x onerror=alert(1)>"
    try:
        local.write_text(f"{header}https://plateforme.fr/une%20ville,=HYPERLINK(1) {hostile},commune,68278,,,\n")
        assert told(register)["total"] == before + 1
        (new,) = told(register, q="plateforme")["sources"]
        assert (new["departement"], new["region"], new["last_visit"], new["pages"]) == ("68", "44", None, 0)
        link = re.search(r'<td><a href="(/sources/plateforme[^"]*)"', register.get("/sources?q=plateforme").text)
        assert link
        page = register.get(link[1])
        assert page.status_code == 200
        assert "Disallow: /une%20ville" in page.text
        assert hostile not in page.text
        assert "'=HYPERLINK(1)" in register.get("/sources.csv?q=plateforme").text
        local.write_text(f"{header}htp:/broken\n")
        assert told(register)["total"] == before + 1
    finally:
        local.unlink()
    assert told(register)["total"] == before


def test_sources_that_share_a_host_say_so(crawled: Settings) -> None:
    listed = crawled.data / "shared.csv"
    rows = "".join(f"https://plateforme.fr/{name},{name},commune,,,,\n" for name in ("a", "b", "c"))
    listed.write_text(f"url,name,kind,insee,siren,departement,region\n{rows}https://seul.fr/,seul,commune,,,,\n")
    engine = open_engine(crawled)
    found = Register(listed, crawled.data, engine, engine.geo)
    assert [one.shared for one in found.every({})] == [3, 3, 3, 1]


def test_the_state_of_the_service_shows_the_last_crawl_and_is_that_of_the_command(
    register: httpx.Client, crawled: Settings
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "elunum", "status", "--json"],
        env=os.environ
        | {"ELUNUM_DATA": str(crawled.data), "ELUNUM_SOURCES": str(crawled.sources), "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    status = json.loads(done.stdout)
    assert status.pop("personal_data_kept_out") == {}
    assert register.get("/etat.json").json() == status
    text = unescape(register.get("/etat").text)
    assert f'pages nouvelles</th><td class="n">{status["crawl"]["new"]}</td>' in text
    for name, count in (*status["crawl"]["refusals"].items(), *status["crawl"]["errors"].items()):
        assert f'{reason(name)}</th><td class="n">{count}</td>' in text
    for host in (*status["crawl"]["errors_by_host"], *status["crawl"]["slowest_hosts"]):
        assert f">{host}</th>" in text


def test_the_register_stands_without_any_crawl(client: httpx.Client) -> None:
    assert client.get("/etat.json").json()["crawl"] is None
    assert "Le dernier passage" not in client.get("/etat").text
    key = told(client)["sources"][0]["key"]
    assert "n’a encore rien rapporté" in unescape(client.get(f"/sources/{key}").text)


def test_the_page_of_the_state_tells_of_a_crawl_under_way_and_why_another_was_stopped(
    register: httpx.Client, crawled: Settings
) -> None:
    path = visits.file_of(crawled.data)
    before = path.read_bytes()
    now = datetime.now(UTC)
    report = CrawlReport(
        hosts_left=12, finished=False, running=True, seen_at=now, expected_end=now + timedelta(hours=2),
        hosts_stopped={"keeps failing": 3},
    )  # fmt: skip
    try:
        visits.write(path, 1.0, report, [])
        text = unescape(register.get("/etat").text)
        assert "en cours\u00a0; il reste 12 sites à voir, fin attendue le" in text
        assert f'{reason("keeps failing")}</th><td class="n">3</td>' in text
        visits.write(path, 2.0, replace(report, seen_at=now - timedelta(hours=1)), [])
        assert "en cours" not in unescape(register.get("/etat").text)
        visits.write(path, 3.0, replace(report, running=False, stopped_by="out of time"), [])
        assert "avant la fin (la durée prévue est écoulée)\u00a0; il reste 12" in unescape(register.get("/etat").text)
    finally:
        path.write_bytes(before)


def test_a_host_left_alone_says_why_and_until_when(register: httpx.Client, crawled: Settings) -> None:
    path = visits.file_of(crawled.data)
    before = path.read_bytes()
    key = told(register)["sources"][0]["key"]
    until = time.time() + 86_400
    try:
        asleep = visits.Host(seen=1.0, stopped="asks for a long pause", stopped_until=round(until))
        visits.write(path, 1.0, CrawlReport(), [(key.partition("/")[0], asleep)])
        assert "demande une longue pause" in unescape(register.get(f"/sources/{key}").text)
    finally:
        path.write_bytes(before)


def test_every_reason_of_the_crawler_has_words_for_readers() -> None:
    code = "".join(
        (CHECKOUT / "elunum" / "crawl" / f"{name}.py").read_text() for name in ("fetch", "spider", "frontier")
    )
    used = set(re.findall(r'FetchFailed\(\s*"([^"]+)"', code))
    used |= set(re.findall(r'\.(?:refused|failed)\(\s*visit,\s*"([^"]+)"', code))
    used |= set(re.findall(r'_leave\(host, "([^"]+)"', code))
    used |= set(re.findall(r'stopping = "([^"]+)"', code))
    assert len(used) > 10
    assert used <= REASONS.keys()
    assert reason("status 403") == "réponse HTTP 403"

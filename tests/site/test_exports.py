"""Results taken away hold what the page shows, and nothing in them can act on who opens them."""

from __future__ import annotations

import csv
import io
import json
from datetime import date

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from odfdo import Document as OdfDocument

from elunum.model import DocumentId, Hit, HitSource, Search
from elunum.settings import Settings
from elunum.site import exports
from elunum.site.api import SearchAnswer
from elunum.site.context import Context

ATOM = {"a": "http://www.w3.org/2005/Atom"}


def rows_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def hit(title: str, url: str = "https://a.fr/") -> Hit:
    source = HitSource(name=title, kind="commune", host="a.fr", latitude=47.7, longitude=7.4)
    return Hit(
        id=DocumentId("0" * 16), url=url, title=title, snippet_html="", date=date(2024, 3, 1), fetched_at=None,
        lang="fr", type="html", size=1, score=1.0, enjeux=(), source=source,
    )  # fmt: skip


def test_csv_ods_geojson_and_json_hold_the_same_results_in_the_same_order(client: httpx.Client) -> None:
    query = "q=budget+participatif"
    told = SearchAnswer.model_validate(client.get(f"/api/v1/search?{query}&size=100").json())
    ids = [result.id for result in told.results]
    assert len(ids) == told.total > 10
    sheet = client.get(f"/recherche.csv?{query}")
    assert sheet.content.startswith(b"\xef\xbb\xbf")
    assert [row["id"] for row in rows_of(sheet.content)] == ids
    book = OdfDocument(io.BytesIO(client.get(f"/recherche.ods?{query}").content))
    table = book.body.tables[0]
    assert [row.values[-1] for row in table.rows][1:] == ids
    features = client.get(f"/recherche.geojson?{query}").json()["features"]
    assert [f["id"] for f in features] == [r.id for r in told.results if r.source.population]
    assert len(features) > 10
    assert all(-180 <= f["geometry"]["coordinates"][0] <= 180 for f in features)
    assert all(-22 <= f["geometry"]["coordinates"][1] <= 52 for f in features)  # from La Réunion to Dunkerque


def test_a_filter_counts_for_exports_too(client: httpx.Client) -> None:
    query = "q=eau&kind=commune&population_max=20000"
    total = client.get(f"/api/v1/search?{query}").json()["total"]
    assert len(rows_of(client.get(f"/recherche.csv?{query}").content)) == total


def test_a_selection_is_exported_in_the_order_it_was_made(client: httpx.Client) -> None:
    ids = [result["id"] for result in client.get("/api/v1/search?q=budget").json()["results"][:3]][::-1]
    query = "&".join(f"id={id}" for id in ids)
    assert [row["id"] for row in rows_of(client.get(f"/selection.csv?{query}").content)] == ids
    features = client.get(f"/selection.geojson?{query}").json()["features"]
    assert [feature["id"] for feature in features] == ids
    assert client.get("/selection.csv?id=zzz").status_code == 400
    assert client.get("/selection.csv?" + "&".join(f"id={n:016x}" for n in range(51))).status_code == 400


@pytest.mark.parametrize("title", ["=1+1", "+33 1", "-2", "@SUM(A1)", "\t=1", " =cmd|' /C calc'!A0", "\uff1d1", "\r=1"])
def test_no_cell_of_a_csv_begins_a_formula(title: str) -> None:
    (row,) = rows_of(exports.csv_of([hit(title)]))
    assert row["title"].startswith("'")
    assert row["title"].removeprefix("'").strip() == title.strip()


@given(st.text(max_size=60))
def test_any_title_gives_a_readable_csv_and_a_well_formed_spreadsheet_and_geojson(title: str) -> None:
    hits = [hit(title, f"https://a.fr/?{title}")]
    (row,) = rows_of(exports.csv_of(hits))
    assert not row["title"].lstrip(" ").startswith(("=", "+", "-", "@"))
    cells = "".join(exports._ods_cell(value(hits[0])) for _, value in exports.COLUMNS.values())
    names = 'xmlns:table="t" xmlns:office="o" xmlns:text="x" xmlns:xlink="l"'
    etree.fromstring(f"<row {names}>{cells}</row>")


@pytest.fixture(scope="module")
def here(content: Settings) -> Context:
    return Context(content)


@given(st.text(max_size=60))
def test_any_title_gives_a_well_formed_feed(here: Context, title: str) -> None:
    feed = exports.atom_of(here, Search(q=title), [hit(title)])
    root = etree.fromstring(feed)
    assert len(root.findall("a:entry", ATOM)) == 1


def test_the_feed_is_newest_first_and_unchanged_the_second_time(client: httpx.Client) -> None:
    answer = client.get("/recherche.atom?q=budget")
    root = etree.fromstring(answer.content)
    updated = [entry.findtext("a:updated", namespaces=ATOM) or "" for entry in root.findall("a:entry", ATOM)]
    assert len(updated) > 5
    assert updated == sorted(updated, reverse=True)
    assert root.findtext("a:updated", namespaces=ATOM) == updated[0]
    assert updated[-1] > "2000"
    ids = [entry.findtext("a:id", namespaces=ATOM) for entry in root.findall("a:entry", ATOM)]
    assert len(set(ids)) == len(ids)
    assert "noindex" in answer.headers["x-robots-tag"]
    again = client.get("/recherche.atom?q=budget", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""


def test_in_a_feed_a_page_without_a_date_stands_at_the_day_it_was_first_seen(client: httpx.Client) -> None:
    told = client.get("/api/v1/search?q=ville&size=100").json()["results"]
    undated = {result["url"] for result in told if result["date"] is None}
    root = etree.fromstring(client.get("/recherche.atom?q=ville").content)
    found = [
        entry.findtext("a:updated", namespaces=ATOM)
        for entry in root.findall("a:entry", ATOM)
        if entry.find("a:link", ATOM).get("href") in undated  # type: ignore[union-attr]
    ]
    assert len(found) > 3
    assert set(found) == {"2026-11-20T00:00:00Z"}  # when tests/site/conftest.py says that the pages were fetched


def test_the_register_is_downloaded_in_the_format_it_is_read_in(client: httpx.Client, content: Settings) -> None:
    got = rows_of(client.get("/sources.csv").content)
    with content.sources.open(encoding="utf-8", newline="") as file:
        listed = list(csv.DictReader(file))
    same = [{name: row[name] for name in listed[0]} for row in got]  # what is known of each follows these columns
    assert sorted(same, key=lambda row: row["url"]) == sorted(listed, key=lambda row: row["url"])
    assert [row["name"] for row in rows_of(client.get("/sources.csv?q=ungersheim").content)] == ["Commune d'Ungersheim"]


def test_geojson_has_longitude_first() -> None:
    (feature,) = json.loads(exports.geojson_of([hit("x")]))["features"]
    assert feature["geometry"]["coordinates"] == [7.4, 47.7]

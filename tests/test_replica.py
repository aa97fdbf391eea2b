"""Real French pages: crawled once each, not transferred again when unchanged, and imported to the same documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from warcio.archiveiterator import ArchiveIterator

from bench.replica import Stage, by_status, replica, requests_seen, run
from elunum.index.documents import Documents
from elunum.urls import document_id

pytestmark = pytest.mark.shared

PART = ("aides_jeunes", "multibao", "tet_actions")
"""Three hosts, a few hundred pages: the whole is `make bench-replica`."""


def pages_of(archive: Path) -> Iterator[str]:
    with archive.open("rb") as stream:
        for record in ArchiveIterator(stream):
            if record.rec_type == "response":
                yield record.rec_headers.get_header("WARC-Target-URI")


@pytest.fixture(scope="module")
def part(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a part of the archives."""
    folder = tmp_path_factory.mktemp("part")
    for name in PART:
        file = f"{name}.warc.gz"
        (folder / file).symlink_to((shared / "data" / "web" / file).resolve())
    return folder


def documents(data: Path) -> dict[str, tuple[str, str]]:
    """Title and text of each document, by id; http and https are one."""
    with Documents(data / "documents.sqlite") as store:
        return {document.id: (document.title, document.text) for document in store}


def test_a_crawl_fetches_each_page_once_and_a_second_one_transfers_nothing(
    part: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data, other = tmp_path_factory.mktemp("crawled"), tmp_path_factory.mktemp("imported")
    archived = {document_id(url) for file in part.iterdir() for url in pages_of(file)}
    with replica(part) as (address, sources):
        environment = {
            "ELUNUM_DATA": str(data),
            "ELUNUM_CRAWL_CONNECT_TO": address,
            "ELUNUM_CRAWL_DELAY_S": "0",
            "ELUNUM_CRAWL_REVISIT_MIN_DAYS": "0",
            "ELUNUM_CRAWL_REVISIT_MAX_DAYS": "0.000001",
        }
        words = ["--sources", str(sources)]
        run("crawl", ["crawl", *words], environment)
        first = by_status(requests_seen(address))
        run("index", ["index", *words], environment)
        crawled = documents(data)
        assert archived <= crawled.keys() | ids_of_empty_pages(part, crawled)
        run("second crawl", ["crawl", *words], environment)
        second = by_status(requests_seen(address))
        again: Stage = run("second index", ["index", *words], environment)
        run("import", ["import", *map(str, sorted(part.glob("*.gz")))], {"ELUNUM_DATA": str(other)})
        run("index of the import", ["index", *words], {"ELUNUM_DATA": str(other)})
    # Robots, sitemaps and listings come above the archived pages; nothing is asked twice in one crawl.
    assert len(archived) <= first[200] <= len(archived) + 60
    assert second[304] - first.get(304, 0) >= len(archived)
    assert second[200] - first[200] <= 60, "an unchanged page was transferred again"
    assert again.report["documents"]["extracted"] == 0, json.dumps(again.report)

    imported = documents(other)
    assert imported.keys() <= crawled.keys()
    assert {id: crawled[id] for id in archived & crawled.keys()} == imported


def ids_of_empty_pages(part: Path, crawled: dict[str, tuple[str, str]]) -> set[str]:
    """Archived pages that hold no text at all are skipped with a reason: at most one in a hundred."""
    archived = {document_id(url) for file in part.iterdir() for url in pages_of(file)}
    empty = {str(id) for id in archived - crawled.keys()}
    assert len(empty) <= len(archived) // 100
    return empty

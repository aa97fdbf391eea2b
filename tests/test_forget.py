"""Forgetting: what was asked to be removed is nowhere on disk, and does not come back."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from elunum import archive
from elunum.archive import ArchiveWriter, Forgotten, scrub
from elunum.crawl import frontier
from elunum.errors import SettingsError
from elunum.forget import commands, forget
from elunum.index.build import build, versions
from elunum.index.documents import Documents
from elunum.index.update import update
from elunum.model import Gone, Page, Search, Source, Unchanged
from elunum.search.engine import open_engine
from elunum.settings import ArchiveSettings, Settings
from elunum.sources import SourceList
from tests.site.conftest import serving

WHEN = datetime(2026, 11, 20, 8, tzinfo=UTC)
SOURCES = SourceList(
    [Source("https://www.ville.example/", "Ville", "autre"), Source("https://b.example/", "B", "autre")]
)
SECRET = "Zéphirine Quatremarre"
TEXT = "Le conseil municipal a délibéré sur la cantine, la voirie et les écoles. " * 4


def page(url: str, title: str, text: str = TEXT) -> Page:
    html = f"<!doctype html><html lang=fr><title>{title}</title><main><h1>{title}</h1><p>{text}</p></main></html>"
    return Page(url, 200, (("Content-Type", "text/html; charset=utf-8"),), html.encode(), WHEN)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A data folder with five pages of two hosts, indexed, and a frontier that knows them."""
    settings = Settings(data=tmp_path / "var", sources=tmp_path / "sources.csv")
    settings.sources.write_text(
        "url,name,kind,insee,siren,departement,region\nhttps://www.ville.example/,Ville,autre,,,,\n"
    )
    pages = [
        page("https://www.ville.example/", "Accueil de la ville"),
        page("https://www.ville.example/conseil", f"Question de {SECRET}", f"{SECRET} a demandé un banc. {TEXT}"),
        page("https://www.ville.example/cantine", "La cantine bio", f"Des produits locaux à la cantine. {TEXT}"),
        page("https://b.example/un", "Budget participatif", f"Les habitants votent. {TEXT} {TEXT}"),
        page("https://b.example/deux", "Budget communal", f"Les comptes de la commune. {TEXT} {TEXT}"),
    ]
    with ArchiveWriter(settings.archive_dir, settings.archive) as writer:
        for one in pages:
            writer.write(one)
        writer.write(Unchanged("https://www.ville.example/conseil", WHEN))
    update(settings, SOURCES)
    build(settings)
    with frontier.connect(settings.frontier_path) as db:
        db.executescript(frontier._SCHEMA)
        for number, host in enumerate(("www.ville.example", "b.example"), start=1):
            db.execute("insert into hosts (id, name) values (?, ?)", (number, host))
            for one in pages:
                if host in one.url:
                    db.execute(
                        "insert into urls (host, doc, url, kind) values (?, ?, ?, 2)",
                        (number, frontier._doc(one.url), one.url),
                    )
    db.close()
    return settings


def bytes_below(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file, as it is and with its compressed parts unpacked."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        data = path.read_bytes()
        yield path, data
        start = 0
        while (start := data.find(b"\x1f\x8b\x08", start)) >= 0:
            with suppress(zlib.error):
                yield path, zlib.decompressobj(31).decompress(data[start:])
            start += 1
        for head in (b"\x78\x9c", b"\x78\xda"):
            start = 0
            while (start := data.find(head, start)) >= 0:
                with suppress(zlib.error):
                    yield path, zlib.decompressobj().decompress(data[start:])
                start += 1


def holding(folder: Path, words: str) -> set[str]:
    return {str(path.relative_to(folder)) for path, data in bytes_below(folder) if words.encode() in data}


def titles(settings: Settings, words: str = "conseil municipal") -> set[str]:
    return {hit.title for hit in open_engine(settings).search(Search(q=words, size=50)).hits}


def test_a_forgotten_page_is_in_no_file_of_the_data_folder(settings: Settings) -> None:
    before = holding(settings.data, "Zéphirine") | holding(settings.data, "zéphirine")
    for place in ("archive/", "documents.sqlite", "/words.tsv"):
        assert any(place in name for name in before), f"it was in {place} to begin with"
    report = forget(settings, SOURCES, "https://www.ville.example/conseil")
    assert holding(settings.data, "Zéphirine") == set()
    assert holding(settings.data, "zéphirine") == set()
    assert holding(settings.data, "www.ville.example/conseil") == set()
    assert (report.documents, report.records, report.frontier) == (1, 4, 1)  # the page, its revisit, two notes
    assert len(versions(settings)) == 1


def test_no_page_that_links_there_keeps_the_address_nor_its_words(settings: Settings) -> None:
    url = "https://www.ville.example/conseil"
    linking = page("https://b.example/liens", "Liens utiles")
    body = linking.body.replace(b"</main>", f'<p><a href="{url}">Question de {SECRET}</a></p></main>'.encode())
    with ArchiveWriter(settings.archive_dir, settings.archive) as writer:
        writer.write(replace(linking, body=body))
    update(settings, SOURCES)
    build(settings)
    assert "documents.sqlite" in holding(settings.data, url)
    report = forget(settings, SOURCES, url)
    assert report.linking == ("https://b.example/liens",)
    for again in range(2):  # the second time, everything is extracted anew from the archive
        # What the other page says is its own, and is in its text; nothing of ours repeats it as a link.
        assert {name for name in holding(settings.data, url) if not name.startswith("archive/")} == set()
        with Documents(settings.documents_path) as documents:
            assert not [link for document in documents for link in document.links if link.url == url]
            assert documents.db.execute("select count(*) from anchors where text like '%phirine%'").fetchone() == (0,)
        if not again:
            update(settings, SOURCES, full=True)
            build(settings, full=True)


def test_the_whole_life_of_a_forgotten_page_leaves_nothing(settings: Settings) -> None:
    """Two index versions on disk, a write-ahead log, compaction, another night: nothing of it in any file."""
    build(settings, full=True)
    assert len(versions(settings)) == 2
    url = "https://www.ville.example/conseil"
    forget(settings, SOURCES, url)
    archive.compact(settings.archive_dir, settings.archive)
    update(settings, SOURCES)
    build(settings)
    for words in ("Zéphirine", "zéphirine", "zephirin", "Quatremarre", "quatremarr", url, "ville.example/conseil"):
        assert holding(settings.data, words) == set(), words
    for path in settings.data.rglob("*.sqlite"):
        with sqlite3.connect(path) as db:
            assert "phirine" not in "\n".join(db.iterdump()), path
        db.close()


def test_a_copy_that_remains_is_named_with_the_command_that_forgets_it(settings: Settings) -> None:
    with ArchiveWriter(settings.archive_dir, settings.archive) as writer:
        text = f"{SECRET} a demandé un banc. {TEXT}"
        writer.write(page("https://b.example/copie?x=1&y=2", f"Question de {SECRET}", text))
    update(settings, SOURCES)
    build(settings)
    report = forget(settings, SOURCES, "https://www.ville.example/conseil")
    assert report.copies == ("https://b.example/copie?x=1&y=2",)
    assert commands(report) == ["elunum forget 'https://b.example/copie?x=1&y=2'    # holds the same text"]
    forget(settings, SOURCES, report.copies[0])
    assert holding(settings.data, "Zéphirine") == set()


def test_a_source_that_withdraws_leaves_its_host_in_no_file(settings: Settings) -> None:
    forget(settings, SOURCES, "www.ville.example")
    archive.compact(settings.archive_dir, settings.archive)
    rest = SourceList([source for source in SOURCES if "ville" not in source.url])  # its line taken out, as we are told
    update(settings, rest)
    build(settings)
    assert holding(settings.data, "ville.example") == set()


def test_a_forgotten_page_is_not_found_nor_suggested(settings: Settings) -> None:
    engine = open_engine(settings)
    assert engine.search(Search(q="Zéphirine")).total == 1
    forget(settings, SOURCES, "https://www.ville.example/conseil")
    for q in ("Zéphirine", "zephirine quatremarre", "zéphirin"):
        found = engine.search(Search(q=q))
        assert SECRET not in " ".join(hit.title for hit in found.hits)
        assert "phirine" not in (found.suggestion or "")
    assert not engine.suggest("question de")
    assert titles(settings) == {"Accueil de la ville", "La cantine bio", "Budget participatif", "Budget communal"}


def test_readers_stop_seeing_it_in_every_shape_while_the_service_runs(settings: Settings) -> None:
    """By the command itself, beside a server that nobody restarts."""
    shapes = [f"/recherche{kind}?q=z%C3%A9phirine" for kind in ("", ".csv", ".ods", ".atom")]
    shapes += ["/api/v1/search?q=z%C3%A9phirine", "/api/v1/suggest?q=question+de", "/recherche?q=zephirin"]

    def telling(client: httpx.Client) -> set[str]:
        found = set()
        for shape in shapes:
            body = client.get(shape).content
            if shape.startswith("/recherche.ods"):
                with zipfile.ZipFile(io.BytesIO(body)) as ods:
                    body = ods.read("content.xml")
            if b"Quatremarre" in body:
                found.add(shape)
        return found

    with serving(settings) as server, server.client() as client:
        assert telling(client) == set(shapes)
        done = subprocess.run(
            [sys.executable, "-m", "elunum", "forget", "https://www.ville.example/conseil", "--json"],
            env=os.environ | {"ELUNUM_DATA": str(settings.data), "ELUNUM_SOURCES": str(settings.sources)},
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        assert telling(client) == set()


def test_the_other_pages_of_the_archive_are_read_as_before(settings: Settings) -> None:
    before = list(archive.read(settings.archive_dir))
    forget(settings, SOURCES, "https://www.ville.example/conseil")
    after = list(archive.read(settings.archive_dir))
    kept = [(r, p) for r, p in before if not isinstance(r, Page | Unchanged) or not r.url.endswith("/conseil")]
    assert after == kept
    with Documents(settings.documents_path) as documents:
        assert list(archive.read(settings.archive_dir, documents.positions)) == []


def test_a_forgotten_page_does_not_come_back_by_crawl_import_or_rebuild(settings: Settings, tmp_path: Path) -> None:
    url = "https://www.ville.example/conseil"
    forget(settings, SOURCES, url)
    with ArchiveWriter(settings.archive_dir, settings.archive) as writer:
        writer.write(page(url, SECRET))
    with ArchiveWriter(tmp_path / "elsewhere", ArchiveSettings()) as writer:
        writer.write(page(url, SECRET))
        writer.write(page("https://b.example/trois", "Troisième page"))
    imported = archive.import_files((tmp_path / "elsewhere").glob("*.gz"), settings.archive_dir, settings.archive)
    assert (imported.pages, imported.skipped) == (1, {"forgotten": 1})
    update(settings, SOURCES, full=True)
    build(settings, full=True)
    assert holding(settings.data, "Zéphirine") == set()
    assert "Troisième page" in titles(settings)


def test_a_writer_already_open_obeys_a_page_forgotten_meanwhile(tmp_path: Path) -> None:
    with ArchiveWriter(tmp_path, ArchiveSettings()) as writer:
        writer.write(page("https://a.example/1", "Un"))
        Forgotten(tmp_path).add("a.example")
        writer.write(page("https://a.example/2", "Deux"))
    assert [type(record) for record, _ in archive.read(tmp_path)] == [Gone]


def test_a_host_is_forgotten_whole_under_both_its_names(settings: Settings) -> None:
    report = forget(settings, SOURCES, "ville.example")
    assert report.documents == 3
    assert report.listed == ("https://www.ville.example/",)
    assert titles(settings) == {"Budget participatif", "Budget communal"}
    forgotten = Forgotten(settings.archive_dir)
    assert forgotten.holds("http://www.ville.example/autre")
    assert forgotten.holds("https://ville.example/autre")
    assert not forgotten.holds("https://b.example/un")


def test_the_crawler_asks_a_forgotten_host_for_nothing(settings: Settings, tmp_path: Path) -> None:
    forget(settings, SOURCES, "www.ville.example")
    environment = {"ELUNUM_DATA": str(settings.data), "ELUNUM_CRAWL_CONNECT_TO": "127.0.0.1:9", "PATH": "/usr/bin"}
    done = subprocess.run(
        [sys.executable, "-m", "elunum", "crawl", "--json", "--sources", str(settings.sources)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["hosts"] == 1  # b.example, which the frontier still knew
    assert b"ville.example" not in settings.frontier_path.read_bytes()


def test_words_of_a_title_name_one_page(settings: Settings) -> None:
    forget(settings, SOURCES, "zephirine quatremarre")
    assert holding(settings.data, "Zéphirine") == set()


def test_words_of_several_titles_are_refused_until_all_is_said(settings: Settings) -> None:
    with pytest.raises(SettingsError, match=r"2 pages have these words .*--all"):
        forget(settings, SOURCES, "budget")
    assert len(titles(settings)) == 5
    assert forget(settings, SOURCES, "budget", every=True).documents == 2


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("", "nothing to forget"),
        ("mots absents", "no page has"),
        ("ftp://a.example/", "not an address"),
        ("  ", "nothing"),
    ],
)
def test_what_cannot_be_forgotten_is_refused_with_a_remedy(settings: Settings, what: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        forget(settings, SOURCES, what)


def test_forgetting_twice_changes_nothing(settings: Settings) -> None:
    forget(settings, SOURCES, "https://www.ville.example/conseil")
    again = forget(settings, SOURCES, "https://www.ville.example/conseil")
    assert (again.documents, again.records, again.frontier) == (0, 2, 0)  # the two notes that it is gone


def test_a_scrubbed_archive_is_still_read_by_other_programs(settings: Settings) -> None:
    from warcio.archiveiterator import ArchiveIterator

    Forgotten(settings.archive_dir).add("www.ville.example")
    assert scrub(settings.archive_dir) == 4
    kinds = []
    for path in sorted(settings.archive_dir.glob("*.gz")):
        with path.open("rb") as file:
            kinds += [record.rec_type for record in ArchiveIterator(file)]
    assert kinds.count("warcinfo") == 4
    assert kinds.count("response") == 2

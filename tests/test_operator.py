"""The operator's life: killed commands, full or damaged disks, Ctrl-C. A clear sentence, and the next run mends it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
import pytest

from elunum import archive
from elunum.archive import import_files
from elunum.errors import IndexVersionError, SettingsError, SourceError
from elunum.index.build import build, read_about, rollback, versions
from elunum.index.documents import Documents
from elunum.model import Page, Search, Skipped
from elunum.search.engine import open_engine
from elunum.settings import CHECKOUT, ArchiveSettings, Settings
from elunum.sources import read
from tests.installation import Installation, serving


@pytest.fixture
def copy(installation: Installation, tmp_path: Path) -> Installation:
    """The same data in another folder, to be damaged."""
    shutil.copytree(installation.data, tmp_path / "data", symlinks=True)
    return installation.aside(tmp_path / "data")


def documents_of(data: Path) -> dict[str, dict[str, object]]:
    """The documents by id, less the moment each was first seen: two nights never share it."""
    with sqlite3.connect(data / "documents.sqlite") as db:
        rows = db.execute("select id, body from documents where body is not null").fetchall()
    read = {id: msgspec.msgpack.decode(zlib.decompress(body)) for id, body in rows}
    return {id: {name: value for name, value in body.items() if name != "first_seen"} for id, body in read.items()}


def started(installation: Installation, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "elunum", *words],
        env=os.environ | installation.environment,
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def still_there(session: int) -> list[str]:
    """Command lines of the living processes of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def wait_until(true: Callable[[], bool], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "what was waited for did not come"
        time.sleep(0.02)


# --- killed ------------------------------------------------------------------------------------------------------


def test_a_night_killed_in_its_crawl_and_in_its_index_ends_with_the_same_documents(
    installation: Installation, tmp_path: Path
) -> None:
    killed = installation.aside(tmp_path / "data")
    before = len(installation.web.requests)
    for moment in (
        lambda: len(installation.web.requests) > before + 100,
        lambda: (killed.data / "documents.sqlite").exists(),
    ):
        night = started(killed, "nightly")
        wait_until(moment)
        night.kill()
        night.communicate()
        wait_until(lambda night=night: not still_there(night.pid))  # type: ignore[misc]
    killed.run("nightly")
    assert documents_of(killed.data) == documents_of(installation.data)


def test_ctrl_c_leaves_no_traceback_and_no_process(installation: Installation, tmp_path: Path) -> None:
    command = started(installation.aside(tmp_path / "data"), "nightly")
    try:
        wait_until(lambda: len(still_there(command.pid)) >= 3 or command.poll() is not None)
        os.killpg(command.pid, signal.SIGINT)  # as a terminal does
        _, said = command.communicate(timeout=90)
        assert command.returncode in (0, 2, 130, -signal.SIGINT), said
        assert "Traceback" not in said
        assert "internal error" not in said
        wait_until(lambda: not still_there(command.pid), 30)
    finally:
        if command.poll() is None:
            command.kill()
            command.communicate()


# --- damaged -----------------------------------------------------------------------------------------------------


def spoil(path: Path, kept: int = 0) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:kept] + bytes(range(256)) * ((len(content) - kept) // 256 + 1))


@pytest.mark.parametrize(
    ("file", "kept", "words", "remedy"),
    [
        ("documents.sqlite", 0, ("index",), "elunum index --full"),
        ("documents.sqlite", 200_000, ("index", "--full"), "elunum index --full"),
        ("frontier.sqlite", 0, ("crawl",), "move it away"),
        ("frontier.sqlite", 8_192, ("status",), "move it away"),
    ],
)
def test_a_damaged_file_is_named_with_its_remedy(
    file: str, kept: int, words: tuple[str, ...], remedy: str, copy: Installation
) -> None:
    spoil(copy.data / file, kept)
    done = copy.run(*words, check=False)
    assert done.returncode == 2, done.stderr
    assert file in done.stderr
    assert remedy in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_lost_documents_store_is_made_again_from_the_archive(installation: Installation, copy: Installation) -> None:
    (copy.data / "documents.sqlite").unlink()
    copy.run("index")
    assert documents_of(copy.data) == documents_of(installation.data)


def test_a_full_disk_is_said_and_what_was_committed_stays(tmp_path: Path) -> None:
    def fill() -> None:
        with Documents(tmp_path / "documents.sqlite") as documents:
            documents.note("kept", "yes")
            documents.db.execute("pragma max_page_count = 1")
            documents.note("long", "x" * 100_000)

    with pytest.raises(SettingsError, match="free space"):
        fill()
    with Documents(tmp_path / "documents.sqlite") as documents:
        assert documents.noted("kept", "no") == "yes"
        assert documents.noted("long", "") == ""


@pytest.mark.parametrize("content", ['{"format": 99', '{"format": 99}', "", "[]"])
def test_an_index_of_another_format_is_refused_with_the_command_to_run(content: str, copy: Installation) -> None:
    settings = Settings(data=copy.data)
    about = settings.index_dir / "current" / "about.json"
    about.write_text(content)
    with pytest.raises(IndexVersionError, match="elunum index"):
        open_engine(settings)
    assert build(settings).swapped
    assert open_engine(settings).search(Search(q="tiers-lieu")).total > 0


@pytest.mark.parametrize("file", ["words.tsv", "tantivy/meta.json", "tantivy/*.store"])
def test_an_index_with_files_missing_is_refused_and_then_made_again(file: str, copy: Installation) -> None:
    settings = Settings(data=copy.data)
    for path in (settings.index_dir / "current").glob(file):
        path.unlink()
    with pytest.raises(IndexVersionError, match="elunum index --full"):
        open_engine(settings)
    assert build(settings).swapped
    assert open_engine(settings).search(Search(q="tiers-lieu")).total > 0


def test_a_version_under_the_floor_is_not_served_and_the_command_says_so(copy: Installation, tmp_path: Path) -> None:
    served = read_about(Settings(data=copy.data))
    with Documents(copy.data / "documents.sqlite") as documents:
        documents.remove(next(iter(documents)).id)
    judged = tmp_path / "judged.csv"
    judged.write_text("query,url\nxylophone,http://www.rixheim.example/\n", encoding="utf-8")
    refused = copy.aside(copy.data, ELUNUM_INDEX_JUDGED=str(judged)).run("index", check=False)
    assert refused.returncode == 1
    (said,) = [line for line in refused.stderr.splitlines() if "not served" in line]
    assert "0 of 1 judged queries find their page" in said
    assert str(judged) in said
    assert read_about(Settings(data=copy.data)) == served
    assert copy.run("index", check=False).returncode == 0
    assert read_about(Settings(data=copy.data)).documents == served.documents - 1


def test_no_request_fails_while_versions_are_swapped_and_rolled_back(copy: Installation) -> None:
    settings = Settings(data=copy.data)
    answers: list[object] = []
    stop = threading.Event()

    def ask(client: httpx.Client) -> None:
        while not stop.is_set():
            answer = client.get("/api/v1/search?q=budget+participatif")
            answers.append(answer.json()["total"] > 0 if answer.status_code == 200 else answer.text)

    free = copy.aside(copy.data, ELUNUM_SITE_REQUESTS_PER_MINUTE="0")
    with serving(free, "--workers", "2") as client:
        asking = [threading.Thread(target=ask, args=(client,)) for _ in range(3)]
        for thread in asking:
            thread.start()
        for _ in range(2):
            build(settings, full=True)
            rollback(settings)
        stop.set()
        for thread in asking:
            thread.join()
    assert len(answers) > 10
    assert set(answers) == {True}


def test_rolling_back_is_seen_by_who_already_serves(copy: Installation) -> None:
    settings = Settings(data=copy.data)
    first = versions(settings)[-1]
    engine = open_engine(settings)
    build(settings, full=True)
    assert engine.info().version != first
    assert rollback(settings).version == first
    assert engine.info().version == first
    assert engine.search(Search(q="tiers-lieu")).total > 0


def test_a_corrupt_record_in_the_middle_loses_that_record_alone(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    file = Path(shutil.copy(next((installation.data / "archive").glob("*.warc.gz")), tmp_path / "archive"))
    whole = [(record, position) for record, position in archive.read(file.parent)]
    middle = whole[len(whole) // 2][1].offset
    content = bytearray(file.read_bytes())
    content[middle + 30 : middle + 60] = bytes(30)
    file.write_bytes(content)
    records = [record for record, _ in archive.read(file.parent)]
    assert sum(isinstance(record, Skipped) for record in records) == 1
    assert len(records) == len(whole)
    kept = [record.url for record in records if isinstance(record, Page)]
    assert import_files([file], tmp_path / "imported", ArchiveSettings()).pages == len(kept)


# --- the list of sources -----------------------------------------------------------------------------------------

HEADER = "url,name,kind,insee,siren,departement,region"


@pytest.mark.parametrize("content", ["", "\n", "﻿", HEADER.replace(",", ";") + "\n"])
def test_a_list_without_its_header_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "sources.csv").write_text(content, encoding="utf-8")
    with pytest.raises(SourceError, match="line 1"):
        read(tmp_path / "sources.csv")


def test_a_list_saved_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    (tmp_path / "sources.csv").write_bytes(f"﻿{HEADER}\r\nhttps://a.example/,Évry,autre,,,,\r\n".encode())
    assert [source.name for source in read(tmp_path / "sources.csv")] == ["Évry"]


def test_status_is_one_object_before_anything_was_done(installation: Installation, tmp_path: Path) -> None:
    status = json.loads(installation.aside(tmp_path / "new").run("status", "--json").stdout)
    assert "elunum index" in status["index"]
    assert status["crawl"]["requests"] == 0
    assert status["nightly"] is None

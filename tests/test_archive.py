import gzip
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from elunum import archive
from elunum.archive import ArchiveWriter, Forgotten, Position, import_files, read
from elunum.errors import ArchiveError, SettingsError
from elunum.model import Gone, Page, Record, Skipped, Unchanged
from elunum.settings import ArchiveSettings

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
SETTINGS = ArchiveSettings(file_bytes=200_000_000)


def page(url: str = "https://exemple.fr/a", body: bytes = b"<p>bonjour</p>", status: int = 200) -> Page:
    return Page(url, status, (("Content-Type", "text/html"), ("Content-Length", str(len(body)))), body, NOON)


def write(folder: Path, *records: Record, settings: ArchiveSettings = SETTINGS) -> None:
    with ArchiveWriter(folder, settings) as writer:
        for record in records:
            writer.write(record)


def found(folder: Path, after: dict[str, int] | None = None) -> list[Record | Skipped]:
    return [record for record, _ in read(folder, after)]


def only_file(folder: Path) -> Path:
    (path,) = folder.glob("*.warc.gz")
    return path


def test_what_is_written_is_read_in_the_same_order(tmp_path: Path) -> None:
    records: list[Record] = [page(), Unchanged("https://exemple.fr/b", NOON), Gone("https://exemple.fr/c", "410", NOON)]
    write(tmp_path, *records)
    assert found(tmp_path) == records


@given(body=st.binary(max_size=3000), status=st.integers(100, 599), value=st.text("abé;=\" '", max_size=20))
def test_any_body_and_header_comes_back_as_it_went(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, status: int, value: str
) -> None:
    folder = tmp_path_factory.mktemp("archive")
    headers = (("X-Odd", value.strip()), ("Content-Length", str(len(body))))
    write(folder, Page("https://exemple.fr/a", status, headers, body, NOON))
    (got,) = found(folder)
    assert isinstance(got, Page)
    assert (got.status, got.body) == (status, body)


def test_an_unpacked_body_is_not_said_to_be_packed(tmp_path: Path) -> None:
    headers = (("Content-Encoding", "gzip"), ("Content-Length", "12"), ("ETag", '"1"'))
    write(tmp_path, Page("https://exemple.fr/a", 200, headers, b"unpacked", NOON))
    (got,) = found(tmp_path)
    assert isinstance(got, Page)
    assert got.headers == (("ETag", '"1"'), ("Content-Length", "8"))


def test_other_tools_read_our_files(tmp_path: Path) -> None:
    write(tmp_path, page(), Unchanged("https://exemple.fr/b", NOON), Gone("https://exemple.fr/c", "410", NOON))
    with only_file(tmp_path).open("rb") as stream:
        read_back = [(r.rec_type, r.rec_headers.get_header("WARC-Target-URI")) for r in ArchiveIterator(stream)]
    assert read_back == [
        ("response", "https://exemple.fr/a"),
        ("revisit", "https://exemple.fr/b"),
        ("metadata", "https://exemple.fr/c"),
    ]


def test_reading_resumes_where_it_stopped_even_when_files_grew(tmp_path: Path) -> None:
    with ArchiveWriter(tmp_path, SETTINGS) as writer:
        writer.write(page("https://exemple.fr/1"))
        ((_, position),) = read(tmp_path)
        writer.write(page("https://exemple.fr/2"))
        assert found(tmp_path, {position.file: position.offset}) == [page("https://exemple.fr/2")]


def test_each_position_leads_to_the_records_that_follow(tmp_path: Path) -> None:
    records = [page(f"https://exemple.fr/{n}", os.urandom(n * 1000)) for n in range(6)]
    write(tmp_path, *records)
    positions: list[Position] = [position for _, position in read(tmp_path)]
    for n, position in enumerate(positions):
        assert found(tmp_path, {position.file: position.offset}) == records[n + 1 :]


def test_a_file_is_closed_at_its_size_and_the_names_keep_the_order(tmp_path: Path) -> None:
    records = [page(f"https://exemple.fr/{n}", os.urandom(4000)) for n in range(10)]
    write(tmp_path, *records, settings=ArchiveSettings(file_bytes=10_000))
    assert len(list(tmp_path.glob("*.warc.gz"))) == 5
    assert found(tmp_path) == records


@pytest.mark.parametrize("kept", [1, 5, 40, 200])
def test_a_torn_last_record_is_reported_and_the_others_are_read(tmp_path: Path, kept: int) -> None:
    write(tmp_path, page("https://exemple.fr/1"), page("https://exemple.fr/2"))
    (_, first), (_, _) = read(tmp_path)
    path = only_file(tmp_path)
    path.write_bytes(path.read_bytes()[: first.offset + kept])
    assert found(tmp_path) == [page("https://exemple.fr/1"), Skipped("torn")]
    *_, (_, last) = read(tmp_path)
    assert found(tmp_path, {last.file: last.offset}) == []


def test_the_end_of_a_file_being_written_waits(tmp_path: Path) -> None:
    with ArchiveWriter(tmp_path, SETTINGS) as writer:
        writer.write(page("https://exemple.fr/1"))
        path = only_file(tmp_path)
        with path.open("ab") as half:
            half.write(path.read_bytes()[:100])
        assert found(tmp_path) == [page("https://exemple.fr/1")]
    assert found(tmp_path) == [page("https://exemple.fr/1"), Skipped("torn")]


def test_a_corrupt_record_is_skipped_and_the_next_is_read(tmp_path: Path) -> None:
    write(tmp_path, *(page(f"https://exemple.fr/{n}", os.urandom(3000)) for n in range(3)))
    (_, first), (_, second), _ = read(tmp_path)
    path = only_file(tmp_path)
    data = bytearray(path.read_bytes())
    data[first.offset + 500 : second.offset - 500] = b"\x1f\x8b\x08" * ((second.offset - first.offset - 1000) // 3)
    path.write_bytes(data)
    got = found(tmp_path)
    assert [type(record) for record in got] == [Page, Skipped, Page]
    assert got[1] == Skipped("corrupt")


@given(st.binary(max_size=400))
def test_no_bytes_whatsoever_stop_the_reader(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    folder = tmp_path_factory.mktemp("archive")
    write(folder, page("https://exemple.fr/1"))
    path = only_file(folder)
    path.write_bytes(noise + path.read_bytes())
    assert found(folder)[-1] in (page("https://exemple.fr/1"), Skipped("torn"), Skipped("corrupt"))


def test_a_record_that_unpacks_without_end_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_RECORD_BYTES", 100_000)
    write(tmp_path, page("https://exemple.fr/1", b"0" * 300_000), page("https://exemple.fr/2"))
    assert found(tmp_path) == [Skipped("corrupt"), page("https://exemple.fr/2")]


def test_a_full_disk_is_said_in_one_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "archive"
    blocked.write_text("a file where the folder should be")
    with pytest.raises(SettingsError, match="ELUNUM_DATA"), ArchiveWriter(blocked, SETTINGS) as writer:
        writer.write(page())


# --- importing ---------------------------------------------------------------------------------------------------


def foreign(path: Path, *urls: str, packed: bool = False, zipped: bool = True, status: str = "200 OK") -> Path:
    with path.open("wb") as out:
        writer = WARCWriter(out, gzip=zipped)
        writer.write_record(writer.create_warcinfo_record(path.name, {"software": "another"}))
        for url in urls:
            body = gzip.compress(b"<p>bonjour</p>") if packed else b"<p>bonjour</p>"
            headers = [("Content-Type", "text/html"), *([("Content-Encoding", "gzip")] if packed else [])]
            http = StatusAndHeaders(status, headers, protocol="HTTP/1.1")
            answer = writer.create_warc_record(url, "response", BytesIO(body), len(body), http_headers=http)
            writer.write_record(answer)
            asked = b"GET / HTTP/1.1\r\n\r\n"
            writer.write_record(writer.create_warc_record(url, "request", BytesIO(asked), len(asked)))
    return path


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_foreign_archives_are_imported_under_canonical_addresses(tmp_path: Path, zipped: bool, packed: bool) -> None:
    path = foreign(
        tmp_path / "other.warc", "http://Exemple.fr:80/a#b", "http://exemple.fr/c", zipped=zipped, packed=packed
    )
    report = import_files([path], tmp_path / "archive", SETTINGS)
    assert (report.files, report.pages, report.skipped) == (1, 2, {})
    got = found(tmp_path / "archive")
    assert [(r.url, r.body) for r in got if isinstance(r, Page)] == [
        ("http://exemple.fr/a", b"<p>bonjour</p>"),
        ("http://exemple.fr/c", b"<p>bonjour</p>"),
    ]


def test_the_same_file_imported_twice_adds_nothing_whatever_its_name(tmp_path: Path) -> None:
    path = foreign(tmp_path / "other.warc.gz", "http://exemple.fr/a")
    again = tmp_path / "renamed.warc.gz"
    again.write_bytes(path.read_bytes())
    import_files([path], tmp_path / "archive", SETTINGS)
    report = import_files([path, again], tmp_path / "archive", SETTINGS)
    assert (report.files, report.already, report.pages) == (0, 2, 0)
    assert len(found(tmp_path / "archive")) == 1


def test_an_import_that_was_killed_starts_over(tmp_path: Path) -> None:
    path = foreign(tmp_path / "other.warc.gz", "http://exemple.fr/a")
    folder = tmp_path / "archive"
    import_files([path], folder, SETTINGS)
    only_file(folder).rename(folder / "import-0.part")
    assert found(folder) == []
    assert import_files([path], folder, SETTINGS).pages == 1


def test_what_is_no_page_is_counted_by_reason(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    import_files([foreign(tmp_path / "a.warc.gz", "http://exemple.fr/a", status="404 Not Found")], folder, SETTINGS)
    report = import_files([foreign(tmp_path / "b.warc.gz", "http://exemple..fr/a")], folder, SETTINGS)
    assert report.skipped == {"bad address": 1}
    assert found(folder) == []


@pytest.mark.parametrize("content", [b"", b"<html>not an archive</html>"])
def test_what_is_no_web_archive_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="page"):
        import_files([path], tmp_path / "archive", SETTINGS)
    with pytest.raises(ArchiveError, match="absent"):
        import_files([tmp_path / "absent.warc"], tmp_path / "archive", SETTINGS)


# --- forgetting --------------------------------------------------------------------------------------------------


def test_a_forgotten_page_comes_out_as_gone(tmp_path: Path) -> None:
    write(tmp_path, page("https://exemple.fr/a"), page("https://exemple.fr/b"), page("https://autre.fr/c"))
    forgotten = Forgotten(tmp_path)
    forgotten.add("http://exemple.fr/a")
    forgotten.add("autre.fr")
    assert found(tmp_path) == [
        Gone("https://exemple.fr/a", "forgotten", NOON),
        page("https://exemple.fr/b"),
        Gone("https://autre.fr/c", "forgotten", NOON),
    ]


def test_the_list_of_what_was_forgotten_says_nothing_about_it(tmp_path: Path) -> None:
    Forgotten(tmp_path).add("https://exemple.fr/jean-dupont")
    Forgotten(tmp_path).add("https://exemple.fr/jean-dupont")
    text = (tmp_path / "forgotten.txt").read_text()
    assert len(text.split()) == 1
    assert "exemple" not in text
    assert Forgotten(tmp_path).holds("http://exemple.fr/jean-dupont#haut")


# --- compacting --------------------------------------------------------------------------------------------------


def test_compaction_keeps_the_last_page_and_the_last_word_on_each_address(tmp_path: Path) -> None:
    a, b, c = (page(f"https://exemple.fr/{name}") for name in "abc")
    newer = Page(a.url, 200, (("Content-Length", "6"),), b"newer!", NOON + timedelta(days=1))
    seen = Unchanged(b.url, NOON + timedelta(days=2))
    gone = Gone(c.url, "410", NOON + timedelta(days=2))
    write(tmp_path, a, b, c)
    write(tmp_path, newer, Unchanged(b.url, NOON + timedelta(days=1)))
    write(tmp_path, seen, gone)
    report = archive.compact(tmp_path, SETTINGS, now=NOON + timedelta(days=3))
    assert found(tmp_path) == [b, newer, seen, gone]
    assert (report.files, report.records, report.dropped) == (3, 7, 3)
    assert report.bytes_after < report.bytes_before
    again = archive.compact(tmp_path, SETTINGS, now=NOON + timedelta(days=3))
    assert (again.rewritten, again.dropped) == (0, 0)
    assert found(tmp_path) == [b, newer, seen, gone]


def test_word_that_a_page_is_gone_is_dropped_in_the_end(tmp_path: Path) -> None:
    write(tmp_path, page(), Gone(page().url, "404", NOON))
    archive.compact(tmp_path, SETTINGS, now=NOON + timedelta(days=61))
    assert found(tmp_path) == []


def test_what_was_forgotten_is_physically_gone_after_compaction(tmp_path: Path) -> None:
    secret, kept = (
        page("https://exemple.fr/secret", b"jean dupont"),
        [page(f"https://exemple.fr/{n}") for n in range(30)],
    )
    write(tmp_path, *kept, secret)
    Forgotten(tmp_path).add(secret.url)
    archive.compact(tmp_path, SETTINGS)
    assert found(tmp_path) == kept
    unpacked = b"".join(gzip.decompress(path.read_bytes()) for path in tmp_path.glob("*.warc.gz"))
    assert b"secret" not in unpacked
    assert b"jean dupont" not in unpacked


def test_who_had_read_a_file_whole_reads_nothing_again_after_compaction(tmp_path: Path) -> None:
    write(tmp_path, page(), page())
    *_, (_, position) = read(tmp_path)
    archive.compact(tmp_path, SETTINGS)
    assert found(tmp_path, {position.file: position.offset}) == []
    write(tmp_path, page("https://exemple.fr/new"))
    assert found(tmp_path, {position.file: position.offset}) == [page("https://exemple.fr/new")]


def test_who_had_read_half_a_file_misses_nothing_after_compaction(tmp_path: Path) -> None:
    records = [page("https://exemple.fr/0"), *(page(f"https://exemple.fr/{n}") for n in range(4))]
    write(tmp_path, *records)
    (_, first), *_ = read(tmp_path)
    archive.compact(tmp_path, SETTINGS)
    positions = [position for _, position in read(tmp_path, {first.file: first.offset})]
    assert found(tmp_path, {first.file: first.offset}) == records[1:]
    assert found(tmp_path, {positions[1].file: positions[1].offset}) == records[1:]
    assert found(tmp_path, {positions[-1].file: positions[-1].offset}) == []


def test_a_compaction_that_was_killed_loses_and_doubles_nothing(tmp_path: Path) -> None:
    write(tmp_path, page(), page())
    raw = only_file(tmp_path)
    before = raw.read_bytes()
    archive.compact(tmp_path, SETTINGS)
    raw.write_bytes(before)  # killed between the two steps
    (tmp_path / "half.part").write_bytes(b"half")
    assert found(tmp_path) == [page()]
    archive.compact(tmp_path, SETTINGS)
    assert found(tmp_path) == [page()]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_being_written_is_left_alone(tmp_path: Path) -> None:
    with ArchiveWriter(tmp_path, SETTINGS) as writer:
        writer.write(page())
        writer.write(page())
        assert archive.compact(tmp_path, SETTINGS).files == 0
        assert found(tmp_path) == [page(), page()]


def test_an_import_emptied_by_compaction_is_still_known(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    path = foreign(tmp_path / "other.warc.gz", "http://exemple.fr/a")
    import_files([path], folder, SETTINGS)
    Forgotten(folder).add("exemple.fr")
    archive.compact(folder, SETTINGS)
    assert import_files([path], folder, SETTINGS).already == 1
    assert found(folder) == []


# --- retention -----------------------------------------------------------------------------------------------------


def test_pages_not_seen_for_too_long_leave_the_archive_and_the_index_hears_so(tmp_path: Path) -> None:
    old, alive = page("https://exemple.fr/vieux"), page("https://exemple.fr/vivant")
    seen = Unchanged(alive.url, NOON + timedelta(days=390))
    write(tmp_path, old, alive, seen)
    *_, (_, position) = read(tmp_path)
    now = NOON + timedelta(days=400)
    assert archive.compact(tmp_path, SETTINGS, now=now).expired == 0  # unless the operator says so
    settings = ArchiveSettings(keep_days=365)
    assert archive.compact(tmp_path, settings, now=now).expired == 1
    assert found(tmp_path) == [alive, seen, Gone(old.url, "expired", now)]
    assert found(tmp_path, {position.file: position.offset}) == [Gone(old.url, "expired", now)]
    assert archive.compact(tmp_path, settings, now=now).expired == 0
    limit = (NOON + timedelta(days=35)).timestamp()
    assert limit <= archive.Expiry(tmp_path).before < limit + 100


def test_beyond_its_size_the_archive_keeps_what_was_seen_last(tmp_path: Path) -> None:
    pages = [page(f"https://exemple.fr/{n}", os.urandom(4_000)) for n in range(10)]
    write(tmp_path, *pages, *(Unchanged(pages[n].url, NOON + timedelta(days=n + 1)) for n in (7, 2, 5)))
    report = archive.compact(tmp_path, ArchiveSettings(keep_bytes=15_000), now=NOON + timedelta(days=20))
    assert report.expired == 7
    assert report.bytes_after < 17_000  # with what says that the others are gone
    assert [r.url for r in found(tmp_path) if isinstance(r, Page)] == [pages[n].url for n in (2, 5, 7)]


def test_a_compaction_killed_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    small = ArchiveSettings(file_bytes=10_000)
    for version in range(2):
        write(tmp_path, *(page(f"https://exemple.fr/{n}", bytes([65 + version]) * 3_000 + os.urandom(900))
                          for n in range(60)), settings=small)  # fmt: skip
    expected = {r.url: r.body for r in found(tmp_path) if isinstance(r, Page)}
    files = len(list(tmp_path.glob("*.warc.gz")))
    for number in range(15):
        if not (pid := os.fork()):
            archive.compact(tmp_path, SETTINGS)
            os._exit(0)
        time.sleep(0.004 * number)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert {r.url: r.body for r in found(tmp_path) if isinstance(r, Page)} == expected
    archive.compact(tmp_path, SETTINGS)
    got = [r for r in found(tmp_path) if isinstance(r, Page)]
    assert {r.url: r.body for r in got} == expected
    assert len(got) == len(expected)
    assert len(list(tmp_path.glob("*.warc.gz"))) < files


def test_the_checker_of_another_tool_finds_nothing_to_say(tmp_path: Path) -> None:
    write(tmp_path, page(), page("https://exemple.fr/é".encode().decode("latin-1")), page(body=b""))
    write(tmp_path, Unchanged("https://exemple.fr/b", NOON), Gone("https://exemple.fr/c", "410", NOON), page())
    archive.compact(tmp_path, SETTINGS, now=NOON)
    assert any(".compact-" in path.name for path in tmp_path.glob("*.warc.gz"))
    import_files(
        [foreign(tmp_path / "other.warc", "http://exemple.fr/a", packed=True, zipped=False)], tmp_path, SETTINGS
    )
    for path in tmp_path.glob("*.warc.gz"):
        command = [sys.executable, "-m", "warcio.cli", "check", "-v", str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
        assert "digest pass" in done.stdout
        assert "fail" not in done.stdout
        listed = subprocess.run([*command[:3], "index", str(path)], capture_output=True, text=True, check=True)
        assert len(listed.stdout.splitlines()) == len(list(archive._records(path, 0)))

"""A crawl that is stopped, killed, cut in shards or out of time goes on where it was."""

import os
import random
import resource
import signal
import socket
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from elunum.archive import Forgotten, read
from elunum.crawl import spider
from elunum.crawl.frontier import Frontier, Kind, forget
from elunum.crawl.run import CrawlReport, crawl, status
from elunum.crawl.scope import Scope
from elunum.errors import SettingsError
from elunum.model import Page, Source
from elunum.settings import CrawlSettings, Settings
from elunum.visits import Visits
from tests.crawl.conftest import Nights
from tests.web.server import LISTS, Answer, Asked, Reply, Web, page, sites

Begin = Callable[[Answer], Nights]
HOSTS = [f"h{n}.fr" for n in range(6)]
PAGES = 90


def chained(asked: Asked) -> Reply | None:
    """Each page links to the next two: nothing can be found twice, everything must be found in turn."""
    if asked.target in LISTS:
        return None
    number = int(asked.target.strip("/") or 0)
    links = [f"/{n}" for n in (2 * number + 1, 2 * number + 2) if n < PAGES]
    return page(f"page {number} de {asked.host}", *links)


def crawler(web: Web, folder: Path, delay_s: float = 0.02, shard: tuple[int, int] = (1, 1), file_bytes: int = 0) -> int:
    """The process id of a crawl of its own. Forked: starting Python twenty times would be most of the test.

    file_bytes: what the kernel lets a file of it grow to, 0 for no limit. It exits with 3 when it is refused something.
    """
    if pid := os.fork():
        return pid
    code = 1
    try:
        if file_bytes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
        crawl_settings = CrawlSettings(connect_to=web.address, delay_s=delay_s)
        sources = [Source(f"http://{host}/", host, "autre") for host in HOSTS]
        crawl(Settings(data=folder / "var", crawl=crawl_settings), sources, shard=shard)
        code = 0
    except SettingsError:
        code = 3
    finally:
        os._exit(code)


def ends_well(pid: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def wait_until(true: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.002)


def pages_of(folder: Path) -> Counter[str]:
    return Counter(record.url for record, _ in read(folder / "var" / "archive") if isinstance(record, Page))


def bodies_of(folder: Path) -> dict[str, bytes]:
    return {page.url: page.body for page, _ in read(folder / "var" / "archive") if isinstance(page, Page)}


def known_of(folder: Path) -> list[tuple[object, ...]]:
    """What the frontier says of each address, less its dates."""
    with sqlite3.connect(folder / "var" / "frontier.sqlite") as db:
        return db.execute(
            "select url, kind, rank, etag, modified, body_digest, text_digest, misses, tries, archived, due > 0 "
            "from urls order by url"
        ).fetchall()


def everything() -> set[str]:
    return {f"http://{host}/{n or ''}" for host in HOSTS for n in range(PAGES)}


def test_killed_twenty_times_it_ends_as_one_that_never_was_and_asks_none_twice_but_those_in_flight(
    tmp_path: Path,
) -> None:
    chance = random.Random(4)
    runs: list[list[Asked]] = []
    with Web(chained) as web:
        assert ends_well(crawler(web, tmp_path / "never killed", delay_s=0.0))
        web.seen.clear()
        for number in range(20):
            before = len(web.seen)
            pid = crawler(web, tmp_path)
            if number % 4:  # the others perhaps before their first request
                wait_until(lambda before=before: len(web.seen) > before, 10)  # type: ignore[misc]
            time.sleep(chance.uniform(0, 0.1))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            time.sleep(0.02)
            runs.append(web.seen[before:])
        before = len(web.seen)
        assert ends_well(crawler(web, tmp_path))
        runs.append(web.seen[before:])
    assert set(pages_of(tmp_path)) == everything()
    assert bodies_of(tmp_path) == bodies_of(tmp_path / "never killed")
    assert known_of(tmp_path) == known_of(tmp_path / "never killed")
    seen_before: dict[tuple[str, str], int] = {}
    last: dict[tuple[int, str], str] = {}
    again = 0
    for number, run in enumerate(runs):
        for asked in run:
            if asked.target in LISTS:
                continue
            if (earlier := seen_before.get((asked.host, asked.target))) is not None:
                again += 1
                # It was in flight when that run was killed: nothing was asked of the host after it.
                assert last[earlier, asked.host] == asked.target
            seen_before[asked.host, asked.target] = number
            last[number, asked.host] = asked.target
    assert again <= 20 * len(HOSTS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly_and_the_next_run_asks_nothing_twice(tmp_path: Path, number: signal.Signals) -> None:
    with Web(chained) as web:
        pid = crawler(web, tmp_path)
        wait_until(lambda: len(web.seen) >= 40)
        os.kill(pid, number)
        assert ends_well(pid)
        assert 40 <= len(web.seen) < len(HOSTS) * PAGES
        assert ends_well(crawler(web, tmp_path))
        asked = Counter(one.host + one.target for one in web.seen if one.target not in LISTS)
    assert set(pages_of(tmp_path)) == everything()
    assert max(asked.values()) == 1


def test_hours_are_kept_and_the_rest_waits(nights: Begin) -> None:
    night = nights(chained)
    began = time.monotonic()
    report = night(*HOSTS, hours=2 / 3600, delay_s=0.1)
    assert time.monotonic() - began < 30
    assert (report.finished, report.stopped_by) == (False, "out of time")
    assert 0 < report.new < len(HOSTS) * PAGES
    assert report.hosts_left == len(HOSTS)
    rest = night(*HOSTS)
    assert rest.finished
    assert len({r.url for r in night.records() if isinstance(r, Page)}) == len(HOSTS) * PAGES


def test_two_shards_at_once_share_the_hosts_and_miss_none(tmp_path: Path) -> None:
    with Web(chained) as web:
        pids = [crawler(web, tmp_path, shard=(part, 2)) for part in (1, 2)]
        assert [ends_well(pid) for pid in pids] == [True, True]
        asked = Counter(one.host + one.target for one in web.seen)
        assert max(web.open_at_once.values()) == 1
    assert set(pages_of(tmp_path)) == everything()
    assert max(asked.values()) == 1
    settings = Settings(data=tmp_path / "var")
    parts = [status(settings, (part, 2)) for part in (1, 2)]
    assert min(part.new for part in parts) > 0
    whole = status(settings)
    assert (whole.new, whole.finished) == (len(everything()), True)


def test_status_is_read_while_a_crawl_goes_on_and_before_any(nights: Begin) -> None:
    told: list[CrawlReport] = []

    def answer(asked: Asked) -> Reply | None:
        if asked.host == "b.fr" and asked.target == "/" and not told:
            # a.fr is done by now; the answer waits until the crawl has said so.
            wait_until(lambda: status(night.settings()).expected_end is not None)
            told.append(status(night.settings()))
        return chained(asked)

    night = nights(answer)
    assert status(night.settings()).requests == 0
    assert night("a.fr", "b.fr", active_hosts=1).finished
    (report,) = told
    assert (report.running, report.finished, report.hosts, report.hosts_left) == (True, False, 2, 1)
    assert report.requests >= PAGES
    assert report.pages_per_s > 0
    assert report.seen_at is not None
    assert report.expected_end is not None
    assert report.expected_end >= report.seen_at


def test_progress_is_told_while_it_goes_on(
    nights: Begin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(spider, "PROGRESS_S", 0.05)
    caplog.set_level("INFO", "elunum.crawl")
    night = nights(chained)
    night(*HOSTS, active_hosts=2, delay_s=0.01)
    told = [record.__dict__ for record in caplog.records if record.message == "progress"]
    assert told
    assert max(figures["per_s"] for figures in told) > 0
    left = [figures["hosts_left"] for figures in told]
    assert left == sorted(left, reverse=True)
    assert any("minutes_left" in figures for figures in told)


def test_status_says_why_a_crawl_and_each_host_were_stopped(nights: Begin) -> None:
    wait = Reply(503, headers={"Retry-After": "7200"})
    night = nights(sites({"a.fr": {"/": wait}, "b.fr": {"/": Reply(500), "/sitemap.xml": Reply(500)}}))
    report = night("a.fr", "b.fr", "c.fr")
    assert (report.finished, report.stopped_by, report.running) == (True, "", False)
    assert report.hosts_stopped == {"asks for a long pause": 1, "keeps failing": 1}
    seen = Visits(night.folder)
    stopped = {host: found and (found.stopped, found.stopped_until > night.clock()) for host in ("a.fr", "b.fr", "c.fr")
               if (found := seen.host(host))}  # fmt: skip
    assert stopped == {"a.fr": ("asks for a long pause", True), "b.fr": ("keeps failing", True), "c.fr": ("", False)}
    night.clock.days(1)
    night("a.fr", "b.fr", hours=0)
    report = status(night.settings())
    assert (report.finished, report.stopped_by, report.expected_end) == (False, "out of time", None)
    assert seen.crawl is not None
    assert seen.crawl["stopped_by"] == "out of time"


def test_a_crawl_that_was_killed_says_so_and_one_that_runs_says_when_it_will_end(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "var")
    with Web(chained) as web:
        pid = crawler(web, tmp_path, delay_s=0.1)
        wait_until(lambda: len(web.seen) >= 30)
        wait_until(lambda: status(settings).requests > 0)
        report = status(settings)
        assert (report.running, report.stopped_by, report.finished) == (True, "", False)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    report = status(settings)
    assert (report.running, report.stopped_by, report.expected_end) == (False, "killed", None)


def test_requests_that_never_end_do_not_hold_a_crawl_whose_time_is_over(nights: Begin) -> None:
    def silent(asked: Asked) -> Reply | None:
        return Reply(after_s=3_600.0) if asked.target == "/" else None

    night = nights(silent)
    began = time.monotonic()
    report = night(*HOSTS, hours=1 / 3600, timeout_s=3_000.0)
    assert time.monotonic() - began < 60
    assert (report.stopped_by, report.hosts_left) == ("out of time", len(HOSTS))


def test_a_crawler_that_takes_over_from_a_killed_one_waits_its_pause_first(tmp_path: Path) -> None:
    with Web(chained) as web:
        pid = crawler(web, tmp_path, delay_s=0.5)
        wait_until(lambda: len(web.seen) >= 2 * len(HOSTS))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        killed_at = time.monotonic()
        time.sleep(0.05)
        before = len(web.seen)
        pid = crawler(web, tmp_path, delay_s=0.5)
        wait_until(lambda: len(web.seen) >= before + len(HOSTS))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        again = {asked.host: asked.at for asked in reversed(web.seen[before:])}
    assert min(again.values()) - killed_at >= 0.5


def test_a_frontier_that_cannot_be_written_is_said_in_one_sentence(nights: Begin) -> None:
    night = nights(chained)
    night.folder.parent.mkdir(parents=True, exist_ok=True)
    night.folder.write_text("a file where the folder should be")
    with pytest.raises(SettingsError, match="ELUNUM_DATA"):
        night("a.fr")


@pytest.mark.parametrize("how", ["a full disk", "a limit on files"])
def test_a_disk_that_fills_up_in_the_middle_stops_the_crawl_and_the_next_one_ends_it(tmp_path: Path, how: str) -> None:
    folder, settings = tmp_path / "small", Settings(data=tmp_path / "small" / "var")
    folder.mkdir()
    small = how == "a full disk"
    if small:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", folder], capture_output=True)
        if mounted.returncode:
            pytest.skip("a disk of 600 kB takes the right to mount one")
    try:
        with Web(chained) as web:
            pid = crawler(web, folder, delay_s=0.0, file_bytes=0 if small else 150_000)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
            kept = pages_of(folder)
            assert 0 < len(kept) < len(everything())
            report = status(settings)
            assert (report.finished, report.running) == (False, False)
            assert report.stopped_by in ("stopped by an error", "killed")
            if small:
                subprocess.run(["mount", "-o", "remount,size=60m", folder], check=True)
            assert ends_well(crawler(web, folder, delay_s=0.0))
        assert set(pages_of(folder)) == everything()
        again = [url for url, times in pages_of(folder).items() if times > 1]
        assert len(again) <= len(HOSTS)  # at most the one that each host had just sent
    finally:
        if small:
            subprocess.run(["umount", folder], check=True)


def test_when_our_own_network_is_gone_the_crawl_stops_and_blames_no_site(
    nights: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    hosts = [f"h{n}.fr" for n in range(150)]
    night = nights(sites({host: {"/": page("accueil")} for host in hosts}))
    with monkeypatch.context() as broken:
        broken.setattr(socket, "getaddrinfo", gone)
        report = night(*hosts, connect_to="")
    assert (report.finished, report.stopped_by) == (False, "the network is gone")
    assert night(*hosts).new == 150


def test_sites_that_exist_no_more_are_not_our_network(nights: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    night = nights(sites({}))
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    report = night(*(f"h{n}.fr" for n in range(150)), connect_to="")
    assert report.finished
    assert report.errors == {"no such host": 150}


def test_many_sites_that_have_been_silent_for_nights_are_not_our_network(nights: Begin) -> None:
    silent = [False]

    def answer(asked: Asked) -> Reply | None:
        return Reply(after_s=60.0) if silent[0] else page("accueil")

    night = nights(answer)
    hosts = [f"h{n}.fr" for n in range(70)]
    for host_group in (hosts[:35], hosts[35:]):  # fewer in a night than would tell of our network
        night(*host_group, hours=0)
        silent[0] = True
        report = night(*host_group, timeout_s=0.3)
        assert (report.finished, report.hosts_stopped) == (True, {"keeps failing": 35})
        night.clock.days(1)
    report = night(*hosts, timeout_s=0.3)
    assert (report.finished, report.stopped_by) == (True, "")
    night.clock.days(31)
    night(*hosts, timeout_s=0.3)
    seen = Visits(night.folder)
    assert all((found := seen.host(host)) is not None and found.silent_since for host in hosts)


def test_a_clock_that_was_far_ahead_does_not_put_pages_to_sleep(nights: Begin) -> None:
    night = nights(sites({"a.fr": {"/": page("accueil", "/b"), "/b": page("deux")}}))
    night.clock.days(3650)
    night("a.fr")
    night.clock.days(-3650)
    night("a.fr")
    night.clock.days(31)
    assert night("a.fr").unchanged == 2


# --- the frontier alone ------------------------------------------------------------------------------------------


def frontier(path: Path, *urls: str, active_hosts: int = 10) -> Frontier:
    settings = CrawlSettings(delay_s=0.0, active_hosts=active_hosts)
    scope = Scope([Source(url, url, "autre") for url in urls])
    return Frontier(path, settings, scope, lambda url, reason: None)


def test_a_host_leased_by_a_living_crawler_is_not_taken(tmp_path: Path) -> None:
    mine = frontier(tmp_path / "f.sqlite", "http://a.fr/")
    (host,) = mine.to_open()
    mine.place(host, "a.fr")
    assert mine.next() is not None
    mine.settle()
    db = sqlite3.connect(tmp_path / "f.sqlite")
    db.execute("update hosts set lease = ?", (f"{os.getppid()}-1",))
    db.commit()
    assert list(frontier(tmp_path / "f.sqlite", "http://a.fr/").to_open()) == []
    db.execute("update hosts set leased_until = ?", (time.time() - 1,))
    db.commit()
    assert [host.name for host in frontier(tmp_path / "f.sqlite", "http://a.fr/").to_open()] == ["a.fr"]


def test_a_lease_of_a_dead_crawler_is_taken_at_once(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    killed = frontier(tmp_path / "f.sqlite", "http://a.fr/")
    killed.to_open()
    killed.settle()
    db = sqlite3.connect(tmp_path / "f.sqlite")
    db.execute("update hosts set lease = ?", (f"{dead.pid}-1",))
    db.commit()
    assert [host.name for host in frontier(tmp_path / "f.sqlite", "http://a.fr/").to_open()] == ["a.fr"]


def test_hosts_that_share_an_address_share_its_pauses(tmp_path: Path) -> None:
    urls = [f"http://h{n}.fr/" for n in range(20)]
    shared = frontier(tmp_path / "f.sqlite", *urls, active_hosts=50)
    for host in shared.to_open():
        shared.place(host, "194.199.8.10")
    visit = shared.next()
    assert visit is not None
    assert not visit.alone
    assert shared.next() is None
    shared.robots(visit, 404, b"", 0.1)
    other = shared.next()
    assert other is not None
    assert other.host is not visit.host


def test_a_host_that_always_asks_to_slow_down_is_left_after_four_doubling_pauses(tmp_path: Path) -> None:
    ticks = [0.0]
    scope = Scope([Source(f"http://{host}/", host, "autre") for host in ("a.fr", "b.fr")])
    settings = CrawlSettings(delay_s=2.0)
    some = Frontier(tmp_path / "f.sqlite", settings, scope, lambda url, reason: None, ticks=lambda: ticks[0])
    asked: dict[str, list[float]] = {"a.fr": [], "b.fr": []}
    while (wait := some.wait_s()) is not None and ticks[0] < 5_000:
        for host in some.to_open():
            some.place(host, host.name)
        visit = some.next()
        if visit is None:
            ticks[0] += max(wait, 0.01)
        elif visit.kind is Kind.ROBOTS:
            some.robots(visit, 404, b"", 0.1)
        elif visit.kind is Kind.RESERVED:
            some.reserved(visit, None, 0.1, None, None)
        else:
            asked[visit.host.name].append(ticks[0])
            if visit.host.name == "a.fr":
                some.slow_down(visit, "status 503", 0.0)
            else:
                some.missing(visit, 404, 0.1)
    gaps = [round(after - before) for before, after in pairwise(asked["a.fr"])]
    assert gaps == [4, 8, 16]
    assert len(asked["b.fr"]) == 2


def test_every_host_of_a_crowded_address_has_its_turn(tmp_path: Path) -> None:
    urls = [f"http://h{n}.fr/" for n in range(30)]
    shared = frontier(tmp_path / "f.sqlite", *urls, active_hosts=50)
    visited = set()
    while shared.wait_s() is not None:
        for host in shared.to_open():
            shared.place(host, "194.199.8.10")
        visit = shared.next()
        if visit is None:
            continue
        if visit.kind is Kind.ROBOTS:
            shared.robots(visit, 404, b"", 0.1)
        elif visit.kind is Kind.RESERVED:
            shared.reserved(visit, None, 0.1, None, None)
        else:
            visited.add(visit.url)
            shared.missing(visit, 404, 0.1)
    assert visited == {*urls, *(f"{url}sitemap.xml" for url in urls)}


def test_only_the_window_of_hosts_is_open(tmp_path: Path) -> None:
    some = frontier(tmp_path / "f.sqlite", *(f"http://h{n}.fr/" for n in range(30)), active_hosts=5)
    assert len(list(some.to_open())) == 5
    assert some.hosts_left() == 30


def test_forgotten_addresses_leave_the_frontier_even_while_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "f.sqlite"
    some = frontier(path, "http://a.fr/", "http://a.fr/b", "http://b.fr/")
    assert forget(path, ["https://a.fr/b"]) == 1
    assert forget(path, ["b.fr"]) == 1
    assert forget(path, ["c.fr"]) == 0
    assert [host.name for host in some.to_open()] == ["a.fr"]


def test_a_forgotten_home_page_is_not_asked_again(nights: Begin) -> None:
    night = nights(sites({"a.fr": {"/": page("accueil", "/b"), "/b": page("deux")}}))
    night("a.fr")
    Forgotten(night.folder / "archive").add("http://a.fr/")
    forget(night.folder / "frontier.sqlite", ["http://a.fr/"])
    night.clock.days(1)
    night("a.fr")
    assert night.web.asked_of("a.fr") == ["/", "/b", "/b"]


def test_a_frontier_of_another_version_is_refused_by_name(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "f.sqlite")
    db.execute("create table hosts (id)")
    db.commit()
    with pytest.raises(SettingsError, match="another version"):
        frontier(tmp_path / "f.sqlite", "http://a.fr/")

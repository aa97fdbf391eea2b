"""What the crawler refuses to connect to, and what hostile servers cannot do to it."""

import asyncio
import gzip
import ipaddress
import resource
import socket
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elunum.crawl.fetch import Addresses, Fetcher, FetchFailed, may_connect
from elunum.crawl.run import CrawlReport, crawl
from elunum.errors import SettingsError
from elunum.model import Page, Source
from elunum.settings import CrawlSettings, Settings
from tests.crawl.conftest import Nights
from tests.web import hostile
from tests.web.server import LISTS, Answer, Asked, Reply, Web, page, sites

Begin = Callable[[Answer], Nights]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00:ec2::254",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "ff02::1",
    ],
)
def test_addresses_that_are_not_of_the_public_internet_are_refused(address: str) -> None:
    assert not may_connect(address)


@given(st.ip_addresses())
def test_what_may_be_connected_to_is_global(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert not may_connect(str(address)) or address.is_global


def test_public_addresses_may_be_connected_to() -> None:
    assert may_connect("194.199.8.10")
    assert may_connect("2001:660::1")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f.1:{port}/",
        "http://127.1:{port}/",
        "http://0.0.0.0:{port}/",
    ],
)
def test_no_spelling_of_a_loopback_address_is_connected_to(nights: Begin, url: str) -> None:
    night = nights(sites({}))

    async def ask() -> None:
        fetcher = Fetcher(Settings(crawl=CrawlSettings(timeout_s=5)))
        try:
            with pytest.raises(FetchFailed, match="refused address"):
                await fetcher.fetch(url.format(port=night.web.port), {})
        finally:
            await fetcher.close()

    asyncio.run(ask())
    assert night.web.seen == []


def test_a_name_keeps_the_address_it_was_checked_with(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["194.199.8.10", "127.0.0.1"])

    def rebinding(*args: object, **kwargs: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 0))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)

    async def ask() -> list[str]:
        addresses = Addresses()
        checked = await addresses.address("rebinding.fr")
        connected = await addresses.resolve("rebinding.fr", 80)
        return [checked, connected[0]["host"]]

    assert asyncio.run(ask()) == ["194.199.8.10", "194.199.8.10"]


def test_a_name_that_also_points_inside_is_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 0)) for ip in ("194.199.8.10", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: both)
    with pytest.raises(FetchFailed, match="refused address"):
        asyncio.run(Addresses().address("mixte.fr"))


def test_a_source_inside_is_refused_and_reported(nights: Begin) -> None:
    night = nights(sites({}))
    inside = f"http://127.0.0.1:{night.web.port}/"
    settings = Settings(data=night.folder, crawl=CrawlSettings(delay_s=0))
    report = crawl(settings, [Source(inside, "dedans", "autre")])
    assert report.errors == {"refused address": 1}
    assert night.web.seen == []


def test_connect_to_accepts_only_loopback() -> None:
    with pytest.raises(ValueError, match="loopback"):
        CrawlSettings(connect_to="10.0.0.1:80")


@pytest.mark.parametrize("shard", [(0, 2), (3, 2)])
def test_a_shard_that_is_none_is_refused(nights: Begin, shard: tuple[int, int]) -> None:
    with pytest.raises(SettingsError, match="K/N"):
        crawl(nights(sites({})).settings(), [], shard=shard)


def test_an_unknown_host_is_refused_by_name(nights: Begin) -> None:
    with pytest.raises(SettingsError, match=r"b\.fr"):
        nights(sites({}))("a.fr", only="b.fr")


# --- hostile servers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(hostile.KINDS))
def test_a_hostile_page_costs_its_own_visit_and_no_more(nights: Begin, name: str) -> None:
    def answer(asked: Asked) -> Reply | None:
        if asked.target in LISTS:
            return None
        if asked.target in ("/", "/apres"):
            return page("accueil", "/mechant", "/apres")
        return hostile.KINDS[name](asked)

    night = nights(answer)
    report = night("a.fr", timeout_s=2.0, pages_per_host=40)
    assert report.finished
    assert {"http://a.fr/", "http://a.fr/apres"} <= {r.url for r in night.records() if isinstance(r, Page)}
    assert report.new + report.unchanged + report.failed + report.refused + report.missing >= 3


LIMITS = {
    "slow": "timeout",
    "silent": "timeout",
    "drip": "timeout",
    "endless": "too large",
    "20 MB of inline tags": "too large",
    "20 MB of inline tags of unknown length": "too large",
    "gzip bomb": "too large",
    "gzip bomb of 2 GB": "too large",
    "false gzip": "bad encoding",
    "unknown encoding": "unknown encoding",
    "endless headers": "bad answer",
    "long header": "bad answer",
    "long status line": "bad answer",
    "bad header": "bad answer",
    "no HTTP": "bad answer",
    "cut short": "cut short",
    "reset": "connection lost",
    "redirect loop": "redirect loop",
    "redirect inside": "redirect out of scope",
    "redirect to a bad address": "redirect to nowhere",
}


@pytest.mark.parametrize("name", LIMITS)
def test_each_limit_is_told_by_its_name(nights: Begin, name: str) -> None:
    night = nights(lambda asked: None if asked.target in LISTS else hostile.KINDS[name](asked))
    report = night("a.fr", timeout_s=1.0)
    assert set({**report.errors, **report.refusals}) == {LIMITS[name]}
    assert (report.new, night.records()) == (0, [])


def test_no_address_is_asked_that_is_longer_than_2000_characters_or_60_redirects_away(nights: Begin) -> None:
    long = ["/" + "a" * 1_900, "/" + "a" * 2_100, "/b?" + "c" * 5_000]

    def answer(asked: Asked) -> Reply | None:
        if asked.target in LISTS:
            return None
        if asked.target.startswith("/saut"):
            return Reply(302, headers={"Location": f"/saut{int(asked.target[5:]) + 1}"})
        return page("accueil", *long, "/saut0")

    night = nights(answer)
    night("a.fr")
    asked = night.web.asked_of("a.fr")
    assert [target for target in asked if not target.startswith("/saut")] == ["/", long[0]]
    assert len(asked) < 65


def _crawl_and_peak(address: str, data: Path) -> tuple[CrawlReport, int]:
    """A crawl of 300 hosts, and the most memory that this process ever held, KiB (proc(5): rusage survives exec)."""
    settings = Settings(data=data, crawl=CrawlSettings(connect_to=address, delay_s=0, timeout_s=2, pages_per_host=3))
    report = crawl(settings, [Source(f"http://h{n:03}.fr/", f"h{n}", "autre") for n in range(300)])
    told = Path("/proc/self/status").read_text()
    return report, int(told.partition("VmHWM:")[2].split()[0])


def test_three_hundred_hostile_hosts_are_got_over_within_500_mb(tmp_path: Path) -> None:
    kinds = list(hostile.KINDS.values())

    def answer(asked: Asked) -> Reply | None:
        if asked.target in LISTS:
            return None
        return kinds[int(asked.host[1:4]) % len(kinds)](asked)

    # A fresh interpreter: a fork would count the memory of the tests that ran before.
    with Web(answer) as web, ProcessPoolExecutor(1, mp_context=get_context("spawn")) as aside:
        report, peak_kb = aside.submit(_crawl_and_peak, web.address, tmp_path).result(timeout=120)
    assert report.finished
    assert report.hosts_left == 0
    assert peak_kb < 500_000
    assert len({asked.host for asked in web.seen}) == 300


def test_a_small_answer_that_unpacks_without_end_is_dropped(nights: Begin) -> None:
    bomb = Reply(
        body=gzip.compress(b"0" * 50_000_000), headers={"Content-Type": "text/html", "Content-Encoding": "gzip"}
    )
    night = nights(sites({"a.fr": {"/": page("accueil", "/bombe"), "/bombe": bomb}}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert night("a.fr").refusals == {"too large": 1}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"<p>bonjour</p>")),
        ("x-gzip", gzip.compress(b"<p>bonjour</p>")),
        ("deflate", zlib.compress(b"<p>bonjour</p>")),
        ("deflate", zlib.compress(b"<p>bonjour</p>")[2:-4]),
        ("identity", b"<p>bonjour</p>"),
    ],
)
def test_packed_answers_are_unpacked(nights: Begin, encoding: str, body: bytes) -> None:
    packed = Reply(body=body, headers={"Content-Type": "text/html", "Content-Encoding": encoding})
    night = nights(sites({"a.fr": {"/": packed}}))
    night("a.fr")
    (record,) = night.records()
    assert isinstance(record, Page)
    assert record.body == b"<p>bonjour</p>"


def test_the_page_is_kept_exactly_as_it_was_sent(nights: Begin) -> None:
    body = "<p>déjà vu</p>".encode("cp1252") + bytes(range(256))
    sent = Reply(body=body, headers={"Content-Type": "text/html; charset=windows-1252", "X-Odd-Case": "Oui"})
    night = nights(sites({"a.fr": {"/": sent}}))
    night("a.fr")
    (record,) = night.records()
    assert isinstance(record, Page)
    assert record.body == body
    assert ("X-Odd-Case", "Oui") in record.headers


@pytest.mark.parametrize("kind", ["image/png", "text/css", "application/zip", "video/mp4"])
def test_what_is_no_text_is_not_kept(nights: Begin, kind: str) -> None:
    night = nights(sites({"a.fr": {"/": Reply(body=b"\x89PNG....", headers={"Content-Type": kind})}}))
    assert night("a.fr").refusals == {"not a text": 1}
    assert night.records() == []

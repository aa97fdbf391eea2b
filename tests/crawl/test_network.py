"""Real names, addresses, connections and certificates, and a network or a clock that fails in the middle.

Names lead to loopback addresses, which the crawler refuses to connect to: that guard alone is let through here. It has
its own tests in test_safe.py.
"""

from __future__ import annotations

import datetime
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from elunum.crawl import fetch, frontier
from elunum.crawl.run import CrawlReport, crawl, status
from elunum.model import Page, Source
from elunum.settings import CHECKOUT, CrawlSettings, Settings
from tests.crawl.conftest import Nights
from tests.web.server import LISTS, Answer, Asked, Reply, Web, page, sites

Begin = Callable[[Answer], Nights]
REAL = socket.getaddrinfo


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the DNS says: {name: address}; a name that is not there does not exist."""
    known: dict[str, str] = {}

    def resolve(name: str, *rest: object, **options: object) -> list[tuple[object, ...]]:
        if name[:1].isdigit():
            return REAL(name, None)  # type: ignore[return-value]  # a number stands for itself
        if name not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known[name], 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(fetch, "may_connect", lambda address: True)
    return known


def visit(
    web: Web, folder: Path, *hosts: str, shard: tuple[int, int] = (1, 1), hours: float | None = None, **settings: float
) -> CrawlReport:
    """A crawl of hosts on the port of a web, by their names."""
    crawl_settings = CrawlSettings(**{"delay_s": 0.1, "timeout_s": 5.0, **settings})
    sources = [Source(f"http://{host}:{web.port}/", host, "autre") for host in hosts]
    return crawl(Settings(data=folder / "var", crawl=crawl_settings), sources, hours=hours, shard=shard)


def pauses(seen: list[Asked]) -> list[float]:
    """Seconds between two requests, each dated before it is answered."""
    return [after.at - before.at for before, after in pairwise(seen)]


def test_sites_of_one_address_share_its_pause_and_its_only_connection(tmp_path: Path, names: dict[str, str]) -> None:
    hosts = {f"h{n}.fr": {"/": page("accueil", "/1"), "/1": page("une")} for n in range(3)}
    names.update({"h0.fr": "127.0.0.1", "h1.fr": "127.0.0.1", "h2.fr": "127.0.0.2"})
    with Web(sites(hosts), addresses=("127.0.0.1", "127.0.0.2")) as web:
        report = visit(web, tmp_path, *hosts)
    assert report.new == 6
    assert web.connected_at_once == {"127.0.0.1": 1, "127.0.0.2": 1}
    assert min(pauses([asked for asked in web.seen if asked.host != "h2.fr"])) >= 0.1
    assert min(pauses([asked for asked in web.seen if asked.host == "h2.fr"])) >= 0.1
    alone = {asked.connection for asked in web.seen if asked.host == "h2.fr"}
    assert len(alone) == 1  # who has its address for itself keeps its connection


def test_two_shards_never_ask_one_address_side_by_side(
    tmp_path: Path, names: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frontier, "LET_GO_S", 0.6)
    monkeypatch.setattr(fetch, "KEEPALIVE_S", 0.3)
    monkeypatch.setattr(frontier, "BUSY_ELSEWHERE_S", 0.1)
    hosts = {f"h{n}.fr": {"/": page("accueil", "/1"), "/1": page("une")} for n in range(8)}
    names.update(dict.fromkeys(hosts, "127.0.0.1"))
    with Web(sites(hosts)) as web:
        shards = []
        for part in (1, 2):
            if pid := os.fork():
                shards.append(pid)
                continue
            code = 1
            try:
                visit(web, tmp_path, *hosts, shard=(part, 2), delay_s=0.05)
                code = 0
            finally:
                os._exit(code)
        assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in shards] == [0, 0]
        assert {asked.host + asked.target for asked in web.seen} >= {f"{host}/1" for host in hosts}
    assert web.connected_at_once == {"127.0.0.1": 1}
    assert min(pauses(web.seen)) >= 0.05
    parts = [status(Settings(data=tmp_path / "var"), (part, 2)) for part in (1, 2)]
    assert min(part.new for part in parts) > 0


def test_a_site_met_on_the_way_does_not_find_the_connection_of_another_still_open(
    tmp_path: Path, names: dict[str, str]
) -> None:
    def answer(asked: Asked) -> Reply | None:
        if asked.target in LISTS:
            return None
        if asked.host == "a.fr":
            return Reply(301, headers={"Location": f"http://www.a.fr:{web.port}/"})
        return page("accueil")

    names.update({"a.fr": "127.0.0.1", "www.a.fr": "127.0.0.1"})
    with Web(answer) as web:
        assert visit(web, tmp_path, "a.fr").new == 1
    assert web.connected_at_once == {"127.0.0.1": 1}
    assert min(pauses(web.seen)) >= 0.1


def test_where_the_redirects_of_robots_txt_lead_has_its_pause_and_its_only_connection(
    tmp_path: Path, names: dict[str, str]
) -> None:
    def answer(asked: Asked) -> Reply | None:
        if asked.target == "/robots.txt" and asked.host == "a.fr":
            return Reply(301, headers={"Location": f"http://b.fr:{web.port}/robots.txt"})
        if asked.target in LISTS:
            return None
        return page("accueil", "/1", "/2") if asked.target == "/" else page(asked.target)

    names.update({"a.fr": "127.0.0.1", "b.fr": "127.0.0.2"})
    with Web(answer, addresses=("127.0.0.1", "127.0.0.2")) as web:
        assert visit(web, tmp_path, "a.fr", "b.fr").new == 6
    assert web.connected_at_once == {"127.0.0.1": 1, "127.0.0.2": 1}
    for host in ("a.fr", "b.fr"):
        assert min(pauses([asked for asked in web.seen if asked.host == host])) >= 0.1


@pytest.mark.parametrize("target", ["http://dedans.fr:{port}/robots.txt", "http://127.0.0.9:{port}/robots.txt"])
def test_a_redirect_that_leads_inside_is_not_gone_through(
    tmp_path: Path, names: dict[str, str], monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    def answer(asked: Asked) -> Reply | None:
        if asked.host == "a.fr" and asked.target == "/robots.txt":
            return Reply(302, headers={"Location": target.format(port=web.port)})
        return page("accueil")

    monkeypatch.setattr(fetch, "may_connect", lambda address: address != "127.0.0.9")
    names.update({"a.fr": "127.0.0.1", "dedans.fr": "127.0.0.9"})
    with Web(answer, addresses=("127.0.0.1", "127.0.0.9")) as web:
        report = visit(web, tmp_path, "a.fr", delay_s=0.0)
    assert set(web.connected_at_once) == {"127.0.0.1"}
    assert report.errors == {"refused address": 4}


def test_a_name_that_changes_its_address_is_connected_to_at_the_one_that_was_checked(
    tmp_path: Path, names: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_of_dns = Counter[str]()

    def rebinding(name: str, *rest: object, **options: object) -> list[tuple[object, ...]]:
        asked_of_dns[name] += 1
        address = "127.0.0.1" if asked_of_dns[name] == 1 else "127.0.0.9"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(fetch, "may_connect", lambda address: address != "127.0.0.9")
    with Web(sites({"a.fr": {"/": page("accueil")}}), addresses=("127.0.0.1", "127.0.0.9")) as web:
        assert visit(web, tmp_path, "a.fr", delay_s=0.0).new == 1
    assert set(web.connected_at_once) == {"127.0.0.1"}


# --- certificates --------------------------------------------------------------------------------------------------


def certificate(
    folder: Path, name: str, issuer: tuple[x509.Name, ec.EllipticCurvePrivateKey] | None, days: int, ca: bool = False
) -> tuple[Path, x509.Name, ec.EllipticCurvePrivateKey]:
    """A file with a certificate and its key; signed by itself when it has no issuer, over since `-days` if negative."""
    key, subject = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    signer, signing = issuer or (subject, key)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=100))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(signing, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path, subject, key


CRAWL_BY_NAME = """
import json, socket, sys
import msgspec
from pathlib import Path
from elunum.crawl import fetch
from elunum.crawl.run import crawl
from elunum.model import Source
from elunum.settings import CrawlSettings, Settings
socket.getaddrinfo = lambda *a, **k: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]
fetch.may_connect = lambda address: True
sources = [Source(url, url, "autre") for url in sys.argv[2:]]
report = crawl(Settings(data=Path(sys.argv[1]), crawl=CrawlSettings(delay_s=0, timeout_s=5)), sources)
print(msgspec.json.encode(report).decode())
"""


def test_bad_certificates_are_refused_and_reported_by_reason_and_by_host(tmp_path: Path) -> None:
    authority, name, key = certificate(tmp_path, "autorite", None, 100, ca=True)
    files = {
        "bon.fr": certificate(tmp_path, "bon.fr", (name, key), 100)[0],
        "perime.fr": certificate(tmp_path, "perime.fr", (name, key), -3)[0],
        "autre.fr": certificate(tmp_path, "ailleurs.fr", (name, key), 100)[0],
        "seul.fr": certificate(tmp_path, "seul.fr", None, 100)[0],
    }
    contexts: Mapping[str, ssl.SSLContext] = {host: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) for host in (*files, "")}
    for host, path in files.items():
        contexts[host].load_cert_chain(path)

    def choose(connection: ssl.SSLObject, host: str | None, _: ssl.SSLContext) -> None:
        connection.context = contexts[host or ""]

    contexts[""].sni_callback = choose
    web = Web(sites({host: {"/": page(host)} for host in files}), tls=contexts[""])
    with web:
        done = subprocess.run(
            [sys.executable, "-c", CRAWL_BY_NAME, str(tmp_path / "var"), *(f"https://{h}:{web.port}/" for h in files)],
            env=os.environ | {"SSL_CERT_FILE": str(authority), "PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            check=True,
        )
    report = json.loads(done.stdout)
    told = {host.partition(":")[0]: set(reasons) for host, reasons in report["errors_by_host"].items()}
    assert told == {
        "perime.fr": {"TLS certificate expired"},
        "autre.fr": {"TLS certificate of another name"},
        "seul.fr": {"TLS certificate not trusted"},
    }
    assert report["hosts_stopped"] == {"keeps failing": 3}
    assert report["new"] == 1
    assert {asked.host for asked in web.seen} == {"bon.fr"}  # nothing was said to the others


def test_names_that_are_never_answered_do_not_hold_a_crawl_whose_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: over.wait(300) and [])
    try:
        with Web(sites({})) as web:
            began = time.monotonic()
            report = visit(web, tmp_path, "a.fr", "b.fr", hours=1 / 3600)
            assert time.monotonic() - began < 60
    finally:
        over.set()
    assert (report.stopped_by, report.hosts_left) == ("out of time", 2)


# --- what fails in the middle --------------------------------------------------------------------------------------


def test_when_the_dns_goes_in_the_middle_the_crawl_stops_blames_no_site_and_the_next_one_ends_it(
    tmp_path: Path, names: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = [f"h{n}.fr" for n in range(150)]
    names.update({host: f"127.0.0.{1 + n % 100}" for n, host in enumerate(hosts)})
    answered, resolve = Counter[str](), socket.getaddrinfo

    def failing(name: str, *rest: object, **options: object) -> object:
        answered[name] += 1
        if len(answered) > 30:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return resolve(name, None)

    addresses = tuple(f"127.0.0.{1 + n}" for n in range(100))
    with Web(sites({host: {"/": page("accueil")} for host in hosts}), addresses=addresses) as web:
        with monkeypatch.context() as broken:
            broken.setattr(socket, "getaddrinfo", failing)
            report = visit(web, tmp_path, *hosts, delay_s=0.0, active_hosts=10)
        assert (report.finished, report.stopped_by) == (False, "the network is gone")
        assert report.new <= 30
        first = Counter((asked.host, asked.target) for asked in web.seen)
        report = visit(web, tmp_path, *hosts, delay_s=0.0)
        both = Counter((asked.host, asked.target) for asked in web.seen)
    assert (report.finished, report.new) == (True, 150)
    assert max(first.values()) == 1
    assert max(both.values()) == 1


def test_when_answers_stop_coming_in_the_middle_the_crawl_stops_and_the_next_one_ends_it(nights: Begin) -> None:
    until = [300]

    def answer(asked: Asked) -> Reply | None:
        if len(night.web.seen) > until[0]:
            return Reply(after_s=3_600.0)
        return None if asked.target in LISTS else page(f"page {asked.target}", *(f"/{n}" for n in range(4)))

    night = nights(answer)
    hosts = [f"h{n}.fr" for n in range(100)]
    report = night(*hosts, timeout_s=1.0)
    assert (report.finished, report.stopped_by) == (False, "the network is gone")
    until[0] = 1_000_000
    assert night(*hosts).finished
    kept = Counter(record.url for record in night.records() if isinstance(record, Page))
    assert len(kept) == 500
    assert max(kept.values()) == 1


@pytest.mark.parametrize("days", [2.0, -2.0, 4_000.0, -4_000.0])
def test_a_clock_that_jumps_in_the_middle_costs_no_page_no_pause_and_no_night(nights: Begin, days: float) -> None:
    jump = [days]

    def answer(asked: Asked) -> Reply | None:
        if len(night.web.seen) > 20 and jump:
            night.clock.days(jump.pop())
        return None if asked.target in LISTS else page(f"page {asked.target}", *(f"/{n}" for n in range(4)))

    night = nights(answer)
    hosts = ["a.fr", "b.fr", "c.fr", "d.fr", "e.fr"]
    night(*hosts, hours=0.0)  # known before, as on any other night
    report = night(*hosts, delay_s=0.02, active_hosts=2)
    assert (report.finished, report.new) == (True, 25)
    asked = Counter((one.host, one.target) for one in night.web.seen if one.target != LISTS[0])
    assert max(asked.values()) == 1
    for host in hosts:
        assert min(pauses([one for one in night.web.seen if one.host == host])) >= 0.02
    last_of_the_first = night.web.seen[-1].at
    if abs(days) > 1_000:
        night.clock.days(-days)  # put right in the morning
    unchanged = 0
    for _ in range(2):
        night.clock.days(31)
        report = night(*hosts)
        assert report.finished
        unchanged += report.unchanged
    assert unchanged >= 25
    last = {(one.host, one.target): one.at for one in night.web.seen}
    assert min(last.values()) > last_of_the_first

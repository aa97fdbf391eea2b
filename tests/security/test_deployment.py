"""What we ship to run the service: nginx, systemd units, pinned dependencies; and the service when something dies."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from elunum.crawl.run import _scrapy_settings
from elunum.index.build import build
from elunum.privacy.readers import exchange
from elunum.privacy.service import NGINX_CONF, nginx, nginx_refusal
from elunum.privacy.specimen import make
from elunum.settings import CHECKOUT, Settings
from tests.site.conftest import Server, serving

UNITS = CHECKOUT / "deploy" / "systemd"
needs_nginx = pytest.mark.skipif(bool(nginx_refusal()), reason="nginx is not installed")
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


# --- nginx -------------------------------------------------------------------------------------------------------


def _all_said(folder: Path, level: str) -> bytes:
    """What nginx writes in its error log at some level when it is asked bad things and its service is dead."""
    prefix = folder / "nginx"
    (prefix / "tmp").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("127.0.0.1", 0)) as dead:
        port, upstream = free.getsockname()[1], dead.getsockname()[1]
    conf = NGINX_CONF.read_text().replace("error_log /dev/null emerg;", f"error_log error.log {level};")
    (prefix / "nginx.conf").write_text(conf)
    (prefix / "upstream.conf").write_text(f"server 127.0.0.1:{upstream} max_fails=0;\n")
    (prefix / "listen.conf").write_text(f"listen 127.0.0.1:{port};\nserver_name localhost;\n")
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    command = [program, "-p", str(prefix), "-c", "nginx.conf", "-e", "/dev/null"]
    with subprocess.Popen([*command, "-g", f"daemon off; pid {prefix}/pid;"]) as process:
        for _ in range(50):
            if exchange(port, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "127.0.0.1").status:
                break
            time.sleep(0.1)
        for payload in (
            b"GET /recherche?q=zebrane HTTP/1.1\r\nHost: a\r\nReferer: http://zebrane/\r\nConnection: close\r\n\r\n",
            b"GET /" + b"zebrane" * 2_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
            b"zebrane / HTTP/1.1\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\nzebrane",
            b"GET /zebrane HTTP/1.1\r\nHost: a\r\nZebrane zebrane\r\n\r\n",
        ):
            exchange(port, payload, "127.77.66.55", leave_after=2)
        process.terminate()
    return (prefix / "error.log").read_bytes()


@needs_nginx
def test_the_error_log_of_nginx_names_readers_and_their_words_at_the_usual_level(tmp_path: Path) -> None:
    said = _all_said(tmp_path, "error")
    assert b"zebrane" in said
    assert b"127.77.66.55" in said


@needs_nginx
def test_the_level_we_ship_says_nothing_about_requests_even_when_it_is_sent_to_a_file(tmp_path: Path) -> None:
    assert _all_said(tmp_path, "emerg") == b""


@needs_nginx
def test_the_configuration_of_nginx_is_accepted_with_tls_as_it_ships(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificate to try TLS with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    (tmp_path / "tmp").mkdir()
    for name in ("nginx.conf", "upstream.conf", "listen.conf"):
        text = (NGINX_CONF.parent / name).read_text()
        text = text.replace("/etc/elunum/tls/fullchain.pem", str(certificate))
        (tmp_path / name).write_text(text.replace("/etc/elunum/tls/privkey.pem", str(key)))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    options = ["-t", "-p", str(tmp_path), "-c", "nginx.conf", "-e", "stderr", "-g", f"pid {tmp_path}/pid;"]
    done = subprocess.run([program, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- systemd -----------------------------------------------------------------------------------------------------


@needs_systemd
@pytest.mark.parametrize(("unit", "at_most"), [("serve", 1.2), ("proxy", 2.5), ("nightly", 1.4)])
def test_systemd_rates_the_exposure_of_each_unit_low(unit: str, at_most: float) -> None:
    command = ["systemd-analyze", "security", "--offline=true", str(UNITS / f"elunum-{unit}.service")]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"Overall exposure level.*?: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= at_most


@needs_systemd
def test_systemd_understands_every_line_of_the_units(tmp_path: Path) -> None:
    """What they do is seen under systemd itself by `make units`."""
    for path in UNITS.glob("elunum-*"):
        # Elunum is installed in /opt/elunum on no machine that runs this.
        (tmp_path / path.name).write_text(re.sub("^ExecStart=.*", "ExecStart=/bin/true", path.read_text(), flags=re.M))
    units = sorted(tmp_path.glob("*.*"))
    assert len(units) == 4
    done = subprocess.run(["systemd-analyze", "verify", *map(str, units)], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize(
    "line",
    ["IPAddressDeny=any", "IPAddressAllow=localhost", "ProtectSystem=strict", "NoNewPrivileges=yes", "LimitCORE=0",
     "PrivateTmp=yes", "MemorySwapMax=0", "Restart=always", "ReadOnlyPaths=/run", "InaccessiblePaths=/dev/shm"],
)  # fmt: skip
def test_the_unit_of_the_service_enforces_the_promise(line: str) -> None:
    assert line in (UNITS / "elunum-serve.service").read_text().splitlines()


# --- dependencies ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_every_dependency_is_pinned_with_a_hash_and_names_no_host(name: str) -> None:
    text = (CHECKOUT / name).read_text()
    entries = [entry for entry in re.split(r"\n(?=[a-zA-Z])", text) if entry and not entry.startswith("#")]
    assert len(entries) > 50
    for entry in entries:
        assert re.match(r"[\w.\[\]-]+==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry
    assert "://" not in text


def test_the_bill_of_materials_names_every_dependency_with_its_hashes(tmp_path: Path) -> None:
    """CycloneDX, as `make audit` writes it."""
    program = str(Path(sys.executable).with_name("cyclonedx-py"))
    command = [program, "requirements", str(CHECKOUT / "requirements.lock"), "-o", str(tmp_path / "sbom.json")]
    subprocess.run(command, check=True, capture_output=True)
    bill = json.loads((tmp_path / "sbom.json").read_text())
    pinned = set(re.findall(r"^([\w.-]+)(?:\[.*\])?==(\S+)", (CHECKOUT / "requirements.lock").read_text(), re.M))
    assert {(one["name"], one["version"]) for one in bill["components"]} == pinned
    for one in bill["components"]:
        told = [found["content"] for reference in one["externalReferences"] for found in reference.get("hashes", [])]
        assert told, one["name"]


def test_scrapy_listens_to_nobody_and_reports_to_nobody() -> None:
    settings = _scrapy_settings(Settings())
    assert not settings.getbool("REMOTE_CONTROL_ENABLED")
    assert not settings.getbool("TELNETCONSOLE_ENABLED")
    assert not settings.getbool("COOKIES_ENABLED")


# --- the service when something dies -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make(Settings(), tmp_path_factory.mktemp("service") / "var")


@contextmanager
def _asked(port: int) -> Iterator[Callable[[], Counter[int]]]:
    """Readers who search without pause for as long as the block lasts; call the result for their answers by status."""
    statuses: Counter[int] = Counter()
    over = threading.Event()
    healthy = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    while exchange(port, healthy, "127.0.0.1", leave_after=60).status != 200:
        time.sleep(0.1)

    def ask() -> None:
        while not over.is_set():
            payload = b"GET /recherche?q=eau HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            statuses[exchange(port, payload, "127.0.0.1").status] += 1

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()

    def ended() -> Counter[int]:
        over.set()
        for thread in threads:
            thread.join()
        return statuses

    try:
        yield ended
    finally:
        ended()


def _workers(server: Server) -> set[int]:
    """The processes that answer: the supervisor's children, but for multiprocessing's own helper."""
    found = set()
    for child in Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split():
        with suppress(FileNotFoundError):  # it ended since it was listed
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.add(int(child))
    return found


@needs_nginx
def test_a_worker_that_is_killed_is_replaced_and_no_reader_notices(settings: Settings, tmp_path: Path) -> None:
    with (
        serving(settings, "--workers", "2", ELUNUM_SITE_REQUESTS_PER_MINUTE="0") as server,
        nginx(server.port, tmp_path) as proxy,
        _asked(proxy.port) as asked,
    ):
        time.sleep(1)
        before = _workers(server)
        assert len(before) == 2
        os.kill(min(before), signal.SIGKILL)
        for _ in range(300):
            if len(_workers(server) - before) == 1:
                break
            time.sleep(0.1)
        assert len(_workers(server) - before) == 1
        time.sleep(2)
        statuses = asked()
    assert set(statuses) == {200}, statuses


def test_the_index_is_swapped_under_load_and_no_request_is_lost(settings: Settings) -> None:
    with serving(settings, "--workers", "2") as server, _asked(server.port) as asked:
        for _ in range(4):
            time.sleep(0.5)
            assert build(settings, full=True).swapped
        time.sleep(1)
        statuses = asked()
    assert set(statuses) == {200}, statuses

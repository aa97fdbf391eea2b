"""No command calls anyone: what the kernel says of connections and datagrams while each of them runs.

The serving processes are watched the same way by `elunum privacy-check` (tests/test_privacy_check.py)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from demo.serve import DemoWeb
from elunum.privacy import trace
from elunum.privacy.specimen import make
from elunum.settings import CHECKOUT, Settings

needs_strace = pytest.mark.skipif(not trace.available(), reason="strace is absent or may not trace here")
_ADDRESS = re.compile(r'(?:inet_addr\("|inet_pton\(AF_INET6, ")([^"]+)"')


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make(Settings(), tmp_path_factory.mktemp("egress") / "var")


def _called(log: Path) -> set[str]:
    """Addresses of other machines, and name servers wherever they are, that a trace shows."""
    found = set()
    for line in log.read_text(errors="replace").splitlines():
        if re.search(r"\b(connect|sendto|sendmsg|sendmmsg)\(", line) and (address := _ADDRESS.search(line)):
            if not address[1].startswith("127.") and address[1] != "::1":
                found.add(address[1])
            if "htons(53)" in line:
                found.add(f"name server {address[1]}")
    return found


def _environment(settings: Settings) -> dict[str, str]:
    # A home of its own: a list cached by an earlier run would hide its download.
    home = settings.data.parent / "home"
    return os.environ | {"ELUNUM_DATA": str(settings.data), "PYTHONPATH": str(CHECKOUT), "HOME": str(home)}


def _traced(log: Path, *words: str) -> list[str]:
    fast = ["--seccomp-bpf"] if "--seccomp-bpf" in trace.command(log) else []
    return ["strace", *fast, "-f", "-qqq", "-e", "trace=network", "-o", str(log), "--", sys.executable, *words]


@needs_strace
def test_a_call_would_be_seen(tmp_path: Path) -> None:
    """The test of the tests: a datagram to a name server is seen, and a connection on loopback is not counted."""
    code = (
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 53))\n"
        "s = socket.socket(); s.setblocking(False); s.connect_ex(('127.9.9.9', 9))\n"
        "socket.create_server(('127.0.0.1', 0))"
    )
    subprocess.run(_traced(tmp_path / "log", "-c", code), check=True, timeout=60)
    assert _called(tmp_path / "log") == {"name server 127.0.0.1"}
    assert "listen(" in (tmp_path / "log").read_text()


@needs_strace
@pytest.mark.parametrize("words", [["index", "--full"], ["search", "eau"], ["status"], ["sources", "stats"]])
def test_a_command_that_needs_no_network_calls_nobody(settings: Settings, tmp_path: Path, words: list[str]) -> None:
    log = tmp_path / "log"
    done = subprocess.run(
        _traced(log, "-m", "elunum", *words), env=_environment(settings), cwd=tmp_path, capture_output=True, timeout=250
    )
    assert done.returncode in (0, 1), done.stderr
    assert _called(log) == set()


@needs_strace
def test_the_crawler_listens_to_nobody_and_calls_only_what_it_visits(tmp_path: Path) -> None:
    """Scrapy's remote control and telnet would listen; a library that reports would call."""
    log, sources = tmp_path / "log", tmp_path / "sources.csv"
    sources.write_text("url,name,kind,insee,siren,departement,region\nhttp://www.albi.example/,Albi,autre,,,,\n")
    with DemoWeb() as web:
        environment = _environment(Settings(data=tmp_path / "var", sources=sources)) | {
            "ELUNUM_SOURCES": str(sources),
            "ELUNUM_CRAWL_CONNECT_TO": web.address,
            "ELUNUM_CRAWL_DELAY_S": "0",
        }
        done = subprocess.run(
            _traced(log, "-m", "elunum", "crawl"), env=environment, cwd=tmp_path, capture_output=True, timeout=250
        )
        assert done.returncode == 0, done.stderr
        assert len(web.requests) > 3
    traced = log.read_text(errors="replace")
    assert _called(log) == set()
    assert f"htons({web.address.rpartition(':')[2]})" in traced, "its visits are seen"
    assert "listen(" not in traced


def test_no_library_that_fetches_lists_is_left_to_its_defaults() -> None:
    """tldextract downloads the list of public suffixes at its first use, unless told not to."""
    users = [path for path in (CHECKOUT / "elunum").rglob("*.py") if "tldextract" in path.read_text()]
    for path in users:
        assert "suffix_list_urls=()" in path.read_text(), path

"""The real service, started as an operator starts it, under the eyes of strace, and nginx in front of it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from elunum.errors import SettingsError
from elunum.privacy import trace
from elunum.settings import CHECKOUT, Settings

NGINX_CONF = CHECKOUT / "deploy" / "nginx" / "nginx.conf"
START_S = 60.0
IN_HAND = 8
"""Requests a serving process takes in hand during the check, so that few readers overload it."""

STOP_S = 30.0

# Put on the path of the service's Python as `sitecustomize`, by this check alone: nothing in Elunum knows of it. A word
# that only the check knows makes the service fail in the middle of a search, as a bug would.
_FAULTS = """
import importlib.util, os, signal, sys, time
import elunum.search.request as request
_real = request.from_params
def from_params(pairs):
    pairs = list(pairs)
    words = " ".join(value for _, value in pairs)
    if {crash!r} in words:
        raise RuntimeError("failed on " + words)
    if {slow!r} in words:
        time.sleep(2)
    if {kill!r} in words:
        os.kill(os.getpid(), signal.SIGSEGV)
    return _real(pairs)
request.from_params = from_params
for folder in sys.path[1:]:
    other = os.path.join(folder, "sitecustomize.py")
    if folder != os.path.dirname(__file__) and os.path.exists(other):
        spec = importlib.util.spec_from_file_location("another_sitecustomize", other)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        break
"""


@dataclass(frozen=True, slots=True)
class Faults:
    """Words that make the service fail: raise, take its time, or die of a bad memory access."""

    crash: str
    slow: str
    kill: str


@dataclass
class Process:
    """A running program, what it says and where its trace is written."""

    name: str  # for the report, in French
    port: int
    popen: subprocess.Popen[bytes]
    log: Path | None
    said: bytearray = field(default_factory=bytearray)
    readers: list[threading.Thread] = field(default_factory=list)

    def pids(self) -> list[int]:
        """The process and all its descendants, without strace itself."""
        parents: dict[int, list[int]] = {}
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                text = status.read_text()
            except OSError:
                continue
            parents.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(status.parent.name))
        found, todo = [], [self.popen.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            todo += parents.get(pid, [])
        return found if self.log is None else found[1:]

    def stop(self) -> None:
        """End it as systemd does: SIGTERM, then SIGKILL."""
        pids = self.pids()
        if self.popen.poll() is None and pids:
            _signal(pids[0], signal.SIGTERM)
        try:
            self.popen.wait(STOP_S)
        except subprocess.TimeoutExpired:
            for pid in [*self.pids(), self.popen.pid]:
                _signal(pid, signal.SIGKILL)
            self.popen.wait()
        for reader in self.readers:
            reader.join(5)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


@contextmanager
def elunum(settings: Settings, folder: Path, faults: Faults, workers: int) -> Iterator[Process]:
    """`elunum serve` on a free loopback port. Raises SettingsError when it does not answer within START_S."""
    (folder / "sitecustomize.py").write_text(_FAULTS.format(crash=faults.crash, slow=faults.slow, kill=faults.kill))
    path = [str(folder), os.environ.get("PYTHONPATH", ""), str(CHECKOUT)]
    environment = os.environ | {
        "ELUNUM_DATA": str(settings.data.absolute()),
        "ELUNUM_SOURCES": str(settings.sources.absolute()),
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "ELUNUM_SITE_IN_HAND": str(IN_HAND),
        "PYTHONDONTWRITEBYTECODE": "1",  # as the unit we ship says: its folders are read-only
    }
    port = _free_port()
    command = [sys.executable, "-m", "elunum", "serve", "--host", "127.0.0.1", "--port", str(port)]
    with _running(
        "service (elunum serve)", [*command, "--workers", str(workers)], port, environment, folder
    ) as process:
        yield process


def nginx_refusal() -> str:
    """Why the proxy cannot be checked here, in French; empty when it can."""
    if shutil.which("nginx") is None and not Path("/usr/sbin/nginx").exists():
        return "nginx n’est pas installé sur cette machine"
    return "" if NGINX_CONF.exists() else "la configuration de nginx n’est pas auprès du programme installé"


@contextmanager
def nginx(upstream: int, folder: Path, conf: Path = NGINX_CONF, traced: bool = True) -> Iterator[Process]:
    """nginx with the configuration we ship, byte for byte, in front of a service's port; plain HTTP on a free port.

    traced: under strace, where there is one, which serves a crowd some fifteen times fewer requests.
    """
    prefix = folder / "nginx"
    (prefix / "tmp").mkdir(parents=True)
    prefix.chmod(0o755)  # its workers run as another user
    port = _free_port()
    shutil.copyfile(conf, prefix / "nginx.conf")
    server = f"server 127.0.0.1:{upstream} max_fails=0;\n"
    (prefix / "upstream.conf").write_text(server * 2)
    (prefix / "listen.conf").write_text(f"listen 127.0.0.1:{port};\nserver_name localhost;\n")
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    options = ["-p", str(prefix), "-c", "nginx.conf", "-e", "stderr", "-g", f"daemon off; pid {prefix}/pid;"]
    with _running("proxy (nginx)", [program, *options], port, dict(os.environ), folder, traced) as process:
        yield process


@contextmanager
def _running(
    name: str, command: list[str], port: int, environment: Mapping[str, str], folder: Path, traced: bool = True
) -> Iterator[Process]:
    log = folder / f"trace-{port}" if traced and trace.available() else None
    words = [*trace.command(log), *command] if log else command
    popen = subprocess.Popen(
        words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process = Process(name, port, popen, log)
    for stream in (popen.stdout, popen.stderr):
        assert stream is not None
        reader = threading.Thread(target=_drain, args=(stream, process.said), daemon=True)
        reader.start()
        process.readers.append(reader)
    try:
        _wait_until_it_answers(process)
        yield process
    finally:
        process.stop()


def _drain(stream: IO[bytes], into: bytearray) -> None:
    with stream:
        while block := os.read(stream.fileno(), 65_536):
            into += block


def _wait_until_it_answers(process: Process) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.popen.poll() is not None:
            break
        try:
            with socket.create_connection(("127.0.0.1", process.port), 5) as connection:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                if connection.recv(64).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            pass
        time.sleep(0.1)
    last = bytes(process.said).decode("utf-8", "replace").strip().splitlines()[-1:]
    raise SettingsError(f"privacy-check: {process.name} did not start: {last[0] if last else 'it said nothing'}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for the check's own files, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="elunum-privacy-check-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder

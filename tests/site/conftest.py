"""A real server over the demo web: crawled pages, real extraction, real index, `elunum serve` in its own process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
import pytest

from demo.pages import Web
from elunum.archive import ArchiveWriter
from elunum.index.build import build
from elunum.index.update import update
from elunum.model import Page
from elunum.settings import CHECKOUT, Settings
from elunum.sources import SourceList, read

SOURCES = CHECKOUT / "demo" / "sources.csv"


@pytest.fixture(scope="session")
def content(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a data folder that holds the demo web, indexed."""
    settings = Settings(data=tmp_path_factory.mktemp("site"), sources=SOURCES)
    with ArchiveWriter(settings.archive_dir, settings.archive) as archive:
        web = Web()
        for page in web.pages.values():
            answer = web.answer(page.host, page.path)
            if answer.status == 200 and not {"robots", "x-robots"} & set(page.head):
                url = f"http://{page.host}{page.path}"
                archive.write(Page(url, 200, answer.headers, answer.body, datetime(2026, 11, 20, tzinfo=UTC)))
    update(settings, SourceList(read(settings.sources)))
    build(settings)
    return settings


class Server:
    """A serving process, its address and everything it wrote."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        self.process = process
        self.written: list[str] = []
        for line in process.stderr:
            self.written.append(line)
            if "serving" in line:
                break
        else:
            raise AssertionError("".join(self.written))
        self.port = int(next(word for word in self.written[-1].split() if word.startswith("port="))[5:])
        self.base = f"http://127.0.0.1:{self.port}"
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.written.extend(self.process.stderr)

    def client(self, **options: object) -> httpx.Client:
        return httpx.Client(base_url=self.base, timeout=30, **options)  # type: ignore[arg-type]

    def stop(self) -> str:
        """Stop it as a service manager would; all it wrote on stderr and stdout."""
        self.process.send_signal(signal.SIGTERM)
        out = self.process.stdout.read() if self.process.stdout else ""
        self.process.wait(20)
        self._reader.join(5)
        return "".join(self.written) + out


@contextmanager
def serving(settings: Settings, *options: str, **variables: str) -> Iterator[Server]:
    """`elunum serve` on a free port, for as long as the block lasts."""
    environment = os.environ | {
        "ELUNUM_DATA": str(settings.data),
        "ELUNUM_SOURCES": str(settings.sources),
        "PYTHONPATH": str(CHECKOUT),
        **variables,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "elunum", "serve", "--port", "0", *options],
        env=environment,
        cwd=settings.data,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        server = Server(process)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()


@pytest.fixture(scope="session")
def server(content: Settings) -> Iterator[Server]:
    with serving(content, ELUNUM_SITE_DEMO="1") as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as open_client:
        yield open_client

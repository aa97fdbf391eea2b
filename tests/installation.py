"""A real installation over the demo web: what several files of tests share, made once a session (conftest.py)."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from demo.serve import DemoWeb
from elunum.settings import CHECKOUT


@dataclass(frozen=True)
class Installation:
    """A data folder, the demo web it crawls, and how commands are run on it."""

    web: DemoWeb
    environment: dict[str, str]

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "elunum", *words],
            env=os.environ | self.environment,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=240,
        )
        if check:
            assert done.returncode == 0, done.stderr
        return done

    def aside(self, data: Path, **variables: str) -> Installation:
        """The same settings with another data folder, and other variables."""
        return Installation(self.web, self.environment | {"ELUNUM_DATA": str(data)} | variables)

    @property
    def data(self) -> Path:
        return Path(self.environment["ELUNUM_DATA"])

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)


@contextmanager
def after_a_night(folder: Path) -> Iterator[Installation]:
    """An installation in a folder, after one night over a copy of the demo web, which tests may change."""
    shutil.copytree(CHECKOUT / "demo" / "web", folder / "web")
    with DemoWeb(folder=folder / "web") as web:
        made = Installation(
            web,
            {
                "ELUNUM_DATA": str(folder / "data"),
                "ELUNUM_SOURCES": str(CHECKOUT / "demo" / "sources.csv"),
                "ELUNUM_CRAWL_CONNECT_TO": web.address,
                "ELUNUM_CRAWL_DELAY_S": "0",
                "ELUNUM_CRAWL_REVISIT_MIN_DAYS": "0",
                "ELUNUM_CRAWL_REVISIT_MAX_DAYS": "0.000001",
            },
        )
        made.run("nightly")
        yield made


@contextmanager
def serving(installation: Installation, *words: str) -> Iterator[httpx.Client]:
    """The real server on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "elunum", "serve", "--port", str(port), *words],
        env=os.environ | installation.environment,
        cwd=CHECKOUT,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            for _ in range(300):
                try:
                    client.get("/healthz").raise_for_status()
                    break
                except httpx.HTTPError:
                    assert process.poll() is None, "the server ended"
                    time.sleep(0.1)
            yield client
    finally:
        process.terminate()
        assert process.wait(30) in (0, -signal.SIGTERM), "the server did not end cleanly"

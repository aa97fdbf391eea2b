"""Crawls of a simulated web, and what they left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from elunum.archive import read
from elunum.crawl.run import CrawlReport, crawl
from elunum.model import Record, Skipped, Source
from elunum.settings import CrawlSettings, Settings
from tests.web.server import Answer, Web


class Clock:
    """Seconds since 1970, moved by hand; it goes on by itself meanwhile."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead

    def days(self, days: float) -> None:
        self._ahead += days * 86_400


class Nights:
    """One data folder, crawled night after night."""

    def __init__(self, web: Web, folder: Path) -> None:
        self.web, self.folder, self.clock = web, folder, Clock()

    def settings(self, **crawl: Any) -> Settings:
        values = {"connect_to": self.web.address, "delay_s": 0.0, "timeout_s": 5.0, **crawl}
        return Settings(data=self.folder, crawl=CrawlSettings(**values))

    def __call__(self, *urls: str, hours: float | None = None, only: str = "", **crawl_settings: Any) -> CrawlReport:
        sources = [Source(url if "://" in url else f"http://{url}/", url, "commune") for url in urls]
        return crawl(self.settings(**crawl_settings), sources, hours=hours, only=only, clock=self.clock)

    def records(self) -> list[Record | Skipped]:
        return [record for record, _ in read(self.folder / "archive")]


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Callable[[Answer], Nights]]:
    """nights(answer) serves a web and returns what crawls it."""
    webs: list[Web] = []

    def begin(answer: Answer) -> Nights:
        web = Web(answer)
        web.__enter__()
        webs.append(web)
        return Nights(web, tmp_path / "var")

    yield begin
    for web in webs:
        web.__exit__(None, None, None)

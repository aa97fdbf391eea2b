"""Chromium as packaged by Debian, driven by Playwright, against a real server over the demo web."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, sync_playwright

from tests.site.conftest import Server
from tests.site.conftest import content as content
from tests.site.conftest import server as server

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

Open = Callable[..., BrowserContext]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Closed with the last test of this folder: Playwright keeps an event loop running, and the crawl needs its own."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed; `make browser` installs it")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def window(browser: Browser, server: Server) -> Iterator[Open]:
    """Opens windows on the site: `window(width=390, color_scheme="dark")`. They are closed after the test."""
    opened: list[BrowserContext] = []

    def open_one(width: int = 1280, height: int = 900, **options: object) -> BrowserContext:
        context = browser.new_context(
            base_url=server.base,
            viewport={"width": width, "height": height},
            **options,  # type: ignore[arg-type]
        )
        context.set_default_timeout(15_000)
        opened.append(context)
        return context

    yield open_one
    for context in opened:
        context.close()

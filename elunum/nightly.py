"""The night: crawl, extract, tag, index, checks, swap, report. The site goes on answering meanwhile."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from elunum import folder
from elunum.errors import ElunumError
from elunum.index.build import BuildReport, build
from elunum.index.update import UpdateReport, update
from elunum.search.checks import check_of
from elunum.settings import Settings
from elunum.sources import SourceList

log = logging.getLogger("elunum.nightly")

PAUSE_S = 5.0
"""Between two readings of what the crawler has archived so far."""

CRAWLER_GRACE_S = 60.0
"""A crawler asked to stop has this long to end its open requests before it is killed; its frontier survives both."""


@dataclass(frozen=True, slots=True)
class NightlyReport:
    """What one night did. Written to `nightly.json` in the data folder, shown by `elunum status`."""

    started_at: float  # seconds since 1970
    ended_at: float
    crawl_exit: int  # 0 done, else the crawler's exit code: the index is built from what it had fetched
    documents: UpdateReport
    index: BuildReport


def report_path(settings: Settings) -> Path:
    """Where the last night's report is kept."""
    return settings.data / "nightly.json"


def nightly(settings: Settings, sources: SourceList, crawl_options: list[str]) -> NightlyReport:
    """One night, whole. Killed at any moment, the next one goes on where it stood.

    crawl_options: words of `elunum crawl`. It runs as a process of its own: fetching and extraction share no memory
    and no Python lock, and a crawler that dies takes nothing with it.
    """
    started_at = time.time()
    check = check_of(settings)
    documents = UpdateReport()
    with _crawler(settings, crawl_options) as (crawler, stopped):
        while crawler.poll() is None and not stopped():
            part = update(settings, sources, stop=lambda: crawler.poll() is not None or stopped())
            documents = _together(documents, part)
            _wait(crawler, PAUSE_S)
        if stopped():
            raise ElunumError("stopped on request; run the same command again to go on")
    log.info("crawl_ended", extra={"exit": crawler.returncode})
    documents = _together(documents, update(settings, sources))
    index = build(settings, check=check)
    report = NightlyReport(started_at, time.time(), crawler.returncode, documents, index)
    folder.write_whole(report_path(settings), msgspec.json.encode(report))
    return report


@contextmanager
def _crawler(settings: Settings, options: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], bool]]]:
    """A crawler process that ends when this block does, and whether we were asked to stop."""
    asked: list[int] = []
    process = subprocess.Popen(
        [sys.executable, "-m", "elunum", "crawl", *options],
        env=os.environ | {"ELUNUM_DATA": str(settings.data)},
        stdout=subprocess.DEVNULL,  # its report is in `elunum status`
        preexec_fn=_end_with_parent,
    )
    before = {number: signal.signal(number, lambda n, _: asked.append(n)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield process, lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(CRAWLER_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


_LIBC = ctypes.CDLL(None)


def _end_with_parent() -> None:
    """PR_SET_PDEATHSIG, prctl(2): were the night killed, its crawler would hold the frontier until morning."""
    _LIBC.prctl(1, signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the night, which tells its crawler


def _together(before: UpdateReport, after: UpdateReport) -> UpdateReport:
    """Two updates of one night: what they did adds up, what stands at the end is what the later one says."""
    skipped = Counter(before.skipped) + Counter(after.skipped)
    done = {name: getattr(before, name) + getattr(after, name) for name in _DONE}
    return replace(after, skipped=dict(skipped), **done)


_DONE = ("read", "extracted", "unchanged", "removed", "changed")


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return

"""Two nights of a generated web through `elunum nightly`, every stage included; the frontier at full size; a bare loop.

    python -m bench.crawl [--hosts 35000] [--pages 2]

Prints tables in Markdown; pages/s were timed, not computed. Everything runs on this machine, the simulated web too: its
CPU is told apart, its time is not, so a crawler that has its cores for itself does more. `crawl.delay_s` is 0 here, for
a host of a few pages would be waited for, not measured. Between the two nights all that the frontier remembers becomes
a day older, and a tenth of the pages change.

With 35,000 hosts it takes some 25 minutes on two free cores and 3 GB of disk; with --hosts 1000, one or two.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.replica import Stage, run
from elunum.crawl.frontier import PARKED, Frontier, Kind
from elunum.crawl.run import CrawlReport, status
from elunum.crawl.scope import Scope
from elunum.model import Source
from elunum.settings import CrawlSettings, Settings
from elunum.urls import document_id
from tests.web.generated import name

KNOWN_PER_HOST = 57
"""Times 35,000 hosts: two million addresses."""


def sources(hosts: int) -> list[Source]:
    """The list of a generated web."""
    return [Source(f"http://{name(n)}/", name(n), "commune") for n in range(hosts)]


def measured(work: Callable[[], dict[str, float]]) -> dict[str, float]:
    """The figures of `work`, run in a process of its own, with its CPU seconds and its peak memory in MB."""
    end, begin = os.pipe()
    if not (pid := os.fork()):
        os.close(end)
        figures = work()
        os.write(begin, repr(figures).encode())
        os._exit(0)
    os.close(begin)
    with os.fdopen(end, "rb") as pipe:
        text = pipe.read().decode()
    _, _, usage = os.wait4(pid, 0)
    figures = {k: float(v) for k, v in (pair.split(": ") for pair in text.strip("{}").replace("'", "").split(", "))}
    return {**figures, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}


# --- the frontier alone ----------------------------------------------------------------------------------------------


def fill(path: Path, hosts: int) -> None:
    """A frontier as after many nights: every address known, a tenth of them due."""
    Frontier(path, CrawlSettings(), Scope(sources(hosts)), lambda url, reason: None).close(ended=True)
    db = sqlite3.connect(path)
    now = time.time()

    def rows() -> Iterator[tuple[object, ...]]:
        for id, host in db.execute("select id, name from hosts").fetchall():
            for page in range(KNOWN_PER_HOST):
                url = f"http://{host}/actualites/page-{page}"
                number = int(document_id(url), 16)
                doc = number - (1 << 64) if number >= 1 << 63 else number
                yield id, doc, url, now - 60 if page % 10 == 0 else now + 5 * 86_400

    db.executemany(
        "insert or ignore into urls (host, doc, url, kind, due, archived, every, fetched, etag) "
        f"values (?, ?, ?, 3, ?, 1, 2.0, {now - 3 * 86_400}, '\"0123456789abcdef\"')",
        rows(),
    )
    db.execute(f"update hosts set due = 0, known = {KNOWN_PER_HOST}, robots_at = {now}, robots_says = 'allow'")
    db.commit()
    db.close()


def frontier_at(path: Path, hosts: int, requests: int) -> dict[str, float]:
    """Start, then hand out requests and take their answers back, as the scheduler does."""
    scope = Scope(sources(hosts))
    before, began = time.process_time(), time.perf_counter()
    frontier = Frontier(path, CrawlSettings(delay_s=0.0), scope, lambda url, reason: None)
    start_s = time.perf_counter() - began
    handing = taking = opening = 0.0
    done = 0
    while done < requests:
        at = time.process_time()
        for host in frontier.to_open():
            frontier.place(host, host.name)
        opening += time.process_time() - at
        at = time.process_time()
        visit = frontier.next()
        handing += time.process_time() - at
        if visit is None:
            break
        at = time.process_time()
        if visit.kind is Kind.ROBOTS:
            frontier.robots(visit, 404, b"", 0.1)
        elif visit.kind is Kind.RESERVED:
            frontier.reserved(visit, None, 0.1, None, None)
        else:
            frontier.unchanged(visit, 0.1)
        taking += time.process_time() - at
        done += 1
    return {
        "start_s": start_s,
        "start_cpu_s": time.process_time() - before - handing - taking - opening,
        "requests": done,
        "handing_us": handing / max(done, 1) * 1e6,
        "opening_us": opening / max(done, 1) * 1e6,
        "taking_us": taking / max(done, 1) * 1e6,
    }


def listed(folder: Path, hosts: int) -> Path:
    """A sources.csv of the generated web."""
    path = folder / f"{hosts}.csv"
    rows = "".join(f"http://{name(n)}/,{name(n)},commune,,,,\n" for n in range(hosts))
    path.write_text("url,name,kind,insee,siren,departement,region\n" + rows)
    return path


def frontiers(folder: Path, hosts: int) -> None:
    """The frontier with many addresses, beside one with few; and the command that opens it."""
    print(f"| frontier, {KNOWN_PER_HOST} addresses a host | 100 hosts | {hosts:,} hosts |\n| --- | --- | --- |")
    both = []
    for count in (100, hosts):
        data = folder / f"frontier-{count}"
        data.mkdir()
        fill(data / "frontier.sqlite", count)
        command = run(
            "start", ["crawl", "--sources", str(listed(folder, count)), "--hours", "0"], {"ELUNUM_DATA": str(data)}
        )
        got = measured(lambda data=data, count=count: frontier_at(data / "frontier.sqlite", count, 20_000))  # type: ignore[misc]
        both.append((command, got))
    rows: list[tuple[str, Callable[[Stage, dict[str, float]], str]]] = [
        ("`elunum crawl --hours 0`, from the start of Python to its end, s", lambda run, got: f"{run.wall_s:.1f}"),
        ("its CPU, s", lambda run, got: f"{run.cpu_s:.1f}"),
        ("opening the frontier alone, s CPU", lambda run, got: f"{got['start_cpu_s']:.2f}"),
        ("memory of the command, MB", lambda run, got: f"{run.peak_mb:.0f}"),
        ("memory of the frontier after 20,000 requests, MB", lambda run, got: f"{got['peak_mb']:.0f}"),
        ("handing out one request, µs CPU", lambda run, got: f"{got['handing_us']:.0f}"),
        ("opening its host, shared among the requests to it, µs CPU", lambda run, got: f"{got['opening_us']:.0f}"),
        ("writing a result, µs CPU", lambda run, got: f"{got['taking_us']:.0f}"),
    ]
    for label, figure in rows:
        print(f"| {label} | " + " | ".join(figure(*one) for one in both) + " |", flush=True)


# --- nights --------------------------------------------------------------------------------------------------------


@contextmanager
def generated(hosts: int, pages: int) -> Iterator[tuple[str, int]]:
    """The generated web in a process of its own; gives its address and the number of its process."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.web.generated", "--hosts", str(hosts), "--pages", str(pages)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        yield f"127.0.0.1:{int(server.stdout.readline())}", server.pid
    finally:
        server.kill()
        server.communicate()


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Crawler(threading.Thread):
    """Watches the crawler that a night starts: its CPU seconds and its peak memory, to a quarter of a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.cpu_s = self.peak_mb = 0.0
        self._over = threading.Event()

    def run(self) -> None:
        """Until `end`."""
        pid = 0
        while not self._over.wait(0.25):
            with suppress(OSError, IndexError):
                pid = pid or next(iter(self._crawlers()), 0)
                if pid:
                    self.cpu_s = cpu_s(pid)
                    told = Path(f"/proc/{pid}/status").read_text()
                    self.peak_mb = int(told.partition("VmHWM:")[2].split()[0]) / 1024

    def end(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()

    @staticmethod
    def _crawlers() -> Iterator[int]:
        ours, mine = os.getpid(), b"elunum\0crawl\0"
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mine in (folder / "cmdline").read_bytes() and _descends(int(folder.name), ours):
                    yield int(folder.name)


def _descends(pid: int, ancestor: int) -> bool:
    while pid > 1 and pid != ancestor:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid == ancestor


@dataclass(frozen=True)
class Night:
    """One night, whole."""

    whole: Stage
    crawl: CrawlReport
    crawl_cpu_s: float
    crawl_mb: float
    web_cpu_s: float

    @property
    def pages(self) -> int:
        """Pages fetched, unchanged ones included."""
        return self.crawl.new + self.crawl.changed + self.crawl.unchanged


def night(address: str, web: int, folder: Path, hosts: int) -> Night:
    """`elunum nightly` over all the hosts."""
    environment = {"ELUNUM_DATA": str(folder), "ELUNUM_CRAWL_CONNECT_TO": address, "ELUNUM_CRAWL_DELAY_S": "0"}
    before, crawler = cpu_s(web), Crawler()
    crawler.start()
    try:
        whole = run("night", ["nightly", "--sources", str(folder.parent / f"{hosts}.csv")], environment)
    finally:
        crawler.end()
    return Night(whole, status(Settings(data=folder)), crawler.cpu_s, crawler.peak_mb, cpu_s(web) - before)


def a_day_later(folder: Path) -> None:
    """Make all that the frontier remembers a day older."""
    with sqlite3.connect(folder / "frontier.sqlite") as db:
        db.execute("update urls set due = due - 86400 where due < ?", (PARKED / 2,))
        db.execute("update urls set fetched = fetched - 86400 where fetched > 0")
        db.execute("update hosts set due = due - 86400, free_at = free_at - 86400, robots_at = robots_at - 86400")
        db.execute("update runs set started = started - 86400, seen = seen - 86400, ended = ended - 86400")
    db.close()


def bare(address: str, hosts: int, pages: int) -> dict[str, float]:
    """The ceiling: the pages of the first night by aiohttp with nothing around it."""

    async def run() -> int:
        done = 0
        todo = iter((n, page) for n in range(hosts) for page in range(pages))

        async def worker(session: aiohttp.ClientSession) -> None:
            nonlocal done
            for number, page in todo:
                path = f"p{page}" if page else ""
                async with session.get(f"http://{address}/{path}", headers={"Host": name(number)}) as got:
                    await got.read()
                done += 1

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(worker(session) for _ in range(100)))
        return done

    began = time.perf_counter()
    done = asyncio.run(run())
    wall = time.perf_counter() - began
    return {"pages": done, "wall_s": wall, "per_s": done / wall}


def nights(folder: Path, hosts: int, pages: int) -> None:
    """Two of them, and the bare loop."""
    with generated(hosts, pages) as (address, web):
        first = night(address, web, folder / "nights", hosts)
        a_day_later(folder / "nights")
        urllib.request.urlopen(f"http://{address}/__night").read()
        second = night(address, web, folder / "nights", hosts)
        ceiling = measured(lambda: bare(address, hosts, pages))
    both = (first, second)

    def each(of: Callable[[Night], float], digits: int = 2) -> list[str]:
        return [f"{of(one):.{digits}f}" for one in both]

    loop_ms = ceiling["cpu_s"] * 1000 / ceiling["pages"]
    rows = [
        ("pages fetched", [f"{one.pages:,}" for one in both], f"{ceiling['pages']:,.0f}"),
        ("of which unchanged, %", each(lambda one: 100 * one.crawl.unchanged / one.pages, 0), ""),
        ("requests, lists and robots.txt too", [f"{one.crawl.requests:,}" for one in both], ""),
        ("wall, `elunum nightly` from start to report, s",
         each(lambda one: one.whole.wall_s, 0), f"{ceiling['wall_s']:.0f}"),
        ("of which until its crawl ended, s", each(lambda one: one.crawl.seconds, 0), ""),
        ("**pages/s, all stages, timed**",
         each(lambda one: one.pages / one.whole.wall_s, 0), f"{ceiling['per_s']:.0f}"),
        ("CPU of the crawler, ms a page", each(lambda one: one.crawl_cpu_s * 1000 / one.pages), f"{loop_ms:.2f}"),
        ("and a request", each(lambda one: one.crawl_cpu_s * 1000 / one.crawl.requests), f"{loop_ms:.2f}"),
        ("CPU of extraction, tags and index, ms a page",
         each(lambda one: (one.whole.cpu_s - one.crawl_cpu_s) * 1000 / one.pages), ""),
        ("CPU of the simulated web, ms a page", each(lambda one: one.web_cpu_s * 1000 / one.pages), ""),
        ("peak memory of the crawler, MB", each(lambda one: one.crawl_mb, 0), f"{ceiling['peak_mb']:.0f}"),
        ("of the largest process, MB", each(lambda one: one.whole.peak_mb, 0), ""),
    ]  # fmt: skip
    print(f"\n| {hosts:,} hosts of {pages} pages, no delay | first night | second night | bare aiohttp |")
    print("| --- | --- | --- | --- |")
    for label, figures, loop in rows:
        print(f"| {label} | {' | '.join(figures)} | {loop} |")
    for one in both:
        print(json.dumps(one.whole.report)[:1500], file=sys.stderr)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=35_000)
    parser.add_argument("--pages", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        frontiers(Path(temporary), options.hosts)
        nights(Path(temporary), options.hosts, options.pages)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()

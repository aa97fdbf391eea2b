"""What a night costs: the frontier at full size, a crawl of a generated web, a bare aiohttp loop; then all stages.

    python -m bench.crawl [--hosts 35000] [--pages 5] [--seconds 60] [--indexed 1000]

Everything runs on this machine, the simulated web included: compare the columns of one run, not two runs. `seconds`
bounds each night; what is not reached then is left, as with `elunum crawl --hours`. `indexed` hosts go through the
commands themselves, crawl and index, for three nights: the last two change a tenth of the pages.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from bench.replica import run
from elunum.crawl.frontier import Frontier, Kind
from elunum.crawl.run import crawl
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


# --- a crawl -----------------------------------------------------------------------------------------------------


@contextmanager
def generated(hosts: int, pages: int) -> Iterator[str]:
    """The generated web in a process of its own; gives its address."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.web.generated", "--hosts", str(hosts), "--pages", str(pages)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        yield f"127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.kill()
        server.communicate()


def night(address: str, folder: Path, hosts: int, seconds: float, days: float) -> dict[str, float]:
    """One night of `seconds` at most, `days` after today."""
    settings = Settings(data=folder, crawl=CrawlSettings(connect_to=address, delay_s=0.0))
    report = crawl(settings, sources(hosts), hours=seconds / 3600, clock=lambda: time.time() + days * 86_400)
    return {"requests": report.requests, "pages": report.new + report.changed + report.unchanged,
            "unchanged": report.unchanged, "wall_s": report.seconds, "per_s": report.pages_per_s}  # fmt: skip


def bare(address: str, hosts: int, pages: int, seconds: float) -> dict[str, float]:
    """The ceiling: the same requests by aiohttp with nothing around it."""

    async def run() -> int:
        done = 0
        todo = iter((n, page) for n in range(hosts) for page in range(pages))
        until = time.monotonic() + seconds

        async def worker(session: aiohttp.ClientSession) -> None:
            nonlocal done
            for number, page in todo:
                if time.monotonic() > until:
                    return
                async with session.get(f"http://{address}/p{page}", headers={"Host": name(number)}) as got:
                    await got.read()
                done += 1

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(worker(session) for _ in range(100)))
        return done

    began = time.perf_counter()
    done = asyncio.run(run())
    wall = time.perf_counter() - began
    return {"requests": done, "wall_s": wall, "per_s": done / wall}


# --- all stages ----------------------------------------------------------------------------------------------------


def stages(address: str, folder: Path, hosts: int) -> None:
    """Three nights through `elunum crawl` and `elunum index`, every process of theirs counted."""
    listed = folder / "sources.csv"
    rows = "".join(f"http://{name(n)}/,{name(n)},commune,,,,\n" for n in range(hosts))
    listed.write_text("url,name,kind,insee,siren,departement,region\n" + rows)
    environment = {
        "ELUNUM_DATA": str(folder / "stages"),
        "ELUNUM_CRAWL_CONNECT_TO": address,
        "ELUNUM_CRAWL_DELAY_S": "0",
        "ELUNUM_CRAWL_REVISIT_MIN_DAYS": "0",
    }
    print(f"\n{'all stages':14} pages  unchanged   crawl + index = CPU ms a page   pages/s that two cores give")
    for night in ("first night", "second night", "third night"):
        crawled = run("crawl", ["crawl", "--sources", str(listed)], environment)
        indexed = run("index", ["index", "--sources", str(listed)], environment)
        # What starting them costs, which a night does once.
        idle_crawl = run("crawl", ["crawl", "--sources", str(listed), "--hours", "0"], environment)
        idle_index = run("index", ["index", "--sources", str(listed)], environment)
        seen = {name: int(crawled.report[name]) for name in ("new", "changed", "unchanged")}
        pages = sum(seen.values())
        crawl_ms = (crawled.cpu_s - idle_crawl.cpu_s) * 1000 / pages
        index_ms = (indexed.cpu_s - idle_index.cpu_s) * 1000 / pages
        # One process crawls while others extract: neither may take longer than its own share of two cores.
        given = 1000 / max(crawl_ms, (crawl_ms + index_ms) / 2)
        share = 100 * seen["unchanged"] / pages
        print(
            f"{night:14} {pages:5} {share:8.0f} % {crawl_ms:7.2f} + {index_ms:5.2f} = {crawl_ms + index_ms:5.2f} "
            f"{given:36.0f}",
            flush=True,
        )
        urllib.request.urlopen(f"http://{address}/__night").read()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=35_000)
    parser.add_argument("--pages", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--indexed", type=int, default=1_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        print(
            f"frontier ({KNOWN_PER_HOST} addresses a host)   start s   open us   hand out us   take back us   peak MB"
        )
        for hosts in (100, options.hosts):
            path = folder / f"{hosts}.sqlite"
            fill(path, hosts)
            got = measured(lambda path=path, hosts=hosts: frontier_at(path, hosts, 20_000))  # type: ignore[misc]
            print(
                f"{hosts:8} hosts {got['start_s']:24.2f} {got['opening_us']:9.1f} {got['handing_us']:13.1f} "
                f"{got['taking_us']:14.1f} {got['peak_mb']:9.0f}"
            )
        with generated(options.hosts, options.pages) as address:
            print("\ncrawl                 requests    per s   CPU ms each   peak MB      (CPU of the start left out)")
            idle = [measured(lambda: night(address, folder / "var", options.hosts, 0.0, 0)) for _ in range(2)][1]
            first = measured(lambda: night(address, folder / "var", options.hosts, options.seconds, 0))
            urllib.request.urlopen(f"http://{address}/__night").read()
            second = measured(lambda: night(address, folder / "var", options.hosts, options.seconds, 1))
            ceiling = measured(lambda: bare(address, options.hosts, options.pages, options.seconds / 2))
            for label, got in (("first night", first), ("second night", second), ("bare aiohttp", ceiling)):
                starting = 0.0 if label == "bare aiohttp" else idle["cpu_s"]
                each = (got["cpu_s"] - starting) * 1000 / max(got["requests"], 1)
                print(f"{label:18} {got['requests']:11.0f} {got['per_s']:8.1f} {each:13.2f} {got['peak_mb']:9.0f}")
        with generated(options.indexed, options.pages) as address:
            stages(address, folder, options.indexed)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()

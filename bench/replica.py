"""Real French pages, whole: crawl the archived web, index it, crawl it again, import it without crawling.

    make bench-replica            prints pages/s, CPU ms per page by stage and peak memory

What the crawl archived is also imported elsewhere and indexed by another number of processes: its documents must be the
same byte for byte; otherwise it exits with 1.

Needs ../shared (or ELUNUM_SHARED); says so and exits with 2 where it is absent.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("ELUNUM_SHARED", CHECKOUT.parent / "shared"))


@dataclass(frozen=True)
class Stage:
    """One command, as a whole process tree."""

    name: str
    wall_s: float
    cpu_s: float
    peak_mb: float  # of its largest process
    report: Any

    def row(self, pages: int) -> str:
        """A line of the table, per page."""
        rate = pages / self.wall_s if self.wall_s else 0.0
        return (
            f"{self.name:24} {pages:6d} {self.wall_s:8.1f} {rate:8.1f} "
            f"{self.cpu_s * 1000 / max(pages, 1):10.2f} {self.peak_mb:8.0f}"
        )


_WHOLE_TREE = """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER, prctl(2): processes that outlive their parent become ours
code = subprocess.call([sys.executable, "-m", "elunum", *sys.argv[1:]])
try:
    while True:
        os.wait()
except ChildProcessError:
    sys.exit(code)
"""
"""Runs a command and waits for every process it leaves: extraction workers end after it, and their time counts."""


def run(name: str, words: list[str], environment: dict[str, str]) -> Stage:
    """Run `elunum WORDS --json`, with its wall and CPU seconds and its peak memory."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        [sys.executable, "-c", _WHOLE_TREE, *words, "--json"], env=os.environ | environment, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process.stdout:
        output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"`elunum {' '.join(words)}` ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Stage(name, time.perf_counter() - started, cpu_s, usage.ru_maxrss / 1024, json.loads(output or b"{}"))


@contextmanager
def replica(folder: Path | None = None) -> Iterator[tuple[str, Path]]:
    """The archived web on a free loopback port: its address, and a sources.csv of its hosts."""
    script = SHARED / "replica" / "serve.py"
    extra = ["--folder", str(folder)] if folder else []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    listed = subprocess.run(
        [sys.executable, str(script), "--sources", *extra], capture_output=True, text=True, check=True
    ).stdout.splitlines()[1:]
    server = subprocess.Popen(
        [sys.executable, str(script), "--port", str(port), *extra], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        server.stdout.readline()
        with tempfile.TemporaryDirectory() as made:
            sources = Path(made) / "sources.csv"
            rows = sorted(f"{line.split(',')[0]},{line.split(',')[1]},autre,,,," for line in listed)
            sources.write_text("url,name,kind,insee,siren,departement,region\n" + "\n".join(rows) + "\n")
            yield f"127.0.0.1:{port}", sources
    finally:
        server.terminate()
        server.communicate()


def requests_seen(address: str) -> dict[str, int]:
    """What the replica was asked: "host status" -> number of requests."""
    request = urllib.request.Request(f"http://{address}/__stats", headers={"Host": "control"})
    with urllib.request.urlopen(request) as answer:
        seen: dict[str, int] = json.load(answer)
    return seen


def by_status(seen: dict[str, int]) -> dict[int, int]:
    """Requests by status, whatever the host."""
    totals: dict[int, int] = {}
    for name, count in seen.items():
        status = int(name.rsplit(" ", 1)[1])
        totals[status] = totals.get(status, 0) + count
    return totals


def contents(data: Path) -> list[tuple[object, ...]]:
    """All that the documents store of a data folder holds for readers, as bytes."""
    with closing(sqlite3.connect(data / "documents.sqlite")) as db:
        return db.execute("select id, seen, body from documents where body is not null order by id").fetchall()


def main() -> None:
    """Print the table."""
    if not (SHARED / "data" / "web").is_dir():
        print(f"the real archives are not at {SHARED}; set ELUNUM_SHARED", file=sys.stderr)
        raise SystemExit(2)
    with replica() as (address, sources), tempfile.TemporaryDirectory() as data:
        environment = {
            "ELUNUM_DATA": data,
            "ELUNUM_CRAWL_CONNECT_TO": address,
            "ELUNUM_CRAWL_DELAY_S": "0",
            "ELUNUM_CRAWL_REVISIT_MIN_DAYS": "0",
            "ELUNUM_CRAWL_REVISIT_MAX_DAYS": "0.000001",
        }
        crawl = run("crawl", ["crawl", "--sources", str(sources)], environment)
        first = by_status(requests_seen(address))
        pages = first.get(200, 0)
        index = run("extract, tag, index", ["index", "--sources", str(sources)], environment)
        with tempfile.TemporaryDirectory() as other:
            elsewhere = {"ELUNUM_DATA": other, "ELUNUM_EXTRACT_WORKERS": "3"}
            own = sorted(str(path) for path in Path(data, "archive").glob("*.warc.gz"))
            run("import of the crawl", ["import", *own], elsewhere)
            run("its index", ["index", "--full", "--sources", str(sources)], elsewhere)
            same = contents(Path(data)) == contents(Path(other))
        again = run("second crawl", ["crawl", "--sources", str(sources)], environment)
        second = {s: n - first.get(s, 0) for s, n in by_status(requests_seen(address)).items()}
        reindex = run("second index", ["index", "--sources", str(sources)], environment)
        with tempfile.TemporaryDirectory() as other:
            archives = sorted(str(path) for path in (SHARED / "data" / "web").glob("*.warc.gz"))
            imported = run("import", ["import", *archives], {"ELUNUM_DATA": other})
            offline = run("index of the import", ["index", "--sources", str(sources)], {"ELUNUM_DATA": other})
        print(f"{'stage':24} {'pages':>6} {'seconds':>8} {'pages/s':>8} {'CPU ms/page':>10} {'peak MB':>8}")
        for stage in (crawl, index, again, reindex, imported, offline):
            print(stage.row(pages))
        print(f"answers of the first crawl by status: {first}")
        print(f"answers of the second crawl by status: {second}")
        print(f"documents of the crawl and of its import: {'the same, byte for byte' if same else 'NOT THE SAME'}")
        print(f"index: {json.dumps(index.report)[:2000]}")
        print(f"second index: {json.dumps(reindex.report)[:2000]}")
    if not same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()

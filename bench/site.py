"""What an answer costs: processor time and throughput of the site, beside a hello-world of the same stack.

`python -m bench.site [DOCUMENTS]` builds an index of made-up documents (20,000 by default), serves it with one then two
workers, and asks with 8 clients. Ratios are what to read; absolute figures depend on the machine.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx

from elunum import geo
from elunum.index.build import serve_documents
from elunum.index.tags import load_referentiel
from elunum.model import Document, DocumentType, Search, Source, Tag, Why
from elunum.search.engine import open_engine
from elunum.settings import CHECKOUT, Settings
from elunum.urls import document_id

SECONDS = 4.0
CLIENTS = 8
HELLO = """
import sys
import uvicorn
from fastapi import FastAPI
from starlette.responses import Response
app = FastAPI(openapi_url=None)
app.add_route("/", lambda request: Response(b"hello"))
uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="error")
"""


def documents(count: int) -> Iterator[Document]:
    """Made-up pages of real communes: words drawn by rank (Zipf), dates, tags."""
    draw = random.Random(1)
    words = [f"{a}{b}{c}" for a in ("ba", "co", "di", "fe", "lu") for b in ("ma", "ri", "to") for c in range(200)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    communes = draw.sample(list(geo.load().all("commune")), 500)
    enjeux = list(load_referentiel().enjeux)
    types: tuple[DocumentType, ...] = ("html", "html", "html", "pdf")
    for number in range(count):
        place = draw.choice(communes)
        text = " ".join(draw.choices(words, weights, k=300))
        url = f"https://{place.code.lower()}.example/{number}"
        yield Document(
            id=document_id(url),
            url=url,
            title=" ".join(draw.choices(words, weights, k=6)),
            text=text,
            date=date(2015, 1, 1) + timedelta(days=draw.randrange(4000)),
            fetched_at=datetime.now(UTC),
            lang="fr",
            type=draw.choice(types),
            size=10_000,
            source=Source(f"https://{place.code.lower()}.example/", place.name, "commune", insee=place.code),
            enjeux=(Tag(draw.choice(enjeux), "", 0.9, (Why(words[0], "body", 2),)),),
        )


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[tuple[int, str]]:
    """A server and its address, once it answers."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([*command, str(port)], env=os.environ | environment, stderr=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                httpx.get(base + "/", timeout=5)
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield process.pid, base
    finally:
        process.terminate()
        process.wait(30)


def cpu_s(pid: int) -> float:
    """Processor seconds used by a process and its children, from /proc (proc(5))."""
    total = 0
    for number in [pid, *(int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


async def ask(base: str, paths: list[str]) -> list[float]:
    """Latencies of what CLIENTS clients could ask in SECONDS, seconds. An answer other than 200 stops the measure."""
    taken: list[float] = []
    until = time.perf_counter() + SECONDS

    async def one(client: httpx.AsyncClient, draw: random.Random) -> None:
        while time.perf_counter() < until:
            started = time.perf_counter()
            answer = await client.get(base + draw.choice(paths))
            answer.raise_for_status()
            taken.append(time.perf_counter() - started)

    async with httpx.AsyncClient(headers={"accept-encoding": "gzip"}, timeout=30) as client:
        await asyncio.gather(*(one(client, random.Random(n)) for n in range(CLIENTS)))
    return taken


def measure(pid: int, base: str, paths: list[str]) -> tuple[float, float, float, float]:
    """Requests/s, processor ms per request, median and 99th percentile of the latency in ms."""
    before, started = cpu_s(pid), time.perf_counter()
    taken = sorted(asyncio.run(ask(base, paths)))
    seconds, used = time.perf_counter() - started, cpu_s(pid) - before
    count = len(taken)
    return count / seconds, used * 1000 / count, taken[count // 2] * 1000, taken[int(count * 0.99)] * 1000


def main(count: int) -> int:
    """Print a line for each kind of answer, then the ratios."""
    queries = [f"{a}ma{n}" for a in ("ba", "co", "di", "fe", "lu") for n in range(12)]
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder), sources=CHECKOUT / "demo" / "sources.csv")
        serve_documents(settings, documents(count))
        engine = open_engine(settings)
        engine.search(Search(q=queries[0]))
        started = time.process_time()
        for query in queries:
            engine.search(Search(q=query))
        search_ms = (time.process_time() - started) * 1000 / len(queries)
        print(f"{'the search itself':28} {'':>12} {search_ms:8.2f} ms of processor")
        costs = {}
        environment = {"ELUNUM_DATA": folder, "ELUNUM_SOURCES": str(settings.sources), "PYTHONPATH": str(CHECKOUT)}
        with running([sys.executable, "-c", HELLO], environment) as (pid, base):
            costs["hello"] = show("hello-world", measure(pid, base, ["/"]))
        for workers in (1, 2):
            command = [sys.executable, "-m", "elunum", "serve", "--workers", str(workers), "--port"]
            with running(command, environment) as (pid, base):
                for name, path in (("page", "/recherche"), ("json", "/api/v1/search"), ("feed", "/recherche.atom")):
                    found = measure(pid, base, [f"{path}?q={query}" for query in queries])
                    costs[f"{name} {workers}"] = show(f"{name}, {workers} worker(s)", found)
        page = costs["page 1"]
        print(f"a page costs {page / search_ms:.1f} times its search and {page / costs['hello']:.0f} hello-worlds")
    return 0


def show(name: str, found: tuple[float, float, float, float]) -> float:
    """Print a measure; its processor ms per request."""
    rate, cpu_ms, median, slow = found
    print(
        f"{name:28} {rate:8.0f} r/s {cpu_ms:8.2f} ms of processor, median {median:.1f} ms, p99 {slow:.1f} ms",
        flush=True,
    )
    return cpu_ms


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))

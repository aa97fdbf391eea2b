"""Readers who mean harm, by the hundred thousand: no 5xx, no hang, no growth of memory; and what others wait meanwhile.

`python -m bench.hostile [REQUESTS]` (100,000 by default) serves a tiny index, sends random requests made of what breaks
programs, keeps half-open and slow connections at the same time, and prints the answers by status, the memory of the
serving processes before and after, and the latency of well-behaved readers alone and meanwhile.
"""

from __future__ import annotations

import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from elunum.privacy.readers import exchange
from elunum.privacy.specimen import make
from elunum.settings import CHECKOUT, Settings

PATHS = (
    "/", "/recherche", "/recherche.csv", "/recherche.ods", "/recherche.atom", "/recherche.geojson", "/enjeux",
    "/sources", "/collectivites/68278", "/collectivites/", "/carte", "/arbre", "/api/v1/search",
    "/api/v1/suggest", "/communes", "/api/v1/similar/0123456789abcdef", "/api/v1/sources",
    "/similaires/0123456789abcdef", "/pourquoi", "/note", "/selection.csv", "/metrics", "/healthz",
    "/opensearch.xml", "/robots.txt", "/static/elunum.css", "/static/../app.py",
)  # fmt: skip
NAMES = (
    "q", "enjeu", "combine", "service", "label", "kind", "commune", "epci", "departement", "region", "population_min",
    "like", "type", "population_max", "lang", "since", "until", "site", "sort", "one_per", "page", "size",
    "id", "aller", "nom", "", "q[]",
)  # fmt: skip
VALUES = (
    "", "eau", "l'école", "a" * 900, "a " * 400, '"' * 99, "(" * 500, ")" * 500,
    "((eau OR budget) AND -(cantine))", "-" * 300, "\x00", "\ud7ff", "\ufffe", "\u202e", "😀" * 200, "%",
    "%00", "%ff%fe", "../../etc/passwd", "<script>", "{{7*7}}", "' or 1=1--", "$" * 40, "title:eau", "*",
    "*:*", "eau~2", "eau^9", "/e.*u/", "[a TO z]", "NaN", "-1", "0", "1", "10", "99999999999999999999",
    "1e309", "2024-02-30", "9999-12-31", "0000-00-00", "68278", "2A004", "pertinence", "date", "html", "fr",
    "\r\nX: y", "\n", "\t", "eau OU budget", "site:ville.example", "\u0301" * 300, "ﬁ" * 50, "ß" * 100,
    "\u0131" * 50, "İ" * 50,
)  # fmt: skip


@dataclass
class Report:
    """What a crowd of hostile requests was answered."""

    answers: Counter[int] = field(default_factory=Counter)  # by status; 0 for none
    hung: int = 0  # no end within WAIT_S
    errors: list[str] = field(default_factory=list)  # requests that got a 5xx other than 503


WAIT_S = 20.0


def payloads(seed: int) -> Iterator[bytes]:
    """Hostile requests, without end, the same for the same seed."""
    draw = random.Random(seed)
    while True:
        pairs = "&".join(
            f"{quote(draw.choice(NAMES))}={quote(draw.choice(VALUES), errors='replace')}"
            for _ in range(draw.randrange(6))
        )
        path, method = draw.choice(PATHS), draw.choice(("GET",) * 6 + ("POST", "HEAD", "PUT", "OPTIONS", "TRACE"))
        body = pairs.encode() if method == "POST" else b""
        target = path if body else f"{path}?{pairs}"
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close"]
        if body:
            lines += [f"Content-Length: {len(body)}", "Content-Type: application/x-www-form-urlencoded"]
        whole = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        if draw.random() < 0.1:  # and what is not even a request
            at = draw.randrange(len(whole))
            whole = whole[:at] + draw.randbytes(draw.randrange(1, 30)) + whole[at + draw.randrange(9) :] + b"\r\n\r\n"
        yield whole


def fuzz(port: int, count: int, seed: int, clients: int = 8) -> Report:
    """Send so many hostile requests."""
    report = Report()
    waiting = payloads(seed)
    batch = [next(waiting) for _ in range(count)]

    def send(payload: bytes) -> tuple[int, float]:
        began = time.monotonic()
        # A request cut short never ends by itself: the reader leaves. The service is only at fault after WAIT_S.
        return exchange(port, payload, "127.0.0.1", leave_after=WAIT_S).status, time.monotonic() - began

    with ThreadPoolExecutor(clients) as pool:
        for payload, (status, seconds) in zip(batch, pool.map(send, batch), strict=True):
            report.answers[status] += 1
            report.hung += seconds >= WAIT_S
            if status >= 500 and status != 503:
                report.errors.append(repr(payload[:300]))
    return report


def memory_mb(pid: int) -> float:
    """Resident memory of a process and its descendants."""
    total = 0.0
    todo = [pid]
    while todo:
        one = todo.pop()
        status = Path(f"/proc/{one}/status").read_text()
        total += int(status.partition("VmRSS:")[2].split()[0]) / 1024
        todo += [int(child) for child in Path(f"/proc/{one}/task/{one}/children").read_text().split()]
    return total


def latencies_ms(port: int, stop: threading.Event, count: int = 400) -> list[float]:
    """What well-behaved readers wait, one after the other."""
    found: list[float] = []
    payload = b"GET /recherche?q=eau HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    while len(found) < count and not stop.is_set():
        began = time.perf_counter()
        if exchange(port, payload, "127.0.0.1").status == 200:
            found.append((time.perf_counter() - began) * 1000)
    return found


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as name:
        settings = make(Settings(), Path(name) / "var")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        environment = os.environ | {"ELUNUM_DATA": str(settings.data), "PYTHONPATH": str(CHECKOUT)}
        command = [sys.executable, "-m", "elunum", "serve", "--port", str(port), "--workers", "2"]
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as service:
            while (
                exchange(port, b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "127.0.0.1").status
                != 200
            ):
                time.sleep(0.2)
            fuzz(port, min(2_000, count), seed=0)  # what is loaded once is loaded
            before, alone = memory_mb(service.pid), latencies_ms(port, threading.Event())
            half_open = [socket.create_connection(("127.0.0.1", port)) for _ in range(500)]
            for connection in half_open[::2]:
                connection.sendall(b"GET /recherche?q=eau HTTP/1.1\r\nHost: a\r\nX: ")
            meanwhile: list[float] = []
            over = threading.Event()
            reader = threading.Thread(target=lambda: meanwhile.extend(latencies_ms(port, over, 1_000_000)))
            reader.start()
            began = time.monotonic()
            report = fuzz(port, count, seed=1)
            seconds = time.monotonic() - began
            over.set()
            reader.join()
            after = memory_mb(service.pid)
            for connection in half_open:
                connection.close()
            service.terminate()
    print(f"hostile requests      {count} in {seconds:.0f} s, 500 half-open connections beside them")
    print(f"answers               {dict(sorted(report.answers.items()))}")
    print(f"5xx other than 503    {len(report.errors)}   hung {report.hung}")
    print(f"memory                {before:.0f} -> {after:.0f} MB")
    for label, found in (("alone", alone), ("meanwhile", meanwhile)):
        ranks = statistics.quantiles(found, n=100)
        print(f"a reader, {label:12}p50 {ranks[49]:.1f} ms, p99 {ranks[98]:.1f} ms ({len(found)} searches)")
    for error in report.errors[:5]:
        print(error)


if __name__ == "__main__":
    main()

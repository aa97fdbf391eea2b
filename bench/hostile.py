"""Readers who mean harm, by the hundred thousand: no 5xx, no hang, no word written, no growth of memory; and what
honest readers wait meanwhile.

`python -m bench.hostile [REQUESTS]` (100,000 by default; some 12 minutes on two cores) serves a tiny index with
two workers and prints what each of these did to it, exit 1 when one got the better of it:

- the API asked what its OpenAPI document accepts and what it does not (schemathesis, counted among the requests);
- random requests over sockets: parameters, paths, headers, bodies, bytes that are no request at all, 500 half-open
  connections beside them;
- 1,000 clients at once, of every bad kind, then 1,000 who search without pause, and honest readers among them, straight
  and behind nginx; then 1,000 honest ones in the same instant;
- workers killed under load, behind nginx; index versions swapped under load.

Each crowd is a process of its own, so that readers wait for the service, not for the crowd's Python.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path
from urllib.parse import quote

from elunum.index.build import build
from elunum.privacy.readers import exchange
from elunum.privacy.service import nginx, nginx_refusal
from elunum.privacy.specimen import make
from elunum.settings import CHECKOUT, Settings

CANARY = "zorglubienne7391"
"""In every hostile request; nowhere afterwards."""

PATHS = (
    "/", "/recherche", "/recherche.csv", "/recherche.ods", "/recherche.atom", "/recherche.geojson", "/enjeux",
    "/sources", "/collectivites/68278", "/collectivites/", "/carte", "/arbre", "/api/v1/search",
    "/api/v1/suggest", "/communes", "/api/v1/similar/0123456789abcdef", "/api/v1/sources",
    "/similaires/0123456789abcdef", "/pourquoi", "/note", "/selection.csv", "/metrics", "/healthz",
    "/opensearch.xml", "/robots.txt", "/static/elunum.css", "/static/../app.py",
)  # fmt: skip
SEARCHES = ("/recherche", "/recherche", "/recherche", "/recherche.csv", "/recherche.atom", "/carte", "/pourquoi")
FILTERS = (
    "", "page=2", "sort=date", "like=68278", "enjeu=sante", "one_per=collectivite", "since=2020&until=2024",
    "site=a.fr%2F..", "population_min=0&population_max=9", "service=%F0%9F%98%80", "label=5", "epci=200066009",
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


HEADERS = (
    "Host: a", "Host: \u00e9", "Host:", "Content-Length: 5", "Content-Length: -1",
    "Content-Length: 99999999999999999999",
    "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Expect: 100-continue", "Upgrade: websocket",
    "Connection: Upgrade", "Upgrade: h2c", "Accept-Encoding: gzip, br;q=nan", "Accept: */*;q=x", "Range: bytes=0-,-1",
    "If-None-Match: *", 'If-None-Match: W/"' + "a" * 500, "If-Modified-Since: never", "Cookie: " + "a=b; " * 800,
    "X-Real-IP: 999.1.1.1", "X-Forwarded-For: ::1", "Content-Type: multipart/form-data; boundary=",
    "Content-Type: \u0000",
    "Origin: null", "Accept-Language: " + "fr," * 900, "X-" + "h" * 3_000 + ": y", "\tfolded: x",
    "No colon", ": no name",
)  # fmt: skip


@dataclass
class Report:
    """What a crowd of hostile requests was answered."""

    answers: Counter[int] = field(default_factory=Counter)  # by status; 0 for none
    hung: int = 0  # no end within WAIT_S
    errors: list[str] = field(default_factory=list)  # requests that got a 5xx other than 503
    slowest_s: float = 0.0  # among those that were answered


WAIT_S = 30.0
"""Longer than the service waits for the rest of a request (guard.py): what has not ended by then hangs."""


def payloads(seed: int) -> Iterator[bytes]:
    """Hostile requests, without end, the same for the same seed."""
    draw = random.Random(seed)
    while True:
        pairs = "&".join(
            f"{quote(draw.choice(NAMES))}={quote(draw.choice(VALUES), errors='replace')}"
            for _ in range(draw.randrange(6))
        )
        path, method = draw.choice(PATHS), draw.choice(("GET",) * 6 + ("POST", "HEAD", "PUT", "OPTIONS", "TRACE"))
        kind = draw.random()
        if kind > 0.4:  # most go through to the engine
            path, method = draw.choice(SEARCHES), draw.choice(("GET", "GET", "GET", "HEAD", "POST"))
            words = quote(draw.choice(VALUES) + " " + draw.choice(VALUES), errors="replace")
            pairs = f"q={words}+{CANARY * draw.randrange(2)}&" + draw.choice(FILTERS)
        elif "q=" not in pairs:
            pairs += f"&q={CANARY}"
        if kind < 0.1:
            path = "/" + quote(CANARY + draw.choice(VALUES), safe=draw.choice(("/", "", "/%?#")), errors="replace")
        body = pairs.encode() if method == "POST" else b""
        target = path if body else f"{path}?{pairs}"
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", f"X-Who: {CANARY}"]
        if body:
            lines += [f"Content-Length: {len(body)}", "Content-Type: application/x-www-form-urlencoded"]
        if 0.1 < kind < 0.2:
            lines[1:1] = draw.sample(HEADERS, draw.randrange(1, 4))
        whole = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        if 0.2 < kind < 0.3:  # what is not even a request
            at = draw.randrange(len(whole))
            whole = whole[:at] + draw.randbytes(draw.randrange(1, 30)) + whole[at + draw.randrange(9) :] + b"\r\n\r\n"
        elif 0.3 < kind < 0.33:
            whole = draw.randbytes(draw.randrange(1, 3_000)) + CANARY.encode() + b"\r\n\r\n"
        yield whole


def fuzz(port: int, count: int, seed: int, clients: int = 48) -> Report:
    """Send so many hostile requests."""
    report = Report()
    waiting = payloads(seed)
    batch = [next(waiting) for _ in range(count)]

    def send(payload: bytes) -> tuple[int, float]:
        began = time.monotonic()
        return exchange(port, payload, _address(), leave_after=WAIT_S).status, time.monotonic() - began

    with ThreadPoolExecutor(clients) as pool:
        for payload, (status, seconds) in zip(batch, pool.map(send, batch), strict=True):
            report.answers[status] += 1
            report.hung += seconds >= WAIT_S
            if status not in (0, 408):  # these are slow by their own fault
                report.slowest_s = max(report.slowest_s, seconds)
            if status >= 500 and status != 503:
                report.errors.append(repr(payload[:300]))
    return report


def _address() -> str:
    """An address of this machine: many, for one has few ports."""
    return f"127.{random.randrange(1, 250)}.{random.randrange(1, 250)}.{random.randrange(1, 250)}"


@contextmanager
def among(crowd: Callable[[int, int, Event], None], port: int, clients: int) -> Iterator[None]:
    """A crowd of so many clients for as long as the block lasts."""
    context = multiprocessing.get_context("spawn")
    over = context.Event()
    process = context.Process(target=crowd, args=(port, clients, over))
    process.start()
    time.sleep(5)  # Python starts, and all of them come
    try:
        yield
    finally:
        over.set()
        process.join()


def hold(port: int, clients: int, over: Event) -> None:
    """Clients who hold connections, a sixth of each kind: silent, slow to ask, slow to send a form, slow to take a long
    answer, pipelining, with heads that never end."""

    def begin(kind: int) -> socket.socket:
        connection = socket.socket()
        if kind == 3:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(1)
        connection.bind((_address(), 0))
        connection.connect(("127.0.0.1", port))
        ask = b"GET /recherche.csv?q=eau HTTP/1.1\r\nHost: a\r\n"
        first = (b"", ask, b"POST /recherche HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n", ask + b"\r\n",
                 b"", ask)  # fmt: skip
        connection.sendall(first[kind])
        return connection

    def behave(first: int) -> None:
        held: dict[int, socket.socket] = {}
        mine = range(first, clients, 8)
        while not over.is_set():
            for number in mine:
                kind = number % 6
                try:
                    if number not in held:
                        held[number] = begin(kind)
                    connection = held[number]
                    if kind in (1, 2):
                        connection.sendall(b"X: y\r\n")
                    elif kind == 3:
                        connection.recv(1)
                    elif kind == 4:
                        connection.sendall(b"GET /enjeux HTTP/1.1\r\nHost: a\r\n\r\n" * 5)
                        connection.recv(65_536)
                    elif kind == 5:
                        connection.sendall(b"X-Endless: " + b"a" * 20_000 + b"\r\n")
                except OSError:  # let go: such a client comes back
                    held.pop(number).close() if number in held else None
            over.wait(1.0)
        for connection in held.values():
            connection.close()

    threads = [threading.Thread(target=behave, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def insist(port: int, clients: int, over: Event) -> None:
    """Clients who search without pause, each from its own address, whatever they are told; prints their answers."""
    answers: Counter[int] = Counter()
    payload = b"GET /recherche?q=eau HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    async def ask(number: int) -> None:
        address = f"127.{250 + number // 60_000}.{number // 240 % 250}.{number % 240 + 1}"
        while not over.is_set():
            writer = None
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
                writer.write(payload)
                head = await asyncio.wait_for(reader.read(), 60)
                answers[int(head[9:12] or 0)] += 1
            except (OSError, TimeoutError):
                answers[0] += 1
                await asyncio.sleep(0.1)
            finally:
                if writer:
                    writer.close()

    async def everybody() -> None:
        await asyncio.gather(*(ask(number) for number in range(clients)))

    asyncio.run(everybody())
    _say("  they were answered", dict(sorted(answers.items())))


def at_once(port: int, clients: int) -> tuple[Counter[int], int]:
    """Honest readers in the same instant: their answers by status, and how many 503 said when to come back."""
    payload = b"GET /recherche?q=eau HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    start = threading.Barrier(clients)
    answers: Counter[int] = Counter()
    told = Counter[str]()

    def ask() -> None:
        start.wait()
        answer = exchange(port, payload, _address(), leave_after=60)
        answers[answer.status] += 1
        told[answer.header("retry-after") if answer.status == 503 else ""] += 1

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers, sum(count for seconds, count in told.items() if seconds)


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


def latencies_ms(port: int, stop: threading.Event, count: int = 400) -> tuple[list[float], Counter[int]]:
    """What an honest reader waits for each search, one after the other, and the answers by status."""
    found: list[float] = []
    answers: Counter[int] = Counter()
    payload = b"GET /recherche?q=eau HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    while len(found) < count and not stop.is_set():
        began = time.perf_counter()
        status = exchange(port, payload, _address()).status
        answers[status] += 1
        if status == 200:
            found.append((time.perf_counter() - began) * 1000)
        time.sleep(0.5 if status == 503 else 0.02)
    return found, answers


@contextmanager
def honest(port: int, label: str, readers: int = 4) -> Iterator[Counter[int]]:
    """Honest readers who search for as long as the block lasts; prints what they waited. Yields their answers."""
    over = threading.Event()
    answers: Counter[int] = Counter()
    with ThreadPoolExecutor(readers) as pool:
        running = [pool.submit(latencies_ms, port, over, 1_000_000) for _ in range(readers)]
        try:
            yield answers
        finally:
            over.set()
            found = [one for each in running for one in each.result()[0]]
            for each in running:
                answers.update(each.result()[1])
            _say(f"{readers} honest readers, {label}", f"{_ranks(found)}, answers {dict(sorted(answers.items()))}")


def _ranks(found: list[float]) -> str:
    ranks = statistics.quantiles(found, n=100)
    return f"p50 {ranks[49]:.0f} ms, p99 {ranks[98]:.0f} ms"


def _say(what: str, figure: object) -> None:
    print(f"{what:<66}{figure}", flush=True)


def _until_it_answers(port: int) -> None:
    healthy = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    while exchange(port, healthy, "127.0.0.1").status != 200:
        time.sleep(0.2)


def _workers(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def _schemathesis(port: int, folder: Path, examples: int) -> tuple[int, int]:
    """(requests, exit code) of schemathesis on our OpenAPI document."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{port}/openapi.json", "--no-color"]
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    options = [
        "--max-examples",
        str(examples),
        "--checks",
        checks,
        "--seed",
        "1",
        "--phases",
        "examples,coverage,fuzzing",
    ]
    done = subprocess.run([*command, *options], cwd=folder, capture_output=True, text=True)
    sent = re.search(r"(\d[\d,]*) generated", done.stdout)
    if done.returncode:
        print(done.stdout[-3000:])
    return int(sent[1].replace(",", "")) if sent else 0, done.returncode


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    failed: list[str] = []

    def must(what: str, holds: bool) -> None:
        if not holds:
            failed.append(what)

    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        settings = make(Settings(), folder / "var")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        environment = os.environ | {"ELUNUM_DATA": str(settings.data), "PYTHONPATH": str(CHECKOUT), "TMPDIR": name}
        command = [sys.executable, "-m", "elunum", "serve", "--port", str(port), "--workers", "2"]
        said = stack.enter_context((folder / "said").open("wb"))
        service = stack.enter_context(subprocess.Popen(command, env=environment, stderr=said))
        stack.callback(service.terminate)
        _until_it_answers(port)
        fuzz(port, min(2_000, count), seed=0)  # what is loaded once is loaded
        memory = [memory_mb(service.pid)]
        _say("a reader alone", _ranks(latencies_ms(port, threading.Event())[0]))

        began = time.monotonic()
        generated, code = _schemathesis(port, folder, max(10, count // 1_000))
        _say("schemathesis", f"{generated} requests, {time.monotonic() - began:.0f} s, exit {code}")
        must("schemathesis", code == 0)
        memory.append(memory_mb(service.pid))

        half_open = [socket.create_connection(("127.0.0.1", port)) for _ in range(500)]
        for connection in half_open[::2]:
            connection.sendall(b"GET /recherche?q=eau HTTP/1.1\r\nHost: a\r\nX: ")
        began, report, left = time.monotonic(), Report(), max(0, count - generated)
        with honest(port, "during the fuzz", readers=1):
            for part in range(10):
                done = fuzz(port, left // 10, seed=part + 1)
                report.answers += done.answers
                report.hung += done.hung
                report.errors += done.errors
                report.slowest_s = max(report.slowest_s, done.slowest_s)
                memory.append(memory_mb(service.pid))
                print(f"  {report.answers.total()} sent, {memory[-1]:.0f} MB", file=sys.stderr, flush=True)
        for connection in half_open:
            connection.close()
        _say("hostile requests over sockets", f"{report.answers.total()}, {time.monotonic() - began:.0f} s")
        _say("answers by status (0: connection ended)", dict(sorted(report.answers.items())))
        _say(
            "5xx other than 503, hung, slowest answer", f"{len(report.errors)}, {report.hung}, {report.slowest_s:.1f} s"
        )
        _say("memory, MB: at first, then at each tenth", " ".join(f"{one:.0f}" for one in memory))
        for error in report.errors[:5]:
            print(error)
        must("no 5xx", not report.errors)
        must("no hang", report.hung == 0)
        must("memory", memory[-1] < memory[2] * 1.1 + 5)

        ways = {"": port}
        if refusal := nginx_refusal():
            _say("behind nginx", f"not tried: {refusal}")
        else:
            ways[", behind nginx"] = stack.enter_context(nginx(port, folder, traced=False)).port
        for way, at in ways.items():
            for crowd, kind in ((hold, "1,000 hostile clients"), (insist, "1,000 who search without pause")):
                with among(crowd, at, 1_000), honest(at, f"among {kind}{way}") as answers:
                    time.sleep(min(60, count / 1_000))
                most = answers[503] <= answers[200] / 9  # nine in ten
                must(f"honest readers are answered among {kind}{way}", set(answers) <= {200, 503} and most)
                time.sleep(5)
            _say(f"memory after them{way}, MB", f"{memory_mb(service.pid):.0f}")
        statuses, told = at_once(port, 1_000)
        _say("1,000 honest readers in one instant", f"{dict(sorted(statuses.items()))}, {told} told when to come back")
        must("a crowd is answered or told to come back", set(statuses) <= {200, 503} and told == statuses[503])
        time.sleep(5)
        after, answers = latencies_ms(port, threading.Event(), 100)
        _say("a reader, five seconds later", f"{_ranks(after)}, answers {dict(answers)}")
        must("the service recovers", set(answers) == {200})

        if ", behind nginx" in ways:
            with honest(ways[", behind nginx"], "while workers are killed, behind nginx") as answers:
                for _ in range(4):
                    before = _workers(service.pid)
                    with suppress(ProcessLookupError):
                        os.kill(before[0], signal.SIGKILL)
                    while len(set(_workers(service.pid)) - set(before)) < 1:
                        time.sleep(0.2)
                    (new,) = set(_workers(service.pid)) - set(before)
                    while not any(folder.glob(f"elunum-counts-*/*_{new}.db")):  # its counts: it has answered
                        time.sleep(0.2)
            must("a killed worker costs no request", set(answers) == {200})
        with honest(port, "while the index is swapped five times") as answers:
            for _ in range(5):
                assert build(settings, full=True).swapped
                time.sleep(1)
        must("a swap costs no request", set(answers) == {200})
        written = (folder / "said").read_bytes()
        _say("words of readers among what it said", f"{written.count(CANARY.encode())} in {len(written)} bytes")
        must("no word is written", CANARY.encode() not in written)
    print(f"failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

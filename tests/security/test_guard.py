"""Limits: who asks too much or too slowly is refused, others are answered, and nobody is remembered for long."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from elunum.site import guard
from elunum.site.guard import MAX_COUNTED, PERIOD_S, Counts, Guard, Patient
from elunum.site.replies import HEADERS


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_requests_of_one_network_are_counted_over_two_periods_at_most() -> None:
    clock = Clock()
    counts = Counts(clock)
    assert [counts.add("192.0.2.1") for _ in range(3)] == [1, 2, 3]
    clock.now += PERIOD_S
    assert counts.add("192.0.2.1") == 4
    clock.now += PERIOD_S
    assert counts.add("192.0.2.1") == 2, "those of the first period are forgotten"


@pytest.mark.parametrize("seconds", [2 * PERIOD_S, 3 * PERIOD_S, 10_000])
def test_a_reader_who_left_is_forgotten_within_a_minute(seconds: float) -> None:
    clock = Clock()
    counts = Counts(clock)
    counts.add("192.0.2.1")
    clock.now += PERIOD_S
    counts.forget()
    assert len(counts) == 1
    clock.now += seconds - PERIOD_S
    counts.forget()
    assert len(counts) == 0
    assert 2 * PERIOD_S <= 60


def test_networks_are_counted_apart_and_a_whole_ipv6_prefix_as_one() -> None:
    counts = Counts(Clock())
    assert counts.add("192.0.2.1") == 1
    assert counts.add("192.0.2.2") == 1
    assert counts.add("2001:db8:1:2::1") == 1
    assert counts.add("2001:db8:1:2:ffff::9") == 2
    assert counts.add("2001:db8:1:3::1") == 1
    assert counts.add("::ffff:192.0.2.1") == 2
    assert counts.add("not an address") == 1


def test_no_address_is_kept_even_in_memory() -> None:
    counts = Counts(Clock())
    counts.add("192.0.2.77")
    kept = repr(vars(counts)).encode()
    assert b"192.0.2.77" not in kept
    assert socket.inet_aton("192.0.2.77") not in b"".join(counts._now)


def test_the_key_of_the_hashes_is_of_the_process_and_of_no_file() -> None:
    one, other = Counts(Clock()), Counts(Clock())
    one.add("192.0.2.1")
    other.add("192.0.2.1")
    assert set(one._now) != set(other._now)


def test_a_flood_of_addresses_does_not_fill_the_memory() -> None:
    counts = Counts(Clock())
    for number in range(MAX_COUNTED * 2 + 10):
        counts.add(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")
    assert len(counts) <= 2 * MAX_COUNTED


# --- on the wire ---------------------------------------------------------------------------------------------------


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """A small application: reads the body; `slow` keeps the process busy; `large` answers a lot."""
    if scope["type"] != "http":
        return
    query = scope["query_string"]
    if scope["method"] == "POST":
        while (await receive()).get("more_body"):
            pass
    if b"slow" in query:
        time.sleep(3 if b"slower" in query else 0.6)
    await Response("x" * (30_000_000 if b"large" in query else 10), headers={"x-whole": "1"})(scope, receive, send)


@contextmanager
def serving(app: ASGIApp) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        server = uvicorn.Server(uvicorn.Config(app, http=Patient, lifespan="off", log_config=None, ws="none"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(10)


def exchange(port: int, payload: bytes, timeout: float = 20.0) -> bytes:
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        connection.sendall(payload)
        try:
            while block := connection.recv(65_536):
                received += block
        except OSError:
            pass
    return received


def get(port: int, target: str = "/", *headers: str) -> bytes:
    lines = [f"GET {target} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    return exchange(port, ("\r\n".join(lines) + "\r\n\r\n").encode())


def status(received: bytes) -> int:
    return int(received[9:12]) if received else 0


def test_a_network_that_asks_too_much_gets_429_and_when_to_come_back() -> None:
    with serving(Guard(answer, per_minute=5, at_once=50)) as port:
        asked = [get(port, "/recherche?q=secret", "X-Real-IP: 198.51.100.7") for _ in range(7)]
        other = get(port, "/recherche", "X-Real-IP: 198.51.100.8")
        api = get(port, "/api/v1/search", "X-Real-IP: 198.51.100.7")
        style = get(port, "/static/elunum.css", "X-Real-IP: 198.51.100.7")
    assert status(style) == 200, "a refusal looks like the site"
    assert [status(received) for received in asked] == [200] * 5 + [429] * 2
    assert status(other) == 200
    refusal = asked[-1].decode()
    assert "retry-after: " in refusal
    assert "Réessayez dans" in refusal
    assert "no-store" in refusal
    assert "secret" not in refusal
    assert "198.51.100" not in refusal
    assert b'"code":"too_many_requests"' in api


def test_what_a_reader_claims_about_an_address_is_not_believed_from_afar() -> None:
    scope = {"client": ("203.0.113.5", 1), "headers": [(b"x-real-ip", b"198.51.100.7")]}
    assert guard._address(scope) == "203.0.113.5"
    assert guard._address({**scope, "client": ("127.0.0.1", 1)}) == "198.51.100.7"
    assert guard._address({"client": ("127.0.0.1", 1), "headers": []}) == ""


def test_a_crowd_is_answered_or_told_to_come_back_and_the_service_recovers() -> None:
    with serving(Guard(answer, per_minute=0, at_once=8)) as port:
        statuses: Counter[int] = Counter()
        # Long enough for a busy machine to bring the whole crowd meanwhile.
        first = threading.Thread(target=lambda: statuses.update([status(get(port, "/?slower"))]))
        first.start()
        time.sleep(0.2)
        crowd = [threading.Thread(target=lambda: statuses.update([status(get(port))])) for _ in range(60)]
        for thread in crowd:
            thread.start()
        for thread in [first, *crowd]:
            thread.join()
        after = [status(get(port)) for _ in range(5)]
    assert statuses[200] + statuses[503] == 61
    assert statuses[503] >= 10
    assert statuses[200] >= 8
    assert after == [200] * 5


def test_who_asked_least_is_answered_first_and_who_asked_most_is_refused_first() -> None:
    answered: list[str] = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        time.sleep(0.5)
        answered.append(scope["query_string"].decode())
        await Response("x")(scope, receive, send)

    with serving(Guard(slow, per_minute=0, at_once=4)) as port:
        statuses: dict[str, int] = {}

        def ask(name: str, network: str) -> None:
            statuses[name] = status(get(port, f"/?{name}", f"X-Real-IP: 198.51.100.{network}"))

        threads = []
        for name, network in [("greedy1", "7"), ("greedy2", "7"), ("greedy3", "7"), ("greedy4", "7"), ("new", "8")]:
            threads.append(threading.Thread(target=ask, args=(name, network)))
            threads[-1].start()
            time.sleep(0.05)  # in this order; all arrive while the first is worked at
        for thread in threads:
            thread.join()
    assert answered == ["greedy1", "new", "greedy2", "greedy3"]
    assert statuses == {"greedy1": 200, "greedy2": 200, "greedy3": 200, "greedy4": 503, "new": 200}


def test_a_form_that_ends_while_others_wait_takes_its_turn_among_them() -> None:
    with serving(Guard(answer, per_minute=0, at_once=9)) as port:
        statuses: list[int] = []
        with socket.create_connection(("127.0.0.1", port), 10) as form:
            form.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Real-IP: 198.51.100.7\r\n")
            form.sendall(b"Content-Length: 9\r\n\r\nq=")
            time.sleep(0.2)
            threads = [
                threading.Thread(target=lambda n=n: statuses.append(status(get(port, "/?slow", f"X-Real-IP: {n}"))))
                for n in ("198.51.100.1", "198.51.100.2")
            ]
            for thread in threads:
                thread.start()
                time.sleep(0.1)  # one is worked at, the other waits
            form.sendall(b"0123456")
            statuses.append(status(form.recv(100)))
            for thread in threads:
                thread.join()
    assert statuses == [200] * 3


def test_work_that_waits_for_more_of_a_request_or_fails_keeps_nobody_waiting() -> None:
    async def odd(scope: Scope, receive: Receive, send: Send) -> None:
        if b"fail" in scope["query_string"]:
            raise RuntimeError
        if b"wait" in scope["query_string"]:
            while (await receive())["type"] != "http.disconnect":
                pass
        await Response("x")(scope, receive, send)

    with (
        serving(Guard(odd, per_minute=0, at_once=4)) as port,
        socket.create_connection(("127.0.0.1", port), 10) as waiting,
    ):
        waiting.sendall(b"GET /?wait HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.2)
        assert [status(get(port, "/?fail")) for _ in range(5)] == [500] * 5
        assert [status(get(port)) for _ in range(5)] == [200] * 5


def test_clients_who_say_nothing_or_too_slowly_are_let_go_and_others_are_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard, "HEAD_S", 0.5)
    monkeypatch.setattr(guard, "BODY_S", 0.5)
    with serving(Guard(answer, per_minute=0, at_once=4)) as port:
        silent = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(300)]
        for number, connection in enumerate(silent):
            if number % 3 == 1:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
            elif number % 3 == 2:
                connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nq=")
        assert status(get(port)) == 200
        ended = []
        for connection in silent:
            try:
                ended.append(connection.recv(100)[:12])
            except ConnectionError:
                ended.append(b"")
            connection.close()
        assert status(get(port)) == 200
    assert set(ended[0::3]) | set(ended[1::3]) == {b""}
    assert set(ended[2::3]) == {b"HTTP/1.1 408"}


def test_readers_who_take_their_answer_slowly_hold_nobody_up() -> None:
    with serving(Guard(answer, per_minute=0, at_once=4)) as port:
        slow = []
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", port), 10)
            connection.sendall(b"GET /?large HTTP/1.1\r\nHost: a\r\n\r\n")
            slow.append(connection)
            assert connection.recv(12) == b"HTTP/1.1 200"  # and takes no more of it
        assert [status(get(port)) for _ in range(5)] == [200] * 5
        for connection in slow:
            connection.close()


def _until_ended(connection: socket.socket, feed: bytes = b"", sip: int = 0) -> bool:
    """Feed or drain a connection drop by drop; whether it was ended by the service."""
    connection.settimeout(10)
    try:
        for _ in range(100):
            time.sleep(0.05)
            if feed:
                connection.sendall(feed)
            if sip and not connection.recv(sip):
                return True
    except ConnectionError:
        return True
    return False


def test_a_reader_who_takes_an_answer_drop_by_drop_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "TAKE_S", 0.5)
    with serving(Guard(answer, per_minute=0, at_once=4)) as port:
        for ending in (b"", b"Connection: close\r\n"):
            with socket.socket() as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                connection.connect(("127.0.0.1", port))
                connection.sendall(b"GET /?large HTTP/1.1\r\nHost: a\r\n" + ending + b"\r\n")
                assert connection.recv(12) == b"HTTP/1.1 200"
                assert _until_ended(connection, sip=1_000)
        assert status(get(port)) == 200


@pytest.mark.parametrize(
    ("begun", "feed"),
    [
        (b"", b"\r\n"),  # nothing but empty lines
        (b"", b"G"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", b"x"),  # answered, and goes on
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n", b"x"),
    ],
)
def test_a_client_who_feeds_a_connection_drop_by_drop_is_let_go(
    monkeypatch: pytest.MonkeyPatch, begun: bytes, feed: bytes
) -> None:
    monkeypatch.setattr(guard, "HEAD_S", 0.5)
    monkeypatch.setattr(guard, "BODY_S", 0.3)
    with serving(Guard(answer, per_minute=0, at_once=4)) as port:
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(begun)
            assert _until_ended(connection, feed=feed)
        assert status(get(port)) == 200


@pytest.mark.parametrize(
    "garbage", [b"\x00\x01\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n"]
)
def test_what_is_not_a_request_is_refused_in_french_with_the_headers_of_any_answer(garbage: bytes) -> None:
    with serving(Guard(answer, per_minute=0, at_once=4)) as port:
        head, _, body = exchange(port, garbage).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert "La demande n’est pas écrite comme le veut HTTP" in body.decode()
    for name, value in HEADERS:
        assert name + b": " + value in head
    assert b"cache-control: no-store" in head


def test_a_head_without_end_is_refused() -> None:
    with (
        serving(Guard(answer, per_minute=0, at_once=4)) as port,
        socket.create_connection(("127.0.0.1", port), 10) as c,
    ):
        sent = 0
        try:
            c.sendall(b"GET / HTTP/1.1\r\n")
            while sent < 50_000_000:
                c.sendall(b"X-Header: " + b"a" * 20_000 + b"\r\n")
                sent += 20_000
        except ConnectionError:
            pass
        assert sent < 20_000_000
        assert status(get(port)) == 200


def test_many_requests_on_one_connection_are_answered_in_order() -> None:
    with serving(Guard(answer, per_minute=0, at_once=4)) as port:
        one = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        received = exchange(port, one * 199 + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert received.count(b"HTTP/1.1 200") == 200


def test_a_reader_who_leaves_after_the_first_of_several_answers_is_no_fault_of_the_service() -> None:
    written: list[str] = []

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.3)  # the reader leaves meanwhile
        try:
            await Response("x")(scope, receive, send)
            written.append("")
        except RuntimeError as error:
            written.append(str(error))

    with serving(watched) as port:
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
            assert status(connection.recv(65_536)) == 200
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() resets
        assert status(get(port)) == 200
    assert written == ["", "", ""]


def test_a_form_arrives_whole_through_the_guard() -> None:
    async def echo(scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        await Response(str(len(body)))(scope, receive, send)

    with serving(Guard(echo, per_minute=0, at_once=4)) as port:
        for size in (0, 1, 16_000, 16_384, 60_000):
            head = f"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n".encode()
            assert exchange(port, head + b"a" * size).endswith(f"\r\n\r\n{size}".encode())

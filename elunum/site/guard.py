"""What keeps the service answering when someone asks too much, without keeping anything about who asks.

Two limits, from the wire up: `Patient` lets go of clients that are slow to ask or to take the answer; `Guard` counts
what one network asks in a minute, and refuses what could not be answered in time. Everything is in the memory of one
process: numbers under keyed hashes, whose key is drawn at start and whose last trace is gone a minute after the reader.
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import os
import resource
import secrets
import socket
import struct
import time
from bisect import insort
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from elunum.site.replies import HEADERS, NO_STORE, TEMPLATES

HEAD_S = 10.0
"""A request's head must be complete within, seconds, from the connection or from its first byte."""

MAX_HEAD_BYTES = 64_000
BODY_S = 10.0
TAKE_S = 60.0
"""An answer must be taken within, seconds; the kernel holds what it could hand over in full for as long (serve.py)."""

MAX_BODY_BYTES = 16_384
"""Of a form; the same as elunum/site/context.py accepts."""

PERIOD_S = 30.0
"""Counts of this period and of the one before are kept: a reader is forgotten within a minute of the last request."""

MAX_COUNTED = 100_000
"""Networks counted in one period; beyond, the period ends early. A table of 10 MB."""


_AT_ONCE = struct.pack("ii", 1, 0)


def harden() -> None:
    """Keep this process and its children from leaving memory on disk, and let it hold many connections.

    A core dump would hold what readers are asking: none is written, and were one taken by a program that ignores that
    limit (core(5): piped dumps do), it would hold no memory at all.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # no /proc, or hidden: the limit above stands
        Path("/proc/self/coredump_filter").write_text("0")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65_536)), hard))
    os.umask(0o077)


# --- slow clients ----------------------------------------------------------------------------------------------------


class Patient(HttpToolsProtocol):
    """uvicorn's protocol, with a limit on all that a client can be slow at: uvicorn would wait for ever.

    Whatever arrives outside of a request that is being answered starts a clock that only a whole request stops. What
    the kernel cannot send for want of a reader starts another, and so does closing: a transport closes once its last
    byte has left. A client who feeds or drains a connection byte by byte is let go as one who does nothing.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_bytes = 0
        self._in_head = True
        self._asking: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None
        self._at_work: RequestResponseCycle | None = None
        self._await_request(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._asked()
        self._taken()
        if self._at_work is not None:
            # uvicorn tells the last request that came, not the one at work before it: its answer would be a crash.
            self._at_work.disconnected = True
            self._at_work.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._at_work = cycle
        super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
            # The last piece may hold the beginning of a body: only a head that is still not complete is refused.
            if self._head_bytes - len(data) > MAX_HEAD_BYTES:
                self.send_400_response("Request head too large.")
                return
        super().data_received(data)
        # uvicorn stops waiting for the next request at the first byte, be it an empty line or the rest of a body that
        # was answered before its end.
        if self._asking is None and (self.cycle is None or self.cycle.response_complete):
            self._await_request(HEAD_S)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        if self._asking is None:
            self._await_request(HEAD_S)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._asked()
        self._await_request(2 * BODY_S)  # the guard answers 408 before; this is for bodies that nobody asked for
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._asked()
        super().on_message_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_taking()

    def resume_writing(self) -> None:
        if not self.transport.is_closing():
            self._taken()
        super().resume_writing()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._await_taking()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._await_taking()

    def send_400_response(self, msg: str) -> None:
        """What is not a request is told so, as plainly as it came, and with the headers of any other answer."""
        if self.transport.is_closing():
            return
        body = "La demande n’est pas écrite comme le veut HTTP.\n".encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            *((name.encode(), value.encode()) for name, value in NO_STORE.items()),
            *HEADERS,
        ]
        head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n" + head + b"\r\n" + body)
        self.transport.close()
        self._await_taking()

    def _await_request(self, seconds: float) -> None:
        self._asking = self.loop.call_later(seconds, self._let_go)

    def _asked(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    def _await_taking(self) -> None:
        if self._taking is None:
            self._taking = self.loop.call_later(TAKE_S, self._let_go)

    def _taken(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None

    def _let_go(self) -> None:
        """End the connection now, whatever remains to be sent."""
        self._asking = None
        # A reset also drops what the kernel holds (socket(7)); it would go on handing it out, drop by drop.
        with suppress(OSError):
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.transport.abort()


# --- too much --------------------------------------------------------------------------------------------------------


class Counts:
    """How many requests each network made in this period and the last one. Memory only.

    Keys are hashes under a key drawn when the process starts and kept nowhere else. That is pseudonymous data all the
    same (CNIL, 2025), which is why it lives for two periods at most and never leaves the process.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._now: dict[bytes, int] = {}
        self._before: dict[bytes, int] = {}
        self._until = 0.0

    def add(self, address: str) -> int:
        """Count one request; how many its network made in the current and the previous period."""
        self.forget()
        network = blake2b(_network(address), digest_size=16, key=self._key).digest()
        self._now[network] = count = self._now.get(network, 0) + 1
        return count + self._before.get(network, 0)

    def forget(self) -> None:
        """Drop what is older than two periods."""
        now = self._clock()
        if now >= self._until or len(self._now) >= MAX_COUNTED:
            self._before = {} if now >= self._until + PERIOD_S else self._now
            self._now = {}
            self._until = now + PERIOD_S

    def retry_after_s(self) -> int:
        """Seconds until the current period ends."""
        return max(1, round(self._until - self._clock()))

    def __len__(self) -> int:
        return len(self._now) + len(self._before)


def _network(address: str) -> bytes:
    """What is counted as one: an IPv4 address, or the /64 that a single IPv6 subscriber holds."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return b""
    if parsed.version == 6:
        mapped = parsed.ipv4_mapped
        return mapped.packed if mapped else parsed.packed[:8]
    return parsed.packed


class Guard:
    """Refuses with 429 the network that asks too much, with 503 what cannot be answered in time, with 408 what is slow.

    Requests are worked at one after the other, for work does not pause. Those of the network that asked least in the
    last minute go first, and when there are too many, the last of the network that asked most is refused: a crowd that
    asks without pause waits for itself, not others for it.

    It stands inside the door that adds headers and counts answers, around everything that works.
    per_minute: requests of one network in one serving process; 0 for no limit. at_once: requests that wait in one
    process, about a second of work.
    """

    def __init__(self, app: ASGIApp, per_minute: int, at_once: int) -> None:
        self.app = app
        self.per_minute, self.at_once = per_minute, at_once
        self.counts = Counts()
        self._waiting: list[tuple[int, int, asyncio.Future[bool]]] = []  # by requests of its network, then by arrival
        self._order = itertools.count()
        self._choosing: asyncio.Task[None] | None = None
        self._working = False
        self._arrived = 0
        self._forgetting: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        self._arrived += 1
        asked = self._count(scope)
        # The style sheet of the refusal itself, and little else, stands under /static/: it is never refused for that.
        too_many = self.per_minute and asked > self.per_minute and not scope["path"].startswith("/static/")
        if too_many and _address(scope):
            await _refusal(scope, 429, self.counts.retry_after_s())(scope, receive, send)
            return
        received: list[Message] = []
        if scope["method"] not in ("GET", "HEAD"):
            # A form is small: it is read whole before it takes a place, so that slow forms take nobody's.
            try:
                received = await asyncio.wait_for(_body(receive), BODY_S)
            except TimeoutError:
                await _refusal(scope, 408, 1)(scope, receive, send)
                return
        if not await self._turn(asked):
            await _refusal(scope, 503, 5)(scope, receive, send)
            return
        at_work = True

        def leave() -> None:
            nonlocal at_work
            if at_work:
                at_work = False
                self._next()

        async def hear() -> Message:
            leave()  # whoever waits for more of a request keeps nobody waiting
            return await receive()

        async def send_out(message: Message) -> None:
            leave()  # the work is done: a reader who is slow to take the answer holds no place
            await send(message)

        try:
            await self.app(scope, _again(received, hear), send_out)
        finally:
            leave()

    async def _turn(self, asked: int) -> bool:
        """Wait for one's turn; false when there is no time for this request. asked: requests of its network."""
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        place = (asked, next(self._order), turn)
        if len(self._waiting) + self._working >= self.at_once:
            if not self._waiting or self._waiting[-1] < place:
                return False
            self._waiting.pop()[-1].set_result(False)
        insort(self._waiting, place)
        if not self._working:
            self._next()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove(place)
            elif turn.result():
                self._next()
            raise

    def _next(self) -> None:
        """Have the next request worked at, if there is one."""
        self._working = bool(self._waiting)
        if self._working:
            self._choosing = asyncio.get_running_loop().create_task(self._choose())

    async def _choose(self) -> None:
        await self._let_in()
        if self._waiting:
            self._waiting.pop(0)[-1].set_result(True)
        else:  # it left meanwhile
            self._working = False

    async def _let_in(self) -> None:
        """Let whoever waits at the door come in, to be counted, before the next request is chosen.

        Work runs to its end without pausing, and the event loop accepts one connection a turn (libuv): without this,
        a crowd would wait unseen in the kernel's queue and be answered in turn, long after it left.
        """
        for _ in range(self.at_once):
            arrived = self._arrived
            await asyncio.sleep(0)
            await asyncio.sleep(0)  # accepted in one turn, read in the next
            if arrived == self._arrived:
                return

    def _count(self, scope: Scope) -> int:
        """How many requests the network of this one made in the last minute."""
        if self._forgetting is None:
            self._forgetting = asyncio.get_running_loop().call_later(PERIOD_S, self._forget)
        return self.counts.add(_address(scope) or (scope["client"] or [""])[0])

    def _forget(self) -> None:
        """By itself, even when nobody comes any more."""
        self.counts.forget()
        self._forgetting = asyncio.get_running_loop().call_later(PERIOD_S, self._forget) if len(self.counts) else None


def _address(scope: Scope) -> str:
    """Whom to count; empty for programs of this machine that come without a proxy: the operator's own.

    X-Real-IP is believed from this machine alone, where our nginx is; it drops what readers claim about themselves.
    """
    peer = scope["client"][0] if scope.get("client") else ""
    try:
        local = not peer or ipaddress.ip_address(peer).is_loopback
    except ValueError:
        local = False
    if not local:
        return str(peer)
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-real-ip"), "")


async def _body(receive: Receive) -> list[Message]:
    """The messages of a request's body, up to one that exceeds what is accepted or says that the reader left."""
    received: list[Message] = []
    size = 0
    while True:
        message = await receive()
        received.append(message)
        size += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body") or size > MAX_BODY_BYTES:
            return received


def _again(received: list[Message], receive: Receive) -> Receive:
    """The messages already received, then those that follow."""
    waiting = iter(received)

    async def next_message() -> Message:
        return next(waiting, None) or await receive()

    return next_message


_SENTENCES = {
    408: ("La demande n’est pas arrivée entière", "Elle a mis trop de temps à parvenir jusqu’ici. Réessayez."),
    429: (
        "Trop de demandes à la fois",
        "Beaucoup de demandes viennent d’arriver de votre réseau. Réessayez dans {} secondes.",
    ),
    503: ("Le service est très demandé", "Réessayez dans {} secondes."),
}
_CODES = {408: "too_slow", 429: "too_many_requests", 503: "unavailable"}
_PAGE = TEMPLATES.get_template("refus.html").render()


def _refusal(scope: Scope, status: int, retry_after_s: int) -> Response:
    """A short answer that costs next to nothing to make: there is no time for more when it is needed."""
    title, sentence = _SENTENCES[status]
    sentence = sentence.format(retry_after_s)
    headers = {"retry-after": str(retry_after_s), "cache-control": "no-store", "x-robots-tag": "noindex, nofollow"}
    if status == 408:
        headers["connection"] = "close"
    if scope["path"].startswith("/api/"):
        error: dict[str, Any] = {"code": _CODES[status], "message": f"{title}. {sentence}", "parameter": None}
        return Response(msgspec.json.encode({"error": error}), status, headers, "application/json")
    page = _PAGE.format(title=title, sentence=sentence, status=status)
    return Response(page, status, headers, "text/html; charset=utf-8")

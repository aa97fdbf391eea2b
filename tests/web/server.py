"""A simulated web on loopback: any number of hosts, told apart by the Host header, and a record of what was asked.

A web is a function from what is asked to a Reply. `sites` makes one from plain dictionaries; `tests.web.generated` and
`tests.web.hostile` make large and nasty ones.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType


@dataclass(slots=True)
class Asked:
    """One request as the server saw it."""

    host: str
    target: str
    headers: dict[str, str]  # names in lower case
    at: float  # time.monotonic when it was complete
    connection: int
    answered_at: float = 0.0
    status: int = 0


Writer = Callable[[asyncio.Transport], Awaitable[None]]


@dataclass(slots=True)
class Reply:
    """What to send. raw: writes to the transport itself, for what is no HTTP or never ends."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    raw: Writer | None = None


Answer = Callable[[Asked], Reply | None]
"""None is a 404."""


def page(text: str, *links: str, head: str = "", **headers: str) -> Reply:
    """An HTML page with links."""
    anchors = "".join(f'<p><a href="{link}">{link}</a></p>' for link in links)
    body = f"<!DOCTYPE html><html lang=fr><head><title>{text}</title>{head}</head><body><h1>{text}</h1>{anchors}</body>"
    return Reply(body=body.encode(), headers={"Content-Type": "text/html; charset=utf-8", **headers})


Site = Mapping[str, Reply | str | Callable[[Asked], Reply | None]]
"""One host: what each target answers."""


def sites(hosts: Mapping[str, Site]) -> Answer:
    """A web from {host: {target: reply}}. A str is the body of a text file; a function answers for itself."""

    def answer(asked: Asked) -> Reply | None:
        found = hosts.get(asked.host, {}).get(asked.target)
        if isinstance(found, str):
            return Reply(body=found.encode(), headers={"Content-Type": "text/plain; charset=utf-8"})
        return found if found is None or isinstance(found, Reply) else found(asked)

    return answer


def conditional(reply: Reply, asked: Asked) -> Reply:
    """The reply with an ETag of its body, or 304 when the request has it already."""
    tag = f'"{hash(reply.body) & 0xFFFFFFFF:08x}"'
    if asked.headers.get("if-none-match") == tag:
        return Reply(304, headers={**reply.headers, "ETag": tag})
    return Reply(reply.status, reply.body, {**reply.headers, "ETag": tag})


LISTS = ("/robots.txt", "/.well-known/tdmrep.json", "/sitemap.xml")
"""What is asked of every host before its pages."""


class Web:
    """Serves an Answer from a thread of its own while in its context. `seen` grows as requests come."""

    def __init__(
        self,
        answer: Answer,
        record: bool = True,
        tls: ssl.SSLContext | None = None,
        addresses: tuple[str, ...] = ("127.0.0.1",),
    ) -> None:
        self.answer, self.seen, self._record = answer, list[Asked](), record
        self.port, self._tls, self._addresses = 0, tls, addresses
        self.connected: dict[str, int] = {}  # by our own address, connections open now
        self.connected_at_once: dict[str, int] = {}  # and the most there were
        self.open_at_once: dict[str, int] = {}  # by host, the most requests under way together
        self._now: dict[str, int] = {}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Web:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    @property
    def address(self) -> str:
        """For crawl.connect_to."""
        return f"127.0.0.1:{self.port}"

    def asked_of(self, host: str, besides: tuple[str, ...] = LISTS) -> list[str]:
        """The targets asked of a host, in order, without those asked of every host."""
        return [asked.target for asked in self.seen if asked.host == host and asked.target not in besides]

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        servers = []
        for address in self._addresses:  # the same port on each
            server = await self._loop.create_server(
                lambda: _Connection(self), address, self.port, backlog=1000, ssl=self._tls
            )
            self.port = server.sockets[0].getsockname()[1]
            servers.append(server)
        self._ready.set()
        await self._over.wait()
        for server in servers:
            server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    def began(self, asked: Asked) -> None:
        """A request is complete."""
        if self._record:
            self.seen.append(asked)
        now = self._now[asked.host] = self._now.get(asked.host, 0) + 1
        self.open_at_once[asked.host] = max(now, self.open_at_once.get(asked.host, 0))

    def ended(self, asked: Asked, status: int) -> None:
        """Its answer is on its way."""
        asked.answered_at, asked.status = time.monotonic(), status
        self._now[asked.host] -= 1


class _Connection(asyncio.Protocol):
    count = 0

    def __init__(self, web: Web) -> None:
        self._web, self._buffer = web, b""
        _Connection.count += 1
        self._number = _Connection.count
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._address = str(transport.get_extra_info("sockname")[0])
        now = self._web.connected[self._address] = self._web.connected.get(self._address, 0) + 1
        self._web.connected_at_once[self._address] = max(now, self._web.connected_at_once.get(self._address, 0))

    def connection_lost(self, exc: Exception | None) -> None:
        self._web.connected[self._address] -= 1
        for task in self._tasks:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            lines = self._buffer[:end].decode("latin-1").split("\r\n")
            self._buffer = self._buffer[end + 4 :]
            headers = {}
            for line in lines[1:]:
                name, _, value = line.partition(":")
                headers[name.strip().lower()] = value.strip()
            host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
            asked = Asked(host.lower(), lines[0].split(" ")[1], headers, time.monotonic(), self._number)
            self._web.began(asked)
            reply = self._web.answer(asked) or Reply(404, b"<h1>Introuvable</h1>", {"Content-Type": "text/html"})
            if reply.raw is None and not reply.after_s:
                self._send(asked, reply)
            else:
                task = asyncio.get_running_loop().create_task(self._later(asked, reply))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _later(self, asked: Asked, reply: Reply) -> None:
        await asyncio.sleep(reply.after_s)
        if reply.raw is None:
            self._send(asked, reply)
            return
        try:
            await reply.raw(self._transport)
        finally:
            self._web.ended(asked, 0)
            self._transport.close()

    def _send(self, asked: Asked, reply: Reply) -> None:
        close = asked.headers.get("connection", "").lower() == "close"
        head = f"HTTP/1.1 {reply.status} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in reply.headers.items())
        body = b"" if reply.status == 304 else reply.body
        length = "" if reply.status == 304 else f"Content-Length: {len(body)}\r\n"
        head += f"{length}Connection: {'close' if close else 'keep-alive'}\r\n\r\n"
        self._transport.write(head.encode("latin-1", "replace") + body)
        self._web.ended(asked, reply.status)
        if close:
            self._transport.close()

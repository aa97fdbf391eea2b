"""One request, safely: the address that was checked is the one connected to, and nothing a server sends is unbounded.

A download handler for Scrapy over aiohttp, which costs a fifth of the CPU of Scrapy's own; measured in
docs/decisions/frontier-of-our-own.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import time
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.http import Response

from elunum.settings import Settings
from elunum.urls import canonical, host_of

MAX_HEADER_BYTES = 32_768
"""Of one header or of the status line."""

MAX_REDIRECTS = 5
"""Followed for robots.txt only (RFC 9309, section 2.3.1.2); a redirect of a page is a new address to visit."""

_CONNECT_S = 10.0
KEEPALIVE_S = 10.0
_ADDRESSES_S = 3_600.0
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class FetchFailed(Exception):  # noqa: N818 - it is an outcome, counted by its reason
    """No answer, or none that may be used. reason: a short constant. host: whether the whole host is at fault."""

    def __init__(self, reason: str, *, host: bool) -> None:
        super().__init__(reason)
        self.reason, self.host = reason, host


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes  # unpacked
    seconds: float

    def header(self, name: str) -> str | None:
        """The first value of a header, its name in lower case."""
        return next((value for key, value in self.headers if key.lower() == name), None)


def may_connect(address: str) -> bool:
    """Whether a numeric address is of the public Internet, whatever it hides inside.

    Private, loopback, link-local (which holds the metadata services of clouds), shared and reserved ones are not.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None and not may_connect(str(inner)):
            return False
    return ip.is_global and not ip.is_multicast


class Addresses(AbstractResolver):
    """Names to public addresses. Each name keeps the first address it was checked with, so what is connected to is
    what was checked, whatever the name says a second later."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(32, thread_name_prefix="dns")
        self._known: dict[str, tuple[float, str]] = {}

    async def address(self, name: str) -> str:
        """A numeric public address. Raises FetchFailed: "no such host", "DNS", "refused address"."""
        name = name.strip("[]")
        at, known = self._known.get(name, (0.0, ""))
        if known and time.monotonic() - at < _ADDRESSES_S:
            return known
        try:
            found = await asyncio.wait_for(
                asyncio.get_running_loop().run_in_executor(
                    self._threads, lambda: socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
                ),
                _CONNECT_S,
            )
        except socket.gaierror as error:
            reason = "no such host" if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA) else "DNS"
            raise FetchFailed(reason, host=True) from None
        except (OSError, UnicodeError, TimeoutError):
            raise FetchFailed("DNS", host=True) from None
        numeric = [str(info[4][0]).partition("%")[0] for info in found]
        allowed = [address for address in numeric if may_connect(address)]
        if len(allowed) < len(numeric) or not allowed:
            # A name that also points inside is refused whole: which of its addresses answers is not ours to hope.
            raise FetchFailed("refused address", host=True)
        chosen = next((address for address in allowed if "." in address), allowed[0])
        self._known[name] = (time.monotonic(), chosen)
        if len(self._known) > 100_000:
            self._known.pop(next(iter(self._known)))
        return chosen

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """aiohttp's question."""
        address = await self.address(host)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)


@dataclass(slots=True, eq=False)
class _Door:
    """One address (or one host, with `crawl.connect_to`): a single request goes through it at a time."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    free_at: float = 0.0  # by time.monotonic
    origin: str = ""  # whose connection may still be open
    socket: socket.socket | None = None

    def leave_to(self, origin: str) -> bool:
        """Close the connection that another origin kept open, if any; whether there was one."""
        kept, was, self.origin = self.socket, self.origin, origin
        if kept is None or was == origin or kept.fileno() < 0:
            return False
        self.socket = None
        with contextlib.suppress(OSError):
            kept.shutdown(socket.SHUT_RDWR)  # aiohttp has no way to close one connection; it sees that this one ended
        return True


_CERTIFICATES = {10: "TLS certificate expired", 62: "TLS certificate of another name"}
"""By OpenSSL's number (x509_vfy.h). What is left: signed by itself or by nobody known, incomplete."""

MAX_DOORS = 20_000
_CLOSING_S = 0.05


class Fetcher:
    """Makes requests. Created inside the running event loop.

    The frontier sees to it that an address is asked one thing at a time and has its pauses; here is the last word, for
    what the frontier cannot see: where the redirects of a robots.txt lead, and connections that stay open.

    With `crawl.connect_to` every connection goes to that address in plain http, https addresses too: a simulated web
    has no certificates. The Host header is the address's own.
    """

    def __init__(self, settings: Settings) -> None:
        self._connect_to = settings.crawl.connect_to
        self._max_bytes = settings.crawl.max_page_bytes
        self._timeout = aiohttp.ClientTimeout(total=settings.crawl.timeout_s, sock_connect=_CONNECT_S)
        self._delay_s = settings.crawl.delay_s
        self._doors: dict[str, _Door] = {}
        self.addresses = Addresses()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=self.addresses,
                use_dns_cache=False,
                limit=0,
                limit_per_host=0,
                keepalive_timeout=KEEPALIVE_S,
                socket_factory=self._socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            timeout=self._timeout,
            headers={
                "User-Agent": settings.user_agent,
                "Accept": "text/html,application/xhtml+xml,application/pdf,application/xml;q=0.9,*/*;q=0.5",
                "Accept-Language": "fr",
                "Accept-Encoding": "gzip, deflate",
            },
        )

    async def fetch(
        self, url: str, headers: Mapping[str, str], *, cut_at: int | None = None, follow: bool = False
    ) -> Answer:
        """The answer to one GET. cut_at: bytes after which the rest is left unread instead of refusing the whole.

        follow: go through redirects, each address checked. Raises FetchFailed.
        """
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._one(url, headers, cut_at)
            target = answer.header("location") if follow and 300 <= answer.status < 400 else None
            if target is None or (found := canonical(target, url)) is None:
                return answer
            url = found
        return answer

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()
        await self.addresses.close()

    async def _one(self, url: str, headers: Mapping[str, str], cut_at: int | None) -> Answer:
        asked, sent, host = url, dict(headers), host_of(url)
        if self._connect_to:
            asked = f"http://{self._connect_to}/{url.split('/', 3)[3]}"
            sent["Host"] = key = host
        else:
            # Numbers too: aiohttp would connect to them without asking.
            key = await self.addresses.address(urlsplit(url).hostname or "" if ":" in host else host)
        door = self._door(key)
        async with door.lock:
            if (wait := door.free_at - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            if door.leave_to(f"{url.partition(':')[0]}://{host}"):
                await asyncio.sleep(_CLOSING_S)
            try:
                return await self._ask(asked, sent, cut_at)
            finally:
                door.free_at = time.monotonic() + self._delay_s

    def _door(self, key: str) -> _Door:
        door = self._doors.get(key)
        if door is None:
            if len(self._doors) >= MAX_DOORS:
                now = time.monotonic()
                self._doors = {k: d for k, d in self._doors.items() if d.lock.locked() or d.free_at > now - 60}
            door = self._doors[key] = _Door()
        return door

    def _socket(self, info: Any) -> socket.socket:
        """aiohttp's new connection to an address (of the kind getaddrinfo gives), remembered at its door."""
        family, kind, protocol, _, address = info
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        if not self._connect_to:
            self._door(str(address[0]).partition("%")[0]).socket = made
        return made

    async def _ask(self, asked: str, sent: Mapping[str, str], cut_at: int | None) -> Answer:
        began = time.monotonic()
        try:
            async with self._session.get(yarl.URL(asked, encoded=True), headers=sent, allow_redirects=False) as got:
                body = await self._body(got, cut_at)
                fields = tuple((str(name), str(value)) for name, value in got.headers.items())
                return Answer(got.status, fields, body, time.monotonic() - began)
        except FetchFailed:
            raise
        except TimeoutError:
            raise FetchFailed("timeout", host=True) from None
        except aiohttp.ClientConnectorCertificateError as error:
            code = getattr(error.certificate_error, "verify_code", 0)
            raise FetchFailed(_CERTIFICATES.get(code, "TLS certificate not trusted"), host=True) from None
        except (aiohttp.ClientSSLError, ssl.SSLError):
            raise FetchFailed("TLS", host=True) from None
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, ConnectionRefusedError)
            raise FetchFailed("connection refused" if refused else "no connection", host=True) from None
        except aiohttp.ClientPayloadError:
            raise FetchFailed("cut short", host=False) from None
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError):
            raise FetchFailed("connection lost", host=True) from None
        except (aiohttp.ClientResponseError, aiohttp.InvalidURL, aiohttp.ClientError, ValueError):
            raise FetchFailed("bad answer", host=False) from None
        except OSError:
            raise FetchFailed("no connection", host=True) from None

    async def _body(self, got: aiohttp.ClientResponse, cut_at: int | None) -> bytes:
        """The body, unpacked. Memory stays within twice the limit whatever the server sends."""
        limit = min(self._max_bytes, cut_at) if cut_at else self._max_bytes
        unpack = _unpacker(got.headers.get("Content-Encoding", ""))
        if got.status >= 400 or got.status in (301, 302, 303, 307, 308):
            limit, cut_at = 20_000, 20_000  # read only so that the connection may serve again
        length = got.headers.get("Content-Length", "")
        if cut_at is None and length.isdigit() and int(length) > limit:
            got.close()
            raise FetchFailed("too large", host=False)
        parts, size, received = [], 0, 0
        async for chunk in got.content.iter_any():
            received += len(chunk)
            part = unpack(chunk, limit - size + 1)
            size += len(part)
            parts.append(part)
            if size > limit or received > limit:
                got.close()
                if cut_at is None:
                    raise FetchFailed("too large", host=False)
                return b"".join(parts)[:limit]
        return b"".join(parts)


def _unpacker(encoding: str) -> Any:
    """(packed bytes, at most) -> bytes, for a Content-Encoding. Raises FetchFailed for one that we did not ask for."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity", "none", "utf-8"):
        return lambda chunk, most: chunk
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise FetchFailed("unknown encoding", host=False)
    state: list[Any] = []

    def unpack(chunk: bytes, most: int) -> bytes:
        try:
            if not state:
                # Some servers send raw deflate, some zlib, some neither though they say so.
                wrapped = encoding != "deflate" or chunk[:1] == b"\x78"
                state.append(zlib.decompressobj(47 if wrapped else -15))
            return bytes(state[0].decompress(chunk, most))
        except zlib.error:
            raise FetchFailed("bad encoding", host=False) from None

    return unpack


class Handler:
    """Scrapy's door to the Fetcher of the spider."""

    lazy = True

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Handler:
        """Scrapy's constructor."""
        return cls(crawler)

    async def download_request(self, request: Request) -> Response:
        """The answer, in `meta["answer"]`: Scrapy's own headers would lose their order and spelling."""
        fetcher: Fetcher = self._crawler.spider.fetcher  # type: ignore[union-attr]  # our spider has one
        meta = request.meta
        answer = await fetcher.fetch(request.url, meta["headers"], cut_at=meta["cut_at"], follow=meta["follow"])
        meta["answer"] = answer
        return Response(request.url, status=answer.status, request=request)

    async def close(self) -> None:
        """The spider closes its fetcher."""

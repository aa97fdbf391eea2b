"""Every kind of answer that has broken a crawler: one name each, as a function of what was asked."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Callable

from tests.web.server import Asked, Reply, Writer, page

HTML = {"Content-Type": "text/html"}


def _raw(data: bytes, then_s: float = 0.0, abort: bool = False) -> Writer:
    async def write(transport: asyncio.Transport) -> None:
        transport.write(data)
        await asyncio.sleep(then_s)
        if abort:
            transport.abort()

    return write


async def _drip(transport: asyncio.Transport) -> None:
    transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    for _ in range(100):
        transport.write(b".")
        await asyncio.sleep(0.1)


async def _endless(transport: asyncio.Transport) -> None:
    transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    for _ in range(200):
        transport.write(b"<p>encore</p>" * 5_000)
        await asyncio.sleep(0)


async def _endless_headers(transport: asyncio.Transport) -> None:
    transport.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(3_000):
        transport.write(b"X-%d: %s\r\n" % (number, b"y" * 1_000))
        await asyncio.sleep(0)


def _bomb(megabytes: int) -> bytes:
    """So many megabytes of nothing in a thousandth of it: one block, whole by itself, again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + block * megabytes + packer.flush() + bytes(8)


_BOMB, _LARGE_BOMB = _bomb(100), _bomb(2_000)
_NEXT = {"n": 0}


def _next_number() -> int:
    _NEXT["n"] += 1
    return _NEXT["n"]


def _html(body: bytes) -> Callable[[Asked], Reply]:
    return lambda asked: Reply(body=body, headers=HTML)


def _redirect(asked: Asked) -> Reply:
    return Reply(302, headers={"Location": f"/saut{_next_number()}"})


def _calendar(asked: Asked) -> Reply:
    number = _next_number()
    return page("agenda", *(f"/agenda/{number + n}/{n}" for n in range(20)), *(f"?jour={number}" for _ in range(3)))


def _sessions(asked: Asked) -> Reply:
    return page("session", *(f"/p{n}?sid={_next_number()}" for n in range(10)))


KINDS: dict[str, Callable[[Asked], Reply | None]] = {
    "slow": lambda asked: Reply(after_s=3.0, body=b"<p>tard</p>", headers=HTML),
    "silent": lambda asked: Reply(raw=_raw(b"", then_s=3.0)),
    "drip": lambda asked: Reply(raw=_drip),
    "endless": lambda asked: Reply(raw=_endless),
    "endless headers": lambda asked: Reply(raw=_endless_headers),
    "gzip bomb": lambda asked: Reply(body=_BOMB, headers={**HTML, "Content-Encoding": "gzip"}),
    "gzip bomb of 2 GB": lambda asked: Reply(body=_LARGE_BOMB, headers={**HTML, "Content-Encoding": "gzip"}),
    "gzip bomb without its name": lambda asked: Reply(body=_BOMB, headers={"Content-Type": "application/gzip"}),
    "false gzip": lambda asked: Reply(body=b"<p>en clair</p>", headers={**HTML, "Content-Encoding": "gzip"}),
    "cut gzip": lambda asked: Reply(
        body=gzip.compress(b"a" * 9_000)[:20], headers={**HTML, "Content-Encoding": "gzip"}
    ),
    "unknown encoding": lambda asked: Reply(body=b"??", headers={**HTML, "Content-Encoding": "zz"}),
    "calendar": _calendar,
    "sessions": _sessions,
    "redirect loop": lambda asked: Reply(302, headers={"Location": asked.target}),
    "redirects for ever": _redirect,
    "redirect to a bad address": lambda asked: Reply(302, headers={"Location": "http://[bad"}),
    "redirect inside": lambda asked: Reply(302, headers={"Location": "http://169.254.169.254/latest/meta-data"}),
    "redirect without address": lambda asked: Reply(302),
    "reset": lambda asked: Reply(raw=_raw(b"", abort=True)),
    "reset in the body": lambda asked: Reply(
        raw=_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nabc", abort=True)
    ),
    "cut short": lambda asked: Reply(raw=_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n<p>abc")),
    "no HTTP": lambda asked: Reply(raw=_raw(b"SSH-2.0-OpenSSH_9.2\r\n")),
    "bad status": lambda asked: Reply(raw=_raw(b"HTTP/1.1 abc OK\r\n\r\n")),
    "status 999": lambda asked: Reply(999, b"non", HTML),
    "bad header": lambda asked: Reply(raw=_raw(b"HTTP/1.1 200 OK\r\nsans deux-points\r\n\r\nabc")),
    "long header": lambda asked: Reply(raw=_raw(b"HTTP/1.1 200 OK\r\nX-Long: " + b"y" * 100_000 + b"\r\n\r\nabc")),
    "long status line": lambda asked: Reply(raw=_raw(b"HTTP/1.1 200 " + b"y" * 100_000 + b"\r\n\r\nabc")),
    "bad length": lambda asked: Reply(raw=_raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc")),
    "bad chunks": lambda asked: Reply(raw=_raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc")),
    "deep": _html(b"<div>" * 60_000),
    "inline tags": _html(b"<b>x</b>" * 120_000),
    "20 MB of inline tags": _html(b"<b>x</b>" * 2_500_000),
    "20 MB of inline tags of unknown length": lambda asked: Reply(
        raw=_raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + b"<b>x</b>" * 2_500_000)
    ),
    "200,000 attributes": _html(b"<p " + b" ".join(b"a%d=b" % n for n in range(200_000)) + b">x</p>"),
    "300,000 cells": _html(b"<table><tr>" + b"<td>1</td>" * 300_000),
    "long address": lambda asked: page("liens", "/" + "a" * 100_000, "/b?" + "c=d&" * 3_000),
    "many links": lambda asked: page("liens", *(f"/lien{n}" for n in range(3_000))),
    "wrong charset": lambda asked: Reply(body="é".encode() * 99, headers={"Content-Type": "text/html; charset=utf-99"}),
    "utf-16": lambda asked: Reply(body="<a href=/x>é</a>".encode("utf-16"), headers=HTML),
    "nul bytes": _html(b"\x00" * 10_000 + b"<a href=/x>\x00</a>"),
    "empty": _html(b""),
    "repeated path": lambda asked: page("encore", asked.target.rstrip("/") + "/encore"),
    "refresh": _html(b'<meta http-equiv="refresh" content="0;url=/mechant">'),
    "base elsewhere": _html(b'<base href="http://ailleurs.com/"><a href="x">x</a>'),
    "file link": _html(b'<a href="file:///etc/passwd">x</a><a href="data:text/html,y">y</a>'),
    "huge etag": lambda asked: Reply(body=b"<p>x</p>", headers={**HTML, "ETag": '"' + "e" * 20_000 + '"'}),
    "304 unasked": lambda asked: Reply(304),
    "204": lambda asked: Reply(204),
    "partial": lambda asked: Reply(206, b"abc", HTML),
}

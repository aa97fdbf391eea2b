"""The demo web on loopback: `python demo/serve.py --port 0` prints the port it chose, then answers until stopped.

One port answers for every host of demo/web/, by the Host header: set ELUNUM_CRAWL_CONNECT_TO to its address to crawl
it. Tests start it with `with DemoWeb() as web:` and read `web.requests`.
"""

from __future__ import annotations

import argparse
import gzip
import socket
import sys
import threading
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

if not __package__:  # run as a script: let `demo` be found, as it is by tests
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demo.pages import WEB, Answer, Web

SMALLEST_GZIP = 500
IDLE_S = 30.0


class Request(NamedTuple):
    """One request that the demo web answered."""

    host: str
    path: str  # with its query
    status: int
    agent: str


class DemoWeb(ThreadingHTTPServer):
    """The demo web, served from a thread between `with` and its end.

    port: 0 chooses a free one. folder: laid out as demo/web/. Raises DemoError when a page is wrong, OSError when the
    port is taken.
    """

    daemon_threads = True
    request_queue_size = 512

    def __init__(self, port: int = 0, folder: Path = WEB) -> None:
        self.folder = folder
        self.web = Web(folder)
        self.requests: list[Request] = []
        self._open: set[socket.socket] = set()
        self._thread: threading.Thread | None = None
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def address(self) -> str:
        """host:port, as `crawl.connect_to` takes it."""
        return f"127.0.0.1:{self.server_port}"

    def reload(self) -> None:
        """Read the folder again: pages may have changed, come or gone."""
        self.web = Web(self.folder)

    def seen(self, host: str = "", path: str = "", status: int = 0) -> list[Request]:
        """The requests so far that have this host, path and status; an argument left out accepts any."""
        wanted = (host, path, status)
        return [
            r for r in list(self.requests) if all(want in ("", 0, got) for want, got in zip(wanted, r, strict=False))
        ]

    def handle_error(self, request: object, client_address: object) -> None:
        """Pass over a client that hung up; anything else is our bug and is printed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def __enter__(self) -> DemoWeb:
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.shutdown()
        for connection in list(self._open):  # idle connections kept alive would hold their threads
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # closed meanwhile
        self.server_close()
        if self._thread is not None:
            self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One connection; HTTP/1.1, kept open between requests."""

    server: DemoWeb
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    wbufsize = -1  # one packet for headers and body
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server._open.add(self.connection)

    def finish(self) -> None:
        self.server._open.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        host = self.headers.get("Host", "")
        answer = self.server.web.answer(host, self.path)
        status = 304 if answer.status == 200 and self._is_fresh(answer) else answer.status
        agent = self.headers.get("User-Agent", "")
        self.server.requests.append(Request(host.lower().partition(":")[0], self.path, status, agent))
        self.send_response(status)
        for name, value in answer.headers:
            if status != 304 or name != "Content-Type":
                self.send_header(name, value)
        body = answer.body
        if answer.status == 200:
            self.send_header("ETag", answer.etag)
            self.send_header("Vary", "Accept-Encoding")
        if status == 304:
            self.end_headers()
            return
        if "gzip" in self.headers.get("Accept-Encoding", "") and len(body) >= SMALLEST_GZIP:
            body = _gzipped(body)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _is_fresh(self, answer: Answer) -> bool:
        """Whether what the client has is what we would send. Source: RFC 9110, section 13.2.2."""
        if (tags := self.headers.get("If-None-Match")) is not None:
            return answer.etag in tags or tags.strip() == "*"
        since, changed = self.headers.get("If-Modified-Since"), dict(answer.headers).get("Last-Modified")
        if since is None or changed is None:
            return False
        try:
            return parsedate_to_datetime(changed) <= parsedate_to_datetime(since)
        except (ValueError, TypeError):
            return False

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: `DemoWeb.requests` holds what tests ask about."""


@lru_cache(maxsize=512)
def _gzipped(body: bytes) -> bytes:
    return gzip.compress(body, 6, mtime=0)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Serve the demo web on 127.0.0.1.")
    parser.add_argument("--port", type=int, default=8091, help="port to listen on; 0 chooses a free one")
    options = parser.parse_args(arguments)
    try:
        web = DemoWeb(options.port)
    except OSError as error:
        print(f"port {options.port}: {error.strerror}; choose another with --port", file=sys.stderr)
        return 2
    print(f"demo web on {web.address}", flush=True)
    try:
        web.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        web.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

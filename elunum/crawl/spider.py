"""Visit -> answer -> what is written. Beside fetch.py, the only module that knows Scrapy.

Scrapy's engine asks our scheduler for requests and brings their answers to the spider; politeness, robots, redirects,
retries and duplicates are the frontier's business, so every middleware of Scrapy is off.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from scrapy import Request, Spider
from scrapy.core.scheduler import BaseScheduler
from scrapy.crawler import Crawler
from scrapy.http import Response
from twisted.python.failure import Failure

from elunum.archive import ArchiveWriter, Forgotten
from elunum.crawl import links, sitemaps
from elunum.crawl.fetch import Answer, Fetcher, FetchFailed
from elunum.crawl.frontier import Found, Frontier, Host, Kind, Visit
from elunum.crawl.robots import MAX_BYTES as MAX_ROBOTS_BYTES
from elunum.crawl.robots import MAX_RESERVED_BYTES, is_reservations
from elunum.crawl.scope import Scope, is_no_text, trap, twin_key
from elunum.errors import SettingsError
from elunum.model import Page, Unchanged
from elunum.settings import Settings
from elunum.urls import canonical, host_of

log = logging.getLogger("elunum.crawl")

BEAT_S = 1.0
GRACE_S = 2.0
"""What requests in flight get to end when the time is over or the operator stops a crawl."""

PROGRESS_S = 30.0
NETWORK_GONE = 60
"""Hosts that cannot be reached, with no answer from any between them, after which the fault is taken to be ours."""

MIN_TEXT_BYTES = 200
"""A page with less text, all pictures perhaps, is not known by it."""

DYING_S = 120.0
"""A network takes so long to go, from its first silence to its last answer."""

_HTML = frozenset({"text/html", "application/xhtml+xml"})
_KEPT = _HTML | {
    "application/pdf",
    "text/plain",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_OF_UNKNOWN_TYPE = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/download"})
_NETWORK = frozenset({"DNS", "no connection", "timeout"})


class CrawlSpider(Spider):
    """One run over a scope. Made by run.py, which gives it what it needs as arguments."""

    name = "elunum"

    def __init__(
        self,
        *,
        settings: Settings,
        frontier: Frontier,
        archive: ArchiveWriter,
        scope: Scope,
        deadline: float | None,
        clock: Callable[[], float],
    ) -> None:
        super().__init__()
        self.options, self.frontier, self.archive, self.scope = settings, frontier, archive, scope
        self.deadline = deadline  # by time.monotonic
        self.clock = clock
        self.forgotten = Forgotten(settings.archive_dir)
        self.any_forgotten = len(self.forgotten) > 0  # looked at again at each beat: a look costs a call to the system
        self.fetcher = Fetcher(settings)
        self.stopping = ""
        self.abandoned = False
        self.failure: BaseException | None = None
        self.silent: set[int] = set()  # hosts that nothing was heard of, and of no other since
        self.suspects: deque[tuple[float, int]] = deque(maxlen=10_000)  # (when, host) of the last of them

    # --- asking --------------------------------------------------------------------------------------------------

    def request_for(self, visit: Visit) -> Request:
        """Scrapy's request for a visit."""
        headers = {}
        if visit.etag:
            headers["If-None-Match"] = visit.etag
        if visit.modified:
            headers["If-Modified-Since"] = visit.modified
        if not visit.alone:
            headers["Connection"] = "close"  # the next request to this IP address is to another host
        cut_at = {
            Kind.ROBOTS: MAX_ROBOTS_BYTES + 1,
            Kind.RESERVED: MAX_RESERVED_BYTES + 1,
            Kind.SITEMAP: self.options.crawl.max_page_bytes,
        }.get(visit.kind)
        return Request(
            visit.url,
            callback=self.answered,
            errback=self.failed,
            meta={
                "verbatim_url": True,
                "download_slot": visit.host.name,  # or Scrapy would parse the address to find it
                "visit": visit,
                "headers": headers,
                "cut_at": cut_at,
                "follow": visit.kind in (Kind.ROBOTS, Kind.RESERVED),
            },
        )

    # --- taking in -----------------------------------------------------------------------------------------------

    def answered(self, response: Response) -> None:
        """A server answered."""
        visit, answer = response.meta["visit"], response.meta["answer"]
        self.silent.clear()
        try:
            with self.frontier.together():
                self._take_in(visit, answer)
        except SettingsError as error:
            self._give_up(error)
        except Exception:
            # The one door around one page: a fault of ours on it must not cost the night.
            log.exception("page_failed", extra={"host": visit.host.name})
            visit.host.docs = None  # what was noted of it in memory was not written
            with self.frontier.together():
                self.frontier.failed(visit, "fault of ours", host_failed=False)

    def failed(self, failure: Failure) -> None:
        """No answer, or none that may be used."""
        visit = failure.request.meta["visit"]  # type: ignore[attr-defined]  # set by Scrapy
        error = failure.value
        assert error is not None
        if self.abandoned:
            return
        if not isinstance(error, FetchFailed):
            if not isinstance(error, asyncio.CancelledError):
                self._give_up(error)
            return
        try:
            with self.frontier.together():
                if visit.kind is Kind.ROBOTS:
                    self.frontier.robots(visit, 0, b"", 0.0, error.reason)
                elif error.reason == "too large":
                    self.frontier.refused(visit, "too large", 0.0)
                else:
                    self.frontier.failed(visit, error.reason, host_failed=error.host)
            self.network(visit.host, error.reason)
        except Exception as problem:
            self._give_up(problem)

    def abandon(self) -> None:
        """Drop what is in flight: it stays due."""
        self.abandoned = True
        self._closing = asyncio.get_running_loop().create_task(self.fetcher.close())

    def network(self, host: Host, reason: str) -> None:
        """Count what looks like our own network being gone, and stop when it surely is: no site is blamed for it."""
        if reason not in _NETWORK:
            self.silent.clear()  # a refusal is an answer
            return
        if 0 < host.failing_since < self.frontier.started:
            return  # of a host that has been silent for nights, silence says nothing
        now = time.monotonic()
        self.silent.add(host.id)
        self.suspects.append((now, host.id))
        if len(self.silent) >= NETWORK_GONE and not self.stopping:
            self.stopping = "the network is gone"
            self.abandoned = True
            # Those too that fell silent while the last answers of others were on their way.
            self.frontier.excuse({id for at, id in self.suspects if now - at < DYING_S})

    def _give_up(self, error: BaseException) -> None:
        """A full disk, or a fault of ours: nothing more is asked, run.py raises it."""
        self.failure = self.failure or error
        self.stopping = "stopped by an error"

    def _take_in(self, visit: Visit, answer: Answer) -> None:
        frontier, status = self.frontier, answer.status
        if visit.kind is Kind.ROBOTS:
            wait = _retry_after(answer, self.clock()) if status in (429, 503) else 0.0
            frontier.robots(visit, status, answer.body, answer.seconds, wait=wait)
        elif status == 304:
            self._not_modified(visit, answer)
        elif visit.kind is Kind.RESERVED and status < 500 and status != 429:
            kept = answer.body if status == 200 and is_reservations(answer.body) else None
            frontier.reserved(visit, kept, answer.seconds, *_validators(answer))
        elif status in (301, 302, 303, 307, 308):
            self._redirected(visit, answer)
        elif status in (404, 410):
            frontier.missing(visit, status, answer.seconds)
        elif status in (429, 503):
            frontier.slow_down(visit, f"status {status}", _retry_after(answer, self.clock()))
        elif status >= 500:
            frontier.failed(visit, f"status {status}", host_failed=True)
        elif status != 200:
            frontier.refused(visit, f"status {status}", answer.seconds)
        elif visit.kind is Kind.PAGE:
            self._page(visit, answer)
        else:
            self._list(visit, answer)

    def _not_modified(self, visit: Visit, answer: Answer) -> None:
        """Nothing new in the page, but its headers may ask today what they did not yesterday."""
        orders = links.orders_of_headers(answer.headers, self.options.crawl.agent_name)
        if visit.kind is Kind.PAGE and (orders.noindex or orders.reserved):
            self.frontier.refused(visit, "noindex" if orders.noindex else "reserved", answer.seconds)
            return
        if visit.kind is Kind.PAGE and visit.archived:
            self.archive.write(Unchanged(visit.url, self._now()))
        self.frontier.unchanged(visit, answer.seconds)

    def _page(self, visit: Visit, answer: Answer) -> None:
        agent = self.options.crawl.agent_name
        kind, charset = _content_type(answer)
        if kind not in _KEPT and not (kind in _OF_UNKNOWN_TYPE and _looks_kept(answer.body)):
            self.frontier.refused(visit, "not a text", answer.seconds, every=30.0)
            return
        body_digest = hashlib.sha256(answer.body).digest()[:8]
        of_headers = orders = links.orders_of_headers(answer.headers, agent)
        text_digest = body_digest
        if body_digest != visit.body_digest or not visit.archived:
            if kind in _HTML or answer.body[:200].lstrip()[:1] == b"<":
                found = links.read(answer.body, charset, agent)
                orders = links.together(orders, found.orders)
                text_digest = found.text_digest
                again = self._compare(visit, text_digest) and found.text_bytes >= MIN_TEXT_BYTES
                if again:
                    self.frontier.counts["not followed from the same page again"] += len(found.hrefs)
                elif not orders.nofollow:
                    self._follow(visit, found)
                if found.canonical and (reason := self._canonical(visit, found)):
                    self.frontier.refused(visit, reason, answer.seconds, validators=_validators(answer))
                    return
            else:
                self._compare(visit, text_digest)
        elif visit.text_digest is not None:
            text_digest = visit.text_digest
        if orders.noindex or orders.reserved:
            # Headers may change while the body, and so its validators, does not: such a page is asked for whole.
            validators = (None, None) if of_headers.noindex or of_headers.reserved else _validators(answer)
            reason = "noindex" if orders.noindex else "reserved"
            self.frontier.refused(visit, reason, answer.seconds, validators=validators)
            return
        changed = not visit.archived or (body_digest != visit.body_digest and text_digest != visit.text_digest)
        if changed:
            self.archive.write(Page(visit.url, answer.status, answer.headers, answer.body, self._now()))
        else:
            self.archive.write(Unchanged(visit.url, self._now()))
        self._keep(visit, answer, changed, body_digest, text_digest)

    def _compare(self, visit: Visit, text_digest: bytes) -> bool:
        """Whether a page whose address has parameters is one that we know already under others."""
        if "?" not in visit.url or (visit.archived and text_digest == visit.text_digest):
            return False
        return self.frontier.compare(visit, text_digest)

    def _list(self, visit: Visit, answer: Answer) -> None:
        """A sitemap or a feed."""
        digest = hashlib.sha256(answer.body).digest()[:8]
        if digest != visit.body_digest:
            self.frontier.add(visit.host, self._listed(visit, sitemaps.read(answer.body)))
        self._keep(visit, answer, digest != visit.body_digest, digest, digest)

    def _keep(self, visit: Visit, answer: Answer, changed: bool, body_digest: bytes, text_digest: bytes) -> None:
        etag, modified = _validators(answer)
        self.frontier.kept(
            visit,
            changed=changed,
            seconds=answer.seconds,
            etag=etag,
            modified=modified,
            body_digest=body_digest,
            text_digest=text_digest,
        )

    def _redirected(self, visit: Visit, answer: Answer) -> None:
        """Where it leads becomes an address like any other; this one leaves the index."""
        target = canonical(answer.header("location") or "", visit.url)
        if target is None:
            self.frontier.refused(visit, "redirect to nowhere", answer.seconds)
        elif target.partition("://")[2] == visit.url.partition("://")[2]:
            if target == visit.url or visit.tries >= 3:
                self.frontier.refused(visit, "redirect loop", answer.seconds)
            else:
                self.frontier.moved(visit, target, answer.seconds)
        elif self._wanted(target) is None:
            self.frontier.refused(visit, "redirect out of scope", answer.seconds)
        else:
            # Sixty hops are far beyond any site and well before for ever.
            rank = min(visit.rank + 1, 60) if visit.rank >= 10 else visit.rank
            if rank < 60:
                self.frontier.add(visit.host, [Found(target, visit.kind, rank)])
            self.frontier.refused(visit, "redirect", answer.seconds)

    def _canonical(self, visit: Visit, found: links.Links) -> str:
        """Why a page leaves its place to the one it calls canonical; "" when it does not."""
        target = canonical(found.canonical, visit.url)
        if target is None or target.partition("://")[2] == visit.url.partition("://")[2]:
            return ""
        # Believed inside a site only, and never towards its home page: a template's usual mistake.
        home = target.count("/") == 3 and target.endswith("/")
        if home or twin_key(host_of(target)) != twin_key(visit.host.name) or self._wanted(target) is None:
            return ""
        self.frontier.add(visit.host, [Found(target, Kind.PAGE, visit.rank)])
        return "canonical elsewhere"

    def _follow(self, visit: Visit, found: links.Links) -> None:
        base = canonical(found.base, visit.url) or visit.url if found.base else visit.url
        rank = min(max(visit.rank + 1, 10), 60)
        seen: list[Found] = []
        for href in found.hrefs:
            url = canonical(href, base)
            if url is None or (url := self._wanted(self._same_site(url, visit))) is None:
                continue
            if reason := trap(url):
                self.frontier.counts[f"not followed {reason}"] += 1
                continue
            seen.append(Found(url, Kind.PAGE, rank))
        for href in found.feeds if visit.rank <= 10 else ():
            url = canonical(href, base)
            if url is not None and (url := self._wanted(self._same_site(url, visit))) is not None:
                seen.append(Found(url, Kind.FEED))
        self.frontier.add(visit.host, seen)

    def _listed(self, visit: Visit, entries: Iterable[sitemaps.Entry]) -> Iterable[Found]:
        for entry in entries:
            url = canonical(entry.url, visit.url)
            if url is None or (url := self._wanted(self._same_site(url, visit))) is None:
                continue
            if entry.kind == "sitemap":
                if visit.rank < 3:
                    yield Found(url, Kind.SITEMAP, visit.rank + 1)
            elif not is_no_text(url):
                yield Found(url, Kind.PAGE, -1 if visit.kind is Kind.FEED else 0, entry.lastmod)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)

    def _same_site(self, url: str, visit: Visit) -> str:
        """The address as the page's own host spells it: www. and the bare name, http and https are one site."""
        host, slash, path = url.partition("://")[2].partition("/")
        if host == visit.host.name or twin_key(host) == twin_key(visit.host.name):
            return f"{visit.url.partition('://')[0]}://{visit.host.name}{slash}{path}"
        return url

    def _wanted(self, url: str) -> str | None:
        return url if url in self.scope and not (self.any_forgotten and self.forgotten.holds(url)) else None


class FrontierScheduler(BaseScheduler):
    """The frontier behind Scrapy's interface: opens hosts as the window allows, hands out what may leave."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._beat = self._progress = time.monotonic()
        self._progress_requests = 0

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> FrontierScheduler:
        """Scrapy's constructor."""
        return cls(crawler)

    def open(self, spider: Spider) -> None:
        """Scrapy's start."""
        assert isinstance(spider, CrawlSpider)
        self._spider = spider

    def close(self, reason: str) -> None:
        """Scrapy's end."""
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()

    def has_pending_requests(self) -> bool:
        """Whether the run goes on."""
        return not self._stopping() and self._spider.frontier.wait_s() is not None

    def enqueue_request(self, request: Request) -> bool:
        """Nothing comes in this way: the spider tells the frontier."""
        return False

    def next_request(self) -> Request | None:
        """The next request that may leave; when there is none, Scrapy is woken as soon as there may be."""
        spider = self._spider
        if self._stopping():
            return None
        try:
            for host in spider.frontier.to_open():
                if spider.options.crawl.connect_to:
                    spider.frontier.place(host, host.name)
                else:
                    task = asyncio.get_running_loop().create_task(self._resolve(host))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
            visit = spider.frontier.next()
            self._report()
        except Exception as error:
            spider._give_up(error)
            return None
        if visit is not None:
            return spider.request_for(visit)
        wait = spider.frontier.wait_s()
        if wait is not None:
            self._wake_in(wait)
        return None

    def _stopping(self) -> bool:
        spider = self._spider
        if spider.deadline is not None and time.monotonic() > spider.deadline and not spider.stopping:
            spider.stopping = "out of time"
            asyncio.get_running_loop().call_later(GRACE_S, spider.abandon)
        return bool(spider.stopping)

    async def _resolve(self, host: Host) -> None:
        """Find the address of an opened host, then give it its slot."""
        spider = self._spider
        try:
            try:
                name = urlsplit(f"//{host.name}").hostname or ""
                spider.frontier.place(host, await spider.fetcher.addresses.address(name))
            except FetchFailed as failed:
                if spider.abandoned:
                    return
                spider.frontier.unreachable(host, failed.reason)
                spider.network(host, failed.reason)
        except Exception as error:
            spider._give_up(error)
        self._wake_in(0.0)

    def _wake_in(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time() + min(max(seconds, 0.001), BEAT_S)
        if self._timer is not None:
            if not self._timer.cancelled() and loop.time() < self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = loop.call_at(at, self._wake)

    def _wake(self) -> None:
        self._timer = None
        slot = self._crawler.engine._slot  # Scrapy's own heartbeat is 5 s, and it offers no public alarm clock
        if slot is not None:
            slot.nextcall.schedule()

    def _report(self) -> None:
        now, frontier = time.monotonic(), self._spider.frontier
        if now - self._beat >= BEAT_S:
            self._beat = now
            self._spider.any_forgotten = len(self._spider.forgotten) > 0
            frontier.beat()
        if now - self._progress >= PROGRESS_S:
            done = frontier.counts["requests"]
            rate = (done - self._progress_requests) / (now - self._progress)
            self._progress, self._progress_requests = now, done
            left, visited = frontier.hosts_left(), frontier.counts["hosts visited"]
            figures = {"requests": done, "per_s": round(rate, 1), "hosts_left": left}
            if visited:
                pace_s = (self._spider.clock() - frontier.started) / visited
                figures["minutes_left"] = round(left * pace_s / 60)
            log.info("progress", extra=figures)


def _validators(answer: Answer) -> tuple[str | None, str | None]:
    """ETag and Last-Modified, to be sent back; one that is very long is no validator."""
    etag, modified = answer.header("etag"), answer.header("last-modified")
    return (
        etag if etag and len(etag) <= 500 else None,
        modified if modified and len(modified) <= 500 else None,
    )


def _content_type(answer: Answer) -> tuple[str, str]:
    """(media type, charset), both in lower case, "" when not given."""
    kind, _, rest = (answer.header("content-type") or "").lower().partition(";")
    charset = rest.partition("charset=")[2].partition(";")[0].strip(" \"'")
    return kind.strip(), charset


def _looks_kept(body: bytes) -> bool:
    """Whether an untyped body is a page, a PDF or an office text."""
    start = body[:512].lstrip()
    return start[:5] == b"%PDF-" or start[:4] == b"PK\x03\x04" or start[:1] == b"<"


def _retry_after(answer: Answer, now: float) -> float:
    """Seconds of a Retry-After, in either of its forms (RFC 9110, section 10.2.3)."""
    value = (answer.header("retry-after") or "").strip()
    if value.isdigit():
        return float(min(int(value), 10 * 86_400))
    return max(sitemaps.when(value) - now, 0.0) if value else 0.0

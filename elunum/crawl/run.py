"""One run of the crawler, and what it reports."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from scrapy.crawler import AsyncCrawlerRunner, Crawler
from scrapy.settings import Settings as ScrapySettings

from elunum import visits
from elunum.archive import ArchiveWriter, Expiry, Forgotten
from elunum.crawl.fetch import Handler
from elunum.crawl.frontier import MAX_WAIT_S, Frontier, connect, is_alive, refusal, seen_hosts
from elunum.crawl.scope import Scope
from elunum.crawl.spider import GRACE_S, CrawlSpider, FrontierScheduler
from elunum.errors import SettingsError
from elunum.model import Gone, Source
from elunum.settings import Settings

log = logging.getLogger("elunum.crawl")

PUBLISH_S = 300.0
"""Between two writings of what the site shows of a crawl that goes on."""

WORST_HOSTS = 20
SLOWEST_HOSTS = 10


@dataclass(frozen=True, slots=True)
class CrawlReport:
    """What a run did, or has done so far. Pages are counted, lists and robots.txt are not."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0  # 304, same bytes or same text
    gone: int = 0  # pages that left the index because they are not there any more
    missing: int = 0  # addresses that answered 404 and were never a page, or not for three nights yet
    refused: int = 0  # not for us, by reason in `refusals`
    failed: int = 0
    requests: int = 0  # answered, of all kinds
    hosts: int = 0  # of the list, with their twins that were met
    hosts_left: int = 0  # with something still due
    hosts_stopped: Mapping[str, int] = field(default_factory=dict)  # left alone until tomorrow, by reason
    known: int = 0  # addresses
    seconds: float = 0.0
    pages_per_s: float = 0.0
    finished: bool = True  # nothing was left to do
    running: bool = False
    stopped_by: str = ""  # why it ended before that: a signal, "out of time", "the network is gone", "killed"...
    started_at: datetime | None = None  # UTC
    seen_at: datetime | None = None  # UTC, last sign of life
    expected_end: datetime | None = None  # UTC, at the pace of this run so far; None once it is over
    refusals: Mapping[str, int] = field(default_factory=dict)
    not_followed: Mapping[str, int] = field(default_factory=dict)  # links to what machines make up, by reason
    errors: Mapping[str, int] = field(default_factory=dict)
    errors_by_host: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # the twenty with most
    slowest_hosts: Mapping[str, float] = field(default_factory=dict)  # mean seconds an answer, the ten slowest


def crawl(
    settings: Settings,
    sources: list[Source],
    hours: float | None = None,
    only: str = "",
    shard: tuple[int, int] = (1, 1),
    clock: Callable[[], float] = time.time,
) -> CrawlReport:
    """Visit what is due. Ends when nothing is, after `hours`, or cleanly on SIGINT and SIGTERM; may be killed.

    only: a single host. shard: (K, N): the K-th of N parts of the hosts, each with a frontier file of its own. clock:
    seconds since 1970. Raises SettingsError: bad arguments, a folder that cannot be written, a full disk.
    """
    part, parts = shard
    if not 1 <= part <= parts:
        raise SettingsError(f"--shard {part}/{parts}: write K/N with K from 1 to N")
    forgotten = Forgotten(settings.archive_dir)
    scope = Scope((source for source in sources if not forgotten.holds_host(source.url)), shard, only)
    scope.sources = [source for source in scope.sources if not forgotten.holds(source.url)]
    if only and not len(scope):
        raise SettingsError(f"--only {only}: no source has this host; see sources.csv")
    return asyncio.run(_run(settings, scope, hours, shard, clock))


async def _run(
    settings: Settings, scope: Scope, hours: float | None, shard: tuple[int, int], clock: Callable[[], float]
) -> CrawlReport:
    name = "crawl" if shard == (1, 1) else f"crawl-{shard[0]}-of-{shard[1]}"
    path = _frontier_path(settings, shard)
    began = time.monotonic()
    with ArchiveWriter(settings.archive_dir, settings.archive, name) as archive:
        frontier = Frontier(
            path,
            settings.crawl,
            scope,
            lambda url, reason: archive.write(Gone(url, reason, datetime.fromtimestamp(clock(), UTC))),
            clock,
            expired=Expiry(settings.archive_dir).before,
        )
        before = frontier.counts["requests"]
        deadline = began + hours * 3600 if hours is not None else None
        # The whole run lives in one object, so that two runs in one process share nothing.
        runner = AsyncCrawlerRunner(_scrapy_settings(settings))
        crawler = runner.create_crawler(CrawlSpider)
        task = runner.crawl(
            crawler, settings=settings, frontier=frontier, archive=archive, scope=scope, deadline=deadline, clock=clock
        )
        publishing = asyncio.create_task(_publishing(settings, shard, clock))
        try:
            with _stopping_cleanly(crawler):
                await task
        finally:
            publishing.cancel()
            spider = crawler.spider
            assert isinstance(spider, CrawlSpider)
            await spider.fetcher.close()
            left = frontier.hosts_left()
            if spider.failure is None:
                frontier.close(ended=left == 0 and not spider.stopping, stopped_by=spider.stopping)
            else:
                frontier.give_up(spider.stopping)
    if spider.failure is not None:
        raise spider.failure
    publish(settings, shard, clock)
    done, seconds = frontier.counts["requests"] - before, time.monotonic() - began
    log.info("crawl_ended", extra={"requests": done, "seconds": round(seconds, 1), "hosts_left": left})
    return replace(status(settings, shard), pages_per_s=round(done / seconds, 1))


def _frontier_path(settings: Settings, shard: tuple[int, int]) -> Path:
    path = settings.frontier_path
    return path if shard == (1, 1) else path.with_name(f"{path.stem}-{shard[0]}-of-{shard[1]}{path.suffix}")


@contextmanager
def _stopping_cleanly(crawler: Crawler) -> Iterator[None]:
    """SIGINT and SIGTERM let the requests in flight end for two seconds; a second one does not wait."""
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        spider = crawler.spider
        if not isinstance(spider, CrawlSpider):
            return
        again = bool(spider.stopping)
        spider.stopping = f"{signal.Signals(number).name}"
        log.info("stopping", extra={"signal": spider.stopping})
        loop.call_later(0.0 if again else GRACE_S, spider.abandon)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    try:
        for number in numbers:
            loop.add_signal_handler(number, stop, number)
    except (ValueError, RuntimeError):  # not the main thread: signals are someone else's
        yield
        return
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _scrapy_settings(settings: Settings) -> ScrapySettings:
    """Scrapy with everything off that the frontier does or that listens on a port."""
    return ScrapySettings(
        {
            "TWISTED_REACTOR_ENABLED": False,
            "SCHEDULER": FrontierScheduler,
            "DOWNLOAD_HANDLERS": {"http": Handler, "https": Handler, "data": None, "file": None, "s3": None},
            "DOWNLOADER_MIDDLEWARES_BASE": {},
            "SPIDER_MIDDLEWARES_BASE": {},
            "EXTENSIONS_BASE": {},
            "STATS_CLASS": "scrapy.statscollectors.DummyStatsCollector",
            "CONCURRENT_REQUESTS": settings.crawl.active_hosts,
            "CONCURRENT_REQUESTS_PER_DOMAIN": settings.crawl.active_hosts,
            "CONCURRENT_ITEMS": 1,
            "DOWNLOAD_DELAY": 0,
            "DOWNLOAD_DELAY_JITTER": 0,
            "COOKIES_ENABLED": False,
            "REMOTE_CONTROL_ENABLED": False,
            "TELNETCONSOLE_ENABLED": False,
            "ROBOTSTXT_OBEY": False,  # the frontier obeys
            "WARN_ON_GENERATOR_RETURN_VALUE": False,
        }
    )


async def _publishing(settings: Settings, shard: tuple[int, int], clock: Callable[[], float]) -> None:
    while True:
        await asyncio.sleep(PUBLISH_S)
        publish(settings, shard, clock)  # holds the crawl for a moment: a thread could outlive it and write last


def publish(settings: Settings, shard: tuple[int, int], clock: Callable[[], float] = time.time) -> None:
    """Write what is known of each host of a shard, and the report of all, where the site reads them.

    A crawl does not stop because this cannot be written: the next time may do better.
    """
    try:
        hosts = seen_hosts(_frontier_path(settings, shard))
        visits.write(visits.file_of(settings.data, shard), clock(), status(settings), hosts)
    except (OSError, SettingsError, sqlite3.Error) as error:
        log.warning("not_published", extra={"error": type(error).__name__})


# --- reporting -------------------------------------------------------------------------------------------------------


def status(settings: Settings, shard: tuple[int, int] | None = None) -> CrawlReport:
    """The last run as it is now, of one shard or of all; readable while it goes on and after it was killed."""
    if shard is not None:
        paths = [_frontier_path(settings, shard)]
    else:
        stem = settings.frontier_path
        paths = [stem, *sorted(stem.parent.glob(f"{stem.stem}-*-of-*{stem.suffix}"))]
    reports = [_read_status(path) for path in paths if path.exists()]
    return _merged(reports) if reports else CrawlReport()


def _read_status(path: Path) -> CrawlReport:
    db = connect(path)
    try:
        last = db.execute("select * from runs order by id desc limit 1").fetchone()
        if last is None:
            return CrawlReport()
        run, started, seen, ended, text, *rest = last
        owner, stopped_by = rest or ("", "")  # a file that no crawl has opened since these were added
        counts: dict[str, int] = json.loads(text)
        hosts, known = db.execute("select count(*), coalesce(sum(known), 0) from hosts").fetchone()
        (left,) = db.execute(
            "select count(*) from hosts where due <= ? and free_at <= ?", (started, seen + MAX_WAIT_S)
        ).fetchone()
        by_host: dict[str, dict[str, int]] = {}
        for host, reason, n in db.execute("select host, reason, n from errors where run = ? order by n desc", (run,)):
            if host in by_host or len(by_host) < WORST_HOSTS:
                by_host.setdefault(host, {})[reason] = n
        slowest = {
            name: round(mean, 3)
            for name, mean in db.execute(
                "select name, answered_s / answers from hosts where answers > 2 order by 2 desc limit ?",
                (SLOWEST_HOSTS,),
            )
        }
    except sqlite3.Error as error:
        raise refusal(path, error) from None
    finally:
        db.close()
    seconds = max((ended or seen) - started, 0.0)  # the clock may have been put back
    running = bool(owner) and is_alive(owner)
    if owner and not running:
        stopped_by = "killed"
    return CrawlReport(
        new=counts.get("new", 0),
        changed=counts.get("changed", 0),
        unchanged=counts.get("unchanged", 0),
        gone=counts.get("gone", 0),
        missing=counts.get("missing", 0),
        refused=counts.get("refused", 0),
        failed=counts.get("failed", 0),
        requests=counts.get("requests", 0),
        hosts=hosts,
        hosts_left=0 if ended else left,
        known=known,
        seconds=round(seconds, 3),
        pages_per_s=round(counts.get("requests", 0) / seconds, 1) if seconds else 0.0,
        hosts_stopped=_with_prefix(counts, "left "),
        finished=ended is not None,
        running=running,
        stopped_by=stopped_by,
        started_at=datetime.fromtimestamp(started, UTC),
        seen_at=datetime.fromtimestamp(seen, UTC),
        expected_end=_expected_end(started, seen, left, counts.get("hosts visited", 0)) if running else None,
        refusals=_with_prefix(counts, "because "),
        not_followed=_with_prefix(counts, "not followed "),
        errors=_with_prefix(counts, "error "),
        errors_by_host=by_host,
        slowest_hosts=slowest,
    )


def _expected_end(started: float, seen: float, left: int, visited: int) -> datetime | None:
    """When the hosts left will have been visited, if they take as long as the others did."""
    if not visited:
        return None
    return datetime.fromtimestamp(seen + min(left * (seen - started) / visited, 30 * 86_400), UTC)


def _with_prefix(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): n for name, n in sorted(counts.items()) if name.startswith(prefix)}


def _merged(reports: list[CrawlReport]) -> CrawlReport:
    """Shards side by side, as one."""
    if len(reports) == 1:
        return reports[0]
    refusals, errors, stopped, left = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    by_host: dict[str, Mapping[str, int]] = {}
    slowest: dict[str, float] = {}
    for report in reports:
        refusals.update(report.refusals)
        left.update(report.not_followed)
        errors.update(report.errors)
        stopped.update(report.hosts_stopped)
        by_host.update(report.errors_by_host)
        slowest.update(report.slowest_hosts)
    worst = sorted(by_host, key=lambda host: -sum(by_host[host].values()))[:WORST_HOSTS]
    slow = sorted(slowest, key=lambda host: -slowest[host])[:SLOWEST_HOSTS]
    return CrawlReport(
        new=sum(r.new for r in reports),
        changed=sum(r.changed for r in reports),
        unchanged=sum(r.unchanged for r in reports),
        gone=sum(r.gone for r in reports),
        missing=sum(r.missing for r in reports),
        refused=sum(r.refused for r in reports),
        failed=sum(r.failed for r in reports),
        requests=sum(r.requests for r in reports),
        hosts=sum(r.hosts for r in reports),
        hosts_left=sum(r.hosts_left for r in reports),
        known=sum(r.known for r in reports),
        seconds=max(r.seconds for r in reports),
        pages_per_s=round(sum(r.pages_per_s for r in reports), 1),
        hosts_stopped=dict(sorted(stopped.items())),
        finished=all(r.finished for r in reports),
        running=any(r.running for r in reports),
        stopped_by=", ".join(sorted({r.stopped_by for r in reports if r.stopped_by})),
        started_at=min((r.started_at for r in reports if r.started_at), default=None),
        seen_at=max((r.seen_at for r in reports if r.seen_at), default=None),
        expected_end=max((r.expected_end for r in reports if r.expected_end), default=None),
        refusals=dict(sorted(refusals.items())),
        not_followed=dict(sorted(left.items())),
        errors=dict(sorted(errors.items())),
        errors_by_host={host: by_host[host] for host in worst},
        slowest_hosts={host: slowest[host] for host in slow},
    )

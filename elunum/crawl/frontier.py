"""What is due: every known address with what was learned of it, on disk; a heap of due hosts and a window of open
ones, in memory.

The only file that knows SQLite here. Results are written together a few times a second, and always before their host
is asked again: a killed crawl forgets at most one request of each open host, the same as if it had been in flight. A
host is leased to one crawler at a time. Dates on disk are seconds since 1970; waiting is measured by a clock that never
jumps.

The life of a host: in the heap while something of it is due -> opened (leased, its state read) -> in the slot of its
address, one request at a time -> closed when nothing of it is due any more. A slot is an IP address, or the host
itself where addresses mean nothing; hosts that share an address share its pauses. What is due is judged at the start
of a run: an address is visited at most once in it, failures retried apart.
"""

from __future__ import annotations

import fcntl
import hashlib
import heapq
import json
import math
import os
import sqlite3
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path

from elunum.crawl.robots import (
    ALLOW_ALL,
    NOTHING_RESERVED,
    RESERVED_PATH,
    Permission,
    Reserved,
    Rules,
    permission,
    reserved,
)
from elunum.crawl.robots import read as read_rules
from elunum.crawl.scope import Parameters, Scope, shape, without
from elunum.errors import SettingsError
from elunum.settings import CrawlSettings
from elunum.urls import canonical, document_id, host_of
from elunum.visits import Host as SeenHost

DAY_S = 86_400.0
LEASE_S = 900.0
"""A host taken by a crawler of which nothing is heard is free again after."""

MAX_WAIT_S = 600.0
"""A host that asks for a longer pause is left for the night."""

NIGHT_S = 0.75 * DAY_S
MAX_FAILURES = 4
"""Consecutive failures after which a host is left for the night."""

VANISHED_S = 30 * DAY_S
MISSING_NIGHTS = 3
BATCH = 200
SETTLE_S = 0.2
"""Results wait so long at most to be written together: a transaction each would be most of their cost."""

SHARING = 8
"""Hosts of one address open side by side; its others wait outside the window."""

LET_GO_S = 15.0
"""An address is left to other crawlers so long after its last request: longer than its connection stays open."""

BUSY_ELSEWHERE_S = 30.0
"""A host whose address another crawler holds is looked at again after."""

MAX_SAME_SHAPE = 1_000
"""Addresses of one shape that links may add to a host, and as many again as proved useful: what has more is a machine
counting, or an old site with many articles, whose next ones wait for the night after."""

BUDGET_GROWTH = 20
"""The page budget of a host stops at so many times the setting."""

PARKED = 1e200
"""The due date of what is over the budget, or of a shape that has many: kept for the night when there is room."""

REFUSED_BY_BODY = frozenset({"noindex", "reserved", "canonical elsewhere"})
"""Reasons that a page may itself give not to be kept: while its validators hold, it gives them still."""

VERSION = 1
"""Of the tables below; a file of another version is refused by name."""

_REFUSALS = """
create table if not exists refusals (
    host integer not null, doc integer not null, reason text not null,  -- addresses that are not kept, and why
    primary key (host, doc)
) without rowid
"""

_SCHEMA = f"""
pragma user_version = {VERSION};
create table if not exists hosts (
    id integer primary key,
    name text not null unique,
    due real not null default 0,            -- nothing of it is due before
    free_at real not null default 0,        -- no request to it before
    lease text not null default '',
    leased_until real not null default 0,
    robots blob,                            -- body of robots.txt when there is one
    robots_says text not null default '',   -- a Permission
    robots_at real not null default 0,
    reserved blob,                          -- body of tdmrep.json when there is one
    pause real not null default 0,          -- seconds, doubled at each 429 or 503
    failing_since real not null default 0,
    known integer not null default 0,       -- addresses
    parked integer not null default 0,      -- those of them that are over the budget
    useful integer not null default 0,      -- pages that gave something to read
    lies integer not null default 0,        -- pages that changed though the sitemap said they had not
    answers integer not null default 0,
    answered_s real not null default 0,     -- seconds spent on them
    answered_at real not null default 0,    -- the last one
    stopped text not null default ''        -- why it is left alone until free_at
);
create table if not exists urls (
    host integer not null,
    doc integer not null,                   -- the document id as a signed number
    url text not null,
    kind integer not null,
    rank integer not null default 0,        -- smaller first; 10 or more when only links led to it
    due real not null default 0,
    etag text,
    modified text,                          -- Last-Modified as the server wrote it
    lastmod real not null default 0,        -- what a sitemap said
    body_digest blob,
    text_digest blob,
    fetched real not null default 0,        -- last answer, kept or unchanged
    every real not null default 0,          -- days between two visits
    misses integer not null default 0,      -- nights in a row that it was not there
    tries integer not null default 0,       -- failures in a row
    archived integer not null default 0,    -- the archive holds it and nothing says that it is gone
    primary key (host, doc)
) without rowid;
create table if not exists runs (
    id integer primary key,
    started real not null,
    seen real not null,
    ended real,
    counts text not null default '{{}}',
    owner text not null default '',         -- the crawler, while it goes on
    stopped_by text not null default ''     -- why it ended before nothing was due
);
{_REFUSALS};
drop table if exists idle;
create table if not exists errors (
    run integer not null, host text not null, reason text not null, n integer not null,
    primary key (run, host, reason)
) without rowid;
"""

_ADDED = (
    ("hosts", "answered_at", "real not null default 0"),
    ("hosts", "reserved", "blob"),
    ("hosts", "stopped", "text not null default ''"),
    ("runs", "owner", "text not null default ''"),
    ("runs", "stopped_by", "text not null default ''"),
)
"""Columns that files of this version may still lack."""


class Kind(IntEnum):
    """What an address is to the crawler; also the order in which those of a host are visited."""

    RESERVED = -1  # tdmrep.json: asked for once robots.txt allows it, before anything else
    ROBOTS = 0
    SITEMAP = 1
    FEED = 2
    PAGE = 3


@dataclass(slots=True, eq=False)
class Host:
    """An open host."""

    id: int
    name: str
    rules: Rules | None  # None: robots.txt is to be asked first
    pause: float
    free_at: float
    failing_since: float
    useful: int
    lies: int
    known: int
    parked: int
    budget: int = 0  # addresses that may still be added; grows between runs, with what was useful
    docs: set[int] | None = None  # what is known of it, read when links are found
    shapes: Counter[str] = field(default_factory=Counter)  # of what links added: of no use yet, less what was useful
    parameters: Parameters = field(default_factory=Parameters)
    reserved: Reserved = NOTHING_RESERVED
    answered: list[float] = field(default_factory=list)  # seconds of each answer not yet written
    unsettled: bool = False
    failures: int = 0
    queue: deque[Visit] = field(default_factory=deque)
    slot: str = ""
    left: bool = False  # for the night


@dataclass(slots=True, eq=False)
class Visit:
    """One request to make, with what is known of the page. Goes back through exactly one method of the frontier."""

    host: Host
    kind: Kind
    archived: bool
    doc: int
    url: str
    rank: int = 0
    etag: str | None = None
    modified: str | None = None
    lastmod: float = 0.0
    body_digest: bytes | None = None
    text_digest: bytes | None = None
    fetched: float = 0.0
    every: float = 0.0
    misses: int = 0
    tries: int = 0
    alone: bool = True  # no other open host shares its address


@dataclass(frozen=True, slots=True)
class Found:
    """An address that a page, a sitemap or a redirect led to, canonical and in scope."""

    url: str
    kind: Kind = Kind.PAGE
    rank: int = 0
    lastmod: float = 0.0


@dataclass(slots=True, eq=False)
class _Slot:
    """Hosts that share an address: one request at a time for all of them."""

    free_at: float  # ticks
    busy: bool = False
    empty_since: float = 0.0  # ticks
    hosts: deque[Host] = field(default_factory=deque)
    outside: deque[int] = field(default_factory=deque)  # ids of hosts that wait for a place


class _Addresses:
    """Which addresses this crawler holds: another shard of the same folder keeps away from them meanwhile.

    Locks on bytes of an empty file (fcntl(2)): the system lets go of those of a process that was killed.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise refusal(path, error) from None

    def hold(self, slot: str) -> bool:
        """Keep an address for us; False when another crawler holds it."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._byte(slot))
        except OSError:
            return False
        return True

    def let_go(self, slot: str) -> None:
        """Leave an address to others."""
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, self._byte(slot))

    def close(self) -> None:
        """Leave them all."""
        os.close(self._file)

    @staticmethod
    def _byte(slot: str) -> int:
        return int.from_bytes(hashlib.sha256(slot.encode()).digest()[:6])


class Frontier:
    """The table, the heap and the window. For one thread.

    gone: called with (url, reason) for each archived page that is to leave the index. clock: seconds since 1970, for
    what is written; ticks: seconds of a clock that never jumps, for what is waited. expired: pages seen before are not
    in the archive any more, and are asked for whole. Raises SettingsError when the file cannot be opened or written.
    """

    def __init__(
        self,
        path: Path,
        settings: CrawlSettings,
        scope: Scope,
        gone: Callable[[str, str], None],
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
        expired: float = 0.0,
    ) -> None:
        self._expired = expired
        self._settings, self._scope, self._gone, self._clock, self._ticks = settings, scope, gone, clock, ticks
        self._path, self._depth = path, 0
        self._owner = f"{os.getpid()}-{time.time_ns()}"
        self._db = connect(path)
        self._addresses = _Addresses(path.with_name("addresses.lock"))
        self._leaving: deque[tuple[float, str]] = deque()  # (ticks, slot) of those that may be let go
        self._heap: list[tuple[float, int]] = []  # (not before, in ticks; host id)
        self._waiting: list[tuple[float, str]] = []  # (ticks, slot)
        self._slots: dict[str, _Slot] = {}
        self._open: dict[int, Host] = {}
        self._unplaced = self._in_flight = 0
        self._unsettled: list[Host] = []
        self._settled_at = ticks()
        (version,) = self._db.execute("pragma user_version").fetchone()
        if version != VERSION and self._db.execute("select 1 from sqlite_master where name = 'hosts'").fetchone():
            raise SettingsError(f"{path}: written by another version of Elunum; move it away and crawl again")
        self._db.executescript(_SCHEMA)
        for table, name, what in _ADDED:
            if name not in (column for _, column, *_ in self._db.execute(f"pragma table_info({table})")):
                self._db.execute(f"alter table {table} add column {name} {what}")
        with self.together():
            self.run, self.started, counts = self._begin_run()
            self._db.execute("update runs set owner = ?, stopped_by = '' where id = ?", (self._owner, self.run))
            self._seed()
        self.counts: Counter[str] = Counter(counts)
        rows = self._db.execute("select free_at, id, name from hosts where due <= ?", (self.started,))
        now, ticks_now = self._clock(), self._ticks()
        self._heap = [
            (ticks_now + max(free - now, 0.0), id)
            for free, id, name in rows
            if free <= now + MAX_WAIT_S and self._scope.has_host(name)
        ]
        heapq.heapify(self._heap)

    @contextmanager
    def together(self) -> Iterator[None]:
        """One transaction for what happens inside, with the results that wait. Raises SettingsError when it fails.

        An error of ours inside does not take back what was written before it: addresses that a page led to, at most.
        Undoing a single result takes a savepoint, which costs as much as writing it.
        """
        if self._depth:
            yield
            return
        self._depth = 1
        try:
            if not self._db.in_transaction:
                self._db.execute("begin immediate")
            yield
        except sqlite3.Error as error:
            raise refusal(self._path, error) from None
        finally:
            self._depth = 0
        if not self._unsettled:
            self.settle()  # only results wait for each other

    def settle(self) -> None:
        """Write for good what was done so far. Raises SettingsError."""
        self._settled_at = self._ticks()
        for host in self._unsettled:
            host.unsettled = False
        self._unsettled.clear()
        if self._db.in_transaction and not self._depth:
            try:
                self._db.execute("commit")
            except sqlite3.Error as error:
                raise refusal(self._path, error) from None

    def close(self, ended: bool, stopped_by: str = "") -> None:
        """Give the leases back. ended: nothing was left to do; otherwise the next run goes on with this one."""
        with self.together():
            for host in list(self._open.values()):
                self._close(host)
            self._db.execute("update runs set owner = '', stopped_by = ? where id = ?", (stopped_by, self.run))
            self.beat(ended)
        self.settle()
        self._db.close()
        self._addresses.close()

    def give_up(self, reason: str) -> None:
        """End a run that cannot go on, a disk being full perhaps: what can still be written says why."""
        with closing(self._db), closing(self._addresses):
            try:
                if self._db.in_transaction:
                    self._db.execute("rollback")
                self._db.execute("update runs set owner = '', stopped_by = ? where id = ?", (reason, self.run))
            except sqlite3.Error:
                return  # `elunum status` sees that its process is no more

    def beat(self, ended: bool = False) -> None:
        """Write the counts of this run for `elunum status`."""
        now = self._clock()
        with self.together():
            self._db.execute(
                "update runs set seen = ?, counts = ?, ended = ? where id = ?",
                (now, json.dumps(self.counts), now if ended else None, self.run),
            )
        self.settle()

    # --- starting ------------------------------------------------------------------------------------------------

    def _begin_run(self) -> tuple[int, float, dict[str, int]]:
        """The run that was cut short less than half a night ago, or a new one."""
        now = self._clock()
        last = self._db.execute("select id, started, seen, ended, counts from runs order by id desc").fetchone()
        if last and last[2] > now + 60:
            # The clock was ahead: dates written then would keep pages asleep until it is right again.
            latest = now + self._settings.revisit_max_days * DAY_S
            self._db.execute("update urls set due = ?1 + every * ?2 where due between ?3 and ?4",
                             (now, DAY_S, latest, PARKED / 2))  # fmt: skip
            self._db.execute("update urls set fetched = ?1 where fetched > ?1", (now,))
            self._db.execute("update hosts set due = 0, free_at = 0, robots_at = 0, leased_until = 0")
            self._db.execute("update hosts set failing_since = min(failing_since, ?)", (now,))
        elif last and last[3] is None and now - last[2] < DAY_S / 4:
            return int(last[0]), float(last[1]), json.loads(last[4])
        if last and self._settings.revisit_min_days == 0:
            # An operator who says so wants everything again, whatever earlier settings decided.
            self._db.execute("update urls set due = 0, every = 0")
            self._db.execute("update hosts set due = 0")
        made = self._db.execute("insert into runs (started, seen) values (?, ?)", (now, now)).lastrowid or 0
        self._db.execute("delete from errors where run < ?", (made - 1,))
        return made, now, {}

    def _seed(self) -> None:
        """The sites of the list become hosts, their home pages the first addresses."""
        homes = [url for source in self._scope.sources if (url := canonical(source.url))]
        self._db.executemany("insert or ignore into hosts (name) values (?)", [(host_of(url),) for url in homes])
        ids = dict(self._db.execute("select name, id from hosts"))
        before = self._db.total_changes
        self._db.executemany(
            "insert or ignore into urls (host, doc, url, kind, rank) values (?, ?, ?, ?, -2)",
            [(ids[host_of(url)], _doc(url), url, Kind.PAGE) for url in homes],
        )
        if self._db.total_changes != before:
            # A home page that is new to a host already known, on a shared platform, wakes it.
            self._db.execute(
                "update hosts set due = 0, known = (select count(*) from urls where host = id) "
                "where id in (select host from urls where rank = -2 and due = 0)"
            )

    # --- handing out ---------------------------------------------------------------------------------------------

    def to_open(self) -> list[Host]:
        """Hosts whose turn has come, as the window allows. Each must be given to `place` or to `unreachable`."""
        now, found = self._ticks(), list[Host]()
        while self._leaving and self._leaving[0][0] <= now:
            slot = self._leaving.popleft()[1]
            if not self._slots[slot].hosts and self._slots[slot].empty_since + LET_GO_S <= now:
                self._addresses.let_go(slot)
        if not self._heap or self._heap[0][0] > now or len(self._open) >= self._settings.active_hosts:
            return found
        with self.together():
            while self._heap and len(self._open) < self._settings.active_hosts and self._heap[0][0] <= now:
                _, id = heapq.heappop(self._heap)
                if id not in self._open and (host := self._lease(id)) is not None:
                    self._unplaced += 1
                    found.append(host)
        return found

    def place(self, host: Host, slot: str) -> None:
        """Put an opened host in the slot of its address. slot: the address, or the name of the host."""
        self._unplaced -= 1
        wait = min(max(host.free_at - self._clock(), 0.0), MAX_WAIT_S)
        found = self._slots.setdefault(slot, _Slot(self._ticks()))
        if len(found.hosts) >= SHARING:
            found.outside.append(host.id)
            self._close(host)
            return
        if not self._addresses.hold(slot):
            heapq.heappush(self._heap, (self._ticks() + BUSY_ELSEWHERE_S, host.id))
            self._close(host)
            return
        host.slot = slot
        found.free_at = max(found.free_at, self._ticks() + wait)
        found.hosts.append(host)
        if not found.busy and len(found.hosts) == 1:
            heapq.heappush(self._waiting, (found.free_at, slot))

    def unreachable(self, host: Host, reason: str) -> None:
        """An opened host has no address that may be connected to."""
        self._unplaced -= 1
        with self.together():
            self._count_error(host, reason)
            self._leave(host, reason)
            self._close(host)

    def excuse(self, ids: Iterable[int]) -> None:
        """Take back what this run held against hosts: the network that failed was ours."""
        with self.together():
            self._db.executemany(
                "update hosts set free_at = 0, stopped = '', "
                "failing_since = case when failing_since >= ? then 0 else failing_since end where id = ?",
                [(self.started, id) for id in ids],
            )

    def next(self) -> Visit | None:
        """A request that may leave now, rules of robots.txt already applied; or None."""
        now = self._ticks()
        if now - self._settled_at >= SETTLE_S:
            self.settle()
        while self._waiting and self._waiting[0][0] <= now:
            _, key = heapq.heappop(self._waiting)
            slot = self._slots[key]
            if slot.busy:
                continue
            if slot.free_at > now:
                heapq.heappush(self._waiting, (slot.free_at, key))
                continue
            while slot.hosts:
                host = slot.hosts.popleft()
                visit = self._take(host)
                if visit is None:
                    self._close(host)
                    continue
                if host.unsettled:
                    self.settle()
                slot.hosts.append(host)
                visit.alone = len(slot.hosts) == 1
                slot.busy = True
                self._in_flight += 1
                return visit
        return None

    def wait_s(self) -> float | None:
        """Seconds until `to_open` or `next` may have something; None when the run is over."""
        soonest = math.inf
        if self._waiting:
            soonest = self._waiting[0][0] - self._ticks()
        if self._heap and len(self._open) < self._settings.active_hosts:
            soonest = min(soonest, self._heap[0][0] - self._ticks())
        if soonest == math.inf:
            soonest = 5.0 if self._in_flight or self._unplaced or self._heap else math.inf
        if self._unsettled:
            soonest = min(soonest, SETTLE_S)
        return max(soonest, 0.0) if soonest < math.inf else None

    def hosts_left(self) -> int:
        """Hosts with something due in this run."""
        return len(self._heap) + len(self._open)

    def _lease(self, id: int) -> Host | None:
        """The host, when no living crawler has it."""
        now = self._clock()
        row = self._db.execute(
            "select name, lease, leased_until, robots, robots_says, robots_at, pause, failing_since, useful, lies, "
            "known, parked, free_at, reserved from hosts where id = ?",
            (id,),
        ).fetchone()
        if row is None:
            return None  # forgotten meanwhile
        name, owner, until, body, says, robots_at, pause, since, useful, lies, known, parked, free_at, tdm = row
        # A lease of a process that we are was of another crawl of ours, now over.
        if owner != self._owner and until > now and is_alive(owner) and owner.partition("-")[0] != str(os.getpid()):
            heapq.heappush(self._heap, (self._ticks() + min(until - now, 60.0), id))
            return None
        with self.together():
            self._db.execute(
                "update hosts set lease = ?, leased_until = ?, stopped = '' where id = ?",
                (self._owner, now + LEASE_S, id),
            )
        rules = None
        if now - robots_at < self._settings.robots_max_age_h * 3_600 and says != Permission.FORBID_ALL.value:
            rules = ALLOW_ALL if body is None else read_rules(body, self._settings.agent_name)
        if owner:
            # Whoever had it was killed, perhaps an instant after a request: nobody else counts its pause.
            free_at = max(free_at, now + max(self._settings.delay_s, rules.crawl_delay_s if rules else 0.0))
        host = Host(id, name, rules, pause, free_at, since, useful, lies, known, parked)
        host.reserved = reserved(tdm) if tdm is not None else NOTHING_RESERVED
        if parked:
            self._wake(host)
        self._open[id] = host
        return host

    def _wake(self, host: Host) -> None:
        """Make due what was parked, as far as there is room now."""
        self._learn(host)
        if host.budget <= 0:
            return
        rows = [
            (doc, shape(url) if rank >= 10 else "")
            for doc, url, rank in self._db.execute(
                "select doc, url, rank from urls where host = ? and due >= ? order by kind, rank", (host.id, PARKED)
            )
        ]
        left = Counter(form for _, form in rows)
        woken: list[tuple[int, int]] = []
        for doc, form in rows:
            if len(woken) < host.budget and (not form or host.shapes[form] - left[form] < MAX_SAME_SHAPE):
                left[form] -= 1
                woken.append((host.id, doc))
        with self.together():
            self._db.executemany("update urls set due = 0 where host = ? and doc = ?", woken)
        host.budget -= len(woken)
        host.parked -= len(woken)

    def _learn(self, host: Host) -> set[int]:
        """Read what is known of a host, once."""
        if host.docs is None:
            host.docs, host.parked, host.shapes, host.parameters = set(), 0, Counter(), Parameters()
            texts: dict[str, bytes] = {}
            useful: set[tuple[str, bytes]] = set()
            rows = self._db.execute(
                "select doc, url, rank, due, text_digest from urls where host = ? order by fetched", (host.id,)
            )
            for doc, url, rank, due, text in rows:
                host.docs.add(doc)
                host.parked += due >= PARKED
                if text is not None:
                    texts[url] = text
                if rank >= 10:
                    form = shape(url)
                    if text is None or (form, text) in useful:
                        host.shapes[form] += 1
                    else:
                        host.shapes[form] -= 1
                        useful.add((form, text))
            for url, text in texts.items():
                if "?" in url:
                    host.parameters.note(url, text, texts.get)
            allowed = self._settings.pages_per_host
            host.known = len(host.docs)
            host.budget = min(allowed + host.useful, allowed * BUDGET_GROWTH) - host.known + host.parked
        return host.docs

    def _take(self, host: Host) -> Visit | None:
        """The next visit of an open host; None when it has none."""
        if host.left:
            return None
        if host.rules is None:
            return Visit(host, Kind.ROBOTS, False, 0, f"{self._scheme(host)}://{host.name}/robots.txt")
        while host.queue or self._refill(host):
            visit = host.queue.popleft()
            if (idle := host.parameters.idle) and visit.rank >= 10 and not visit.archived:
                shorter = without(visit.url, idle)
                if shorter != visit.url:
                    self.add(host, [Found(shorter, visit.kind, visit.rank)])
                    self._end(visit, "refused", "idle parameter", every=7.0)
                    continue
            if not host.rules.allows(visit.url):
                self._end(visit, "refused", "robots", every=7.0)
            elif visit.kind is Kind.PAGE and host.reserved.holds(visit.url):
                self._end(visit, "refused", "reserved", every=7.0)
            else:
                return visit
        return None

    def _scheme(self, host: Host) -> str:
        row = self._db.execute(
            "select url from urls where host = ? and kind = ? order by rank, fetched desc limit 1", (host.id, Kind.PAGE)
        ).fetchone()
        return str(row[0]).partition(":")[0] if row else "https"

    def _refill(self, host: Host) -> bool:
        rows = self._db.execute(
            "select kind, archived, doc, url, rank, etag, modified, lastmod, body_digest, text_digest, fetched, every, "
            "misses, tries from urls where host = ? and due <= ? order by kind, tries, rank, due limit ?",
            (host.id, self.started, BATCH),
        )
        for kind, archived, *rest in rows:
            visit = Visit(host, Kind(kind), bool(archived), *rest)
            if archived and visit.fetched < self._expired:
                visit.etag = visit.modified = visit.body_digest = visit.text_digest = None
            host.queue.append(visit)
        return bool(host.queue)

    # --- taking back ---------------------------------------------------------------------------------------------

    def robots(
        self,
        visit: Visit,
        status: int,
        body: bytes,
        seconds: float,
        reason: str = "robots.txt unreachable",
        wait: float = 0.0,
    ) -> None:
        """robots.txt was answered (status 0: it was not, for this reason). The sitemaps it names are added.

        wait: seconds of Retry-After, 0 for none.
        """
        host, says = visit.host, permission(status)
        with self.together():
            if says is Permission.FORBID_ALL:
                self._count_error(host, reason)
                self._db.execute("update hosts set robots_says = ? where id = ?", (says.value, host.id))
                self._failed_host(host)
                self._release(visit, max(wait, self._backoff(host)))
                return
            kept = body if says is Permission.READ_RULES else None
            host.rules = read_rules(body, self._settings.agent_name) if kept is not None else ALLOW_ALL
            self._db.execute(
                "update hosts set robots = ?, robots_says = ?, robots_at = ? where id = ?",
                (kept, says.value, self._clock(), host.id),
            )
            self._answered(host, seconds)
            named = [canonical(url, visit.url) for url in host.rules.sitemaps or ("/sitemap.xml",)]
            lists = [Found(url, Kind.SITEMAP) for url in named if url and url in self._scope]
            self.add(host, [Found(f"{visit.url.removesuffix('/robots.txt')}{RESERVED_PATH}", Kind.RESERVED), *lists])
            self._release(visit)

    def reserved(
        self, visit: Visit, body: bytes | None, seconds: float, etag: str | None, modified: str | None
    ) -> None:
        """tdmrep.json was answered. body: None when the site has none; it is then looked for again after a month.

        etag, modified: its validators.
        """
        host = visit.host
        with self.together():
            self._answered(host, seconds)
            host.reserved = reserved(body) if body is not None else NOTHING_RESERVED
            self._db.execute("update hosts set reserved = ? where id = ?", (body, host.id))
            every = self._settings.revisit_max_days if body is None else self._settings.revisit_min_days
            self._end(visit, "kept", every=every, validators=(etag, modified), fetched=self._clock())
            self._release(visit)

    def kept(
        self,
        visit: Visit,
        *,
        changed: bool,
        seconds: float,
        etag: str | None,
        modified: str | None,
        body_digest: bytes,
        text_digest: bytes,
    ) -> None:
        """The page answered with a body. changed: its text is not what it was, or it is new."""
        fresh = not visit.archived and visit.kind is Kind.PAGE
        every = self._every(visit, changed)
        if changed and visit.lastmod and visit.fetched > visit.lastmod and not fresh:
            visit.host.lies += 1
        if fresh:
            visit.host.useful += 1
        with self.together():
            self._answered(visit.host, seconds)
            self._end(
                visit,
                "new" if fresh else "changed" if changed else "unchanged",
                every=every,
                validators=(etag, modified),
                body_digest=body_digest,
                text_digest=text_digest,
                archived=visit.kind is Kind.PAGE,
                fetched=self._clock(),
            )
            self._release(visit)

    def unchanged(self, visit: Visit, seconds: float) -> None:
        """The server said 304: the page is as we keep it, or still asks not to be kept."""
        with self.together():
            if visit.kind is not Kind.PAGE or visit.archived:
                self._answered(visit.host, seconds)
                self._end(visit, "unchanged", every=self._every(visit, False), fetched=self._clock())
                self._release(visit)
                return
            row = self._db.execute(
                "select reason from refusals where host = ? and doc = ?", (visit.host.id, visit.doc)
            ).fetchone()
            if row and row[0] in REFUSED_BY_BODY and (visit.etag or visit.modified):
                self._answered(visit.host, seconds)
                every = min(max(2 * visit.every, 7.0), max(self._settings.revisit_max_days, 7.0))
                self._end(visit, "refused", row[0], every=every, validators=(visit.etag, visit.modified))
                self._release(visit)
                return
            visit.etag = visit.modified = None
            self._db.execute(
                "update urls set etag = null, modified = null where host = ? and doc = ?", (visit.host.id, visit.doc)
            )
            self.failed(visit, "304 unasked", host_failed=False)

    def missing(self, visit: Visit, status: int, seconds: float) -> None:
        """404 or 410. A 410 is believed at once, a 404 after three nights."""
        reason = str(status)
        with self.together():
            self._answered(visit.host, seconds)
            if not visit.archived:
                self._end(visit, "missing", every=self._settings.revisit_max_days, misses=visit.misses + 1)
            elif status == 410 or visit.misses + 1 >= MISSING_NIGHTS:
                self._end(visit, "gone", reason, every=self._settings.revisit_max_days, misses=visit.misses + 1)
            else:
                self._end(visit, "missing", every=self._settings.revisit_min_days, misses=visit.misses + 1)
            self._release(visit)

    def refused(
        self,
        visit: Visit,
        reason: str,
        seconds: float,
        every: float = 7.0,
        validators: tuple[str | None, str | None] = (None, None),
    ) -> None:
        """The page answered and is not for us: noindex, redirect, reserved, not a text. Seen again `every` days on.

        validators: ETag and Last-Modified of a body that says so itself; as long as they hold, it says the same.
        """
        with self.together():
            self._answered(visit.host, seconds)
            every = max(every, self._settings.revisit_min_days)
            self._end(visit, "refused", reason, every=every, validators=validators)
            self._release(visit)

    def moved(self, visit: Visit, url: str, seconds: float) -> None:
        """The same address under the other scheme: asked again there, at once."""
        with self.together():
            self._answered(visit.host, seconds)
            self._db.execute(
                "update urls set url = ?, tries = ?, etag = null, modified = null where host = ? and doc = ?",
                (url, visit.tries + 1, visit.host.id, visit.doc),
            )
            self._release(visit)

    def failed(self, visit: Visit, reason: str, *, host_failed: bool, wait: float = 0.0) -> None:
        """No usable answer. host_failed: the fault is the host's, not this page's. wait: seconds it asked for."""
        host = visit.host
        with self.together():
            self._count_error(host, reason)
            if visit.tries:
                self._end(visit, "failed", every=max(self._settings.revisit_min_days, 1.0), tries=visit.tries + 1)
            else:
                self.counts["retried"] += 1
                self._db.execute("update urls set tries = 1 where host = ? and doc = ?", (host.id, visit.doc))
            if host_failed:
                self._failed_host(host)
            self._release(visit, max(wait, self._backoff(host) if host_failed else 0.0))

    def slow_down(self, visit: Visit, reason: str, wait: float) -> None:
        """429 or 503: the pause doubles, four times, then the night. wait: seconds of Retry-After, 0 for none."""
        host = visit.host
        host.pause = min(max(2 * host.pause, 2 * self._settings.delay_s, 1.0), 2 * MAX_WAIT_S)
        with self.together():
            self._count_error(host, reason)
            self._failed_host(host)
            if visit.tries + 1 >= MAX_FAILURES:
                self._end(visit, "failed", every=max(self._settings.revisit_min_days, 1.0))
            else:
                self._db.execute(
                    "update urls set tries = ? where host = ? and doc = ?", (visit.tries + 1, host.id, visit.doc)
                )
            pause = max(wait, host.pause)
            if pause > MAX_WAIT_S:
                self._leave(host, "asks for a long pause", pause)
            self._release(visit, pause)
        self._settled_at = -math.inf  # a pause that was asked for must outlive us, whatever happens next

    def add(self, host: Host, found: Iterable[Found]) -> int:
        """Make addresses known; gives how many were new. host: the open one that most of them belong to."""
        new, listed, docs = 0, False, self._learn(host)
        with self.together():
            for one in found:
                if (idle := host.parameters.idle) and one.rank >= 10 and "?" in one.url:
                    one = replace(one, url=without(one.url, idle))
                doc = _doc(one.url)
                name = host_of(one.url)
                if name != host.name:
                    new += self._add_elsewhere(name, doc, one)
                    continue
                if one.kind is not Kind.PAGE or one.lastmod or one.rank < 0:
                    listed = True
                if doc in docs:
                    if one.lastmod:
                        self._relisted(host, doc, one.lastmod)
                    continue
                form = shape(one.url) if one.rank >= 10 else ""
                if form and host.shapes[form] >= 2 * MAX_SAME_SHAPE:
                    self.counts["not followed too many alike"] += 1
                    continue
                parked = host.budget <= 0 or (form and host.shapes[form] >= MAX_SAME_SHAPE)
                if parked and host.parked >= self._settings.pages_per_host:
                    self.counts["not followed over budget"] += 1
                    continue
                docs.add(doc)
                host.known += 1
                if form:
                    host.shapes[form] += 1
                if parked:
                    host.parked += 1
                else:
                    host.budget -= 1
                self._insert(host.id, doc, one, due=PARKED if parked else 0.0)
                new += 1
            if listed:
                host.queue.clear()  # what a list said may have changed what is due
        return new

    def compare(self, visit: Visit, text_digest: bytes) -> bool:
        """Learn what the parameters of a page do; whether another page of the same path has the same text."""
        self._learn(visit.host)
        return visit.host.parameters.note(visit.url, text_digest, lambda url: self._text_of(visit.host, url))

    def _text_of(self, host: Host, url: str) -> bytes | None:
        row = self._db.execute(
            "select text_digest from urls where host = ? and doc = ?", (host.id, _doc(url))
        ).fetchone()
        return row[0] if row else None

    # --- the details ---------------------------------------------------------------------------------------------

    def _insert(self, host_id: int, doc: int, one: Found, due: float = 0.0) -> int:
        return self._db.execute(
            "insert or ignore into urls (host, doc, url, kind, rank, lastmod, due) values (?, ?, ?, ?, ?, ?, ?)",
            (host_id, doc, one.url, one.kind, one.rank, one.lastmod, due),
        ).rowcount

    def _add_elsewhere(self, name: str, doc: int, one: Found) -> int:
        """An address of another host of the list, open or asleep."""
        row = self._db.execute("select id, known, free_at from hosts where name = ?", (name,)).fetchone()
        if row is None:
            id = self._db.execute("insert into hosts (name) values (?)", (name,)).lastrowid or 0
            known, free_at = 0, 0.0
        else:
            id, known, free_at = row
        if known >= self._settings.pages_per_host or not self._insert(id, doc, one):
            return 0
        self._db.execute("update hosts set due = 0, known = known + 1 where id = ?", (id,))
        if (open_host := self._open.get(id)) is not None:
            open_host.known += 1
            if open_host.docs is not None:
                open_host.docs.add(doc)
        elif free_at <= self._clock() + MAX_WAIT_S:
            heapq.heappush(self._heap, (self._ticks() + max(free_at - self._clock(), 0.0), id))
        return 1

    def _relisted(self, host: Host, doc: int, lastmod: float) -> None:
        """A sitemap dates a known page: when that is after our visit, it is due now."""
        self._db.execute(
            "update urls set lastmod = ?1, "
            "due = case when ?1 > lastmod and ?1 > fetched and tries = 0 and due < ?5 then 0 else due end "
            "where host = ?2 and doc = ?3 and fetched < ?4",
            (lastmod, host.id, doc, self.started, PARKED),
        )

    def _every(self, visit: Visit, changed: bool) -> float:
        """Days until the next visit: half as long when it changed, twice when not, lists always at the shortest."""
        least, most = self._settings.revisit_min_days, self._settings.revisit_max_days
        if visit.kind is not Kind.PAGE or not visit.fetched:
            return least
        if changed:
            return max(least, visit.every / 2)
        # A sitemap that dates its pages, and was not caught lying, tells us when this one changes.
        patient = 7.0 if least and 0 < visit.lastmod < visit.fetched and not visit.host.lies else 0.0
        return min(most, max(visit.every * 2, least, patient))

    def _end(
        self,
        visit: Visit,
        outcome: str,
        gone: str = "",
        *,
        every: float,
        misses: int = 0,
        tries: int = 0,
        archived: bool | None = None,
        validators: tuple[str | None, str | None] | None = None,
        body_digest: bytes | None = None,
        text_digest: bytes | None = None,
        fetched: float | None = None,
    ) -> None:
        """Write what became of a visit. gone: why the page leaves the index, if it was there.

        validators: None keeps those of a page that stays, and drops those of one that leaves.
        """
        self.counts[outcome if visit.kind is Kind.PAGE else "lists"] += 1
        if gone and visit.kind is Kind.PAGE:
            self.counts[f"because {gone}"] += 1
            if visit.archived:
                self._gone(visit.url, gone)
        if archived is None:
            archived = visit.archived and not gone
        # Never due again in the run that visited it, even if the clock went back; a little early on the night after,
        # for no crawl starts at the same second as the last one.
        span = every * DAY_S
        due = max(self._clock(), self.started + 0.001) + span - min(span / 6, 14_400.0)
        keep = body_digest is None  # no body: what was known of the last one stands
        etag, modified = validators or ((None, None) if gone else (visit.etag, visit.modified))
        visited = visit.every or visit.misses or not self._settings.revisit_min_days
        refusal = gone or ("404" if outcome == "missing" else "")
        with self.together():
            if refusal and visit.kind is Kind.PAGE:
                self._db.execute(
                    "insert or replace into refusals values (?, ?, ?)", (visit.host.id, visit.doc, refusal)
                )
            elif outcome != "failed" and visited and (visit.misses or not visit.archived):
                self._db.execute("delete from refusals where host = ? and doc = ?", (visit.host.id, visit.doc))
            self._db.execute(
                "update urls set due = ?, every = ?, misses = ?, tries = ?, archived = ?, fetched = ?, etag = ?, "
                "modified = ?, body_digest = ?, text_digest = ? where host = ? and doc = ?",
                (
                    due,
                    every,
                    misses,
                    tries,
                    archived,
                    visit.fetched if fetched is None else fetched,
                    etag,
                    modified,
                    visit.body_digest if keep else body_digest,
                    visit.text_digest if keep else text_digest,
                    visit.host.id,
                    visit.doc,
                ),
            )

    def _answered(self, host: Host, seconds: float) -> None:
        """The host is alive."""
        host.failures, host.failing_since, host.pause = 0, 0.0, host.pause / 2 if host.pause > 1 else 0.0
        host.answered.append(seconds)
        self.counts["requests"] += 1

    def _failed_host(self, host: Host) -> None:
        self.counts["requests"] += 1
        host.failures += 1
        if host.failures >= MAX_FAILURES:
            self._leave(host, "keeps failing")

    def _backoff(self, host: Host) -> float:
        """Seconds before a host that failed is asked again."""
        return min(5 * self._settings.delay_s * 2.0 ** min(host.failures, 10), MAX_WAIT_S)

    def _leave(self, host: Host, why: str, pause: float = 0.0) -> None:
        """Leave a host for the night; after a month of such nights, its pages are gone."""
        now = self._clock()
        if not host.left:
            self.counts[f"left {why}"] += 1
        host.left = True
        host.queue.clear()
        host.failing_since = host.failing_since or now
        self._db.execute(
            "update hosts set free_at = ?, failing_since = ?, stopped = ? where id = ?",
            (now + max(NIGHT_S, pause), host.failing_since, why, host.id),
        )
        if now - host.failing_since > VANISHED_S:
            for (url,) in self._db.execute("select url from urls where host = ? and archived", (host.id,)).fetchall():
                self.counts["gone"] += 1
                self._gone(url, "vanished")
            self._db.execute("update urls set archived = 0, etag = null, modified = null where host = ?", (host.id,))

    def _release(self, visit: Visit, pause: float = 0.0) -> None:
        """The request is over: its slot may be used again after the pause that politeness asks for."""
        host = visit.host
        self._in_flight -= 1
        crawl_delay = host.rules.crawl_delay_s if host.rules else 0.0
        wait = max(self._settings.delay_s, crawl_delay, pause)
        if wait > MAX_WAIT_S and not host.left and pause > MAX_WAIT_S:
            self._leave(host, "asks for a long pause", pause)
        slot = self._slots[host.slot]
        slot.busy = False
        slot.free_at = self._ticks() + min(wait, max(MAX_WAIT_S, crawl_delay))
        now = self._clock()
        self._db.execute(
            "update hosts set free_at = max(free_at, ?), leased_until = ?, pause = ?, answers = answers + ?, "
            "answered_s = answered_s + ?, answered_at = max(answered_at, ?) where id = ?",
            (
                now + wait,
                now + LEASE_S,
                host.pause,
                len(host.answered),
                sum(host.answered),
                now if host.answered else 0.0,
                host.id,
            ),
        )
        host.answered.clear()
        if not host.unsettled:
            host.unsettled = True
            self._unsettled.append(host)
        if host.left or not (host.rules is None or host.queue or self._refill(host)):
            slot.hosts.remove(host)
            self._close(host)
        if slot.hosts:
            heapq.heappush(self._waiting, (slot.free_at, host.slot))

    def _count_error(self, host: Host, reason: str) -> None:
        self.counts[f"error {reason}"] += 1
        self._db.execute(
            "insert into errors values (?, ?, ?, 1) on conflict do update set n = n + 1", (self.run, host.name, reason)
        )

    def _close(self, host: Host) -> None:
        """Out of the window: give the lease back and say when something of it is due."""
        self._open.pop(host.id, None)
        self.counts["hosts visited"] += bool(host.slot)
        if host.slot:
            slot = self._slots[host.slot]
            if slot.outside:
                heapq.heappush(self._heap, (0.0, slot.outside.popleft()))
            elif not slot.hosts:
                slot.empty_since = self._ticks()
                self._leaving.append((slot.empty_since + LET_GO_S, host.slot))
        with self.together():
            (due,) = self._db.execute("select min(due) from urls where host = ?", (host.id,)).fetchone()
            self._db.execute(
                "update hosts set due = ?, lease = '', leased_until = 0, pause = ?, failing_since = ?, known = ?, "
                "parked = ?, useful = ?, lies = ? where id = ?",
                (
                    1e300 if due is None else due,
                    host.pause,
                    host.failing_since,
                    host.known,
                    host.parked,
                    host.useful,
                    host.lies,
                    host.id,
                ),
            )


def connect(path: Path) -> sqlite3.Connection:
    """The file, in WAL mode. Raises SettingsError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, timeout=30.0, isolation_level=None)
        db.execute("pragma journal_mode = wal")
        # A killed process loses nothing; a power cut at most the last results, which are then fetched again.
        db.execute("pragma synchronous = normal")
        db.execute("pragma cache_size = -64000")
        db.execute("pragma wal_autocheckpoint = 8000")  # 32 MB: pages written again and again are copied once
    except (OSError, sqlite3.Error) as error:
        raise refusal(path, error) from None
    return db


def seen_hosts(path: Path) -> Iterator[tuple[str, SeenHost]]:
    """What is known of each host that was ever asked anything. Raises sqlite3.Error.

    Errors are those of its last visit: of this run, or of the one before while this one has not heard from it.
    """
    with closing(connect(path)) as db:
        db.execute("begin")  # one moment of the file, whatever is written meanwhile
        run, started = db.execute("select id, started from runs order by id desc limit 1").fetchone() or (0, 0.0)
        refusals: dict[int, dict[str, int]] = {}
        for id, reason, n in db.execute("select host, reason, count(*) from refusals group by host, reason"):
            refusals.setdefault(id, {})[reason] = n
        errors: dict[bool, dict[str, dict[str, int]]] = {True: {}, False: {}}
        for of_run, host, reason, n in db.execute("select run, host, reason, n from errors order by n desc"):
            errors[of_run == run].setdefault(host, {})[reason] = n
        for id, name, at, since, known, stopped, free_at in db.execute(
            "select id, name, answered_at, failing_since, known, stopped, free_at from hosts order by name"
        ):
            failed = errors[True].get(name) or (errors[False].get(name, {}) if at < started else {})
            if at or failed or since:
                until = round(free_at) if stopped else 0
                yield name, SeenHost(at, since, known, refusals.get(id, {}), failed, stopped, until)


def refusal(path: Path, error: OSError | sqlite3.Error) -> SettingsError:
    """What the operator can do about a frontier that cannot be read or written."""
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return SettingsError(
            f"{path}: {error}; move it away: the next crawl begins a new one and visits every page again"
        )
    return SettingsError(f"{path}: {error}; free space, or correct ELUNUM_DATA or the owner and rights of the file")


def forget(path: Path, names: Iterable[str]) -> int:
    """Erase from a frontier file addresses (with their scheme) and hosts (without), and all it knows of them.

    Gives how many addresses. archive.Forgotten keeps them out. Raises SettingsError.
    """
    db, erased = connect(path), 0
    with closing(db):
        # Erased means written over with zeros, not only let go (sqlite.org/pragma.html).
        db.execute("pragma secure_delete = on")
        db.execute(_REFUSALS)
        db.execute("begin immediate")
        for name in names:
            if url := canonical(name):
                erased += db.execute("delete from urls where doc = ?", (_doc(url),)).rowcount
                db.execute("delete from refusals where doc = ?", (_doc(url),))
                continue
            host = host_of(f"http://{name}/")
            erased += db.execute(
                "delete from urls where host in (select id from hosts where name = ?)", (host,)
            ).rowcount
            db.execute("delete from refusals where host in (select id from hosts where name = ?)", (host,))
            db.execute("delete from hosts where name = ?", (host,))
            db.execute("delete from errors where host = ?", (host,))
        db.execute("commit")
        db.execute("pragma wal_checkpoint(truncate)")
    return erased


def _doc(url: str) -> int:
    """The document id as SQLite stores whole numbers."""
    number = int(document_id(url), 16)
    return number - (1 << 64) if number >= 1 << 63 else number


def is_alive(owner: str) -> bool:
    """Whether the process that took a lease, or began a run, still runs."""
    pid = owner.partition("-")[0]
    if not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

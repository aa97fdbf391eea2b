"""Archive -> documents store: everything that has changed since the last run, and nothing else.

Three steps, each in transactions that leave the store whole and say what remains to be done, so that a run that is
stopped or killed goes on where it was:

1. read: records of the archive after the last position; pages are extracted in workers. What was read of each page is
   kept (table `pages`), with the texts of the links that lead to others (table `anchors`).
2. finish: pages that changed, or whose site's repeated lines, links' texts, source, or the versions of what is computed
   from them changed, become documents: repeated lines removed, places and tags added, in workers.
3. duplicates: which documents are copies of which.

Each step is a function of the set of pages, never of the order they came in: reading the whole archive again gives the
same documents.
"""

from __future__ import annotations

import logging
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b, sha256
from itertools import islice
from pathlib import Path

import msgspec

from elunum import archive, geo
from elunum.index import extract as extraction
from elunum.index import personal, places
from elunum.index.documents import Documents, Versions
from elunum.index.duplicates import Duplicates, Sketch, sketch
from elunum.index.extract import extract, fingerprint
from elunum.index.language import language_of
from elunum.index.tags import Correction, Tagger, load_referentiel, tagger_of
from elunum.index.workers import Workers
from elunum.model import Document, DocumentId, Gone, Page, Record, Skipped, Source, Unchanged
from elunum.settings import ExtractSettings, Settings
from elunum.sources import SourceList
from elunum.urls import document_id, host_of

log = logging.getLogger("elunum.index")

EXTRACTOR = extraction.VERSION
"""What makes a page into a document; with the rules on personal data, what refuses to. When either changes, every page
of the archive is read again."""

BATCH = 200
"""Records between two commits: what a kill can make us do again."""

REPEATED_MIN_PAGES = 3
"""A line must stand on this many different pages of a site: a smaller site says nothing of what it repeats."""

_SCHEMA = """
create table if not exists pages (
    id text primary key, host text not null, stamp text not null, seen text not null, extractor text not null,
    skipped text not null, body blob, lines blob, due integer not null) without rowid;
create index if not exists pages_due on pages (due) where due;
create index if not exists pages_host on pages (host);
create table if not exists anchors (
    target text not null, origin text not null, text text not null, primary key (target, origin)) without rowid;
create table if not exists hosts (host text primary key, repeated blob not null, due integer not null) without rowid;
create index if not exists hosts_due on hosts (due) where due;
"""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Document)


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """What a run did. Counts of pages unless said otherwise."""

    read: int = 0  # records of the archive
    extracted: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: dict[str, int] = field(default_factory=dict)  # by reason
    scanned: int = 0  # PDF files that hold pictures of text: documents all the same, found by their links' texts
    changed: int = 0  # documents with a new revision
    documents: int = 0  # live in the store at the end
    copies: int = 0  # of these, shown under another
    complete: bool = True  # False when stopped before the end


def update(
    settings: Settings, sources: SourceList, full: bool = False, stop: Callable[[], bool] | None = None
) -> UpdateReport:
    """Bring the documents store up to date with the archive. Safe to stop or kill at any time, and to run again.

    full: read the whole archive again, as if for the first time. stop: asked between batches.
    """
    with (
        Documents(settings.documents_path) as documents,
        Workers(_work, settings.extract, preload="elunum.index.ready") as workers,
    ):
        run = _Run(settings, sources, documents, workers, stop or (lambda: False))
        if full:
            run.start_over()
        complete = run.read() and run.finish() and run.find_duplicates()
        return run.report(complete)


def addresses_of(documents: Documents, hosts: Iterable[str]) -> tuple[str, ...]:
    """Addresses of all the pages kept of some hosts."""
    documents.db.executescript(_SCHEMA)
    rows = (
        body
        for host in hosts
        for (body,) in documents.db.execute("select body from pages where host = ? and body is not null", (host,))
    )
    return tuple(_decoder.decode(zlib.decompress(body)).url for body in rows)


def unlink(documents: Documents, forgotten: Callable[[str], bool]) -> tuple[str, ...]:
    """Take what links to forgotten addresses out of all that is kept, for the next update to publish; the addresses of
    the pages that had such a link. Their archived bytes are theirs, and stay."""
    documents.db.executescript(_SCHEMA)
    found: list[str] = []
    with documents.transaction():
        for (id,) in documents.db.execute("select id from pages where body is not null").fetchall():
            (body,) = documents.db.execute("select body from pages where id = ?", (id,)).fetchone()
            document = _decoder.decode(zlib.decompress(body))
            without = _unlinked(document, forgotten)
            if without is document or forgotten(document.url):
                continue
            found.append(document.url)
            for link in document.links:
                if forgotten(link.url):
                    documents.db.execute("delete from anchors where target = ?", (document_id(link.url),))
            packed = zlib.compress(_encoder.encode(without))
            documents.db.execute("update pages set body = ?, due = 1 where id = ?", (packed, id))
    return tuple(found)


def drop_hosts(documents: Documents, hosts: Iterable[str]) -> None:
    """Keep not even the names of hosts that were forgotten whole. Their pages are gone already."""
    with documents.transaction():
        for host in hosts:
            documents.db.execute("delete from pages where host = ?", (host,))
            documents.db.execute("delete from hosts where host = ?", (host,))


def _unlinked(document: Document, forgotten: Callable[[str], bool]) -> Document:
    """The document without its links to forgotten addresses; itself when it has none."""
    links = tuple(link for link in document.links if not forgotten(link.url))
    canonical = "" if document.canonical and forgotten(document.canonical) else document.canonical
    if len(links) == len(document.links) and canonical == document.canonical:
        return document
    return replace(document, links=links, canonical=canonical)


# --- work done in workers ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Extract:
    page: Page
    stamp: str
    settings: ExtractSettings


@dataclass(frozen=True, slots=True)
class _Finish:
    document: Document
    repeated: frozenset[int] | None  # hashes of lines; None: the text stands
    places: bool  # to be found again
    tags: bool
    corrections: tuple[Correction, ...]
    weights: Path | None


_Job = _Extract | _Finish


@dataclass(frozen=True, slots=True)
class _Finished:
    document: Document
    sketch: Sketch


_Answer = Document | _Finished | Skipped


def _work(job: _Job) -> _Answer:
    if isinstance(job, _Extract):
        return extract(job.page, job.settings)
    document = job.document
    if job.repeated is not None and document.type == "html":
        document = without_repeated(document, job.repeated)
        if not document.text:
            return Skipped("nothing of its own")
    elif job.repeated is not None and document.anchors and document.title != document.anchors[0]:
        # What a site calls a file is a better title than what a program wrote in it, or than its first line.
        headings = (document.title, *document.headings)
        document = replace(document, title=document.anchors[0], headings=headings)
    if job.places:
        document = replace(document, places=places_finder().of(document))
    if job.tags:
        document = replace(document, enjeux=tagger_with(job.corrections, job.weights).tags(document))
    # What a document looks like among the others depends on neither places nor tags.
    return document if job.repeated is None else _Finished(document, sketch(document))


@cache
def places_finder() -> places.Places:
    """One for the whole process."""
    return places.Places(geo.load())


@cache
def tagger_with(corrections: tuple[Correction, ...], weights: Path | None) -> Tagger:
    """One for the whole process, unless the operator's corrections change."""
    return Tagger(load_referentiel(), corrections, weights)


def without_repeated(document: Document, repeated: frozenset[int]) -> Document:
    """The document without the lines its site repeats. A repeated heading stays when text of its own follows it, other
    than the title of the page: what stands above that is a part of the site."""
    headings = set(document.headings)
    kept: list[str] = []
    follows = False
    for line in reversed(document.text.split("\n")):
        follows = line_hash(line) not in repeated or (follows and line in headings)
        if follows:
            kept.append(line)
        follows = follows and line != document.title
    text = "\n".join(reversed(kept))
    if text == document.text:
        return document
    return replace(document, text=text, lang=language_of(text, document.lang), fingerprint=fingerprint(text))


def line_hash(line: str) -> int:
    """64 bits that stand for a line, signed."""
    return int.from_bytes(blake2b(line.casefold().encode(), digest_size=8).digest(), "big", signed=True)


def line_hashes(document: Document) -> array[int]:
    """Of each line of a page, once, sorted. Files have no menus: they say nothing of what a site repeats."""
    lines = (*document.text.split("\n"), *document.around) if document.type == "html" else ()
    return array("q", sorted({line_hash(line) for line in lines}))


def repeated_among(pages: Sequence[array[int]]) -> array[int]:
    """What most pages of a site hold, sorted. A page that stands under several addresses counts once."""
    different = {page.tobytes(): page for page in pages}.values()
    counts: Counter[int] = Counter()
    for page in different:
        counts.update(page)
    enough = max(REPEATED_MIN_PAGES, len(different) // 2 + 1)
    return array("q", sorted(line for line, count in counts.items() if count >= enough))


# --- the run -----------------------------------------------------------------------------------------------------


class _Run:
    def __init__(
        self,
        settings: Settings,
        sources: SourceList,
        documents: Documents,
        workers: Workers[_Job, _Answer],
        stop: Callable[[], bool],
    ) -> None:
        self.settings, self.sources, self.documents, self.workers, self.stop = (
            settings,
            sources,
            documents,
            workers,
            stop,
        )
        self.db = documents.db
        self.db.executescript(_SCHEMA)
        self.duplicates = Duplicates(documents)
        self.walked = ""
        self.counts: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        tagger = tagger_of(settings)
        self.corrections, self.weights = tuple(tagger.corrections), tagger.weights_path
        self.personal = personal.rules_of(settings)
        self.forgotten = archive.Forgotten(settings.archive_dir)
        self.extractor = f"{EXTRACTOR} {personal.version(self.personal)}"
        self.versions = Versions(self.extractor, places.VERSION, tagger.version, tagger.referentiel.version)

    def report(self, complete: bool) -> UpdateReport:
        return UpdateReport(
            read=self.counts["read"],
            extracted=self.counts["extracted"],
            unchanged=self.counts["unchanged"],
            removed=self.counts["removed"],
            skipped=dict(self.skipped),
            scanned=self.counts["scanned"],
            changed=self.counts["changed"],
            documents=len(self.documents),
            copies=self.duplicates.copies(),
            complete=complete,
        )

    # 1. --- read

    def start_over(self) -> None:
        """Forget how far the archive was read and when each page was; documents stay until their page is read again."""
        with self.documents.transaction():
            self.db.execute("delete from positions")
            self.db.execute("delete from pages where body is null")
            self.db.execute("update pages set stamp = '', extractor = '', seen = ''")
            self.documents.note("full", "1")

    def read(self) -> bool:
        if self.documents.noted("extractor", self.extractor) != self.extractor:
            self.start_over()
            self.documents.note("extractor", self.extractor)
        records = archive.read(self.settings.archive_dir, after=self.documents.positions)
        while batch := list(islice(records, BATCH)):
            self._read(batch)
            if self.stop():
                return False
        if self.documents.noted("full", "0") == "1":
            # Pages that are in no archive any more.
            with self.documents.transaction():
                for id, host in self.db.execute("select id, host from pages where extractor = ''").fetchall():
                    self._drop(id, host, stamp=None)
                self.documents.note("full", "0")
        return True

    def _read(self, batch: list[tuple[Record | Skipped, archive.Position]]) -> None:
        """One batch: the newest record of each address counts, whatever the order."""
        newest: dict[DocumentId, tuple[str, Page | Gone]] = {}
        first: dict[DocumentId, datetime] = {}
        seen: dict[DocumentId, str] = {}
        positions: dict[str, int] = {}
        for record, position in batch:
            self.counts["read"] += 1
            positions[position.file] = position.offset
            if isinstance(record, Skipped):
                self.skipped[record.reason] += 1
                continue
            id = document_id(record.url)
            if isinstance(record, Unchanged):
                self.counts["unchanged"] += 1
                seen[id] = max(seen.get(id, ""), _iso(record.fetched_at))
                continue
            when = record.fetched_at if isinstance(record, Page) else record.decided_at
            first[id] = min(when, first.get(id, when))
            stamp = f"{_iso(when)} {position.file} {position.offset:015d}"
            if stamp > self._stamp(id) and stamp > newest.get(id, ("",))[0]:
                newest[id] = (stamp, record)
        jobs = [_Extract(r, stamp, self.settings.extract) for stamp, r in newest.values() if isinstance(r, Page)]
        answers = list(self.workers.map(jobs))
        with self.documents.transaction():
            for job, answer in answers:
                assert isinstance(job, _Extract)
                assert not isinstance(answer, _Finished)
                self._keep(job, answer, first[document_id(job.page.url)])
            for id, (stamp, record) in newest.items():
                if isinstance(record, Gone):
                    self.counts["removed"] += 1
                    self._drop(id, host_of(record.url), stamp)
            for id, at in seen.items():
                self.db.execute("update pages set seen = max(seen, ?) where id = ?", (at, id))
                self.documents.seen(id, datetime.fromisoformat(at))
            self.db.executemany("insert or replace into positions values (?, ?)", positions.items())

    def _stamp(self, id: DocumentId) -> str:
        row = self.db.execute("select stamp from pages where id = ?", (id,)).fetchone()
        return str(row[0]) if row else ""

    def _keep(self, job: _Extract, answer: Document | Skipped, first: datetime) -> None:
        """What was read of one page. first: its first record among those just read."""
        id, host = document_id(job.page.url), host_of(job.page.url)
        if isinstance(answer, Document) and (rule := personal.rule_of(answer, self.personal)):
            answer = Skipped(personal.REASON + rule)
        if isinstance(answer, Skipped):
            self.skipped[answer.reason] += 1
            self._drop(id, host, job.stamp, answer.reason)
            return
        self.counts["extracted"] += 1
        self.counts["scanned"] += not answer.text
        old = self._page(id)
        answer = _unlinked(answer, self.forgotten.holds)
        lines = line_hashes(answer).tobytes()
        answer = replace(answer, around=(), fetched_at=None, first_seen=(old and old.first_seen) or first)
        body = zlib.compress(_encoder.encode(answer))
        seen = _iso(job.page.fetched_at)
        self.db.execute(
            "insert into pages values (?, ?, ?, ?, ?, '', ?, ?, 1) on conflict (id) do update set "
            "host = excluded.host, stamp = excluded.stamp, seen = max(seen, excluded.seen), "
            "extractor = excluded.extractor, skipped = '', "
            "body = excluded.body, lines = excluded.lines, due = 1",
            (id, host, job.stamp, seen, self.extractor, body, lines),
        )
        self._link(id, old, answer)
        self._touch(host)

    def _drop(self, id: DocumentId, host: str, stamp: str | None, reason: str = "") -> None:
        """No document comes from this page. stamp: of the record that says so, remembered against older ones."""
        self._link(id, self._page(id), None)
        self._hide(id)
        if stamp is None:
            self.db.execute("delete from pages where id = ?", (id,))
        else:
            self.db.execute(
                "insert or replace into pages values (?, ?, ?, '', ?, ?, null, null, 0)",
                (id, host, stamp, self.extractor, reason),
            )
        self._touch(host)

    def _link(self, id: DocumentId, old: Document | None, new: Document | None) -> None:
        """Replace the links' texts that a page gives to others."""
        before, after = _anchors(old), _anchors(new)
        for target in before.keys() | after.keys():
            if before.get(target) == after.get(target):
                continue
            if target in after:
                self.db.execute("insert or replace into anchors values (?, ?, ?)", (target, id, after[target]))
            else:
                self.db.execute("delete from anchors where target = ? and origin = ?", (target, id))
            self.db.execute("update pages set due = 1 where id = ? and body is not null", (target,))

    def _page(self, id: DocumentId) -> Document | None:
        row = self.db.execute("select body from pages where id = ? and body is not null", (id,)).fetchone()
        return _decoder.decode(zlib.decompress(row[0])) if row else None

    def _touch(self, host: str) -> None:
        self.db.execute(
            "insert into hosts values (?, x'', 1) on conflict (host) do update set due = 1 where due = 0", (host,)
        )

    # 2. --- finish

    def finish(self) -> bool:
        self._rematch()
        while hosts := self.db.execute("select host, repeated from hosts where due limit ?", (BATCH,)).fetchall():
            with self.documents.transaction():
                for host, before in hosts:
                    repeated = self._repeated(host)
                    if repeated != before:
                        self.db.execute("update pages set due = 1 where host = ? and body is not null", (host,))
                    self.db.execute("update hosts set repeated = ?, due = 0 where host = ?", (repeated, host))
            if self.stop():
                return False
        while jobs := list(islice(self._due(), BATCH)):
            self._publish(self.workers.map(jobs))
            if self.stop():
                return False
        return True

    def _rematch(self) -> None:
        """When the list of sources changed, the documents whose source did are due."""
        version = sha256(_encoder.encode(sorted(self.sources, key=lambda source: source.url))).hexdigest()
        if self.documents.noted("sources", version) == version:
            return
        with self.documents.transaction():
            for document in self.documents:
                if document.source != self._source(document.url):
                    self.db.execute("update pages set due = 1 where id = ?", (document.id,))
            self.documents.note("sources", version)

    def _source(self, url: str) -> Source:
        found = self.sources.match(url)
        host = host_of(url)
        return found or Source(url=f"https://{host}/", name=host, kind="autre")

    def _repeated(self, host: str) -> bytes:
        """Hashes of the lines that most pages of a host hold, sorted, eight bytes each."""
        rows = self.db.execute("select lines from pages where host = ? and length(lines) > 0", (host,))
        return repeated_among([array("q", lines) for (lines,) in rows]).tobytes()

    def _due(self) -> Iterator[_Finish]:
        """Documents to make again, and what to make again of each."""
        v = self.versions
        for body, seen, repeated in self.db.execute(
            "select pages.body, pages.seen, repeated from pages join hosts using (host) where pages.due limit ?",
            (BATCH,),
        ).fetchall():
            document = self._with_seen(_decoder.decode(zlib.decompress(body)), seen)
            anchors = self._anchors_of(document.id)
            document = replace(document, source=self._source(document.url), anchors=anchors)
            yield _Finish(document, frozenset(array("q", repeated)), True, True, self.corrections, self.weights)
        for id, body, seen, place, tagger, referentiel in self.db.execute(
            "select id, body, seen, places, tagger, referentiel from documents where id > ? "
            "and body is not null and (places, tagger, referentiel) != (?, ?, ?) order by id limit ?",
            (self.walked, v.places, v.tagger, v.referentiel, BATCH),
        ).fetchall():
            self.walked = id  # what lies before is as it should be: looked at again, it would cost most of the run
            document = self._with_seen(_decoder.decode(zlib.decompress(body)), seen)
            retag = (tagger, referentiel) != (v.tagger, v.referentiel)
            yield _Finish(document, None, place != v.places, retag, self.corrections, self.weights)

    def _with_seen(self, document: Document, seen: str) -> Document:
        return replace(document, fetched_at=datetime.fromisoformat(seen)) if seen else document

    def _anchors_of(self, id: DocumentId) -> tuple[str, ...]:
        """The texts of the links that lead to a document, most frequent first."""
        return tuple(
            text
            for (text,) in self.db.execute(
                "select text from anchors where target = ? group by text order by count(*) desc, text limit 10", (id,)
            )
        )

    def _publish(self, answers: Iterable[tuple[_Job, _Answer]]) -> None:
        done = list(answers)
        with self.documents.transaction():
            for job, answer in done:
                assert isinstance(job, _Finish)
                id = job.document.id
                self.db.execute("update pages set due = 0 where id = ?", (id,))
                if isinstance(answer, _Finished):
                    self._show(answer.document)
                    self.duplicates.record(id, answer.sketch)
                elif isinstance(answer, Document):
                    self._show(answer)
                elif isinstance(answer, Skipped):
                    self.skipped[answer.reason] += 1
                    self._hide(id)

    def _show(self, document: Document) -> None:
        before = self.documents.get(document.id)
        if before is not None:
            # Until its group is looked at again, below.
            document = replace(document, copy_of=before.copy_of, copies=before.copies)
        self.counts["changed"] += self.documents.put(document, self.versions)

    def _hide(self, id: DocumentId) -> None:
        self.documents.remove(id)
        self.duplicates.drop(id)

    # 3. --- duplicates

    def find_duplicates(self) -> bool:
        while (changed := self.duplicates.settle(BATCH)) is not None:
            self.counts["changed"] += changed
            if self.stop():
                return False
        return True


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="microseconds")


def _anchors(document: Document | None) -> dict[DocumentId, str]:
    """The links' texts of a document that say something of where they lead, by target."""
    found: dict[DocumentId, str] = {}
    for link in document.links if document else ():
        target = document_id(link.url)
        if document and target != document.id and extraction.tells_something(link.anchor):
            found.setdefault(target, link.anchor)
    return found

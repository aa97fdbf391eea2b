"""The documents store: what readers can find, one SQLite file that update.py writes and index/build.py reads.

Every change gets the next revision, so that whoever follows the store (the index) asks only for what changed since the
last one it saw. A removed document leaves its identifier and its revision, nothing else. The links between hosts are
counted as documents come and go (table `linked`): nobody needs to read them all again.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from random import Random
from types import TracebackType

import msgspec

from elunum.errors import ElunumError, IndexVersionError, SettingsError
from elunum.model import Document, DocumentId, Link
from elunum.urls import host_of

FORMAT = 1
"""Changes when a store written before can no longer be read."""

_SCHEMA = """
create table if not exists documents (
    id text primary key, revision integer not null unique, seen text not null, body blob,
    extractor text not null, places text not null, tagger text not null, referentiel text not null) without rowid;
create table if not exists meta (name text primary key, value text not null) without rowid;
create table if not exists positions (file text primary key, offset integer not null) without rowid;
create table if not exists hosted (host text not null, id text not null, primary key (host, id)) without rowid;
create table if not exists linked (
    host text not null, target text not null, pages integer not null, primary key (host, target)) without rowid;
"""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Document)
_CHUNK = 500


class _Linking(msgspec.Struct):
    """Of a document, where it stands and where it leads."""

    url: str
    links: tuple[Link, ...]

    @property
    def host(self) -> str:
        return host_of(self.url)

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """Its host, with each other host it leads to."""
        host = self.host
        return {(host, target) for link in self.links if (target := host_of(link.url)) != host}


_linking_decoder = msgspec.msgpack.Decoder(_Linking)


@dataclass(frozen=True, slots=True)
class Versions:
    """What made a document. A change of one redoes only what depends on it."""

    extractor: str = ""
    places: str = ""  # of the way places are found
    tagger: str = ""
    referentiel: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """What the store holds."""

    documents: int
    removed: int
    revision: int


class Documents:
    """The store at `path`, created when absent.

    Raises IndexVersionError when another version of Elunum wrote it or when it is damaged, and SettingsError when the
    disk is full or refuses to be written: as it is opened, or at the end of a `with` block where that came to light.
    One process writes at a time; readers in other processes see the last commit. A change made outside
    `with store.transaction()` is committed at once.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        try:
            # Autocommit: transactions are opened by transaction() alone. Wait rather than fail when another writes.
            self.db = sqlite3.connect(path, isolation_level=None, timeout=60)
        except sqlite3.Error as error:
            raise _refusal(path, error) from None
        try:
            self.db.execute("pragma journal_mode = wal")
            # A power cut may lose the last commits, never half of one; the archive still has what they held.
            self.db.execute("pragma synchronous = normal")
            self.db.executescript(_SCHEMA)
            if self.noted("format", str(FORMAT)) != str(FORMAT):
                raise sqlite3.DatabaseError("written by another version of Elunum")
            if self.noted("links", "") == "":
                self._count_links()
        except sqlite3.Error as error:
            self.db.close()
            raise _refusal(path, error) from None

    def close(self) -> None:
        """Release the file."""
        self.db.close()

    def __enter__(self) -> Documents:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
        if isinstance(error, sqlite3.Error):
            raise _refusal(self.path, error) from None

    def _count_links(self) -> None:
        """Count the links of all documents: in a new store, or in one begun before they were counted."""
        with self.transaction():
            self.note("links", "0")
            for id, body in self.db.execute("select id, body from documents where body is not null"):
                self._relink(DocumentId(id), None, _linking(body))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All the changes made inside, or none of them."""
        self.db.execute("begin immediate")
        try:
            yield
        except BaseException:
            if self.db.in_transaction:  # a full disk has already ended it
                self.db.execute("rollback")
            raise
        self.db.execute("commit")

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """A transaction of its own for a change made outside one."""
        if self.db.in_transaction:
            yield
        else:
            with self.transaction():
                yield

    # --- writing -------------------------------------------------------------------------------------------------

    def put(self, document: Document, versions: Versions | None = None) -> bool:
        """Add or replace a document; True when something a reader could notice changed (then it has a new revision).

        versions: what made it; None when that has not changed.
        `fetched_at` alone does not count: nine pages in ten are seen again every night without having changed.
        """
        seen = document.fetched_at.isoformat() if document.fetched_at else ""
        body = zlib.compress(_encoder.encode(replace(document, fetched_at=None)))
        row = self.db.execute(
            "select body, extractor, places, tagger, referentiel from documents where id = ?", (document.id,)
        ).fetchone()
        if versions is None:
            versions = Versions(*row[1:]) if row else Versions()
        made_by = (versions.extractor, versions.places, versions.tagger, versions.referentiel)
        if row is not None and row[0] == body:
            self.db.execute(
                "update documents set seen = ?, extractor = ?, places = ?, tagger = ?, referentiel = ? where id = ?",
                (seen, *made_by, document.id),
            )
            return False
        old = _linking(row[0]) if row is not None and row[0] is not None else None
        with self._whole():
            self.db.execute(
                "insert or replace into documents values (?, (select ifnull(max(revision), 0) + 1 from documents), "
                "?, ?, ?, ?, ?, ?)",
                (document.id, seen, body, *made_by),
            )
            self._relink(document.id, old, _Linking(document.url, document.links))
        return True

    def remove(self, id: DocumentId) -> bool:
        """Forget a document, leaving only its identifier for whoever follows the revisions; False when not there."""
        row = self.db.execute("select body from documents where id = ? and body is not null", (id,)).fetchone()
        if row is None:
            return False
        with self._whole():
            self.db.execute(
                "update documents set body = null, seen = '', "
                "revision = (select ifnull(max(revision), 0) + 1 from documents) where id = ?",
                (id,),
            )
            self._relink(id, _linking(row[0]), None)
        return True

    def _relink(self, id: DocumentId, old: _Linking | None, new: _Linking | None) -> None:
        """Count the links of a document that changes, or comes, or goes."""
        before, after = (found.pairs if found else set() for found in (old, new))
        moved = 0
        if old and not new:
            self.db.execute("delete from hosted where host = ? and id = ?", (old.host, id))
            moved += self._hosts_nothing(old.host)
        if new and not old:
            moved += self._hosts_nothing(new.host)
            self.db.execute("insert into hosted values (?, ?)", (new.host, id))
        for pair in before - after:
            self.db.execute("update linked set pages = pages - 1 where host = ? and target = ?", pair)
            moved += self.db.execute("delete from linked where host = ? and target = ? and pages = 0", pair).rowcount
        for pair in after - before:
            (pages,) = self.db.execute(
                "insert into linked values (?, ?, 1) on conflict (host, target) do update set pages = pages + 1 "
                "returning pages",
                pair,
            ).fetchone()
            moved += pages == 1
        if moved:
            self.db.execute("update meta set value = value + 1 where name = 'links'")

    def _hosts_nothing(self, host: str) -> bool:
        return self.db.execute("select 1 from hosted where host = ? limit 1", (host,)).fetchone() is None

    def seen(self, id: DocumentId, at: datetime) -> None:
        """The page was there at that moment, unchanged: no new revision."""
        self.db.execute("update documents set seen = max(seen, ?) where id = ?", (at.isoformat(), id))

    def note(self, name: str, value: str) -> None:
        """Remember a value under a name."""
        self.db.execute("insert or replace into meta values (?, ?)", (name, value))

    def noted(self, name: str, default: str) -> str:
        """The value remembered under a name; the default, remembered from now on, when there is none."""
        self.db.execute("insert or ignore into meta values (?, ?)", (name, default))
        return str(self.db.execute("select value from meta where name = ?", (name,)).fetchone()[0])

    # --- reading -------------------------------------------------------------------------------------------------

    def get(self, id: DocumentId) -> Document | None:
        """The document, or None."""
        row = self.db.execute("select body, seen from documents where id = ?", (id,)).fetchone()
        return None if row is None or row[0] is None else _document(*row)

    @property
    def revision(self) -> int:
        """That of the last change; 0 for an empty store."""
        return int(self.db.execute("select ifnull(max(revision), 0) from documents").fetchone()[0])

    def changed_since(self, revision: int) -> Iterator[tuple[int, DocumentId, Document | None]]:
        """What changed after `revision`, each document once, oldest change first; None for one that was removed."""
        while rows := self.db.execute(
            "select revision, id, body, seen from documents where revision > ? order by revision limit ?",
            (revision, _CHUNK),
        ).fetchall():
            for revision, id, body, seen in rows:
                yield revision, DocumentId(id), None if body is None else _document(body, seen)

    def __iter__(self) -> Iterator[Document]:
        """Every live document, ordered by identifier."""
        last = ""
        while rows := self.db.execute(
            "select id, body, seen from documents where id > ? and body is not null order by id limit ?",
            (last, _CHUNK),
        ).fetchall():
            yield from (_document(body, seen) for _, body, seen in rows)
            last = rows[-1][0]

    @property
    def links(self) -> int:
        """Grows when a host begins or ceases to link to another, or to hold documents; else their graph is the same."""
        return int(self.noted("links", "0"))

    def linked(self) -> list[tuple[str, str]]:
        """(from, to) for each two hosts of which one links to the other; both hold documents."""
        return self.db.execute(
            "select host, target from linked where exists (select 1 from hosted where hosted.host = target)"
        ).fetchall()

    def hosted(self, host: str, until: int) -> list[DocumentId]:
        """The live documents of a host that have not changed since the revision `until`."""
        rows = self.db.execute(
            "select id from hosted join documents using (id) where host = ? and revision <= ?", (host, until)
        )
        return [DocumentId(id) for (id,) in rows]

    def drawn(self, chance: Random, count: int) -> Iterator[Document]:
        """At most `count` documents at random that are shown: no copies. Identifiers are hashes, as good as dice."""
        for _ in range(count):
            start = f"{chance.getrandbits(64):016x}"
            row = self.db.execute(
                "select body, seen from documents where id >= ? and body is not null order by id limit 1", (start,)
            ).fetchone()
            if row is not None and (found := _document(*row)).copy_of is None:
                yield found

    def __len__(self) -> int:
        return self.counts().documents

    def counts(self) -> Counts:
        """How many documents are live, how many were removed, and the last revision."""
        live, removed = self.db.execute(
            "select count(*) filter (where body is not null), count(*) filter (where body is null) from documents"
        ).fetchone()
        return Counts(live, removed, self.revision)

    @property
    def positions(self) -> dict[str, int]:
        """How far each file of the archive was read."""
        return dict(self.db.execute("select file, offset from positions"))


def _linking(body: bytes) -> _Linking:
    return _linking_decoder.decode(zlib.decompress(body))


def _document(body: bytes, seen: str) -> Document:
    document = _decoder.decode(zlib.decompress(body))
    return replace(document, fetched_at=datetime.fromisoformat(seen)) if seen else document


def _refusal(path: Path, error: sqlite3.Error) -> ElunumError:
    """What the operator can do about a store that SQLite cannot read or write."""
    if isinstance(error, sqlite3.OperationalError):  # the disk, the rights, a lock: the store itself is whole
        return SettingsError(f"{path}: {error}; free space, or correct ELUNUM_DATA or the owner and rights of the file")
    return IndexVersionError(f"{path}: {error}; remove it and run `elunum index --full`: the archive holds all it held")

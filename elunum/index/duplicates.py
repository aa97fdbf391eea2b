"""Which documents are copies of which: the same text, nearly the same text, and pages published on many sites.

Two documents are alike when their texts are equal but for case, spaces and punctuation, or when nine tenths of what
they say is the same (MinHash of five-word shingles) under titles that say the same. Documents that are alike form
groups; in each, the source of authority is shown first and what is alike to it goes under it.

A group is a function of the documents alone, never of the order in which they came. Only groups that something changed
in are looked at again: `sketches.due` remembers them across a kill.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b

from rensa import RMinHash

from elunum.index.documents import Documents
from elunum.model import Document, DocumentId, Kind
from elunum.text import fold
from elunum.urls import document_id

PERMUTATIONS, BANDS = 60, 10
"""Six values a band: texts nine tenths alike share a band 99.9 times in 100, texts half alike 15 times."""

ALIKE = 0.87
"""Least share of equal MinHash values; its error is 0.04, so texts that share nine tenths pass."""

SHINGLE_WORDS = 5
MIN_WORDS = 40
"""Shorter texts are copies only when they are equal, title included: there are few ways of saying little."""

MAX_COPIES = 500
"""Addresses of copies kept with the document that is shown."""

_AUTHORITY: dict[Kind, int] = {
    "etat": 0,
    "operateur": 1,
    "region": 2,
    "departement": 3,
    "epci": 4,
    "commune": 5,
    "sante": 6,
    "education": 6,
    "association": 7,
    "autre": 8,
}
"""Who is shown first among those who publish the same text: whoever answers for it to most people."""

_SCHEMA = """
create table if not exists sketches (
    id text primary key, exact blob not null, hashes blob not null, title text not null, authority text not null,
    canonical text not null, family text not null, head text not null, due integer not null) without rowid;
create index if not exists sketches_exact on sketches (exact);
create index if not exists sketches_family on sketches (family);
create index if not exists sketches_due on sketches (due) where due;
create table if not exists bands (value integer not null, id text not null, primary key (value, id)) without rowid;
"""


@dataclass(frozen=True, slots=True)
class Sketch:
    """What is compared of a document."""

    exact: bytes  # equal for equal texts
    hashes: bytes  # MinHash, PERMUTATIONS of four bytes; empty for a text too short to be compared otherwise
    title: str  # its words, folded and sorted
    authority: str  # sorts before those it should be shown before
    canonical: DocumentId  # of the page it says it is, itself most often


def sketch(document: Document) -> Sketch:
    """The sketch of a document, about half a millisecond."""
    words = re.findall(r"\w+", document.text.casefold())
    hashes = b""
    compared = words
    if len(words) >= MIN_WORDS:
        shingles = [" ".join(words[n : n + SHINGLE_WORDS]) for n in range(len(words) - SHINGLE_WORDS + 1)]
        minhash = RMinHash(num_perm=PERMUTATIONS, seed=1)
        minhash.update(shingles)
        hashes = array("I", minhash.digest()).tobytes()
    else:
        compared = [*re.findall(r"\w+", document.title.casefold()), "", *words]
    kind = document.source.kind if document.source else "autre"
    return Sketch(
        exact=blake2b(" ".join(compared).encode(), digest_size=12).digest(),
        hashes=hashes,
        title=" ".join(sorted(set(re.findall(r"\w+", fold(document.title))))),
        # An address without parameters, then a short one, is the one people know.
        authority=f"{_AUTHORITY[kind]} {'?' in document.url:d} {len(document.url):05d} {document.url}",
        canonical=document_id(document.canonical) if document.canonical else document.id,
    )


@dataclass(frozen=True, slots=True)
class _Member:
    id: DocumentId
    sketch: Sketch
    family: DocumentId  # least identifier of the group


class Duplicates:
    """The groups of a documents store. What `record` and `drop` note, `settle` works out."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._db = documents.db
        self._db.executescript(_SCHEMA)

    def record(self, id: DocumentId, new: Sketch) -> None:
        """Note what a document looks like now; part of the caller's transaction."""
        old = self._member(id)
        if old is not None and old.sketch == new:
            return
        self.drop(id)
        self._db.execute(
            "insert into sketches values (?, ?, ?, ?, ?, ?, ?, ?, 1)",
            (id, new.exact, new.hashes, new.title, new.authority, new.canonical, id, id),
        )
        self._db.executemany("insert into bands values (?, ?)", ((value, id) for value in _bands(new.hashes)))

    def drop(self, id: DocumentId) -> None:
        """Note that a document is no more; those of its family are looked at again."""
        old = self._member(id)
        if old is None:
            return
        self._db.execute("update sketches set due = 1 where family = ?", (old.family,))
        self._db.executemany(
            "delete from bands where value = ? and id = ?", ((v, id) for v in _bands(old.sketch.hashes))
        )
        self._db.execute("delete from sketches where id = ?", (id,))

    def settle(self, at_most: int) -> int | None:
        """Work out the groups of about `at_most` documents in one transaction.

        Returns how many documents changed place, None when there is nothing left to look at.
        """
        due = [row[0] for row in self._db.execute("select id from sketches where due limit ?", (at_most,))]
        if not due:
            return None
        changed = 0
        done: set[DocumentId] = set()
        with self._documents.transaction():
            for id in due:
                if id not in done:
                    members = self._around(id)
                    done |= members.keys()
                    changed += self._arrange(list(members.values()))
        return changed

    def copies(self) -> int:
        """How many documents are shown under another."""
        return int(self._db.execute("select count(*) from sketches where head != id").fetchone()[0])

    # --- groups ------------------------------------------------------------------------------------------------

    def _around(self, id: DocumentId) -> dict[DocumentId, _Member]:
        """Everything that can be reached from a document by likeness."""
        start = self._member(id)
        assert start is not None
        found = {id: start}
        waiting = [start]
        shelves: dict[bytes | int, set[DocumentId]] = {}  # documents that share something and are not found yet
        while waiting:
            member = waiting.pop()
            near: set[DocumentId] = set()
            values: list[bytes | int] = [member.sketch.exact, *_bands(member.sketch.hashes)]
            for value in values:
                if value not in shelves:
                    shelves[value] = self._sharing(value)
                shelves[value] -= found.keys()
                near |= shelves[value]
            for other_id in sorted(near):
                other = self._member(other_id)
                if other is not None and _alike(member.sketch, other.sketch):
                    found[other_id] = other
                    waiting.append(other)
        return found

    def _sharing(self, value: bytes | int) -> set[DocumentId]:
        """Documents with this exact text, or this band."""
        column = "sketches where exact" if isinstance(value, bytes) else "bands where value"
        return {DocumentId(id) for (id,) in self._db.execute(f"select id from {column} = ?", (value,))}  # noqa: S608

    def _arrange(self, members: list[_Member]) -> int:
        """Choose who is shown among documents that are alike by degrees, and put the others under them."""
        pointed = {m.sketch.canonical for m in members if m.sketch.canonical != m.id}
        shown: list[_Member] = []
        under: dict[DocumentId, list[_Member]] = {}
        for member in sorted(members, key=lambda m: (m.id not in pointed, m.sketch.authority)):
            above = next((head for head in shown if _alike(head.sketch, member.sketch)), None)
            if above is None:
                shown.append(member)
                under[member.id] = []
            else:
                under[above.id].append(member)
        changed = 0
        family = min(member.id for member in members)
        for head in shown:
            copies = under[head.id]
            changed += self._place(head, head, family, tuple(sorted(_url(m) for m in copies)[:MAX_COPIES]))
            for copy in copies:
                changed += self._place(copy, head, family, ())
        return changed

    def _place(self, member: _Member, head: _Member, family: DocumentId, copies: tuple[str, ...]) -> bool:
        self._db.execute("update sketches set family = ?, head = ?, due = 0 where id = ?", (family, head.id, member.id))
        copy_of = None if head is member else head.id
        document = self._documents.get(member.id)
        if document is None or (document.copy_of, document.copies) == (copy_of, copies):
            return False
        return self._documents.put(replace(document, copy_of=copy_of, copies=copies))

    def _member(self, id: DocumentId) -> _Member | None:
        row = self._db.execute(
            "select exact, hashes, title, authority, canonical, family from sketches where id = ?", (id,)
        ).fetchone()
        return _Member(id, Sketch(*row[:5]), DocumentId(row[5])) if row else None


def _alike(one: Sketch, other: Sketch) -> bool:
    if one.exact == other.exact:
        return True
    if not one.hashes or not other.hashes or not _same_title(one.title, other.title):
        return False
    a, b = array("I", one.hashes), array("I", other.hashes)
    return sum(x == y for x, y in zip(a, b, strict=True)) >= ALIKE * PERMUTATIONS


def _same_title(one: str, other: str) -> bool:
    """Whether one holds all the words of the other and few more, and no other number.

    The sheets « … dans la fonction publique territoriale » and « … d'État », the minutes of two meetings, are nearly
    the same text and not the same page.
    """
    few, many = sorted((set(one.split()), set(other.split())), key=len)
    return few <= many and 2 * len(few) >= len(many) and not any(word.isdigit() for word in many - few)


def _bands(hashes: bytes) -> Iterator[int]:
    """One number a band, signed, 64 bits."""
    size = len(hashes) // BANDS
    for n in range(BANDS if hashes else 0):
        part = bytes([n]) + hashes[n * size : (n + 1) * size]
        yield int.from_bytes(blake2b(part, digest_size=8).digest(), "big", signed=True)


def _url(member: _Member) -> str:
    return member.sketch.authority.split(" ", 3)[3]

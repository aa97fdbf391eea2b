"""Documents -> a fresh index version, built aside, checked, swapped in whole or not at all.

    index/20261122T204500123456-7/tantivy/    the engine's own files; a segment never changes once written
                                 /postings.*  which pages have what, as arrays
                                 /forward.*   what each page says, word after word
                                 /vectors.*   what words and pages are about
                                 /words.tsv   its vocabulary, for spelling
                                 /hosts.tsv   how central its hosts are, by the links between them
                                 /about.json  what it holds, and from which revision of the documents
    index/current                             a link to the version that is served

The next version starts from hard links to the files of the last one: adding pages does not rewrite the others.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice, pairwise
from pathlib import Path

import msgspec
import tantivy

from elunum import expressions, folder, geo
from elunum.errors import IndexVersionError
from elunum.index import links, vectors
from elunum.index import schema as fields
from elunum.index.documents import Documents
from elunum.index.forward import Forward, ForwardWriter
from elunum.index.postings import Postings, PostingsWriter, write_addresses
from elunum.index.tags import load_referentiel
from elunum.model import Document, DocumentId
from elunum.settings import Settings
from elunum.text import forms
from elunum.urls import host_of

log = logging.getLogger("elunum.index")

Check = Callable[[str], Iterable[str]]
"""Name of a version's folder -> what forbids to serve it, one sentence each, with the remedy. See search/checks.py."""

Change = tuple[int, DocumentId, Document | None]
"""Revision, and the document, or None when it is gone."""


@dataclass(frozen=True, slots=True)
class About:
    """What an index version holds: about.json."""

    format: int
    version: str
    built_at: datetime  # UTC
    revision: int  # of the documents store
    documents: int
    sources: int
    referentiel_version: str
    last_fetched_at: datetime | None = None  # UTC
    names: str = ""  # hash of the names of the enjeux, kept with each page
    links: int = -1  # state of the links between hosts, see Documents.links; unknown
    expressions: str = ""  # hash of those that pages are marked with


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did."""

    version: str
    documents: int
    added: int  # documents written, new or changed
    removed: int
    full: bool
    swapped: bool  # False when nothing had changed, or when a check failed: the previous version is still served
    problems: tuple[str, ...]  # of the checks, one sentence each
    seconds: float
    lost: tuple[str, ...] = ()  # sources with less than a fifth of the documents they had: "host: 120 -> 3"


def build(settings: Settings, full: bool = False, check: Check | None = None) -> BuildReport:
    """Bring the served index to the last revision of the documents.

    check: what else than counts must be right before the new version is served.
    full: write every document again. Also done, unasked, when the last version was written by another format, with
    other names of enjeux or expressions to mark, or when it holds one page gone for two that are left; other words
    of an enjeu change the documents that they tag otherwise, and no more. Killed at any moment, what is served stays
    whole and the next build starts afresh.
    """
    started = time.monotonic()
    settings.index_dir.mkdir(parents=True, exist_ok=True)
    served = _served(settings)
    last = None if full else _reusable(settings, served)
    aside = settings.index_dir / ".building"
    _clear(aside)
    with Documents(settings.documents_path) as documents:
        if last is not None and documents.revision < last.revision:
            last = None  # the documents were begun anew
        known = last is not None and last.referentiel_version == load_referentiel().version
        if last is not None and known and documents.revision == last.revision:
            return BuildReport(last.version, last.documents, 0, 0, False, False, (), time.monotonic() - started)
        if last is None:
            (aside / "tantivy").mkdir(parents=True)
        else:
            _link(settings.index_dir / last.version, aside)
        changes: Iterable[Change] = documents.changed_since(last.revision if last else 0)
        before = read_levels(settings.index_dir / last.version) if last else {}
        levels = before
        if last is None or documents.links != last.links:
            levels = links.levels(links.centrality(documents.linked()))
        if last is not None:
            # Documents of a host that is not as central as it was weigh something else.
            moved = [host for host in before.keys() | levels.keys() if before.get(host, 0) != levels.get(host, 0)]
            same = (id_ for host in sorted(moved) for id_ in documents.hosted(host, last.revision))
            changes = chain(changes, ((last.revision, id_, documents.get(id_)) for id_ in same))
        about, added, removed = write(aside, changes, settings, last, levels, documents.links)
    lost = _lost(settings, aside, served) if served else {}
    problems = [] if full or served is None else list(_losses(about, served, lost))
    if check is not None and not problems:
        problems += check(aside.name)
    if not problems:
        _swap(settings, aside, about.version)
    seconds = time.monotonic() - started
    log.info("built", extra={"documents": about.documents, "added": added, "removed": removed, "seconds": seconds})
    return BuildReport(
        about.version,
        about.documents,
        added,
        removed,
        last is None,
        not problems,
        tuple(problems),
        seconds,
        tuple(f"{source}: {before} -> {after}" for source, (before, after) in lost.items()),
    )


def serve_documents(settings: Settings, documents: Iterable[Document]) -> About:
    """A first version made of these documents alone, served from `settings.index_dir`: for measuring and for tests."""
    aside = settings.index_dir / ".building"
    (aside / "tantivy").mkdir(parents=True)
    changes = ((number, document.id, document) for number, document in enumerate(documents, start=1))
    about, _, _ = write(aside, changes, settings)
    _swap(settings, aside, about.version)
    return about


def rollback(settings: Settings) -> BuildReport:
    """Serve the previous version again. Raises IndexVersionError when there is none."""
    started = time.monotonic()
    current = read_about(settings)
    older = [version for version in versions(settings) if version < current.version]
    if not older:
        raise IndexVersionError("there is no previous index version to go back to; run `elunum index --full`")
    _point(settings, older[-1])
    about = read_about(settings)
    return BuildReport(about.version, about.documents, 0, 0, False, True, (), time.monotonic() - started)


def versions(settings: Settings) -> list[str]:
    """The versions on disk, oldest first."""
    if not settings.index_dir.is_dir():
        return []
    return sorted(path.parent.name for path in settings.index_dir.glob("[0-9]*/about.json"))


def read_about(settings: Settings, version: str = "current") -> About:
    """What a version holds, the served one by default.

    Raises IndexVersionError, with the command to run, when it cannot be served.
    """
    try:
        about = msgspec.json.decode((settings.index_dir / version / "about.json").read_bytes(), type=About)
    except FileNotFoundError:
        raise IndexVersionError(f"there is no index in {settings.index_dir} yet; run `elunum index`") from None
    except (msgspec.MsgspecError, NotADirectoryError):
        raise IndexVersionError(f"the index in {settings.index_dir} is damaged; run `elunum index --full`") from None
    if about.format != fields.FORMAT:
        raise IndexVersionError(
            f"the index in {settings.index_dir} was written by another version of Elunum; run `elunum index --full`"
        )
    return about


def open_index(path: Path) -> tantivy.Index:
    """The engine's index of a version, ready to be read or written."""
    return fields.with_tokenizers(tantivy.Index.open(str(path / "tantivy")))


def write(
    version: Path,
    changes: Iterable[Change],
    settings: Settings,
    last: About | None = None,
    levels: Mapping[str, int] | None = None,
    linked: int = -1,
) -> tuple[About, int, int]:
    """Apply changes to the index in the folder `version`, empty or linked from the last one, and describe it.

    levels: how central each host is, for its pages' weight. linked: the state of the links they come from. Returns what
    it holds, and how many documents were written and removed.
    """
    schema = fields.schema()
    index = fields.with_tokenizers(tantivy.Index(schema, str(version / "tantivy"), reuse=True))
    geography, referentiel = geo.load(), load_referentiel()
    writer = index.writer(settings.index.memory_mb * 1_000_000, 1)
    revision, fetched_at = (last.revision, last.last_fetched_at) if last else (0, None)
    vocabulary = read_vocabulary(version) if last else Counter()
    added = removed = 0
    gone = []
    before = settings.index_dir / last.version if last else None
    with (
        closing(ForwardWriter(version)) as forward,
        closing(PostingsWriter(version, Postings(before) if before else None)) as postings,
    ):
        served = index.searcher()
        for number, id_, document in changes:
            revision = max(revision, number)
            if last is not None:
                for _, address in served.search(tantivy.Query.term_query(schema, "id", id_, "basic"), 1).hits:
                    vocabulary.subtract(_words(fields.read_shown(served, address)))
                writer.delete_documents_by_term("id", id_)
            if document is None or document.copy_of is not None:
                removed += 1
                gone.append(fields.key_of(id_))
                continue
            level, parts = (levels or {}).get(host_of(document.url), 0), fields.parts_of(document)
            found = fields.indexed(document, parts, geography, referentiel, level)
            forward.add(found.page.key, parts)
            postings.add(found.page, found.words, found.titled)
            writer.add_document(tantivy.Document.from_dict(found.fields, schema))
            added += 1
            vocabulary.update(_words(fields.decode_shown(found.fields["shown"])))
            if document.fetched_at and (fetched_at is None or document.fetched_at > fetched_at):
                fetched_at = document.fetched_at
        writer.commit()
        writer.wait_merging_threads()
        forward.finish(Forward(before) if before else None, gone)
        postings.finish(gone)
    vectors.write(version, before, forward.keys)
    index.reload()
    searcher = index.searcher()
    write_addresses(version, _addresses(searcher, schema))
    now = datetime.now(UTC)
    about = About(
        fields.FORMAT,
        f"{now:%Y%m%dT%H%M%S%f}-{revision}",
        now,
        revision,
        searcher.num_docs,
        len(count_sources(version)),
        referentiel.version,
        fetched_at,
        referentiel.names,
        linked,
        expressions.version(),
    )
    _write_vocabulary(version, vocabulary)
    lines = (f"{host}\t{level}" for host, level in sorted((levels or {}).items()))
    folder.write_whole(version / "hosts.tsv", "\n".join(lines).encode())
    folder.write_whole(version / "about.json", msgspec.json.encode(about))
    return about, added, removed


def _addresses(searcher: tantivy.Searcher, schema: tantivy.Schema) -> Iterator[tuple[int, int, int]]:
    """Key, segment and document of each page of the engine's files: some at a time, for each is an object."""
    slices = searcher.num_docs // 50_000 + 1
    bounds = [(n << 64) // slices for n in range(slices)] + [1 << 64]
    for low, high in pairwise(bounds):
        query = tantivy.Query.range_query(schema, "key", tantivy.FieldType.Unsigned, low, high - 1)
        hits = searcher.search(query, max(searcher.num_docs, 1), count=False).hits
        found = [address for _, address in hits]
        for key, address in zip(searcher.fast_field_values("key", found), found, strict=True):
            yield int(key or 0), address.segment_ord, address.doc


VOCABULARY_CHARS = 2_000
"""Of each text, read for the vocabulary that spelling is corrected to."""

VOCABULARY_WORDS = 120_000
"""The most frequent ones, that spelling is corrected to; the others are kept for pages to be counted out exactly."""


def read_vocabulary(version: Path, limit: int | None = None) -> Counter[str]:
    """Words of a version as written, in lower case, with how often its pages have them; the `limit` most frequent."""
    with (version / "words.tsv").open(encoding="utf-8", newline="\n") as file:
        lines = (line.partition("\t") for line in islice(file, limit))
        return Counter({word: int(count) for word, tab, count in lines if tab})


def _words(shown: fields.Shown) -> list[str]:
    """What a document gives to the vocabulary, read from what the index keeps of it: it can be taken back."""
    written = forms(f"{shown.title} {shown.text[:VOCABULARY_CHARS]}")
    return [word for word in written if 3 <= len(word) <= 40 and word.isalpha()]


def _write_vocabulary(version: Path, vocabulary: Counter[str]) -> None:
    kept = sorted((-count, word) for word, count in vocabulary.items() if count > 0)
    folder.write_whole(version / "words.tsv", "".join(f"{word}\t{-count}\n" for count, word in kept).encode())


def read_levels(version: Path) -> dict[str, int]:
    """How central the hosts were when a version was written; a host that no other links to is absent."""
    lines = (version / "hosts.tsv").read_text(encoding="utf-8").split("\n")
    return {host: int(level) for host, tab, level in (line.partition("\t") for line in lines) if tab}


def count_sources(version: Path) -> dict[str, int]:
    """Documents of each source of a version, by its key."""
    postings, found = Postings(version), Counter[str]()
    for source, count in postings.sources(postings.everything).items():
        found[source.partition("\t")[0]] += count  # whatever its name: a source may be called otherwise
    return found


def _served(settings: Settings) -> About | None:
    """The served version, when it can be opened."""
    try:
        about = read_about(settings)
        _ready(settings.index_dir / about.version)
    except (IndexVersionError, OSError, ValueError):  # absent, of another format, or files of it are missing
        return None
    return about


def _reusable(settings: Settings, about: About | None) -> About | None:
    """The served version, when the next one can start from it."""
    if about is None:
        return None
    try:
        gone = _gone(settings.index_dir / about.version)
    except (OSError, msgspec.MsgspecError):
        return None
    if gone > about.documents * MOSTLY_GONE:
        return None
    same = about.names == load_referentiel().names and about.expressions == expressions.version()
    return about if same else None


MOSTLY_GONE = 0.5
"""Pages gone for each page left, from which a version is written anew: each costs disk and a little of every answer."""


class _Segment(msgspec.Struct):
    deletes: dict[str, int] | None


class _Segments(msgspec.Struct):
    segments: list[_Segment]


def _gone(version: Path) -> int:
    """Documents that were replaced or removed, and that the engine's files still hold."""
    listed = msgspec.json.decode((version / "tantivy" / "meta.json").read_bytes(), type=_Segments)
    return sum(segment.deletes["num_deleted_docs"] for segment in listed.segments if segment.deletes)


def _ready(version: Path) -> tantivy.Searcher:
    """A version with all its files. Raises OSError or ValueError (as tantivy says everything) when one is missing."""
    read_vocabulary(version)
    read_levels(version)
    vectors.read(version, len(Forward(version).keys))
    Postings(version)
    return open_index(version).searcher()


def _clear(aside: Path) -> None:
    """Remove what a build that was killed or refused left. Raises OSError when it cannot be."""
    for _ in range(20):
        shutil.rmtree(aside, ignore_errors=True)
        if not aside.exists():
            return
        time.sleep(0.05)  # a writer of this process that was let go may still be tidying its files
    shutil.rmtree(aside)


def _link(version: Path, aside: Path) -> None:
    """The files of a version, as hard links: they never change. Its lists of files are copied, for they do."""
    (aside / "tantivy").mkdir(parents=True)
    for file in (version / "tantivy").iterdir():
        target = aside / "tantivy" / file.name
        if file.name in ("meta.json", ".managed.json"):
            shutil.copyfile(file, target)
        elif not file.name.endswith(".lock"):
            os.link(file, target)
    shutil.copyfile(version / "words.tsv", aside / "words.tsv")


# --- checks ------------------------------------------------------------------------------------------------------

MUCH = 20
"""Documents from which a source that loses four in five is told to the operator."""

TOO_MUCH = 0.1
"""Share of all documents that such sources may have held: one site may close, many at once are our mistake."""

ENOUGH = 100
"""Documents from which shares mean something."""


def _losses(about: About, served: About, lost: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    remedy = "run `elunum index --full` if this is meant"
    if served.documents <= ENOUGH:
        return
    if about.documents < served.documents / 2:
        yield f"{about.documents} documents, where the served version has {served.documents}; {remedy}"
    held = sum(before for before, _ in lost.values())
    if held > served.documents * TOO_MUCH:
        worst = ", ".join(f"{source}: {before} -> {after}" for source, (before, after) in list(lost.items())[:3])
        yield f"{len(lost)} sources lost most of their {held} documents ({worst}); {remedy}"


def _lost(settings: Settings, version: Path, served: About) -> dict[str, tuple[int, int]]:
    """Sources that lost most of their documents since the served version: how many they had and have."""
    before, after = (count_sources(settings.index_dir / served.version), count_sources(version))
    found = {
        source: (count, after.get(source, 0))
        for source, count in before.items()
        if count >= MUCH and after.get(source, 0) < count / 5
    }
    return dict(sorted(found.items(), key=lambda item: (-item[1][0], item[0])))


# --- the link `current` ------------------------------------------------------------------------------------------


def _swap(settings: Settings, aside: Path, version: str) -> None:
    """Give the built version its name, serve it, and drop the oldest ones."""
    _settle(aside)
    aside.rename(settings.index_dir / version)
    _point(settings, version)
    for old in versions(settings)[: -settings.index.keep]:
        shutil.rmtree(settings.index_dir / old, ignore_errors=True)


def drop_older(settings: Settings) -> None:
    """Keep the served version alone: the others still hold what was taken out of it."""
    for version in versions(settings):
        if version != read_about(settings).version:
            shutil.rmtree(settings.index_dir / version, ignore_errors=True)


def _point(settings: Settings, version: str) -> None:
    link = settings.index_dir / ".current"
    link.unlink(missing_ok=True)
    link.symlink_to(version)
    link.replace(settings.index_dir / "current")
    _settle(settings.index_dir)


def _settle(path: Path) -> None:
    """Have the kernel write a folder and what it holds before anything depends on it."""
    for inner in (*path.rglob("*"), path):
        if inner.is_symlink():
            continue
        handle = os.open(inner, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

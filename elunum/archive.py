"""Fetched pages on disk: the crawl writes this archive, the index reads it, and nothing else passes between the two.

The files are WARC 1.1 (ISO 28500:2017), one gzip member per record, so any web archive tool reads them: a Page is a
`response`, an Unchanged a `revisit`, a Gone a `metadata` record. Names sort by the time a file was begun. A file is
only ever appended to by the process that began it, which holds a lock on it meanwhile; whatever a killed process left
torn at its end is reported and never written over.

Compaction replaces NAME.warc.gz by NAME.compact-SIZE.warc.gz, SIZE being what the first one weighed, and drops what is
superseded or forgotten. To whoever resumes, both are the file NAME.warc.gz: read to SIZE it was all read.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple
from urllib.parse import quote

from warcio.archiveiterator import WARCIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from elunum.errors import ArchiveError, SettingsError
from elunum.folder import write_whole
from elunum.model import Gone, Page, Record, Skipped, Unchanged
from elunum.settings import ArchiveSettings
from elunum.urls import canonical, host_of

MAX_RECORD_BYTES = 64_000_000
"""A record that unpacks to more is skipped: no page is that large, and a small file may hide a large one."""

_SUFFIX = ".warc.gz"
_NOT_MODIFIED = "http://netpreserve.org/warc/1.1/revisit/server-not-modified"
_GONE = b"elunum-gone: "
_COMPACT = re.compile(r"(.+)\.compact-(\d+)" + re.escape(_SUFFIX))
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, section 5.1
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
# Of the transfer, not of the page: they are untrue of a body that was unpacked.
_TRANSFER = frozenset({"content-encoding", "transfer-encoding", "content-length", "connection", "keep-alive"})


class Position(NamedTuple):
    """Where the next record of a file starts."""

    file: str  # name inside the archive folder
    offset: int  # bytes


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What `elunum import` did."""

    files: int = 0  # read
    already: int = 0  # files imported before, left alone
    pages: int = 0  # added
    skipped: Mapping[str, int] = field(default_factory=dict)  # records by reason


# --- writing ---------------------------------------------------------------------------------------------------------


class ArchiveWriter:
    """Appends records to files of its own in `folder`; a context manager.

    What `write` was given is on its way to the disk when it returns: a killed process loses nothing, `flush` also
    survives a power cut. Raises SettingsError when the folder cannot be written, a full disk included.
    """

    def __init__(self, folder: Path, settings: ArchiveSettings, name: str = "crawl") -> None:
        self._folder, self._settings, self._name = folder, settings, name
        self._file: IO[bytes] | None = None
        self._size = 0
        self._forgotten = Forgotten(folder)

    def __enter__(self) -> ArchiveWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, record: Record) -> None:
        """Append one record, unless its address was forgotten. Raises SettingsError."""
        if isinstance(record, Page | Unchanged) and self._forgotten.holds(record.url):
            return
        member = _gzip(_warc(record))
        try:
            if self._file is None or self._size + len(member) > self._settings.file_bytes:
                self.close()
                self._file, self._size = self._begin(), 0
            if self._file.write(member) != len(member):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._size += len(member)
        except OSError as error:
            if self._file is not None:
                self._file.close()
                self._file = None  # its end may be torn: nothing more goes there
            raise SettingsError(f"{self._folder}: {error.strerror}; free space or correct ELUNUM_DATA") from None

    def flush(self) -> None:
        """Make what was written survive a power cut."""
        if self._file is not None:
            try:
                os.fdatasync(self._file.fileno())
            except OSError as error:
                raise SettingsError(f"{self._folder}: {error.strerror}; free space or correct ELUNUM_DATA") from None

    def close(self) -> None:
        """Let go of the file; the next record begins another."""
        if self._file is not None:
            self.flush()
            self._file.close()
            self._file = None

    def _begin(self) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        began = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        # Unbuffered: each member reaches the system in one call, or not at all.
        file = (self._folder / f"{began}-{self._name}{_SUFFIX}").open("xb", buffering=0)
        fcntl.flock(file, fcntl.LOCK_EX)
        return file


def _warc(record: Record) -> bytes:
    """One uncompressed WARC record."""
    buffer = BytesIO()
    writer = WARCWriter(buffer, gzip=False, warc_version="1.1")
    match record:
        case Page():
            kept = [(n, _printable(v)) for n, v in record.headers if n.lower() not in _TRANSFER and _NAME.fullmatch(n)]
            kept.append(("Content-Length", str(len(record.body))))
            http = StatusAndHeaders(f"{record.status} {_phrase(record.status)}", kept, protocol="HTTP/1.1")
            made = writer.create_warc_record(
                record.url,
                "response",
                payload=BytesIO(record.body),
                length=len(record.body),
                http_headers=http,
                warc_headers_dict={"WARC-Date": _stamp(record.fetched_at)},
            )
        case Unchanged():
            made = writer.create_warc_record(
                record.url,
                "revisit",
                warc_headers_dict={"WARC-Date": _stamp(record.fetched_at), "WARC-Profile": _NOT_MODIFIED},
            )
        case Gone():
            body = _GONE + record.reason.encode() + b"\r\n"
            made = writer.create_warc_record(
                record.url,
                "metadata",
                payload=BytesIO(body),
                length=len(body),
                warc_content_type="application/warc-fields",
                warc_headers_dict={"WARC-Date": _stamp(record.decided_at)},
            )
    writer.write_record(made)
    return buffer.getvalue()


def _printable(value: str) -> str:
    """A header value that any reader survives: what is not printable ASCII is percent-encoded."""
    return quote(value, safe=_PRINTABLE, errors="replace")


def _phrase(status: int) -> str:
    return "OK" if status == 200 else "Status"


def _stamp(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _gzip(data: bytes) -> bytes:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


# --- reading ---------------------------------------------------------------------------------------------------------


def read(folder: Path, after: Mapping[str, int] | None = None) -> Iterator[tuple[Record | Skipped, Position]]:
    """Every record of the archive, oldest file first, with the position that follows it.

    after: {file name: offset} to resume from, as the positions said; files it does not name are read whole. A corrupt
    record comes out as Skipped("corrupt"), a torn end of file as Skipped("torn"), and the rest is read. The end of a
    file that is being written is left for the next time. A page that was forgotten comes out as Gone.
    """
    after = after or {}
    forgotten = Forgotten(folder)
    for path in _files(folder):
        name, size = _logical(path)
        start = after.get(name, 0)
        try:
            if size is None:
                records = ((found, Position(name, end)) for found, end in _records(path, start))
            elif start >= size:
                continue
            else:
                records = ((found, Position(name, end)) for found, end in _compacted(path, size))
            for found, position in records:
                if isinstance(found, Page | Unchanged) and forgotten.holds(found.url):
                    found = Gone(found.url, "forgotten", found.fetched_at)
                yield found, position
        except FileNotFoundError:
            continue  # compacted since the folder was listed: the next reading finds it under its other name


def _files(folder: Path) -> list[Path]:
    """The files to read, oldest first; not those whose compacted twin is there."""
    paths = sorted(folder.glob(f"*{_SUFFIX}"))
    replaced = {name for name, size in map(_logical, paths) if size is not None}
    return [path for path in paths if path.name not in replaced]


def _logical(path: Path) -> tuple[str, int | None]:
    """The name that positions use, and for a compacted file the size of the one it replaced."""
    match = _COMPACT.fullmatch(path.name)
    return (match.group(1) + _SUFFIX, int(match.group(2))) if match else (path.name, None)


def _compacted(path: Path, size: int) -> Iterator[tuple[Record | Skipped, int]]:
    """The records of a compacted file. What lies between its records moved: it is read whole, or not at all."""
    last: Record | Skipped | None = None
    for found, _ in _records(path, 0):
        if last is not None:
            yield last, 0
        last = found
    if last is not None:
        yield last, size


def _records(path: Path, start: int) -> Iterator[tuple[Record | Skipped, int]]:
    """The records of one file of ours from `start` on, each with the offset that follows it."""
    with _bytes_of(path) as data:
        for block, _, end in _blocks(data, start):
            if isinstance(block, Skipped):
                if block.reason == "torn" and _is_being_written(path):
                    return
                yield block, end
                continue
            for found in _parse(block):
                if found is not None:
                    yield found, end


@contextmanager
def _bytes_of(path: Path) -> Iterator[mmap.mmap | bytes]:
    """The file as it is now, without reading it all. Raises ArchiveError, or FileNotFoundError."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                yield b""
                return
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                yield mapped
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ArchiveError(f"{path}: {error.strerror}; correct the path or its permissions") from None


def _is_being_written(path: Path) -> bool:
    """Whether a living process still appends to it."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _blocks(data: mmap.mmap | bytes, start: int) -> Iterator[tuple[bytes | Skipped, int, int]]:
    """(uncompressed bytes, where they start, where the next start) of each gzip member or plain record.

    Skipped stands for what cannot be unpacked; reading goes on at the next thing that looks like a record.
    """
    offset = start
    while offset < len(data):
        if data[offset : offset + 5] == b"WARC/":
            end = _plain_end(data, offset)
            whole = None if end is None else bytes(data[offset:end])
        else:
            whole, end = _unpack(data, offset)
        if whole is not None and end is not None:
            yield whole, offset, end
        else:
            end = _next_record(data, offset + 1)
            yield Skipped("torn" if end == len(data) else "corrupt"), offset, end
        offset = end


def _unpack(data: mmap.mmap | bytes, offset: int) -> tuple[bytes | None, int]:
    """One gzip member and where it ends; None when it is corrupt, cut short or too large."""
    unpacker, parts, size = zlib.decompressobj(31), [], 0
    try:
        while not unpacker.eof and offset < len(data):
            chunk = unpacker.unconsumed_tail or data[offset : offset + 65_536]
            if not unpacker.unconsumed_tail:
                offset += len(chunk)
            part = unpacker.decompress(chunk, 1_000_000)
            size += len(part)
            if size > MAX_RECORD_BYTES:
                return None, offset
            parts.append(part)
        while not unpacker.eof and unpacker.unconsumed_tail:
            part = unpacker.decompress(unpacker.unconsumed_tail, 1_000_000)
            size += len(part)
            if size > MAX_RECORD_BYTES:
                return None, offset
            parts.append(part)
    except zlib.error:
        return None, offset
    return (b"".join(parts) if unpacker.eof else None), offset - len(unpacker.unused_data)


def _plain_end(data: mmap.mmap | bytes, offset: int) -> int | None:
    """Where an uncompressed record ends; None when it is cut short or makes no sense."""
    head = data.find(b"\r\n\r\n", offset, offset + 100_000)
    if head < 0:
        return None
    for line in bytes(data[offset:head]).split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and value.strip().isdigit():
            end = head + 4 + int(value)
            if int(value) > MAX_RECORD_BYTES or end > len(data):
                return None
            while data[end : end + 2] == b"\r\n":
                end += 2
            return end
    return None


def _next_record(data: mmap.mmap | bytes, offset: int) -> int:
    """Where the next thing that looks like a record starts; the end of the file when there is none."""
    while offset < len(data):
        packed, plain = data.find(b"\x1f\x8b\x08", offset), data.find(b"\nWARC/1.", offset)
        if plain >= 0 and (packed < 0 or plain < packed):
            return plain + 1
        if packed < 0:
            break
        try:
            if zlib.decompressobj(31).decompress(data[packed : packed + 1_000], 5) == b"WARC/":
                return packed
        except zlib.error:
            pass
        offset = packed + 1
    return len(data)


def _parse(block: bytes) -> Iterator[Record | Skipped | None]:
    """The records of a block; None for those that are not about a page (requests, warcinfo)."""
    try:
        for record in WARCIterator(BytesIO(block)):
            yield _record(record)
    except Exception:  # warcio raises many kinds on nonsense: the one door around one block
        yield Skipped("corrupt")


def _record(record: Any) -> Record | Skipped | None:
    head = record.rec_headers
    url, kind = head.get_header("WARC-Target-URI"), record.rec_type
    if kind not in ("response", "revisit", "metadata") or not url:
        return None
    when = datetime.fromisoformat(head.get_header("WARC-Date").replace("Z", "+00:00"))
    if kind == "revisit":
        return Unchanged(url, when)
    body = _limited(record.content_stream())
    if body is None:
        return Skipped("too large")
    if kind == "metadata":
        return Gone(url, body[len(_GONE) :].decode().strip(), when) if body.startswith(_GONE) else None
    if record.http_headers is None:
        return None
    declared = record.http_headers.get_header("Content-Length")
    packed = record.http_headers.get_header("Content-Encoding") or record.http_headers.get_header("Transfer-Encoding")
    if not packed and declared is not None and declared.isdigit() and len(body) != int(declared):
        return Skipped("corrupt")
    return Page(
        url=url,
        status=int(record.http_headers.get_statuscode()),
        headers=tuple((str(name), str(value)) for name, value in record.http_headers.headers),
        body=body,
        fetched_at=when,
    )


def _limited(stream: Any) -> bytes | None:
    """All of a stream, or None beyond MAX_RECORD_BYTES."""
    parts, size = [], 0
    while part := stream.read(1_000_000):
        size += len(part)
        if size > MAX_RECORD_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


# --- importing -------------------------------------------------------------------------------------------------------


def import_files(paths: Iterable[Path], folder: Path, settings: ArchiveSettings) -> ImportReport:
    """Add the pages of other people's web archives. The same file given twice adds nothing.

    Addresses become canonical; what is not a page with an answer of 200 is left out; corrupt records are counted and
    skipped. Raises ArchiveError for a file that cannot be opened or holds no web archive at all.
    """
    files = already = pages = 0
    skipped: dict[str, int] = {}
    for path in paths:
        if not path.exists():
            raise ArchiveError(f"{path}: there is no such file; correct the path")
        with _bytes_of(path) as data:
            if not data:
                raise ArchiveError(f"{path}: the file is empty; give a .warc or .warc.gz file")
            if _next_record(data, 0) != 0 and data[:5] != b"WARC/":
                raise ArchiveError(f"{path}: not a web archive; give a .warc or .warc.gz file")
            identity = hashlib.sha256(data).hexdigest()[:16]
            if any(folder.glob(f"*-import-{identity}.*{_SUFFIX[-3:]}")):
                already += 1
                continue
            files += 1
            added = _import_one(data, folder, settings, identity, skipped)
            pages += added
    return ImportReport(files, already, pages, dict(sorted(skipped.items())))


def _import_one(
    data: mmap.mmap | bytes, folder: Path, settings: ArchiveSettings, identity: str, skipped: dict[str, int]
) -> int:
    """Pages added from one file: written aside under a name that no reader sees, then renamed in one go."""
    folder.mkdir(parents=True, exist_ok=True)
    forgotten = Forgotten(folder)
    aside = folder / f"import-{identity}.part"
    pages = 0

    def skip(reason: str) -> None:
        skipped[reason] = skipped.get(reason, 0) + 1

    try:
        with aside.open("wb") as out:
            for block, _, _ in _blocks(data, 0):
                for found in [block] if isinstance(block, Skipped) else _parse(block):
                    if isinstance(found, Skipped):
                        skip(found.reason)
                    elif isinstance(found, Page):
                        url = canonical(found.url)
                        if url is None:
                            skip("bad address")
                        elif found.status != 200:
                            skip("not an answer of 200")
                        elif forgotten.holds(url):
                            skip("forgotten")
                        else:
                            page = Page(url, found.status, found.headers, found.body, found.fetched_at)
                            out.write(_gzip(_warc(page)))
                            pages += 1
            out.flush()
            os.fsync(out.fileno())
        began = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        aside.rename(folder / f"{began}-import-{identity}{_SUFFIX}")
    except OSError as error:
        raise SettingsError(f"{folder}: {error.strerror}; free space or correct ELUNUM_DATA") from None
    return pages


# --- compacting ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What `elunum archive compact` did."""

    files: int = 0  # looked at; those still being written are left alone
    rewritten: int = 0
    records: int = 0  # before
    dropped: int = 0
    expired: int = 0  # pages that were dropped for their age or for the size of the archive
    bytes_before: int = 0
    bytes_after: int = 0


def compact(folder: Path, settings: ArchiveSettings, now: datetime | None = None) -> CompactReport:
    """Drop what is superseded, corrupt or forgotten: of each address the last page stays, and the last word on it.

    Word that a page is gone stays `gone_days`, so that every index hears it. With `keep_days` or `keep_bytes`, pages
    that were seen too long ago, or longest ago when there is no room, are gone too: the index hears so, and the crawler
    asks for them whole (see Expiry). Each file is replaced in one step; killed, the rest waits for the next time.
    Raises SettingsError when the folder cannot be written.
    """
    now = now or datetime.now(UTC)
    oldest = now - timedelta(days=settings.gone_days)
    for leftover in folder.glob("*.part"):
        leftover.unlink(missing_ok=True)
    for path in set(folder.glob(f"*{_SUFFIX}")) - set(_files(folder)):
        path.unlink()  # its twin was in place when the last compaction was killed
    paths = [path for path in _files(folder) if not _is_being_written(path)]
    forgotten = Forgotten(folder)
    words = _last_words(paths)
    expired = _expire(folder, paths, words, settings, now)
    if expired:
        paths = [path for path in _files(folder) if not _is_being_written(path)]
        words = _last_words(paths)
    pages, marks = words.pages, words.marks
    records = dropped = rewritten = before = after = 0
    for number, path in enumerate(paths):
        size = path.stat().st_size
        before += size
        kept: list[bytes] = []
        had = 0
        must = False
        with _bytes_of(path) as data:
            for block, start, end in _blocks(data, 0):
                for place, found in _placed(number, start, block):
                    had += 1
                    if isinstance(found, Skipped):
                        continue
                    if found is not None and forgotten.holds(found.url):
                        must = True
                    elif _stays(found, place, pages, marks, oldest):
                        kept.append(bytes(data[start:end]))
        records += had
        dropped += had - len(kept)
        # Rewriting for a few records costs more than it saves; what was forgotten leaves all the same.
        if must or (had - len(kept)) * 10 > had:
            _replace(path, kept, size)
            rewritten += 1
            after += sum(map(len, kept))
        else:
            after += size
    return CompactReport(len(paths), rewritten, records, dropped, expired, before, after)


def _placed(file: int, start: int, block: bytes | Skipped) -> Iterator[tuple[tuple[int, int], Record | Skipped | None]]:
    """The records of a block with their place in the archive: a place after another is more recent."""
    for found in [block] if isinstance(block, Skipped) else _parse(block):
        yield (file, start), found


@dataclass(slots=True)
class _Words:
    """What the archive says last of each address, by its key."""

    pages: dict[bytes, tuple[int, int]] = field(default_factory=dict)  # place of the last page
    marks: dict[bytes, tuple[int, int]] = field(default_factory=dict)  # place of the last word of any kind
    seen: dict[bytes, float] = field(default_factory=dict)  # of pages, seconds since 1970
    sizes: dict[bytes, int] = field(default_factory=dict)  # of pages, bytes on disk


def _last_words(paths: list[Path]) -> _Words:
    words = _Words()
    for number, path in enumerate(paths):
        with _bytes_of(path) as data:
            for block, start, end in _blocks(data, 0):
                for place, found in _placed(number, start, block):
                    if found is None or isinstance(found, Skipped):
                        continue
                    key = _key(found.url)
                    words.marks[key] = place
                    if isinstance(found, Page):
                        words.pages[key], words.sizes[key] = place, end - start
                    if isinstance(found, Gone):
                        words.pages.pop(key, None)
                    elif key in words.pages:
                        words.seen[key] = max(words.seen.get(key, 0.0), found.fetched_at.timestamp())
    return words


def _expire(folder: Path, paths: list[Path], words: _Words, settings: ArchiveSettings, now: datetime) -> int:
    """Say that the pages seen too long ago are gone; how many."""
    limit = now.timestamp() - settings.keep_days * 86_400 if settings.keep_days else 0.0
    if settings.keep_bytes:
        room = settings.keep_bytes
        for key in sorted(words.pages, key=lambda key: words.seen[key], reverse=True):
            room -= words.sizes[key]
            if room < 0:
                limit = max(limit, words.seen[key] + 0.001)
                break
    late = {place for key, place in words.pages.items() if words.seen[key] < limit}
    if not late:
        return 0
    # The crawler first: killed before the rest, it asks for a few pages whole that could have been kept.
    Expiry(folder).set(limit + 60.0)  # its dates are a little later than those of what it wrote
    with ArchiveWriter(folder, settings, "expired") as writer:
        for number, path in enumerate(paths):
            with _bytes_of(path) as data:
                for block, start, _ in _blocks(data, 0):
                    for place, found in _placed(number, start, block):
                        if place in late and isinstance(found, Page):
                            writer.write(Gone(found.url, "expired", now))
    return len(late)


class Expiry:
    """Pages seen before that moment are in the archive no more, whatever the crawler remembers of them.

    In `expiry.txt` beside the archive: seconds since 1970.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "expiry.txt"

    @property
    def before(self) -> float:
        """0 when nothing ever expired."""
        try:
            return float(self._path.read_text())
        except (OSError, ValueError):
            return 0.0

    def set(self, before: float) -> None:
        """Move it forward."""
        try:
            write_whole(self._path, f"{max(before, self.before):.3f}\n".encode())
        except OSError as error:
            raise SettingsError(f"{self._path}: {error.strerror}; free space or correct ELUNUM_DATA") from None


def _stays(
    found: Record | None,
    place: tuple[int, int],
    pages: Mapping[bytes, tuple[int, int]],
    marks: Mapping[bytes, tuple[int, int]],
    oldest: datetime,
) -> bool:
    if found is None:
        return False
    key = _key(found.url)
    if isinstance(found, Page):
        return pages.get(key) == place
    if isinstance(found, Gone):
        return marks.get(key) == place and found.decided_at > oldest
    return marks.get(key) == place and key in pages


def _key(url: str) -> bytes:
    return hashlib.sha256(url.partition("://")[2].encode("utf-8", "surrogatepass")).digest()[:8]


def _replace(path: Path, kept: list[bytes], size: int) -> None:
    """Put the kept records in the place of a file."""
    name, was = _logical(path)
    target = path.with_name(f"{name.removesuffix(_SUFFIX)}.compact-{was or size}{_SUFFIX}")
    aside = target.with_suffix(".part")
    try:
        if not kept and "-import-" not in name:
            path.unlink()
            return
        with aside.open("wb") as out:
            out.writelines(kept)
            out.flush()
            os.fsync(out.fileno())
        aside.rename(target)
        if path != target:
            path.unlink()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; free space or correct ELUNUM_DATA") from None


# --- forgetting ------------------------------------------------------------------------------------------------------


class Forgotten:
    """The addresses and hosts that must never come back, kept as hashes only: the list says nothing about them.

    It lives beside the archive, in `forgotten.txt`: one SHA-256 per line. A process that holds it open sees what
    another adds.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "forgotten.txt"
        self._hashes: frozenset[str] = frozenset()
        self._read_at = -1

    def __len__(self) -> int:
        return len(self._current())

    def holds(self, url: str) -> bool:
        """Whether this address, or its whole host, was forgotten."""
        hashes = self._current()
        return bool(hashes) and (_forget_key(url) in hashes or _forget_key(host_of(url)) in hashes)

    def holds_host(self, url: str) -> bool:
        """Whether the whole host of this address was forgotten."""
        hashes = self._current()
        return bool(hashes) and _forget_key(host_of(url)) in hashes

    def add(self, url_or_host: str) -> None:
        """Forget an address (with its scheme) or a host (without)."""
        hashes, key = self._current(), _forget_key(url_or_host)
        if key not in hashes:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._path, "".join(f"{h}\n" for h in sorted({*hashes, key})).encode())

    def _current(self) -> frozenset[str]:
        try:
            changed_at = self._path.stat().st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return frozenset()
        if changed_at != self._read_at:
            self._hashes, self._read_at = frozenset(self._path.read_text().split()), changed_at
        return self._hashes


def _forget_key(url_or_host: str) -> str:
    name = canonical(url_or_host)
    name = name.partition("://")[2] if name else host_of(f"http://{url_or_host}/") or url_or_host
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


_FILLER = b"WARC/1.1\r\nWARC-Type: warcinfo\r\nContent-Length: 0\r\n\r\n\r\n\r\n"


def scrub(folder: Path) -> int:
    """Erase from the files the records of what was forgotten, the notes that it is gone included; how many.

    Each is written over where it stands by a record of the same length that says nothing (the length is made up in the
    comment of its gzip header, RFC 1952), so that the positions of the others, which readers remember, stay true.
    Killed in the middle, it is run again. Raises ArchiveError when a file cannot be written.
    """
    forgotten, erased = Forgotten(folder), 0
    if not len(forgotten):
        return 0
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        places: list[tuple[int, int]] = []
        with _bytes_of(path) as data:
            for block, start, end in _blocks(data, 0):
                if not isinstance(block, Skipped) and any(
                    isinstance(found, Page | Unchanged | Gone) and forgotten.holds(found.url) for found in _parse(block)
                ):
                    places.append((start, end - start))
        if not places:
            continue
        try:
            with path.open("r+b", buffering=0) as file:
                for start, length in places:
                    os.pwrite(file.fileno(), _filler(length), start)
                os.fsync(file.fileno())
        except OSError as error:
            raise ArchiveError(f"{path}: {error.strerror}; correct its owner and rights") from None
        erased += len(places)
    return erased


def _filler(length: int) -> bytes:
    """A gzip member of exactly so many bytes that holds a record that says nothing."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(_FILLER) + packer.flush()
    tail = body + zlib.crc32(_FILLER).to_bytes(4, "little") + len(_FILLER).to_bytes(4, "little")
    comment = length - 10 - 1 - len(tail)
    # Every record of ours is longer than this one: it names an address and a date.
    assert comment >= 0
    return b"\x1f\x8b\x08\x10" + bytes(4) + b"\x02\xff" + b" " * comment + b"\0" + tail

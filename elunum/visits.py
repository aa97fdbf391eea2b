"""What the crawler says of each host, for those who may not read its database: one small file a crawler.

The crawler writes it whole, at its end and every few minutes while it runs; the site reads it again when it changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from elunum.folder import write_whole

NAMES = "visits*.json"


class Host(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of a host."""

    seen: float = 0.0  # its last answer, seconds since 1970; 0 when it never answered
    silent_since: float = 0.0  # it has only failed since, seconds since 1970; 0 when it answers
    known: int = 0  # addresses
    refusals: Mapping[str, int] = {}  # addresses that are not kept, by the crawler's reason
    errors: Mapping[str, int] = {}  # answers that failed at its last visit, by reason
    stopped: str = ""  # why it is left alone, by the crawler's reason
    stopped_until: int = 0  # seconds since 1970


class _File(msgspec.Struct):
    written_at: float
    crawl: dict[str, Any]
    hosts: dict[str, msgspec.Raw]  # of Host: read when one is asked for


_HOST = msgspec.json.Decoder(Host)


def file_of(folder: Path, shard: tuple[int, int] = (1, 1)) -> Path:
    """Where the crawler of a shard writes."""
    return folder / ("visits.json" if shard == (1, 1) else f"visits-{shard[0]}-of-{shard[1]}.json")


def write(path: Path, at: float, crawl: object, hosts: Iterable[tuple[str, Host]]) -> None:
    """Replace the file of a crawler. at: seconds since 1970. crawl: its report. Raises OSError."""
    write_whole(path, msgspec.json.encode({"written_at": at, "crawl": crawl, "hosts": dict(hosts)}))


def forget(folder: Path, names: Iterable[str]) -> None:
    """Take hosts out of the files. What is not the name of a host is let through."""
    wanted = set(names)
    for path in folder.glob(NAMES):
        if (file := _read(path)) is not None and wanted & file.hosts.keys():
            by_host = {name: counts for name, counts in file.crawl.items() if name.endswith(("_by_host", "_hosts"))}
            for name, counts in by_host.items():
                file.crawl[name] = {host: n for host, n in counts.items() if host not in wanted}
            kept = {host: raw for host, raw in file.hosts.items() if host not in wanted}
            write_whole(path, msgspec.json.encode({"written_at": file.written_at, "crawl": file.crawl, "hosts": kept}))


class Visits:
    """The files of all crawlers, as they are now."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamp: tuple[tuple[str, int, int], ...] = ()
        self._files: list[_File] = []

    @property
    def crawl(self) -> dict[str, Any] | None:
        """The report of the last crawl, as `elunum status` gives it; None before any."""
        files = self._fresh()
        return files[0].crawl if files else None

    @property
    def written_at(self) -> float:
        """When that report was written, seconds since 1970; 0 before any."""
        files = self._fresh()
        return files[0].written_at if files else 0.0

    def host(self, name: str) -> Host | None:
        """What is known of a host, under either of its names (with and without www.); None before any visit."""
        return self.hosts([name])[0]

    def hosts(self, names: Iterable[str]) -> list[Host | None]:
        """The same of many, for one look at the folder."""
        files = self._fresh()
        return [self._host(files, name.removeprefix("www.")) for name in names]

    @staticmethod
    def _host(files: Iterable[_File], bare: str) -> Host | None:
        found = [
            _HOST.decode(raw)
            for file in files
            for twin in (bare, f"www.{bare}")
            if (raw := file.hosts.get(twin)) is not None
        ]
        return max(found, key=lambda host: (host.seen, host.known), default=None)

    def _fresh(self) -> list[_File]:
        """The files, newest first, read again when one has changed."""
        stamp = []
        for path in sorted(self._folder.glob(NAMES)):
            try:
                about = path.stat()
            except OSError:
                continue  # replaced meanwhile: the next request sees it
            stamp.append((str(path), about.st_mtime_ns, about.st_ino))
        if tuple(stamp) != self._stamp:
            files = [file for path, _, _ in stamp if (file := _read(Path(path))) is not None]
            self._files = sorted(files, key=lambda file: -file.written_at)
            self._stamp = tuple(stamp)
        return self._files


def _read(path: Path) -> _File | None:
    """The file; None when it cannot be read or is another version's."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File)
    except (OSError, msgspec.MsgspecError):
        return None

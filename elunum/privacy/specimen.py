"""A tiny index, made by the real rooms from three pages of our own, for a machine that has none yet."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from elunum.archive import ArchiveWriter
from elunum.index.build import build
from elunum.index.update import update
from elunum.model import Page, Source
from elunum.settings import Settings
from elunum.sources import SourceList

_HOST = "https://specimen.example"
_PAGES = {
    "/eau": ("La qualité de l’eau", "La commune publie chaque trimestre les analyses de l’eau et de la rivière."),
    "/budget": ("Budget participatif", "Les habitants proposent des projets et votent pour ceux qui seront réalisés."),
    "/ecole": (
        "L’école et la cantine",
        "La cantine de l’école sert des repas faits sur place avec l’agriculture locale.",
    ),
}


def make(settings: Settings, data: Path) -> Settings:
    """Settings whose data folder is `data`, with an index of three pages in it."""
    settings = settings.model_copy(update={"data": data})
    sources = SourceList([Source(_HOST + "/", "Commune d’exemple", "autre")])
    with ArchiveWriter(settings.archive_dir, settings.archive) as archive:
        for path, (title, text) in _PAGES.items():
            body = (
                f"<!doctype html><html lang=fr><title>{title}</title><main><h1>{title}</h1>"
                f"<p>{text}</p><p>{text} Le conseil municipal en débat chaque année en public.</p></main></html>"
            )
            headers = (("Content-Type", "text/html; charset=utf-8"),)
            archive.write(Page(_HOST + path, 200, headers, body.encode(), datetime.now(UTC)))
    update(settings, sources)
    build(settings)
    return settings

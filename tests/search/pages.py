"""A small index of invented pages: the neighbours are real, the documents store and the geography included."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from elunum.index.build import build
from elunum.index.documents import Documents
from elunum.model import Document, Source, Tag, Why
from elunum.search.engine import Engine, open_engine
from elunum.settings import Settings
from elunum.urls import document_id

RIXHEIM = Source("https://www.rixheim.fr/", "Rixheim", "commune", insee="68278", departement="68", region="44")
WITTENHEIM = Source("https://www.wittenheim.fr/", "Wittenheim", "commune", insee="68376", departement="68", region="44")
ROUBAIX = Source("https://www.ville-roubaix.fr/", "Roubaix", "commune", insee="59512", departement="59", region="32")
MULHOUSE = Source("https://www.m2a.fr/", "Mulhouse Alsace Agglomération", "epci", siren="200066009", region="44")
STATE = Source("https://www.exemple.gouv.fr/", "Ministère d’exemple", "etat")
SHARED = Source("https://www.plateforme.fr/hameau", "Le Hameau", "association")

DEMOCRACY = Tag("democratie-locale", "Le budget participatif", 0.9, (Why("budget participatif", "title", 1),))
GREEN = Tag("territoire-durable", "", 0.6, (Why("compost", "body", 2),))


def page(path: str, title: str, text: str = "", source: Source | None = RIXHEIM, **more: object) -> Document:
    """A document of a source; `path` follows the address of the source."""
    url = (source.url.rstrip("/") if source else "https://inconnu.fr") + path
    document = Document(
        document_id(url),
        url,
        title,
        text or title,
        lang="fr",
        source=source,
        fetched_at=datetime(2026, 11, 1, tzinfo=UTC),
    )
    return replace(document, **more)  # type: ignore[arg-type]  # names of fields, checked by replace


PAGES = [
    page("/", "Ville de Rixheim", "Bienvenue sur le site officiel.", date=date(2026, 1, 1)),
    page(
        "/budget-participatif",
        "Le budget participatif",
        "Les habitants de la commune votent. Huit projets ont été retenus cette année par le jury citoyen.",
        date=date(2025, 6, 1),
        enjeux=(DEMOCRACY,),
    ),
    page(
        "/compost",
        "Composteurs partagés",
        "Le compostage collectif : un composteur à chaque coin de rue.",
        date=date(2024, 5, 1),
        enjeux=(GREEN,),
    ),
    page(
        "/mediatheque", "Médiathèque numérique", "Des livres numériques pour tous les adhérents.", date=date(2023, 1, 5)
    ),
    page("/ecole", "Inscriptions à l’école", "Inscrire son enfant. La qualité de l’eau de la cantine est suivie."),
    page(
        "/guide.pdf", "Guide du tri", "Plastique, verre, papier : le guide complet.", type="pdf", date=date(2022, 2, 2)
    ),
    page("/", "Accueil", "La ville de Wittenheim vous accueille.", WITTENHEIM),
    page(
        "/participer",
        "Budget participatif : à vos idées",
        "Déposez votre projet, puis votez pour les idées des autres habitants. Le règlement est en ligne.",
        WITTENHEIM,
        date=date(2024, 3, 1),
        enjeux=(DEMOCRACY,),
    ),
    page(
        "/vote",
        "Résultats du budget participatif",
        "Seize projets lauréats, du parc au gymnase. Voici la carte des projets choisis.",
        ROUBAIX,
        date=date(2023, 3, 1),
        enjeux=(DEMOCRACY, GREEN),
    ),
    page(
        "/copie",
        "Le budget participatif",
        "Les habitants de la commune votent. Huit projets ont été retenus cette année par le jury citoyen.",
        ROUBAIX,
        enjeux=(DEMOCRACY,),
    ),
    page(
        "/dechets",
        "Composter chez soi",
        "L’agglomération distribue des composteurs individuels.",
        MULHOUSE,
        date=date(2025, 1, 1),
        enjeux=(GREEN,),
    ),
    page(
        "/arrete-rixheim",
        "Arrêté de catastrophe naturelle",
        "Inondations : la commune est reconnue sinistrée.",
        STATE,
        places=("commune:68278",),
        date=date(2021, 7, 1),
    ),
    page("/ccas", "Action sociale", "Le centre communal d’action sociale reçoit sur rendez-vous.", ROUBAIX),
    page("/collecte", "Collecte des encombrants", "La collecte a lieu le lundi.", ROUBAIX),
    page("/logiciel", "Un logiciel pour les communautés", "Le logiciel sert à la communication.", STATE),
    page("/vie", "La vie du hameau", "Fêtes et <b>jeux</b> & concours.", SHARED),
    page("/seul", "Page sans source", "Personne ne connaît ce site.", None, lang=""),
]


def fill(settings: Settings, pages: Iterable[Document] = PAGES) -> None:
    """Put documents in the store."""
    with Documents(settings.documents_path) as documents, documents.transaction():
        for document in pages:
            documents.put(document)


def engine_over(folder: Path, pages: Iterable[Document] = PAGES) -> Engine:
    """An engine over an index of these pages."""
    settings = Settings(data=folder)
    fill(settings, pages)
    assert build(settings).swapped
    return open_engine(settings)

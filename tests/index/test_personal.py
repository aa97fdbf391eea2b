"""Pages about private people stay out of the index, by rules that can be read, and the rule is remembered."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from elunum.archive import ArchiveWriter
from elunum.errors import SettingsError
from elunum.index import personal
from elunum.index.documents import Documents
from elunum.index.update import update
from elunum.model import Document, DocumentId, Page
from elunum.settings import Settings
from elunum.sources import SourceList


def document(title: str, url: str = "https://ville.example/page") -> Document:
    return Document(DocumentId("0" * 16), url, title, "texte")


@pytest.mark.parametrize(
    ("title", "url", "rule"),
    [
        ("Avis de décès", "/page", "etat-civil"),
        ("AVIS D’OBSÈQUES – Paulette M.", "/page", "etat-civil"),
        ("Publication des bans de mariage", "/page", "etat-civil"),
        ("État-civil de l’année 2024", "/page", "etat-civil"),
        ("Carnet rose", "/page", "etat-civil"),
        ("Janvier", "/vie-locale/etat-civil/2024/", "etat-civil"),
        ("Noces d'or de M. et Mme Untel", "/page", "anniversaire"),
        ("Tableau d’avancement 2025", "/page", "arrete-individuel"),
        ("Registre des permis de construire déposés en mars", "/page", "urbanisme-nominatif"),
        ("Liste des demandes d’urbanisme reçues", "/page", "urbanisme-nominatif"),
        ("Liste des admis au concours", "/page", "listes-de-personnes"),
    ],
)
def test_a_page_about_private_people_is_kept_out_by_the_rule_named(title: str, url: str, rule: str) -> None:
    assert personal.rule_of(document(title, f"https://ville.example{url}")) == rule


@pytest.mark.parametrize(
    ("title", "url"),
    [
        ("Déclarer un décès", "/demarches/etat-civil/deces"),
        ("Se marier : le dossier", "/etat-civil/mariage"),
        ("Demander un acte d’état-civil", "/demarches/etat-civil"),
        ("Déposer un permis de construire", "/urbanisme"),
        ("Le RSA : conditions", "/social"),
        ("Conseil municipal du 12 mars : compte rendu", "/deliberations"),
        ("Centenaire de l’armistice", "/actualites"),
        ("Inscription sur la liste électorale", "/elections"),
        ("Le maire et ses adjoints", "/elus"),
    ],
)
def test_a_guide_and_the_acts_of_elected_people_stay(title: str, url: str) -> None:
    assert personal.rule_of(document(title, f"https://ville.example{url}")) == ""


def test_what_is_kept_out_is_counted_by_rule_and_remembers_it(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    with ArchiveWriter(settings.archive_dir, settings.archive) as archive:
        for path, title in (("/a", "Avis de décès"), ("/b", "Le budget participatif")):
            body = f"<html lang=fr><title>{title}</title><main><p>{'Une phrase assez longue. ' * 20}</p></main></html>"
            headers = (("Content-Type", "text/html"),)
            archive.write(Page(f"https://ville.example{path}", 200, headers, body.encode(), datetime.now(UTC)))
    report = update(settings, SourceList([]))
    assert report.skipped == {"personal data: etat-civil": 1}
    with Documents(settings.documents_path) as documents:
        assert [document.title for document in documents] == ["Le budget participatif"]
        rows = documents.db.execute("select skipped, body from pages where skipped != ''").fetchall()
        assert rows == [("personal data: etat-civil", None)]


@pytest.mark.parametrize("line", ["r,title,(,w", "r,texte,a,w"])
def test_a_rule_that_cannot_be_read_is_named_by_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "rules.csv").write_text(f"rule,where,pattern,why\n{line}\n")
    with pytest.raises(SettingsError, match="line 2"):
        personal.rules(tmp_path / "rules.csv")


def test_every_rule_says_why_in_french() -> None:
    assert all(rule.why and rule.rule for rule in personal.rules())

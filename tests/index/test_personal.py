"""Pages about private people stay out of the index, by rules that can be read, and the rule is remembered."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from elunum.archive import ArchiveWriter
from elunum.errors import SettingsError
from elunum.index import personal
from elunum.index.documents import Documents
from elunum.index.update import update
from elunum.model import Document, DocumentId, Page
from elunum.settings import CHECKOUT, Settings
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
        ("Naissances 2024", "/page", "etat-civil"),
        ("État civil : naissances, mariages et décès", "/page", "etat-civil"),
        ("Liste des électeurs de la commune", "/page", "listes-de-personnes"),
        ("Délibération 2024-31 : cession d’une parcelle à M. et Mme Untel", "/page", "acte-nominatif"),
        ("Protection fonctionnelle accordée à Mme Unetelle", "/page", "acte-nominatif"),
        ("Arrêté de permis de construire n° PC 044179 24 A0012", "/page", "urbanisme-nominatif"),
        ("Arrêté portant titularisation de Madame Unetelle", "/page", "arrete-individuel"),
    ],
)
def test_a_page_about_private_people_is_kept_out_by_the_rule_named(title: str, url: str, rule: str) -> None:
    assert personal.rule_of(document(title, f"https://ville.example{url}"), personal.rules()) == rule


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
        ("État civil : naissance, mariage, décès", "/etat-civil"),
        ("Naissance", "/etat-civil/naissance"),
        ("Permis de construire : formulaire Cerfa n° 13406", "/urbanisme"),
        ("Délibération : élection de Mme Unetelle, adjointe", "/deliberations"),
        ("Arrêté portant délégation de fonction à M. Untel", "/actes"),
        ("Vente d’un terrain communal rue Monsieur Untel", "/actes"),
        ("Décision de Monsieur le Préfet : sécheresse", "/actes"),
        ("Modèle de lettre aux époux dans une location", "/modeles"),
    ],
)
def test_a_guide_and_the_acts_of_elected_people_stay(title: str, url: str) -> None:
    assert personal.rule_of(document(title, f"https://ville.example{url}"), personal.rules()) == ""


def test_on_real_pages_the_rules_keep_out_no_guide_and_most_private_pages() -> None:
    """tests/judged/personal.csv: see « Personal data » in docs/operating.md for where its pages come from."""
    wrong, kept_out, private = [], 0, 0
    with (CHECKOUT / "tests" / "judged" / "personal.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rule = personal.rule_of(replace(document(row["title"], row["url"]), text=row["start"]), personal.rules())
            if row["private"] == "1":
                private += 1
                kept_out += bool(rule)
            elif rule:
                wrong.append((rule, row["url"]))
    assert wrong == []
    assert private == 16
    assert kept_out >= 10


def test_the_first_heading_and_the_first_lines_tell_what_a_page_is_about() -> None:
    notice = replace(document("Actualités"), headings=("Avis de décès",))
    assert personal.rule_of(notice, personal.rules()) == "etat-civil"
    order = replace(
        document("Document 12"), text="Commune de Ville\nOBJET : location du garage n° 3 à Mme Unetelle\nLe conseil"
    )
    assert personal.rule_of(order, personal.rules()) == "acte-nominatif"
    bulletin = replace(document("Bulletin municipal"), headings=("Édito", "Carnet rose"), text="Un mot du maire. " * 50)
    assert personal.rule_of(bulletin, personal.rules()) == ""


def test_an_operator_adds_rules_and_takes_ours_away_in_a_file_of_their_own(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "var", sources=tmp_path / "sources.csv")
    assert personal.rules_of(settings) == personal.rules()
    (tmp_path / "personal.local.csv").write_text(
        "rule,where,pattern,why\n-anniversaire,,,\nriverains,title heading,riverains concernes,Riverains nommés\n"
    )
    found = personal.rules_of(settings)
    assert personal.rule_of(document("Noces d'or de M. et Mme Untel"), found) == ""
    assert personal.rule_of(document("Les riverains concernés"), found) == "riverains"
    assert personal.version(found) != personal.version(personal.rules())


def test_a_rule_added_later_takes_out_what_was_indexed_and_one_taken_away_brings_it_back(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "var", sources=tmp_path / "sources.csv")
    with ArchiveWriter(settings.archive_dir, settings.archive) as archive:
        body = (
            f"<html lang=fr><title>Les riverains</title><main><p>{'Une phrase assez longue. ' * 20}</p></main></html>"
        )
        archive.write(
            Page("https://a.example/", 200, (("Content-Type", "text/html"),), body.encode(), datetime.now(UTC))
        )
    assert update(settings, SourceList([])).documents == 1
    own = tmp_path / "personal.local.csv"
    own.write_text("rule,where,pattern,why\nriverains,title,riverains,Riverains nommés\n")
    assert update(settings, SourceList([])).documents == 0
    assert personal.kept_out(settings) == {"riverains": 1}
    own.unlink()
    assert update(settings, SourceList([])).documents == 1
    assert personal.kept_out(settings) == {}


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


@pytest.mark.parametrize("line", ["r,title,(,w", "r,texte,a,w", "r,,a,w", "r,title,,w", "r,title,a*,w"])
def test_a_rule_that_cannot_be_read_is_named_by_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "rules.csv").write_text(f"rule,where,pattern,why\n{line}\n")
    with pytest.raises(SettingsError, match="line 2"):
        personal.rules(tmp_path / "rules.csv")


@pytest.mark.parametrize("line", ["-inconnue,,,", "r,title,(,w"])
def test_a_line_of_the_operator_that_cannot_be_read_is_refused_with_its_place(tmp_path: Path, line: str) -> None:
    (tmp_path / "personal.local.csv").write_text(f"rule,where,pattern,why\n{line}\n")
    with pytest.raises(SettingsError, match=r"personal\.local\.csv"):
        personal.rules_of(Settings(sources=tmp_path / "sources.csv"))


def test_every_rule_says_why_in_french() -> None:
    assert all(rule.why and rule.rule for rule in personal.rules())

"""Tags come from the words of the page, and say which."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from elunum.errors import SettingsError
from elunum.index.tags import Tagger, check, keys, load_referentiel, read_corrections, tag_file
from elunum.model import Document, DocumentId

TAGGER = Tagger(load_referentiel())


def page(title: str = "", text: str = "", url: str = "https://commune.fr/page") -> Document:
    return Document(DocumentId("0" * 16), url, title, text)


def slugs(document: Document, tagger: Tagger = TAGGER) -> list[str]:
    return [tag.slug for tag in tagger.tags(document)]


def test_the_referentiel_holds_16_enjeux_3_transversal_themes_and_138_services() -> None:
    referentiel = load_referentiel()
    kinds = [enjeu.type for enjeu in referentiel.enjeux.values()]
    assert (kinds.count("enjeu"), kinds.count("transversal"), len(referentiel.services)) == (16, 3, 138)


def test_the_shipped_referentiel_has_no_fault() -> None:
    assert check().problems == ()


def test_a_page_about_nothing_gets_no_tag() -> None:
    assert slugs(page("Bienvenue", "Il fait beau ce matin. Nous vous souhaitons une bonne visite.")) == []


def test_a_tag_says_which_words_earned_it_and_where() -> None:
    document = page("Le budget participatif", "Le budget participatif 2024 est ouvert : déposez vos idées.")
    (tag,) = [tag for tag in TAGGER.tags(document) if tag.slug == "democratie-locale"]
    assert tag.service == "Le budget participatif"
    assert (tag.why[0].expression, tag.why[0].where) == ("budget participatif", "title")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("l’accès aux droits", "ACCES AU DROIT"),
        ("réseaux sociaux", "Réseau social"),
        ("marchés publics", "le marché public"),
        ("collecte des déchets", "la collecte de vos déchets"),
        ("services municipaux", "service municipal"),
    ],
)
def test_articles_accents_case_and_plurals_do_not_matter(written: str, read: str) -> None:
    assert keys(written) == keys(read.lower())


def test_the_operator_forces_and_forbids_tags_by_host_path_or_address(tmp_path: Path) -> None:
    file = tmp_path / "enjeux.local.csv"
    file.write_text(
        "url,enjeu,decision\nwww.commune.fr,sante,force\nhttps://commune.fr/blog,sante,forbid\n"
        "commune.fr/vote,democratie-locale,forbid\n",
        encoding="utf-8",
    )
    referentiel = load_referentiel()
    tagger = Tagger(referentiel, read_corrections(file, referentiel))
    assert tagger.version != TAGGER.version
    assert slugs(page(url="https://commune.fr/page"), tagger) == ["sante"]
    assert slugs(page(url="http://www.commune.fr/blog/1"), tagger) == []
    assert slugs(page("Budget participatif", url="https://commune.fr/vote"), tagger) == ["sante"]
    assert slugs(page(url="https://commune.fr.example/page"), tagger) == []


def test_a_wrong_correction_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "enjeux.local.csv"
    file.write_text("url,enjeu,decision\ncommune.fr,sante,maybe\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="line 2"):
        read_corrections(file, load_referentiel())


def test_a_file_of_documents_is_tagged_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "docs.jsonl"
    line = {"id": "a", "url": "https://a.fr/", "title": "Budget participatif", "text": "Un\u2028budget participatif."}
    file.write_text(json.dumps(line, ensure_ascii=False) + "\n", encoding="utf-8")
    (row,) = tag_file(file)
    assert row["id"] == "a"
    assert "democratie-locale" in [tag["slug"] for tag in row["enjeux"]]

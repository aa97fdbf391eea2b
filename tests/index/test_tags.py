"""Tags come from the words of the page, and say which."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elunum.errors import SettingsError
from elunum.index.tags import FOLDER, MAX_TAGS, Tagger, check, load_referentiel, read_corrections, tag_file
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


def test_legal_notices_and_error_pages_get_no_tag() -> None:
    text = (
        "Directeur de la publication : le maire. Hébergeur du site : une entreprise imaginaire. Données personnelles : "
        "vous pouvez demander à consulter, corriger ou effacer celles qui vous concernent, conformément au RGPD. "
        "Gestion des cookies : ce site n’en dépose pas. Propriété intellectuelle : les textes peuvent être cités."
    )
    assert slugs(page("Mentions légales", text, "https://commune.fr/mentions-legales")) == []
    assert slugs(page("Page introuvable", "La page demandée n’existe pas. Plan du site. Nous contacter.")) == []


def test_a_tag_says_which_words_earned_it_and_where() -> None:
    document = page("Le budget participatif", "Le budget participatif 2024 est ouvert : déposez vos idées.")
    (tag,) = [tag for tag in TAGGER.tags(document) if tag.slug == "democratie-locale"]
    assert tag.service == "Le budget participatif"
    assert (tag.why[0].expression, tag.why[0].where) == ("budget participatif", "title")


def test_every_place_that_is_read_is_named_and_the_steps_that_lead_to_a_page_count() -> None:
    places = {
        "title": page("Déchèterie"),
        "headings": replace(page(), headings=("La déchèterie",)),
        "breadcrumb": replace(page("Horaires d’été"), breadcrumb=("Déchèterie", "Horaires d’été")),
        "url": page(url="https://commune.fr/decheterie"),
        "anchor": replace(page(), anchors=("la déchèterie",)),
        "body": page(text="La déchèterie ouvre."),
    }
    for where, document in places.items():
        why = next(tag.why for tag in TAGGER.candidates(document) if tag.slug == "territoire-durable")
        assert [w.where for w in why] == [where]
    text = "Ouvert de 9 h à 12 h du mardi au samedi. Apportez une pièce d’identité. " * 3
    bare = page("Horaires d’été", text)
    assert slugs(bare) == []
    # What the last step repeats of the title counts once, as the title.
    assert TAGGER.candidates(replace(bare, breadcrumb=("Horaires d’été",))) == TAGGER.candidates(bare)
    assert "territoire-durable" in slugs(replace(bare, breadcrumb=("Déchets et tri", "Déchèterie", "Horaires d’été")))


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
    assert TAGGER.words(written) == TAGGER.words(read.lower())


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
    (row,) = tag_file(file, TAGGER)
    assert row["id"] == "a"
    assert "democratie-locale" in [tag["slug"] for tag in row["enjeux"]]


def test_a_line_that_is_no_document_is_refused_with_its_number(tmp_path: Path) -> None:
    file = tmp_path / "docs.jsonl"
    file.write_text('{"id": "a", "text": ""}\n["not", "an", "object"]\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="line 2"):
        list(tag_file(file, TAGGER))


def test_there_are_2500_expressions_and_every_service_has_some() -> None:
    referentiel = load_referentiel()
    assert len(referentiel.expressions) >= 2_500
    announced = {(expression.enjeu, expression.service) for expression in referentiel.expressions}
    assert [service.nom for service in referentiel.services if (service.enjeu, service.nom) not in announced] == []


ACRONYMS = """
PCAET plan climat-air-énergie territorial
CCAS centre communal d’action sociale
QPV quartier prioritaire
EPN espace public numérique
EHPAD établissement d’hébergement pour personnes âgées
CPTS communauté professionnelle territoriale de santé
PLUi plan local d’urbanisme intercommunal
OPAH opération programmée d’amélioration de l’habitat
RSA revenu de solidarité active
CMJ conseil municipal des jeunes
RGPD règlement général sur la protection des données
RGAA référentiel général d’amélioration de l’accessibilité
ESS économie sociale et solidaire
SEL système d’échange local
DICRIM document d’information communal sur les risques majeurs
PEDT projet éducatif territorial
LAEP lieu d’accueil enfants-parents
MJC maison des jeunes et de la culture
FDVA fonds pour le développement de la vie associative
TEOM taxe d’enlèvement des ordures ménagères
AMAP association pour le maintien d’une agriculture paysanne
FALC facile à lire et à comprendre
GED gestion électronique de documents
IA intelligence artificielle
VAE validation des acquis de l’expérience
THD très haut débit
EPCI établissement public de coopération intercommunale
PETR pôle d’équilibre territorial et rural
DALO droit au logement opposable
TAD transport à la demande
CADA commission d’accès aux documents administratifs
ANSSI agence nationale de la sécurité des systèmes d’information
"""


def test_an_acronym_and_what_it_stands_for_announce_the_same_enjeu() -> None:
    announced = defaultdict(set)
    for expression in TAGGER.referentiel.expressions:
        announced[expression.key].add(expression.enjeu)
    pairs = [line.split(" ", 1) for line in ACRONYMS.strip().splitlines()]
    enjeux = [[announced[tuple(TAGGER.words(said))] for said in pair] for pair in pairs]
    assert [pair for pair, (short, long) in zip(pairs, enjeux, strict=True) if not short & long] == []


def test_an_expression_said_once_at_the_bottom_of_a_long_page_does_not_tag_it() -> None:
    filler = "Le village se visite à pied et la vue est belle depuis la place. " * 200
    assert slugs(page("Le village", filler + "Un budget participatif a été voté.")) == []


def test_the_longest_expression_hides_the_shorter_ones_inside_it() -> None:
    assert slugs(page("Le transport de données", "Le transport de données emprunte deux chemins.")) == []
    assert slugs(page("Le transport scolaire", "Le transport scolaire est gratuit."))[0] == "mobilite"


@pytest.mark.parametrize(
    ("title", "text", "expected"),
    [
        ("La collecte des déchets", "La collecte du bac jaune a lieu le mardi.", ["territoire-durable"]),
        ("La collecte de la taxe de séjour", "Les plateformes font la collecte.", ["attractivite"]),
        ("La collecte des impôts", "La collecte des impôts par l’État a lieu chaque mois.", []),
        ("La collecte des données", "La collecte de données est limitée. Toute collecte suppose un accord.", []),
        ("La collecte de sang", "Une collecte de sang a lieu samedi.", ["sante"]),
        ("Le transport de données", "Le transport de données emprunte la fibre.", []),
        ("Le transport d’électricité", "Le transport d’électricité à haute tension.", ["territoire-durable"]),
        ("Le transport du corps", "Le transport du corps après un décès.", ["vie-quotidienne"]),
        ("La santé des habitants", "La santé des habitants, la prévention, les médecins.", ["sante"]),
        ("La santé de l’entreprise", "La santé de l’entreprise se lit dans ses comptes.", ["developpement-economique"]),
        ("La santé financière", "La santé financière de la commune est bonne.", []),
        ("Le numérique à l’école", "Le numérique à l’école : des tablettes pour les élèves.", ["education"]),
        ("Un code numérique", "Le clavier numérique attend un code numérique.", []),
        ("L’emploi du temps", "L’emploi du temps de la semaine et le mode d’emploi.", []),
        ("L’énergie des bénévoles", "L’énergie des bénévoles porte la journée.", []),
        ("La culture du blé", "La culture du blé avance dans la plaine.", []),
        ("Une association de malfaiteurs", "L’association de malfaiteurs est un délit.", ["identite"]),
    ],
)
def test_an_ambiguous_word_is_read_in_its_context(title: str, text: str, expected: list[str]) -> None:
    assert slugs(page(title, text)) == expected


def test_an_acronym_written_in_capitals_is_not_the_common_word() -> None:
    text = "On ajoute le sel à la fin, un peu de sel suffit, puis le sel fond."
    assert slugs(page("Le sel", text)) == []
    assert slugs(page("Le SEL du village", text.replace("sel", "SEL"))) == ["developpement-economique"]


def test_an_acronym_is_known_in_lower_case_in_an_address() -> None:
    (tag, *_) = TAGGER.candidates(page(url="https://commune.fr/environnement/pcaet"))
    assert "PCAET" in [why.expression for why in tag.why if why.where == "url"]


@pytest.mark.parametrize("written", ["EHPAD", "Ehpad", "ehpad", "ehpads"])
def test_a_long_acronym_is_known_as_a_word_too(written: str) -> None:
    text = f"Le nouvel {written} ouvre en mai. Visitez cet {written}."
    assert slugs(page(f"Un {written} au village", text))[0] == "solidarites"


def test_a_word_that_is_also_an_acronym_is_read_as_the_lines_write_it() -> None:
    # PASS (an access to care) is an acronym of the référentiel, « pass numérique » an expression of it.
    assert slugs(page("Pass numérique", "Le pass numérique paie des ateliers."))[0] == "mediation"
    (tag, *_) = TAGGER.candidates(page("Actes de naissance", "Demandez un acte de naissance."))
    assert "acte de naissance" in [why.expression for why in tag.why]


def test_a_context_word_must_stand_near_when_the_line_requires_it(tmp_path: Path) -> None:
    folder = copy_with(tmp_path, "sante,,sauge,3,tisane,", "sante,,thym,3,,poulet")
    tagger = Tagger(load_referentiel(folder))
    assert slugs(page("La sauge", "La sauge pousse ici."), tagger) == []
    assert slugs(page("La sauge", "La sauge pousse ici, en tisane."), tagger) == ["sante"]
    assert slugs(page("Du thym", "Du thym, rien que du thym."), tagger) == ["sante"]
    assert slugs(page("Du thym et un poulet", "Du thym sur le poulet."), tagger) == []


def copy_with(folder: Path, *lines: str) -> Path:
    """A référentiel of the shipped enjeux and services, and these expressions alone."""
    for name in ("enjeux.csv", "services.csv"):
        (folder / name).write_bytes((FOLDER / name).read_bytes())
    header = "enjeu,service,expression,weight,requires,excludes"
    (folder / "expressions.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("santé,,tisane,3,,", "unknown enjeu"),
        ("sante,Le budget participatif,tisane,3,,", "not one of this enjeu"),
        ("sante,,de la,3,,", "more than articles"),
        ("sante,,tisane,four,,", "from 0 to 3"),
        ("sante,,tisane,9,,", "from 0 to 3"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number_and_the_remedy(tmp_path: Path, line: str, remedy: str) -> None:
    folder = copy_with(tmp_path, "sante,,verveine,3,,", line)
    with pytest.raises(SettingsError, match=f"expressions.csv line 3: .*{remedy}"):
        load_referentiel(folder)


def test_check_finds_duplicates_and_expressions_that_match_nothing_or_everything(tmp_path: Path) -> None:
    folder = copy_with(tmp_path, "sante,,tisane,3,,", "sante,,les tisanes,3,,", "sante,,verveine,3,,")
    documents = [page("La verveine"), page("Encore de la verveine")]
    report = check(documents, folder)
    assert "expressions.csv line 3: same as line 2; keep one of the two" in report.problems
    assert report.everywhere == ("line 4: verveine (sante)",)
    assert "line 2: tisane (sante)" in report.never


def test_check_finds_what_can_never_match_and_what_is_written_twice(tmp_path: Path) -> None:
    folder = copy_with(tmp_path, "sante,,sauge,3,tisane,tisane", "sante,,SAGE,3,,", "sante,,Sage,3,,")
    with (folder / "enjeux.csv").open("a", encoding="utf-8") as file:
        file.write("sante,Santé,transversal,,\n")
    with (folder / "services.csv").open("a", encoding="utf-8") as file:
        file.write("sante,La tisane,,\nsante,La tisane,,\n")
    problems = check(None, folder).problems
    assert [p for p in problems if "no expression" not in p] == [
        "enjeux.csv line 21: this slug is already there; keep one of the two",
        "services.csv line 141: this service is already there; keep one of the two",
        "expressions.csv line 4: same as line 3; keep one of the two",
        "expressions.csv line 2: can match nothing, not even itself; correct the expression or its context",
    ]


def test_the_version_changes_with_the_data(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    one = load_referentiel(copy_with(first, "sante,,tisane,3,,"))
    other = load_referentiel(copy_with(second, "sante,,tisane,2,,"))
    assert one.version != other.version


WORDS = st.sampled_from(
    ["budget", "participatif", "SEL", "l’eau", "RGPD", "école", "vélos", "de la", "logement social", "\x00", "🚲", "a"]
)
TEXTS = st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=60).map(" ".join))


@settings(max_examples=150, deadline=None)
@given(title=TEXTS, text=TEXTS, url=TEXTS)
def test_any_page_gets_at_most_four_tags_each_with_words_it_holds(title: str, text: str, url: str) -> None:
    document = Document(DocumentId("0" * 16), url, title, text)
    found = TAGGER.tags(document)
    assert found == TAGGER.tags(document)
    assert len(found) <= MAX_TAGS
    assert len({tag.slug for tag in found}) == len(found)
    said = {where: " ".join(TAGGER.words(words)) for where, words in (("title", title), ("body", text), ("url", url))}
    for tag in found:
        assert 0 < tag.score <= 1
        assert tag.why
        for why in tag.why:
            assert why.where == "url" or " ".join(TAGGER.words(why.expression)) in said[why.where]

"""Folding, words and stems."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elunum import text as analysis
from elunum.text import analyse, fold, spans, stem, stems, words


@given(st.text())
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text())
def test_words_hold_no_space_so_the_index_can_be_given_them_spaced(text: str) -> None:
    for word in (*words(text), *stems(text)):
        assert word
        assert word.split() == [word]


@given(st.text(alphabet=st.characters(codec="latin-1", categories=["Lu", "Ll", "Zs"]) | st.sampled_from("'-")))
def test_an_unaccented_text_has_the_words_of_the_accented_one(text: str) -> None:
    assert stems(fold(text)) == stems(text)


@given(st.text())
def test_spans_stand_where_they_say(text: str) -> None:
    assert [span.word for span in spans(text)] == [
        word for span in spans(text) for word in words(text[span.start : span.end])
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Qualité de l'eau", ["qualite", "de", "eau"]),
        ("L’Œuvre d’Hérault", ["oeuvre", "herault"]),
        ("jusqu'à lorsqu'il", ["a", "il"]),
        ("tiers-lieu", ["tiers", "lieu"]),
        ("aujourd'hui", ["aujourd", "hui"]),
        ("10 000 habitants", ["10000", "habitants"]),
        ("10.000 habitants", ["10000", "habitants"]),
        ("le 12.03.2024", ["le", "12", "03", "2024"]),
        ("68 à 70", ["68", "a", "70"]),
        ("le C.C.A.S. d’Albi", ["le", "ccas", "albi"]),
        ("un R.S.A majoré. A. Martin", ["un", "rsa", "majore", "a", "martin"]),
        ("l’article L1234-9", ["article", "l", "1234", "9"]),
        ("l’article L. 1234-9", ["article", "l", "1234", "9"]),
        ("les élu·e·s et les agent.e.s", ["les", "elu", "et", "les", "agent"]),
        ("assistant(e)s, employé-e-s, acteur·rice·s", ["assistant", "employe", "acteur"]),
        ("col·lectiu", ["col", "lectiu"]),
        ("fin.Le reste, e-service", ["fin", "le", "reste", "e", "service"]),
        ("e\u0301cole", ["ecole"]),
        ("ﬁnance \U0001d54aavoir", ["finance", "savoir"]),
        ("a_b", ["a", "b"]),
        ("", []),
        ("… !", []),
    ],
)
def test_words_of_a_text(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    "together",
    [
        "commune communes",
        "communal communale communaux communales",
        "participatif participative participatifs participatives",
        "numérique numériques",
        "élu élue élus élues",
        "bureau bureaux",
        "réseau réseaux",
        "lieu lieux",
        "premier première premiers premières",
        "professionnel professionnelle professionnels professionnelles",
        "citoyen citoyenne citoyens citoyennes",
        "loi lois",
        "emploi emplois",
        "aîné aînée aînés aînées",
        "public publics publique publiques",
        "directeur directrice directeurs directrices",
        "chercheur chercheuse",
        "dangereux dangereuse dangereuses",
        "français française françaises",
        "nouveau nouvelle nouveaux nouvelles",
        "doux douce douces",
        "matériau matériaux",
        "Saint-Denis St-Denis",
        "19e XIXe 19ème XIXème",
        "1er 1ère 1re",
        "refus refusé refuser",
    ],
)
def test_plural_and_gender_share_a_stem(together: str) -> None:
    assert len({tuple(stems(word)) for word in together.split()}) == 1


@pytest.mark.parametrize(
    "apart",
    [
        "collectivité collecte collection",
        "logement log logiciel",
        "commune communication communiste communauté",
        "formation format forme",
        "cours cour course",
        "dans danse",
        "par parc parce",
        "entre entrée",
        "arrêt arrêté",
        "don données",
        "port porte",
        "conseil conseiller",
        "commun commune",
        "retrait retraite",
        "travail travaux",
        "usage usager",
        "sein Seine",
        "Gard garde",
        "pac PACS",
        "vie ve",
        "mairie maire",
        "service serviette",
        "police politique",
        "général génération",
        "université univers",
        "organe organisation",
        "habitat habit",
        "PLUi pluie",
    ],
)
def test_families_that_readers_keep_apart_have_stems_apart(apart: str) -> None:
    assert len({stem(fold(word)) for word in apart.split()}) == len(apart.split())


def test_what_a_reader_types_is_not_remembered() -> None:
    typed = "Zyxwvutsrq"
    assert [span.word for span in spans(typed)] == words(typed) == ["zyxwvutsrq"]
    assert stems(typed) == ["zyxwvutsrq"]
    assert typed not in analysis._known
    analyse(typed)
    assert typed in analysis._known

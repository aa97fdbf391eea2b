"""Right words are left alone, misspelt ones are mended. How often on real queries: bench/spelling.py."""

from __future__ import annotations

from collections import Counter

import pytest

from elunum.search.parse import parse
from elunum.search.spelling import Spelling, is_french, sound

WRITTEN = """
    reçu piloter actualisation compagnie visent reste drogue fiche orange coûte budget participatif médiathèque
    numérique harcèlement essai photovoltaïque technologies technologiques cellule celle quai démission
    décision concurrence licenciement supplémentaire enveloppe développe diagnostiqué rixhein covoitureuse
    province voter
"""
PAGES = Counter(dict.fromkeys(WRITTEN.split(), 40))
PAGES["celle"] = PAGES["décision"] = 900
SPELLING = Spelling(PAGES)


@pytest.mark.parametrize(
    "word",
    [
        "secu",
        "picoler",
        "annualisation",
        "compagnon",
        "disent",
        "resto",
        "drague",
        "friche",
        "croute",
        "rixheim",
        "provence",
        "vapoter",
    ],
)
def test_a_right_word_that_no_page_has_is_left_alone(word: str) -> None:
    assert SPELLING.correction(word) is None


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("budjet", "budget"),  # a key beside another, or a sound
        ("mediateque", "médiathèque"),  # a letter that is not heard
        ("arcelement", "harcèlement"),  # the first one too
        ("fotovoltaique", "photovoltaïque"),
        ("concurence", "concurrence"),  # one letter for two
        ("licenciment", "licenciement"),
        ("suplementaire", "supplémentaire"),
        ("celule", "cellule"),  # what sounds the same, before what is more frequent
        ("demision", "démission"),
        ("technologikes", "technologiques"),  # before what is nearer
        ("dessai", "essai"),  # an article without its apostrophe
        ("denveloppe", "enveloppe"),
        ("budgetparticipatif", "budget participatif"),
    ],
)
def test_a_misspelt_word_is_mended(typed: str, meant: str) -> None:
    assert SPELLING.correction(typed) == meant


def test_two_letters_changed_at_the_end_make_another_word_of_the_family() -> None:
    assert not is_french("diagnostiqueur")
    assert SPELLING.correction("diagnostiqueur") is None


def test_another_form_of_a_word_is_not_offered_for_it() -> None:
    assert not is_french("covoitureuses")
    assert SPELLING.correction("covoitureuses") is None


def test_all_misspelt_words_of_a_query_are_mended_and_the_rest_is_kept() -> None:
    typed = "Mediateque  numerique, « celule » et budjet"
    assert SPELLING.corrected(typed, parse(typed).words) == "médiathèque  numerique, « celule » et budget"


@pytest.mark.parametrize(
    ("one", "other"),
    [("philosophie", "filosofie"), ("quatre", "katre"), ("attention", "atension"), ("bureau", "buro")],
)
def test_two_spellings_of_one_sound_sound_the_same(one: str, other: str) -> None:
    assert sound(one) == sound(other)

"""Expressions written as they are heard. How often on real queries: bench/spelling.py."""

from __future__ import annotations

import pytest

from elunum.geo import load
from elunum.search.heard import MOST_ASKED, heard, meant
from elunum.search.parse import Phrase, parse
from elunum.search.places import places
from elunum.search.spelling import is_french


def proposed(text: str, held: dict[str, int]) -> str | None:
    """What is proposed for a query when so many pages hold these phrases, and none any other."""
    query = parse(text)
    named = places(query.typed, load())
    return meant(text, query.words, named, lambda phrase: held.get(" ".join(word.text for word in phrase.words), 0))


@pytest.mark.parametrize(
    ("typed", "held", "other"),
    [
        ("Conte rendu du conseil", "compte rendu", "compte rendu du conseil"),
        ("le fond de concours 2024", "fonds de concours", "le fonds de concours 2024"),
        ("conge payer", "congés payés", "congés payés"),
        ("voeux du mère", "vœux du maire", "vœux du maire"),
        ("commune:Rixheim   salle des faites", "salle des fêtes", "commune:Rixheim   salle des fêtes"),
    ],
)
def test_what_sounds_like_an_expression_that_pages_hold_is_proposed(typed: str, held: str, other: str) -> None:
    assert proposed(typed, {held: 2}) == other
    assert proposed(typed, {held: 1}) is None


def test_what_pages_say_is_left_alone_unless_they_say_the_other_much_more() -> None:
    assert proposed("conte rendu", {"compte rendu": 29, "conte rendu": 1}) is None
    assert proposed("conte rendu", {"compte rendu": 30, "conte rendu": 1}) == "compte rendu"


@pytest.mark.parametrize(
    ("typed", "held"),
    [
        ("durée de vide", "durée de vie"),  # a consonant is heard before an e
        ("congés à payer", "congés payés"),  # with a word more
        ("compte rendu", "comptes-rendus"),  # an expression of ours as it is
        ("droit de voter", "droit de vote"),
        ("vœux de Mer", "vœux du maire"),  # a commune
        ('"conte rendu"', "compte rendu"),  # quoted: as it is meant
        ("conte site:rixheim.fr rendu", "compte rendu"),
        ("conte", "compte rendu"),
    ],
)
def test_what_is_right_is_left_alone(typed: str, held: str) -> None:
    assert proposed(typed, {held: 1_000}) is None


def test_pages_are_asked_for_a_few_expressions_only() -> None:
    asked: list[Phrase] = []

    def none(phrase: Phrase) -> int:
        asked.append(phrase)
        return 0

    text = " ".join(["conte rendu, fond de concours, salle des faites"] * 9)
    assert meant(text, parse(text).words, (), none) is None
    assert 0 < len(asked) <= 4 * MOST_ASKED


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("payer", "payés"),
        ("conte", "compte"),
        ("verts", "vert"),
        ("cours", "cour"),
        ("faites", "fêtes"),
        ("Relai", "relais"),
    ],
)
def test_two_spellings_of_one_sound_are_heard_alike(one: str, other: str) -> None:
    assert heard(one) == heard(other)


@pytest.mark.parametrize(("one", "other"), [("vide", "vie"), ("mise", "mis"), ("voter", "vote"), ("par", "parc")])
def test_two_sounds_are_not(one: str, other: str) -> None:
    assert heard(one) != heard(other)
    assert is_french(one)

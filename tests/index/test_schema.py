"""How much the score of a page counts: who publishes it, and how old it is where its subject ages."""

from __future__ import annotations

import csv
from datetime import date

import pytest

from elunum.index.schema import USUAL, YEARLY, weight_of, yearly_of
from elunum.text import FRENCH
from tests.search.pages import page

with (FRENCH / "ageing.csv").open(encoding="utf-8", newline="") as file:
    AGEING = [(row["expression"], int(row["yearly"]) / 100) for row in csv.DictReader(file)]


def weight(title: str, day: date | None) -> float:
    return weight_of(page("/a", title, date=day))


@pytest.mark.parametrize(("expression", "yearly"), AGEING)
def test_every_expression_that_ages_is_known_in_a_title(expression: str, yearly: float) -> None:
    assert yearly_of(f"Ville d’exemple : {expression.upper()} 2019") == yearly


@pytest.mark.parametrize(
    ("title", "yearly"),
    [
        ("Appels à projets pour les commerces", 0.05),
        ("Le budget participatif", YEARLY),  # an example to follow stays one
        ("Histoire de la commune", 0.0),
        ("Patrimoine : appel à candidatures", 0.05),  # what ages soonest decides
        ("", YEARLY),
    ],
)
def test_a_subject_ages_by_the_words_of_the_title(title: str, yearly: float) -> None:
    assert yearly_of(title) == yearly


def test_a_recent_page_gains_where_its_subject_ages_and_nothing_where_it_does_not() -> None:
    old, new = date(2016, 5, 1), date(2026, 5, 1)
    assert weight("Histoire du village", new) == weight("Histoire du village", old)
    assert weight("Le marché", new) > weight("Le marché", old)
    assert weight("Tarifs de la piscine", new) > weight("Le marché", new)
    assert weight("Tarifs de la piscine", old) < weight("Le marché", old)


def test_a_page_without_a_date_is_neither_young_nor_old() -> None:
    for title in ("Histoire du village", "Le marché", "Tarifs de la piscine"):
        assert weight(title, None) == weight(title, USUAL)


def test_a_date_that_cannot_be_true_weighs_no_more_than_an_old_or_a_coming_one() -> None:
    assert weight("Tarifs", date(1066, 10, 14)) == weight("Tarifs", date(1990, 1, 1)) > 0
    assert weight("Tarifs", date(9999, 12, 31)) == weight("Tarifs", date(2040, 1, 1))

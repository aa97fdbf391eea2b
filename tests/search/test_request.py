"""The parameters of the contract."""

from __future__ import annotations

from dataclasses import fields
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elunum.errors import QueryError
from elunum.model import Search
from elunum.search.request import from_params, to_params

SEARCHES = st.builds(
    Search,
    q=st.text(max_size=30).map(str.strip),
    enjeu=st.lists(st.sampled_from(["emploi", "democratie-locale"]), unique=True).map(tuple),
    service=st.sampled_from(["", "Le budget participatif"]),
    label=st.none() | st.integers(1, 5),
    kind=st.lists(st.sampled_from(["commune", "etat"]), unique=True).map(tuple),
    commune=st.sampled_from(["", "68278", "2A004"]),
    epci=st.sampled_from(["", "200066009"]),
    combine=st.sampled_from(["et", "ou"]),
    departement=st.sampled_from(["", "68", "2A", "971"]),
    region=st.sampled_from(["", "44"]),
    population_min=st.none() | st.integers(0, 500),
    population_max=st.none() | st.integers(500, 5_000),
    like=st.sampled_from(["", "68278"]),
    type=st.lists(st.sampled_from(["html", "pdf"]), unique=True).map(tuple),
    lang=st.sampled_from(["", "fr"]),
    since=st.none() | st.dates(date(1990, 1, 1), date(2010, 1, 1)),
    until=st.none() | st.dates(date(2010, 1, 1), date(2030, 1, 1)),
    site=st.sampled_from(["", "www.rixheim.fr"]),
    sort=st.sampled_from(["pertinence", "date"]),
    one_per=st.sampled_from(["none", "collectivite"]),
    page=st.integers(1, 100),
    size=st.integers(1, 100),
)


@given(SEARCHES)
def test_a_link_gives_its_search_back(search: Search) -> None:
    assert from_params(to_params(search)) == search


def test_defaults_are_left_out_of_links() -> None:
    assert to_params(Search(q="eau")) == [("q", "eau")]


def test_every_field_of_a_search_is_a_parameter() -> None:
    for field in fields(Search):
        assert from_params([(field.name, "")]) == Search()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("enjeu", "Démocratie !"),
        ("label", "6"),
        ("label", "٣"),
        ("kind", "ville"),
        ("commune", "6827"),
        ("commune", "Rixheim"),
        ("epci", "12"),
        ("departement", "Haut-Rhin"),
        ("population_min", "-1"),
        ("population_max", "9" * 400),
        ("like", "2C000"),
        ("type", "exe"),
        ("lang", "français"),
        ("since", "2024-13"),
        ("since", "2023-02-29"),
        ("until", "hier"),
        ("site", 'a" OR "b'),
        ("site", "title:]"),
        ("site", "a\u2100b"),
        ("sort", "score"),
        ("page", "0"),
        ("size", "101"),
        ("zzz", "1"),
    ],
)
def test_a_bad_value_is_refused_by_name_without_an_echo(name: str, value: str) -> None:
    with pytest.raises(QueryError) as refused:
        from_params([(name, value)])
    assert refused.value.parameter == name
    assert refused.value.accepts
    if len(value) > 4:
        assert value not in str(refused.value)


def test_an_unknown_parameter_that_could_be_a_readers_words_is_not_echoed() -> None:
    with pytest.raises(QueryError) as refused:
        from_params([("budget participatif", "1")])
    assert "budget" not in str(refused.value)


def test_a_single_parameter_given_twice_is_refused_and_a_repeatable_one_gathers() -> None:
    assert from_params([("enjeu", "emploi"), ("enjeu", "emploi"), ("enjeu", "innovation")]).enjeu == (
        "emploi",
        "innovation",
    )
    with pytest.raises(QueryError, match="lang"):
        from_params([("lang", "fr"), ("lang", "br")])


@pytest.mark.parametrize(
    ("typed", "since", "until"),
    [
        ("2024", date(2024, 1, 1), date(2024, 12, 31)),
        ("2024-02", date(2024, 2, 1), date(2024, 2, 29)),
        ("2024-02-10", date(2024, 2, 10), date(2024, 2, 10)),
    ],
)
def test_a_year_or_a_month_is_taken_whole(typed: str, since: date, until: date) -> None:
    assert from_params([("since", typed)]).since == since
    assert from_params([("until", typed)]).until == until


def test_limits_that_hold_nothing_are_refused() -> None:
    with pytest.raises(QueryError, match="population_max"):
        from_params([("population_min", "10"), ("population_max", "9")])
    with pytest.raises(QueryError, match="until"):
        from_params([("since", "2024"), ("until", "2023")])

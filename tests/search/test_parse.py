"""The query language."""

from __future__ import annotations

import os
from datetime import date

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from elunum.errors import QueryError
from elunum.model import Search
from elunum.search.parse import MAX_PHRASES, MAX_WORDS, Clause, Either, Phrase, Query, Word, parse


def _shape(clause: Clause) -> object:
    if isinstance(clause, Word):
        return f"={clause.word}" if clause.exact else clause.word
    if isinstance(clause, Phrase):
        return tuple(word.word for word in clause.words)
    return [_shape(option) for option in clause.options]


def _read(text: str) -> tuple[list[object], list[object], Search]:
    query = parse(text)
    return [_shape(c) for c in query.clauses], [_shape(c) for c in query.without], query.inside


@pytest.mark.parametrize(
    ("text", "clauses", "without"),
    [
        ("budget participatif", ["budget", "participatif"], []),
        ("la qualité de l'eau", ["qualite", "eau"], []),
        ("de la", ["de", "la"], []),
        ('"budget participatif" 2024', [("budget", "participatif"), "2024"], []),
        ("« qualité de l’eau »", [("qualite", "de", "eau")], []),
        ("“conseil des jeunes”", [("conseil", "des", "jeunes")], []),
        ('"eau"', ["=eau"], []),
        ("déchets -plastique", ["dechets"], ["plastique"]),
        ('déchets -"tri sélectif"', ["dechets"], [("tri", "selectif")]),
        ("covid-19", ["covid", "19"], []),
        ("2 500 € -10 000", ["2500"], ["10000"]),
        ("« 1 000 arbres » 1234 567", [("1000", "arbres"), "1234", "567"], []),
        ("C.C.A.S.", ["ccas"], []),
        ("eau - air", ["eau", "air"], []),
        ("vélo OR bus", [["velo", "bus"]], []),
        ("vélo OU bus OU tram gratuit", [["velo", "bus", "tram"], "gratuit"], []),
        ("OR vélo", ["velo"], []),
        ("vélo OR", ["velo"], []),
        ("vélo or bus", ["velo", "or", "bus"], []),
        ('"terre commune', ["terre", "commune"], []),
        ("((((", [], []),
        ("tiers-lieu", ["tiers", "lieu"], []),
        ("-tiers-lieu", [], [("tiers", "lieu")]),
        ("http://a.fr", ["http", "fr"], []),
        ("inconnu:valeur", ["inconnu", "valeur"], []),
        ("type:zzz", ["type", "zzz"], []),
        ("commune:Nulpartville", ["commune", "nulpartville"], []),
        ("commune:99999", ["commune", "99999"], []),
        ("département:96", ["departement", "96"], []),
        ("avant:hier", ["avant", "hier"], []),
        ("avant:0001", ["avant", "0001"], []),
        ("nature:ville", ["nature", "ville"], []),
        ("service:inconnu", ["service", "inconnu"], []),
        ("-type:zzz eau", ["eau"], [("type", "zzz")]),
        ("date: 2024", ["date", "2024"], []),
    ],
)
def test_what_is_typed_means(text: str, clauses: list[object], without: list[object]) -> None:
    read, left_out, search = _read(text)
    assert read == clauses
    assert left_out == without
    assert search == Search()


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("eau site:www.rixheim.fr", "site", "www.rixheim.fr"),
        ("eau type:pdf", "type", ("pdf",)),
        ("eau type:pdf type:odt", "type", ("pdf", "odt")),
        ("eau enjeu:emploi enjeu:innovation", "enjeu", ("emploi", "innovation")),
        ("eau commune:Rixheim", "commune", "68278"),
        ("eau commune:68278", "commune", "68278"),
        ('eau commune:"Saint-Mars-du-Désert"', "commune", "44179"),
        ("eau département:Haut-Rhin", "departement", "68"),
        ("eau region:Bretagne", "region", "53"),
        ("eau commune:75001", "commune", "75056"),  # a postal code, of one commune alone
        ("eau Commune:rixheim, ", "commune", "68278"),
        ("eau ville:93059", "commune", "93066"),  # merged since
        ("eau departement:2a", "departement", "2A"),
        ('eau epci:"CA Mulhouse Alsace Agglomération"', "epci", "200066009"),
        ("eau epci:200066009", "epci", "200066009"),
        ("eau type:PDF", "type", ("pdf",)),
        ('eau enjeu:"Démocratie locale"', "enjeu", ("democratie-locale",)),
        ("eau enjeu:démocratie-locale", "enjeu", ("democratie-locale",)),
        ('eau service:"le budget participatif"', "service", "Le budget participatif"),
        ("eau nature:association", "kind", ("association",)),
        ("eau langue:BR", "lang", "br"),
        ("eau avant:2024", "until", date(2023, 12, 31)),
        ("eau avant:2024-03-01", "until", date(2024, 2, 29)),
        ("eau après:2023-05", "since", date(2023, 5, 1)),
    ],
)
def test_operators_filter(text: str, name: str, value: object) -> None:
    read, _, search = _read(text)
    assert read == ["eau"]
    assert getattr(search, name) == value


def test_what_is_left_out_is_not_what_is_wanted() -> None:
    query = parse("eau -site:gouv.fr -type:pdf -commune:Rixheim")
    assert query.inside == Search()
    assert query.outside == (Search(site="gouv.fr"), Search(type=("pdf",)), Search(commune="68278"))
    assert [word.word for word in query.words] == ["eau"]


def test_dates_narrow_each_other() -> None:
    inside = parse("date:2024 depuis:2024-02 avant:2024-06").inside
    assert (inside.since, inside.until) == (date(2024, 2, 1), date(2024, 5, 31))


def test_years_are_operators() -> None:
    inside = parse("eau depuis:2024 jusque:2025").inside
    assert str(inside.since) == "2024-01-01"
    assert str(inside.until) == "2025-12-31"


def test_a_text_too_long_is_refused_and_the_limit_itself_is_not() -> None:
    parse("a" * 1_000)
    with pytest.raises(QueryError) as refused:
        parse("a" * 1_001)
    assert refused.value.parameter == "q"


@pytest.mark.parametrize(
    ("text", "kept"),
    [('"vélo bus" ', MAX_PHRASES), ('-"vélo bus" ', MAX_PHRASES), ("OU vélo-bus ", MAX_PHRASES), ('"de la" ', 2)],
)
def test_phrases_past_the_limit_are_left_out(text: str, kept: int) -> None:
    query = parse("eau " + text * 20)
    options = [option for c in query.clauses for option in (c.options if isinstance(c, Either) else (c,))]
    assert sum(isinstance(one, Phrase) for one in (*options, *query.without)) == kept


def test_of_words_without_a_subject_alone_the_first_are_searched() -> None:
    assert [_shape(clause) for clause in parse("à la une " * 100).clauses] == ["a", "la", "une"] * 2 + ["a", "la"]
    assert len(parse("à la une " * 10 + "eau").clauses) == 1


def test_words_past_the_limit_are_left_out() -> None:
    query = parse(" ".join(f"mot{n}" for n in range(150)))
    assert len(query.clauses) == MAX_WORDS


def test_of_several_territories_of_one_name_the_most_populated_is_taken_and_the_others_are_told() -> None:
    typed = "eau -ville:Saint-Denis, ville:Saint-Denis commune:Rixheim commune:93066 commune:Nulpartville"
    (one,) = parse(typed).homonyms
    assert one.typed == "ville:Saint-Denis"
    assert parse("eau commune:Saint-Denis").inside.commune == one.taken.code == "97411"
    assert [other.code for other in one.others] == ["93066", "11339", "30247"]


PIECES = st.sampled_from(
    [
        '"',
        "«",
        "»",
        "“",
        "”",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "-",
        "+",
        "*",
        "?",
        "~",
        "^",
        ":",
        "\\",
        "/",
        " ",
        "\n",
        "\x00",
        "OR",
        "OU",
        "AND",
        "NOT",
        "TO",
        "IN",
        "site:",
        "type:pdf",
        "commune:",
        "enjeu:",
        "depuis:",
        "body:",
        "shown:",
        "l'élection",
        "eau",
        "École",
        "\u202e",
        "\ud7ff",
        "😀",
        "é",
        "é",
        "-" * 5,
        "(" * 200,
        '"' * 50,
    ]
)


@given(st.lists(PIECES | st.text(max_size=5), max_size=40).map("".join))
@settings(max_examples=int(os.environ.get("ELUNUM_FUZZ", "3000")), deadline=None)
@example("(" * 1000)
@example("l'élection")
@example('"a' * 300)
@example("[a TO b} AND field:^2~ IN []")
def test_any_text_has_a_meaning_made_of_clean_words(text: str) -> None:
    query = parse(text, max_chars=20_000)
    assert isinstance(query, Query)
    count = 0
    for clause in (*query.clauses, *query.without):
        options = clause.options if isinstance(clause, Either) else (clause,)
        for option in options:
            for word in option.words if isinstance(option, Phrase) else (option,):
                count += 1
                assert word.word.split() == [word.word]
                assert word.stem
    assert count <= MAX_WORDS

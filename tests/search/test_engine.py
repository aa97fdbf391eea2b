"""What readers find, and what is counted beside it."""

from __future__ import annotations

import logging
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elunum import geo
from elunum.errors import IndexVersionError, QueryError
from elunum.model import Document, Hit, Link, Results, Search, Source
from elunum.search.engine import CANDIDATES, Engine, open_engine
from elunum.search.facets import FACETS
from elunum.search.request import from_params
from elunum.search.spelling import MAX_DOUBTED
from elunum.urls import document_id
from tests.search.pages import PAGES, RIXHEIM, ROUBAIX, engine_over, page


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return engine_over(tmp_path_factory.mktemp("index"))


def ask(engine: Engine, q: str = "", **parameters: str) -> Results:
    return engine.search(from_params([("q", q), *parameters.items()]))


def titles(found: Results | tuple[Hit, ...] | None) -> list[str]:
    hits = found.hits if isinstance(found, Results) else found
    assert hits is not None
    return [hit.title for hit in hits]


# --- finding -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("budget participatif rixheim", "Le budget participatif"),
        ("RESULTATS BUDGETS PARTICIPATIFS Roubaix", "Résultats du budget participatif"),
        ("qualite de eau", "Inscriptions à l’école"),
        ("qualité de l'eau", "Inscriptions à l’école"),
        ("mediatheques", "Médiathèque numérique"),
        ("mairie de Rixheim", "Ville de Rixheim"),
        ("Ville de Rixheim", "Ville de Rixheim"),
        ("hôtel de ville de Wittenheim", "Accueil"),
        ("site officiel wittenheim", "Accueil"),
        ("logiciels", "Un logiciel pour les communautés"),
        ("collectes", "Collecte des encombrants"),
        ("guide du tri", "Guide du tri"),
        ("rixheim catastrophe", "Arrêté de catastrophe naturelle"),
    ],
)
def test_the_page_meant_stands_first(engine: Engine, typed: str, first: str) -> None:
    assert titles(ask(engine, typed))[0] == first


@pytest.mark.parametrize("typed", ["covoiturage", "co-voiturage", "co voiturage", "Co-Voiturages"])
def test_a_compound_is_found_however_it_is_written(tmp_path: Path, typed: str) -> None:
    written = ("Le covoiturage du matin", "Une aire de co-voiturage", "Partager le co voiturage")
    pages = [page(f"/{n}", title, source=ROUBAIX) for n, title in enumerate(written)]
    found = ask(engine_over(tmp_path, [*PAGES, *pages]), typed)
    assert sorted(titles(found)) == sorted(written)
    assert not found.relaxed
    assert found.also == (("co-voiturage",) if typed == "covoiturage" else ())


@pytest.mark.parametrize("typed", ["télétravail", "télé-travail", "télé travail", "tele travails"])
def test_a_compound_in_two_words_is_the_one_that_pages_say(tmp_path: Path, typed: str) -> None:
    written = (
        "Télé : un travail de journaliste",
        "Télétravail des agents",
        "Le télétravail en mairie",
        "Travail",
    )
    found = ask(engine_over(tmp_path, [page(f"/{n}", title) for n, title in enumerate(written)]), typed)
    assert sorted(titles(found)) == ["Le télétravail en mairie", "Télétravail des agents"]


@pytest.mark.parametrize("typed", ["recruter", "recrute", "recrutement", "recrutements"])
def test_a_verb_finds_the_pages_of_its_noun(tmp_path: Path, typed: str) -> None:
    written = ("Recrutement d’un animateur", "La ville recrute")
    found = ask(engine_over(tmp_path, [page(f"/{n}", title) for n, title in enumerate(written)]), typed)
    assert sorted(titles(found)) == sorted(written)


@pytest.mark.parametrize(
    ("typed", "title"),
    [
        ("prudhommes", "Élire les conseillers prud’hommes"),
        ("R.S.A.", "Demander le revenu de solidarité active"),
        ("ccas", "Le C.C.A.S. vous reçoit"),
        ("ALSH", "Accueil de loisirs : inscriptions"),
        ("2 500 €", "Une aide de 2.500 euros"),
        ("L1234-9", "Ce que dit l’article L. 1234-9"),
        ("marché publique", "Répondre aux marchés publics"),
        ("élu·e·s", "Les élus"),
        ("danse", "Danses du monde"),
        ("XIXe", "Une école du 19ème siècle"),
    ],
)
def test_what_is_written_otherwise_is_found(tmp_path: Path, typed: str, title: str) -> None:
    others = [
        page("/dans", "Dans la ville, Imagine R", "L’accord du 9 mai, entre e et s, vaut 2 et 500 euros."),
        page("/marche", "Une marche", "Elle suit la voie."),
    ]
    found = ask(engine_over(tmp_path, [*others, page("/", title)]), typed)
    assert titles(found)[:1] == [title]
    assert not found.relaxed


def test_a_page_is_found_by_the_words_of_the_links_that_lead_to_it(tmp_path: Path) -> None:
    scan = page("/4512.pdf", "Plan local d’urbanisme", " ", type="pdf", anchors=("Zonage du bourg",))
    found = ask(engine_over(tmp_path, [*PAGES, scan]), "zonage bourg")
    assert titles(found)[0] == "Plan local d’urbanisme"
    assert not found.relaxed


def test_among_equals_the_page_of_a_host_that_many_link_to_comes_first(tmp_path: Path) -> None:
    text = "Le lombricomposteur se place à l’abri du gel."
    hosts = [Source(f"https://{name}.fr/", name, "autre") for name in ("aaa", "mmm", "zzz")]
    equals = [page("/lombricomposteur", f"Lombricomposteur {host.name}", text, host) for host in hosts]
    links = (Link("https://mmm.fr/lombricomposteur", "Un conseil"),)
    citing = [page(f"/{n}", "Nos voisins", "Ailleurs.", Source(f"https://c{n}.fr/", "", "autre"), links=links)
              for n in range(9)]  # fmt: skip
    assert titles(ask(engine_over(tmp_path, [*equals, *citing]), "lombricomposteur"))[0] == "Lombricomposteur mmm"


def test_the_whole_name_of_a_source_finds_its_home_page(tmp_path: Path) -> None:
    prefecture = Source("https://www.haut-rhin.exemple.gouv.fr/", "Préfecture du Haut-Rhin", "etat", departement="68")
    others = [page(f"/{n}", "Préfecture du Haut-Rhin : arrêté", "La préfecture du Haut-Rhin arrête.") for n in range(5)]
    engine = engine_over(tmp_path, [*others, page("/", "Accueil", "Les services de l’État.", prefecture)])
    assert titles(ask(engine, "prefecture du haut rhin"))[0] == "Accueil"


def test_a_page_that_only_lists_others_stands_below_them(tmp_path: Path) -> None:
    listed = ("Atelier de réparation de vélos", "Le marché du samedi", "Collecte des sapins", "La fête du pain")
    links = tuple(Link(f"https://www.rixheim.fr/{n}", title) for n, title in enumerate(listed))
    home = page("/actualites", "Toute l’actualité", "\n".join(listed), links=links)
    text = "Venez avec vos outils ! L’atelier de réparation de vélos ouvre à la gare, gratuit et sans rendez-vous."
    found = ask(engine_over(tmp_path, [*PAGES, home, page("/velos", "Un samedi", text)]), "atelier réparation vélos")
    assert titles(found)[0] == "Un samedi"


@pytest.mark.parametrize("typed", ["collectivité", "logement", "communal-isme", "communisme", "log"])
def test_families_of_words_are_not_mixed_up(engine: Engine, typed: str) -> None:
    assert not {"Collecte des encombrants", "Un logiciel pour les communautés"} & set(titles(ask(engine, f'"{typed}"')))


def test_words_of_an_address_find_its_page(engine: Engine) -> None:
    assert "Accueil" in titles(ask(engine, "wittenheim"))


def test_an_acronym_finds_what_it_stands_for_and_says_so(engine: Engine) -> None:
    found = ask(engine, "CCAS")
    assert "Action sociale" in titles(found)
    assert "centre communal d'action sociale" in found.also
    assert "CCAS" in ask(engine, "centre communal d'action sociale").also


def test_a_phrase_must_hold_in_order(engine: Engine) -> None:
    assert titles(ask(engine, '"jury citoyen"')) == ["Le budget participatif", "Le budget participatif"]
    assert titles(ask(engine, '"citoyen jury"')) == []


def test_a_quoted_word_matches_as_typed_alone(engine: Engine) -> None:
    assert "Composter chez soi" in titles(ask(engine, "composteur"))
    assert titles(ask(engine, '"composteur"')) == ["Composteurs partagés"]


def test_an_excluded_word_is_nowhere(engine: Engine) -> None:
    found = titles(ask(engine, "budget participatif -règlement"))
    assert "Budget participatif : à vos idées" not in found
    assert "Résultats du budget participatif" in found


def test_either_word_is_enough_with_or(engine: Engine) -> None:
    assert {"Guide du tri", "Médiathèque numérique"} <= set(titles(ask(engine, "plastique OU adhérents")))


def test_operators_filter_and_a_minus_before_one_leaves_out(engine: Engine) -> None:
    every = ask(engine, size="50")
    for typed in ("type:pdf", "site:www.rixheim.fr", "commune:Rixheim", "enjeu:democratie-locale", "date:2024"):
        inside, outside = ask(engine, typed, size="50"), ask(engine, f"-{typed}", size="50")
        assert 0 < inside.total < every.total
        assert not {hit.id for hit in inside.hits} & {hit.id for hit in outside.hits}
        assert inside.total + outside.total == every.total
    assert ask(engine, "compost -site:rixheim.fr").total == 1
    assert ask(engine, "depuis:2025 avant:2024").total == 0


def test_no_words_gives_everything_newest_first(engine: Engine) -> None:
    found = ask(engine, size="100")
    assert found.total == len(PAGES)
    dates = [hit.date for hit in found.hits if hit.date]
    assert dates == sorted(dates, reverse=True)
    assert all(hit.date is None for hit in found.hits[len(dates) :])


def test_sorting_by_date_keeps_to_pages_with_all_the_words(engine: Engine) -> None:
    found = ask(engine, "budget participatif", sort="date")
    assert [hit.date.year if hit.date else 0 for hit in found.hits] == [2025, 2024, 2023, 0]


def test_pages_follow_each_other_without_repeating(engine: Engine) -> None:
    whole = [hit.id for hit in ask(engine, "commune habitants projets", size="10").hits]
    pages = [hit.id for n in "12345" for hit in ask(engine, "commune habitants projets", size="2", page=n).hits]
    assert pages == whole[:10]


def test_a_query_too_long_is_refused_by_name(engine: Engine) -> None:
    with pytest.raises(QueryError) as refused:
        engine.search(Search(q="a" * 1_001))
    assert refused.value.parameter == "q"


def test_it_says_when_no_page_has_all_the_words(engine: Engine) -> None:
    assert ask(engine, "composteurs gymnase").relaxed
    assert not ask(engine, "budget participatif").relaxed


# --- spelling ----------------------------------------------------------------------------------------------------


def test_a_misspelling_is_corrected_and_said(engine: Engine) -> None:
    found = ask(engine, "budjet participatif")
    assert found.corrected
    assert found.suggestion == "budget participatif"
    assert found.query == "budjet participatif"
    assert "budget participatif" in titles(found)[0].lower()


def test_an_accent_comes_back_with_the_correction(engine: Engine) -> None:
    found = ask(engine, "mediateque numerique")
    assert found.corrected
    assert found.suggestion == "médiathèque numerique"
    assert titles(found)[0] == "Médiathèque numérique"
    assert not ask(engine, '"mediateque" numerique').corrected  # the way back


def test_of_many_misspelt_words_the_first_are_corrected(engine: Engine) -> None:
    found = ask(engine, " ".join(["budjet"] * 12))
    assert found.suggestion == " ".join(["budget"] * MAX_DOUBTED + ["budjet"] * (12 - MAX_DOUBTED))


def test_quotes_are_the_way_back(engine: Engine) -> None:
    found = ask(engine, '"budjet"')
    assert not found.corrected
    assert found.total == 0


def test_right_words_names_and_acronyms_are_not_doubted(engine: Engine) -> None:
    for typed in ("budget participatif", "Wittenheim", "CCAS", "2024", "Zillisheim"):
        assert ask(engine, typed).suggestion is None


def test_an_expression_written_as_it_is_heard_is_proposed_and_nothing_else_changes(engine: Engine) -> None:
    pages = [page(f"/{n}", "Compte rendu du conseil", "Le fonds de concours est voté.") for n in range(2)]
    heard = engine_over(engine.settings.data / "heard", [*pages, page("/conte", "Conte rendu par une conteuse")])
    found = ask(heard, "fond de concours du conseil")
    assert (found.suggestion, found.corrected) == ("fonds de concours du conseil", False)
    assert ask(heard, "conte rendu").suggestion is None  # a page says it


# --- facets and filters ------------------------------------------------------------------------------------------

_PARAMETER = {"year": "since", "population": "population_min", "source": "site"}


def _choosing(search: Search, name: str, value: str) -> list[tuple[str, str]]:
    """Parameters of the search with this value of a facet chosen instead of what it had chosen there."""
    from elunum.search.request import to_params

    dropped = {name, _PARAMETER.get(name, name)} | ({"until"} if name == "year" else set())
    dropped |= {"population_max"} if name == "population" else set()
    adds = name == "enjeu" and search.combine == "et"
    pairs = [(n, v) for n, v in to_params(search) if n not in dropped or adds]
    if name == "year":
        return [*pairs, ("since", value), ("until", value)]
    if name == "population":
        low, _, high = value.partition("-")
        return [*pairs, ("population_min", low), ("population_max", high)]
    return [*pairs, (_PARAMETER.get(name, name), value)]


Parameters = dict[str, Any]


def _pairs(parameters: Parameters) -> list[tuple[str, str]]:
    return [(n, v) for n, value in parameters.items() for v in (value if isinstance(value, list) else [value])]


TRIED: dict[str, st.SearchStrategy[Any]] = {
    "q": st.sampled_from(
        [
            "budget participatif",
            "commune",
            "compost",
            "projets habitants",
            "budjet",
            '"jury citoyen"',
            "vote OU tri",
            "budget -règlement",
            "compost type:html",
            "enjeu:democratie-locale",
            "-departement:68",
            "date:2024 ville",
        ]
    ),
    "enjeu": st.lists(st.sampled_from(["democratie-locale", "territoire-durable", "emploi"]), max_size=3),
    "combine": st.sampled_from(["et", "ou"]),
    "service": st.sampled_from(["Le budget participatif", "La collecte et la réduction des déchets"]),
    "kind": st.lists(st.sampled_from(["commune", "epci", "etat"]), max_size=2),
    "type": st.lists(st.sampled_from(["html", "pdf"]), max_size=2),
    "lang": st.sampled_from(["fr", "br"]),
    "commune": st.sampled_from(["68278", "59512"]),
    "publisher": st.sampled_from(["commune:68278", "epci:200066009", "www.plateforme.fr/hameau", "commune:01033"]),
    "epci": st.sampled_from(["200066009"]),
    "departement": st.sampled_from(["68", "59"]),
    "region": st.sampled_from(["44", "32"]),
    "since": st.sampled_from(["2022", "2024"]),
    "until": st.sampled_from(["2024-06", "2025"]),
    "population_min": st.sampled_from(["2000", "14000"]),
    "population_max": st.sampled_from(["20000", "300000"]),
    "label": st.sampled_from(["1", "4"]),
    "site": st.sampled_from(["www.rixheim.fr", "gouv.fr", "plateforme.fr/hameau"]),
    "like": st.sampled_from(["68278", "68376", "59512"]),
    "one_per": st.sampled_from(["none", "collectivite"]),
    "sort": st.just("date"),
}
FILTERS = st.fixed_dictionaries({}, optional=TRIED)


def test_the_filters_tried_are_all_there_are() -> None:
    assert {field.name for field in fields(Search)} - {"page", "size"} == TRIED.keys()


@given(FILTERS)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_count_is_what_choosing_that_value_returns(engine: Engine, parameters: Parameters) -> None:
    search = from_params(_pairs(parameters))
    found = engine.search(search)
    for name, values in found.facets.items():
        assert name in FACETS
        for value in values:
            assert value.count > 0
            chosen = from_params(_choosing(search, name, value.value))
            assert engine.search(chosen).documents == value.count, (name, value)


@given(FILTERS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_filters_together_are_what_each_lets_through(engine: Engine, parameters: Parameters) -> None:
    def ids(pairs: list[tuple[str, str]]) -> set[str]:
        return {hit.id for hit in engine.search(from_params([*pairs, ("size", "100")])).hits}

    pairs = _pairs(parameters)
    everything = ids(pairs)
    for name, value in pairs:
        if name not in ("q", "sort", "combine", "enjeu", "kind", "type", "one_per"):
            assert everything <= ids([(name, value)])
    for name in ("kind", "type"):
        if parameters.get(name):
            assert everything <= set.union(*(ids([(name, value)]) for value in parameters[name]))
    enjeux = [ids([("enjeu", slug)]) for slug in parameters.get("enjeu", ())]
    if enjeux:
        assert everything <= (set.union if parameters.get("combine") == "ou" else set.intersection)(*enjeux)


def test_a_territory_finds_its_pages_and_those_about_it(engine: Engine) -> None:
    found = titles(ask(engine, commune="68278", size="50"))
    assert "Arrêté de catastrophe naturelle" in found
    assert "Le budget participatif" in found
    assert "Composter chez soi" not in found
    assert "Composter chez soi" in titles(ask(engine, epci="200066009", size="50"))
    assert "Composteurs partagés" in titles(ask(engine, epci="200066009", size="50"))
    assert ask(engine, departement="68").total == ask(engine, region="44").total == 10


def test_a_publisher_finds_its_own_pages(engine: Engine) -> None:
    found = ask(engine, publisher="epci:200066009")
    assert titles(found) == ["Composter chez soi"]
    assert {hit.publisher for hit in found.hits} == {"epci:200066009"}
    assert titles(ask(engine, publisher="https://www.plateforme.fr/hameau/")) == ["La vie du hameau"]
    assert ask(engine, publisher="commune:01033").total == 0


@pytest.mark.parametrize(
    ("site", "total"),
    [
        ("www.rixheim.fr", 6),
        ("rixheim.fr", 6),
        ("https://rixheim.fr/", 6),
        ("gouv.fr", 2),
        ("plateforme.fr/hameau", 1),
        ("heim.fr", 0),
    ],
)
def test_a_site_is_a_host_a_domain_or_a_part_of_a_shared_host(engine: Engine, site: str, total: int) -> None:
    assert ask(engine, site=site).total == total


def test_a_service_is_offered_once_its_enjeu_is_chosen(engine: Engine) -> None:
    assert "service" not in ask(engine, "budget").facets
    facets = ask(engine, "budget", enjeu="democratie-locale").facets
    assert [(v.value, v.count) for v in facets["service"]] == [("Le budget participatif", 4)]


def test_a_source_is_shown_by_its_name(engine: Engine) -> None:
    labels = {value.value: value.label for value in ask(engine).facets["source"]}
    assert labels["rixheim.fr"] == "Rixheim"
    assert labels["plateforme.fr/hameau"] == "Le Hameau"


# --- comparing ---------------------------------------------------------------------------------------------------


def test_a_source_counts_the_pages_of_the_sites_under_its_domain_as_its_filter_does(tmp_path: Path) -> None:
    addresses = ("https://beta.exemple.fr/", "https://aides.beta.exemple.fr/", "https://aides.beta.exemple.fr/lieux")
    sources = [Source(url, url, "etat") for url in addresses]
    pages = [page(f"/{n}", f"Aide {n}", source=source) for source in sources for n in range(3)]
    engine = engine_over(tmp_path, pages)
    counted = {value.value: value.count for value in ask(engine, "aide").facets["source"]}
    assert counted == {"beta.exemple.fr": 9, "aides.beta.exemple.fr": 6, "aides.beta.exemple.fr/lieux": 3}
    for site, count in counted.items():
        assert ask(engine, "aide", site=site).total == count
    assert dict(engine.pages_by_source()) == dict.fromkeys(counted, 3)


def test_one_result_per_collectivite_counts_the_others(engine: Engine) -> None:
    found = ask(engine, "budget participatif", one_per="collectivite")
    sources = [hit.source.name for hit in found.hits]
    assert len(sources) == len(set(sources)) == found.total
    assert found.documents == ask(engine, "budget participatif").total > found.total
    every = ask(engine, "budget participatif", size="50")
    for hit in found.hits:
        assert hit.others == sum(other.source.name == hit.source.name for other in every.hits) - 1


def test_like_keeps_to_comparable_places_and_says_why(engine: Engine) -> None:
    found = ask(engine, "budget participatif", like="68278")
    assert [hit.source.name for hit in found.hits] == ["Wittenheim"]
    assert "habitants" in found.hits[0].comparable


def test_comparable_places_are_chosen_among_those_that_publish(tmp_path: Path) -> None:
    agen = Source("https://www.agen.fr/", "Agen", "commune", insee="47001", departement="47", region="75")
    assert "47001" not in {peer.territory.code for peer in geo.load().comparables().of("68278", 100)}
    voted = page("/vote", "Budget participatif : le vote", source=agen)
    engine = engine_over(tmp_path, [*PAGES, voted])
    found = ask(engine, "budget participatif", like="68278")
    reasons = {hit.source.name: hit.comparable for hit in found.hits}
    assert reasons.keys() == {"Wittenheim", "Agen"}
    assert "32\u202f801 habitants contre 14\u202f380" in reasons["Agen"]
    beside = engine.collectivite("68278")
    assert beside is not None
    assert [peer.territory.name for peer in beside.peers] == ["Wittenheim", "Agen"]


def test_a_place_of_another_size_is_not_comparable_even_alone(engine: Engine) -> None:
    assert ask(engine, like="75056").total == 0
    assert ask(engine, like="59512").total == 0  # Roubaix: the others have seven times fewer inhabitants


def test_an_intercommunalite_is_shown_beside_its_peers(tmp_path: Path) -> None:
    dijon = Source("https://www.metropole.fr/", "Dijon Métropole", "epci", siren="242100410")
    found = engine_over(tmp_path, [*PAGES, page("/tri", "Le tri", source=dijon)]).collectivite("200066009")
    assert found is not None
    assert [peer.territory.code for peer in found.peers] == ["242100410"]


def test_similar_pages_come_from_elsewhere_without_copies(engine: Engine) -> None:
    id_ = document_id("https://www.rixheim.fr/budget-participatif")
    found = engine.similar(id_)
    assert found is not None
    assert titles(found)[:2] in (
        ["Budget participatif : à vos idées", "Résultats du budget participatif"],
        ["Résultats du budget participatif", "Budget participatif : à vos idées"],
    )
    assert "Rixheim" not in {hit.source.name for hit in found}
    assert "Le budget participatif" not in titles(found)
    assert engine.similar(document_id("https://nulle-part.fr/")) is None


def test_words_without_subject_are_not_marked_in_similar_pages(tmp_path: Path) -> None:
    agen = Source("https://www.agen.fr/", "Agen", "commune", insee="47001", departement="47", region="75")
    here = page("/ici", "Le jardin et le compost de la ville", "Au jardin.")
    engine = engine_over(tmp_path, [here, page("/la", "Compost", "Le compost et le jardin de la ville.", source=agen)])
    (found,) = engine.similar(here.id) or ()
    assert re.findall("<mark>(.*?)</mark>", found.snippet_html) == ["compost", "jardin", "ville"]


def test_a_page_is_not_similar_by_a_word_that_most_pages_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elunum.search.engine.FEW", 2)
    mine = page("/rucher", "Rucher de la commune")
    others = [page(f"/{n}", f"Commune, avis numéro {n}", source=ROUBAIX) for n in range(30)]
    assert engine_over(tmp_path, [mine, *others]).similar(mine.id) == ()


def test_a_collectivite_is_shown_beside_its_peers(engine: Engine) -> None:
    found = engine.collectivite("68376")
    assert found is not None
    assert found.territory.name == "Wittenheim"
    assert found.documents == 2
    assert [peer.territory.name for peer in found.peers] == ["Rixheim"]
    rows = {(row.slug, row.service): (row.here, row.peers) for row in found.mosaic}
    assert rows["democratie-locale", ""] == (1, (1,))
    assert rows["democratie-locale", "Le budget participatif"] == (1, (1,))
    assert rows["territoire-durable", ""] == (0, (1,))
    assert found.newest[0].title == "Budget participatif : à vos idées"
    assert engine.collectivite("00000") is None


def test_the_tree_counts_enjeux_that_stand_together(engine: Engine) -> None:
    tree = {enjeu.slug: enjeu for enjeu in engine.tree()}
    democracy = tree["democratie-locale"]
    assert democracy.count == 4
    assert [(s.service, s.count) for s in democracy.services] == [("Le budget participatif", 4)]
    assert [(t.value, t.count) for t in democracy.together] == [("territoire-durable", 1)]


def test_points_count_results_by_territory(engine: Engine) -> None:
    points = {point.territory.name: point.count for point in engine.points(Search(q="budget participatif"))}
    assert points["Rixheim"] >= 1
    assert points["Roubaix"] >= 2


# --- suggestions -------------------------------------------------------------------------------------------------


def test_suggestions_come_from_titles_enjeux_and_places(engine: Engine) -> None:
    assert ("Démocratie locale", "enjeu") in {(s.text, s.kind) for s in engine.suggest("démo")}
    assert ("Rixheim", "place") in {(s.text, s.kind) for s in engine.suggest("rixh")}
    assert ("Composteurs partagés", "title") in {(s.text, s.kind) for s in engine.suggest("compos")}
    assert "Budget participatif : à vos idées" in {s.text for s in engine.suggest("budget parti")}
    assert engine.suggest("") == ()
    assert engine.suggest("((") == ()


# --- showing -----------------------------------------------------------------------------------------------------


def test_a_hit_says_who_publishes_it_and_where(engine: Engine) -> None:
    hit = engine.hit(document_id("https://www.rixheim.fr/budget-participatif"))
    assert hit is not None
    assert (hit.source.commune, hit.source.departement, hit.source.region) == ("Rixheim", "Haut-Rhin", "Grand Est")
    assert hit.source.population is not None
    assert hit.source.population > 10_000
    assert hit.source.host == "www.rixheim.fr"
    assert [(tag.slug, tag.nom) for tag in hit.enjeux] == [("democratie-locale", "Démocratie locale")]
    assert engine.hit(document_id("https://nulle-part.fr/")) is None


def test_a_page_that_holds_html_is_shown_as_text(engine: Engine) -> None:
    assert "&lt;b&gt;" in ask(engine, "hameau").hits[0].snippet_html


def test_explaining_names_what_made_the_score(engine: Engine) -> None:
    found = engine.search(Search(q="budget participatif"), explain=True)
    explained = found.hits[0].explanation
    assert any("title" in name and value > 0 for name, value in explained)
    values = [value for _, value in explained[:-1]]
    assert values == sorted(values, reverse=True)
    assert not ask(engine, "budget", sort="date").hits[0].explanation


def test_what_is_explained_adds_up_to_every_score(tmp_path: Path) -> None:
    pages = [page(f"/{n}", f"Aide {n}", f"Les aides du {n} mai. {'Aide. ' * (n % 7)}", source=None) for n in range(130)]
    engine = engine_over(tmp_path, [*pages, *PAGES])
    for q, more in (("aide", {}), ("aide ville", {"one_per": "collectivite"}), ('"aide" mai -ville', {"page": "2"})):
        found = engine.search(from_params([("q", q), ("size", "100"), *more.items()]), explain=True)
        for hit in found.hits:
            *signs, (_, factor) = hit.explanation
            assert sum(value for _, value in signs) * factor == pytest.approx(hit.score, abs=0.01)


def test_a_version_of_which_a_file_is_cut_is_not_served(tmp_path: Path) -> None:
    many = [page(f"/{n}", f"Page {n}", "La commune et ses habitants.") for n in range(40)]
    engine = engine_over(tmp_path, [*many, *PAGES])
    version = (engine.settings.index_dir / "current").resolve()
    cut = []
    for path in sorted(version.glob("[pf]*.*")):
        whole = path.read_bytes()
        if len(whole) < 4:
            continue  # nothing to cut: no list is that long
        path.write_bytes(whole[: len(whole) // 8 * 4])
        with pytest.raises(IndexVersionError):
            open_engine(engine.settings)
        cut.append(path.name)
        path.write_bytes(whole)
    assert {"forward.tokens", "postings.rows", "postings.impacts", "postings.dense", "postings.names"} <= set(cut)
    assert ask(open_engine(engine.settings), "budget participatif").total


HOSTILE = st.sampled_from(
    [
        "(" * 500,
        '"' * 300,
        "l'élection",
        "budget AND OR NOT (",
        "[a TO b]",
        "field:^2~",
        "\\",
        "-",
        "--",
        "* ? ~",
        "\x00",
        "commune:" * 40,
        "OU " * 100,
        "-a " * 200,
        '"a b" ' * 100,
        "é" * 999,
        "habitants " * 90,
    ]
)


@given(st.text(max_size=60) | HOSTILE | st.lists(HOSTILE, max_size=3).map(lambda parts: "".join(parts)[:1000]))
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_gets_an_answer_and_every_hit_has_something_of_it(engine: Engine, text: str) -> None:
    found = engine.search(Search(q=text))
    assert len(found.hits) <= 10
    assert found.query == text
    for hit in found.hits:
        assert not re.search(r"<(?!/?mark>)", hit.snippet_html)
    engine.suggest(text)


def test_nothing_typed_is_written_anywhere(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    before = {path: path.stat().st_mtime_ns for path in engine.settings.data.rglob("*") if path.is_file()}
    for typed in ("xylographie", "budjet participatif", "commune:Rixheim xylographie"):
        engine.search(Search(q=typed), explain=True)
        engine.suggest(typed)
    assert "xylographie" not in caplog.text
    after = {path: path.stat().st_mtime_ns for path in engine.settings.data.rglob("*") if path.is_file()}
    assert {p: t for p, t in after.items() if ".sqlite" not in p.name} == {
        p: t for p, t in before.items() if ".sqlite" not in p.name
    }


def test_results_from_ten_places_do_not_depend_on_their_order_in_the_store(tmp_path: Path) -> None:
    pages = [page(f"/{n}", f"Atelier vélo {n}", "réparer son vélo " * n, RIXHEIM) for n in range(1, 9)]
    one = engine_over(tmp_path / "a", pages).search(Search(q="atelier vélo"))
    other = engine_over(tmp_path / "b", reversed(pages)).search(Search(q="atelier vélo"))
    assert {(hit.id, round(hit.score, 4)) for hit in one.hits} == {(hit.id, round(hit.score, 4)) for hit in other.hits}


def test_a_place_without_any_page_is_not_suggested(engine: Engine) -> None:
    assert "place" in {suggestion.kind for suggestion in engine.suggest("Roub")}
    assert "place" not in {suggestion.kind for suggestion in engine.suggest("Quimper")}


# --- signs of the query as a whole -------------------------------------------------------------------------------


@pytest.fixture
def few_pages_teach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Word vectors are learned from a few pages that speak of two subjects."""
    monkeypatch.setattr("elunum.index.vectors.LEAST_PAGES", 40)
    monkeypatch.setattr("elunum.index.vectors.COMMON", 0.6)
    monkeypatch.setattr("elunum.index.vectors.DIMENSIONS", 2)


def _of_two_subjects(count: int) -> list[Document]:
    dogs = ["chien laisse muselière", "laisse promenade chien", "muselière promenade laisse", "chien muselière parc"]
    taxes = ["impôt fiscal déclaration", "déclaration revenu impôt", "revenu fiscal déclaration", "fiscal revenu impôt"]
    return [page(f"/{n}", "Page", f"Sujet : {(dogs if n % 2 else taxes)[n // 2 % 4]}") for n in range(count)]


@pytest.mark.usefixtures("few_pages_teach")
def test_a_page_about_the_subject_comes_before_one_that_has_the_words_alone(tmp_path: Path) -> None:
    others = _of_two_subjects(40)
    pages = [
        page("/a", "Note", "Le timbre, puis la promenade, le parc."),
        page("/b", "Note", "Le timbre, puis la déclaration, le revenu."),
        page("/c", "Note", "Le timbre, puis la muselière, la laisse."),
    ]
    engine = engine_over(tmp_path, [*others, *pages])
    found = engine.search(Search(q="timbre impôt"), explain=True).hits
    assert found[0].url.endswith("/b")
    signs = [dict(hit.explanation) for hit in found[:3]]
    assert signs[0].pop("about") > max(sign.pop("about") for sign in signs[1:])
    assert signs[0] == pytest.approx(signs[1])  # nothing else sets them apart


@pytest.mark.usefixtures("few_pages_teach")
def test_a_page_about_the_subject_is_looked_at_though_many_say_the_words_more(tmp_path: Path) -> None:
    others = _of_two_subjects(160)
    more = [page(f"/plus-{n}", "Note", f"Le timbre, puis la promenade, le parc {n}.") for n in range(CANDIDATES + 20)]
    drowned = page("/b", "Note", "Le timbre, puis la déclaration, le revenu." + " Ensuite la suite." * 9)
    engine = engine_over(tmp_path, [*others, *more, drowned])
    found = engine.search(Search(q="timbre impôt", size=CANDIDATES)).hits
    assert next(hit.url for hit in found if hit.title == "Note") == drowned.url


def test_a_title_of_which_more_was_asked_comes_first(tmp_path: Path) -> None:
    text = "Le centre de tri reçoit le verre."
    pages = [
        page("/1", "Tri, compost, vélos, voirie", text),
        page("/2", "Tri sélectif", text),
        page("/3", "Vélos, tri, voirie, compost", text),
    ]
    engine = engine_over(tmp_path, pages)
    found = engine.search(Search(q="tri"), explain=True).hits
    assert found[0].url.endswith("/2")
    shares = [dict(hit.explanation)["title covered"] for hit in found]
    assert shares[0] == pytest.approx(2 * shares[1])


def test_words_that_stand_in_one_passage_are_worth_more_than_words_far_apart(tmp_path: Path) -> None:
    before, between = (" ".join(f"{word}{n}" for n in range(90)) for word in ("mot", "autre"))
    pages = [
        page("/loin", "Note", f"{before} verre {between} gymnase"),
        page("/pres", "Note", f"{before} {between} gymnase un deux trois quatre cinq six verre"),
    ]
    engine = engine_over(tmp_path, pages)
    found = engine.search(Search(q="verre gymnase"), explain=True).hits
    assert found[0].url.endswith("/pres")
    near, far = (dict(hit.explanation)["passage"] for hit in found)
    assert near == pytest.approx(2 * far, rel=0.01)


def _about_other_things() -> list[Document]:
    """Pages without the words that are looked for, so that those words tell something."""
    return [page(f"/autre-{n}", f"Voirie, dossier {n}", "Le chantier de la rue avance.") for n in range(60)]


def test_words_joined_by_a_hyphen_are_looked_for_together(tmp_path: Path) -> None:
    apart = "La porte, une porte ; on ouvre bien plus loin le grand drapeau, puis deux drapeaux."
    pages = [page(f"/{n}", "Portes de la ville, rues, places et drapeau", apart) for n in range(3)]
    pages.append(page("/un", "Cérémonie", "Un enfant sera porte-drapeau du village cette année."))
    engine = engine_over(tmp_path, [*_about_other_things(), *pages])
    assert ask(engine, "porte-drapeau").hits[0].title == "Cérémonie"
    assert ask(engine, "porte drapeau").hits[0].title != "Cérémonie"


def test_a_known_expression_comes_before_pages_that_have_its_words_apart(tmp_path: Path) -> None:
    apart = "Un tiers, le tiers payant ; on cherche bien plus loin les lieux, un lieu de culte."
    pages = [page(f"/{n}", "Tiers et le choix nouveau de ses lieux", apart) for n in range(3)]
    pages.append(page("/un", "Ouverture", "Un tiers-lieu ouvre ses portes en mai dans la commune."))
    engine = engine_over(tmp_path, [*_about_other_things(), *pages])
    assert ask(engine, "tiers lieux").hits[0].title == "Ouverture"

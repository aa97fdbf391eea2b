"""The geography: exact codes, explicit ambiguity, and who is comparable to whom."""

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elunum import geo
from elunum.model import Source, Territory
from elunum.text import fold

GEO = geo.load()
ALL = GEO.comparables()


def commune(code: str) -> Territory:
    found = GEO.commune(code)
    assert found is not None
    return found


def test_every_commune_of_the_official_code_is_there_once() -> None:
    communes = GEO.all("commune")
    assert len(communes) == 34_963
    assert len({c.code for c in communes}) == 34_963
    assert sum(c.population for c in communes) == pytest.approx(69_000_000, rel=0.02)
    assert (len(GEO.all("epci")), len(GEO.all("departement")), len(GEO.all("region"))) == (1_255, 107, 18)


def test_a_commune_knows_its_place() -> None:
    rixheim = commune("68278")
    assert (rixheim.name, rixheim.departement, rixheim.region, rixheim.postal_codes) == (
        "Rixheim",
        "68",
        "44",
        ("68170",),
    )
    assert 13_000 < rixheim.population < 16_000
    assert rixheim.latitude == pytest.approx(47.75, abs=0.05)
    assert rixheim.longitude == pytest.approx(7.40, abs=0.05)
    assert rixheim.area_km2 == pytest.approx(19.3, rel=0.05)
    assert [t.name for t in GEO.containing(rixheim)] == ["CA Mulhouse Alsace Agglomération", "Haut-Rhin", "Grand Est"]


def test_codes_keep_their_zero_and_their_letter() -> None:
    assert commune("01001").name == "L'Abergement-Clémenciat"
    assert commune("2A004").name == "Ajaccio"
    assert commune("97411").departement == "974"
    assert GEO.commune("1001") is None


def test_every_inhabited_commune_of_a_region_has_coordinates_inside_france() -> None:
    for c in GEO.all("commune"):
        if c.region:
            assert c.latitude is not None, c
            assert c.longitude is not None, c
            if len(c.departement) == 2:
                assert 41.2 < c.latitude < 51.2, c
                assert -5.3 < c.longitude < 9.7, c


def test_membership_is_closed() -> None:
    for c in GEO.all("commune"):
        assert GEO.departement(c.departement) is not None
        assert not c.epci or GEO.epci(c.epci) is not None
        assert not c.region or GEO.region(c.region) is not None
    for kind in ("epci", "departement", "region"):
        for t in GEO.all(kind):
            assert t.population == sum(c.population for c in GEO.communes_of(kind, t.code)), t


@pytest.mark.parametrize("spelling", ["Évry-Courcouronnes", "evry courcouronnes", "EVRY-COURCOURONNES"])
def test_a_name_is_found_with_or_without_accents(spelling: str) -> None:
    assert [t.code for t in GEO.named(spelling)] == ["91228"]


def test_an_ambiguous_name_gives_all_who_bear_it_most_populated_first() -> None:
    found = GEO.named("Saint-Denis")
    assert [t.code for t in found] == ["97411", "93066", "11339", "30247"]
    assert [t.code for t in GEO.named("st denis", "commune")] == [t.code for t in found]


def test_the_kind_of_territory_chooses_between_namesakes() -> None:
    assert {t.kind for t in GEO.named("La Réunion")} == {"departement", "region"} | {
        t.kind for t in GEO.named("La Réunion", "commune")
    }
    assert [t.code for t in GEO.named("Ain", "departement")] == ["01"]


def test_a_missing_article_or_grouping_word_is_forgiven() -> None:
    assert GEO.named("Mans")[0].code == "72181"
    assert GEO.named("Communauté de communes du Pays des Achards", "epci")[0].code == "248500530"
    assert GEO.named("Nowhere-sur-Rien") == ()


def test_names_are_completed_most_populated_first() -> None:
    found = GEO.starting_with("saint-den", 3)
    assert len(found) == 3
    assert all(geo.name_key(t.name).startswith("saint den") for t in found)
    assert [t.population for t in found] == sorted((t.population for t in found), reverse=True)
    assert GEO.starting_with("", 3) == ()
    assert "Le Havre" in [t.name for t in GEO.starting_with("havre", 5)]


def test_a_postal_code_gives_all_its_communes() -> None:
    assert "Rixheim" in [t.name for t in GEO.by_postal_code("68170")]
    assert {t.code for t in GEO.by_postal_code("75001")} == {"75056"}
    assert GEO.by_postal_code("00000") == ()
    assert GEO.by_postal_code("") == ()


def test_a_retired_code_gives_the_commune_of_today() -> None:
    assert commune("93059").code == "93066"
    assert "Vire Normandie" in [t.name for t in GEO.former("Vaudry")]


def test_the_label_of_2019_is_on_225_collectivites() -> None:
    labelled = [t for kind in ("commune", "epci") for t in GEO.all(kind) if t.arobases]
    assert len(labelled) == 225
    assert commune("68278").arobases == 5
    assert {t.arobases for t in labelled} == {1, 2, 3, 4, 5}


def test_the_label_file_agrees_with_the_geography() -> None:
    path = Path(geo.GEOGRAPHY) / "label_2019.tsv"
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            found = GEO.territory(row["kind"], row["code"])
            assert found is not None
            assert found.name == row["name"]


def test_the_territory_of_a_source_is_what_it_speaks_for() -> None:
    town = Source("https://www.rixheim.fr/", "Rixheim", "commune", insee="68278")
    grouping = Source("https://a.fr/", "A", "epci", siren="200066009", departement="68", region="44")
    prefecture = Source("https://www.haut-rhin.gouv.fr/", "Préfecture", "etat", departement="68", region="44")
    assert [t and t.name for t in map(GEO.of_source, (town, grouping, prefecture))] == [
        "Rixheim",
        "CA Mulhouse Alsace Agglomération",
        None,
    ]


def test_comparable_communes_are_of_the_same_size_and_say_why() -> None:
    found = ALL.of("68278", 20)
    assert len(found) == 20
    for c in found:
        assert 2 / 3 <= c.territory.population / commune("68278").population <= 1.5
        assert "habitants" in c.reason
        assert 0 <= c.closeness <= 1
        assert c.territory.code != "68278"
    assert [c.closeness for c in found] == sorted((c.closeness for c in found), reverse=True)


def test_the_reason_of_a_comparison_is_what_makes_it() -> None:
    bourges = next(c for c in ALL.of("68066", 5) if c.territory.name == "Bourges")
    assert bourges.reason == (
        "64\u202f186 habitants contre 66\u202f970, densité semblable (937 hab./km²), préfecture aussi, "
        "en communauté d’agglomération aussi, à 388 km"
    )


@pytest.mark.parametrize("code", ["68278", "75056", "97411", "01001"])
def test_no_closer_commune_of_the_same_size_is_passed_over(code: str) -> None:
    found = ALL.of(code, 10)
    kept = {c.territory.code for c in found}
    peers = {peer.code: peer for peer in GEO._peers["commune"][1]}
    me = peers[code]
    worst = max(me.unlike(peers[other]) for other in kept)
    for peer in peers.values():
        if peer.code != code and peer.code not in kept and 2 / 3 <= peer.population / me.population <= 1.5:
            assert me.unlike(peer) >= worst


def test_nearer_wins_when_all_else_is_equal() -> None:
    best = ALL.of("04113", 3)
    assert best[0].territory.departement == "04"


@pytest.mark.parametrize("code", ["97411", "98735", "2A004", "55039"])
def test_even_the_farthest_and_the_empty_have_comparables(code: str) -> None:
    assert len(ALL.of(code, 10)) == 10


def test_nobody_is_compared_with_another_size_however_few_there_are() -> None:
    assert [c.territory.name for c in ALL.of("75056", 10)] == ["Marseille"]
    assert GEO.comparables({"75056", "59512"}).of("68278") == ()
    assert geo.band(1_300) == (325, 5_200)
    assert geo.band(0) == geo.band(99) == (0, 400)


@given(st.sets(st.sampled_from([c.code for c in GEO.all("commune")[::200]]), max_size=60), st.integers(1, 8))
def test_among_those_that_publish_the_closest_of_its_size_are_chosen(among: set[str], limit: int) -> None:
    me = GEO.commune("26289")
    assert me is not None
    found = GEO.comparables(among).of(me.code, limit)
    fewest, most = geo.band(me.population)
    peers = {peer.code: peer for peer in GEO._peers["commune"][1]}
    of_its_size = [peers[code] for code in among - {me.code} if fewest <= peers[code].population <= most]
    if len(of_its_size) <= limit * 4:  # or else a narrower band is looked at
        best = sorted(of_its_size, key=lambda peer: (peers[me.code].unlike(peer), peer.code))[:limit]
        assert [c.territory.code for c in found] == [peer.code for peer in best]
    assert {c.territory.code for c in found} <= {peer.code for peer in of_its_size}


def test_an_epci_is_compared_with_epci() -> None:
    assert {c.territory.kind for c in ALL.of("200066009", 10)} == {"epci"}
    assert ALL.of("00000") == ()


BEFORE = ("", "Le ", "la ", "L’", "CC du ", "Communauté de communes des ", "Métropole de ", "Eurométropole d’")


def test_no_name_begins_with_a_word_that_begins_none() -> None:
    names = [territory.name for kind in ("commune", "epci", "departement", "region") for territory in GEO.all(kind)]
    for name in (*names[::20], "St Denis", "Ste-Marie", "LOS ANGLES"):
        for typed in (before + name for before in BEFORE):
            if GEO.named(typed):
                assert GEO.begins_a_name(re.split(r"[\s’'-]", typed)[0]), typed
    assert not GEO.begins_a_name("licenciement")
    assert not GEO.begins_a_name("")


@given(st.text(max_size=60))
def test_any_text_is_a_safe_name(text: str) -> None:
    assert geo.name_key(geo.name_key(text)) == geo.name_key(text)
    for t in GEO.named(text):
        assert t.kind in ("commune", "epci", "departement", "region")
    assert len(GEO.starting_with(text, 5)) <= 5


@given(st.text(alphabet=st.sampled_from("aAéÉœŒæÿŸÀçñ-'’_ .İK1stSTße\u0301"), max_size=20))
def test_the_short_way_to_a_name_gives_what_folding_gives(text: str) -> None:
    words = re.sub(r"[\W_]+", " ", fold(text)).split()
    full = {"st": "saint", "ste": "sainte", "sts": "saints", "stes": "saintes"}
    assert geo.name_key(text) == " ".join(full.get(word, word) for word in words)


def test_every_territory_is_found_by_its_own_name() -> None:
    for kind in ("commune", "epci", "departement", "region"):
        for t in GEO.all(kind)[::97]:
            assert t in GEO.named(t.name, kind)

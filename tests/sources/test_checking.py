"""What `elunum sources check` and `stats` say of a list."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elunum.errors import SourceError
from elunum.model import Source
from elunum.settings import CHECKOUT
from elunum.sources import SourceList, check, read, stats, write

HEADER = "url,name,kind,insee,siren,departement,region\n"
LISTED = CHECKOUT / "sources.csv"


def problems(folder: Path, text: str) -> list[tuple[int, str, str]]:
    path = folder / "sources.csv"
    path.write_text(HEADER + text, encoding="utf-8")
    return [(p.line, p.problem, p.remedy) for p in check(path)]


@pytest.mark.parametrize(
    ("line", "problem", "remedy"),
    [
        ("htp://a.fr/,A,autre,,,,", '"htp" is not a scheme', "write https://"),
        ("https://vpn.a.fr/,A,autre,,,,", "infrastructure host", "remove the line"),
        ("https://ww38.a.com/,A,autre,,,,", "parked host", "the domain has lapsed"),
        ("https://www.facebook.com/a,A,autre,,,,", "social network", "write the site of the publisher"),
        ("https://10.0.0.1/,A,autre,,,,", "not a public host", "remove the line"),
        ("https://www.intramuros.org/,A,autre,,,,", "a platform that many publishers share", "with the path"),
        ("https://a.fr/?lang=fr,A,autre,,,,", "the address has a query", "home page"),
        ("https://a.fr/,MÃ©riel,autre,,,,", "wrong encoding", "write Mériel"),
        ("https://a.fr/,A,commune,99999,,,", "no commune has the INSEE code 99999", "correct it"),
        ("https://a.fr/,A,commune,93059,,,", "the INSEE code 93059 is retired", "write 93066 (Saint-Denis)"),
        ("https://a.fr/,A,commune,68278,,67,", "Rixheim is not in département 67", "write 68"),
        ("https://a.fr/,A,commune,68278,,,11", "Rixheim is not in région 11", "write 44"),
        ("https://a.fr/,A,epci,,200066000,,", "no EPCI with a tax of its own has the Siren", "correct it"),
        ("https://a.fr/,A,autre,,217500017,,", "the Siren 217500017 has a wrong digit", "control digit"),
        ("https://a.fr/,A,autre,,,99,", "no département has the code 99", "correct it"),
        ("https://a.fr/,A,autre,,,,99", "no région has the code 99", "correct it"),
        ("https://a.fr/,A,departement,,,,", "a département without its code", "fill the column"),
        ("https://a.fr/,A,region,,,,", "a région without its code", "fill the column"),
    ],
)
def test_each_problem_is_named_by_its_line_with_its_remedy(
    tmp_path: Path, line: str, problem: str, remedy: str
) -> None:
    found = problems(tmp_path, f"https://1.fr/,One,autre,,,,\n{line}\n")
    assert any(n == 3 and problem in p and remedy in r for n, p, r in found), found


def test_twins_and_lines_out_of_order_are_named(tmp_path: Path) -> None:
    found = problems(tmp_path, "https://b.fr/,B,autre,,,,\nhttps://a.fr/,A,autre,,,,\nhttp://www.b.fr/,B,autre,,,,\n")
    assert [(n, p) for n, p, _ in found] == [(3, "not in the order of hosts"), (4, "the same site as line 2")]


def test_a_right_list_has_no_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, "https://www.rixheim.fr/,Rixheim,commune,68278,,68,44\n") == []


def test_line_numbers_count_the_lines_of_a_long_name(tmp_path: Path) -> None:
    found = problems(tmp_path, 'https://a.fr/,"A\nB",autre,,,,\nhtp://b.fr/,B,autre,,,,\n')
    assert [n for n, _, _ in found] == [2, 4]


def test_corrections_by_hand_are_checked_too(tmp_path: Path) -> None:
    (tmp_path / "sources.local.csv").write_text(
        HEADER + "https://z.fr/,Z,autre,,,,\nhttps://vpn.a.fr/,A,autre,,,,\n-https://b.fr/,,,,,,\n"
    )
    assert problems(tmp_path, "") == [
        (3, "in sources.local.csv: infrastructure host", "remove the line: no reader visits it")
    ]


@given(st.binary(max_size=300))
def test_any_bytes_after_the_header_are_checked_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("lists") / "sources.csv"
    path.write_bytes(HEADER.encode() + content)
    try:
        found = check(path)
        sources = read(path)
    except SourceError:
        return
    assert all(problem.line >= 2 for problem in found)
    assert write(sources).decode("utf-8").startswith(HEADER)


# --- the list we publish -----------------------------------------------------------------------------------------


def test_the_published_lists_have_no_problem() -> None:
    assert check(LISTED) == []
    assert check(CHECKOUT / "sources.hand.csv") == []


def test_the_published_list_is_sorted_and_unique_and_holds_the_hand_written_part() -> None:
    sources = read(LISTED)
    assert LISTED.read_bytes() == write(sources)
    by_hand = read(CHECKOUT / "sources.hand.csv")
    assert {source.url for source in by_hand} <= {source.url for source in sources}


def test_the_published_list_covers_france() -> None:
    found = stats(LISTED)
    assert found.sources > 21_500
    assert found.coverage["commune"].with_source > 21_000
    assert found.coverage["commune"].population_share > 0.9
    assert found.coverage["departement"].with_source >= 103
    assert found.coverage["region"].missing == ()
    assert sum(found.by_kind.values()) == sum(found.by_region.values()) == found.sources
    assert len(found.coverage["epci"].missing) == 20


@pytest.mark.parametrize(
    "url",
    [
        "https://www.ademe.fr/x",
        "https://anct.gouv.fr/",
        "https://www.cerema.fr/",
        "https://www.cnil.fr/fr/",
        "https://www.banquedesterritoires.fr/",
        "https://www.cnfpt.fr/",
        "https://www.amf.asso.fr/",
        "https://www.amrf.fr/",
        "https://www.apvf.asso.fr/",
        "https://www.villesdefrance.fr/",
        "https://www.villes-internet.net/",
        "https://departements.fr/",
        "https://www.fnccr.asso.fr/",
        "https://www.interieur.gouv.fr/",
        "https://www.haut-rhin.gouv.fr/",
        "https://www.paris.fr/",
        "https://www.intramuros.org/begues",
    ],
)
def test_the_large_public_bodies_are_listed(url: str) -> None:
    assert PUBLISHED.match(url) is not None


PUBLISHED = SourceList(read(LISTED))


def test_the_register_is_searched_by_words_and_places() -> None:
    found, total = PUBLISHED.search("saint denis", kind="commune", size=10)
    assert total >= 4
    assert len(found) <= 10
    assert all("saint" in source.name.lower() or "st" in source.url for source in found)
    only, _ = PUBLISHED.search("rixheim", departement="68")
    assert [source.insee for source in only] == ["68278"]
    assert PUBLISHED.search("", region="44", size=1)[1] > 2_000
    assert PUBLISHED.search("zzzzzz") == ([], 0)


def test_the_whole_list_is_found_page_by_page() -> None:
    pages = [PUBLISHED.search("", kind="departement", page=n, size=30)[0] for n in (1, 2, 3, 4, 5)]
    names = [source.name for page in pages for source in page]
    assert len(names) == len(set(names)) == PUBLISHED.search("", kind="departement")[1]


def test_stats_read_corrections_by_hand(tmp_path: Path) -> None:
    (tmp_path / "sources.csv").write_text(HEADER)
    (tmp_path / "sources.local.csv").write_bytes(
        write([Source("https://www.paris.fr/", "Paris", "commune", "75056", "", "75", "11")])
    )
    found = stats(tmp_path / "sources.csv")
    assert (found.sources, found.joined, found.coverage["commune"].with_source) == (1, 1, 1)
    assert found.coverage["departement"].with_source == 1  # the town is the département too

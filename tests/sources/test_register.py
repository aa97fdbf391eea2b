"""sources.csv: what is read, what is refused with its line, and whose page is whose."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elunum.errors import SourceError
from elunum.model import Source
from elunum.sources import SourceList, key_of, local_path, read, write

HEADER = "url,name,kind,insee,siren,departement,region\n"


def listed(folder: Path, text: str, header: str = HEADER) -> Path:
    path = folder / "sources.csv"
    path.write_text(header + text, encoding="utf-8")
    return path


def test_a_line_is_a_source(tmp_path: Path) -> None:
    path = listed(tmp_path, 'https://www.rixheim.fr,"Rixheim, ville",commune,68278,,68,44\n')
    assert read(path) == [Source("https://www.rixheim.fr/", "Rixheim, ville", "commune", "68278", "", "68", "44")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("htp://a.fr/,A,commune,,,,", '"htp" is not a scheme; write https://'),
        ("www.a.fr,A,commune,,,,", '"www.a.fr" has no scheme; write https:// before it'),
        ("mairie@a.fr,A,commune,,,,", "is an e-mail address"),
        ("https://a.fr/,A,town,,,,", 'kind "town" is unknown; write one of commune, epci'),
        ("https://a.fr/,A,commune,1001,,,", 'insee "1001" is not a code; write five characters'),
        ("https://a.fr/,A,epci,,12,,", 'siren "12" is not a code; write nine digits'),
        ("https://a.fr/,A,departement,,,1,", "departement"),
        ("https://,A,commune,,,,", "is not a web address"),
    ],
)
def test_a_bad_line_is_named_with_its_remedy(tmp_path: Path, line: str, said: str) -> None:
    path = listed(tmp_path, "https://b.fr/,B,commune,,,,\n" + line + "\n")
    with pytest.raises(SourceError) as refused:
        read(path)
    assert str(refused.value).startswith("sources.csv line 3: ")
    assert said in str(refused.value)


def test_a_missing_file_a_wrong_header_and_a_wrong_encoding_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="correct the path"):
        read(tmp_path / "none.csv")
    with pytest.raises(SourceError, match="line 1: the header lacks"):
        read(listed(tmp_path, "https://a.fr/,A\n", header="address,title\n"))
    (tmp_path / "old.csv").write_bytes(HEADER.encode() + "https://a.fr/,Évry,commune,,,,\n".encode("cp1252"))
    with pytest.raises(SourceError, match="line 2: not UTF-8"):
        read(tmp_path / "old.csv")


def test_corrections_by_hand_win(tmp_path: Path) -> None:
    path = listed(tmp_path, "http://www.a.fr/,Old,autre,,,,\nhttps://b.fr/,B,autre,,,,\n")
    local_path(path).write_text(
        HEADER + "https://a.fr/,New,commune,68278,,,\n-https://www.b.fr/,,,,,,\nhttps://c.fr/,C,autre,,,,\n"
    )
    assert [(s.url, s.name) for s in read(path)] == [("https://a.fr/", "New"), ("https://c.fr/", "C")]


def test_twins_are_one_source_and_the_first_line_wins(tmp_path: Path) -> None:
    path = listed(tmp_path, "https://www.a.fr/,One,autre,,,,\nhttp://a.fr/,Two,autre,,,,\n")
    assert [s.name for s in read(path)] == ["One"]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    sources = [
        Source("https://a.fr/", 'L\'"A", été', "commune", "01001", "", "01", "84"),
        Source("https://b.fr/x", "B", "epci", siren="200066009"),
    ]
    path = tmp_path / "sources.csv"
    path.write_bytes(write(reversed(sources)))
    assert read(path) == sources
    assert write(read(path)) == path.read_bytes()


LIST = SourceList(
    [
        Source("https://www.a.fr/", "A", "commune"),
        Source("https://www.platform.org/begues", "Bègues", "commune"),
        Source("https://platform.org/begues/school/", "École", "education"),
        Source("https://xn--vry-9la.fr/", "Évry", "commune"),
    ]
)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://a.fr/page?x=1", "A"),
        ("https://www.a.fr/", "A"),
        ("HTTPS://WWW.A.FR:443", "A"),
        ("https://b.a.fr/", None),
        ("https://platform.org/begues", "Bègues"),
        ("https://platform.org/begues/actualites", "Bègues"),
        ("https://platform.org/begues?page=2", "Bègues"),
        ("https://platform.org/begues-le-haut", None),
        ("https://platform.org/", None),
        ("https://platform.org/begues/school/a/b", "École"),
        ("https://platform.org/begues/schools", "Bègues"),
        ("https://évry.fr/x", "Évry"),
        ("mailto:a@a.fr", None),
        ("", None),
    ],
)
def test_a_page_belongs_to_the_longest_key_by_whole_segments(url: str, name: str | None) -> None:
    found = LIST.match(url)
    assert (found.name if found else None) == name


@given(st.text(max_size=80))
def test_any_text_can_be_matched_and_searched(text: str) -> None:
    LIST.match(text)
    LIST.search(text)


def test_sources_are_found_by_words_kind_and_page() -> None:
    assert [s.name for s in LIST.search("begu")[0]] == ["Bègues", "École"]
    assert [s.name for s in LIST.search("platform", kind="education")[0]] == ["École"]
    assert [s.name for s in LIST.search("évry")[0]] == ["Évry"]
    found, total = LIST.search("", page=2, size=3)
    assert ([s.name for s in found], total) == (["Évry"], 4)


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://www.a.fr/", "a.fr"),
        ("http://a.fr/x/", "a.fr/x"),
        ("https://www.www.fr/", "www.fr"),
        ("https://a.fr:8080/", "a.fr:8080"),
    ],
)
def test_the_key_is_the_host_then_the_path(url: str, key: str) -> None:
    assert key_of(url) == key

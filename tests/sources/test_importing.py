"""Foreign lists: every format met, merged without losing what was known."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elunum.errors import SourceError
from elunum.model import Source
from elunum.sources import SourceList, import_files, local_path, read
from elunum.sources.formats import listing


def kept(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def imported(folder: Path, name: str, content: str | bytes) -> dict[str, Source]:
    into = folder / "sources.csv"
    into.unlink(missing_ok=True)
    import_files([kept(folder, name, content)], into)
    return {source.url: source for source in read(into)}


SEMICOLONS = (
    "Nom de la commune;code_insee;Site internet\nRixheim;68278;www.rixheim.fr\nMériel;95392;https://ville-meriel.fr\n"
)


@pytest.mark.parametrize(
    "content",
    [
        SEMICOLONS.encode(),
        b"\xef\xbb\xbf" + SEMICOLONS.encode(),
        SEMICOLONS.encode("cp1252"),
        SEMICOLONS.encode("utf-16"),
        SEMICOLONS.replace(";", ",").encode(),
        SEMICOLONS.replace(";", "\t").encode(),
        SEMICOLONS.replace("\n", "\r\n").encode(),
    ],
    ids=["utf-8", "bom", "cp1252", "utf-16", "commas", "tabs", "crlf"],
)
def test_a_table_is_read_whatever_its_clothes(tmp_path: Path, content: bytes) -> None:
    found = imported(tmp_path, "list.csv", content)
    assert found["https://www.rixheim.fr/"] == Source(
        "https://www.rixheim.fr/", "Rixheim", "commune", "68278", "", "68", "44"
    )
    assert found["https://ville-meriel.fr/"].insee == "95392"


def test_names_read_in_the_wrong_encoding_are_mended(tmp_path: Path) -> None:
    found = imported(
        tmp_path,
        "list.csv",
        "nom,url,type\nThéâtre du Modèle,https://theatre-modele.fr,autre\n".encode().decode("cp1252"),
    )
    assert found["https://theatre-modele.fr/"].name == "Théâtre du Modèle"


def test_guessed_columns_are_shown_and_can_be_mapped(tmp_path: Path) -> None:
    path = kept(tmp_path, "list.csv", "qui;ou\nLe Modèle;www.le-modele.fr\n")
    with pytest.raises(SourceError, match="say which with --column url=NAME"):
        import_files([path], tmp_path / "sources.csv")
    assert not (tmp_path / "sources.csv").exists()
    report = import_files([path], tmp_path / "sources.csv", columns={"url": "ou", "name": "qui"})
    assert report.columns == {"list.csv": {"url": "ou", "name": "qui"}}
    assert [s.name for s in read(tmp_path / "sources.csv")] == ["Le Modèle"]
    with pytest.raises(SourceError, match="no column is named"):
        import_files([path], tmp_path / "sources.csv", columns={"url": "nowhere"})
    with pytest.raises(SourceError, match="not one of ours"):
        import_files([path], tmp_path / "sources.csv", columns={"address": "ou"})


@pytest.mark.parametrize(
    "shape",
    [
        lambda rows: json.dumps(rows),
        lambda rows: json.dumps({"service": rows, "count": 2}),
        lambda rows: "\n".join(json.dumps(row) for row in rows),
        lambda rows: json.dumps({"type": "FeatureCollection", "features": [{"properties": row} for row in rows]}),
    ],
    ids=["list", "object", "lines", "geojson"],
)
def test_json_is_read_in_its_usual_shapes(tmp_path: Path, shape: object) -> None:
    assert callable(shape)
    rows = [
        {
            "nom": "Mairie - Rixheim",
            "pivot": [{"type_service_local": "mairie", "code_insee_commune": ["68278"]}],
            "site_internet": [{"libelle": "", "valeur": "https://www.rixheim.fr"}],
            "code_insee_commune": "68278",
        },
        {
            "nom": "Trésorerie - Rixheim",
            "pivot": [{"type_service_local": "tresorerie", "code_insee_commune": ["68278"]}],
            "site_internet": [{"libelle": "", "valeur": "https://www.impots-modele.gouv.fr"}],
            "code_insee_commune": "68278",
        },
    ]
    found = imported(tmp_path, "directory.json", shape(rows))
    assert (found["https://www.rixheim.fr/"].kind, found["https://www.rixheim.fr/"].insee) == ("commune", "68278")
    office = found["https://www.impots-modele.gouv.fr/"]
    assert (office.kind, office.insee, office.departement) == (
        "etat",
        "",
        "68",
    )  # it stands in Rixheim, it is not Rixheim


def test_a_site_that_every_branch_gives_as_its_own_belongs_to_no_place(tmp_path: Path) -> None:
    rows = [
        {
            "nom": f"Trésorerie {n}",
            "pivot": "tresorerie",
            "url": "https://www.impots-modele.gouv.fr",
            "departement": f"{n:02}",
        }
        for n in (1, 2, 3)
    ]
    (source,) = imported(tmp_path, "d.json", json.dumps(rows)).values()
    assert (source.name, source.departement, source.region) == ("impots-modele.gouv.fr", "", "")


def test_a_site_that_several_communes_give_is_their_grouping_s(tmp_path: Path) -> None:
    members = "insee,url\n68278,https://notre-agglo-modele.fr\n68224,https://notre-agglo-modele.fr/accueil\n"
    (source,) = imported(tmp_path, "list.csv", members).values()
    assert (source.kind, source.siren, source.insee) == ("epci", "200066009", "")
    strangers = "insee,url\n68278,https://pages-modele.fr\n35238,https://pages-modele.fr\n"
    (source,) = imported(tmp_path, "list.csv", strangers).values()
    assert (source.kind, source.siren, source.insee) == ("autre", "", "")


def test_twins_become_one_source_at_the_better_address(tmp_path: Path) -> None:
    into = tmp_path / "sources.csv"
    report = import_files(
        [
            kept(
                tmp_path,
                "urls.txt",
                "http://modele-a.fr\nhttps://www.modele-a.fr\nhttp://www.modele-b.fr\nhttps://Modèle-c.fr\nhttp://xn--modle-c-4xa.fr\n",
            )
        ],
        into,
    )
    assert [s.url for s in read(into)] == [
        "https://www.modele-a.fr/",
        "http://www.modele-b.fr/",
        "https://xn--modle-c-4xa.fr/",
    ]
    assert (report.read, report.new, report.twins) == (5, 3, 2)


def test_a_list_by_kind_gives_its_kind(tmp_path: Path) -> None:
    into = tmp_path / "sources.csv"
    import_files(
        [
            kept(
                tmp_path,
                "urls.txt",
                "https://modele-sante.fr\nhttps://prefecture.modele.gouv.fr\nhttps://lycee-modele.fr\n",
            ),
            kept(tmp_path, "hopitaux.txt", "modele-sante.fr\n"),
        ],
        into,
    )
    assert {s.url: s.kind for s in read(into)} == {
        "https://modele-sante.fr/": "sante",
        "https://prefecture.modele.gouv.fr/": "etat",
        "https://lycee-modele.fr/": "education",
    }


def test_a_host_is_joined_to_the_commune_it_names(tmp_path: Path) -> None:
    found = imported(tmp_path, "urls.txt", "https://www.mairie-rixheim.fr\nhttps://www.saint-denis.fr\n")
    rixheim = found["https://www.mairie-rixheim.fr/"]
    assert (rixheim.kind, rixheim.name, rixheim.insee, rixheim.region) == ("commune", "Rixheim", "68278", "44")
    assert found["https://www.saint-denis.fr/"].insee == ""


@pytest.mark.parametrize(
    ("code", "insee"), [("1004", "01004"), ("01004.0", "01004"), ("93059", "93066"), ("99999", "")]
)
def test_a_code_a_spreadsheet_or_a_merger_spoilt_is_mended(tmp_path: Path, code: str, insee: str) -> None:
    (source,) = imported(tmp_path, "list.csv", f"url,insee\nhttps://un-modele-quelconque.fr,{code}\n").values()
    assert source.insee == insee


def test_the_report_tells_new_changed_unchanged_gone_and_rejected(tmp_path: Path) -> None:
    into = kept(
        tmp_path,
        "sources.csv",
        "url,name,kind,insee,siren,departement,region\n"
        "http://a-modele.fr/,A,autre,,,,\nhttps://b-modele.fr/,B,autre,,,,\nhttps://c-modele.fr/,C,autre,,,,\n",
    )
    lists = kept(
        tmp_path,
        "urls.txt",
        "https://a-modele.fr\nhttps://b-modele.fr\nhttps://d-modele.fr\nx@y.fr\nhttps://vpn.y.fr\n",
    )
    report = import_files([lists], into)
    assert (report.sources, report.new, report.changed, report.unchanged, report.gone) == (4, 1, 1, 1, 1)
    assert report.rejected == {"e-mail address": 1, "infrastructure host": 1}
    assert [(r.line, r.value) for r in report.rejections] == [(4, ""), (5, "https://vpn.y.fr")]
    assert [s.name for s in read(into)] == ["A", "B", "C", "d-modele.fr"]
    again = import_files([lists], into)
    assert (again.new, again.changed, again.unchanged) == (0, 0, 3)
    assert import_files([lists], into, replace_all=True).sources == 3


def test_what_was_corrected_by_hand_wins_and_is_never_written(tmp_path: Path) -> None:
    into = tmp_path / "sources.csv"
    local = kept(
        tmp_path,
        "sources.local.csv",
        "url,name,kind,insee,siren,departement,region\nhttps://a-modele.fr/,Ours,association,,,,\n-https://b-modele.fr/,,,,,,\n",
    )
    assert local == local_path(into)
    before = local.read_bytes()
    import_files([kept(tmp_path, "communes.txt", "a-modele.fr\nb-modele.fr\nc-modele.fr\n")], into)
    assert local.read_bytes() == before
    assert [(s.name, s.kind) for s in read(into)] == [("Ours", "association"), ("c-modele.fr", "commune")]
    assert SourceList(read(into)).match("https://b-modele.fr/") is None


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", b'{"a": [', "not JSON"),
        ("a.json", b"[" * 100_000, "not JSON"),
        ("a.csv", b"MZ\x00\x00\x01", "not a text"),
        ("a.json", b'[{"nom": "x"}]', "no column is known to hold addresses"),
    ],
)
def test_a_file_that_is_no_list_stops_the_import_with_nothing_written(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    into = tmp_path / "sources.csv"
    with pytest.raises(SourceError, match=re.escape(said)):
        import_files([kept(tmp_path, name, content)], into)
    assert not into.exists()


def test_a_bad_line_of_our_own_list_stops_the_import(tmp_path: Path) -> None:
    into = kept(tmp_path, "sources.csv", "url,name,kind\nnope,A,autre\n")
    before = into.read_bytes()
    with pytest.raises(SourceError, match=r"sources\.csv line 2"):
        import_files([kept(tmp_path, "urls.txt", "https://a-modele.fr\n")], into)
    assert into.read_bytes() == before


def test_a_domain_list_whose_names_are_domains_is_understood(tmp_path: Path) -> None:
    content = "name,http_status,https_status,SIREN,type,sources\nmodele-sur-mer.fr,200 OK,200 OK,217500016,Commune,x\n"
    (source,) = imported(tmp_path, "domains.csv", content).values()
    assert (source.url, source.kind, source.siren) == ("https://modele-sur-mer.fr/", "commune", "217500016")


def test_a_name_cannot_become_a_formula(tmp_path: Path) -> None:
    (source,) = imported(tmp_path, "l.csv", 'url,name\nhttps://a-modele.fr,"=HYPERLINK(""x"")"\n').values()
    assert not source.name.startswith("=")


def test_a_list_without_header_is_plain_addresses(tmp_path: Path) -> None:
    path = kept(tmp_path, "urls.txt", "https://a-modele.fr,https://b-modele.fr\n# a comment\n\nc-modele.fr\n")
    assert [row.cells["url"] for row in listing(path).rows] == [
        "https://a-modele.fr,https://b-modele.fr",
        "c-modele.fr",
    ]


@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(alphabet=st.sampled_from('url,;"\n{}[]:a.fr http'), max_size=80).map(str.encode),
    )
)
def test_any_bytes_are_imported_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("lists")
    into = folder / "sources.csv"
    try:
        report = import_files([kept(folder, "list", content)], into)
    except SourceError:
        assert not into.exists()
    else:
        assert len(read(into)) == report.sources == report.new

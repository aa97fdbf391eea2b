"""A version is asked before it is served: each kind of known question can forbid it, and says what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from elunum.errors import SettingsError
from elunum.index.build import build, read_about
from elunum.index.documents import Documents
from elunum.model import Search
from elunum.search.checks import check_of, read_judged
from elunum.search.engine import Engine
from elunum.settings import Settings
from tests.search.pages import PAGES, RIXHEIM, STATE, fill, page


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(data=tmp_path)
    fill(made)
    return made


def judging(settings: Settings, *lines: str) -> Settings:
    path = settings.data / "judged.csv"
    path.write_text("\n".join(("query,url,relevance", *lines)), encoding="utf-8")
    return settings.model_copy(update={"index": settings.index.model_copy(update={"judged": path})})


def test_a_version_that_answers_is_served(settings: Settings) -> None:
    judged = judging(settings, "compostage,https://www.rixheim.fr/compost,3", "tri,https://www.rixheim.fr/guide.pdf,2")
    report = build(judged, check=check_of(judged))
    assert report.problems == ()
    assert report.swapped


def test_a_version_that_loses_the_page_of_a_judged_query_is_not_served(settings: Settings) -> None:
    judged = judging(
        settings,
        "compostage,https://www.rixheim.fr/compost,3",
        "compostage,https://www.rixheim.fr/ecole,1",
        "tri des déchets,https://www.rixheim.fr/guide.pdf,3",
    )
    served = build(judged, check=check_of(judged)).version
    with Documents(settings.documents_path) as documents:
        documents.remove(PAGES[2].id)
    report = build(judged, check=check_of(judged))
    assert not report.swapped
    assert report.problems[0].startswith("1 of 2 judged queries find their page among the first ten")
    assert "judged.csv" in report.problems[0]
    assert "index.floor" in report.problems[0]
    assert read_about(judged).version == served
    assert Engine(judged).search(Search(q="compostage")).hits[0].title == "Composteurs partagés"
    lower = judged.model_copy(update={"index": judged.index.model_copy(update={"floor": 0.5})})
    assert build(lower, check=check_of(lower)).swapped


def test_an_index_that_lacks_what_the_store_holds_does_not_find_its_titles(settings: Settings) -> None:
    build(settings)
    assert list(check_of(settings)("current")) == []
    fill(settings, [page(f"/n{n}", f"Sylvothérapie au parc numéro {n}") for n in range(60)])
    (problem,) = check_of(settings)("current")
    assert "pages are found by their title" in problem
    assert "report this as a bug" in problem


def test_an_index_where_sites_do_not_answer_to_their_name_is_told(settings: Settings) -> None:
    renamed = replace(RIXHEIM, name="Maison des aulnes")
    other = replace(STATE, name="Office des tilleuls")
    pages = [*PAGES, page("/", "Portail", "Les démarches.", STATE)]
    fill(settings, pages)
    build(settings)
    assert list(check_of(settings)("current")) == []
    fill(settings, [replace(one, source=renamed) for one in pages if one.source == RIXHEIM])
    assert list(check_of(settings)("current")) == []  # one odd name among three
    fill(settings, [replace(one, source=other) for one in pages if one.source == STATE])
    (problem,) = check_of(settings)("current")
    assert "sites are found by their name" in problem


def test_many_pages_of_many_sources_lost_at_once_are_not_served(settings: Settings) -> None:
    towns = [replace(RIXHEIM, url=f"https://ville{n}.fr/", name=f"Ville {n}") for n in range(6)]
    pages = [page(f"/{n}", f"Page {n} de {town.name}", source=town) for town in towns for n in range(25)]
    fill(settings, pages)
    served = build(settings).version
    with Documents(settings.documents_path) as documents:
        for gone in pages[:48]:
            documents.remove(gone.id)
    report = build(settings)
    assert not report.swapped
    assert report.lost == ("ville0.fr: 25 -> 0", "ville1.fr: 25 -> 2")
    assert "2 sources lost most of their 50 documents (ville0.fr: 25 -> 0, ville1.fr: 25 -> 2)" in report.problems[0]
    assert "elunum index --full" in report.problems[0]
    assert read_about(settings).version == served
    assert build(settings, full=True).swapped


def test_a_source_that_is_only_renamed_is_not_lost(settings: Settings) -> None:
    many = [page(f"/p{n}", f"Page numéro {n}") for n in range(150)]
    fill(settings, many)
    build(settings)
    fill(settings, [replace(one, source=replace(RIXHEIM, name="Ville de Rixheim")) for one in [*many, *PAGES[:6]]])
    report = build(settings)
    assert report.swapped
    assert report.lost == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("question,page\n", "line 1: the columns are query, url"),
        ("query,url\ntri,\n", "line 2"),
        ("query,url,relevance\ntri,https://a.fr/,très\n", "line 2"),
    ],
)
def test_judged_queries_that_cannot_be_read_are_refused_by_line(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "judged.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=said):
        read_judged(path)
    with pytest.raises(SettingsError, match=r"absent\.csv"):
        read_judged(tmp_path / "absent.csv")


def test_the_best_answers_of_a_query_are_those_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "judged.csv"
    path.write_text("query,url,relevance\ntri,a,1\ntri,b,3\ntri,c,3\nrien,d,0\n", encoding="utf-8")
    assert read_judged(path) == {"tri": ("b", "c")}
    path.write_text("query,url\ntri,a\ntri,b\n", encoding="utf-8")
    assert read_judged(path) == {"tri": ("a", "b")}

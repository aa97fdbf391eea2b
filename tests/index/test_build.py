"""The life of index versions: built aside, checked, swapped whole, rolled back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from elunum.errors import IndexVersionError
from elunum.index import build as room
from elunum.index.build import build, read_about, rollback, versions
from elunum.index.documents import Documents
from elunum.model import Link, Search
from elunum.search.engine import open_engine
from elunum.settings import IndexSettings, Settings
from tests.conftest import CHECKOUT
from tests.search.pages import PAGES, RIXHEIM, fill, page


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(data=tmp_path, index=IndexSettings(keep=2, memory_mb=15))
    fill(made)
    return made


def _segments(settings: Settings) -> set[int]:
    """The inodes of the engine's segment files in the served version."""
    folder = settings.index_dir / "current" / "tantivy"
    return {file.stat().st_ino for file in folder.iterdir() if file.suffix in (".idx", ".pos", ".store", ".term")}


def test_a_build_serves_every_document_and_says_what_it_did(settings: Settings) -> None:
    report = build(settings)
    assert (report.documents, report.added, report.removed, report.full, report.swapped) == (17, 17, 0, True, True)
    about = read_about(settings)
    assert (about.version, about.documents, about.sources) == (report.version, 17, 7)
    assert about.last_fetched_at is not None
    assert open_engine(settings).info().documents == 17


def test_nothing_new_builds_nothing(settings: Settings) -> None:
    first = build(settings)
    again = build(settings)
    assert (again.version, again.added, again.swapped) == (first.version, 0, False)
    assert again.problems == ()
    assert versions(settings) == [first.version]


def test_the_pages_of_a_host_are_weighed_again_when_more_hosts_link_to_it_and_no_others_are(settings: Settings) -> None:
    named = [replace(RIXHEIM, url=f"https://{name}.fr/", name=name) for name in "abc"]
    fill(settings, [page(f"/{n}", f"Sujet {n}", "Un sujet.", source) for source in named for n in range(3)])
    build(settings)
    assert room.read_levels(settings.index_dir / "current") == {}
    fill(settings, [page("/", "Liens", "Des liens.", named[0], links=(Link("https://b.fr/1", "Le sujet"),))])
    report = build(settings)
    assert room.read_levels(settings.index_dir / "current") == {"b.fr": 5}
    assert report.added == 1 + 3  # the page that changed, and those of the host it links to
    assert open_engine(settings).search(Search(q="sujet")).total == 9
    assert [hit.source.host for hit in open_engine(settings).search(Search(q="sujet")).hits[:3]] == ["b.fr"] * 3


def test_a_change_does_not_rewrite_the_rest(settings: Settings) -> None:
    fill(settings, [page(f"/p{n}", f"Page {n}", "Une page parmi beaucoup d’autres. " * 20) for n in range(200)])
    build(settings)
    before = _segments(settings)
    fill(settings, [replace(PAGES[2], title="Composteurs de quartier")])
    with Documents(settings.documents_path) as documents:
        documents.remove(PAGES[3].id)
    report = build(settings)
    assert (report.added, report.removed, report.full) == (1, 1, False)
    assert before <= _segments(settings)
    engine = open_engine(settings)
    assert engine.search(Search(q="composteurs quartier")).hits[0].title == "Composteurs de quartier"
    assert engine.hit(PAGES[3].id) is None
    assert engine.info().documents == 216


def test_a_version_half_of_which_is_gone_is_written_anew(settings: Settings) -> None:
    pages = [page(f"/p{n}", f"Page {n}", "Une page parmi d’autres.") for n in range(40)]
    fill(settings, pages)
    build(settings)
    for turn in range(3):
        fill(settings, [replace(one, title=f"{one.title}, corrigée") for one in pages[turn * 10 : turn * 10 + 10]])
        assert not build(settings).full
    assert room._gone(settings.index_dir / "current") == 30
    fill(settings, [replace(PAGES[2], title="Composteurs de quartier")])
    report = build(settings)
    assert (report.full, report.documents) == (True, 57)
    assert room._gone(settings.index_dir / "current") == 0


def test_links_that_stay_the_same_are_not_followed_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    named = [replace(RIXHEIM, url=f"https://{name}.fr/", name=name) for name in "ab"]
    linking = page("/", "Liens", "Des liens.", named[0], links=(Link("https://b.fr/1", "Le sujet"),))
    fill(settings, [linking, page("/1", "Sujet", "Un sujet.", named[1])])
    build(settings)
    monkeypatch.setattr("elunum.index.links.centrality", lambda _: pytest.fail("followed again"))
    fill(settings, [replace(linking, title="D’autres mots"), page("/2", "Autre sujet", "Un sujet.", named[1])])
    assert build(settings).added == 2
    assert room.read_levels(settings.index_dir / "current") == {"b.fr": 5}


def test_the_vocabulary_is_that_of_the_pages_that_are_left(settings: Settings) -> None:
    fill(settings, [page("/rare", "Zythologie municipale", "La zythologie et le houblonnage. " * 3)])
    build(settings)
    assert room.read_vocabulary(settings.index_dir / "current")["zythologie"] == 4
    fill(settings, [replace(PAGES[2], title="Lombricomposteurs"), page("/nouveau", "Sylvothérapie")])
    with Documents(settings.documents_path) as documents:
        documents.remove(page("/rare", "").id)
    assert not build(settings).full
    step_by_step = (settings.index_dir / "current" / "words.tsv").read_bytes()
    assert b"zythologie" not in step_by_step
    assert b"lombricomposteurs" in step_by_step
    build(settings, full=True)
    assert (settings.index_dir / "current" / "words.tsv").read_bytes() == step_by_step


def test_changes_leave_the_previous_version_as_it_was(settings: Settings) -> None:
    build(settings)
    engine = open_engine(settings)
    fill(settings, [replace(PAGES[0], title="Tout autre titre")])
    build(settings)
    rollback(settings)
    assert engine.search(Search(q="rixheim")).hits[0].title == "Ville de Rixheim"


def test_a_copy_is_not_a_result_and_leaves_when_it_becomes_one(settings: Settings) -> None:
    build(settings)
    fill(settings, [replace(PAGES[1], copy_of=PAGES[0].id)])
    assert build(settings).documents == 16


def test_a_new_version_is_served_without_opening_again(settings: Settings) -> None:
    build(settings)
    engine = open_engine(settings)
    assert engine.search(Search(q="aquaponie")).total == 0
    fill(settings, [page("/aquaponie", "Aquaponie municipale")])
    build(settings)
    assert engine.search(Search(q="aquaponie")).total == 1
    rollback(settings)
    assert engine.search(Search(q="aquaponie")).total == 0


def test_only_so_many_versions_are_kept_and_the_served_one_always_is(settings: Settings) -> None:
    built = []
    for n in range(4):
        fill(settings, [page(f"/n{n}", f"Nouvelle {n}")])
        built.append(build(settings).version)
    assert versions(settings) == built[-2:]
    assert read_about(settings).version == built[-1]


def test_rolling_back_without_a_previous_version_is_refused(settings: Settings) -> None:
    build(settings)
    with pytest.raises(IndexVersionError, match="elunum index --full"):
        rollback(settings)


def test_after_a_rollback_the_next_build_catches_up(settings: Settings) -> None:
    build(settings)
    fill(settings, [page("/un", "Première nouveauté")])
    build(settings)
    rollback(settings)
    fill(settings, [page("/deux", "Seconde nouveauté")])
    report = build(settings)
    assert report.swapped
    assert open_engine(settings).search(Search(q="nouveauté")).total == 2


def test_no_index_yet_is_said_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(IndexVersionError, match="run `elunum index`"):
        open_engine(Settings(data=tmp_path))


def test_an_index_of_another_version_is_refused_with_the_command_and_rebuilt(settings: Settings) -> None:
    build(settings)
    path = settings.index_dir / "current" / "about.json"
    about = msgspec.json.decode(path.read_bytes(), type=room.About)
    path.write_bytes(msgspec.json.encode(replace(about, format=0)))
    with pytest.raises(IndexVersionError, match="elunum index --full"):
        open_engine(settings)
    assert build(settings).full
    assert open_engine(settings).info().documents == 17


def test_an_index_made_with_other_names_of_enjeux_is_made_again(settings: Settings) -> None:
    build(settings)
    path = settings.index_dir / "current" / "about.json"
    about = msgspec.json.decode(path.read_bytes(), type=room.About)
    path.write_bytes(msgspec.json.encode(replace(about, referentiel_version="older", names="older")))
    assert build(settings).full


def test_another_referentiel_writes_only_the_documents_it_tags_otherwise(settings: Settings) -> None:
    build(settings)
    path = settings.index_dir / "current" / "about.json"
    about = msgspec.json.decode(path.read_bytes(), type=room.About)
    path.write_bytes(msgspec.json.encode(replace(about, referentiel_version="older")))
    report = build(settings)
    assert (report.full, report.added, report.swapped) == (False, 0, True)
    served = open_engine(settings).info()
    assert served.referentiel_version == about.referentiel_version
    assert served.documents == about.documents
    assert not build(settings).swapped


def test_documents_begun_anew_are_indexed_anew(settings: Settings) -> None:
    build(settings)
    for file in settings.data.glob("documents.sqlite*"):
        file.unlink()
    fill(settings, [*PAGES[:5], page("/neuf", "Tout neuf")])
    report = build(settings)
    assert (report.full, report.documents) == (True, 6)


def test_a_version_that_lost_half_of_the_documents_is_not_served(settings: Settings) -> None:
    many = [page(f"/p{n}", f"Page numéro {n}") for n in range(150)]
    fill(settings, many)
    before = build(settings).version
    with Documents(settings.documents_path) as documents:
        for document in many:
            documents.remove(document.id)
    report = build(settings)
    assert not report.swapped
    assert "elunum index --full" in report.problems[0]
    assert read_about(settings).version == before
    assert build(settings, full=True).swapped


def test_a_source_that_vanished_is_named(settings: Settings) -> None:
    fill(settings, [page(f"/p{n}", f"Page numéro {n}", source=RIXHEIM) for n in range(60)])
    build(settings)
    with Documents(settings.documents_path) as documents:
        for document in list(documents):
            if document.source == RIXHEIM:
                documents.remove(document.id)
        for n in range(60):
            documents.put(page(f"/autre{n}", f"Autre page {n}", source=PAGES[6].source))
    report = build(settings)
    assert report.swapped
    assert report.lost == ("rixheim.fr: 66 -> 0",)


BUILD_OFTEN = """
import sys
from pathlib import Path
from elunum.index.build import build
from elunum.settings import Settings
from tests.search.pages import fill, page
settings = Settings(data=Path(sys.argv[1]))
for number in range(10_000):
    if sys.argv[2] == "changes":
        fill(settings, [page("/compteur", f"Compteur {number}")])
    build(settings, full=sys.argv[2] == "full")
"""


@pytest.mark.parametrize(("what", "pause"), [("full", 0.9), ("full", 1.7), ("changes", 1.1), ("changes", 1.9)])
def test_a_build_killed_at_any_moment_leaves_a_whole_index(settings: Settings, what: str, pause: float) -> None:
    fill(settings, [page("/compteur", "Compteur")])
    build(settings)
    process = subprocess.Popen(
        [sys.executable, "-c", BUILD_OFTEN, str(settings.data), what],
        cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )
    time.sleep(pause)
    process.send_signal(signal.SIGKILL)
    process.wait()
    engine = open_engine(settings)
    assert engine.info().documents == 18
    assert engine.search(Search(q="budget participatif")).total >= 4
    assert engine.search(Search(q="compteur")).total == 1
    build(settings)
    assert build(settings, full=True).swapped
    assert len(versions(settings)) == 2


def test_answers_go_on_during_swaps(settings: Settings) -> None:
    build(settings)
    engine = open_engine(settings)
    stop = threading.Event()
    wrong: list[object] = []

    def ask() -> None:
        while not stop.is_set():
            try:
                if engine.search(Search(q="budget participatif")).total < 4:
                    wrong.append("lost results")
            except Exception as error:
                wrong.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    for _ in range(6):
        build(settings, full=True)
    stop.set()
    asking.join()
    assert wrong == []


def test_the_lines_under_a_title_repeat_neither_the_title_nor_the_date(settings: Settings) -> None:
    title = "Un verger partagé"
    text = f"Accueil > Projets > {title}\n{title}\nPublié le 3 mars 2024\nLes habitants plantent un verger partagé."
    fill(settings, [page("/verger", title, text)])
    build(settings)
    (hit, *_) = open_engine(settings).search(Search(q="verger partagé")).hits
    assert hit.snippet_html.startswith("Les habitants plantent")

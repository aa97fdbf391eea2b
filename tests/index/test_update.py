"""Archive -> documents store."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from elunum.index import update as updating
from elunum.index.build import build
from elunum.index.documents import Documents
from elunum.index.update import update
from elunum.model import Gone, Page, Record, Source, Unchanged
from elunum.search.engine import open_engine
from elunum.settings import ExtractSettings, Settings
from elunum.sources import SourceList
from elunum.urls import document_id
from tests.index.web import NIGHT, PROSE, add, archived, dump, html, page, stored
from tests.installation import Installation

RIXHEIM = Source("https://www.rixheim.fr/", "Ville de Rixheim", "commune", insee="68278", departement="68")
ETAT = Source("https://www.exemple.gouv.fr/", "État", "etat")
SOURCES = SourceList([RIXHEIM, ETAT])


def test_an_archived_page_becomes_a_document_with_everything_about_it(tmp_path: Path) -> None:
    text = PROSE + "\nPublié le 3 mai 2026"
    settings = archived(
        tmp_path,
        [
            page("https://www.rixheim.fr/budget", html("Budget participatif", text)),
            page("https://www.rixheim.fr/", html("Rixheim", around='<a href="/budget">Votez pour vos projets</a>')),
        ],
    )
    report = update(settings, SOURCES)
    assert (report.read, report.extracted, report.documents, report.complete) == (2, 2, 2, True)
    found = stored(settings)["https://www.rixheim.fr/budget"]
    assert found.title == "Budget participatif"
    assert PROSE in found.text
    assert (found.lang, str(found.date), found.source) == ("fr", "2026-05-03", RIXHEIM)
    assert found.places == ("commune:68278",)
    assert found.anchors == ("Votez pour vos projets",)
    assert "democratie-locale" in {tag.slug for tag in found.enjeux}
    assert found.fetched_at == NIGHT


def test_a_page_of_no_source_keeps_its_host_for_name(tmp_path: Path) -> None:
    settings = archived(tmp_path, [page("http://ailleurs.fr/a/b", html("Ailleurs"))])
    update(settings, SOURCES)
    assert stored(settings)["http://ailleurs.fr/a/b"].source == Source("https://ailleurs.fr/", "ailleurs.fr", "autre")


def test_nothing_is_done_twice_and_unchanged_pages_are_only_seen_again(tmp_path: Path) -> None:
    settings = archived(tmp_path, [page("https://a.fr/x", html("Un"))])
    update(settings, SOURCES)
    later = NIGHT + timedelta(days=1)
    add(settings, [Unchanged("https://a.fr/x", later), Unchanged("https://a.fr/jamais-vu", later)])
    report = update(settings, SOURCES)
    assert (report.read, report.unchanged, report.extracted, report.changed) == (2, 2, 0, 0)
    assert stored(settings)["https://a.fr/x"].fetched_at == later
    assert update(settings, SOURCES).read == 0


def test_the_day_a_page_was_first_seen_outlives_its_changes(tmp_path: Path) -> None:
    x = page("https://a.fr/x", html("Un"))
    settings = archived(tmp_path, [page("https://a.fr/x", html("Deux"), minutes=10), x])
    update(settings, SOURCES)
    add(settings, [page("https://a.fr/x", html("Trois"), minutes=20)])
    update(settings, SOURCES)
    found = stored(settings)["https://a.fr/x"]
    assert (found.title, found.first_seen, found.fetched_at) == ("Trois", NIGHT, NIGHT + timedelta(minutes=20))


def test_pages_that_are_gone_leave_and_come_back_when_they_come_back(tmp_path: Path) -> None:
    x = page("https://a.fr/x", html("Un"))
    settings = archived(tmp_path, [x], [Gone("http://a.fr/x", "410", NIGHT + timedelta(days=1))])
    report = update(settings, SOURCES)
    assert (report.removed, report.documents) == (1, 0)
    add(settings, [replace(x, fetched_at=NIGHT + timedelta(days=2))])
    assert update(settings, SOURCES).documents == 1


@pytest.mark.parametrize("status", [301, 404, 500])
def test_an_answer_that_is_no_success_is_counted_and_replaces_what_was_there(tmp_path: Path, status: int) -> None:
    settings = archived(
        tmp_path, [page("https://a.fr/x", html("Un")), page("https://a.fr/x", html("Rien"), minutes=5, status=status)]
    )
    report = update(settings, SOURCES)
    assert (report.skipped, report.documents) == ({"not a success": 1}, 0)


def test_http_and_https_are_one_page_and_the_newest_record_wins_wherever_it_stands(tmp_path: Path) -> None:
    old, new = page("http://a.fr/x", html("Ancien")), page("https://a.fr/x", html("Nouveau"), minutes=1)
    for n, batches in enumerate(([[old, new]], [[new, old]], [[new], [old]])):
        settings = archived(tmp_path / str(n), *batches)
        update(settings, SOURCES)
        assert [d.title for d in stored(settings).values()] == ["Nouveau"]


def site(host: str, count: int, around: str) -> list[Page]:
    return [
        page(
            f"https://{host}/{n}",
            f"<title>Page {n}</title><main><h1>Page {n}</h1>"
            f"<p>{PROSE[:n]} Ce que dit la page {n} de sa propre voix.</p><p>{PROSE[n:]}</p>{around}</main>",
            minutes=n,
        )
        for n in range(count)
    ]


AROUND = "<div>Nos partenaires de toujours</div><div>Tous droits réservés à la commune</div>"


def test_what_a_site_repeats_on_most_pages_never_reaches_the_text(tmp_path: Path) -> None:
    settings = archived(tmp_path, site("a.fr", 8, AROUND))
    update(settings, SOURCES)
    documents = stored(settings)
    assert len(documents) == 8
    for document in documents.values():
        assert "de sa propre voix" in document.text
        assert document.around == ()
        assert "droits réservés" not in document.text
        assert "partenaires" not in document.text


def test_what_only_a_few_pages_share_stays(tmp_path: Path) -> None:
    settings = archived(tmp_path, [*site("a.fr", 3, AROUND), *site("a.fr", 8, "")[3:]])
    update(settings, SOURCES)
    assert "droits réservés" in stored(settings)["https://a.fr/1"].text


def test_three_pages_say_what_a_small_site_repeats_and_two_do_not(tmp_path: Path) -> None:
    settings = archived(tmp_path, site("a.fr", 3, AROUND), site("b.fr", 2, AROUND))
    update(settings, SOURCES)
    assert "droits réservés" not in stored(settings)["https://a.fr/1"].text
    assert "droits réservés" in stored(settings)["https://b.fr/1"].text


def test_a_page_under_several_addresses_is_not_taken_for_what_its_site_repeats(tmp_path: Path) -> None:
    pages = [page(f"https://a.fr/x?vue={n}", html("Un"), minutes=n) for n in range(6)]
    settings = archived(tmp_path, [*pages, page("https://a.fr/y", html("Deux", PROSE[9:]))])
    report = update(settings, SOURCES)
    assert (report.documents, report.skipped, report.copies) == (7, {}, 5)


def test_a_sheet_copied_by_small_sites_that_surround_it_each_in_its_way_is_shown_once(tmp_path: Path) -> None:
    sheet = f"<h1>Carte d'identité</h1><p>{PROSE}</p><p>{PROSE[60:]}</p>"
    boxes = {
        "a.fr": "<div>En un clic</div><div>Menus des cantines</div><div>Déchèterie</div><div>Numéros utiles</div>",
        "b.fr": "<div>À la une</div><div>Les travaux de la rue haute</div><div>La lettre du maire</div>",
        "c.fr": "<div>Écouter</div><div>Imprimer</div><div>Envoyer à un ami</div><div>Agrandir le texte</div>",
    }
    pages = []
    for host, box in boxes.items():
        pages += [
            page(f"https://{host}/carte", f"<title>Carte d'identité</title>{sheet}<div>{box * 3}</div>"),
            page(f"https://{host}/a", f"<title>A</title><p>Ici {host}, une page.</p><div>{box * 3}</div>"),
            page(f"https://{host}/b", f"<title>B</title><p>Et là {host}, une autre.</p><div>{box * 3}</div>"),
        ]
    settings = archived(tmp_path, pages)
    update(settings, SOURCES)
    found = stored(settings)
    assert found["https://a.fr/carte"].copies == ("https://b.fr/carte", "https://c.fr/carte")


@pytest.mark.parametrize("trail", ["Accueil > Cadre de vie", "Vous êtes ici : Accueil » Vie", "ACCUEIL / Mairie"])
def test_a_breadcrumb_that_does_not_say_it_is_one_is_not_text(tmp_path: Path, trail: str) -> None:
    settings = archived(tmp_path, [page("https://a.fr/x", f"<title>Un</title><div>{trail}</div><p>{PROSE}</p>")])
    update(settings, SOURCES)
    assert stored(settings)["https://a.fr/x"].text == PROSE


def test_a_repeated_heading_stays_above_text_of_its_own(tmp_path: Path) -> None:
    pages = [
        page(
            f"https://a.fr/{n}",
            f"<title>Startup {n}</title><main><h2>Le problème</h2><p>Ici le {n}. {PROSE}</p>"
            "<h2>Suivez-nous</h2><p>Sur les réseaux</p></main>",
        )
        for n in range(8)
    ]
    settings = archived(tmp_path, pages)
    update(settings, SOURCES)
    for document in stored(settings).values():
        assert document.text.startswith("Le problème\nIci le ")
        assert "Suivez" not in document.text


def test_a_page_that_holds_nothing_of_its_own_is_no_document(tmp_path: Path) -> None:
    settings = archived(tmp_path, [*site("a.fr", 8, AROUND), page("https://a.fr/vide", f"<title>V</title>{AROUND}")])
    report = update(settings, SOURCES)
    assert (report.skipped, report.documents) == ({"nothing of its own": 1}, 8)


def records() -> list[Record]:
    """A web with everything that could depend on order: repeated lines, links, copies, twins, removals."""
    pages: list[Record] = [
        *site("a.fr", 8, AROUND + '<a href="http://b.fr/1">La page de B</a>'),
        *site("b.fr", 7, AROUND),
    ]
    pages += [page(f"https://c{n}.fr/copie", html("Carte d'identité", PROSE * 2), minutes=n) for n in range(4)]
    pages += [page("https://www.exemple.gouv.fr/carte", html("Carte d'identité", PROSE * 2), minutes=30)]
    pages += [page("http://a.fr/2", html("Deux, bis"), minutes=90), Gone("https://b.fr/6", "404", NIGHT + timedelta(1))]
    pages += [Unchanged("https://a.fr/1", NIGHT + timedelta(2)), page("https://a.fr/404", b"", minutes=3)]
    return pages


def test_the_whole_archive_read_again_gives_the_same_documents_byte_for_byte(tmp_path: Path) -> None:
    settings = archived(tmp_path, records()[:10])
    update(settings, SOURCES)
    for start in range(10, len(records()), 5):
        add(settings, records()[start : start + 5])
        update(settings, SOURCES)
    night_after_night = dump(settings)
    report = update(settings, SOURCES, full=True)
    assert report.extracted >= 19
    assert dump(settings) == night_after_night
    assert report.changed == 0
    elsewhere = archived(tmp_path / "elsewhere", records())
    update(elsewhere, SOURCES)
    assert dump(elsewhere) == night_after_night


def test_the_order_of_records_does_not_matter(tmp_path: Path) -> None:
    expected = archived(tmp_path / "in order", records())
    update(expected, SOURCES)
    shuffled = records()
    random.Random(7).shuffle(shuffled)
    settings = archived(tmp_path / "shuffled", shuffled[:12], shuffled[12:], workers=2)
    update(settings, SOURCES)
    assert dump(settings) == dump(expected)


def test_documents_that_are_in_no_archive_any_more_leave_when_all_is_read_again(tmp_path: Path) -> None:
    settings = archived(tmp_path, [page("https://a.fr/x", html("Un"))], [page("https://a.fr/y", html("Deux"))])
    update(settings, SOURCES)
    min(settings.archive_dir.glob("*.warc.gz")).unlink()
    update(settings, SOURCES, full=True)
    assert set(stored(settings)) == {"https://a.fr/y"}


def test_it_stops_when_asked_and_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updating, "BATCH", 4)
    expected = archived(tmp_path / "whole", records())
    update(expected, SOURCES)
    settings = archived(tmp_path / "stopped", records())
    runs = 0
    while not update(settings, SOURCES, stop=lambda: True).complete:
        runs += 1
    assert runs > 5
    assert dump(settings) == dump(expected)


def test_killed_at_any_moment_it_goes_on_and_ends_with_the_same_documents(tmp_path: Path) -> None:
    expected = archived(tmp_path / "whole", records())
    update(expected, SOURCES)
    settings = archived(tmp_path / "killed", records())
    program = (
        "import sys; from pathlib import Path; from elunum.index import update as u;"
        "from elunum.settings import Settings; from elunum.sources import SourceList, read; u.BATCH = 3;"
        "u.update(Settings(data=Path(sys.argv[1])), SourceList(read(Path(sys.argv[2]))))"
    )
    listed = tmp_path / "sources.csv"
    listed.write_text(
        "url,name,kind,insee,siren,departement,region\n"
        "https://www.rixheim.fr/,Ville de Rixheim,commune,68278,,68,\nhttps://www.exemple.gouv.fr/,État,etat,,,,\n"
    )
    draw = random.Random(3)
    for _ in range(4):
        run = subprocess.Popen([sys.executable, "-c", program, str(settings.data), str(listed)])
        time.sleep(draw.uniform(1.0, 3.0))
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
    update(settings, SOURCES)
    assert dump(settings) == dump(expected)


def test_a_new_list_of_sources_changes_the_documents_it_concerns_alone(tmp_path: Path) -> None:
    settings = archived(tmp_path, [page("https://a.fr/x", html("Un")), page("https://b.fr/x", html("Deux", PROSE[9:]))])
    update(settings, SOURCES)
    a = Source("https://a.fr/", "Ville d'Agen", "commune", insee="47001", departement="47")
    report = update(settings, SourceList([*SOURCES, a]))
    assert (report.extracted, report.changed) == (0, 1)
    assert stored(settings)["https://a.fr/x"].places == ("commune:47001",)


def test_a_change_of_tagger_redoes_tags_and_nothing_else(tmp_path: Path) -> None:
    settings = archived(tmp_path, [page("https://a.fr/x", html("Budget participatif"))])
    update(settings, SOURCES)
    before = stored(settings)["https://a.fr/x"]
    corrected = settings.model_copy(update={"sources": tmp_path / "sources.csv"})
    (tmp_path / "enjeux.local.csv").write_text("url,enjeu,decision\na.fr,democratie-locale,forbid\n")
    report = update(corrected, SOURCES)
    assert (report.read, report.extracted, report.changed) == (0, 0, 1)
    after = stored(settings)["https://a.fr/x"]
    assert "democratie-locale" not in {tag.slug for tag in after.enjeux}
    assert replace(after, enjeux=before.enjeux) == before


def test_a_change_of_extractor_reads_the_whole_archive_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = archived(tmp_path, [page("https://a.fr/x", html("Un")), page("https://a.fr/y", html("Deux", PROSE[9:]))])
    update(settings, SOURCES)
    monkeypatch.setattr(updating, "EXTRACTOR", "another")
    report = update(settings, SOURCES)
    assert (report.extracted, report.documents) == (2, 2)
    with Documents(settings.documents_path) as documents:
        made_by = documents.db.execute("select distinct extractor from documents").fetchall()
        assert [extractor.split()[0] for (extractor,) in made_by] == ["another"]


def test_a_page_that_ends_its_worker_is_counted_and_does_not_come_back_until_it_changes(tmp_path: Path) -> None:
    deadly = html("Un", "<b><i>a</i></b>" * 500_000)
    settings = archived(tmp_path, [page("https://a.fr/x", deadly), page("https://a.fr/y", html("Deux"))])
    limits = ExtractSettings(workers=1, timeout_s=0.8, max_html_bytes=50_000_000)
    settings = settings.model_copy(update={"extract": limits})
    assert update(settings, SOURCES).skipped == {"worker timed out": 1}
    assert set(stored(settings)) == {"https://a.fr/y"}
    add(settings, [Unchanged("https://a.fr/x", NIGHT + timedelta(days=1))])
    again = update(settings, SOURCES)
    assert (again.read, again.unchanged, again.skipped, again.extracted) == (1, 1, {}, 0)
    add(settings, [page("https://a.fr/x", html("Un"), minutes=3000)])
    assert update(settings, SOURCES).extracted == 1
    assert stored(settings)["https://a.fr/x"].title == "Un"


@pytest.mark.parametrize("version", ["places", "tagger", "referentiel"])
def test_what_another_version_made_is_made_again_and_nothing_else(tmp_path: Path, version: str) -> None:
    settings = archived(tmp_path, [page("https://www.rixheim.fr/x", html("Budget participatif"))])
    update(settings, SOURCES)
    right = stored(settings)["https://www.rixheim.fr/x"]
    assert right.places
    assert right.enjeux
    # What was not made again keeps what no run would give.
    marked = replace(right, size=1, places=("commune:01001",), enjeux=())
    with Documents(settings.documents_path) as documents:
        documents.put(marked)
        documents.db.execute(f"update documents set {version} = 'of before'")
    report = update(settings, SOURCES)
    assert (report.read, report.extracted, report.changed) == (0, 0, 1)
    expected = replace(marked, places=right.places) if version == "places" else replace(marked, enjeux=right.enjeux)
    assert stored(settings)["https://www.rixheim.fr/x"] == expected
    assert update(settings, SOURCES).changed == 0


def test_a_page_published_on_many_sites_is_shown_once_by_the_source_of_authority(tmp_path: Path) -> None:
    settings = archived(tmp_path, records())
    report = update(settings, SOURCES)
    shown = stored(settings)["https://www.exemple.gouv.fr/carte"]
    assert shown.copies == tuple(f"https://c{n}.fr/copie" for n in range(4))
    assert shown.copy_of is None
    assert {stored(settings)[url].copy_of for url in shown.copies} == {shown.id}
    assert report.copies == sum(document.copy_of is not None for document in stored(settings).values()) >= 4
    add(settings, [Gone(shown.url, "410", NIGHT + timedelta(days=3))])
    update(settings, SOURCES)
    assert stored(settings)["https://c0.fr/copie"].copies == tuple(f"https://c{n}.fr/copie" for n in (1, 2, 3))


def test_a_page_is_no_anchor_for_itself_and_empty_links_say_nothing(tmp_path: Path) -> None:
    links = '<a href="/x">Moi-même</a><a href="/y">Lire la suite</a><a href="/y#a">https://a.fr/y</a>'
    settings = archived(tmp_path, [page("https://a.fr/x", html("Un", around=links)), page("https://a.fr/y", html("Y"))])
    update(settings, SOURCES)
    assert not any(document.anchors for document in stored(settings).values())
    assert document_id("https://a.fr/x") in {document.id for document in stored(settings).values()}


def test_a_correction_by_host_path_or_address_survives_rebuilds_and_redoes_only_tags(tmp_path: Path) -> None:
    records = [
        page("https://a.fr/budget/x", html("Budget participatif")),
        page("https://a.fr/y", html("Budget participatif", "Le vote du soir réunit tout le village. " * 9)),
        page("https://b.fr/z", html("Horaires", "Ouvert chaque matin, sauf le lundi, au premier étage. " * 9)),
    ]
    settings = archived(tmp_path, records).model_copy(update={"sources": tmp_path / "sources.csv"})

    def tagged() -> dict[str, set[str]]:
        build(settings)
        engine = open_engine(settings)
        hits = {record.url: engine.hit(document_id(record.url)) for record in records}
        return {url: {tag.slug for tag in hit.enjeux} for url, hit in hits.items() if hit}

    update(settings, SOURCES)
    before = tagged()
    assert "democratie-locale" in before["https://a.fr/budget/x"] & before["https://a.fr/y"]
    (tmp_path / "enjeux.local.csv").write_text(
        "url,enjeu,decision\na.fr/budget,democratie-locale,forbid\na.fr,sante,force\nhttps://b.fr/z,emploi,force\n"
    )
    report = update(settings, SOURCES)
    assert (report.read, report.extracted) == (0, 0)
    after = tagged()
    assert "democratie-locale" not in after["https://a.fr/budget/x"]
    assert "democratie-locale" in after["https://a.fr/y"]
    assert "sante" in after["https://a.fr/budget/x"] & after["https://a.fr/y"]
    assert "emploi" in after["https://b.fr/z"]
    # From the archive again, to an index made afresh: the file decides as before.
    update(settings, SOURCES, full=True)
    build(settings, full=True)
    assert tagged() == after
    (tmp_path / "enjeux.local.csv").unlink()
    assert update(settings, SOURCES).extracted == 0
    assert tagged() == before


def test_the_archive_of_a_night_imported_elsewhere_gives_the_same_documents_byte_for_byte(
    installation: Installation, tmp_path: Path
) -> None:
    files = [str(path) for path in sorted(installation.data.glob("archive/*.warc.gz"))]
    crawled = dump(Settings(data=installation.data))
    assert len(crawled) > 150
    for workers in ("1", "3"):
        aside = installation.aside(tmp_path / workers, ELUNUM_EXTRACT_WORKERS=workers)
        aside.run("import", *files)
        aside.run("index", "--full")
        assert dump(Settings(data=aside.data)) == crawled

"""Night after night: what is asked again, what is kept, what leaves."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from elunum.archive import compact
from elunum.crawl import links
from elunum.index.build import build
from elunum.index.update import update
from elunum.model import Gone, Page, Search, Source, Unchanged
from elunum.search.engine import open_engine
from elunum.settings import ArchiveSettings
from elunum.sources import SourceList
from tests.crawl.conftest import Nights
from tests.web.server import LISTS, Answer, Asked, Reply, Site, conditional, page, sites

Begin = Callable[[Answer], Nights]
HTML = {"Content-Type": "text/html"}
XML = {"Content-Type": "application/xml"}


def sitemap(*urls: str, lastmod: str = "") -> Reply:
    """A sitemap of addresses of a.fr."""
    dated = f"<lastmod>{lastmod}</lastmod>" if lastmod else ""
    rows = "".join(f"<url><loc>http://a.fr{url}</loc>{dated}</url>" for url in urls)
    return Reply(
        body=f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{rows}</urlset>'.encode(), headers=XML
    )


def with_etags(answer: Answer) -> Answer:
    """The same web with validators."""

    def conditionally(asked: Asked) -> Reply | None:
        reply = answer(asked)
        return reply and conditional(reply, asked)

    return conditionally


def statuses(night: Nights, target: str) -> list[int]:
    return [asked.status for asked in night.web.seen if asked.target == target]


def test_the_second_night_transfers_no_unchanged_body(nights: Begin) -> None:
    web = {"/": page("accueil", "/b"), "/b": page("deux"), "/sitemap.xml": sitemap("/c"), "/c": page("trois")}
    night = nights(with_etags(sites({"a.fr": web})))
    assert night("a.fr").new == 3
    night.clock.days(0.96)
    report = night("a.fr")
    assert (report.new, report.changed, report.unchanged) == (0, 0, 3)
    assert {statuses(night, target)[-1] for target in web} == {304}
    assert [type(record) for record in night.records()] == [Page] * 3 + [Unchanged] * 3


def test_a_server_that_only_dates_its_pages_is_asked_since_that_date(nights: Begin) -> None:
    modified = "Fri, 02 Jan 2026 03:04:05 GMT"

    def answer(asked: Asked) -> Reply | None:
        if asked.target in LISTS:
            return None
        if asked.headers.get("if-modified-since") == modified:
            return Reply(304)
        return page("accueil", **{"Last-Modified": modified})

    night = nights(answer)
    assert night("a.fr").new == 1
    night.clock.days(1)
    assert night("a.fr").unchanged == 1
    assert statuses(night, "/") == [200, 304]


def test_unchanged_pages_are_not_extracted_and_what_is_gone_leaves_the_next_index(nights: Begin) -> None:
    web = {
        "/": page("accueil", "/b", "/c", "/d"),
        "/b": page("Budget participatif de la commune"),
        "/c": page("Cantine scolaire et ses tarifs"),
        "/d": page("Déchetterie intercommunale"),
    }
    night = nights(with_etags(sites({"a.fr": web})))
    settings, listed = night.settings(), SourceList([Source("http://a.fr/", "a.fr", "commune")])

    def found() -> set[str]:
        return {hit.url for hit in open_engine(settings).search(Search(q="site:a.fr")).hits}

    night("a.fr")
    assert update(settings, listed).extracted == 4
    build(settings)
    assert found() == {f"http://a.fr{path}" for path in web}
    web["/c"], web["/d"] = Reply(410), page("Déchetterie", head=NOINDEX)
    night.clock.days(1)
    night("a.fr")
    report = update(settings, listed)
    assert (report.extracted, report.unchanged, report.removed) == (0, 2, 2)
    build(settings)
    assert found() == {"http://a.fr/", "http://a.fr/b"}


def test_a_crawl_right_after_another_asks_nothing(nights: Begin) -> None:
    night = nights(sites({"a.fr": {"/": page("accueil", "/b"), "/b": page("deux")}}))
    night("a.fr")
    asked = len(night.web.seen)
    report = night("a.fr")
    assert len(night.web.seen) == asked
    assert report.finished
    assert report.new == 0


def test_everything_is_asked_again_when_the_operator_sets_no_delay(nights: Begin) -> None:
    night = nights(with_etags(sites({"a.fr": {"/": page("accueil", "/b"), "/b": page("deux")}})))
    night("a.fr")
    assert night("a.fr", revisit_min_days=0).unchanged == 2
    assert night("a.fr", revisit_min_days=0).unchanged == 2


def test_the_same_bytes_and_the_same_text_are_no_change(nights: Begin) -> None:
    tokens = iter(range(100))
    web: Site = {
        "/": page("accueil", "/jeton"),
        "/jeton": lambda asked: page("formulaire", head=f'<script>token="{next(tokens)}"</script>'),
    }
    night = nights(sites({"a.fr": web}))
    night("a.fr")
    night.clock.days(1)
    report = night("a.fr")
    assert (report.changed, report.unchanged) == (0, 2)


def test_a_changed_text_is_kept_again_with_its_new_links(nights: Begin) -> None:
    texts = iter([page("un"), page("deux", "/neuf")])
    web: Site = {"/": lambda asked: next(texts), "/neuf": page("neuf")}
    night = nights(sites({"a.fr": web}))
    night("a.fr")
    night.clock.days(1)
    report = night("a.fr")
    assert (report.changed, report.new) == (1, 1)


def test_a_page_that_never_changes_is_visited_less_and_less_up_to_a_month(nights: Begin) -> None:
    night = nights(with_etags(sites({"a.fr": {"/": page("accueil", "/b"), "/b": page("deux")}})))
    visited = []
    for day in range(100):
        before = len(statuses(night, "/b"))
        night("a.fr")
        if len(statuses(night, "/b")) > before:
            visited.append(day)
        night.clock.days(1)
    gaps = [after - before for before, after in pairwise(visited)]
    assert gaps[:4] == sorted(gaps[:4])
    assert gaps[0] == 1
    assert 25 <= max(gaps) <= 30


def test_a_page_that_changes_every_day_is_visited_every_day(nights: Begin) -> None:
    versions = iter(range(100))
    web: Site = {"/": page("accueil", "/b"), "/b": lambda asked: page(f"version {next(versions)}")}
    night = nights(sites({"a.fr": web}))
    for _ in range(6):
        night("a.fr")
        night.clock.days(1)
    assert len(statuses(night, "/b")) == 6


def test_a_newer_date_in_the_sitemap_brings_a_page_back_early(nights: Begin) -> None:
    web: dict[str, Reply] = {
        "/": page("accueil"),
        "/b": page("deux"),
        "/sitemap.xml": sitemap("/b", lastmod="2020-01-01"),
    }
    night = nights(sites({"a.fr": web}))
    for _ in range(4):
        night("a.fr")
        night.clock.days(1)
    before = len(statuses(night, "/b"))
    night("a.fr")
    assert len(statuses(night, "/b")) == before
    night.clock.days(1)
    web["/sitemap.xml"] = sitemap("/b", lastmod=datetime.fromtimestamp(night.clock(), UTC).isoformat())
    night("a.fr")
    assert len(statuses(night, "/b")) == before + 1


def test_an_unchanged_page_whose_date_stays_the_same_is_then_left_alone_for_a_week(nights: Begin) -> None:
    web = {"/": page("accueil"), "/b": page("deux"), "/sitemap.xml": sitemap("/b", lastmod="2020-01-01")}
    night = nights(sites({"a.fr": web}))
    for _ in range(7):
        night("a.fr")
        night.clock.days(1)
    assert len(statuses(night, "/b")) == 2
    assert len(statuses(night, "/sitemap.xml")) == 7


def test_a_sitemap_that_lies_is_no_longer_believed(nights: Begin) -> None:
    versions = iter(range(100))
    web: Site = {
        "/": page("accueil"),
        "/b": lambda asked: page(f"version {next(versions)}"),
        "/sitemap.xml": sitemap("/b", lastmod="2020-01-01"),
    }
    night = nights(sites({"a.fr": web}))
    for _ in range(8):
        night("a.fr")
        night.clock.days(1)
    caught = len(statuses(night, "/b"))
    for _ in range(4):
        night("a.fr")
        night.clock.days(1)
    assert len(statuses(night, "/b")) == caught + 4


def test_410_leaves_at_once(nights: Begin) -> None:
    web = {"/": page("accueil", "/b"), "/b": page("deux")}
    night = nights(sites({"a.fr": web}))
    night("a.fr")
    web["/b"] = Reply(410)
    night.clock.days(1)
    assert night("a.fr").gone == 1
    *_, last = night.records()
    assert isinstance(last, Gone)
    assert (last.url, last.reason) == ("http://a.fr/b", "410")


def test_404_leaves_after_three_nights(nights: Begin) -> None:
    web = {"/": page("accueil", "/b"), "/b": page("deux")}
    night = nights(sites({"a.fr": web}))
    night("a.fr")
    del web["/b"]
    gone = []
    for _ in range(4):
        night.clock.days(1)
        gone.append(night("a.fr").gone)
    assert gone == [0, 0, 1, 0]
    assert [record.reason for record in night.records() if isinstance(record, Gone)] == ["404"]


def test_a_page_that_comes_back_is_new(nights: Begin) -> None:
    web: dict[str, Reply] = {"/": page("accueil", "/b"), "/b": page("deux")}
    night = nights(with_etags(sites({"a.fr": web})))
    night("a.fr")
    web["/b"] = Reply(410)
    night.clock.days(1)
    night("a.fr")
    web["/b"] = page("deux")
    night.clock.days(31)
    assert night("a.fr").new == 1


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (page("deux", head='<meta name="robots" content="noindex">'), "noindex"),
        (Reply(301, headers={"Location": "/"}), "redirect"),
        (page("deux", **{"tdm-reservation": "1"}), "reserved"),
        (page("deux", head='<link rel="canonical" href="/c">'), "canonical elsewhere"),
    ],
)
def test_a_page_that_no_longer_wants_to_be_found_leaves(nights: Begin, after: Reply, reason: str) -> None:
    web = {"/": page("accueil", "/b"), "/b": page("deux")}
    night = nights(sites({"a.fr": web}))
    night("a.fr")
    web["/b"] = after
    night.clock.days(1)
    night("a.fr")
    assert [(r.url, r.reason) for r in night.records() if isinstance(r, Gone)] == [("http://a.fr/b", reason)]


NOINDEX = '<meta name="robots" content="noindex">'
ELSEWHERE = '<link rel="canonical" href="/c">'
RESERVED = '<meta name="tdm-reservation" content="1">'


@pytest.mark.parametrize("head", [NOINDEX, ELSEWHERE, RESERVED])
def test_a_page_that_refuses_in_its_body_is_not_transferred_again_until_it_changes(nights: Begin, head: str) -> None:
    web = {"/": page("accueil", "/b"), "/b": page("deux", head=head), "/c": page("original")}
    night = nights(with_etags(sites({"a.fr": web})))
    before = night("a.fr").refusals
    night.clock.days(8)
    assert night("a.fr").refusals == before
    assert statuses(night, "/b") == [200, 304]
    web["/b"] = page("deux")
    night.clock.days(31)
    assert night("a.fr").new == 1
    assert statuses(night, "/b") == [200, 304, 200]


@pytest.mark.parametrize("header", ["X-Robots-Tag", "TDM-Reservation"])
def test_a_page_that_refuses_in_its_headers_is_asked_for_whole(nights: Begin, header: str) -> None:
    value = "noindex" if header == "X-Robots-Tag" else "1"
    web = {"/": page("accueil", "/b"), "/b": page("deux", **{header: value})}
    night = nights(with_etags(sites({"a.fr": web})))
    night("a.fr")
    web["/b"] = page("deux")
    night.clock.days(8)
    assert night("a.fr").new == 1
    web["/b"] = page("deux", **{header: value})  # and a 304 that brings the refusal is obeyed
    night.clock.days(8)
    assert night("a.fr").refused == 1
    assert statuses(night, "/b") == [200, 200, 304]
    assert [r.url for r in night.records() if isinstance(r, Gone)] == ["http://a.fr/b"]


def test_a_304_to_what_was_never_kept_is_a_failure_and_not_a_page(nights: Begin) -> None:
    night = nights(sites({"a.fr": {"/": page("accueil", "/b"), "/b": Reply(304)}}))
    report = night("a.fr")
    assert (report.new, report.unchanged, report.errors) == (1, 0, {"304 unasked": 2})
    assert [type(record) for record in night.records()] == [Page]


def test_a_page_that_robots_txt_now_forbids_leaves_without_being_asked(nights: Begin) -> None:
    web: dict[str, Reply | str] = {"/": page("accueil", "/b"), "/b": page("deux")}
    night = nights(sites({"a.fr": web}))
    night("a.fr")
    web["/robots.txt"] = "User-agent: *\nDisallow: /b"
    night.clock.days(1.01)
    night("a.fr")
    assert statuses(night, "/b") == [200]
    assert [(r.url, r.reason) for r in night.records() if isinstance(r, Gone)] == [("http://a.fr/b", "robots")]


def test_a_site_that_vanished_leaves_after_a_month(nights: Begin) -> None:
    web: dict[str, dict[str, Reply]] = {"a.fr": {"/": page("accueil", "/b"), "/b": page("deux")}}
    night = nights(sites(web))
    night("a.fr")
    web["a.fr"] = {"/robots.txt": Reply(500), "/": Reply(500), "/b": Reply(500)}
    gone = []
    for _ in range(34):
        night.clock.days(1)
        gone.append(night("a.fr").gone)
    assert sum(gone[:30]) == 0
    assert sum(gone) == 2
    assert {r.reason for r in night.records() if isinstance(r, Gone)} == {"vanished"}


# --- where addresses come from -----------------------------------------------------------------------------------


def test_sitemaps_come_before_links_and_may_be_packed_nested_and_named_in_robots_txt(nights: Begin) -> None:
    index = b"<sitemapindex><sitemap><loc>http://a.fr/plan/1.xml.gz</loc></sitemap></sitemapindex>"
    web: dict[str, Reply | str] = {
        "/robots.txt": "Sitemap: http://a.fr/plan.xml\n",
        "/plan.xml": Reply(body=index, headers=XML),
        "/plan/1.xml.gz": Reply(body=gzip.compress(sitemap("/liste").body), headers=XML),
        "/": page("accueil", "/lien"),
        "/liste": page("liste"),
        "/lien": page("lien"),
    }
    night = nights(sites({"a.fr": web}))
    night("a.fr")
    assert night.web.asked_of("a.fr") == ["/plan.xml", "/plan/1.xml.gz", "/", "/liste", "/lien"]


def test_lists_come_first_then_what_is_new_then_what_sitemaps_say_then_links(nights: Begin) -> None:
    def feed(*paths: str) -> Reply:
        items = "".join(f"<item><link>http://a.fr{path}</link></item>" for path in paths)
        return Reply(body=f"<rss><channel>{items}</channel></rss>".encode(), headers=XML)

    news = b"""<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"
        xmlns:news="http://www.google.com/schemas/sitemap-news/0.9"><url><loc>http://a.fr/depeche</loc>
        <news:news><news:title>t</news:title></news:news></url></urlset>"""
    index = b"<sitemapindex>%s</sitemapindex>" % b"".join(
        b"<sitemap><loc>http://a.fr%s</loc></sitemap>" % path for path in (b"/plan.xml.gz", b"/nouvelles.xml")
    )
    web: dict[str, Reply | str] = {
        "/robots.txt": "Sitemap: http://a.fr/index.xml\n",
        "/index.xml": Reply(body=index, headers=XML),
        "/plan.xml.gz": Reply(body=gzip.compress(sitemap("/plan", "/photo.jpg").body), headers=XML),
        "/nouvelles.xml": Reply(body=news, headers=XML),
        "/": page("accueil", "/lien", head='<link rel="alternate" type="application/rss+xml" href="/rss">'),
        "/rss": feed("/neuf"),
        **{path: page(path) for path in ("/plan", "/depeche", "/neuf", "/lien", "/plus-neuf")},
    }
    night = nights(sites({"a.fr": web}))
    assert night("a.fr").new == 5
    asked = night.web.asked_of("a.fr")
    assert asked[0] == "/index.xml"
    assert set(asked[1:3]) == {"/plan.xml.gz", "/nouvelles.xml"}
    assert asked[3:6] == ["/", "/rss", "/neuf"]
    assert set(asked[6:8]) == {"/plan", "/depeche"}
    assert asked[8:] == ["/lien"]
    web["/rss"] = feed("/plus-neuf", "/neuf")
    night.clock.days(1)
    night("a.fr")
    again = night.web.asked_of("a.fr")[len(asked) :]
    assert again.index("/rss") < again.index("/plus-neuf") < again.index("/plan")


@pytest.mark.parametrize(
    ("kind", "feed"),
    [
        ("rss", "<rss><channel><item><link>http://a.fr/nouvelle</link></item></channel></rss>"),
        ("atom", '<feed xmlns="http://www.w3.org/2005/Atom"><entry><link href="/nouvelle"/></entry></feed>'),
    ],
)
def test_feeds_tell_what_is_new(nights: Begin, kind: str, feed: str) -> None:
    head = f'<link rel="alternate" type="application/{kind}+xml" href="/actus.xml">'
    web = {
        "/": page("accueil", head=head),
        "/actus.xml": Reply(body=feed.encode(), headers={"Content-Type": f"application/{kind}+xml"}),
        "/nouvelle": page("nouvelle"),
    }
    night = nights(sites({"a.fr": web}))
    assert night("a.fr").new == 2
    assert night.web.asked_of("a.fr") == ["/", "/actus.xml", "/nouvelle"]


def test_redirects_are_addresses_of_their_own_and_stay_in_scope(nights: Begin) -> None:
    web = {
        "a.fr": {
            "/": page("accueil", "/vieux", "/dehors"),
            "/vieux": Reply(301, headers={"Location": "/neuf"}),
            "/dehors": Reply(302, headers={"Location": "http://ailleurs.com/x"}),
            "/neuf": page("neuf"),
        },
        "ailleurs.com": {"/x": page("non")},
    }
    night = nights(sites(web))
    report = night("a.fr")
    assert report.new == 2
    assert night.web.asked_of("ailleurs.com") == []
    assert report.refusals == {"redirect": 1, "redirect out of scope": 1}


def test_www_and_the_bare_name_are_one_site(nights: Begin) -> None:
    web = {
        "a.fr": {"/": Reply(301, headers={"Location": "http://www.a.fr/"})},
        "www.a.fr": {"/": page("accueil", "http://a.fr/b"), "/b": page("deux")},
    }
    night = nights(sites(web))
    assert night("a.fr").new == 2
    assert night.web.asked_of("www.a.fr") == ["/", "/b"]


def test_a_site_inside_a_shared_host_is_crawled_inside_its_folder(nights: Begin) -> None:
    web = {"/a": page("ville a", "/a/1", "/b", "/ab", "/"), "/a/1": page("une"), "/b": page("non"), "/ab": page("non")}
    night = nights(sites({"partage.fr": web}))
    assert night("http://partage.fr/a").new == 2
    assert night.web.asked_of("partage.fr") == ["/a", "/a/1"]


def test_only_one_host_is_crawled_when_asked(nights: Begin) -> None:
    night = nights(sites({"a.fr": {"/": page("a")}, "b.fr": {"/": page("b")}}))
    assert night("a.fr", "b.fr", only="b.fr").new == 1
    assert night.web.asked_of("a.fr") == []


# --- odd pages ---------------------------------------------------------------------------------------------------


def test_a_home_page_that_is_only_a_door_is_gone_through(nights: Begin) -> None:
    doors = {
        "a.fr": {"/": page("porte", head='<meta http-equiv="Refresh" content="0; URL=\'/fr/\'">'), "/fr/": page("oui")},
        "b.fr": {"/": Reply(body=b"<frameset><frame src=/f.html></frameset>", headers=HTML), "/f.html": page("oui")},
    }
    night = nights(sites(doors))
    night("a.fr", "b.fr")
    assert night.web.asked_of("a.fr") == ["/", "/fr/"]
    assert night.web.asked_of("b.fr") == ["/", "/f.html"]


def test_a_fault_of_ours_on_one_page_does_not_cost_the_night(nights: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    read = links.read

    def faulty(body: bytes, charset: str, agent: str) -> links.Links:
        if b"<h1>mine" in body:
            raise RecursionError
        return read(body, charset, agent)

    monkeypatch.setattr(links, "read", faulty)
    night = nights(sites({"a.fr": {"/": page("accueil", "/b", "/c"), "/b": page("mine"), "/c": page("oui")}}))
    report = night("a.fr")
    assert (report.new, report.failed, report.finished) == (2, 1, True)
    assert report.errors == {"fault of ours": 2}


def test_pages_that_expired_from_the_archive_are_asked_for_whole_and_kept_again(nights: Begin) -> None:
    night = nights(with_etags(sites({"a.fr": {"/": page("accueil", "/b"), "/b": page("deux")}})))
    night("a.fr")
    night.clock.days(40)
    now = datetime.fromtimestamp(night.clock(), UTC)
    assert compact(night.folder / "archive", ArchiveSettings(keep_days=20), now=now).expired == 2
    night("a.fr")
    assert statuses(night, "/b") == [200, 200]
    kept = [record.url for record in night.records() if isinstance(record, Page)]
    assert sorted(kept) == ["http://a.fr/", "http://a.fr/b"]
    night.clock.days(2)
    night("a.fr")
    assert statuses(night, "/b") == [200, 200, 304]

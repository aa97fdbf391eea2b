"""What the server saw: each rule of politeness, judged from the other side."""

import asyncio
import json
from collections.abc import Callable, Iterator
from email.utils import formatdate
from itertools import pairwise

import pytest

from elunum.crawl.run import crawl
from elunum.model import Gone, Source
from elunum.settings import CrawlSettings, Settings
from tests.crawl.conftest import Nights
from tests.web.server import LISTS, Answer, Asked, Reply, Site, page, sites

Begin = Callable[[Answer], Nights]


def pauses(night: Nights, host: str) -> list[float]:
    """Seconds between two requests to a host, each dated before it is answered: a busy machine only lengthens them."""
    seen = [asked for asked in night.web.seen if asked.host == host]
    return [after.at - before.at for before, after in pairwise(seen)]


def test_a_host_gets_one_request_at_a_time_and_its_pause_between_two(nights: Begin) -> None:
    pages = {f"/{n}": page(f"page {n}") for n in range(6)}
    web = sites({h: {"/": page("accueil", *pages), **pages} for h in ("a.fr", "b.fr")})
    night = nights(web)
    report = night("a.fr", "b.fr", delay_s=0.2)
    assert report.new == 14
    for host in ("a.fr", "b.fr"):
        assert night.web.open_at_once[host] == 1
        assert min(pauses(night, host)) >= 0.2


def test_the_pause_is_of_two_seconds_unless_the_operator_says_otherwise(nights: Begin) -> None:
    night = nights(sites({"a.fr": {"/": page("accueil")}}))
    crawl(Settings(data=night.folder, crawl=CrawlSettings(connect_to=night.web.address)),
          [Source("http://a.fr/", "a.fr", "commune")], hours=3 / 3600)  # fmt: skip
    assert len(night.web.seen) == 2
    assert pauses(night, "a.fr")[0] >= 2


def test_a_host_is_finished_before_the_next_is_begun(nights: Begin) -> None:
    hosts = [f"h{n}.fr" for n in range(6)]
    night = nights(sites({h: {"/": page("accueil", "/1", "/2"), "/1": page("une"), "/2": page("deux")} for h in hosts}))
    assert night(*hosts, active_hosts=2).new == 18
    order = [asked.host for asked in night.web.seen]
    first, last = {h: order.index(h) for h in hosts}, {h: len(order) - order[::-1].index(h) for h in hosts}
    open_together = [sum(first[h] <= at < last[h] for h in hosts) for at in range(len(order))]
    assert max(open_together) == 2


def test_hosts_do_not_wait_for_each_other(nights: Begin) -> None:
    hosts = [f"h{n}.fr" for n in range(20)]
    night = nights(sites({h: {"/": page("accueil", "/1"), "/1": page("une")} for h in hosts}))
    report = night(*hosts, delay_s=0.2)
    assert report.new == 40
    # Four requests and three pauses each: side by side that is under two seconds, in a row it would be twelve.
    assert night.web.seen[-1].at - night.web.seen[0].at < 6


def test_robots_txt_is_asked_first_once_and_again_after_a_day(nights: Begin) -> None:
    night = nights(sites({"a.fr": {"/": page("accueil", "/1"), "/1": page("une")}}))
    night("a.fr", revisit_min_days=0)
    assert [asked.target for asked in night.web.seen][:3] == list(LISTS)
    night("a.fr", revisit_min_days=0)
    assert [asked.target for asked in night.web.seen].count("/robots.txt") == 1
    night.clock.days(1.01)
    night("a.fr", revisit_min_days=0)
    assert [asked.target for asked in night.web.seen].count("/robots.txt") == 2


def test_a_disallowed_path_is_never_requested(nights: Begin) -> None:
    robots = "User-agent: *\nDisallow: /prive\nAllow: /prive/ouvert\n"
    pages = {"/prive": page("non"), "/prive/a": page("non"), "/prive/ouvert": page("oui"), "/b": page("oui")}
    night = nights(sites({"a.fr": {"/robots.txt": robots, "/": page("accueil", *pages), **pages}}))
    report = night("a.fr")
    assert sorted(night.web.asked_of("a.fr")) == ["/", "/b", "/prive/ouvert"]
    assert report.refusals["robots"] == 2


def test_our_own_name_in_robots_txt_comes_before_the_star(nights: Begin) -> None:
    robots = "User-agent: *\nDisallow: /\n\nUser-agent: elunum/2.0\nDisallow: /b\n"
    night = nights(sites({"a.fr": {"/robots.txt": robots, "/": page("accueil", "/b", "/c"), "/c": page("oui")}}))
    night("a.fr")
    assert night.web.asked_of("a.fr") == ["/", "/c"]


@pytest.mark.parametrize(
    ("status", "asked"), [(404, ["/"]), (403, ["/"]), (401, ["/"]), (500, []), (503, []), (429, [])]
)
def test_the_status_of_robots_txt_decides(nights: Begin, status: int, asked: list[str]) -> None:
    robots = Reply(status, b"User-agent: *\nDisallow:\n")
    night = nights(sites({"a.fr": {"/robots.txt": robots, "/": page("accueil")}}))
    report = night("a.fr")
    assert night.web.asked_of("a.fr") == asked
    if not asked:
        assert report.errors["robots.txt unreachable"] >= 1
        assert len(night.web.seen) <= 5


async def _cut(transport: asyncio.Transport) -> None:
    transport.abort()


def test_a_site_whose_robots_txt_does_not_come_is_asked_nothing_else(nights: Begin) -> None:
    night = nights(sites({"a.fr": {"/robots.txt": Reply(raw=_cut), "/": page("accueil")}}))
    report = night("a.fr")
    assert {asked.target for asked in night.web.seen} == {"/robots.txt"}
    assert (report.errors, report.hosts_stopped) == ({"connection lost": 4}, {"keeps failing": 1})
    night.clock.days(1)
    night("a.fr")
    assert {asked.target for asked in night.web.seen} == {"/robots.txt"}


def test_a_robots_txt_that_redirects_for_ever_is_as_none(nights: Begin) -> None:
    loop = Reply(302, headers={"Location": "/robots.txt"})
    night = nights(sites({"a.fr": {"/robots.txt": loop, "/": page("accueil")}}))
    assert night("a.fr").new == 1
    assert [asked.target for asked in night.web.seen].count("/robots.txt") == 6  # five redirects, RFC 9309


@pytest.mark.parametrize("status", [429, 503])
def test_the_retry_after_of_robots_txt_is_honoured(nights: Begin, status: int) -> None:
    soon, late = (Reply(status, headers={"Retry-After": value}) for value in ("2", "7200"))
    a_fr: Site = {"/robots.txt": answering(soon, Reply(404)), "/": page("a")}
    hosts: dict[str, Site] = {"a.fr": a_fr, "b.fr": {"/robots.txt": late}}
    night = nights(sites(hosts))
    report = night("a.fr", "b.fr")
    assert report.new == 1
    assert pauses(night, "a.fr")[0] >= 2
    assert [asked.host for asked in night.web.seen].count("b.fr") == 1
    assert report.hosts_stopped == {"asks for a long pause": 1}


def test_robots_txt_is_found_behind_redirects(nights: Begin) -> None:
    robots = Reply(301, headers={"Location": "/autre.txt"})
    rules = "User-agent: *\nDisallow: /b"
    night = nights(sites({"a.fr": {"/robots.txt": robots, "/autre.txt": rules, "/": page("accueil", "/b")}}))
    night("a.fr")
    assert night.web.asked_of("a.fr", besides=(*LISTS, "/autre.txt")) == ["/"]


def test_rules_beyond_500_kib_are_not_read_and_those_before_are_obeyed(nights: Begin) -> None:
    robots = "User-agent: *\nDisallow: /avant\n" + "# remplissage\n" * 40_000 + "Disallow: /apres\n"
    pages = {"/avant": page("non"), "/apres": page("oui")}
    night = nights(sites({"a.fr": {"/robots.txt": robots, "/": page("accueil", *pages), **pages}}))
    night("a.fr")
    assert night.web.asked_of("a.fr") == ["/", "/apres"]


def test_crawl_delay_is_honoured(nights: Begin) -> None:
    robots = "User-agent: *\nCrawl-delay: 0.5\n"
    night = nights(sites({"a.fr": {"/robots.txt": robots, "/": page("accueil", "/b"), "/b": page("deux")}}))
    night("a.fr")
    assert min(pauses(night, "a.fr")) >= 0.5


def answering(*replies: Reply) -> Callable[[Asked], Reply | None]:
    """Each request gets the next reply, the last one for ever."""
    left: Iterator[Reply] = iter(replies)
    return lambda asked: next(left, replies[-1])


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(nights: Begin, status: int) -> None:
    wait = Reply(status, headers={"Retry-After": "2"})
    night = nights(sites({"a.fr": {"/": answering(wait, page("accueil"))}}))
    report = night("a.fr")
    assert report.new == 1
    assert pauses(night, "a.fr")[-1] >= 2


def test_retry_after_may_be_a_date(nights: Begin) -> None:
    def answer(asked: Asked) -> Reply | None:
        if asked.target in LISTS:
            return None
        if night.web.asked_of("a.fr") == ["/"]:
            return Reply(503, headers={"Retry-After": formatdate(night.clock() + 3, usegmt=True)})
        return page("accueil")

    night = nights(answer)
    assert night("a.fr").new == 1
    assert pauses(night, "a.fr")[-1] >= 2  # dates have no fraction of a second


def test_without_retry_after_the_pause_doubles(nights: Begin) -> None:
    night = nights(sites({"a.fr": {"/": answering(Reply(429), Reply(429), page("accueil"))}}))
    report = night("a.fr")
    assert report.new == 1
    first, second = pauses(night, "a.fr")[-2:]
    assert first >= 1
    assert second >= 2


def test_a_host_that_asks_for_a_long_pause_is_left_for_the_night(nights: Begin) -> None:
    wait = Reply(503, headers={"Retry-After": "7200"})
    night = nights(sites({"a.fr": {"/": answering(wait, page("accueil"))}}))
    report = night("a.fr")
    assert (report.new, report.errors) == (0, {"status 503": 1})
    night.clock.days(1)
    assert night("a.fr").new == 1


def test_a_host_that_keeps_failing_is_left_for_the_night_and_asked_again_the_next(nights: Begin) -> None:
    links = [f"/{n}" for n in range(30)]
    broken = {link: Reply(500) for link in links}
    night = nights(sites({"a.fr": {"/": page("accueil", *links), **broken}}))
    report = night("a.fr")
    assert report.errors == {"status 500": 4}
    assert len(night.web.asked_of("a.fr")) == 5
    night.clock.days(1)
    night("a.fr")
    assert len(night.web.asked_of("a.fr")) > 5


def test_a_page_that_fails_is_tried_twice_and_the_others_go_on(nights: Begin) -> None:
    night = nights(sites({"a.fr": {"/": page("accueil", "/b", "/c"), "/b": Reply(500), "/c": page("oui")}}))
    report = night("a.fr")
    assert report.new == 2
    assert night.web.asked_of("a.fr") == ["/", "/b", "/c", "/b"]
    assert report.errors_by_host == {"a.fr": {"status 500": 2}}


def test_the_user_agent_leads_to_the_page_that_explains_us(nights: Begin) -> None:
    night = nights(sites({"a.fr": {"/": page("accueil")}}))
    night("a.fr")
    assert {asked.headers["user-agent"] for asked in night.web.seen} == {
        night.settings().user_agent,
    }
    assert "/robot" in night.settings().user_agent
    assert all("cookie" not in asked.headers and "referer" not in asked.headers for asked in night.web.seen)


# --- what pages ask --------------------------------------------------------------------------------------------------

NOINDEX = '<meta name="robots" content="noindex">'


@pytest.mark.parametrize(
    "refusing",
    [
        page("secret", "/lien", head=NOINDEX),
        page("secret", "/lien", head='<meta name="ROBOTS" content="NONE">'.replace("NONE", "NOINDEX, FOLLOW")),
        page("secret", "/lien", head='<meta name="elunum" content="noindex">'),
        page("secret", "/lien", **{"X-Robots-Tag": "noindex"}),
        page("secret", "/lien", **{"X-Robots-Tag": "elunum: noindex"}),
        page("secret", "/lien", **{"TDM-Reservation": "1"}),
        page("secret", "/lien", head='<meta name="tdm-reservation" content="1">'),
    ],
)
def test_a_page_that_refuses_is_not_kept_and_its_links_are_followed(nights: Begin, refusing: Reply) -> None:
    web = {"/": page("accueil", "/secret"), "/secret": refusing, "/lien": page("oui")}
    night = nights(sites({"a.fr": web}))
    report = night("a.fr")
    assert [record.url for record in night.records()] == ["http://a.fr/", "http://a.fr/lien"]  # type: ignore[union-attr]
    assert report.refused == 1


def tdm(*rules: tuple[str, object]) -> Reply:
    """A tdmrep.json."""
    body = [{"location": location, "tdm-reservation": value} for location, value in rules]
    return Reply(body=json.dumps(body).encode(), headers={"Content-Type": "application/json"})


def test_what_tdmrep_json_reserves_is_never_requested_and_leaves_the_index(nights: Begin) -> None:
    web = {"/": page("accueil", "/etudes/a", "/b"), "/etudes/a": page("non"), "/b": page("oui")}
    night = nights(sites({"a.fr": web}))
    assert night("a.fr").new == 3
    web[LISTS[1]] = tdm(("/etudes/", 1))
    night.clock.days(30)  # a site without the file is looked at again after a month
    report = night("a.fr")
    assert [asked.target for asked in night.web.seen].count("/etudes/a") == 1
    assert report.refusals == {"reserved": 1}
    assert [record.url for record in night.records() if isinstance(record, Gone)] == ["http://a.fr/etudes/a"]


def test_tdmrep_json_is_asked_after_robots_txt_before_any_page_and_with_the_pause_of_its_host(nights: Begin) -> None:
    night = nights(sites({"a.fr": {LISTS[1]: tdm(("/", "1")), "/": page("accueil")}}))
    night("a.fr", delay_s=0.2)
    assert [asked.target for asked in night.web.seen] == list(LISTS)
    assert min(pauses(night, "a.fr")) >= 0.2


def test_a_site_without_tdmrep_json_is_asked_for_it_once_a_month(nights: Begin) -> None:
    b_fr = {"/": page("b"), LISTS[1]: page("introuvable")}
    night = nights(sites({"a.fr": {"/": page("accueil")}, "b.fr": b_fr}))
    for _ in range(29):
        night("a.fr", "b.fr")
        night.clock.days(1)
    assert [asked.host for asked in night.web.seen if asked.target == LISTS[1]] == ["a.fr", "b.fr"]
    night.clock.days(2)
    night("a.fr", "b.fr")
    assert [asked.host for asked in night.web.seen if asked.target == LISTS[1]] == ["a.fr", "b.fr"] * 2


def test_a_tdmrep_json_that_is_withdrawn_reserves_nothing_the_night_after(nights: Begin) -> None:
    web: dict[str, Reply] = {LISTS[1]: tdm(("/", 1)), "/": page("accueil")}
    night = nights(sites({"a.fr": web}))
    assert night("a.fr").new == 0
    del web[LISTS[1]]
    night.clock.days(8)
    assert night("a.fr").new == 1


def test_tdmrep_json_that_robots_txt_forbids_is_not_requested(nights: Begin) -> None:
    web: dict[str, Reply | str] = {"/robots.txt": "User-agent: *\nDisallow: /.well-known/\n", "/": page("accueil")}
    night = nights(sites({"a.fr": web}))
    report = night("a.fr")
    assert LISTS[1] not in [asked.target for asked in night.web.seen]
    assert (report.new, report.refusals) == (1, {})


@pytest.mark.parametrize("status", [500, 503, 403, 302])
def test_a_tdmrep_json_that_cannot_be_had_does_not_cost_the_site_its_night(nights: Begin, status: int) -> None:
    night = nights(sites({"a.fr": {LISTS[1]: Reply(status, headers={"Location": "/"}), "/": page("accueil")}}))
    assert night("a.fr").new == 1


@pytest.mark.parametrize(
    "closed",
    [
        page("liste", "/lien", head='<meta name="robots" content="nofollow">'),
        page("liste", "/lien", head='<meta name="robots" content="none">'),
        page("liste", "/lien", **{"X-Robots-Tag": "nofollow"}),
        page("liste", '/lien" rel="nofollow'),
    ],
)
def test_nofollow_links_are_not_followed(nights: Begin, closed: Reply) -> None:
    night = nights(sites({"a.fr": {"/": page("accueil", "/liste"), "/liste": closed, "/lien": page("non")}}))
    night("a.fr")
    assert night.web.asked_of("a.fr") == ["/", "/liste"]


def test_orders_given_to_another_crawler_are_not_ours(nights: Begin) -> None:
    other = page("ouvert", head='<meta name="googlebot" content="noindex">', **{"X-Robots-Tag": "googlebot: noindex"})
    night = nights(sites({"a.fr": {"/": other}}))
    assert night("a.fr").new == 1


def test_a_page_that_names_another_as_canonical_gives_its_place_to_it(nights: Begin) -> None:
    copy = page("copie", head='<link rel="canonical" href="/original">')
    web = {"/": page("accueil", "/copie"), "/copie": copy, "/original": page("original")}
    night = nights(sites({"a.fr": web}))
    night("a.fr")
    assert [record.url for record in night.records()] == ["http://a.fr/", "http://a.fr/original"]  # type: ignore[union-attr]

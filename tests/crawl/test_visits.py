"""What the crawler says of each host, for the site to show."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from elunum import visits
from elunum.crawl import frontier
from elunum.crawl.run import crawl, status
from elunum.model import Source
from elunum.visits import Visits
from tests.crawl.conftest import Nights
from tests.web.server import Answer, Asked, Reply, page, sites

Begin = Callable[[Answer], Nights]
NOINDEX = '<meta name="robots" content="noindex">'
ROBOTS = Reply(body=b"User-agent: Elunum\nDisallow: /prive\n", headers={"Content-Type": "text/plain"})


def a_fr() -> dict[str, Reply]:
    return {
        "/": page("accueil", "/b", "/cache", "/prive/x", "/perdue", "/ailleurs", "/image"),
        "/b": page("deux"),
        "/cache": page("cachee", head=NOINDEX),
        "/ailleurs": Reply(301, headers={"Location": "/b"}),
        "/image": Reply(body=b"\x89PNG", headers={"Content-Type": "image/png"}),
        "/robots.txt": ROBOTS,
    }


def test_each_address_that_is_not_kept_is_counted_once_by_its_reason(nights: Begin) -> None:
    night = nights(sites({"a.fr": a_fr()}))
    expected = {"robots": 1, "noindex": 1, "404": 1, "redirect": 1, "not a text": 1}
    began = night.clock()
    for visit in range(3):
        night("a.fr")
        found = Visits(night.folder).host("www.a.fr")
        assert found is not None
        assert began + visit * 9 * 86_400 < found.seen < night.clock()
        assert found.refusals == expected
        assert found.errors == {}
        assert found.known == 9  # seven pages and the two lists that are not there
        night.clock.days(9)


def test_what_is_kept_again_or_refused_since_is_no_longer_counted_as_it_was(nights: Begin) -> None:
    web = a_fr()
    night = nights(sites({"a.fr": web}))
    night("a.fr")
    web["/cache"] = page("visible")
    web["/b"] = page("deux", head=NOINDEX)
    web["/perdue"] = page("retrouvee")
    night.clock.days(40)
    night("a.fr")
    found = Visits(night.folder).host("a.fr")
    assert found is not None
    assert found.refusals == {"robots": 1, "noindex": 1, "redirect": 1, "not a text": 1}


def test_errors_are_those_of_the_last_visit(nights: Begin) -> None:
    broken = [True]

    def answer(asked: Asked) -> Reply | None:
        if asked.target == "/b" and broken[0]:
            return Reply(500)
        return sites({"a.fr": {"/": page("accueil", "/b"), "/b": page("deux")}})(asked)

    night = nights(answer)
    night("a.fr")
    seen = Visits(night.folder)
    found = seen.host("a.fr")
    assert found is not None
    assert found.errors == {"status 500": 2}
    broken[0] = False
    night.clock.days(2)
    night("a.fr")
    found = seen.host("a.fr")  # the same object reads what has changed
    assert found is not None
    assert found.errors == {}


def test_the_report_for_the_site_is_that_of_the_command(nights: Begin) -> None:
    night = nights(sites({"a.fr": a_fr()}))
    seen = Visits(night.folder)
    assert seen.crawl is None
    assert seen.host("a.fr") is None
    night("a.fr")
    assert seen.crawl == msgspec.to_builtins(status(night.settings()))


def test_each_shard_writes_a_file_of_its_own_and_all_are_read(nights: Begin) -> None:
    hosts = [f"h{n}.fr" for n in range(8)]
    night = nights(sites({host: {"/": page(host)} for host in hosts}))
    sources = [Source(f"http://{host}/", host, "commune") for host in hosts]
    for part in (1, 2):
        crawl(night.settings(), sources, shard=(part, 2), clock=night.clock)
    seen = Visits(night.folder)
    assert [path.name for path in sorted(night.folder.glob(visits.NAMES))] == [
        "visits-1-of-2.json",
        "visits-2-of-2.json",
    ]
    assert all(seen.host(host) for host in hosts)
    assert seen.crawl is not None
    assert seen.crawl["new"] == 8


def test_a_frontier_of_before_these_figures_goes_on(nights: Begin) -> None:
    night = nights(sites({"a.fr": a_fr()}))
    night("a.fr")
    with frontier.connect(night.settings().frontier_path) as db:
        db.execute("drop table refusals")
        db.execute("alter table hosts drop column answered_at")
    db.close()
    night.clock.days(40)
    assert night("a.fr").unchanged == 2
    found = Visits(night.folder).host("a.fr")
    assert found is not None
    assert found.refusals["noindex"] == 1


def test_a_crawl_goes_on_when_its_figures_cannot_be_written(nights: Begin) -> None:
    night = nights(sites({"a.fr": a_fr()}))
    (night.folder / "visits.json" / "in the way").mkdir(parents=True)
    assert night("a.fr").new == 2


def test_forgotten_hosts_leave_the_files(tmp_path: Path) -> None:
    report = {"new": 3, "errors_by_host": {"a.fr": {"DNS": 1}, "b.fr": {"DNS": 2}}, "slowest_hosts": {"a.fr": 2.5}}
    path = visits.file_of(tmp_path)
    visits.write(path, 1.0, report, [("a.fr", visits.Host(5.0)), ("b.fr", visits.Host(6.0))])
    visits.forget(tmp_path, ("a.fr", "www.a.fr"))
    assert b"a.fr" not in path.read_bytes()
    seen = Visits(tmp_path)
    assert seen.host("b.fr") == visits.Host(6.0)
    assert seen.crawl == {"new": 3, "errors_by_host": {"b.fr": {"DNS": 2}}, "slowest_hosts": {}}


@pytest.mark.parametrize("damaged", [b"", b"[]", b"{}", b'{"written_at":1,"crawl":{},"hosts":3}', b"\xff"])
def test_a_damaged_file_is_as_none(tmp_path: Path, damaged: bytes) -> None:
    visits.file_of(tmp_path).write_bytes(damaged)
    seen = Visits(tmp_path)
    assert seen.crawl is None
    assert seen.host("a.fr") is None
    visits.forget(tmp_path, ["a.fr"])

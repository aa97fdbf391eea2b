"""Totals are exact; facets of very many results are estimated, near the truth, and said to be; one order of results
whatever the page."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from elunum.index.build import build
from elunum.index.postings import rounded
from elunum.model import Document, Search, Source, Tag
from elunum.search.engine import ENOUGH, Engine
from elunum.settings import SearchSettings, Settings
from tests.search.pages import DEMOCRACY, GREEN, fill, page

COUNT = 9_000
UP_TO = 1_000
SITES = [Source(f"https://site-{number}.fr/", f"Site {number}", "association") for number in range(1_500)]


def _pages() -> list[Document]:
    """Nine thousand small pages: « jardin » in all, « partagé » in three of four, « compost » in one of nine."""
    pages = []
    for number in range(COUNT):
        words = ["jardin"]
        words += ["partagé"] * (number % 4 > 0) + ["compost"] * (number % 9 == 0) + ["pergola"] * (number % 1_300 == 7)
        tags: tuple[Tag, ...] = (GREEN,) if number % 3 == 0 else (DEMOCRACY,) if number % 30 == 1 else ()
        words += [f"mot{number}"] * (number % 5)
        pages.append(page(f"/{number}", f"Page {number}", " ".join(words), SITES[number % 1_500], enjeux=tags))
    return pages


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    settings = Settings(data=tmp_path_factory.mktemp("index"), search=SearchSettings(count_up_to=UP_TO))
    fill(settings, _pages())
    assert build(settings).swapped
    return Engine(settings)


def whole(engine: Engine) -> Engine:
    """The same index, everything counted one by one."""
    return Engine(engine.settings.model_copy(update={"search": SearchSettings(count_up_to=0)}))


@pytest.mark.parametrize(("words", "total"), [("partagé", 6_750), ("pergola", 7), ("jardin compost", 1_000)])
def test_a_total_is_exact_however_large(engine: Engine, words: str, total: int) -> None:
    found = engine.search(Search(q=words))
    assert found.total_is_exact
    assert found.total == total


def test_facets_up_to_the_limit_are_exact(engine: Engine) -> None:
    found = engine.search(Search(q="pergola"))
    assert not found.estimated
    assert [value.count for value in found.facets["kind"]] == [7]


def test_facets_of_a_large_result_are_estimates_near_the_truth(engine: Engine) -> None:
    estimated, exact = engine.search(Search(q="jardin")), whole(engine).search(Search(q="jardin"))
    assert estimated.estimated == estimated.facets.keys()
    truth = {value.value: value.count for value in exact.facets["enjeu"]}
    guessed = {value.value: value.count for value in estimated.facets["enjeu"]}
    assert guessed[GREEN.slug] == pytest.approx(truth[GREEN.slug], rel=0.1)
    assert guessed[DEMOCRACY.slug] == pytest.approx(truth[DEMOCRACY.slug], rel=0.35)


def test_a_chosen_facet_that_counts_a_larger_set_is_said_to_be_estimated(engine: Engine) -> None:
    found = engine.search(Search(q="jardin", enjeu=(DEMOCRACY.slug,), combine="ou"))
    assert found.total_is_exact
    assert found.total == 300
    assert found.estimated == {"enjeu"}


def test_publishers_of_a_large_result_are_counted(engine: Engine) -> None:
    found = engine.search(Search(q="jardin", one_per="collectivite"))
    assert found.total_is_exact
    assert found.total == 1_500
    assert [hit.others for hit in found.hits] == [5] * 10
    assert len({hit.source.host for hit in found.hits}) == 10


def test_choosing_a_filter_returns_what_was_counted_where_enough_pages_have_all_the_words(engine: Engine) -> None:
    found = engine.search(Search(q="jardin compost", size=1))
    assert found.total >= ENOUGH
    for value in found.facets["source"]:
        assert value.count < 6  # fewer than its pages with one of the words
        assert engine.search(Search(q="jardin compost", site=value.value)).total == value.count
    nothing = engine.search(Search(q="jardin compost", enjeu=(DEMOCRACY.slug,)))
    assert nothing.relaxed
    assert nothing.total == 300


@pytest.mark.parametrize(
    "search",
    [
        Search(q="jardin partagé"),
        Search(q="compost"),
        Search(q="jardin", enjeu=(GREEN.slug,)),
        Search(q="pergola mot4"),
    ],
    ids=["most have all words", "one word", "a filter", "few have all words"],
)
def test_turning_the_pages_shows_every_result_once_best_first(engine: Engine, search: Search) -> None:
    exact = whole(engine).search(search).total
    seen: Counter[str] = Counter()
    last = float("inf")
    for number in range(1, 13):
        hits = engine.search(replace(search, page=number, size=100)).hits
        seen.update(hit.id for hit in hits)
        for hit in hits:
            assert hit.score <= last
            last = hit.score
    assert seen.total() == len(seen) == min(exact, 1_200)


def test_estimates_stay_when_the_index_is_built_again(engine: Engine, tmp_path: Path) -> None:
    settings = engine.settings.model_copy(update={"data": tmp_path})
    fill(settings, _pages())
    assert build(settings).swapped
    again = Engine(settings)
    for search in (Search(q="partagé"), Search(q="jardin")):
        assert again.search(search).facets == engine.search(search).facets


def test_estimates_keep_two_digits() -> None:
    counts = np.array([14, 198, 200, 202, 24_690, 39_999])
    assert rounded(counts, 0.5).tolist() == [7, 99, 100, 100, 12_000, 20_000]
    assert rounded(counts, 1.0).tolist() == counts.tolist()

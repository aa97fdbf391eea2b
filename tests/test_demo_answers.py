"""The floor of answer quality: questions asked of the demo web, with the pages that answer them.

tests/judged/demo_queries.csv holds the judgments: 3 answers the question, 2 helps, 1 touches it. A page that is not
listed is worth nothing. A score may fall only by an edit that someone defends.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from demo.pages import Web
from elunum import geo
from elunum.archive import ArchiveWriter
from elunum.index import build, update
from elunum.index.documents import Documents
from elunum.model import Hit, Page, Search
from elunum.search.checks import check_of
from elunum.search.engine import Engine, open_engine
from elunum.settings import IndexSettings, Settings
from elunum.sources import SourceList, read
from elunum.text import STOP_WORDS, words
from tests.conftest import CHECKOUT

FLOOR_OF_NDCG_AT_10 = 0.90

JUDGED: dict[str, dict[str, int]] = defaultdict(dict)
with (CHECKOUT / "tests" / "judged" / "demo_queries.csv").open(encoding="utf-8", newline="") as _file:
    for _row in csv.DictReader(_file):
        JUDGED[_row["query"]][_row["url"]] = int(_row["relevance"])


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """The demo web, indexed without a crawl."""
    settings = Settings(data=tmp_path_factory.mktemp("answers"))
    web = Web()
    refused = {page.url for page in web.refused()}
    with ArchiveWriter(settings.archive_dir, settings.archive) as archive:
        for page in web.pages.values():
            if page.url not in refused:
                answer = web.answer(page.host, page.path)
                now = datetime(2026, 11, 22, tzinfo=UTC)
                archive.write(Page(page.url, answer.status, answer.headers, answer.body, now))
    update.update(settings, SourceList(read(CHECKOUT / "demo" / "sources.csv")))
    build.build(settings)
    return open_engine(settings)


def gain(query: str, hit: Hit) -> int:
    """How well a result answers, whichever of its copies was judged."""
    return max(JUDGED[query].get(url, 0) for url in (hit.url, *hit.copies))


def ndcg(gains: list[int], ideal: list[int]) -> float:
    """Normalised discounted cumulative gain at 10. Source: Järvelin and Kekäläinen, 2002."""

    def dcg(values: list[int]) -> float:
        return sum((2.0**value - 1) / math.log2(rank + 2) for rank, value in enumerate(values[:10]))

    return dcg(gains) / dcg(sorted(ideal, reverse=True))


def test_every_judged_page_is_in_the_demo_web() -> None:
    known = {page.url for page in Web().pages.values()}
    for query, judged in JUDGED.items():
        assert set(judged) <= known, query
        assert max(judged.values()) == 3, query


def test_each_question_has_an_answer_among_its_first_three_results(engine: Engine) -> None:
    without = [
        query
        for query in JUDGED
        if not any(gain(query, hit) == 3 for hit in engine.search(Search(q=query, size=3)).hits)
    ]
    assert not without


def test_the_best_pages_come_first(engine: Engine) -> None:
    scores = {
        query: ndcg([gain(query, hit) for hit in engine.search(Search(q=query)).hits], list(judged.values()))
        for query, judged in JUDGED.items()
    }
    worst = sorted(scores.items(), key=lambda item: item[1])[:5]
    assert sum(scores.values()) / len(scores) >= FLOOR_OF_NDCG_AT_10, worst


def test_a_page_of_a_commune_is_found_by_its_subject_and_the_name_of_the_commune(engine: Engine) -> None:
    pages = [hit for n in range(1, 4) for hit in engine.search(Search(kind=("commune",), size=100, page=n)).hits]
    asked = {}
    for hit in pages:
        name = words(hit.source.commune)
        subject = [word for word in words(hit.title) if word not in STOP_WORDS and word not in name][:2]
        if hit.lang == "fr" and len(subject) == 2 and urlsplit(hit.url).path != "/":
            asked[" ".join([*subject, hit.source.commune])] = hit
    assert len(asked) > 100
    first = {query: engine.search(Search(q=query, size=1)).hits[0] for query in asked}
    assert sum(first[query].id == hit.id for query, hit in asked.items()) >= 0.93 * len(asked)
    assert sum(first[query].source.insee == hit.source.insee for query, hit in asked.items()) >= 0.98 * len(asked)


def test_the_mayor_of_a_small_commune_finds_examples_in_communes_of_its_size(engine: Engine) -> None:
    mayor = geo.load().commune("68301")
    assert mayor is not None
    assert 1_200 < mayor.population < 1_400
    found = engine.search(Search(q="tiers-lieu", like=mayor.code, one_per="collectivite"))
    shown = {hit.source.commune: hit.comparable for hit in found.hits[:3]}
    assert shown.keys() == {"Ungersheim", "Ayen", "Faux-la-Montagne"}
    for hit in found.hits:
        fewest, most = geo.band(mayor.population)
        assert hit.source.population is not None
        assert fewest <= hit.source.population <= most
        assert f"contre {mayor.population // 1000}\u202f{mayor.population % 1000:03}" in hit.comparable


def test_a_town_finds_the_participatory_budgets_of_towns_like_it(engine: Engine) -> None:
    found = engine.search(Search(q="budget participatif", like="68278", one_per="collectivite"))
    assert found.total >= 3
    assert all(gain("budget participatif", hit) == 3 for hit in found.hits[:3])


def test_the_demo_may_be_served_and_a_demo_without_its_pages_may_not(engine: Engine, tmp_path: Path) -> None:
    judged = CHECKOUT / "tests" / "judged" / "demo_queries.csv"
    asking = engine.settings.model_copy(update={"index": IndexSettings(judged=judged)})
    assert list(check_of(asking)("current")) == []
    elsewhere = asking.model_copy(update={"data": tmp_path})
    with Documents(engine.settings.documents_path) as whole, Documents(elsewhere.documents_path) as part:
        for document in whole:
            if document.id < "9":
                part.put(document)
    report = build.build(elsewhere, check=check_of(elsewhere))
    assert not report.swapped
    assert "judged queries find their page" in report.problems[0]

"""How right the tags are: the figures fall only by an edit that someone defends. `python -m bench.enjeux` says more."""

from __future__ import annotations

import pytest

from bench import enjeux
from bench.enjeux import Judged, Scores
from demo.pages import WEB
from elunum.index.tags import MAX_WHY, Tagger, load_referentiel
from elunum.model import Document, Tag

TAGGER = Tagger(load_referentiel())


def tagged(documents: dict[str, Document]) -> dict[str, tuple[Tag, ...]]:
    return {id: TAGGER.tags(document) for id, document in documents.items()}


def scores_of(judged: list[Judged], tags: dict[str, tuple[Tag, ...]]) -> Scores:
    return enjeux.score(judged, {id: [tag.slug for tag in found] for id, found in tags.items()})


@pytest.fixture(scope="module")
def demo_tags() -> dict[str, tuple[Tag, ...]]:
    return tagged(enjeux.demo_documents())


def test_every_judgment_names_a_page_of_the_demo_web_and_known_enjeux() -> None:
    judged = enjeux.sample("demo")
    assert [page.id for page in judged if not (WEB / f"{page.id}.md").exists()] == []
    slugs = set(TAGGER.referentiel.enjeux)
    others = [page for where in ("archive", "blind", "fresh", "fresh-demo") for page in enjeux.sample(where)]
    assert all(page.right <= slugs for page in (*judged, *others))


def test_at_least_150_pages_are_judged_and_every_enjeu_is_asked_for() -> None:
    judged = [*enjeux.sample("demo"), *enjeux.sample("archive")]
    assert len(judged) >= 150
    asked = frozenset().union(*(group for page in judged for group in page.must))
    assert asked == set(TAGGER.referentiel.enjeux)


def test_the_demo_web_is_tagged_as_judged(demo_tags: dict[str, tuple[Tag, ...]]) -> None:
    judged = [page for page in enjeux.sample("demo") if page.id in demo_tags]
    assert len(judged) >= 110
    scores = scores_of(judged, demo_tags)
    assert scores.overall.precision >= 0.95
    assert scores.overall.recall >= 0.90
    assert scores.macro_f1 >= 0.90
    scores = scores_of(enjeux.sample("fresh-demo"), demo_tags)  # judged before the tagger's answer was seen
    assert (scores.overall.precision >= 0.90, scores.overall.recall >= 0.65) == (True, True)


def test_the_words_that_are_shown_are_the_reason(demo_tags: dict[str, tuple[Tag, ...]]) -> None:
    documents = enjeux.demo_documents()
    blinded = enjeux.Sparing(TAGGER.referentiel)
    tried = 0
    for id, tags in demo_tags.items():
        for tag in tags:
            shown = {why.expression for why in tag.why}
            blinded.ignored = {e for e in TAGGER.referentiel.expressions if e.enjeu == tag.slug and e.text in shown}
            left = {other.slug: other.score for other in blinded.candidates(documents[id])}
            # A tag that shows fewer words than it may has no other reason: without them nothing is left of it.
            if len(shown) < MAX_WHY:
                assert tag.slug not in left, (id, tag)
            assert left.get(tag.slug, 0) < tag.score
            tried += 1
    assert tried > 200


def test_pages_judged_to_be_about_nothing_get_no_tag(demo_tags: dict[str, tuple[Tag, ...]]) -> None:
    nothing = [page.id for page in enjeux.sample("demo") if not page.right]
    assert len(nothing) >= 4
    assert {id: demo_tags.get(id, ()) for id in nothing} == dict.fromkeys(nothing, ())


@pytest.mark.shared
def test_archived_pages_are_tagged_as_we_and_their_publishers_judged() -> None:
    ours, blind, theirs = enjeux.sample("archive"), enjeux.sample("blind"), enjeux.publishers()
    fresh = [*enjeux.sample("fresh"), *enjeux.sample("fresh-demo")]
    documents = enjeux.demo_documents() | enjeux.archive_documents({p.id for p in (*ours, *blind, *fresh, *theirs)})
    tags = tagged(documents)
    assert {page.id for page in (*ours, *blind, *fresh)} <= set(tags)
    assert (len(blind) >= 60, len(fresh) >= 80) == (True, True)
    scores = scores_of(blind, tags)
    assert (scores.overall.f1 >= 0.87, scores.macro_f1 >= 0.70) == (True, True)
    scores = scores_of(fresh, tags)
    assert (scores.overall.f1 >= 0.85, scores.macro_f1 >= 0.80) == (True, True)
    judged, accounts = enjeux.initiatives()
    scores = scores_of(judged, tagged(accounts))
    assert (scores.overall.f1 >= 0.90, scores.macro_f1 >= 0.85) == (True, True)
    scores = scores_of(ours, tags)
    assert (scores.overall.f1 >= 0.88, scores.macro_f1 >= 0.78) == (True, True)
    scores = scores_of(theirs, tags)
    assert (scores.overall.f1 >= 0.78, scores.macro_f1 >= 0.66) == (True, True)
    bins = enjeux.calibration(theirs, tags)
    assert enjeux.calibration_error(bins) <= 0.05
    for said, right, count in bins:
        assert count < 50 or abs(said - right) <= 0.12, (
            f"tags scored about {said:.2f} are right {right:.2f} of the time"
        )
    # A score is the chance of a main subject, which is what publishers label; what is only acceptable comes on top.
    unseen = [*blind, *fresh]
    assert enjeux.calibration_error(enjeux.calibration(enjeux.main_subjects(unseen), tags)) <= 0.12
    assert all(right >= said - 0.05 for said, right, _ in enjeux.calibration(unseen, tags))

"""Postings say of each page what it was given, whatever the runs, the slabs and the versions it came through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elunum.index import postings
from elunum.index.postings import (
    IN_TITLE,
    OFTEN,
    SLOTS,
    Chosen,
    Page,
    Postings,
    PostingsWriter,
    chosen,
    few,
    impact,
    listed,
    write_addresses,
)

WORDS = ("jardin", "partage", "compost", "mairie", "ecole")
VALUES = ("kind:a", "kind:b", "year:2024", *(f"enjeu:{n}" for n in range(SLOTS)))

Said = tuple[Sequence[str], Sequence[str]]
"""Words and facet values of a page."""

SAID = st.tuples(st.lists(st.sampled_from(WORDS), max_size=8), st.lists(st.sampled_from(VALUES), unique=True))
PAGES = st.dictionaries(st.integers(1, 12), SAID, max_size=9)


def write(folder: Path, pages: Mapping[int, Said], last: Path | None = None, gone: Iterable[int] = ()) -> Postings:
    writer = PostingsWriter(folder, Postings(last) if last else None)
    for key, (words, values) in pages.items():
        writer.add(made(key, values), words)
    writer.finish(gone)
    keys = np.fromfile(folder / "postings.pages", postings._PAGE)["key"].tolist()
    write_addresses(folder, ((key, 0, row) for row, key in sorted(enumerate(keys), key=lambda one: one[1])))
    assert not list(folder.glob(".runs-*"))
    return Postings(folder)


def made(key: int, values: Sequence[str] = ()) -> Page:
    return Page(key, 1.0, key, key, -1, f"commune:{key % 3}", f"site-{key % 4}\tSite", values, [f"place\t{key % 3}"])


def said_by(found: Postings) -> dict[int, dict[str, int]]:
    """The words of each page by its key, with their impacts."""
    lists = {word: found.find(word) for word in WORDS}
    return {
        int(key): {word: int(one.at(found.everything)[row]) for word, one in lists.items() if one.dense[row]}
        for row, key in enumerate(found.key)
    }


def expected(words: Sequence[str]) -> dict[str, int]:
    counted = Counter(words)
    length = np.array([len(words)])
    return {word: int(impact(np.array([times]), length)[0]) for word, times in counted.items()}


@given(first=PAGES, second=PAGES, gone=st.sets(st.integers(1, 12), max_size=4), run=st.integers(1, 4))
@settings(deadline=None)
def test_a_version_made_from_the_last_one_holds_what_one_made_afresh_does(
    first: dict[int, Said], second: dict[int, Said], gone: set[int], run: int
) -> None:
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(postings, "RUN_PAGES", run)
        patch.setattr(postings, "SLAB", 3)
        one, two = Path(name) / "1", Path(name) / "2"
        one.mkdir()
        two.mkdir()
        assert said_by(write(one, first)) == {key: expected(words) for key, (words, _) in first.items()}
        found = write(two, second, one, gone)
        stays = {key: said for key, said in first.items() if key not in gone} | second
        assert said_by(found) == {key: expected(words) for key, (words, _) in stays.items()}
        counted = Counter(value for _, values in stays.values() for value in values)
        assert found.facets(found.everything) == counted
        for name in ("kind", "year", "enjeu"):
            own = {value: count for value, count in counted.items() if value.startswith(name)}
            assert found.facets(found.everything, name=name) == own
        odd = found.by_keys([key for key in stays if key % 2])
        assert found.facets(odd) == Counter(v for key, (_, values) in stays.items() if key % 2 for v in values)
        assert found.publishers(found.everything) == Counter(f"commune:{key % 3}" for key in stays)
        assert found.sources(found.everything) == Counter(f"site-{key % 4}\tSite" for key in stays)
        for place in range(3):
            rows = found.find(f"place\t{place}").rows
            assert sorted(found.key[rows].tolist()) == sorted(key for key in stays if key % 3 == place)
            assert found.published(f"commune:{place}").tolist() == rows.tolist()
        assert found.find("absent").count == 0
        assert found.find("absent").at(found.everything).tolist() == [0] * len(stays)


@given(st.sets(st.integers(0, 999)), st.lists(st.integers(0, 999), max_size=12))
def test_a_list_answers_the_same_asked_of_few_pages_and_of_all(held: set[int], asked: list[int]) -> None:
    rows = np.array(sorted(set(asked)), np.intp)
    one = listed(1_000, np.array(sorted(held), np.intp))
    few = (one.at(rows) > 0).tolist()
    assert few == [row in held for row in rows.tolist()]
    assert one.dense[rows].tolist() == [255 * holds for holds in few]


def test_a_page_is_where_the_engine_keeps_it(tmp_path: Path) -> None:
    found = write(tmp_path, {9: ([], ()), 3: ([], ()), 7: ([], ())})
    write_addresses(tmp_path, [(7, 1, 40), (3, 0, 20), (9, 2, 60)])
    placed = dict(zip(found.key.tolist(), Postings(tmp_path).addresses.tolist(), strict=True))
    assert placed == {9: (2, 60), 3: (0, 20), 7: (1, 40)}
    with pytest.raises(ValueError, match="same pages"):
        write_addresses(tmp_path, [(7, 1, 40), (3, 0, 20)])


def test_a_term_of_very_many_pages_is_kept_as_bytes(tmp_path: Path) -> None:
    found = write(tmp_path, {key: (["jardin"] if key % 2 else ["mairie"] * (key == 2), ()) for key in range(1, 101)})
    assert found.find("jardin").kept is None
    assert found.find("jardin").count == 50
    assert found.find("mairie").rows.tolist() == [1]


def test_more_times_and_fewer_words_say_more() -> None:
    lengths = np.array([100, 100, 1_000])
    once, thrice, drowned = impact(np.array([1, 3, 1]), lengths).tolist()
    assert drowned < once < thrice
    titled, without_end, filter_ = impact(np.array([IN_TITLE + 3, 100_000, OFTEN]), lengths).tolist()
    assert thrice < without_end < titled < filter_ == 255


def test_what_the_title_says_is_counted_more(tmp_path: Path) -> None:
    with closing(PostingsWriter(tmp_path)) as writer:
        writer.add(made(1), ["jardin", "mairie"], ["jardin"])
        writer.finish()
    write_addresses(tmp_path, [(1, 0, 0)])
    found = Postings(tmp_path)
    assert found.find("jardin").dense[0] > found.find("mairie").dense[0]


def test_a_sample_is_drawn_by_keys_and_never_empty(tmp_path: Path) -> None:
    found = write(tmp_path, {key * 40_503: ([], ()) for key in range(1, 1_001)})
    rows, everything = found.everything, chosen(np.ones(1_000, bool))
    assert everything.few is None
    assert len(found.sample(everything, 1_000)) == len(found.sample(everything, 0)) == 1_000
    some = found.sample(everything, 300)
    assert 150 < len(some) < 350
    assert found.sample(few(rows), 300).tolist() == some.tolist()
    assert found.sample(few(rows[::2]), 150).tolist() == [row for row in some.tolist() if row % 2 == 0]
    assert len(found.sample(few(rows), 1)) == len(found.sample(everything, 1)) >= 1


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), max_size=60))
def test_many_pages_and_few_are_narrowed_alike(pages: list[tuple[bool, bool, bool]]) -> None:
    held, one, other = (np.array([page[i] for page in pages], bool) for i in range(3))
    rows = np.flatnonzero(held)
    expected = np.flatnonzero(held & one & other).tolist()
    assert few(rows).narrowed(one[rows], other[rows]).rows.tolist() == expected
    narrowed = Chosen(len(rows), None, held).narrowed(one, other)
    assert narrowed.rows.tolist() == expected
    assert len(narrowed) == len(expected)
    assert chosen(held).rows.tolist() == rows.tolist()


@pytest.mark.parametrize("name", ["terms", "lists", "rows", "pages", "values", "addresses", "names"])
def test_a_file_that_is_missing_or_cut_is_said(tmp_path: Path, name: str) -> None:
    write(tmp_path, {key: (["jardin"], VALUES) for key in range(1, 20)} | {99: (["mairie"], ())})
    file = tmp_path / f"postings.{name}"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match="postings"):
        Postings(tmp_path)
    file.unlink()
    with pytest.raises(OSError, match="postings"):
        Postings(tmp_path)

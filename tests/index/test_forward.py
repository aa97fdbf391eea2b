"""What each page says, word after word: written once, read back by key, taken over from one version to the next."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elunum.index.forward import MAX_TOKENS, PARTS, Forward, ForwardWriter, token
from elunum.text import analyse


def parts(text: str) -> dict[str, list[tuple[str, str]]]:
    return {name: analyse(f"{name} {text}") for name in PARTS}


def written(folder: Path, pages: dict[int, str], last: Forward | None = None, gone: tuple[int, ...] = ()) -> Forward:
    folder.mkdir()
    with closing(ForwardWriter(folder)) as writer:
        for key, text in pages.items():
            writer.add(key, parts(text))
        writer.finish(last, gone)
    return Forward(folder)


def said(forward: Forward, key: int) -> list[int]:
    return [int(t) for t in forward.pages(*forward.places([key])).tokens]


def expected(text: str) -> list[int]:
    return [token(*pair) for part in parts(text).values() for pair in part]


def test_pages_come_back_in_the_order_asked(tmp_path: Path) -> None:
    forward = written(tmp_path / "one", {7: "des écoles", 3: "une école", 2**63 - 1: "le budget"})
    pages = forward.pages(*forward.places([2**63 - 1, 3]))
    assert [int(t) for t in pages.tokens] == expected("le budget") + expected("une école")
    assert pages.kept.tolist() == [[3] * 5, [3] * 5]
    assert pages.length.tolist() == [3, 3]


def test_a_page_that_is_not_there_says_nothing(tmp_path: Path) -> None:
    forward = written(tmp_path / "one", {7: "des écoles"})
    pages = forward.pages(*forward.places([1, 7, 99]))
    assert pages.kept.sum(axis=1).tolist() == [0, 15, 0]
    empty = written(tmp_path / "two", {})
    assert empty.pages(*empty.places([1])).kept.tolist() == [[0] * 5]


def test_the_next_version_takes_over_what_stays(tmp_path: Path) -> None:
    first = written(tmp_path / "one", {key: f"page {key} " + "mot " * key for key in range(50)})
    second = written(tmp_path / "two", {7: "changée", 60: "nouvelle"}, first, gone=(3, 4, 30))
    assert said(second, 7) == expected("changée")
    assert said(second, 60) == expected("nouvelle")
    for key in set(range(50)) - {3, 4, 30, 7}:
        assert said(second, key) == said(first, key)
    for key in (3, 4, 30):
        assert said(second, key) == []
    # What is gone is in no file: forgetting a page is real.
    size = (tmp_path / "two" / "forward.tokens").stat().st_size
    kept = [f"page {key} " + "mot " * key for key in range(50) if key not in (3, 4, 30, 7)]
    assert size == 4 * sum(len(expected(text)) for text in [*kept, "changée", "nouvelle"])


def test_a_long_text_is_cut_but_its_length_is_known(tmp_path: Path) -> None:
    forward = written(tmp_path / "one", {1: "mot " * (MAX_TOKENS["body"] + 10)})
    pages = forward.pages(*forward.places([1]))
    assert pages.kept[0].tolist() == [MAX_TOKENS[name] for name in PARTS]
    assert pages.length.tolist() == [MAX_TOKENS["body"] + 11]


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "one", {1: "un", 2: "deux"})
    keys = tmp_path / "one" / "forward.keys"
    whole = keys.read_bytes()
    for cut in (whole[:-1], whole[:-8]):
        keys.write_bytes(cut)
        with pytest.raises(ValueError, match="forward"):
            Forward(tmp_path / "one")


@given(st.text(max_size=30))
def test_forms_of_a_stem_share_their_first_bits(text: str) -> None:
    for word, stem in analyse(text):
        assert token(word, stem) >> 8 == token("", stem) >> 8
        assert 0 <= token(word, stem) < 2**32

"""Words that stand on the same pages point the same way, and pages are where their words are."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from elunum.index import vectors
from elunum.index.forward import PARTS, Forward, ForwardWriter, token
from elunum.index.vectors import Vectors
from elunum.text import analyse

DOGS = ["chien laisse muselière", "laisse promenade chien", "muselière promenade laisse", "chien muselière promenade"]
TAXES = ["impôt fiscal déclaration", "déclaration revenu impôt", "revenu fiscal déclaration", "impôt revenu fiscal"]


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "LEAST_PAGES", 40)
    monkeypatch.setattr(vectors, "COMMON", 0.5)
    monkeypatch.setattr(vectors, "DIMENSIONS", 2)


def written(folder: Path, pages: dict[int, tuple[str, str]], last: Path | None = None) -> Vectors:
    """The vectors of pages, title and text by key."""
    folder.mkdir()
    with closing(ForwardWriter(folder)) as writer:
        for key, (title, text) in pages.items():
            writer.add(key, {name: analyse({"title": title, "body": text}.get(name, "")) for name in PARTS})
        writer.finish(Forward(last) if last else None)
        vectors.write(folder, last, writer.keys)
    return vectors.read(folder, len(Forward(folder).keys))


def about(count: int = 40) -> dict[int, tuple[str, str]]:
    return {n: (said := (DOGS if n % 2 else TAXES)[n // 2 % 4], f"{said} page n{n}") for n in range(count)}


def alike(folder: Path, found: Vectors, key: int, stem: str) -> float:
    return float(found.alike(*Forward(folder).places([key]), found.query([stem]).direction)[0])


def test_words_of_the_same_pages_point_the_same_way(tmp_path: Path) -> None:
    found = written(tmp_path / "one", about())
    tax, dog = found.query(["impot"]).direction, found.query(["chien"]).direction
    assert found.query(["fiscal"]).direction @ tax > 0.8
    assert abs(dog @ tax) < 0.2
    assert np.linalg.norm(tax) == pytest.approx(1, abs=0.01)


def test_a_page_is_near_a_word_it_does_not_have(tmp_path: Path) -> None:
    found = written(tmp_path / "one", about() | {99: ("Revenu", "La déclaration.")})
    assert 0.8 < alike(tmp_path / "one", found, 99, "impot") < 1.01
    assert 0 <= alike(tmp_path / "one", found, 99, "chien") < 0.2


def test_what_is_unknown_has_no_direction(tmp_path: Path) -> None:
    found = written(tmp_path / "one", about() | {99: ("Zzz", "Yyy")})
    assert not found.query(["zzz"]).direction.any()
    assert not found.query([]).direction.any()
    assert alike(tmp_path / "one", found, 99, "chien") == 0
    assert alike(tmp_path / "one", found, 12_345, "chien") == 0
    assert found.telling(np.array([1])) == pytest.approx(found.idf.max())


def test_too_few_pages_have_no_vectors(tmp_path: Path) -> None:
    found = written(tmp_path / "one", about(39))
    assert found.pages.shape == (39, 0)
    assert found.query(["impot"]).direction.shape == (0,)
    assert alike(tmp_path / "one", found, 3, "impot") == 0
    assert written(tmp_path / "none", {}).pages.shape == (0, 0)


def test_pages_that_come_later_are_placed_among_the_words_that_are_known(tmp_path: Path) -> None:
    first = written(tmp_path / "one", about())
    later = {200: ("Revenu", "La déclaration."), 0: ("Chien", "La laisse.")}
    second = written(tmp_path / "two", later, tmp_path / "one")
    assert np.array_equal(first.words, second.words)
    assert alike(tmp_path / "two", second, 200, "impot") > 0.8
    assert alike(tmp_path / "two", second, 0, "chien") > 0.8  # it was about taxes
    kept, own = (
        found.pages[Forward(folder).places([7])[0]]
        for folder, found in ((tmp_path / "two", second), (tmp_path / "one", first))
    )
    assert np.array_equal(kept, own)


def test_vectors_are_learned_anew_once_pages_have_doubled(tmp_path: Path) -> None:
    written(tmp_path / "one", about(20))
    second = written(tmp_path / "two", {n: page for n, page in about(41).items() if n >= 20}, tmp_path / "one")
    assert second.learned_from == 41
    assert alike(tmp_path / "two", second, 3, "chien") > 0.8
    more = {1000 + n: page for n, page in about(42).items()}
    assert written(tmp_path / "three", more, tmp_path / "two").learned_from == 83


@pytest.mark.parametrize("name", ["vectors.npz", "vectors.pages"])
def test_a_cut_file_is_told(tmp_path: Path, name: str) -> None:
    written(tmp_path / "one", about())
    path = tmp_path / "one" / name
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises((OSError, ValueError)):
        vectors.read(tmp_path / "one", 40)


def test_how_telling_a_title_is_counts_each_of_its_words_with_a_subject_once(tmp_path: Path) -> None:
    pages = about() | {99: ("Le revenu et le revenu", "La déclaration."), 98: ("Revenu chien", ""), 97: ("", "Revenu")}
    found = written(tmp_path / "one", pages)
    places = Forward(tmp_path / "one").places([99, 98, 97, 1_000])
    once, both, nothing, absent = found.title_of(*places).tolist()
    codes = np.array([forward_code("revenu"), forward_code("chien")], np.uint32)
    revenue, dog = found.telling(codes).tolist()
    assert once == pytest.approx(revenue)
    assert both == pytest.approx(revenue + dog)
    assert nothing == absent == 0
    again = written(tmp_path / "two", {96: ("Chien", "")}, tmp_path / "one")
    kept = again.title_of(*Forward(tmp_path / "two").places([99, 96])).tolist()
    assert kept == pytest.approx([revenue, dog])


def forward_code(stem: str) -> int:
    return token("", stem) >> 8

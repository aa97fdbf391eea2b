"""The highest of many values, found without ordering the others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elunum.index.postings import Chosen, few
from elunum.search.matching import LOOKED_AT, best, first


@given(st.lists(st.integers(0, 50), max_size=2_000), st.integers(0, 60))
def test_the_highest_values_come_first_and_equal_ones_in_their_own_order(values: list[int], most: int) -> None:
    expected = sorted(range(len(values)), key=lambda place: (-values[place], place))[:most]
    assert first(np.array(values, np.float32), most).tolist() == expected


@pytest.mark.parametrize("kind", ["what is looked at is high", "all alike", "rising"])
def test_a_sample_that_misleads_loses_nothing(kind: str) -> None:
    values = np.zeros(20_000, np.float32)
    if kind == "what is looked at is high":
        step = len(values) // LOOKED_AT
        assert step > 1
        values[::step] = 5
        values[1::step] = 9
    elif kind == "rising":
        values = np.arange(20_000, dtype=np.float32)
    expected = np.argsort(-values, kind="stable")[:100]
    assert first(values, 100).tolist() == expected.tolist()


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 9)), max_size=80), st.integers(0, 30), st.integers(0, 90))
def test_the_best_of_many_are_those_of_few(pages: list[tuple[bool, int]], start: int, end: int) -> None:
    held = np.array([page[0] for page in pages], bool)
    values = np.array([page[1] for page in pages], np.uint16)
    rows = np.flatnonzero(held)
    expected = sorted(rows.tolist(), key=lambda row: (-int(values[row]), row))[start:end]
    for among, known in ((few(rows), values[rows]), (Chosen(len(rows), None, held), values * held)):
        found, worth = best(among, known, start, end)
        assert found.tolist() == expected
        assert worth.tolist() == values[expected].tolist()

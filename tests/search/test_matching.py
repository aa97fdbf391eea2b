"""The highest of many values, found without ordering the others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elunum.search.matching import first


@given(st.lists(st.integers(0, 50), max_size=2_000), st.integers(0, 60))
def test_the_highest_values_come_first_and_equal_ones_in_their_own_order(values: list[int], most: int) -> None:
    expected = sorted(range(len(values)), key=lambda place: (-values[place], place))[:most]
    assert first(np.array(values, np.float32), most).tolist() == expected


@pytest.mark.parametrize("kind", ["one in sixteen is high", "all alike", "rising"])
def test_a_sample_that_misleads_loses_nothing(kind: str) -> None:
    values = np.zeros(20_000, np.float32)
    if kind == "one in sixteen is high":
        values[::16] = 5
        values[1::16] = 9
    elif kind == "rising":
        values = np.arange(20_000, dtype=np.float32)
    expected = np.argsort(-values, kind="stable")[:100]
    assert first(values, 100).tolist() == expected.tolist()

"""What extraction is worth on real pages, against the texts their publishers made them from."""

from pathlib import Path

import pytest

from bench.extract import below, gold_texts, quality, sample, townhall_quality


@pytest.mark.shared
def test_real_pages_are_read_as_well_as_the_floors_say(shared: Path) -> None:
    assert not list(below(quality(sample(shared, 300), gold_texts(shared), {}) | townhall_quality({})))

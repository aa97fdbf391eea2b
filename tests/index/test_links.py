"""How central hosts are: exact on small webs, by rank, and the same whatever the order of links."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elunum.index.links import centrality, levels

HOSTS = st.sampled_from("abcdefgh")
WEBS = st.lists(st.tuples(HOSTS, HOSTS), max_size=30)


def by_walking(links: list[tuple[str, str]]) -> dict[str, float]:
    """The definition, host by host."""
    out = defaultdict(set)
    for origin, target in links:
        out[origin].add(target)
    found = {target: 0.0 for origin, target in links if origin != target}
    for start in list(out):
        seen, border, step = {start}, {start}, 0
        while border:
            step += 1
            border = {target for host in border for target in out.get(host, ())} - seen
            seen |= border
            for host in border:
                found[host] += 1 / step
    return found


@given(WEBS)
def test_centrality_is_the_sum_of_one_over_each_distance(links: list[tuple[str, str]]) -> None:
    assert centrality(links) == pytest.approx(by_walking(links))


@given(WEBS)
def test_the_order_of_links_and_their_repetition_change_nothing(links: list[tuple[str, str]]) -> None:
    assert centrality(links[::-1] + links) == centrality(links)


def test_many_small_hosts_are_estimated_from_those_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    links = [(f"n{n}", "hub") for n in range(400)] + [("n1", "n2")]
    monkeypatch.setattr("elunum.index.links.MAX_ORIGINS", 100)
    assert centrality(links)["hub"] == pytest.approx(400, rel=0.01)


def test_levels_go_by_rank_and_equals_are_equal() -> None:
    central = {f"h{n}": float(n) for n in range(1, 101)}
    found = levels(central)
    assert [found[f"h{n}"] for n in (100, 99, 96, 95, 81, 80, 51, 50, 1)] == [5, 4, 4, 3, 3, 2, 2, 1, 1]
    assert levels({"a": 2.0, "b": 2.0, "c": 1.0}) == {"a": 5, "b": 5, "c": 1}
    assert levels({}) == {}

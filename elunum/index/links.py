"""Links between hosts -> how central each host is: what the trusted sites of France point at.

Harmonic centrality (P. Boldi and S. Vigna, "Axioms for centrality", Internet Mathematics 10, 2014): the sum, over the
other hosts, of one over the number of links to follow from there to here. It needs no damping and no convergence, hosts
that nobody reaches count nothing, and a host gains little from many links of one neighbour.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from hashlib import blake2b

LEVELS = (0.01, 0.05, 0.2, 0.5)
"""Shares of the hosts that others link to, best first: the most central one in a hundred has level 5, and so on."""

MAX_STEPS = 12
"""Links followed: what is further away adds less than a tenth of a neighbour."""

MAX_ORIGINS = 4_096
"""Hosts that paths start from, one bit each. Beyond, as many are drawn (D. Eppstein and J. Wang, "Fast approximation of
centrality", 2001): the error of a mean over 4,096 hosts is under two in a hundred, and levels are coarser than that."""


def centrality(links: Iterable[tuple[str, str]]) -> dict[str, float]:
    """The harmonic centrality of each host that another links to, by paths of at most MAX_STEPS links.

    links: (from, to), repeated or not; a host's links to itself do not count. Exact up to MAX_ORIGINS hosts that link.
    """
    into: dict[str, set[str]] = defaultdict(set)
    for origin, target in links:
        if origin != target:
            into[target].add(origin)
    linking = {origin for found in into.values() for origin in found}
    number = {host: place for place, host in enumerate(sorted(linking | into.keys()))}
    sources = {number[target]: [number[origin] for origin in found] for target, found in into.items()}
    # Drawn by a hash of their names: the same ones tomorrow, but for those that came or left.
    origins = sorted(linking, key=lambda host: blake2b(host.encode(), digest_size=8).digest())[:MAX_ORIGINS]
    # Breadth-first from all of them together: one bit each says who has reached a host.
    newest = [0] * len(number)
    for bit, origin in enumerate(origins):
        newest[number[origin]] = 1 << bit
    reached = newest.copy()
    central = dict.fromkeys(sources, 0.0)
    for step in range(1, MAX_STEPS + 1):
        arrived = [0] * len(number)
        for place, before in sources.items():
            bits = 0
            for neighbour in before:
                bits |= newest[neighbour]
            arrived[place] = bits & ~reached[place]
        for place, bits in enumerate(arrived):
            if bits:
                reached[place] |= bits
                central[place] += bits.bit_count() / step
        newest = arrived
        if not any(newest):
            break
    scale = len(linking) / max(len(origins), 1)
    return {host: central[number[host]] * scale for host in sorted(into)}


def levels(central: Mapping[str, float]) -> dict[str, int]:
    """1 to 5 for each host, by its rank among the hosts that others link to; equals have equal levels.

    A rank and not a value, so that levels stay put while the web grows: pages are written again when theirs moves.
    """
    ordered = sorted(central.values(), reverse=True)
    rank = {value: place for place, value in reversed(list(enumerate(ordered)))}
    return {
        host: 5 - sum(rank[value] >= max(1, share * len(ordered)) for share in LEVELS)
        for host, value in central.items()
    }

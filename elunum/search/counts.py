"""How many documents answer: counted one by one up to a limit, beyond it estimated on a sample.

Counting costs as much as there is to count. On a sample of one page in two, four, eight… it costs the same
however large the index: between 2,500 and 5,000 pages are counted, which errs by about 2 % on the total, and by 6 % on
a facet that holds a tenth of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import tantivy
from tantivy import Query as EngineQuery

from elunum.index.schema import SAMPLE_LEVELS
from elunum.search.tantivy import Bound

SAMPLED = 2_500
"""Fewest documents that a sample is expected to hold of what is counted."""

PROBED = 2_000
"""Fewest documents of the whole index in the sample that says whether to count or to estimate."""

SAMPLED_PUBLISHERS = 500
"""Fewest publishers in a sample of them."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A set of documents, and how to count it."""

    query: EngineQuery  # the whole set, or the part of it that is in a sample
    total: int
    factor: int = 1  # documents that each counted one stands for

    @property
    def exact(self) -> bool:
        """Whether counts of this set are exact."""
        return self.factor == 1

    def standing_for(self, count: int) -> int:
        """The number to show for a count made with `query`."""
        return rounded(count * self.factor) if self.factor > 1 else count


Found = Callable[[Sequence[Bound]], EngineQuery]
"""The documents of a set that are within some bounds."""


def counted(searcher: tantivy.Searcher, schema: tantivy.Schema, found: Found, up_to: int) -> Counted:
    """A set of documents, counted. up_to: the largest set that is counted one by one; 0 for any."""
    finest = level_of(searcher.num_docs, PROBED)
    if not up_to or searcher.num_docs <= up_to or not finest:
        return Counted(found([]), count(searcher, found([])))
    probe = found([sample(schema, finest)])
    seen = count(searcher, probe)
    expected = seen * 2**finest
    level = min(level_of(expected, SAMPLED), finest)
    if expected <= up_to or not level:
        return Counted(found([]), count(searcher, found([])))
    if level < finest:
        probe = found([sample(schema, level)])
        seen = count(searcher, probe)
    return Counted(probe, rounded(seen * 2**level), 2**level)


def sample(schema: tantivy.Schema, level: int, by: str = "page") -> Bound:
    """The documents of the sample of that level, 1 at least; `by` publisher, all pages of some publishers."""
    return Bound(EngineQuery.term_query(schema, "sample", f"{by}:{level}", "basic"), listed=True)


def count(searcher: tantivy.Searcher, query: EngineQuery) -> int:
    """How many documents match, one by one."""
    result = searcher.search(query, 1, order_by_field="day")
    return int(result.count)  # type: ignore[attr-defined]  # missing from the engine's published types


def rounded(number: int) -> int:
    """Two significant digits: no more is known of an estimate."""
    digits = len(str(number)) - 2
    return round(number, -digits) if digits > 0 else number


def level_of(documents: int, least: int) -> int:
    """The smallest sample in which at least so many of these documents are expected."""
    return max(0, min(SAMPLE_LEVELS, math.floor(math.log(max(documents, 1) / least, 2))))

"""What each sign of relevance weighs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ranking:
    """Set by measurement: bench/relevance."""

    body: float = 1.0
    title: float = 1.0
    lead: float = 0.5  # the first words of the text: a title for pages whose title says nothing
    headings: float = 0.3
    anchors: float = 0.3  # what links that lead to the page say of it
    address: float = 0.2
    exact_title: float = 0.3  # the word as typed, not only its stem
    exact_body: float = 0.2
    pair: float = 0.3  # two neighbouring words of the query, side by side in the text
    pair_title: float = 0.5
    apart: float = 0.4  # of what a word is worth, left where what it says with its neighbours is not said
    slop: int = 3  # words that may stand between the two: « conseil des jeunes » for conseil jeunes
    about: float = 0.9  # what page and query are about, in word vectors: their cosine
    covered: float = 0.3  # share of the title that was asked for
    passage: float = 0.4  # share of the words that the best fifty words of the text hold
    synonym: float = 0.5  # another way to say a word, against the word itself
    local: float = 8.0  # a page of the territory named in the query, or about it; half for what contains it, and so on
    home: float = 40.0  # the home page of the territory, when the query asks for its site
    closeness: float = 8.0  # with like=: the closest collectivité gains this much


DEFAULT = Ranking()

"""Optional weights learned from pages that someone labelled: they choose among the enjeux that the expressions propose.

`python -m scripts.train_enjeux` writes them, the setting `index.enjeux_weights` names their file; without it the
expressions decide alone. Everything is linear, so that what is shown is what counted: the expressions that proposed the
enjeu, and the words that learned weights added to it most. See docs/decisions/enjeux-by-rules.md for when they pay.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import msgspec

from elunum.errors import SettingsError

SHARE = 2.0
"""What the share of an enjeu in the evidence of the expressions is multiplied by, to weigh beside words."""


class Weights(msgspec.Struct, frozen=True):
    """A linear model for each enjeu that was labelled often enough; the others keep the score of the expressions."""

    enjeux: dict[str, float]  # the constant of each
    words: dict[str, tuple[float, dict[str, float]]]  # word or pair of words -> rarity, weight for each enjeu
    shares: dict[str, float]  # enjeu -> weight of its own share of the evidence of the expressions
    intercept: float  # of the logistic curve from a margin to the chance that the tag is right
    slope: float

    def chances(self, words: Mapping[str, float], shares: Mapping[str, float]) -> dict[str, float]:
        """The chance that each enjeu is right, for those that were learned. words: as `vector` gives them."""
        margins = dict(self.enjeux)
        for name, value in words.items():
            for enjeu, weight in self.words[name][1].items():
                margins[enjeu] += weight * value
        for enjeu, weight in self.shares.items():
            margins[enjeu] += weight * shares.get(enjeu, 0.0) * SHARE
        return {
            enjeu: round(1 / (1 + math.exp(-self.intercept - self.slope * margin)), 4)
            for enjeu, margin in margins.items()
        }

    def vector(self, found: Sequence[str]) -> dict[str, float]:
        """How much each known word of a page counts: often here, seldom elsewhere; of length 1. found: `features`."""
        counts = Counter(found)
        known = {name: (1 + math.log(n)) * self.words[name][0] for name, n in counts.items() if name in self.words}
        length = math.sqrt(sum(value * value for value in known.values())) or 1.0
        return {name: value / length for name, value in known.items()}

    def telling(self, enjeu: str, words: Mapping[str, float], limit: int) -> list[str]:
        """The words of a page that added most to an enjeu, most first."""
        gains = {name: value * self.words[name][1].get(enjeu, 0.0) for name, value in words.items()}
        return sorted((name for name, gain in gains.items() if gain > 0), key=lambda name: (-gains[name], name))[:limit]


def features(title: Sequence[str], body: Sequence[str]) -> list[str]:
    """Words and pairs of neighbours, those of the title twice. Ends of sentences separate."""
    words = [*title, *title, *body]
    found = [word for word in words if word[0].isalnum()]
    found += [f"{a} {b}" for a, b in pairwise(words) if a[0].isalnum() and b[0].isalnum()]
    return found


@cache
def read_weights(path: Path) -> tuple[Weights, str]:
    """Weights and the hash of their file. Raises SettingsError when it cannot be read."""
    try:
        content = path.read_bytes()
        weights = msgspec.json.decode(content, type=Weights)
        if not weights.enjeux.keys() >= {*weights.shares, *(e for _, found in weights.words.values() for e in found)}:
            raise msgspec.ValidationError("weights of an enjeu without a constant")
        return weights, hashlib.sha256(content).hexdigest()[:6]
    except (OSError, msgspec.MsgspecError) as error:
        raise SettingsError(
            f"{path}: no weights of enjeux ({type(error).__name__}); run `python -m scripts.train_enjeux`, or empty "
            "index.enjeux_weights"
        ) from None

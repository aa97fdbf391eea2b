"""Weights of enjeux from pages that you labelled: which of the enjeux that the expressions propose a page keeps.

    python -m scripts.train_enjeux DOCS LABELS OUT

DOCS is JSONL `{id, url, title, text}`, as for `elunum enjeux tag`; LABELS is JSONL `{id, enjeux: [slug, ...]}`, or
`{id, must: [[slug, ...], ...], ok: [slug, ...]}`. OUT is the file that the setting `index.enjeux_weights` names. Needs
scikit-learn (`pip install elunum[dev]`). Label several hundred pages of the sites you will tag: on sites that were
never labelled, weights are worth less than the expressions alone (docs/decisions/enjeux-by-rules.md).
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.svm import LinearSVC

from elunum.errors import SettingsError
from elunum.index.learned import SHARE, Weights, features
from elunum.index.tags import INTERCEPT, SLOPE, Tagger, load_referentiel
from elunum.model import Document, DocumentId

MAX_FEATURES = 8_000
"""Words and pairs of words: 60,000 do no better."""

MIN_PAGES = 2
"""A word of fewer pages says nothing; an enjeu with fewer labels than five times that keeps the score of its rules."""

FAINT = 0.05
"""A weight below is left out: it changes nothing and would make the file ten times longer."""


class Page:
    """What is learned from one page."""

    def __init__(self, tagger: Tagger, document: Document, right: frozenset[str]) -> None:
        _, title, body = tagger.read(document)
        self.features = features(title, body)
        self.right = right
        self.shares = {
            tag.slug: (math.log(tag.score / (1 - tag.score)) - INTERCEPT) / SLOPE
            for tag in tagger.candidates(document)
            if tag.score < 1
        }


def train(pages: Sequence[Page], slugs: Sequence[str], calibrated: bool = True) -> Weights:
    """Weights learned from these pages.

    The curve from margins to chances is fitted on margins of pages that were left out, five parts in turn.
    """
    vectorizer = TfidfVectorizer(analyzer=_itself, min_df=MIN_PAGES, sublinear_tf=True, max_features=MAX_FEATURES)
    words = vectorizer.fit_transform([page.features for page in pages])
    names = vectorizer.get_feature_names_out()
    rarity = vectorizer.idf_
    constants: dict[str, float] = {}
    by_word: dict[str, tuple[float, dict[str, float]]] = {}
    by_share: dict[str, float] = {}
    for slug in slugs:
        right = np.array([slug in page.right for page in pages])
        if min(right.sum(), (~right).sum()) < 5 * MIN_PAGES:
            continue
        # The shares of the other enjeux would only add to what must be explained: without them F1 is 0.9 point higher.
        share = csr_matrix([[page.shares.get(slug, 0.0) * SHARE] for page in pages])
        model = LinearSVC(C=0.5, random_state=0).fit(hstack([words, share]).tocsr(), right)
        constants[slug] = round(float(model.intercept_[0]), 4)
        weights = model.coef_[0]
        for at in np.flatnonzero(abs(weights[: len(names)]) >= FAINT):
            _, of_word = by_word.setdefault(str(names[at]), (round(float(rarity[at]), 4), {}))
            of_word[slug] = round(float(weights[at]), 4)
        by_share[slug] = round(float(weights[len(names)]), 4)
    intercept, slope = _curve(pages, slugs) if calibrated and len(pages) >= 50 else (0.0, 4.0)
    return Weights(constants, by_word, by_share, intercept, slope)


def _curve(pages: Sequence[Page], slugs: Sequence[str]) -> tuple[float, float]:
    margins, right = [], []
    for train_on, left in KFold(5, shuffle=True, random_state=0).split(range(len(pages))):
        weights = train([pages[i] for i in train_on], slugs, calibrated=False)
        for i in left:
            for slug, chance in weights.chances(weights.vector(pages[i].features), pages[i].shares).items():
                if slug in pages[i].shares:
                    chance = min(max(chance, 1e-4), 1 - 1e-4)
                    margins.append((math.log(chance / (1 - chance)) - weights.intercept) / weights.slope)
                    right.append(slug in pages[i].right)
    model = LogisticRegression(C=1e6).fit(np.array(margins).reshape(-1, 1), right)
    return round(float(model.intercept_[0]), 4), round(float(model.coef_[0][0]), 4)


def _itself(words: list[str]) -> list[str]:
    return words


def read_pages(docs: Path, labels: Path, tagger: Tagger) -> list[Page]:
    """The labelled pages. Raises SettingsError naming the file and the line."""
    right: dict[str, frozenset[str]] = {}
    for where, row in _rows(labels):
        slugs = {*row.get("enjeux", ()), *row.get("ok", ()), *(s for group in row.get("must", ()) for s in group)}
        if unknown := slugs - set(tagger.referentiel.enjeux):
            raise SettingsError(f"{where}: {sorted(unknown)[0]!r} is no enjeu; take a slug of enjeux.csv")
        right[str(row.get("id"))] = frozenset(slugs)
    pages = []
    for _, row in _rows(docs):
        id, url, title, text = (str(row.get(name) or "") for name in ("id", "url", "title", "text"))
        if id in right:
            pages.append(Page(tagger, Document(DocumentId(id), url, title, text), right[id]))
    if len(pages) < 50:
        raise SettingsError(f"{docs}: {len(pages)} of its pages are labelled in {labels}; fifty are the least")
    return pages


def _rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise SettingsError(f"{path} line {number}: not a JSON object")
            found.append((f"{path} line {number}", row))
    return found


def main() -> int:
    try:
        docs, labels, out = (Path(name) for name in sys.argv[1:])
    except ValueError:
        print(__doc__, file=sys.stderr)
        return 2
    tagger = Tagger(load_referentiel())
    try:
        pages = read_pages(docs, labels, tagger)
    except (SettingsError, OSError) as error:
        print(f"train_enjeux: {error}", file=sys.stderr)
        return 2
    weights = train(pages, sorted(tagger.referentiel.enjeux))
    out.write_bytes(msgspec.json.encode(weights))
    print(f"{len(pages)} pages, {len(weights.enjeux)} enjeux learned, {len(weights.words)} words; {out} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())

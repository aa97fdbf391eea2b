"""Do weights learned from labelled pages beat the expressions alone? On sites seen in training, and on others.

    python -m bench.enjeux_learned      needs ../shared (or ELUNUM_SHARED) and scikit-learn, takes about three minutes

Pages labelled by their publishers are tagged three ways: by the expressions; by a linear SVM on TF-IDF alone, trained
on the other pages; by the weights that scripts/train_enjeux.py learns from the other pages. The others are, in turn,
four parts in five drawn at random within each publisher, pages that resemble each other in the same part; then all
publishers but one. What it says is in docs/decisions/enjeux-by-rules.md.
"""

from __future__ import annotations

import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from scipy.sparse.csgraph import connected_components
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold
from sklearn.svm import LinearSVC

from bench.enjeux import SHARED, Judged, archive_documents, calibration, publishers, score
from elunum.index.tags import Tagger, load_referentiel
from elunum.model import Document, Tag
from scripts.train_enjeux import Page, train

ALIKE = 0.7
"""Cosine of the words of two pages from which one says what the other is about."""

Split = tuple[Sequence[int], Sequence[int]]


def main() -> int:
    if not (SHARED / "data" / "web").is_dir():
        print(f"the real archives are not at {SHARED}; set ELUNUM_SHARED", file=sys.stderr)
        return 2
    judged = publishers()
    found = archive_documents({page.id for page in judged})
    judged = [page for page in judged if page.id in found]
    documents = [found[page.id] for page in judged]
    sources = [page.source for page in judged]
    count, alike = _families(documents)
    print(f"{len(documents)} pages, {count} of them unlike any other before them")
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    compare("other pages of a site", judged, documents, folds.split(sources, sources, groups=alike))
    compare("a site left out", judged, documents, LeaveOneGroupOut().split(sources, groups=sources))
    return 0


def _families(documents: list[Document]) -> tuple[int, list[int]]:
    """How many families of pages alike there are, and the number of the family of each page."""
    vectors = TfidfVectorizer(sublinear_tf=True).fit_transform([f"{d.title} {d.text}" for d in documents])
    count, families = connected_components(vectors @ vectors.T >= ALIKE, directed=False)
    return int(count), families.tolist()


def compare(name: str, judged: list[Judged], documents: list[Document], splits: Iterable[Split]) -> None:
    """Print the scores of each way, over the parts that were not trained on."""
    rules = Tagger(load_referentiel())
    slugs = sorted(rules.referentiel.enjeux)
    pages = [Page(rules, d, page.right) for d, page in zip(documents, judged, strict=True)]
    found: dict[str, dict[str, list[str]]] = defaultdict(dict)
    tags: dict[str, tuple[Tag, ...]] = {}
    for seen, unseen in splits:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "weights.json"
            path.write_bytes(msgspec.json.encode(train([pages[i] for i in seen], slugs)))
            learned = Tagger(rules.referentiel, weights=path)
        words = _words_alone(documents, [page.right for page in judged], slugs, seen, unseen)
        for i, alone in zip(unseen, words, strict=True):
            id = judged[i].id
            found["expressions"][id] = [tag.slug for tag in rules.tags(documents[i])]
            found["words learned"][id] = alone
            tags[id] = learned.tags(documents[i])
            found["expressions, weights"][id] = [tag.slug for tag in tags[id]]
    for way, made in found.items():
        scores = score(judged, made)
        print(f"{name:24}{way:24} micro F1 {scores.overall.f1:.3f}   macro F1 by enjeu {scores.macro_f1:.3f}")
    print(
        "calibration with weights: " + "  ".join(f"{s:.2f} -> {r:.2f} ({n})" for s, r, n in calibration(judged, tags))
    )


def _words_alone(
    documents: list[Document], right: list[frozenset[str]], slugs: list[str], seen: Sequence[int], unseen: Sequence[int]
) -> list[list[str]]:
    """What a linear SVM on TF-IDF of words and pairs of words answers, without any expression."""
    vectorizer = TfidfVectorizer(min_df=2, sublinear_tf=True, ngram_range=(1, 2), max_features=60_000)
    texts = [f"{document.title} {document.title} {document.text}" for document in documents]
    known = vectorizer.fit_transform([texts[i] for i in seen])
    asked = vectorizer.transform([texts[i] for i in unseen])
    made: list[list[str]] = [[] for _ in unseen]
    for slug in slugs:
        wanted = np.array([slug in right[i] for i in seen])
        if wanted.sum() >= 3:
            for at in np.flatnonzero(LinearSVC(C=0.5).fit(known, wanted).decision_function(asked) >= 0):
                made[at].append(slug)
    return made


if __name__ == "__main__":
    sys.exit(main())

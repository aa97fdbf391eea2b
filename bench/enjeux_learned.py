"""Would training beat the expressions? On sites seen in training, and on sites never seen.

    python -m bench.enjeux_learned      needs ../shared (or ELUNUM_SHARED) and scikit-learn, takes about two minutes

Each way of choosing tags is trained on some of the pages labelled by their publishers and scored on the others: five
random parts, then one whole publisher left out at a time. What it says is in docs/decisions/enjeux-by-rules.md.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import KFold
from sklearn.svm import LinearSVC

from bench.enjeux import SHARED, archive_documents, publishers, score
from elunum.index import tags

Split = tuple[Sequence[int], Sequence[int]]
NEVER = -9.0
# Decision thresholds: 0 is even odds for the rules; those of the learned ways were picked by hand on these very pages,
# to their advantage.
THRESHOLDS = {"expressions": 0.0, "learned words": -0.25, "both": -0.8}


def main() -> int:
    if not (SHARED / "data" / "web").is_dir():
        print(f"the real archives are not at {SHARED}; set ELUNUM_SHARED", file=sys.stderr)
        return 2
    judged = publishers()
    documents = archive_documents({page.id for page in judged})
    judged = [page for page in judged if page.id in documents]
    tagger = tags.Tagger(tags.load_referentiel())
    slugs = sorted(tagger.referentiel.enjeux)
    texts = [f"{documents[page.id].title} {documents[page.id].title} {documents[page.id].text}" for page in judged]
    right = np.array([[slug in page.right for slug in slugs] for page in judged])
    rules = np.full(right.shape, NEVER)
    for row, page in enumerate(judged):
        for tag in tagger.candidates(documents[page.id]):
            rules[row, slugs.index(tag.slug)] = math.log(tag.score / (1 - tag.score))
    sources = [page.source for page in judged]

    def compare(name: str, splits: Iterable[Split]) -> None:
        found: dict[str, dict[str, list[str]]] = {way: {} for way in THRESHOLDS}
        for train, test in splits:
            words = learned(texts, right, train, test)
            both = np.where(words > NEVER, rules[test] + 2 * words, rules[test])
            for way, values in (("expressions", rules[test]), ("learned words", words), ("both", both)):
                for row, page in zip(values, test, strict=True):
                    best = [slugs[i] for i in np.argsort(-row)[: tags.MAX_TAGS] if row[i] >= THRESHOLDS[way]]
                    found[way][judged[page].id] = best
        for way, made in found.items():
            scores = score(judged, made)
            print(f"{name:24}{way:16} micro F1 {scores.overall.f1:.3f}   macro F1 by enjeu {scores.macro_f1:.3f}")

    every = np.arange(len(judged))
    compare("five random parts", KFold(5, shuffle=True, random_state=0).split(every))
    masks = [np.array([source == left for source in sources]) for left in sorted(set(sources))]
    compare("a publisher left out", [(every[~mask], every[mask]) for mask in masks])
    return 0


def learned(texts: Sequence[str], right: np.ndarray, train: Sequence[int], test: Sequence[int]) -> np.ndarray:
    """Margins of a linear SVM on TF-IDF of words and pairs of words, an enjeu a column; NEVER where none was seen."""
    vectorizer = TfidfVectorizer(min_df=2, sublinear_tf=True, ngram_range=(1, 2), max_features=60_000)
    seen = vectorizer.fit_transform([texts[i] for i in train])
    unseen = vectorizer.transform([texts[i] for i in test])
    margins = np.full((len(test), right.shape[1]), NEVER)
    for column in range(right.shape[1]):
        wanted = right[train, column]
        if wanted.sum() >= 3:
            margins[:, column] = LinearSVC(C=0.5).fit(seen, wanted).decision_function(unseen)
    return margins


if __name__ == "__main__":
    sys.exit(main())

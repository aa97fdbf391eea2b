"""How good answers are: judged queries, beside what Lucene and simple recipes reach on the same ones.

    python -m bench.relevance [--only cdtn] [--set title=1.5 ...]     exit 1 when a score falls under its floor

`--set` tries another weight of elunum.search.ranking.Ranking and prints the paired difference with its standard error:
a gain smaller than two errors is noise. Needs ../shared (or ELUNUM_SHARED); exits with 2 where it is absent.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import get_args

from elunum.index import build
from elunum.index.tags import Tagger, load_referentiel
from elunum.model import DocumentId, Kind, Search, Source
from elunum.search.engine import Engine
from elunum.search.evaluate import query_scores, read_documents, read_judged, read_queries
from elunum.search.ranking import DEFAULT, Ranking
from elunum.settings import Settings

CHECKOUT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("ELUNUM_SHARED", CHECKOUT.parent / "shared")) / "data"

SETS = {
    # folder, documents, anchors (nDCG@10, recall@20), floor of nDCG@10
    "cdtn": (DATA / "ir" / "cdtn", "docs.jsonl.gz", "Lucene .447 .545, best simple recipe .460 .564", 0.485),
    "sp_questions": (DATA / "ir" / "sp_questions", "docs.jsonl.gz", "Lucene .703 .902, bm25s .736 .919", 0.775),
    "municipal": (DATA / "municipal", "pages.jsonl", "none known", 0.735),
}

FLOOR_OF_SIMILAR = 0.9
"""Share of the judged similar pages found among the first five; where five exist, three of them is the aim."""


def main() -> int:
    """Print a line a set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=[*SETS, "similar"])
    parser.add_argument("--set", action="append", default=[], metavar="WEIGHT=VALUE")
    options = parser.parse_args()
    if not DATA.is_dir():
        print(f"bench.relevance needs the judgments of {DATA}; set ELUNUM_SHARED", file=sys.stderr)
        return 2
    tried = {name: float(value) for name, _, value in (pair.partition("=") for pair in options.set)}
    fallen = []
    for name, (folder, documents, anchors, floor) in SETS.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="elunum-relevance-") as aside:
                engine = _engine(Path(aside), folder / documents, titles=name != "sp_questions")
                scores = _by_topic(engine, folder, DEFAULT)
                ndcg, recall = (statistics.mean(s[n] for s in scores.values()) for n in (0, 1))
                print(f"{name:13} nDCG@10 {ndcg:.4f}  recall@20 {recall:.4f}  ({anchors}; floor {floor})", flush=True)
                if ndcg < floor:
                    fallen.append(name)
                if tried:
                    other = _by_topic(engine, folder, replace(DEFAULT, **tried))  # type: ignore[arg-type]
                    gains = [other[topic][0] - scores[topic][0] for topic in scores]
                    error = statistics.stdev(gains) / len(gains) ** 0.5
                    print(f"{'':13} with {tried}: {statistics.mean(gains):+.4f} ± {error:.4f}", flush=True)
    if options.only in (None, "similar"):
        share, useful = similar()
        print(f"similar       {share:.2f} of the judged pages are in the first five, {useful:.2f} of those possible")
        if useful < FLOOR_OF_SIMILAR:
            fallen.append("similar")
    if fallen:
        print(f"under the floor: {', '.join(fallen)}", file=sys.stderr)
    return 1 if fallen else 0


def _engine(aside: Path, documents: Path, titles: bool) -> Engine:
    """An engine over the documents. sp_questions is indexed without titles: only its answers lack one."""
    plain = aside / "docs.jsonl"
    opened = gzip.open if documents.suffix == ".gz" else open
    with opened(documents, "rt", encoding="utf-8", newline="\n") as read, plain.open("w", encoding="utf-8") as file:
        for line in read:
            row = json.loads(line)
            file.write(json.dumps(row if titles else row | {"title": ""}) + "\n")
    settings = Settings(data=aside)
    build.serve_documents(settings, read_documents(plain))
    return Engine(settings)


def _by_topic(engine: Engine, folder: Path, ranking: Ranking) -> dict[str, tuple[float, ...]]:
    """nDCG@10, recall@20, hit@10 and MRR@10 of each topic."""
    engine.ranking = ranking
    topics: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    judged = read_judged(folder / "qrels.tsv")
    for qid, typed in read_queries(folder / "queries.tsv").items():
        if qid in judged:
            found = [docid for docid, _ in engine.ranked(Search(q=typed), 20)]
            topics[qid.partition(".")[0]].append(query_scores(found, judged[qid]))
    return {topic: tuple(map(statistics.mean, zip(*scores, strict=True))) for topic, scores in topics.items()}


def similar() -> tuple[float, float]:
    """Of the judged similar pages: the share found in the first five, and the same against the most five can hold."""
    tagger = Tagger(load_referentiel())
    ids: dict[str, DocumentId] = {}
    documents = []
    for document, line in zip(
        read_documents(DATA / "municipal" / "pages.jsonl"),
        (DATA / "municipal" / "pages.jsonl").read_text(encoding="utf-8").split("\n"),
        strict=False,
    ):
        row = json.loads(line)
        kind: Kind = row["kind"] if row["kind"] in get_args(Kind) else "autre"  # syndicats, networks
        source = Source(
            f"https://{row['host']}/",
            row["collectivite"],
            kind,
            row["insee"],
            row["siren"],
            row["departement"],
            row["region"],
        )
        places = (f"commune:{row['insee']}",) if row["insee"] else ()
        document = replace(document, source=source, places=places)
        documents.append(replace(document, enjeux=tagger.tags(document)))
        ids[row["id"]] = document.id
    judged: dict[str, set[str]] = defaultdict(set)
    for line in (DATA / "municipal" / "similar.tsv").read_text(encoding="utf-8").split("\n")[1:]:
        if line:
            one, other, _ = line.split("\t")
            judged[one].add(other)
    with tempfile.TemporaryDirectory(prefix="elunum-relevance-") as aside:
        settings = Settings(data=Path(aside))
        build.serve_documents(settings, documents)
        engine = Engine(settings)
        found = possible = 0
        total = 0
        for one, others in judged.items():
            hits = engine.similar(ids[one]) or ()
            good = sum(hit.id in {ids[other] for other in others if other in ids} for hit in hits)
            found, total, possible = found + good, total + len(others), possible + min(5, len(others))
    return found / total, found / possible


if __name__ == "__main__":
    sys.exit(main())

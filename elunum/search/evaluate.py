"""Judged queries -> scores: documents are indexed aside and asked exactly as the site would ask them."""

from __future__ import annotations

import math
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from elunum.errors import SettingsError
from elunum.index import build
from elunum.model import Document, DocumentId, Search
from elunum.search.engine import Engine
from elunum.settings import Settings

DEPTH = 50
"""Results asked for each query."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Means over topics; the variants of a topic (qid = topic.variant) are averaged first, not being independent."""

    documents: int
    queries: int
    topics: int
    ndcg_at_10: float
    recall_at_20: float
    hit_at_10: float
    mrr_at_10: float


def evaluate(docs: Path, queries: Path, qrels: Path, run: Path | None = None) -> Scores:
    """Index the JSONL `docs` aside with the default settings, ask each of `queries`, score against `qrels`.

    run: where to write the results (qid, docid, rank, score; tabs, no header). Raises SettingsError naming the file
    and the line that cannot be read.
    """
    judged, asked = read_judged(qrels), read_queries(queries)
    with tempfile.TemporaryDirectory(prefix="elunum-eval-") as aside:
        settings = Settings(data=Path(aside))
        about = build.serve_documents(settings, read_documents(docs))
        engine = Engine(settings)
        found = {qid: engine.ranked(Search(q=typed), DEPTH) for qid, typed in asked.items()}
    if run is not None:
        lines = (
            f"{qid}\t{docid}\t{rank}\t{score:.6f}\n"
            for qid, ranked in found.items()
            for rank, (docid, score) in enumerate(ranked, start=1)
        )
        with run.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(lines)
    topics: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for qid, good in judged.items():
        topics[qid.partition(".")[0]].append(query_scores([docid for docid, _ in found.get(qid, [])], good))
    by_topic = [[_mean(list(column)) for column in zip(*scores, strict=True)] for scores in topics.values()]
    means = [_mean(list(column)) for column in zip(*by_topic, strict=True)]
    return Scores(about.documents, len(judged), len(topics), *(means or [0.0] * 4))


def read_documents(path: Path) -> Iterator[Document]:
    """Documents of a JSONL file: id, url, title, text; other fields are ignored. Lines end with "\\n" alone."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = msgspec.json.decode(line, type=_Row)
            except msgspec.MsgspecError as error:
                raise SettingsError(f"{path} line {number}: {error}; write id, url, title and text") from None
            yield Document(id=DocumentId(row.id), url=row.url, title=row.title, text=row.text)


def read_queries(path: Path) -> dict[str, str]:
    """Queries by qid. Raises SettingsError naming the line that cannot be read."""
    return {row[0]: row[1] for _, row in _rows(path, 2)}


def read_judged(path: Path) -> dict[str, dict[str, int]]:
    """For each qid that has some, its relevant documents with their grade, 1 and more."""
    judged: dict[str, dict[str, int]] = defaultdict(dict)
    for number, row in _rows(path, 3):
        try:
            grade = int(row[2])
        except ValueError:
            raise SettingsError(f"{path} line {number}: the third column is a whole number") from None
        if grade > 0:
            judged[row[0]][row[1]] = grade
    return dict(judged)


class _Row(msgspec.Struct):
    id: str
    url: str = ""
    title: str = ""
    text: str = ""


def _rows(path: Path, columns: int) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each line of a TSV with a header. Split on "\\n" alone: queries may hold U+2028."""
    with path.open(encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            cells = line.rstrip("\r\n").split("\t")
            if (number == 1 and cells[0] == "qid") or cells == [""]:
                continue
            if len(cells) < columns:
                raise SettingsError(f"{path} line {number}: {columns} columns separated by tabs are expected")
            yield number, cells


def query_scores(ranked: Sequence[str], good: Mapping[str, int]) -> tuple[float, float, float, float]:
    """nDCG@10 (linear gain, as trec_eval), recall@20, hit@10 and reciprocal rank@10 of one query."""
    gains = [good.get(docid, 0) for docid in ranked[:20]]
    ideal = _dcg(sorted(good.values(), reverse=True)[:10])
    first = next((rank for rank, gain in enumerate(gains[:10], start=1) if gain), 0)
    return (
        _dcg(gains[:10]) / ideal,
        sum(g > 0 for g in gains) / len(good),
        float(first > 0),
        1 / first if first else 0.0,
    )


def _dcg(gains: list[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0

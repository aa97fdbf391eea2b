"""`elunum eval`: documents indexed aside, queries asked as the site would, scores as trec_eval computes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from elunum.errors import SettingsError
from elunum.search.evaluate import evaluate, query_scores


def _write(folder: Path, queries: str, qrels: str) -> tuple[Path, Path, Path]:
    rows = [
        {"id": "a", "url": "https://a.fr/", "title": "Le budget participatif", "text": "Les habitants votent."},
        {"id": "b", "url": "https://b.fr/", "title": "Cantine", "text": "Le budget\u2028de la cantine.", "other": 1},
        {"id": "c", "url": "https://c.fr/", "title": "Voirie", "text": "Travaux de la rue."},
    ]
    (folder / "docs.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    (folder / "queries.tsv").write_text(queries, "utf-8")
    (folder / "qrels.tsv").write_text(qrels, "utf-8")
    return folder / "docs.jsonl", folder / "queries.tsv", folder / "qrels.tsv"


def test_documents_are_found_and_the_run_is_written(tmp_path: Path) -> None:
    files = _write(
        tmp_path,
        "qid\tquery\nt1.0\tbudget participatif\nt1.1\thabitants budget\nt2.0\ttravaux\n",
        "qid\tdocid\trel\nt1.0\ta\t3\nt1.1\ta\t3\nt2.0\tc\t1\nt2.0\tb\t0\n",
    )
    scores = evaluate(*files, tmp_path / "run.tsv")
    assert (scores.documents, scores.queries, scores.topics) == (3, 3, 2)
    assert scores.ndcg_at_10 == scores.recall_at_20 == scores.mrr_at_10 == 1.0
    run = [line.split("\t") for line in (tmp_path / "run.tsv").read_text("utf-8").splitlines()]
    assert run[0][:3] == ["t1.0", "a", "1"]
    assert all(len(row) == 4 and float(row[3]) >= 0 for row in run)


def test_variants_are_averaged_inside_their_topic_first(tmp_path: Path) -> None:
    files = _write(
        tmp_path,
        "qid\tquery\nt1.0\tbudget participatif\nt1.1\tzzzz\nt2.0\ttravaux\n",
        "qid\tdocid\trel\nt1.0\ta\t3\nt1.1\ta\t3\nt2.0\tc\t1\n",
    )
    assert evaluate(*files).hit_at_10 == (0.5 + 1.0) / 2


def test_scores_are_those_of_trec_eval() -> None:
    ndcg, recall, hit, reciprocal = query_scores(["x", "b", "a"], {"a": 3, "b": 1, "c": 2})
    assert ndcg == pytest.approx((1 / 1.58496 + 3 / 2) / (3 + 2 / 1.58496 + 1 / 2), abs=1e-4)
    assert (recall, hit, reciprocal) == (2 / 3, 1.0, 0.5)


def test_a_bad_line_is_named(tmp_path: Path) -> None:
    docs, queries, qrels = _write(tmp_path, "qid\tquery\nq1\teau\n", "qid\tdocid\trel\nq1\ta\tmuch\n")
    with pytest.raises(SettingsError, match=r"qrels.tsv line 2"):
        evaluate(docs, queries, qrels)
    docs.write_text("{not json\n", "utf-8")
    qrels.write_text("q1\ta\t1\n", "utf-8")
    with pytest.raises(SettingsError, match=r"docs.jsonl line 1"):
        evaluate(docs, queries, qrels)

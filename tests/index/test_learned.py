"""Weights learned from labelled pages: they choose among what the expressions propose, and say what counted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from elunum.errors import SettingsError
from elunum.index.learned import read_weights
from elunum.index.tags import THRESHOLD, Tagger, load_referentiel
from elunum.model import Document, DocumentId
from elunum.settings import CHECKOUT
from scripts.train_enjeux import Page, train

RULES = Tagger(load_referentiel())


def document(number: int, title: str, text: str) -> Document:
    return Document(DocumentId(f"{number:016x}"), f"https://www.exemple.fr/{number}", title, text)


def labelled() -> list[tuple[Document, list[str]]]:
    """A site whose publisher files the water of its pool under health, and the hours of its switchboard nowhere."""
    found = []
    for n in range(40):
        pool, bike, hours = "Piscine et santé, bassin", "Vélo, piste", "Santé du standard, horaires"
        found.append((document(n, f"{pool} {n}", "Le laboratoire analyse l’eau pour la santé. " * 3), ["sante"]))
        found.append((document(100 + n, f"{bike} {n}", "Une piste cyclable relie le centre. " * 3), ["mobilite"]))
        found.append((document(200 + n, f"{hours} {n}", "Appelez le matin pour la santé du standard. " * 3), []))
    return found


def trained(docs: Path, labels: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.train_enjeux", str(docs), str(labels), str(out)]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    docs, labels, out = (folder / name for name in ("docs.jsonl", "labels.jsonl", "weights.json"))
    rows = [({"id": d.id, "url": d.url, "title": d.title, "text": d.text}, slugs) for d, slugs in labelled()]
    docs.write_text("".join(json.dumps(row) + "\n" for row, _ in rows), encoding="utf-8")
    labels.write_text("".join(json.dumps({"id": row["id"], "enjeux": s}) + "\n" for row, s in rows), encoding="utf-8")
    done = trained(docs, labels, out)
    assert done.returncode == 0, done.stderr
    return out


def test_weights_choose_among_what_the_expressions_propose(weights: Path) -> None:
    tagger = Tagger(load_referentiel(), weights=weights)
    for page, slugs in labelled():
        assert [tag.slug for tag in tagger.tags(page)] == slugs
        assert {tag.slug for tag in tagger.candidates(page)} == {tag.slug for tag in RULES.candidates(page)}
    assert tagger.tags(document(999, "Bassin", "Un bassin. Des bassins.")) == ()


def test_the_words_that_were_learned_are_shown_as_such_after_those_of_the_expressions(weights: Path) -> None:
    tagger = Tagger(load_referentiel(), weights=weights)
    (tag,) = tagger.tags(labelled()[0][0])
    assert tag.score >= THRESHOLD
    places = [why.where for why in tag.why]
    assert places == sorted(places, key=lambda place: place == "learned")
    assert places[0] != "learned"
    learned = {why.expression for why in tag.why if why.where == "learned"}
    assert learned
    words = read_weights(weights)[0].words
    gains = {word: words[word][1].get(tag.slug, 0) for word in learned}
    assert all(gain > 0 for gain in gains.values()), gains  # each of them did speak for this enjeu


def test_pages_are_tagged_again_when_the_weights_change(weights: Path) -> None:
    assert Tagger(load_referentiel(), weights=weights).version != RULES.version


def test_training_twice_gives_the_same_weights(weights: Path) -> None:
    pages = [Page(RULES, page, frozenset(slugs)) for page, slugs in labelled()]
    slugs = sorted(RULES.referentiel.enjeux)
    assert train(pages, slugs) == train(pages, slugs)
    assert set(read_weights(weights)[0].enjeux) == {"sante", "mobilite"}


ORPHAN = b'{"enjeux": {}, "words": {}, "shares": {"sante": 1.0}, "intercept": 0, "slope": 1}'


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", ORPHAN])
def test_a_file_that_holds_no_weights_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "weights.json"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"weights\.json.*train_enjeux"):
        read_weights(file)
    with pytest.raises(SettingsError, match=r"absent\.json"):
        read_weights(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("labels", "said"), [('{"id": "a", "enjeux": ["nulle-part"]}', "is no enjeu"), ("nothing", "line 1"), ("", "fifty")]
)
def test_training_refuses_bad_files_in_one_sentence(tmp_path: Path, labels: str, said: str) -> None:
    (tmp_path / "docs.jsonl").write_text("", encoding="utf-8")
    (tmp_path / "labels.jsonl").write_text(labels, encoding="utf-8")
    done = trained(tmp_path / "docs.jsonl", tmp_path / "labels.jsonl", tmp_path / "out.json")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr

"""How right the tags are, and what a document costs: against judged pages, with the worst mistakes.

    python -m bench.enjeux           scores, calibration, ms per document and the worst 20 mistakes
    python -m bench.enjeux --fit     also the logistic curve that fits these pages best: INTERCEPT and SLOPE of tags.py

Three sets. The sample of tests/judged/enjeux.csv: pages of the demo web, and of the archives where they are. Short
accounts of initiatives of communes, labelled by another reader. The labels that the publishers gave their pages,
mapped to the référentiel (../shared/data, or ELUNUM_SHARED): skipped, saying so, where absent. A judgment is a list
of groups, of which at least one enjeu must be found (the main subjects), and the enjeux that are also right; a page
judged to be about nothing makes every tag of it wrong.

F1 comes with the interval that holds 95 % of its values on pages drawn again with replacement. What expressions owe to
having been written while reading these pages is bounded by ignoring, on each page, those that no other page holds, then
those that no other publisher's page holds: on pages never read, rare but apt expressions are lost as well, so the truth
lies between these figures and the first ones.
"""

from __future__ import annotations

import csv
import json
import math
import os
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lxml import html
from warcio.archiveiterator import ArchiveIterator

from demo.pages import WEB, Web
from elunum.index import tags
from elunum.index.extract import extract
from elunum.model import Document, Page, Tag
from elunum.urls import document_id

CHECKOUT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("ELUNUM_SHARED", CHECKOUT.parent / "shared"))
SAMPLE = CHECKOUT / "tests" / "judged" / "enjeux.csv"


@dataclass(frozen=True)
class Judged:
    """What the tags of one page should be."""

    id: str
    source: str
    must: tuple[frozenset[str], ...]  # of each group, one enjeu at least
    ok: frozenset[str]

    @property
    def right(self) -> frozenset[str]:
        return self.ok.union(*self.must)


@dataclass
class Tally:
    """Counts of one pool of pages: groups asked and met, tags made and right."""

    asked: int = 0
    met: int = 0
    made: int = 0
    right: int = 0

    @property
    def precision(self) -> float:
        return self.right / self.made if self.made else 0.0

    @property
    def recall(self) -> float:
        return self.met / self.asked if self.asked else 0.0

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


@dataclass
class Scores:
    """The tally of everything, of each enjeu that is asked for, of each source."""

    overall: Tally = field(default_factory=Tally)
    labels: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    sources: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the enjeux that some page asks for."""
        return _mean_f1(self.labels)

    @property
    def macro_f1_by_source(self) -> float:
        """Mean F1 of the sources of which some page asks for an enjeu."""
        return _mean_f1(self.sources)


def _mean_f1(pools: Mapping[str, Tally]) -> float:
    asked = [tally.f1 for tally in pools.values() if tally.asked]
    return sum(asked) / len(asked) if asked else 0.0


def sample(where: str) -> list[Judged]:
    """Our own judgments; where: "demo" or "archive"; "blind" (archives), "fresh" (archives) and "fresh-demo", in that
    order: drawn at random and judged before the tagger's answer was seen; nothing was fitted to the last two."""
    with SAMPLE.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["where"] == where]
    return [
        Judged(
            row["id"],
            where,
            tuple(frozenset(group.split("|")) for group in row["must"].split(";") if group),
            frozenset(slug for slug in row["ok"].split(";") if slug),
        )
        for row in rows
    ]


def publishers() -> list[Judged]:
    """The labels that publishers gave their own pages."""
    lines = (SHARED / "data" / "enjeux_gold.jsonl").read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    return [
        Judged(row["id"], row["src"], tuple(frozenset(group) for group in row["must"]), frozenset(row["ok"]))
        for row in rows
    ]


def initiatives() -> tuple[list[Judged], dict[str, Document]]:
    """Accounts of initiatives of communes with the enjeux that another reader gave them."""
    judged, documents = [], {}
    for line in (SHARED / "data" / "municipal" / "pages.jsonl").read_text(encoding="utf-8").split("\n"):
        if line:
            row = json.loads(line)
            must = tuple(frozenset([slug]) for slug in row["enjeux"]["must"])
            judged.append(Judged(row["id"], row["kind"], must, frozenset(row["enjeux"]["ok"])))
            documents[row["id"]] = Document(document_id(row["url"]), row["url"], row["title"], row["text"])
    return judged, documents


def demo_documents() -> dict[str, Document]:
    """The pages of the demo web as Elunum extracts them, by host and path of their file."""
    web, found = Web(), {}
    for file, page in web.pages.items():
        answer = web.answer(page.host, page.path)
        fetched = Page(f"http://{page.host}{page.path}", answer.status, answer.headers, answer.body, datetime.now(UTC))
        if isinstance(document := extract(fetched), Document):
            found[file.relative_to(WEB).with_suffix("").as_posix()] = document
    return found


def archive_documents(ids: Collection[str]) -> dict[str, Document]:
    """Pages of the archives by their header X-Elunum-Id: the text of <main>, so that only the tagger is measured."""
    found = {}
    for path in sorted((SHARED / "data" / "web").glob("*.warc.gz")):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream):
                name = record.http_headers and record.http_headers.get_header("X-Elunum-Id")
                if name in ids:
                    url = record.rec_headers.get_header("WARC-Target-URI")
                    found[name] = _document(url, record.content_stream().read())
    return found


def _document(url: str, body: bytes) -> Document:
    tree = html.document_fromstring(body)
    title = (tree.findtext(".//title") or "").rsplit(" | ", 1)[0]
    main = tree.find(".//main")
    text = "" if main is None else "\n".join(part.strip() for part in main.itertext() if part.strip())
    return Document(document_id(url), url, title, text)


def score(judged: Iterable[Judged], found: Mapping[str, Sequence[str]]) -> Scores:
    """Recall of what must be found, precision against all that is right."""
    scores = Scores()
    for page in judged:
        slugs = set(found.get(page.id, ()))
        pools = (scores.overall, scores.sources[page.source])
        for group in page.must:
            for pool in (*pools, *(scores.labels[slug] for slug in group)):
                pool.asked += 1
                pool.met += bool(group & slugs)
        for slug in slugs:
            for pool in (*pools, scores.labels[slug]):
                pool.made += 1
                pool.right += slug in page.right
    return scores


def calibration(judged: Iterable[Judged], found: Mapping[str, Sequence[Tag]]) -> list[tuple[float, float, int]]:
    """Tags by tenths of score: mean score, share that is right, how many."""
    bins: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for page in judged:
        for tag in found.get(page.id, ()):
            bins[min(int(tag.score * 10), 9)].append((tag.score, tag.slug in page.right))
    return [
        (sum(s for s, _ in pairs) / len(pairs), sum(right for _, right in pairs) / len(pairs), len(pairs))
        for _, pairs in sorted(bins.items())
    ]


def calibration_error(bins: Sequence[tuple[float, float, int]]) -> float:
    """Mean distance between what scores say and what is right, each bin of `calibration` weighed by its tags."""
    return sum(abs(said - right) * count for said, right, count in bins) / max(sum(count for *_, count in bins), 1)


def main_subjects(judged: Iterable[Judged]) -> list[Judged]:
    """The same judgments, where what is only acceptable counts as wrong: what scores are the chance of."""
    return [Judged(page.id, page.source, page.must, frozenset()) for page in judged]


def interval(judged: Sequence[Judged], found: Mapping[str, Sequence[str]], draws: int = 200) -> str:
    """Between which values 95 % of micro and macro F1 lie, on pages drawn again with replacement."""
    seeded = random.Random(0)
    drawn = [score(seeded.choices(judged, k=len(judged)), found) for _ in range(draws)]
    told = []
    for values in (sorted(s.overall.f1 for s in drawn), sorted(s.macro_f1 for s in drawn)):
        told.append(f"{values[draws // 40]:.3f} to {values[-1 - draws // 40]:.3f}")
    return f"95 % of draws: micro F1 {told[0]}, macro F1 {told[1]}"


class Sparing(tags.Tagger):
    """A tagger that passes over some expressions."""

    ignored: Collection[tags.Expression] = ()

    def read(self, document: Document) -> tags.Reading:
        seen, title, body = super().read(document)
        return {e: where for e, where in seen.items() if e not in self.ignored}, title, body


def unread(judged: Sequence[Judged], documents: Mapping[str, Document]) -> list[str]:
    """F1 where a page is tagged without the expressions that no other page, or no other publisher's, holds."""
    tagger = Sparing(tags.load_referentiel())
    held = {page.id: set(tagger.read(documents[page.id])[0]) for page in judged}
    pages, sources = Counter[tags.Expression](), defaultdict[tags.Expression, set[str]](set)
    for page in judged:
        for expression in held[page.id]:
            pages[expression] += 1
            sources[expression].add(page.source)
    lines = []
    for name, alone in (
        ("page", {e for e in pages if pages[e] == 1}),
        ("publisher", {e for e in pages if len(sources[e]) == 1}),
    ):
        tagger.ignored = alone
        scores = score(judged, {page.id: [tag.slug for tag in tagger.tags(documents[page.id])] for page in judged})
        figures = f"micro F1 {scores.overall.f1:.3f}, macro F1 {scores.macro_f1:.3f}"
        lines.append(f"without the {len(alone)} expressions that one {name} alone holds: {figures}")
    return lines


def mistakes(judged: Iterable[Judged], found: Mapping[str, Sequence[Tag]], limit: int = 20) -> list[str]:
    """The wrong tags of which the tagger was surest, with the words that misled it."""
    wrong = [(tag.score, page, tag) for page in judged for tag in found.get(page.id, ()) if tag.slug not in page.right]
    wrong.sort(key=lambda item: (-item[0], item[1].id))
    return [
        f"{score:.2f} {tag.slug:24} {page.id[:48]:50} {', '.join(f'{w.expression} ({w.where})' for w in tag.why[:4])}"
        for score, page, tag in wrong[:limit]
    ]


def fit(judged: Iterable[Judged], candidates: Mapping[str, Sequence[Tag]]) -> tuple[float, float]:
    """INTERCEPT and SLOPE that make scores most likely; each source weighs as the square root of its pages."""
    judged = [page for page in judged if page.id in candidates]
    pages = Counter(page.source for page in judged)
    points = [
        ((math.log(tag.score / (1 - tag.score)) - tags.INTERCEPT) / tags.SLOPE, tag.slug in page.right, page.source)
        for page in judged
        for tag in candidates[page.id]
        if 0 < tag.score < 1
    ]
    a, b = tags.INTERCEPT, tags.SLOPE
    for _ in range(25):  # Newton's method on the log-likelihood of a logistic curve of one variable
        ga = gb = haa = hab = hbb = 0.0
        for x, right, source in points:
            p = 1 / (1 + math.exp(-a - b * x))
            weight = pages[source] ** -0.5
            ga, gb = ga + weight * (right - p), gb + weight * (right - p) * x
            q = weight * p * (1 - p)
            haa, hab, hbb = haa + q, hab + q * x, hbb + q * x * x
        determinant = haa * hbb - hab * hab
        a, b = a + (hbb * ga - hab * gb) / determinant, b + (haa * gb - hab * ga) / determinant
    return a, b


def report(name: str, judged: list[Judged], documents: Mapping[str, Document], with_fit: bool) -> None:
    """Print all of it for one set of judgments."""
    tagger = tags.Tagger(tags.load_referentiel())
    for document in list(documents.values())[:200]:
        tagger.tags(document)
    found, each_ms = {}, []
    for id, document in documents.items():
        started = time.process_time()
        found[id] = tagger.tags(document)
        each_ms.append((time.process_time() - started) * 1000)
    each_ms.sort()
    judged = [page for page in judged if page.id in documents]
    slugs = {id: [tag.slug for tag in made] for id, made in found.items()}
    scores = score(judged, slugs)
    made = sum(len(tags_) for tags_ in found.values())
    print(f"\n== {name}: {len(judged)} pages, {made / max(len(judged), 1):.2f} tags a page")
    at = {share: each_ms[int(share * (len(each_ms) - 1))] for share in (0.5, 0.9, 0.99)}
    mean = sum(each_ms) / len(each_ms)
    print(f"CPU ms a document: mean {mean:.2f}, " + ", ".join(f"p{s * 100:.0f} {ms:.2f}" for s, ms in at.items()))
    print(f"{'':26}precision   recall       F1    asked     made")
    rows = [("micro", scores.overall), *sorted(scores.sources.items()), *sorted(scores.labels.items())]
    for label, tally in rows:
        figures = f"{tally.precision:9.3f}{tally.recall:9.3f}{tally.f1:9.3f}{tally.asked:9}{tally.made:9}"
        print(f"{label:26}{figures}")
    print(f"macro F1 by enjeu {scores.macro_f1:.3f}, by source {scores.macro_f1_by_source:.3f}")
    print(interval(judged, slugs))
    right, main_ = calibration(judged, found), calibration(main_subjects(judged), found)
    print(f"{'tags scored about':20}{'how many':>9}{'right':>9}{'of which a main subject':>25}")
    for (said, share, count), (_, main_share, _) in zip(right, main_, strict=True):
        print(f"{said:20.2f}{count:9}{share:9.2f}{main_share:25.2f}")
    print(f"mean error{calibration_error(right):28.3f}{calibration_error(main_):25.3f}")
    print("worst mistakes:", *mistakes(judged, found), sep="\n  ")
    if with_fit:
        intercept, slope = fit(judged, {id: tagger.candidates(document) for id, document in documents.items()})
        print(f"fitted: INTERCEPT {intercept:.2f}, SLOPE {slope:.2f}")


def main() -> int:
    with_fit = "--fit" in sys.argv[1:]
    demo = demo_documents()
    report("demo web", sample("demo"), demo, with_fit)
    if not (SHARED / "data" / "web").is_dir():
        print(f"the real archives are not at {SHARED}; set ELUNUM_SHARED", file=sys.stderr)
        return 0
    fresh = [*sample("fresh"), *sample("fresh-demo")]
    report("initiatives of communes, labelled by another reader", *initiatives(), with_fit)
    sets = {
        "archives, judged by us": sample("archive"),
        "archives, judged by us before the tagger's answer was seen": sample("blind"),
        "archives and demo web, judged so since, nothing fitted to them": fresh,
        "all that we judged": [*sample("demo"), *sample("archive"), *sample("blind"), *fresh],
        "archives, labelled by their publishers": publishers(),
    }
    documents = demo | archive_documents({page.id for judged in sets.values() for page in judged})
    for name, judged in sets.items():
        report(name, judged, {page.id: documents[page.id] for page in judged if page.id in documents}, with_fit)
    print(*unread([page for page in publishers() if page.id in documents], documents), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

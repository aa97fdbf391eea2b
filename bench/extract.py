"""How much of a page's text is found, how right the rest is, and what a page costs.

    python -m bench.extract               everything, on 200 pages
    python -m bench.extract --pages 4817  on all of them

Needs the real archives (../shared/data, or ELUNUM_SHARED). Prints ratios to trafilatura on the same pages: milliseconds
depend on the machine. Each page is read in three shapes: as archived, with `<main>` made a `<div>`, and with every
element that says what it is made a `<div>`, as most municipal sites are. Beside them, the pages of tests/townhalls.
Exits with 1 below the floors.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import re
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from resiliparse.extract.html2text import extract_plain_text
from trafilatura import bare_extraction

from elunum import geo
from elunum.index.duplicates import sketch
from elunum.index.extract import decode, extract, parse
from elunum.index.language import language_of
from elunum.index.places import Places
from elunum.index.tags import Tagger, load_referentiel
from elunum.index.update import line_hashes, repeated_among, without_repeated
from elunum.index.workers import Workers
from elunum.model import Document, Page, Skipped
from elunum.settings import ExtractSettings
from elunum.urls import document_id, host_of
from tests.index.archives import pages_of
from tests.index.townhalls import text_of, townhalls

SHARED = Path(os.environ.get("ELUNUM_SHARED", Path(__file__).resolve().parents[2] / "shared"))

FLOORS = {
    "F1 as archived": 0.985,
    "F1 without main": 0.985,
    "F1 without structure": 0.975,
    "title": 0.98,
    "date": 0.95,
    "language": 0.99,
    "F1 town halls": 0.955,
    "title, town halls": 1.0,
    "date, town halls": 1.0,
    "language, town halls": 1.0,
}
"""Fall only by an edit that someone defends."""

SLOWEST_S, MEAN_MS = 5.0, 27.0
"""No page costs more, and no page in the mean: what trafilatura's fast mode cost before this code was written."""


@dataclass(frozen=True)
class Gold:
    """What a page says, by the files its publisher built it from."""

    title: str
    text: str
    date: str


def gold_texts(shared: Path) -> dict[str, Gold]:
    """By the header X-Elunum-Id of the archived response."""
    found = {}
    for path in sorted((shared / "data" / "ir").glob("*/docs.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file.read().split("\n"):
                if line:
                    row = json.loads(line)
                    found[row["id"]] = Gold(row["title"], row["text"], row.get("date") or "")
    return found


def identity(page: Page) -> str:
    return next((value for name, value in page.headers if name.lower() == "x-elunum-id"), "")


_SAYS = re.compile(rb"<(/?)(?:main|header|footer|nav|aside|article|section)\b")
_NAMED = re.compile(rb'\s(?:class|id|role)="[^"]*"')

SHAPES: dict[str, Callable[[bytes], bytes]] = {
    "as archived": lambda body: body,
    "without main": lambda body: body.replace(b"<main>", b"<div>").replace(b"</main>", b"</div>"),
    "without structure": lambda body: _NAMED.sub(b"", _SAYS.sub(rb"<\1div", body)),
}


def f1(found: str, gold: str) -> float:
    """Of the words, with repetition."""
    a, b = (Counter(re.findall(r"\w+", text.lower())) for text in (found, gold))
    common = sum((a & b).values())
    return 2 * common / (sum(a.values()) + sum(b.values())) if common else 0.0


def quality(
    pages: list[Page], gold: dict[str, Gold], references: Mapping[str, Callable[[str], str]]
) -> dict[str, float]:
    """Means over the pages that have a gold text; ours without what their sites repeat, as in the store."""
    scores: dict[str, list[float]] = defaultdict(list)
    for shape, change in SHAPES.items():
        shaped = [replace(page, body=change(page.body)) for page in pages]
        read = [document for page in shaped if isinstance(document := extract(page), Document)]
        sites: dict[str, list[Document]] = defaultdict(list)
        for document in read:
            sites[host_of(document.url)].append(document)
        repeated = {host: frozenset(repeated_among(list(map(line_hashes, site)))) for host, site in sites.items()}
        documents = {d.id: without_repeated(d, repeated[host_of(d.url)]) for d in read}
        for page in shaped:
            expected = gold.get(identity(page))
            if expected is None:
                continue
            whole = f"{expected.title}\n{expected.text}"
            found = documents.get(document_id(page.url))
            scores[f"F1 {shape}"].append(f1(found.text if found else "", whole))
            for name, reference in references.items():
                scores[f"F1 {shape}, {name}"].append(f1(reference(page.body.decode(errors="replace")), whole))
            if shape == "as archived":
                # A blank title in the gold set says nothing of the page's.
                if expected.title.strip():
                    scores["title"].append(bool(found and found.title == " ".join(expected.title.split())))
                scores["date"].append(bool(found and str(found.date) == expected.date))
                scores["language"].append(bool(found and found.lang == "fr"))
    return {name: statistics.fmean(values) for name, values in scores.items()}


def townhall_quality(references: Mapping[str, Callable[[str], str]]) -> dict[str, float]:
    """Means over the pages written as town halls' systems serve them, each read alone: nothing repeated is known."""
    scores: dict[str, list[float]] = defaultdict(list)
    for case in townhalls():
        found = extract(case.page)
        document = found if isinstance(found, Document) else None
        scores["F1 town halls"].append(f1(document.text if document else "", case.text))
        for name, reference in references.items():
            scores[f"F1 town halls, {name}"].append(f1(reference(text_of(case.page.body)), case.text))
        scores["title, town halls"].append(bool(document and document.title == case.title))
        scores["date, town halls"].append(bool(document and str(document.date or "") == case.date))
        scores["language, town halls"].append(bool(document and document.lang == case.lang))
    return {name: statistics.fmean(values) for name, values in scores.items()}


def _trafilatura(fast: bool, metadata: bool = False) -> Callable[[str], str]:
    def read(text: str) -> str:
        found = bare_extraction(text, fast=fast, include_comments=False, with_metadata=metadata)
        return (found.text or "") if found is not None and not isinstance(found, dict) else ""

    return read


REFERENCES: dict[str, Callable[[str], str]] = {
    "trafilatura": _trafilatura(fast=False),
    "trafilatura fast": _trafilatura(fast=True),
    "resiliparse": lambda text: str(extract_plain_text(text, main_content=True)),
}


def costs(pages: list[Page], references: Mapping[str, Callable[[str], str]]) -> dict[str, list[float]]:
    """CPU seconds of each page, by stage. Ours twice: as archived, and where trafilatura has to look for the text."""
    places, tagger = Places(geo.load()), Tagger(load_referentiel())
    spent: dict[str, list[float]] = defaultdict(list)

    def timed(stage: str, work: Callable[[], object]) -> object:
        start = time.process_time()
        result = work()
        spent[stage].append(time.process_time() - start)
        return result

    def read(page: Page) -> None:
        plain = replace(page, body=SHAPES["without structure"](page.body))
        document = timed("extract", lambda: extract(page))
        timed("extract without structure", lambda: extract(plain))
        timed("  of which decoding and parsing", lambda: parse(decode(page.body)))
        if isinstance(document, Document):
            timed("  of which language", lambda: language_of(document.text))
            timed("places", lambda: places.of(document))
            timed("tags", lambda: tagger.tags(document))
            timed("sketch for duplicates", lambda: sketch(document))
        text = plain.body.decode(errors="replace")
        for name, reference in references.items():
            timed(f"{name} without structure", lambda reference=reference: reference(text))  # type: ignore[misc]

    read(pages[0])  # what is loaded once
    spent.clear()
    for page in pages:
        read(page)
    return spent


def pages_per_second(pages: list[Page], processes: int) -> float:
    """Through worker processes, extraction alone."""
    settings = ExtractSettings(workers=processes)
    with Workers[Page, Document | Skipped](extract, settings, preload="elunum.index.ready") as workers:
        for _ in workers.map(pages[: 2 * processes]):
            pass
        start = time.perf_counter()
        for _ in workers.map(pages):
            pass
        return len(pages) / (time.perf_counter() - start)


def sample(shared: Path, count: int) -> list[Page]:
    """Pages drawn at random, always the same."""
    pages = list(pages_of(shared))
    return random.Random(1).sample(pages, min(count, len(pages)))


def below(found: dict[str, float]) -> Iterator[str]:
    """What fell under its floor."""
    for name, floor in FLOORS.items():
        if found[name] < floor:
            yield f"{name} {found[name]:.3f} is below its floor, {floor}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=200)
    options = parser.parse_args()
    if not (SHARED / "data" / "web").is_dir():
        print(f"skipped: the real archives are not at {SHARED}; set ELUNUM_SHARED")
        return 0
    pages = sample(SHARED, options.pages)
    found = quality(pages, gold_texts(SHARED), REFERENCES) | townhall_quality(REFERENCES)
    for name in sorted(found):
        print(f"{found[name]:8.3f}  {name}")
    # Ours gives the title, the date, the language and the links too: what is compared is trafilatura with its metadata.
    whole = "trafilatura fast with metadata"
    spent = costs(pages, REFERENCES | {whole: _trafilatura(fast=True, metadata=True)})
    reference = statistics.fmean(spent[f"{whole} without structure"])
    print(f"\n   ms mean   median      max   of {whole}")
    for stage, seconds in spent.items():
        mean, median, most = (1000 * f(seconds) for f in (statistics.fmean, statistics.median, max))
        print(f"{mean:10.2f} {median:8.2f} {most:8.1f} {mean / 1000 / reference:8.2f}   {stage}")
    slowest, page = max(zip(spent["extract without structure"], pages, strict=True), key=lambda pair: pair[0])
    print(f"the slowest page: {slowest:.2f} s of CPU without structure, {len(page.body)} bytes, {page.url}")
    alone, two = pages_per_second(pages, 1), pages_per_second(pages, 2)
    print(f"\n{alone:8.1f}  pages/s with one process\n{two:8.1f}  with two ({two / alone:.2f} times)")
    problems = [*below(found)]
    if slowest > SLOWEST_S:
        problems.append(f"the slowest page took {slowest:.1f} s")
    if (cost := 1000 * statistics.fmean(spent["extract without structure"])) > MEAN_MS:
        problems.append(f"a page without structure costs {cost:.1f} ms")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""How fast answers are, as ratios measured in one run: our engine beside SQLite FTS5 and Xapian, and growth with the
documents.

    python -m bench.search [--documents 200000] [--sizes 50000,500000] [--queries 300] [--folder INDEXES]

Documents are not real pages: paragraphs of the archived texts are recombined at random (seeded), about 470 words each,
with real communes as sources. Every engine answers the same full request: words and a filter, the total, the ten best
with their lines of text, four facets, and the JSON of it all. CPU seconds are of the process, not the clock. Other
queries are asked first, untimed: a service has been running for a while. --folder: keep the indexes there.
Needs ../shared (or ELUNUM_SHARED); says so and exits with 2 where it is absent.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import json
import os
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec

from elunum import geo
from elunum.index import build
from elunum.index.tags import load_referentiel
from elunum.model import Document, Search, Source, Tag
from elunum.search.engine import Engine
from elunum.settings import Settings
from elunum.text import STOP_WORDS, words
from elunum.urls import document_id

CHECKOUT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("ELUNUM_SHARED", CHECKOUT.parent / "shared"))
IR = SHARED / "data" / "ir"


OTHERS = 11
"""The seed of the queries that are asked first."""


@dataclass(frozen=True)
class Cost:
    """CPU of full requests, milliseconds."""

    mean: float
    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Cost:
        ordered = sorted(1000 * s for s in seconds)
        return cls(statistics.mean(ordered), ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)])

    def __str__(self) -> str:
        return f"mean {self.mean:7.2f}   p50 {self.p50:7.2f}   p99 {self.p99:7.2f} ms"


def documents(count: int) -> Iterator[Document]:
    """Seeded recombinations of real paragraphs."""
    chance = random.Random(2026)
    texts, titles = paragraphs()
    communes = list(geo.load().all("commune"))[::11]
    enjeux = list(load_referentiel().enjeux)
    services = load_referentiel().services
    for number in range(count):
        commune = chance.choice(communes)
        host = f"www.commune-{commune.code.lower()}.fr"
        source = Source(
            f"https://{host}/", commune.name, "commune", commune.code, "", commune.departement, commune.region
        )
        text, length = [], 0
        while length < 470:
            paragraph = chance.choice(texts)
            text.append(paragraph)
            length += paragraph.count(" ") + 1
        url = f"https://{host}/page-{number}"
        slug = chance.choice(enjeux)
        service = next((s.nom for s in services if s.enjeu == slug), "")
        yield Document(
            document_id(url), url, chance.choice(titles), "\n".join(text), lang="fr", source=source,
            date=date(2012, 1, 1) + timedelta(days=chance.randrange(5_300)),
            type=chance.choices(("html", "pdf"), (9, 1))[0],
            enjeux=(Tag(slug, service, 0.8, ()),) if chance.random() < 0.6 else (),
        )  # fmt: skip


def paragraphs() -> tuple[list[str], list[str]]:
    """Paragraphs and titles of the archived texts."""
    found, titles = [], []
    for name in ("cdtn", "sp_questions"):
        with gzip.open(IR / name / "docs.jsonl.gz", "rt", encoding="utf-8", newline="\n") as file:
            for line in file:
                row = json.loads(line)
                titles.append(row["title"])
                found += [p for p in row["text"].split("\n") if 60 < len(p) < 3_000]
    return found, [title for title in titles if title]


def queries(count: int, seed: int = 7) -> list[Search]:
    """Readers' queries of the judged set, drawn by a seed, half of them with a filter."""
    chance = random.Random(seed)
    lines = (IR / "cdtn" / "queries.tsv").read_text(encoding="utf-8").split("\n")[1:]
    typed = [line.split("\t")[1] for line in lines if "\t" in line]
    filters = [
        {}, {"type": ("html",)}, {"departement": "68"}, {"since": date(2020, 1, 1)}, {"population_max": 2_000}
    ]  # fmt: skip
    return [Search(q=q, **chance.choice([{}, *filters])) for q in chance.sample(typed, count)]  # type: ignore[arg-type]


# --- ours --------------------------------------------------------------------------------------------------------


def index_ours(folder: Path, count: int) -> str:
    """Index documents; a line of figures."""
    texts = 0

    def counted() -> Iterator[Document]:
        nonlocal texts
        for document in documents(count):
            texts += len(document.text.encode())
            yield document

    settings = Settings(data=folder)
    made = sum(1 for _ in documents(min(count, 2_000)))
    before = time.process_time()
    list(documents(made))
    making = (time.process_time() - before) / made * count
    before = time.process_time()
    build.serve_documents(settings, counted())
    cpu = time.process_time() - before - making
    size = sum(file.stat().st_size for file in (settings.index_dir / "current").resolve().rglob("*") if file.is_file())
    return f"{count} documents: {count / cpu:.0f} a CPU second, {size / texts:.2f} index byte a byte of text"


def ask_ours(engine: Engine, asked: Sequence[Search]) -> list[float]:
    """CPU seconds of each full request."""
    spent = []
    for search in asked:
        before = time.process_time()
        msgspec.json.encode(engine.search(search))
        spent.append(time.process_time() - before)
    return spent


def compare(engine: Engine, asked: Sequence[Search]) -> tuple[list[float], list[float]]:
    """CPU seconds of similar pages, and of a collectivité beside its peers, for the first result of each request."""
    similar, beside = [], []
    for search in asked:
        for hit in engine.search(replace(search, size=1)).hits:
            before = time.process_time()
            engine.similar(hit.id)
            between = time.process_time()
            engine.collectivite(hit.source.insee)
            similar.append(between - before)
            beside.append(time.process_time() - between)
    return similar, beside


ROUNDS = 3
"""How often each process answers all the queries."""


def throughput(folder: Path, count: int, processes: int) -> float:
    """Requests a second by that many processes at once."""
    code = "import sys; from bench.search import worker; worker(sys.argv[1], int(sys.argv[2]))"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder), str(count)], stdout=subprocess.PIPE, stdin=subprocess.PIPE,
            cwd=CHECKOUT, env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        )
        for _ in range(processes)
    ]  # fmt: skip
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()  # warm
    started = time.perf_counter()
    for process in running:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()  # done; that they end, and let go of what they have, is not counted
    spent = time.perf_counter() - started
    for process in running:
        process.communicate()
    return processes * count * ROUNDS / spent


def worker(folder: str, count: int) -> None:
    """Answer queries when told to."""
    engine, asked = Engine(Settings(data=Path(folder))), queries(count)
    ask_ours(engine, queries(count, OTHERS))
    print("warm", flush=True)
    sys.stdin.readline()
    for _ in range(ROUNDS):
        ask_ours(engine, asked)
    print("done", flush=True)


# --- SQLite FTS5 -------------------------------------------------------------------------------------------------


def index_fts5(path: Path, count: int) -> sqlite3.Connection:
    """The same documents, in the way FTS5's manual suggests."""
    if path.exists():
        return sqlite3.connect(path)
    db = sqlite3.connect(path)
    db.execute("create table d (id integer primary key, url, kind, type, departement, year, population integer, day)")
    db.execute('create virtual table t using fts5 (title, body, tokenize = "unicode61 remove_diacritics 2")')
    places = geo.load()
    with db:
        for number, document in enumerate(documents(count)):
            source, written = document.source, document.date
            assert source is not None
            assert written is not None
            commune = places.commune(source.insee)
            population = commune.population if commune else 0
            row = (number, document.url, source.kind, document.type, source.departement, written.year, population)
            db.execute("insert into d values (?, ?, ?, ?, ?, ?, ?, ?)", (*row, written.toordinal()))
            db.execute("insert into t (rowid, title, body) values (?, ?, ?)", (number, document.title, document.text))
    db.execute("insert into t (t) values ('optimize')")
    return db


def ask_fts5(db: sqlite3.Connection, asked: Sequence[Search]) -> list[float]:
    """CPU seconds of each full request: total, ten snippets, four facets, JSON."""
    spent = []
    for search in asked:
        before = time.process_time()
        typed = [word for word in words(search.q) if word not in STOP_WORDS] or words(search.q)
        match = " OR ".join(f'"{word}"' for word in typed)
        where, values = "t match ?", [match]
        for clause, value in (
            ("d.type = ?", search.type[0] if search.type else None),
            ("d.departement = ?", search.departement or None),
            ("d.day >= ?", search.since.toordinal() if search.since else None),
            ("d.population <= ?", search.population_max),
        ):
            if value is not None:
                where += f" and {clause}"
                values.append(value)  # type: ignore[arg-type]
        both = f"from t join d on d.id = t.rowid where {where}"
        answer = {
            "results": db.execute(
                f"select d.url, t.title, snippet(t, 1, '<mark>', '</mark>', '…', 40) {both} order by bm25(t) limit 10",
                values,
            ).fetchall(),
            "total": db.execute(f"select count(*) {both}", values).fetchone(),
            "facets": {
                name: db.execute(f"select d.{name}, count(*) {both} group by 1", values).fetchall()
                for name in ("kind", "type", "departement", "year")
            },
        }
        msgspec.json.encode(answer)
        spent.append(time.process_time() - before)
    return spent


# --- Xapian ------------------------------------------------------------------------------------------------------

FACETS = ("kind", "type", "departement", "year")


def xapian() -> Any:
    """Xapian's own Python binding, as Debian packages it (python3-xapian), or None where it is not installed."""
    sys.path.append("/usr/lib/python3/dist-packages")
    try:
        return importlib.import_module("xapian")
    except ImportError:
        return None
    finally:
        sys.path.pop()


def index_xapian(library: Any, path: Path, count: int) -> Any:
    """The same documents, in the way Xapian's manual suggests: French stems, facets and bounds in value slots."""
    if path.exists():
        return library.Database(str(path))
    db = library.WritableDatabase(str(path), library.DB_CREATE_OR_OPEN)
    generator, places = library.TermGenerator(), geo.load()
    generator.set_stemmer(library.Stem("fr"))
    for document in documents(count):
        source, written = document.source, document.date
        assert source is not None
        assert written is not None
        commune = places.commune(source.insee)
        one = library.Document()
        generator.set_document(one)
        generator.index_text(document.title)
        generator.increase_termpos()
        generator.index_text(document.text)
        values = (source.kind, document.type, source.departement, str(written.year))
        for slot, value in enumerate(values):
            one.add_value(slot, value)
        one.add_value(4, library.sortable_serialise(written.toordinal()))
        one.add_value(5, library.sortable_serialise(commune.population if commune else 0))
        one.set_data(msgspec.json.encode([document.url, document.title, document.text]))
        db.add_document(one)
    db.commit()
    return library.Database(str(path))


def ask_xapian(library: Any, db: Any, asked: Sequence[Search]) -> list[float]:
    """CPU seconds of each full request: total, ten snippets, four facets, JSON."""
    spent, stemmer = [], library.Stem("fr")
    for search in asked:
        before = time.process_time()
        typed = [word for word in words(search.q) if word not in STOP_WORDS] or words(search.q)
        query = library.Query(library.Query.OP_OR, [f"Z{stemmer(word).decode()}" for word in typed])
        bounds = [
            library.Query(library.Query.OP_VALUE_RANGE, slot, value, value)
            for slot, value in ((1, search.type[0] if search.type else ""), (2, search.departement))
            if value
        ]
        if search.since:
            low = library.sortable_serialise(search.since.toordinal())
            bounds.append(library.Query(library.Query.OP_VALUE_GE, 4, low))
        if search.population_max is not None:
            high = library.sortable_serialise(search.population_max)
            bounds.append(library.Query(library.Query.OP_VALUE_LE, 5, high))
        for bound in bounds:
            query = library.Query(library.Query.OP_FILTER, query, bound)
        enquire = library.Enquire(db)
        enquire.set_query(query)
        spies = [library.ValueCountMatchSpy(slot) for slot in range(len(FACETS))]
        for spy in spies:
            enquire.add_matchspy(spy)
        found = enquire.get_mset(0, 10, db.get_doccount())  # the last: how many must be looked at for exact counts
        results = []
        for match in found:
            url, title, text = msgspec.json.decode(match.document.get_data())
            results.append((url, title, found.snippet(text, 280, stemmer).decode()))
        msgspec.json.encode(
            {
                "results": results,
                "total": found.get_matches_estimated(),
                "facets": {
                    name: [(value.term.decode(), value.termfreq) for value in spy.values()]
                    for name, spy in zip(FACETS, spies, strict=True)
                },
            }
        )
        spent.append(time.process_time() - before)
    return spent


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--sizes", default="", help="other sizes, for the growth curve: 50000,500000")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if not IR.is_dir():
        print(f"bench.search needs the texts of {IR}; set ELUNUM_SHARED", file=sys.stderr)
        return 2
    asked = queries(options.queries)
    others = queries(options.queries, OTHERS)
    some = max(20, len(asked) // 5)
    for size in sorted({options.documents, *(int(n) for n in options.sizes.split(",") if n)}):
        with tempfile.TemporaryDirectory(prefix="elunum-bench-") as name:
            folder = (options.folder or Path(name)) / str(size)
            if not (folder / "ours").exists():
                print(index_ours(folder / "ours", size), flush=True)
            engine = Engine(Settings(data=folder / "ours"))
            ask_ours(engine, others)
            ours = Cost.of(ask_ours(engine, asked))
            print(f"{size} documents\n  Elunum  {ours}", flush=True)
            similar, beside = compare(engine, asked[:100])
            print(f"  similar pages {Cost.of(similar)}\n  a collectivité {Cost.of(beside)}", flush=True)
            if size != options.documents:
                continue
            one, two = (throughput(folder / "ours", len(asked), n) for n in (1, 2))
            print(f"  one process {one:.0f} requests/s, two {two:.0f}: x{two / one:.2f}", flush=True)
            fts5 = index_fts5(folder / "fts5.sqlite", size)
            ask_fts5(fts5, others[:some])
            cost = Cost.of(ask_fts5(fts5, asked[:some]))
            print(f"  FTS5    {cost}: x{cost.mean / ours.mean:.1f} the mean of Elunum", flush=True)
            if (library := xapian()) is None:
                print("  Xapian is not installed (Debian's python3-xapian): not compared")
                continue
            database = index_xapian(library, folder / "xapian", size)
            ask_xapian(library, database, others[:some])
            cost = Cost.of(ask_xapian(library, database, asked[:some]))
            print(f"  Xapian  {cost}: x{cost.mean / ours.mean:.1f} the mean of Elunum")
    return 0


if __name__ == "__main__":
    sys.exit(main())

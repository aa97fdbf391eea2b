"""Whether an index version answers well enough to be served: it is asked as readers would, before the swap.

Three kinds of questions whose answers are known: the operator's own (`index.judged`), titles of pages drawn at random,
and names of sources. Of each kind, a share of `index.floor` must find what was meant among the first ten results.
"""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from elunum.errors import SettingsError
from elunum.index.build import Check
from elunum.index.documents import Documents
from elunum.index.schema import bare_site
from elunum.model import Document, Hit, Search
from elunum.search.engine import Engine
from elunum.settings import Settings
from elunum.text import STOP_WORDS, fold, words
from elunum.urls import document_id

DRAWN = 100
"""Documents drawn at random, for their titles and their sources."""

FORGIVEN = 1
"""Of the questions drawn: with two sites, one odd name must not keep everything back."""

TELLING = 2
"""Words with a subject that a title must have to be asked: « Accueil » is the title of thousands of pages."""

Meant = Callable[[Hit], bool]
"""Whether a result is what was meant."""


def check_of(settings: Settings) -> Check:
    """What `build` asks of a version before it is served.

    Raises SettingsError naming the line when `index.judged` cannot be read: at once, not at the end of a night.
    """
    judged = read_judged(settings.index.judged) if settings.index.judged else {}
    return lambda version: _problems(settings, version, judged)


def read_judged(path: Path) -> dict[str, tuple[str, ...]]:
    """Queries, each with the addresses that answer it best. CSV with columns query, url and, if wanted, relevance.

    relevance: a whole number, higher is better; only the best of each query count, none of 0. Raises SettingsError.
    """
    found: dict[str, dict[str, int]] = defaultdict(dict)
    try:
        rows = csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}; save it as CSV in UTF-8, or unset index.judged") from None
    if not {"query", "url"} <= set(rows.fieldnames or ()):
        raise SettingsError(f"{path} line 1: the columns are query, url and, if wanted, relevance")
    for row in rows:
        grade = row.get("relevance") or "1"
        if not (row["query"] and row["url"] and grade.isdecimal()):
            raise SettingsError(f"{path} line {rows.line_num}: a query, an address and a whole number are expected")
        found[row["query"]][row["url"]] = int(grade)
    best = {query: max(graded.values()) for query, graded in found.items()}
    return {
        query: tuple(url for url, grade in graded.items() if grade == best[query])
        for query, graded in found.items()
        if best[query]
    }


def _problems(settings: Settings, version: str, judged: Mapping[str, Collection[str]]) -> Iterator[str]:
    engine = Engine(settings, version=version)
    with Documents(settings.documents_path) as documents:
        drawn = list(documents.drawn(random.Random(version), DRAWN))

    def fallen(what: str, questions: Mapping[str, Meant], remedy: str, forgiven: int = 0) -> Iterator[str]:
        found = sum(any(map(meant, engine.search(Search(q=typed)).hits)) for typed, meant in questions.items())
        if found + forgiven < settings.index.floor * len(questions):
            yield (
                f"{found} of {len(questions)} {what} among the first ten, where index.floor asks for "
                f"{settings.index.floor:.0%}; {remedy}"
            )

    yield from fallen(
        "judged queries find their page",
        {query: _one_of(urls) for query, urls in judged.items()},
        f"correct {settings.index.judged} if these pages are gone, or lower index.floor",
    )
    remedy = "report this as a bug, or lower index.floor to serve it all the same"
    titles = {title: _titled(one) for one in drawn if (title := _asked(one.title, TELLING))}
    yield from fallen("pages are found by their title", titles, remedy, FORGIVEN)
    homes = {
        name: _home(source.url)
        for source in {one.source for one in drawn}
        if source is not None and engine.hit(document_id(source.url)) and (name := _asked(source.name, 1))
    }
    yield from fallen("sites are found by their name", homes, remedy, FORGIVEN)


def _asked(title: str, telling: int) -> str:
    """The words of a title as a query that holds no operator; "" when too few have a subject."""
    found = words(title)[:20]
    return " ".join(found) if sum(word not in STOP_WORDS for word in found) >= telling else ""


def _one_of(urls: Collection[str]) -> Meant:
    ids = {document_id(url) for url in urls}
    return lambda hit: not ids.isdisjoint(map(document_id, (hit.url, *hit.copies)))


def _titled(document: Document) -> Meant:
    """Itself, or a page with the same title: an agenda has fifty."""
    return lambda hit: hit.id == document.id or fold(hit.title) == fold(document.title)


def _home(url: str) -> Meant:
    return lambda hit: bare_site(url) in map(bare_site, (hit.url, *hit.copies))

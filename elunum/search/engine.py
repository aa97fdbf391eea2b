"""Search -> Results: what a reader asked, answered from the index version that is being served.

Stateless and silent: nothing a reader typed is kept, logged or sent anywhere.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import tantivy
from numpy.typing import NDArray
from tantivy import Occur
from tantivy import Query as EngineQuery

from elunum import geo
from elunum.errors import IndexVersionError
from elunum.geo import Comparables
from elunum.index import build
from elunum.index import vectors as word_vectors
from elunum.index.forward import Forward
from elunum.index.postings import Chosen, Held, Postings, Rows, few, term
from elunum.index.schema import Shown, group_of, key_of, read_shown
from elunum.index.tags import Referentiel, load_referentiel
from elunum.index.vectors import Asked, Vectors
from elunum.model import (
    Collectivite,
    Comparable,
    DocumentId,
    FacetValue,
    Hit,
    IndexInfo,
    MosaicRow,
    Point,
    Results,
    Search,
    Suggestion,
    Territory,
    TreeEnjeu,
    TreeService,
)
from elunum.search import heard, matching
from elunum.search import tantivy as compiled
from elunum.search.closely import Closely, Gained, Looked, Scores, subject
from elunum.search.facets import Facets, Tried
from elunum.search.matching import Gain, Sought, place_key, subject_words
from elunum.search.parse import Clause, Phrase, Query, Word, parse
from elunum.search.places import Place, asks_for_home, places
from elunum.search.ranking import DEFAULT, Ranking
from elunum.search.snippet import Snippets
from elunum.search.spelling import Spelling
from elunum.search.synonyms import Alternative, alternatives, clause_of, joined
from elunum.search.synonyms import shown as also_shown
from elunum.settings import Settings
from elunum.text import STOP_WORDS, analyse, fold, spans, stems, words

PEERS = 100
"""Comparable territories that `like` looks at, the closest of those that publish."""

ENOUGH = 200
"""Results with all the words from which those that lack some are left out. Measured: fewer costs recall."""

PROPOSED = 150
"""Documents that lead the rough order, of which those that are about what was asked are looked at first."""

CANDIDATES = 40
"""Documents looked at closely for a first page. Measured: they find what a hundred do without a look at what they are
about, nDCG@10 and recall@20 alike."""

CLOSELY = 1_050
"""Beyond, results keep their rough order."""

_STRETCHES = ((0, CANDIDATES), (CANDIDATES, PROPOSED), (PROPOSED, 450), (450, CLOSELY))
"""From where to where results are looked at together: few readers turn the page."""

FACTOR = "times, for who publishes, who links to it and when"
"""Name, among what made a score, of what the sum of the rest was multiplied by."""

LATER = "looked at after better ones"
"""Name of what a page loses that would score more than those before it, and was not among the first looked at."""


@dataclass(frozen=True, slots=True)
class _Similar:
    """What makes a page similar to another. Set by measurement: bench/relevance."""

    topic: float = 1.0  # an expression that earned a tag
    title: float = 1.0  # a word of the title
    service: float = 5.0
    enjeu: float = 3.0
    telling: float = 0.3  # a word of the text
    least: float = 0.2  # share of the best score under which a page is not similar enough to be shown


FEW = 1_000
"""Pages that a word of a title may always be in; in a larger index, a tenth of the pages."""

SIMILAR = _Similar()

_BEGINNING = Snippets()
"""The first lines of a text, where nothing is looked for."""


def open_engine(settings: Settings) -> Engine:
    """The engine over the served version. Raises IndexVersionError, with the command to run, when there is none."""
    return Engine(settings)


@dataclass(frozen=True, slots=True)
class _Served:
    """One index version, open."""

    about: build.About
    target: str  # what the link `current` said
    schema: tantivy.Schema
    searcher: tantivy.Searcher
    spelling: Spelling
    postings: Postings
    facets: Facets
    forward: Forward
    places: tuple[NDArray[np.intp], Held]  # of each page in `forward`, by its row, and whether it is there
    vectors: Vectors
    comparables: Comparables  # among the communes and EPCI that publish

    def placed(self, rows: Rows) -> tuple[NDArray[np.intp], Held]:
        """Where these documents stand in `forward` and `vectors`, and whether they are there."""
        places, here = self.places
        return places[rows], here[rows]

    def alike(self, rows: Rows, words: Asked) -> Scores:
        """How much these documents are about what some words ask for."""
        return self.vectors.alike(*self.placed(rows), words.direction)


_Found = tuple[float, int]
"""Score and row of a document."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was found, before it is shown."""

    query: Query
    asked: Search
    words: Asked  # the subject it asks for, in vectors
    sought: Sought
    tried: tuple[Tried, ...]  # what answers the words, more and more loosely until some of it passes the filters
    inside: Chosen  # the results: of the last of these, what passes
    gains: tuple[Gain, ...]  # what only adds to scores
    others: tuple[Alternative, ...]
    peers: tuple[Comparable, ...]
    named: tuple[Place, ...]
    relaxed: bool  # no result has all the words
    whole: bool  # some document has them all, whatever the filters
    suggestion: str | None = None
    corrected: bool = False


class Engine:
    """Answers from the version that the link `current` names; a new version is served from the next request on.

    version: another one, to be asked before it is served.
    """

    def __init__(self, settings: Settings, ranking: Ranking = DEFAULT, version: str = "current") -> None:
        self.settings = settings
        self.ranking = ranking
        self.geo = geo.load()
        self.referentiel: Referentiel = load_referentiel()
        self._link = settings.index_dir / version
        self._served = self._open()

    # --- what readers ask ----------------------------------------------------------------------------------------

    def search(self, search: Search, explain: bool = False) -> Results:
        """The page of results asked for, with exact counts. Raises QueryError when the words are too many."""
        started = time.perf_counter()
        served = self._current()
        answer = self._answer(served, search)
        total, found = self._page(served, answer)
        reasons = {place_key(peer.territory): peer.reason for peer in answer.peers}
        wanted = {word.stem for clause in answer.query.clauses for word in subject_words(clause)}
        expressions = [frozenset(word.stem for word in subject_words(other.clause)) for other in answer.others]
        snippets = Snippets(wanted, expressions)
        explain = explain and search.sort == "pertinence"
        unit = self._unit(served, answer) if explain and found else 0.0
        hits = []
        pages = self._shown_at(served, [row for _, row, _ in found])
        for (score, row, hidden), shown in zip(found, pages, strict=True):
            html, comparable = snippets.of(shown.text), reasons.get(shown.territory, "")
            explanation = self._explained(served, answer, row, score, unit) if explain else ()
            hits.append(_hit(shown, html, score, hidden, comparable, explanation))
        most = self.settings.search.count_up_to
        facets, estimated = served.facets.counted(search, answer.inside, answer.tried, most)
        return Results(
            query=search.q,
            total=total,
            total_is_exact=True,
            took_ms=(time.perf_counter() - started) * 1000,
            hits=tuple(hits),
            facets=facets,
            estimated=estimated,
            suggestion=answer.suggestion,
            corrected=answer.corrected,
            relaxed=answer.relaxed,
            also=also_shown(answer.others),
            documents=len(answer.inside),
            peers=len(answer.peers) if answer.asked.like else None,
            homonyms=answer.query.homonyms,
        )

    def ranked(self, search: Search, limit: int) -> list[tuple[DocumentId, float]]:
        """Identifiers and scores of the first results, without anything to show: for measuring."""
        served = self._current()
        found = list(itertools.islice(self._in_order(served, self._answer(served, search)), limit))
        pages = self._shown_at(served, [row for _, row in found])
        return [(shown.id, score) for (score, _), shown in zip(found, pages, strict=True)]

    def suggest(self, prefix: str, limit: int = 8) -> tuple[Suggestion, ...]:
        """Completions of what is being typed, from places, enjeux, services and titles of the index."""
        served = self._current()
        typed = stems(prefix)
        folded = fold(prefix.strip())
        if not folded or len(prefix) > 200:
            return ()
        found: dict[str, Suggestion] = {}

        def add(suggestion: Suggestion) -> None:
            if len(found) < limit:
                found.setdefault(fold(suggestion.text), suggestion)

        for enjeu in self.referentiel.enjeux.values():
            if _begins(enjeu.nom, folded):
                add(Suggestion(enjeu.nom, "enjeu", f"/recherche?enjeu={enjeu.slug}"))
        held = (
            territory
            for territory in (self.geo.starting_with(prefix.strip(), 40) if len(folded) > 1 else ())
            if served.postings.find(term("place", place_key(territory))).count
        )
        for territory in itertools.islice(held, 3):
            url = f"/collectivites/{territory.code}" if territory.kind in ("commune", "epci") else ""
            add(Suggestion(territory.name, "place", url))
        for service in self.referentiel.services:
            if _begins(service.nom, folded) and len(found) < limit - 2:
                add(Suggestion(service.nom, "service"))
        if typed and len(folded) > 1:
            for shown in self._titles(served, prefix, limit * 2):
                add(Suggestion(shown.title, "title", shown.url))
        return tuple(found.values())

    def hit(self, id: DocumentId) -> Hit | None:
        """A document as a result, or None when it is not in the index."""
        served = self._current()
        address = self._address(served, id)
        if address is None:
            return None
        shown = self._shown(served, address)
        return _hit(shown, _BEGINNING.of(shown.text), 0.0)

    def similar(self, id: DocumentId, limit: int = 5) -> tuple[Hit, ...] | None:
        """Pages about the same kind of action from other publishers, one each, near-duplicates out.

        None when the document is not in the index.
        """
        served = self._current()
        address = self._address(served, id)
        if address is None:
            return None
        shown = self._shown(served, address)
        main = self._like(served, shown)
        own = group_of(shown.territory or shown.source_key)
        other = EngineQuery.boolean_query(
            [(Occur.Must, main), (Occur.MustNot, EngineQuery.term_query(served.schema, "group", own, "basic"))]
        )
        snippets = Snippets({span.stem for span in spans(shown.title) if span.word not in STOP_WORDS})
        hits: list[Hit] = []
        groups: set[str] = set()
        shingles = _shingles(shown.text)
        best = 0.0
        for score, found in served.searcher.search(other, limit * 6 + 10).hits:
            best = max(best, score)
            if score < best * SIMILAR.least:
                break
            candidate = self._shown(served, found)
            group = candidate.territory or candidate.source_key
            if group in groups or _overlap(shingles, _shingles(candidate.text)) > 0.5:
                continue
            groups.add(group)
            hits.append(_hit(candidate, snippets.of(candidate.text), score))
            if len(hits) == limit:
                break
        return tuple(hits)

    def info(self) -> IndexInfo:
        """What is being served."""
        about = self._current().about
        return IndexInfo(
            about.version,
            about.built_at,
            about.documents,
            about.sources,
            about.referentiel_version,
            about.last_fetched_at,
        )

    def pages_by_source(self) -> Mapping[str, int]:
        """Documents of each source, by its key (host and path without `www.`)."""
        postings, found = self._current().postings, Counter[str]()
        for source, count in postings.sources(postings.everything).items():
            found[source.partition("\t")[0]] += count
        return found

    # --- territories ---------------------------------------------------------------------------------------------

    def collectivite(self, code: str, peers: int = 8) -> Collectivite | None:
        """What a commune (INSEE code) or an EPCI (SIREN) published, beside comparable territories. None if unknown."""
        territory = self.geo.commune(code) or self.geo.epci(code)
        if territory is None:
            return None
        served = self._current()
        shown = served.comparables.of(territory.code, peers)
        columns = self._tags_of(served, [territory, *(peer.territory for peer in shown)])
        rows = []
        for enjeu in self.referentiel.enjeux.values():
            names = ["", *(service.nom for service in self.referentiel.services if service.enjeu == enjeu.slug)]
            for service in names:
                line = [column.get((enjeu.slug, service), 0) for column in columns]
                if any(line):
                    rows.append(MosaicRow(enjeu.slug, enjeu.nom, service, line[0], tuple(line[1:])))
        own = served.postings.published(place_key(territory))
        return Collectivite(
            territory=territory,
            containing=self.geo.containing(territory) if territory.kind == "commune" else (),
            documents=len(own),
            peers=shown,
            mosaic=tuple(rows),
            newest=self._plain_hits(served, _newest(served, own, 10)),
            missing=self._missing(served, rows, shown),
        )

    def tree(self) -> tuple[TreeEnjeu, ...]:
        """Each enjeu with its services and the enjeux that stand with it, counted over the whole index."""
        postings = self._current().postings
        everywhere = postings.facets(postings.everything)
        names = {slug: enjeu.nom for slug, enjeu in self.referentiel.enjeux.items()}
        found = []
        for slug, nom in names.items():
            inside = postings.facets(postings.find(term("facet", f"enjeu:{slug}")).rows)
            services = [s.nom for s in self.referentiel.services if s.enjeu == slug]
            counted = [TreeService(s, inside.get(f"service:{s}", 0)) for s in dict.fromkeys(services)]
            beside = [
                FacetValue(other, names[other], n)
                for other in names
                if other != slug and (n := inside.get(f"enjeu:{other}", 0))
            ]
            found.append(
                TreeEnjeu(
                    slug,
                    nom,
                    everywhere.get(f"enjeu:{slug}", 0),
                    tuple(sorted((s for s in counted if s.count), key=lambda s: -s.count)),
                    tuple(sorted(beside, key=lambda f: -f.count)),
                )
            )
        return tuple(found)

    def newest(self, limit: int = 3) -> dict[str, tuple[Hit, ...]]:
        """The newest documents of each enjeu, one a publisher; among its newest hundred, for beyond is not news."""
        served = self._current()
        found = {}
        for slug in self.referentiel.enjeux:
            rows = _newest(served, served.postings.find(term("facet", f"enjeu:{slug}")).rows, 100)
            first: dict[int, int] = {}
            for publisher, row in zip(served.postings.publisher[rows].tolist(), rows.tolist(), strict=True):
                first.setdefault(publisher, row)
            found[slug] = self._plain_hits(served, list(first.values())[:limit])
        return found

    def points(self, search: Search) -> tuple[Point, ...]:
        """Territories with their number of results, most first: communes, EPCI, départements and régions that publish,
        or that the text of a national page is about."""
        served = self._current()
        counts = served.postings.publishers(self._answer(served, search).inside.rows)
        found = ((self._territory(key), count) for key, count in counts.items())
        return tuple(Point(territory, count) for territory, count in found if territory is not None)

    # --- inside --------------------------------------------------------------------------------------------------

    def _current(self) -> _Served:
        """The served version; opened again when the link points elsewhere: one readlink a request."""
        target = self._target()
        if target not in (self._served.target, self._link.name):  # its own name: the link is gone, what is open answers
            self._served = self._open()
        return self._served

    def _target(self) -> str:
        try:
            return os.readlink(self._link)  # noqa: PTH115  # a third of the time, and asked at each request
        except OSError:
            return self._link.name  # a version by its own name, or no link: what is wrong is said by read_about

    def _open(self) -> _Served:
        while True:
            target = self._target()
            try:
                return self._opened(target)
            except IndexVersionError:
                if self._target() == target:
                    raise
                # Swapped meanwhile, and the version it named is dropped already.

    def _opened(self, target: str) -> _Served:
        about = build.read_about(self.settings, target)
        path = self.settings.index_dir / target
        try:
            index = build.open_index(path)
            index.config_reader("manual", 0)
            index.reload()
            spelling = Spelling(build.read_vocabulary(path, build.VOCABULARY_WORDS))
            postings, forward = Postings(path), Forward(path)
            publishers = postings.publishers(postings.everything)
            comparables = self.geo.comparables({key.partition(":")[2] for key in publishers})
            vectors = word_vectors.read(path, len(forward.keys))
            return _Served(
                about,
                target,
                index.schema,
                index.searcher(),
                spelling,
                postings,
                Facets(postings, self.referentiel, self.geo),
                forward,
                forward.places(postings.key),
                vectors,
                comparables,
            )
        except (OSError, ValueError):  # tantivy says everything with ValueError
            raise IndexVersionError(
                f"{path} cannot be opened; allow this user to write there, for the engine takes a lock, or run "
                "`elunum index --full` if files are missing"
            ) from None

    def _answer(self, served: _Served, search: Search) -> _Answer:
        """What a search finds, its spelling corrected when nothing holds all its words as typed."""
        query = self._parsed(served, search.q)
        answer = self._found(served, query, search)
        better = served.spelling.corrected(search.q, _doubtful(query, answer.others, answer.named))
        if better is None:
            said = heard.meant(search.q, query.words, answer.named, lambda phrase: self._holding(served, phrase))
            return replace(answer, suggestion=said) if said else answer
        answer = replace(answer, suggestion=better)
        if query.is_empty or answer.whole:
            return answer
        query = self._parsed(served, better)
        instead = self._found(served, query, search)
        anything, instead_anything = (len(one.tried[-1].answering) > 0 for one in (answer, instead))
        if not instead_anything or (not instead.whole and anything and len(query.words) > 1):
            return answer
        return replace(instead, suggestion=better, corrected=True)

    def _parsed(self, served: _Served, text: str) -> Query:
        query = parse(text, self.settings.search.max_query_chars)
        return joined(query, lambda said: served.postings.find(said).count)

    def _found(self, served: _Served, query: Query, asked: Search) -> _Answer:
        """What the words and filters find, as they are.

        Enough documents with all the words: only those are results. Else those with some of them are too, lower.
        What is enough does not depend on the filters, so that choosing one returns what was counted; but where they
        would let nothing through, fewer words are asked for.
        """
        postings, ranking = served.postings, self.ranking
        others = alternatives(query.words)
        named = places(query.typed, self.geo)
        around = self.geo.containing(named[0].territories[0]) if named and named[0].territories else ()
        peers = served.comparables.of(asked.like, PEERS) if asked.like else ()
        filters = matching.filters(postings, asked, peers) | matching.typed(postings, query)
        sought = Sought(postings, query, others, named, ranking, lambda clause: self._standing(served, clause))
        words = len(query.words)
        by_date = asked.sort != "pertinence"
        levels = {words, *((-(-words * 3 // 5), 1) if by_date else (1,))} if words > 1 else {words}
        relaxed = whole = False
        tried: list[Tried] = []
        inside = few(postings.everything[:0])
        for level in sorted(levels, reverse=True):
            answering = sought.answering(level)
            whole = whole or (level == words and len(answering) > 0)
            one = Tried(answering, {name: passes(answering.few) for name, passes in filters.items()})
            inside = one.passing()
            relaxed = relaxed or (level == words > 1 and not len(inside))
            if tried or len(answering) >= (1 if by_date else ENOUGH) or level == min(levels):
                tried.append(one)
                if len(inside):
                    break
        gains = (
            *matching.near(postings, named, around, asks_for_home(query.typed, named), ranking),
            *matching.named_site(postings, query, ranking),
            *matching.closeness(postings, peers, ranking),
        )
        return _Answer(
            query=query,
            asked=asked,
            words=served.vectors.query([word.stem for word in subject(query.words, gains)]),
            sought=sought,
            tried=tuple(tried),
            inside=inside,
            gains=gains,
            others=others,
            peers=peers,
            named=named,
            relaxed=relaxed,
            whole=whole,
        )

    def _standing(self, served: _Served, clause: Clause) -> Rows:
        """The documents where a phrase or a quoted word stands."""
        postings = served.postings
        words = clause.words if isinstance(clause, Phrase) else subject_words(clause)
        most = min((postings.find(word.stem).count for word in words), default=postings.size)
        if not most:
            return postings.everything[:0]
        query = self._unscored(served, clause)
        found = served.searcher.search(query, most, count=False).hits
        keys = served.searcher.fast_field_values("key", [address for _, address in found])
        return postings.by_keys([int(key or 0) for key in keys])

    def _unscored(self, served: _Served, clause: Clause) -> EngineQuery:
        return EngineQuery.const_score_query(compiled.clause_query(served.schema, clause, self.ranking), 0.0)

    def _holding(self, served: _Served, phrase: Phrase) -> int:
        """How many documents hold a phrase, in any form of its words."""
        found: Any = served.searcher.search(self._unscored(served, phrase), 1)  # its count is missing from the types
        return int(found.count)

    def _page(self, served: _Served, answer: _Answer) -> tuple[int, list[tuple[float, int, int]]]:
        """How many results there are, and those of the page: score, row, how many more of the same publisher."""
        asked = answer.asked
        start, end = (asked.page - 1) * asked.size, asked.page * asked.size
        found = self._in_order(served, answer)
        if asked.one_per == "none":
            return len(answer.inside), [(score, row, 0) for score, row in itertools.islice(found, start, end)]
        publisher = served.postings.publisher
        pages = np.bincount(publisher[answer.inside.rows], minlength=1)
        total = int(np.count_nonzero(pages))
        first: dict[int, _Found] = {}
        while len(first) < min(end, total) and (some := list(itertools.islice(found, end * 2))):
            for number, hit in zip(publisher[[row for _, row in some]].tolist(), some, strict=True):
                first.setdefault(number, hit)
        page = list(first.items())[start:end]
        return total, [(score, row, int(pages[number]) - 1) for number, (score, row) in page]

    def _in_order(self, served: _Served, answer: _Answer) -> Iterator[_Found]:
        """The results of an answer, best or newest first."""
        asked, postings = answer.asked, served.postings
        if asked.sort != "pertinence" or (answer.query.is_empty and not asked.like):
            # Without words, pages differ by their date alone, or by how comparable their collectivité is.
            rows = answer.inside.rows
            days = postings.news if asked.sort == "nouveaute" else postings.day
            yield from ((0.0, row) for row in _by_day(rows, days))
        elif answer.query.is_empty:
            # All the pages of a peer gain the same: of those, the ones that weigh most come first.
            rows = answer.inside.rows
            gained = answer.sought.scores(few(rows), answer.gains)
            order = np.lexsort((-postings.weight[rows], -gained))
            yield from zip(gained[order].tolist(), rows[order].tolist(), strict=True)
        else:
            yield from self._by_relevance(served, answer)

    def _by_relevance(self, served: _Served, answer: _Answer) -> Iterator[_Found]:
        """Documents in the rough order, each stretch of them put in the order of what they score, looked at closely.

        Beyond CLOSELY of them the rough order stays: nobody compares the thousandth result with the next.
        """
        inside = answer.inside
        rough = answer.sought.scores(inside, answer.gains)
        proposed, about = self._proposed(served, answer, rough)
        least, unit = math.inf, None
        for start, end in _STRETCHES:
            rows = proposed[start:end] if end <= PROPOSED else matching.best(inside, rough, start, end)[0]
            if not len(rows):
                return
            looked = self._look(served, answer, rows, unit, about[start:end] if end <= PROPOSED else None)
            unit = looked.unit
            for place in np.argsort(-looked.scores, kind="stable").tolist():
                least = min(least, float(looked.scores[place]))
                yield least, int(rows[place])
        yield from ((least, row) for row in matching.best(inside, rough, CLOSELY, len(inside))[0].tolist())

    def _proposed(self, served: _Served, answer: _Answer, rough: NDArray[np.number]) -> tuple[Rows, Scores]:
        """The documents that lead the rough order, in that order and that of what they are about together; and how much
        they are."""
        rows, values = matching.best(answer.inside, rough, 0, PROPOSED)
        about = served.alike(rows, answer.words)
        if len(rows) <= CANDIDATES:
            return rows, about
        order = np.argsort(-(values + self.ranking.about * values[0] * about), kind="stable")
        return rows[order], about[order]

    def _unit(self, served: _Served, answer: _Answer) -> float:
        """What the words score on the best of the first documents looked at."""
        rough = answer.sought.scores(answer.inside, answer.gains)
        return self._look(served, answer, self._proposed(served, answer, rough)[0][:CANDIDATES]).unit

    def _look(
        self, served: _Served, answer: _Answer, rows: Rows, unit: float | None = None, about: Scores | None = None
    ) -> Looked:
        """What documents score, looked at closely. unit, about: see Closely.look."""
        places, here = served.placed(rows)
        closely = Closely(served.forward, places, here, _idf(served), self.ranking)
        about = served.alike(rows, answer.words) if about is None else about
        titles = served.vectors.title_of(places, here)
        gains = [Gained(gain.label, gain.given(rows), gain.start, gain.end) for gain in answer.gains]
        looked = closely.look(answer.query, answer.words, about, titles, answer.others, gains, unit)
        looked.weigh(FACTOR, served.postings.weight[rows])
        return looked

    def _explained(
        self, served: _Served, answer: _Answer, row: int, score: float, unit: float
    ) -> tuple[tuple[str, float], ...]:
        """What each sign of relevance gave this result, most first, then what the sum was multiplied by."""
        looked = self._look(served, answer, np.array([row]), unit)
        *signs, factor = looked.explained(0)
        lost = score / factor[1] - sum(value for _, value in signs)
        if signs and abs(lost) > 1e-3:
            signs.append((LATER, lost))
        return (*sorted(signs, key=lambda part: -part[1]), factor) if signs else ()

    def _titles(self, served: _Served, prefix: str, limit: int) -> Iterable[Shown]:
        typed = words(prefix)
        *whole, last = typed
        parts = [(Occur.Must, EngineQuery.term_query(served.schema, "title_words", word, "basic")) for word in whole]
        parts.append(
            (Occur.Must, EngineQuery.fuzzy_term_query(served.schema, "title_words", last, distance=0, prefix=True))
        )
        result = served.searcher.search(EngineQuery.boolean_query(parts), limit, count=False, weight_by_field="weight")
        return [self._shown(served, address) for _, address in result.hits]

    def _like(self, served: _Served, shown: Shown) -> EngineQuery:
        """Pages about the same kind of action: its services, the expressions that earned its tags, its title's words.

        One of these must hold. The most telling words of the text only help to choose among them.
        """
        schema = served.schema
        expressions = [why.expression for tag in shown.enjeux for why in tag.why]
        topic = [c for text in dict.fromkeys(expressions) if (c := clause_of(text)) is not None]
        title = [Word(span.word, span.word, span.stem) for span in spans(shown.title) if span.word not in STOP_WORDS]
        parts = [
            (Occur.Should, EngineQuery.boost_query(compiled.clause_query(schema, clause, self.ranking), SIMILAR.topic))
            for clause in topic[:12]
        ]
        parts += [
            (Occur.Should, EngineQuery.boost_query(compiled.word_query(schema, word, self.ranking), SIMILAR.title))
            for word in self._rare(served, dict.fromkeys(title[:12]))
        ]
        also: list[tuple[Occur, EngineQuery]] = []
        for tag in shown.enjeux:
            for name, gain, into in (
                (f"service:{tag.service}", SIMILAR.service, parts),
                (f"enjeu:{tag.slug}", SIMILAR.enjeu, also),
            ):
                term = EngineQuery.term_query(schema, "facet", name, "basic")
                into.append((Occur.Should, EngineQuery.const_score_query(term, gain)))
        telling = [
            (
                Occur.Should,
                EngineQuery.boost_query(EngineQuery.term_query(schema, "body", stem, "freq"), SIMILAR.telling),
            )
            for stem in self._telling(served, shown)
        ]
        return EngineQuery.boolean_query([(Occur.Must, EngineQuery.boolean_query(parts or also)), *also, *telling])

    def _rare(self, served: _Served, found: Iterable[Word]) -> list[Word]:
        """The words that few pages have, or else the rarest: « commune » says nothing of a subject, and costs most."""
        few = max(served.about.documents // 10, FEW)
        held = {word: served.postings.find(word.stem).count for word in found}
        return [word for word in held if held[word] <= few] or sorted(held, key=held.__getitem__)[:1]

    def _telling(self, served: _Served, shown: Shown) -> list[str]:
        """Stems that set the text apart from the others: said often here, seldom elsewhere."""
        counts = Counter(span for word, span in analyse(shown.text[:8_000]) if word not in STOP_WORDS and len(word) > 3)
        total = max(served.about.documents, 1)
        worth = {}
        for stem, count in counts.most_common(60):
            frequency = served.searcher.doc_freq("body", stem)
            if 1 < frequency <= max(total // 10, 2):
                worth[stem] = min(count, 4) * math.log(total / frequency)
        return sorted(worth, key=lambda stem: -worth[stem])[:10]

    def _missing(self, served: _Served, rows: Sequence[MosaicRow], peers: Sequence[Comparable]) -> tuple[Hit, ...]:
        """One page of a peer for each service the territory has nothing about, most shared services first."""
        absent = [row for row in rows if row.service and not row.here]
        absent.sort(key=lambda row: -sum(1 for count in row.peers if count))
        postings = served.postings
        numbers = [postings.number_of(place_key(peer.territory)) for peer in peers]
        newest: dict[int, None] = {}
        for row in absent[:6]:
            about = postings.find(term("facet", f"service:{row.service}")).rows
            theirs = about[np.isin(postings.publisher[about], numbers)]
            newest.update(dict.fromkeys(_newest(served, theirs, 1).tolist()))
        return self._plain_hits(served, list(newest))

    def _tags_of(self, served: _Served, territories: Sequence[Territory]) -> list[dict[tuple[str, str], int]]:
        """Documents of each territory by (enjeu, service), and by (enjeu, "")."""
        found = []
        for territory in territories:
            counts = served.postings.facets(served.postings.published(place_key(territory)))
            enjeux = {(slug, ""): counts.get(f"enjeu:{slug}", 0) for slug in self.referentiel.enjeux}
            services = {(s.enjeu, s.nom): counts.get(f"service:{s.nom}", 0) for s in self.referentiel.services}
            found.append(enjeux | services)
        return found

    def _territory(self, key: str) -> Territory | None:
        kind, _, code = key.partition(":")
        return self.geo.territory(kind, code) if code else None

    def _address(self, served: _Served, id: str) -> Any | None:
        found = served.searcher.search(EngineQuery.term_query(served.schema, "id", id, "basic"), 1).hits
        return found[0][1] if found else None

    def _shown(self, served: _Served, address: Any) -> Shown:
        return read_shown(served.searcher, address)

    def _shown_at(self, served: _Served, rows: Sequence[int]) -> list[Shown]:
        """What was kept of the documents at these rows, in that order."""
        postings = served.postings
        found = []
        at = np.array(rows, np.intp)
        for (segment, document), key in zip(postings.addresses[at].tolist(), postings.key[at].tolist(), strict=True):
            shown = self._shown(served, tantivy.DocAddress(segment, document))
            if key_of(shown.id) != key:
                raise IndexVersionError(f"the index {served.target} is damaged; run `elunum index --full`")
            found.append(shown)
        return found

    def _plain_hits(self, served: _Served, rows: Sequence[int] | Rows) -> tuple[Hit, ...]:
        pages = self._shown_at(served, [int(row) for row in rows])
        return tuple(_hit(shown, _BEGINNING.of(shown.text), 0.0) for shown in pages)


def _doubtful(query: Query, others: Sequence[Alternative], named: Sequence[Place]) -> list[Word]:
    """Plain words whose spelling may be wrong: not those of a known expression or of a territory's name."""
    spans = [(span.start, span.end) for span in others] + [(span.start, span.end) for span in named]
    sure = {at for start, end in spans for at in range(start, end)}
    return [word for at, word in enumerate(query.words) if at not in sure]


def _newest(served: _Served, rows: Rows, most: int) -> Rows:
    """The newest of these documents, newest first."""
    return rows[matching.first(served.postings.day[rows], most)]


def _by_day(rows: Rows, days: NDArray[np.integer]) -> Iterator[int]:
    """Documents, newest first; the first few without a look at the order of the others."""
    values = days[rows]
    yield from rows[matching.first(values, CANDIDATES)].tolist()
    if len(rows) > CANDIDATES:
        yield from rows[matching.first(values, len(rows))[CANDIDATES:]].tolist()


def _idf(served: _Served) -> Callable[[str, str], float]:
    """Inverse document frequency of a term in a field, as the engine counts it."""
    searcher, documents = served.searcher, served.searcher.num_docs

    @cache  # for as long as one request: pairs and passages ask again of the same words
    def idf(field: str, term: str) -> float:
        held = searcher.doc_freq(field, term)
        return math.log1p((documents - held + 0.5) / (held + 0.5))

    return idf


def _hit(
    shown: Shown,
    html: str,
    score: float,
    others: int = 0,
    comparable: str = "",
    explanation: tuple[tuple[str, float], ...] = (),
) -> Hit:
    return Hit(
        id=shown.id,
        url=shown.url,
        title=shown.title,
        snippet_html=html,
        date=shown.date,
        fetched_at=shown.fetched_at,
        first_seen=shown.first_seen,
        lang=shown.lang,
        type=shown.type,
        size=shown.size,
        score=score,
        enjeux=shown.enjeux,
        source=shown.source,
        pages=shown.pages,
        copies=shown.copies,
        publisher=shown.territory or shown.source_key,
        others=others,
        comparable=comparable,
        explanation=explanation,
    )


@cache
def _folded_name(name: str) -> str:
    """A name of the référentiel, folded: remembered, for there are a few hundred. Never given what a reader types."""
    return fold(name)


def _begins(name: str, folded: str) -> bool:
    """Whether the name, or one of its words, begins like what was typed."""
    name = _folded_name(name)
    return name.startswith(folded) or f" {folded}" in name


def _shingles(text: str) -> frozenset[int]:
    """Each four words in a row of the beginning of a text: enough to know a copy, and cheap."""
    found = text[:4_000].lower().split()
    return frozenset(map(hash, zip(found, found[1:], found[2:], found[3:], strict=False)))


def _overlap(a: frozenset[int], b: frozenset[int]) -> float:
    """Share of the smaller set that the other holds."""
    small = min(len(a), len(b))
    return len(a & b) / small if small > 5 else 0.0

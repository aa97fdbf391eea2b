"""Our query tree and filters -> Tantivy's query objects. The only file that knows how documents are ranked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tantivy import FieldType, Occur, Schema
from tantivy import Query as Engine

from elunum.expressions import mark
from elunum.index.schema import bare_site, group_of, name_key
from elunum.model import Comparable, Search, Territory
from elunum.search.parse import Clause, Either, Phrase, Query, Word, is_plain
from elunum.search.places import Place
from elunum.search.synonyms import Alternative, units
from elunum.text import STOP_WORDS


@dataclass(frozen=True, slots=True)
class Ranking:
    """What each sign of relevance weighs. Set by measurement: bench/relevance."""

    body: float = 1.0
    title: float = 1.0
    lead: float = 0.5  # the first words of the text: a title for pages whose title says nothing
    headings: float = 0.3
    anchors: float = 0.3  # what links that lead to the page say of it
    address: float = 0.2
    exact_title: float = 0.3  # the word as typed, not only its stem
    exact_body: float = 0.2
    pair: float = 0.3  # two neighbouring words of the query, side by side in the text
    pair_title: float = 0.5
    apart: float = 0.4  # of what a word is worth, left where what it says with its neighbours is not said
    slop: int = 3  # words that may stand between the two: « conseil des jeunes » for conseil jeunes
    about: float = 0.9  # what page and query are about, in word vectors: their cosine
    covered: float = 0.3  # share of the title that was asked for
    passage: float = 0.4  # share of the words that the best fifty words of the text hold
    synonym: float = 0.5  # another way to say a word, against the word itself
    local: float = 5.0  # a page of the territory named in the query, or about it; half for what contains it, and so on
    home: float = 40.0  # the home page of the territory, when the query asks for its site
    closeness: float = 8.0  # with like=: the closest collectivité gains this much


DEFAULT = Ranking()

Labelled = tuple[str, Engine]
"""A part of a score, with what `elunum search --explain` calls it."""

TYPICAL_IDF = 8.0
"""Of the term of a commune, by which a constant gain becomes a weight of that term in `sketch`."""


@dataclass(frozen=True, slots=True)
class Gain:
    """What documents with a term gain, whatever their words."""

    label: str
    field: str
    value: str | int
    gain: float
    start: int = 0  # the words that name the territory, from `start` to `end` (excluded); none otherwise
    end: int = 0

    def query(self, schema: Schema) -> Engine:
        """The documents that gain it, scored so."""
        return _gain(Engine.term_query(schema, self.field, self.value, "basic"), self.gain)


class Bound(NamedTuple):
    """Documents that a filter lets through, or a sample."""

    documents: Engine
    listed: bool = False  # whether the index has them as one list, which costs nothing to look up twice


@dataclass(frozen=True, slots=True)
class Sought:
    """What the words of a query look for: phrases and quoted words must hold; of the plain words, `level`.

    Words are looked for in one field, `any`, that has each stem as often as its page says it: one list a word tells
    which documents answer, and roughly how well.
    """

    schema: Schema
    query: Query
    others: Sequence[Alternative]  # other ways to say some of the plain words; one stands for each word it covers
    named: Sequence[Place]  # territories that plain words name; a page of the territory needs not repeat its name
    level: int
    ranking: Ranking

    def found(self, within: Sequence[Bound] = (), gains: Sequence[Gain] = (), scored: bool = False) -> Engine:
        """The documents that answer, within all of these. scored: by how often they say the words, and by `gains`.

        Where one of several lists suffices, each is looked up within the bounds that are lists too: the engine reads
        whole lists that stand beside each other, and passes over what is bounded.
        """
        words = self.query.words
        lists = [one.documents for one in within if one.listed]
        parts: list[tuple[Occur, Engine]] = [(Occur.Must, _gain(one.documents, 0.0)) for one in within]
        if words and self.level >= len(words):
            for place in range(len(words)):
                ways = self._ways(place)
                parts.append((Occur.Must, ways[0] if len(ways) == 1 else _any_of([_both(w, lists) for w in ways])))
        elif words and self.level > 1:
            each = [_any_of(self._ways(place)) for place in range(len(words))]
            parts.append((Occur.Must, Engine.boolean_query([(Occur.Should, one) for one in each], self.level)))
        elif words:
            parts.append((Occur.Must, _any_of([_both(w, lists) for n in range(len(words)) for w in self._ways(n)])))
        parts += _required(self.schema, self.query, self.ranking)
        if not scored:
            return _gain(Engine.boolean_query(parts), 0.0)
        return Engine.boolean_query([*parts, *((Occur.Should, gain.query(self.schema)) for gain in gains)])

    def sketch(self, gains: Sequence[Gain]) -> Engine:
        """Every list that could make a document answer, side by side and nothing else: the only shape of query whose
        best documents the engine finds without looking at all of them (block-max WAND, Ding and Suel 2011)."""
        words = [word for clause in self.query.clauses for word in subject_words(clause)]
        ways = [_anywhere(self.schema, word.stem) for word in words]
        ways += [self._said(other) for other in self.others]
        for start, end in units(self.query.words, self.others):
            ways.append(_anywhere(self.schema, mark([word.stem for word in self.query.words[start:end]])))
        for gain in gains:
            term = Engine.term_query(self.schema, gain.field, gain.value, "freq")
            ways.append(_boosted(term, gain.gain / TYPICAL_IDF))
        return Engine.boolean_query([(Occur.Should, way) for way in ways])

    def _ways(self, place: int) -> list[Engine]:
        """Each way to answer the plain word at this place."""
        ways = [_anywhere(self.schema, self.query.words[place].stem)]
        ways += [self._said(other) for other in self.others if other.start <= place < other.end]
        named = [found for found in self.named if found.start <= place < found.end]
        return ways + [_place(self.schema, territory) for found in named for territory in found.territories]

    def _said(self, other: Alternative) -> Engine:
        """Pages that say it otherwise: those that hold an expression of several words are marked with it."""
        clause = other.clause
        term = clause.stem if isinstance(clause, Word) else mark([word.stem for word in clause.words])
        share = (1.0 if other.same else self.ranking.synonym) / (other.end - other.start)
        return _boosted(_anywhere(self.schema, term), share)


def _anywhere(schema: Schema, term: str) -> Engine:
    return Engine.term_query(schema, "any", term, "freq")


def _both(way: Engine, within: Sequence[Engine]) -> Engine:
    bounds = [(Occur.Must, _gain(one, 0.0)) for one in within]
    return Engine.boolean_query([(Occur.Must, way), *bounds]) if bounds else way


def _any_of(ways: Sequence[Engine]) -> Engine:
    return ways[0] if len(ways) == 1 else Engine.boolean_query([(Occur.Should, way) for way in ways])


def subject_words(clause: Clause) -> Iterator[Word]:
    """The words of a clause, those without subject left out of phrases."""
    if isinstance(clause, Word):
        yield clause
    elif isinstance(clause, Phrase):
        yield from (word for word in clause.words if word.word not in STOP_WORDS)
    else:
        for option in clause.options:
            yield from subject_words(option)


def among(schema: Schema, keys: Iterable[int], query: Engine) -> Engine:
    """What a query finds among the documents with these keys."""
    documents = Engine.boolean_query([(Occur.Should, Engine.term_query(schema, "key", key, "basic")) for key in keys])
    return Engine.boolean_query([(Occur.Must, _gain(documents, 0.0)), (Occur.Must, query)])


def _required(schema: Schema, query: Query, ranking: Ranking) -> list[tuple[Occur, Engine]]:
    """What holds or is absent whatever the plain words find; every document when the query says nothing."""
    parts = [(Occur.Must, clause_query(schema, clause, ranking)) for clause in query.clauses if not is_plain(clause)]
    parts += [(Occur.MustNot, clause_query(schema, clause, ranking)) for clause in query.without]
    return parts if query.clauses else [*parts, (Occur.Must, _gain(Engine.all_query(), 1.0))]


def near(named: Sequence[Place], around: Sequence[Territory], home: bool, ranking: Ranking = DEFAULT) -> Iterator[Gain]:
    """What the territories named in a query add: their pages first, then those of the territories that contain them.

    around: the containing territories, smallest first. home: the query asks for a territory's own site.
    """
    for place in named:
        for territory in place.territories:
            label = f"place: {territory.name}"
            yield Gain(label, "place", _place_key(territory), ranking.local, place.start, place.end)
    for rank, territory in enumerate(around, start=1):
        yield Gain(f"place: {territory.name}", "place", _place_key(territory), ranking.local / 2**rank)
    for place in named if home else ():
        for rank, territory in enumerate(place.territories, start=1):
            key = f"home:{_place_key(territory)}"
            yield Gain(f"home page: {territory.name}", "place", key, ranking.home / rank)


def named_site(query: Query, ranking: Ranking = DEFAULT) -> Iterator[Gain]:
    """The home page of a source whose whole name was typed, and nothing else."""
    words = query.words
    if words and len(words) == len(query.clauses):
        key = name_key(word.stem for word in words)
        yield Gain("site: " + " ".join(word.text for word in words), "place", key, ranking.home)


def _place(schema: Schema, territory: Territory) -> Engine:
    return Engine.term_query(schema, "place", _place_key(territory), "basic")


def _place_key(territory: Territory) -> str:
    return f"{territory.kind}:{territory.code}"


def _gain(query: Engine, gain: float) -> Engine:
    return Engine.const_score_query(query, gain)


def word_query(schema: Schema, word: Word, ranking: Ranking) -> Engine:
    """A word in any field; the scores of the fields add up."""
    return Engine.boolean_query([(Occur.Should, query) for _, query in word_parts(schema, word, ranking)])


def word_parts(schema: Schema, word: Word, ranking: Ranking) -> list[Labelled]:
    """A word in each field that counts."""
    fields = [
        ("title", word.stem, ranking.title),
        ("headings", word.stem, ranking.headings),
        ("lead", word.stem, ranking.lead),
        ("body", word.stem, ranking.body),
        ("anchors", word.stem, ranking.anchors),
        ("address", word.stem, ranking.address),
        ("title_words", word.word, ranking.exact_title),
        ("body_words", word.word, ranking.exact_body),
    ]
    return [
        (f"{field}: {value}", _boosted(Engine.term_query(schema, field, value, "freq"), weight))
        for field, value, weight in fields
        if weight
    ]


def clause_query(schema: Schema, clause: Clause, ranking: Ranking) -> Engine:
    """A clause that must hold."""
    if isinstance(clause, Word):
        return (
            _exactly(schema, [clause], word_query(schema, clause, ranking))
            if clause.exact
            else (word_query(schema, clause, ranking))
        )
    if isinstance(clause, Either):
        return Engine.boolean_query([(Occur.Should, clause_query(schema, o, ranking)) for o in clause.options])
    stems = [word.stem for word in clause.words]
    fields = (("body", ranking.body), ("title", ranking.title), ("headings", ranking.headings))
    together = Engine.boolean_query(
        [(Occur.Should, _boosted(_phrase(schema, field, stems), weight)) for field, weight in fields]
    )
    return _exactly(schema, clause.words, together) if clause.words[0].exact else together


def _exactly(schema: Schema, words: Sequence[Word], found: Engine) -> Engine:
    """What is found, where each word also stands in the form that was typed, in the title or in the text."""
    forms = [
        Engine.boolean_query(
            [(Occur.Should, Engine.term_query(schema, f, word.word, "basic")) for f in ("body_words", "title_words")]
        )
        for word in words
    ]
    return Engine.boolean_query([(Occur.Must, found), *((Occur.Must, _gain(form, 0.0)) for form in forms)])


def _phrase(schema: Schema, field: str, stems: Sequence[str], slop: int = 0) -> Engine:
    return Engine.phrase_query(schema, field, list(stems), slop)


def _boosted(query: Engine, weight: float) -> Engine:
    return query if weight == 1.0 else Engine.boost_query(query, weight)


# --- filters -----------------------------------------------------------------------------------------------------


def filters(schema: Schema, search: Search, peers: Sequence[Comparable] = ()) -> dict[str, Bound]:
    """One bound for each parameter that filters, by its name. All of them must hold; they do not score."""
    found: dict[str, Engine] = {}
    several = {name for name in ("enjeu", "kind", "type") if len(getattr(search, name)) > 1}

    def facet(name: str, values: Sequence[str]) -> Engine:
        if len(values) == 1:  # a set is made whole before it is asked; a term is passed over
            return Engine.term_query(schema, "facet", f"{name}:{values[0]}", "basic")
        return Engine.term_set_query(schema, "facet", [f"{name}:{value}" for value in values])

    if search.enjeu:
        if search.combine == "ou" or len(search.enjeu) == 1:
            found["enjeu"] = facet("enjeu", search.enjeu)
        else:
            found["enjeu"] = Engine.boolean_query([(Occur.Must, facet("enjeu", [slug])) for slug in search.enjeu])
    for name in ("service", "lang"):
        if value := getattr(search, name):
            found[name] = facet(name, [value])
    for name in ("commune", "epci", "departement", "region"):
        if value := getattr(search, name):
            found[name] = Engine.term_query(schema, "place", f"{name}:{value}", "basic")
    if search.label is not None:
        found["label"] = facet("label", [str(search.label)])
    if search.kind:
        found["kind"] = facet("kind", search.kind)
    if search.type:
        found["type"] = facet("type", search.type)
    if search.site:
        found["site"] = Engine.term_query(schema, "site", bare_site(search.site), "basic")
    if search.population_min is not None or search.population_max is not None:
        found["population"] = _between(schema, "population", search.population_min or 0, search.population_max)
    if search.since or search.until:
        low = search.since.toordinal() if search.since else 1
        found["date"] = _between(schema, "day", low, search.until.toordinal() if search.until else None)
    if search.like:
        groups = [_group(peer) for peer in peers]
        found["like"] = Engine.term_set_query(schema, "group", groups) if groups else Engine.empty_query()
    unlisted = several | {"population", "date", "like"}
    return {name: Bound(_gain(query, 0.0), name not in unlisted) for name, query in found.items()}


def typed(schema: Schema, query: Query) -> dict[str, Bound]:
    """What the operators among the words let through, as one filter more; none without operators."""
    inside = [(Occur.Must, one.documents) for one in filters(schema, query.inside).values()]
    outside = [(Occur.MustNot, _all_of(filters(schema, one).values())) for one in query.outside]
    if not inside and not outside:
        return {}
    held = Engine.boolean_query([*(inside or [(Occur.Must, Engine.all_query())]), *outside])
    return {"typed": Bound(_gain(held, 0.0))}


def closeness(peers: Sequence[Comparable], ranking: Ranking = DEFAULT) -> Iterator[Gain]:
    """What being comparable adds to a score, one gain a peer."""
    for peer in peers:
        if peer.closeness > 0:
            label = f"comparable: {peer.territory.name}"
            yield Gain(label, "group", _group(peer), ranking.closeness * peer.closeness)


def _group(peer: Comparable) -> int:
    return group_of(f"{peer.territory.kind}:{peer.territory.code}")


def _between(schema: Schema, field: str, low: int, high: int | None) -> Engine:
    return Engine.range_query(schema, field, FieldType.Unsigned, low, high)


def _all_of(bounds: Iterable[Bound]) -> Engine:
    return Engine.boolean_query([(Occur.Must, Engine.all_query()), *((Occur.Must, one.documents) for one in bounds)])

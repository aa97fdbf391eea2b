"""Our query tree and filters -> Tantivy's query objects. The only file that knows how documents are ranked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tantivy import FieldType, Occur, Schema
from tantivy import Query as Engine

from elunum.index.schema import bare_site, group_of, name_key
from elunum.model import Comparable, Search, Territory
from elunum.search.parse import Clause, Either, Query, Word, is_plain
from elunum.search.places import Place
from elunum.search.synonyms import Alternative


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
    slop: int = 3  # words that may stand between the two: « conseil des jeunes » for conseil jeunes
    synonym: float = 0.5  # another way to say a word, against the word itself
    said_tie: float = 0.0  # share that the weaker ways to say a word still add
    local: float = 5.0  # a page of the territory named in the query, or about it; half for what contains it, and so on
    home: float = 40.0  # the home page of the territory, when the query asks for its site
    closeness: float = 8.0  # with like=: the closest collectivité gains this much


DEFAULT = Ranking()

Labelled = tuple[str, Engine]
"""A part of a score, with what `elunum search --explain` calls it."""


def matching(
    schema: Schema,
    query: Query,
    others: Sequence[Alternative] = (),
    named: Sequence[Place] = (),
    at_least: int = 1,
    ranking: Ranking = DEFAULT,
) -> Engine:
    """The documents that answer. Phrases, quoted words and alternatives must hold; of the plain words, `at_least`.

    others: other ways to say some of the plain words; one stands for each word it covers.
    named: territories that plain words name; a page of the territory needs not repeat its name.
    Plain words do not score here: one field, `any`, says where they stand.
    """
    parts: list[tuple[Occur, Engine]] = []
    if words := query.words:
        each = []
        for place, word in enumerate(words):
            ways = [_anywhere(schema, word)]
            ways += [_holds(schema, other.clause, ranking) for other in others if other.start <= place < other.end]
            ways += [_place(schema, t) for found in _naming(named, place) for t in found.territories]
            each.append(_one_of(ways))
        if at_least >= len(each):
            parts += [(Occur.Must, _gain(way, 0.0)) for way in each]
        else:
            some = Engine.boolean_query([(Occur.Should, way) for way in each], at_least)
            parts.append((Occur.Must, _gain(some, 0.0)))
    return Engine.boolean_query([*parts, *_required(schema, query, ranking)])


def words_query(
    schema: Schema,
    query: Query,
    others: Sequence[Alternative] = (),
    named: Sequence[Place] = (),
    at_least: int = 1,
    ranking: Ranking = DEFAULT,
) -> Engine:
    """What `matching` finds, scored. Looking for the words in their fields costs more, so it is done once an answer.

    others: other ways to say some of the plain words; one stands for each word it covers.
    named: territories that plain words name; a page of the territory needs not repeat its name.
    """
    parts: list[tuple[Occur, Engine]] = []
    words = query.words
    if words:
        each = []
        for place, word in enumerate(words):
            said = [
                _boosted(
                    clause_query(schema, other.clause, ranking),
                    (1.0 if other.same else ranking.synonym) / (other.end - other.start),
                )
                for other in others
                if other.start <= place < other.end
            ]
            said += [
                Engine.const_score_query(_place(schema, territory), ranking.local / (found.end - found.start))
                for found in named
                if found.start <= place < found.end
                for territory in found.territories
            ]
            own = word_query(schema, word, ranking)
            each.append(Engine.disjunction_max_query([own, *said], ranking.said_tie) if said else own)
        parts.append((Occur.Must, Engine.boolean_query([(Occur.Should, q) for q in each], min(at_least, len(each)))))
        parts += [(Occur.Should, bonus) for _, bonus in pairs(schema, words, ranking)]
    return Engine.boolean_query([*parts, *_required(schema, query, ranking)])


def _required(schema: Schema, query: Query, ranking: Ranking) -> list[tuple[Occur, Engine]]:
    """What holds or is absent whatever the plain words find; every document when the query says nothing."""
    parts = [(Occur.Must, clause_query(schema, clause, ranking)) for clause in query.clauses if not is_plain(clause)]
    parts += [(Occur.MustNot, clause_query(schema, clause, ranking)) for clause in query.without]
    return parts if query.clauses else [*parts, (Occur.Must, _gain(Engine.all_query(), 1.0))]


def _naming(named: Sequence[Place], place: int) -> list[Place]:
    return [found for found in named if found.start <= place < found.end]


def _anywhere(schema: Schema, word: Word) -> Engine:
    return Engine.term_query(schema, "any", word.stem, "basic")


def _holds(schema: Schema, clause: Clause, ranking: Ranking) -> Engine:
    """Whether a clause of ours holds, whatever it scores."""
    return _anywhere(schema, clause) if isinstance(clause, Word) else clause_query(schema, clause, ranking)


def _one_of(ways: Sequence[Engine]) -> Engine:
    return ways[0] if len(ways) == 1 else Engine.boolean_query([(Occur.Should, way) for way in ways])


def near(
    schema: Schema, named: Sequence[Place], around: Sequence[Territory], home: bool, ranking: Ranking = DEFAULT
) -> list[Labelled]:
    """What the territories named in a query add: their pages first, then those of the territories that contain them.

    around: the containing territories, smallest first. home: the query asks for a territory's own site.
    """
    own = [t for place in named for t in place.territories]
    found = [(f"place: {t.name}", _gain(_place(schema, t), ranking.local)) for t in own]
    found += [
        (f"place: {t.name}", _gain(_place(schema, t), ranking.local / 2 ** (rank + 1))) for rank, t in enumerate(around)
    ]
    if home:
        found += [
            (f"home page: {t.name}", _gain(_place(schema, t, "home:"), ranking.home / (rank + 1)))
            for place in named
            for rank, t in enumerate(place.territories)
        ]
    return found


def named_site(schema: Schema, query: Query, ranking: Ranking = DEFAULT) -> list[Labelled]:
    """The home page of a source whose whole name was typed, and nothing else."""
    words = query.words
    if not words or len(words) != len(query.clauses):
        return []
    key = Engine.term_query(schema, "place", name_key(word.stem for word in words), "basic")
    return [("site: " + " ".join(word.text for word in words), _gain(key, ranking.home))]


def _place(schema: Schema, territory: Territory, prefix: str = "") -> Engine:
    return Engine.term_query(schema, "place", f"{prefix}{territory.kind}:{territory.code}", "basic")


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


def pairs(schema: Schema, words: Sequence[Word], ranking: Ranking) -> list[Labelled]:
    """Each two neighbouring words, close together in the text or in the title."""
    return [
        (
            f"{field}: {left.stem} {right.stem}",
            _boosted(_phrase(schema, field, [left.stem, right.stem], ranking.slop), w),
        )
        for left, right in pairwise(words)
        for field, w in (("body", ranking.pair), ("title", ranking.pair_title))
        if w
    ]


def _phrase(schema: Schema, field: str, stems: Sequence[str], slop: int = 0) -> Engine:
    return Engine.phrase_query(schema, field, list(stems), slop)


def _boosted(query: Engine, weight: float) -> Engine:
    return query if weight == 1.0 else Engine.boost_query(query, weight)


# --- filters -----------------------------------------------------------------------------------------------------


def filters(schema: Schema, search: Search, peers: Sequence[Comparable] = ()) -> dict[str, Engine]:
    """One query for each parameter that filters, by its name. All of them must hold; they do not score."""
    found: dict[str, Engine] = {}

    def facet(name: str, values: Sequence[str]) -> Engine:
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
    return {name: Engine.const_score_query(query, 0.0) for name, query in found.items()}


def typed(schema: Schema, query: Query) -> dict[str, Engine]:
    """What the operators among the words let through, as one filter more; none without operators."""
    inside = [(Occur.Must, one) for one in filters(schema, query.inside).values()]
    outside = [(Occur.MustNot, together(Engine.all_query(), filters(schema, one).values())) for one in query.outside]
    if not inside and not outside:
        return {}
    held = Engine.boolean_query([*(inside or [(Occur.Must, Engine.all_query())]), *outside])
    return {"typed": Engine.const_score_query(held, 0.0)}


def closeness(schema: Schema, peers: Sequence[Comparable], ranking: Ranking = DEFAULT) -> list[Labelled]:
    """What being comparable adds to a score, one query a peer."""
    return [
        (
            f"comparable: {peer.territory.name}",
            _gain(Engine.term_query(schema, "group", _group(peer), "basic"), ranking.closeness * peer.closeness),
        )
        for peer in peers
        if peer.closeness > 0
    ]


def _group(peer: Comparable) -> int:
    return group_of(f"{peer.territory.kind}:{peer.territory.code}")


def _between(schema: Schema, field: str, low: int, high: int | None) -> Engine:
    return Engine.range_query(schema, field, FieldType.Unsigned, low, high)


def together(main: Engine, required: Iterable[Engine], optional: Iterable[Engine] = ()) -> Engine:
    """The main query with filters, and with what only adds to the score."""
    extra = [(Occur.Must, query) for query in required] + [(Occur.Should, query) for query in optional]
    return Engine.boolean_query([(Occur.Must, main), *extra]) if extra else main

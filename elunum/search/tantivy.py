"""Words and phrases of our query tree -> Tantivy's query objects: where positions or pages alike must be asked for."""

from __future__ import annotations

from collections.abc import Sequence

from tantivy import Occur, Schema
from tantivy import Query as Engine

from elunum.search.parse import Clause, Either, Word
from elunum.search.ranking import Ranking


def word_query(schema: Schema, word: Word, ranking: Ranking) -> Engine:
    """A word in any field; the scores of the fields add up."""
    fields = (
        ("title", word.stem, ranking.title),
        ("headings", word.stem, ranking.headings),
        ("lead", word.stem, ranking.lead),
        ("body", word.stem, ranking.body),
        ("anchors", word.stem, ranking.anchors),
        ("address", word.stem, ranking.address),
        ("title_words", word.word, ranking.exact_title),
        ("body_words", word.word, ranking.exact_body),
    )
    return Engine.boolean_query(
        [
            (Occur.Should, _boosted(Engine.term_query(schema, field, value, "freq"), weight))
            for field, value, weight in fields
            if weight
        ]
    )


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
    return Engine.boolean_query(
        [(Occur.Must, found), *((Occur.Must, Engine.const_score_query(form, 0.0)) for form in forms)]
    )


def _phrase(schema: Schema, field: str, stems: Sequence[str], slop: int = 0) -> Engine:
    return Engine.phrase_query(schema, field, list(stems), slop)


def _boosted(query: Engine, weight: float) -> Engine:
    return query if weight == 1.0 else Engine.boost_query(query, weight)

"""The texts of a query language, looked for in the fields of one index.

Law: a text of which analysis leaves nothing is None, no query: the clause that it stands in then goes, too. Words that
are several after analysis are one clause each, so that `minimum_should_match` can count them.

*Source:* Elasticsearch 9.5's MultiMatchQueryParser with ZeroTermsQuery.NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from connectors.embedded.analysis import Analyzer
from connectors.embedded.index import Reader
from connectors.embedded.mapping import Field
from connectors.embedded.query import Bool, Boosted, DisMax, MatchNone, Operator, Phrase, Query, Term, analyze

Weights: TypeAlias = Mapping[str, float]
"""Boosts by field path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldTexts:
    """Makes queries over the fields of `reader`."""

    reader: Reader
    operator: Operator
    analyzer: Analyzer | None
    is_lenient: bool

    def words(self, text: str, weights: Weights, *, tie_breaker: float) -> Query | None:
        """Return the query for words, in whichever fields they are; `tie_breaker` as in DisMax."""
        return self._across(weights, tie_breaker, lambda path, field: self._words(path, field, text))

    def phrase(self, text: str, weights: Weights) -> Query | None:
        """Return the query for a phrase in one of the fields."""
        return self._across(weights, 0.0, lambda path, field: self._phrase(path, field, text))

    def _across(
        self, weights: Weights, tie_breaker: float, make: Callable[[str, Field | None], Query | None]
    ) -> Query | None:
        if not weights:
            return MatchNone()
        queries = [
            query if boost == 1.0 else Boosted(query=query, boost=boost)
            for path, boost in weights.items()
            if (query := make(path, self.reader.fields.get(path))) is not None
        ]
        return either(queries, tie_breaker)

    def _words(self, path: str, field: Field | None, text: str) -> Query | None:
        if field is None or field.kind != "text":
            return Term(field=path, value=text, is_lenient=self.is_lenient)
        tokens = analyze(self.reader, field, text, self.analyzer, self.is_lenient)
        terms = tuple(Term(field=path, value=token.text, shown=text) for token in tokens)
        if len(terms) < 2:
            return terms[0] if terms else None
        return Bool(must=terms) if self.operator == "and" else Bool(should=terms)

    def _phrase(self, path: str, field: Field | None, text: str) -> Query | None:
        phrase = Phrase(field=path, text=text, analyzer=self.analyzer, is_lenient=self.is_lenient)
        if field is None or field.kind != "text":
            return phrase
        return phrase if analyze(self.reader, field, text, self.analyzer, self.is_lenient) else None


def either(queries: Sequence[Query], tie_breaker: float = 0.0) -> Query | None:
    """Return the only query, or all of them as alternatives; None for none."""
    if len(queries) < 2:
        return queries[0] if queries else None
    return DisMax(queries=tuple(queries), tie_breaker=tie_breaker)

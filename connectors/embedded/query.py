"""What a query matches: one small frozen class per kind of query, each giving scores by document number.

Law: a query is a value that knows no index; `match` evaluates it over a reader. Scores are those of Elasticsearch:
BM25 where Lucene scores, constants where it does not. What a field's type cannot take is `ShardError`, as in
Elasticsearch, which finds out on the shard.

*Source:* Elasticsearch 9.5's QueryBuilders and Lucene's BooleanQuery, DisjunctionMaxQuery and ConstantScoreQuery;
compared with a real node in `tests/integration/test_embedded_scores.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from connectors.embedded.analysis import Analyzer
from connectors.embedded.errors import ShardError
from connectors.embedded.field_types import Value
from connectors.embedded.index import Reader
from connectors.embedded.mapping import Field
from connectors.embedded.patterns import matches
from connectors.embedded.text_index import Scores, no_norm_score, positioned

Operator = Literal["or", "and"]


class Query(Protocol):
    """Something that matches documents."""

    def match(self, reader: Reader) -> Scores:
        """Return the score of every document that matches, by document number."""
        ...

    def searched(self, reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield (field path, text) of what is looked for in text fields: what highlighting marks."""
        ...


@dataclass(frozen=True, slots=True)
class MatchAll:
    """Every document, score 1."""

    def match(self, reader: Reader) -> Scores:
        """Match everything."""
        return dict.fromkeys(range(len(reader.documents)), 1.0)

    def searched(self, _reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield nothing."""
        return iter(())


@dataclass(frozen=True, slots=True)
class MatchNone:
    """No document."""

    def match(self, _reader: Reader) -> Scores:
        """Match nothing."""
        return {}

    def searched(self, _reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield nothing."""
        return iter(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """`match` on one field: its words after analysis, or the value of a field that is no text."""

    field: str
    text: Any
    operator: Operator = "or"
    minimum: str | None = None
    analyzer: Analyzer | None = None
    is_lenient: bool = False
    matches_without_words: bool = False

    def match(self, reader: Reader) -> Scores:
        """Match documents with enough of the words."""
        found = reader.fields.get(self.field)
        if found is None or found.kind != "text":
            return _value_match(reader, self.field, self.text, is_lenient=self.is_lenient)
        words = [token.text for token in _analyze(reader, found, self.text, self.analyzer, self.is_lenient)]
        if not words and self.matches_without_words:
            return MatchAll().match(reader)
        text = reader.text(self.field)
        return text.words(words, self._needed(len(words))) if text else {}

    def searched(self, _reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield the field and the text."""
        yield self.field, str(self.text)

    def _needed(self, words: int) -> int:
        if self.operator == "and":
            return words
        return 1 if self.minimum is None else max(1, required(self.minimum, words))


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """`match_phrase` on one field: its words after analysis, next to each other."""

    field: str
    text: Any
    analyzer: Analyzer | None = None
    is_lenient: bool = False

    def match(self, reader: Reader) -> Scores:
        """Match documents with the phrase."""
        found = reader.fields.get(self.field)
        if found is None or found.kind != "text":
            return _value_match(reader, self.field, self.text, is_lenient=self.is_lenient)
        tokens = _analyze(reader, found, self.text, self.analyzer, self.is_lenient)
        text = reader.text(self.field)
        return text.phrase([(token.position, token.text) for token in tokens]) if text else {}

    def searched(self, _reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield the field and the text."""
        yield self.field, str(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """`term`: one value as it is, not analyzed."""

    field: str
    value: Any
    is_lenient: bool = False

    def match(self, reader: Reader) -> Scores:
        """Match documents that hold the value."""
        found = reader.fields.get(self.field)
        if found is not None and found.kind == "text":
            text = reader.text(self.field)
            return text.words([str(self.value)], 1) if text else {}
        return _value_match(reader, self.field, self.value, is_lenient=self.is_lenient)

    def searched(self, _reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield the field and the value."""
        yield self.field, str(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """`terms`: any of the values, score 1."""

    field: str
    values: tuple[Any, ...]

    def match(self, reader: Reader) -> Scores:
        """Match documents that hold one of the values."""
        found = (Term(field=self.field, value=value).match(reader) for value in self.values)
        return dict.fromkeys(sorted({number for scores in found for number in scores}), 1.0)

    def searched(self, _reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield the field with each value."""
        return ((self.field, str(value)) for value in self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """`range`: values between two bounds, score 1; None leaves a side open."""

    field: str
    lower: Any = None
    upper: Any = None
    includes_lower: bool = True
    includes_upper: bool = True

    def match(self, reader: Reader) -> Scores:
        """Match documents with a value in the range."""
        found = reader.fields.get(self.field)
        if found is None:
            return {}
        if found.kind == "text":
            raise _shard_error(reader, f"Range queries on the text field [{self.field}] are not supported here")
        lower, upper = _bound(reader, found, self.lower), _bound(reader, found, self.upper)
        numbers = (
            numbers for value, numbers in reader.postings(self.field).items() if self._holds(value, lower, upper)
        )
        return _constant(number for group in numbers for number in group)

    def searched(self, _reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield nothing."""
        return iter(())

    def _holds(self, value: Any, lower: Any, upper: Any) -> bool:
        above = lower is None or value > lower or (self.includes_lower and value == lower)
        below = upper is None or value < upper or (self.includes_upper and value == upper)
        return above and below


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """`prefix`: a value, or a word of a text field, that begins so; score 1."""

    field: str
    prefix: str

    def match(self, reader: Reader) -> Scores:
        """Match documents with such a value or word."""
        found = reader.fields.get(self.field)
        if found is None:
            return {}
        if found.kind == "text":
            text = reader.text(self.field)
            return _constant(text.words(text.with_prefix(self.prefix), 1)) if text else {}
        if found.kind != "keyword":
            reason = f"Can only use prefix queries on keyword and text fields - not on [{self.field}]"
            raise _shard_error(reader, reason)
        postings = reader.postings(self.field).items()
        groups = [numbers for value, numbers in postings if str(value).startswith(self.prefix)]
        return _constant(number for group in groups for number in group)

    def searched(self, _reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield nothing."""
        return iter(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """`ids`: documents by id, score 1."""

    ids: tuple[str, ...]

    def match(self, reader: Reader) -> Scores:
        """Match the documents that are there."""
        return _constant(reader.numbers[name] for name in self.ids if name in reader.numbers)

    def searched(self, _reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield nothing."""
        return iter(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Exists:
    """`exists`: documents with a value in a field, or in any field of an object, score 1."""

    field: str

    def match(self, reader: Reader) -> Scores:
        """Match the documents that fill the field."""
        paths = [path for path in reader.fields if matches(self.field, path) or path.startswith(self.field + ".")]
        if self.field in ("_id", "_index"):
            return MatchAll().match(reader)
        return _constant(number for path in paths for number in reader.filled(path))

    def searched(self, _reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield nothing."""
        return iter(())


@dataclass(frozen=True, slots=True, kw_only=True)
class Boosted:
    """Another query with its scores multiplied."""

    query: Query
    boost: float

    def match(self, reader: Reader) -> Scores:
        """Match what the query matches."""
        return {number: score * self.boost for number, score in self.query.match(reader).items()}

    def searched(self, reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield what the query looks for."""
        return self.query.searched(reader)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantScore:
    """`constant_score`: what another query matches, score 1."""

    query: Query

    def match(self, reader: Reader) -> Scores:
        """Match what the query matches."""
        return _constant(self.query.match(reader))

    def searched(self, reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield what the query looks for."""
        return self.query.searched(reader)


@dataclass(frozen=True, slots=True, kw_only=True)
class Boosting:
    """`boosting`: the positive query, scores multiplied where the negative one matches, too."""

    positive: Query
    negative: Query
    negative_boost: float

    def match(self, reader: Reader) -> Scores:
        """Match what the positive query matches."""
        unwanted = self.negative.match(reader)
        return {
            number: score * self.negative_boost if number in unwanted else score
            for number, score in self.positive.match(reader).items()
        }

    def searched(self, reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield what the positive query looks for."""
        return self.positive.searched(reader)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bool:
    """`bool`: all of must and filter, enough of should, none of must_not; must and should add up."""

    must: tuple[Query, ...] = ()
    should: tuple[Query, ...] = ()
    filter: tuple[Query, ...] = ()
    must_not: tuple[Query, ...] = ()
    minimum: str | None = None

    def match(self, reader: Reader) -> Scores:
        """Match documents that fulfil every clause."""
        if not (self.must or self.should or self.filter or self.must_not):
            return MatchAll().match(reader)
        must = [query.match(reader) for query in self.must]
        should = [query.match(reader) for query in self.should]
        required_sets: list[Iterable[int]] = [*must, *(query.match(reader) for query in self.filter)]
        unwanted = {number for query in self.must_not for number in query.match(reader)}
        found = self._candidates(reader, required_sets, should) - unwanted
        return {number: sum(scores[number] for scores in (*must, *should) if number in scores) for number in found}

    def searched(self, reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield what the clauses look for, those that must not match left out."""
        for query in (*self.must, *self.should, *self.filter):
            yield from query.searched(reader)

    def _candidates(self, reader: Reader, required_sets: Sequence[Iterable[int]], should: Sequence[Scores]) -> set[int]:
        needed = self._needed_should(is_optional=bool(required_sets))
        counts = Counter(number for scores in should for number in scores)
        if required_sets:
            found = set(required_sets[0]).intersection(*required_sets[1:])
        else:
            found = set(counts) if should else set(range(len(reader.documents)))
        return {number for number in found if counts[number] >= needed} if needed else found

    def _needed_should(self, *, is_optional: bool) -> int:
        if self.minimum is not None:
            needed = required(self.minimum, len(self.should))
            return needed if is_optional or not self.should else max(needed, 1)
        return 0 if is_optional or not self.should else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DisMax:
    """`dis_max`: any of the queries; the best score, plus `tie_breaker` times the others."""

    queries: tuple[Query, ...]
    tie_breaker: float = 0.0

    def match(self, reader: Reader) -> Scores:
        """Match what any of the queries matches."""
        return _dis_max([query.match(reader) for query in self.queries], self.tie_breaker)

    def searched(self, reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield what the queries look for."""
        for query in self.queries:
            yield from query.searched(reader)


@dataclass(frozen=True, slots=True)
class FieldBoost:
    """A field, or a pattern of fields, to search, and what its scores are multiplied with."""

    pattern: str
    boost: float = 1.0


class PerField(Protocol):
    """Makes the query of one field out of many. `is_lenient`: a value that the field cannot take matches nothing."""

    def __call__(self, path: str, *, is_lenient: bool) -> Query:
        """Return the query for the field at `path`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AcrossFields:
    """The same query on several fields: the best score, plus `tie_breaker` times the others (1 = the sum)."""

    fields: tuple[FieldBoost, ...]
    per_field: PerField
    tie_breaker: float = 0.0

    def match(self, reader: Reader) -> Scores:
        """Match what any of the fields matches."""
        return _dis_max([query.match(reader) for query in self._queries(reader)], self.tie_breaker)

    def searched(self, reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield what is looked for in each field."""
        for query in self._queries(reader):
            yield from query.searched(reader)

    def _queries(self, reader: Reader) -> Iterator[Query]:
        is_lenient = any(field.pattern == "*" for field in self.fields)
        for path, boost in _expand(reader, self.fields).items():
            query = self.per_field(path, is_lenient=is_lenient)
            yield query if boost == 1.0 else Boosted(query=query, boost=boost)


def required(spec: str, clauses: int) -> int:
    """Return how many of `clauses` optional clauses must match; more than there are matches nothing.

    `spec`: "2", "-1", "75%", "-25%", or conditions such as "2<-25% 9<-3".
    *Source:* Elasticsearch's documentation of `minimum_should_match`. Raises `ValueError` for anything else.
    """
    if "<" in spec:
        needed = clauses
        for condition in spec.split():
            limit, _, inner = condition.partition("<")
            if clauses <= int(limit):
                break
            needed = required(inner, clauses)
        return needed
    number = int(clauses * int(spec[:-1]) / 100) if spec.endswith("%") else int(spec)
    return max(0, clauses + number if number < 0 or spec.startswith("-") else number)


def _expand(reader: Reader, fields: Sequence[FieldBoost]) -> dict[str, float]:
    """Return the boosts of the searched fields by path; a field named twice has both boosts."""
    found: dict[str, float] = {}
    for field in fields:
        paths = [field.pattern] if "*" not in field.pattern else _searchable(reader, field.pattern)
        for path in paths:
            found[path] = found.get(path, 1.0) * field.boost
    return found


def _searchable(reader: Reader, pattern: str) -> list[str]:
    return [path for path, field in reader.fields.items() if field.is_indexed and matches(pattern, path)]


def _analyze(reader: Reader, found: Field, text: Any, analyzer: Analyzer | None, is_lenient: bool) -> list[Any]:
    if not found.is_indexed:
        if is_lenient:
            return []
        raise _shard_error(reader, f"Cannot search on field [{found.path}] since it is not indexed.")
    return positioned(analyzer or found.analyzer, [_text_of(text)])


def _text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _value_match(reader: Reader, path: str, raw: Any, *, is_lenient: bool) -> Scores:
    """Match a value of a field that is no text: keyword scores by rarity, everything else is 1."""
    if path == "_id":
        return Ids(ids=(str(raw),)).match(reader)
    if path == "_index":
        return MatchAll().match(reader) if matches(str(raw), reader.index) else {}
    found = reader.fields.get(path)
    value = None if found is None else _value_of(reader, found, raw, is_lenient=is_lenient)
    if found is None or value is None:
        return {}
    numbers = reader.postings(path).get(value, ())
    is_scored = found.kind == "keyword" and numbers
    return dict.fromkeys(numbers, no_norm_score(len(numbers), len(reader.filled(path))) if is_scored else 1.0)


def _value_of(reader: Reader, found: Field, raw: Any, *, is_lenient: bool) -> Value | None:
    try:
        return found.value(raw)
    except ValueError as error:
        if is_lenient:
            return None
        raise _shard_error(reader, f"failed to create query: {error}") from None


def _bound(reader: Reader, found: Field, raw: Any) -> Value | None:
    if raw is None:
        return None
    if found.kind in ("long", "integer", "short", "byte") and isinstance(raw, float):
        return raw  # a bound may lie between two integers
    return _value_of(reader, found, raw, is_lenient=False)


def _constant(numbers: Iterable[int]) -> Scores:
    return dict.fromkeys(numbers, 1.0)


def _dis_max(scores: Sequence[Scores], tie_breaker: float) -> Scores:
    if len(scores) == 1:
        return scores[0]
    best: Scores = {}
    total: Scores = {}
    for found in scores:
        for number, score in found.items():
            best[number] = max(best.get(number, score), score)
            total[number] = total.get(number, 0.0) + score
    if not tie_breaker:
        return best
    return {number: score + (total[number] - score) * tie_breaker for number, score in best.items()}


def _shard_error(reader: Reader, reason: str) -> ShardError:
    return ShardError("query_shard_exception", reason, index=reader.index)

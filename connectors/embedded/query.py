"""What a query matches: one small frozen class per kind of query, each giving scores by document number.

Law: a query is a value that knows no index; `match` evaluates it over a reader. Scores are those of Elasticsearch:
BM25 where Lucene scores, constants where it does not. What a field's type cannot take is `ShardError`, as in
Elasticsearch, which finds out on the shard.

*Source:* Elasticsearch 9.5's QueryBuilders and Lucene's BooleanQuery, DisjunctionMaxQuery and ConstantScoreQuery;
compared with a real node in `tests/integration/test_embedded_parity.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from connectors.embedded import field_types
from connectors.embedded.analysis import Analyzer, Token
from connectors.embedded.errors import ENGINE, ShardError, query_shard_error
from connectors.embedded.field_types import Value
from connectors.embedded.index import Reader
from connectors.embedded.mapping import Field
from connectors.embedded.patterns import matches
from connectors.embedded.text_index import Scores, positioned, value_score

Operator = Literal["or", "and"]

_DATE_MATH = ("now", "||")


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
        words = [token.text for token in analyze(reader, found, self.text, self.analyzer, self.is_lenient)]
        if not words and self.matches_without_words:
            return MatchAll().match(reader)
        text = reader.text(self.field)
        return text.words(words, self._needed(len(words))) if text else {}

    def searched(self, _reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield the field and the text."""
        yield self.field, str(self.text)

    def _needed(self, words: int) -> int:
        """Return how many of the words must be there. With "and" none is optional, so that a minimum cannot be met."""
        if words < 2 or self.minimum is None:
            return words if self.operator == "and" else 1
        if self.operator == "and":
            return words + required(self.minimum, 0)
        return max(1, required(self.minimum, words))


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
        tokens = analyze(reader, found, self.text, self.analyzer, self.is_lenient)
        text = reader.text(self.field)
        return text.phrase([(token.position, token.text) for token in tokens]) if text else {}

    def searched(self, _reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield the field and the text."""
        yield self.field, str(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """`term`: one value as it is, not analyzed. `shown`: the text that the value came from, if it is another."""

    field: str
    value: Any
    is_lenient: bool = False
    shown: str | None = None

    def match(self, reader: Reader) -> Scores:
        """Match documents that hold the value."""
        found = reader.fields.get(self.field)
        if found is not None and found.kind == "text":
            if not found.is_indexed:
                raise _not_indexed(reader, found)
            text = reader.text(self.field)
            return text.words([str(self.value)], 1) if text else {}
        return _value_match(reader, self.field, self.value, is_lenient=self.is_lenient)

    def searched(self, _reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield the field and the value."""
        yield self.field, self.shown or str(self.value)


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
            raise shard_error(reader, f"a range of the text field [{self.field}] is not supported by {ENGINE}")
        lower = upper = None
        try:
            if self.lower is not None:
                lower = _bound(found, self.lower, rounds_up=not self.includes_lower)
            if self.upper is not None:
                upper = _bound(found, self.upper, rounds_up=self.includes_upper)
        except _BadValue as error:
            raise error.on(reader) from None
        return _between(
            reader,
            self.field,
            lower,
            upper,
            includes_lower=self.includes_lower,
            includes_upper=self.includes_upper,
        )

    def searched(self, _reader: Reader) -> Iterator[tuple[str, str]]:
        """Yield nothing."""
        return iter(())


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
            raise shard_error(reader, reason)
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
        kept = [path for path in paths if reader.fields[path].kind != "text" or reader.fields[path].is_indexed]
        return _constant(number for path in kept for number in reader.filled(path))

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
        if self.minimum is not None and (is_optional or self.should):
            needed = required(self.minimum, len(self.should))
            return needed if is_optional else max(needed, 1)
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
        for path, boost in expand(reader, self.fields).items():
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


def expand(reader: Reader, fields: Sequence[FieldBoost]) -> dict[str, float]:
    """Return the boosts of the searched fields by path; one that two patterns name has both boosts."""
    found: dict[str, float] = {}
    for pattern, boost in {field.pattern: field.boost for field in fields}.items():
        paths = [pattern] if "*" not in pattern else _searchable(reader, pattern)
        for path in paths:
            found[path] = found.get(path, 1.0) * boost
    return found


def _searchable(reader: Reader, pattern: str) -> list[str]:
    return [path for path, field in reader.fields.items() if field.is_indexed and matches(pattern, path)]


def analyze(reader: Reader, found: Field, text: Any, analyzer: Analyzer | None, is_lenient: bool) -> list[Token]:
    """Return the tokens of a query's text in a text field; `ShardError` when the field has no inverted index."""
    if not found.is_indexed:
        if is_lenient:
            return []
        raise _not_indexed(reader, found)
    return positioned(analyzer or found.analyzer, [_text_of(text)])


def _not_indexed(reader: Reader, found: Field) -> ShardError:
    reason = f"Cannot search on field [{found.path}] since it is not indexed nor has doc values."
    return shard_error(reader, f"failed to create query: {reason}")


def _text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _value_match(reader: Reader, path: str, raw: Any, *, is_lenient: bool) -> Scores:
    """Match a value of a field that is no text: keyword and boolean score by rarity, everything else is 1."""
    if path == "_id":
        return Ids(ids=(str(raw),)).match(reader)
    if path == "_index":
        return MatchAll().match(reader) if matches(str(raw), reader.index) else {}
    found = reader.fields.get(path)
    if found is None:
        return {}
    try:
        value = _bound(found, raw)
        if found.kind == "date":  # a day is all its moments
            return _between(reader, path, value, _bound(found, raw, rounds_up=True))
    except _BadValue as error:
        if is_lenient:
            return {}
        raise error.on(reader) from None
    numbers = reader.postings(path).get(value, ())
    return dict.fromkeys(numbers, _value_score(reader, found, len(numbers)) if numbers else 1.0)


def _between(
    reader: Reader,
    path: str,
    lower: Value | None,
    upper: Value | None,
    *,
    includes_lower: bool = True,
    includes_upper: bool = True,
) -> Scores:
    def holds(value: Any) -> bool:
        above = lower is None or value > lower or (includes_lower and value == lower)
        below = upper is None or value < upper or (includes_upper and value == upper)
        return above and below

    return _constant(number for value, numbers in reader.postings(path).items() if holds(value) for number in numbers)


def _value_score(reader: Reader, found: Field, matching: int) -> float:
    if found.kind not in ("keyword", "boolean") or not found.is_indexed:
        return 1.0
    return value_score(matching=matching, filled=len(reader.filled(found.path)), entries=reader.entries(found.path))


class _BadValue(Exception):
    """A query's value that its field cannot take."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind

    def on(self, reader: Reader) -> ShardError:
        if self.kind == "query_shard_exception":
            return shard_error(reader, str(self))
        return ShardError(self.kind, str(self), index=reader.index)


def _bound(found: Field, raw: Any, *, rounds_up: bool = False) -> Value:
    """Return what a query's value is in a field; it need not be one that the field could hold."""
    if found.kind == "date":
        return _date_bound(raw, rounds_up=rounds_up)
    try:
        if found.kind in field_types.NUMBERS:
            return field_types.numeric_bound(raw, found.kind)
        if found.kind == "boolean":
            return field_types.boolean_bound(raw)
        return field_types.parser(found.kind)(raw)
    except ValueError as error:
        raise _BadValue("query_shard_exception", f"failed to create query: {error}") from None


def _date_bound(raw: Any, *, rounds_up: bool) -> int:
    if isinstance(raw, str) and any(mark in raw for mark in _DATE_MATH):
        raise _BadValue("parse_exception", f"date math [{raw}] is not supported by {ENGINE}")
    try:
        return field_types.date_bound(raw, rounds_up=rounds_up)
    except ValueError as error:
        raise _BadValue("parse_exception", f"{error}: [{error}]") from None


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


def shard_error(reader: Reader, reason: str) -> ShardError:
    """Return the error for a query that one index cannot answer."""
    return query_shard_error(reason, index=reader.index, uuid=reader.uuid)

"""From the JSON of a query to the query.

Law: every key is read or refused. A clause that Elasticsearch has and this engine has not is refused by name; so is
a parameter that would change the answer. Nothing is skipped in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.embedded import field_types
from connectors.embedded.analysis import ANALYZERS, Analyzer
from connectors.embedded.errors import (
    ApiError,
    illegal_argument,
    number_format_error,
    parsing_error,
    token_name,
    unsupported,
)
from connectors.embedded.field_types import to_text
from connectors.embedded.query import (
    AcrossFields,
    Bool,
    Boosted,
    Boosting,
    ConstantScore,
    DisMax,
    Exists,
    FieldBoost,
    Ids,
    MatchAll,
    MatchNone,
    Operator,
    PerField,
    Phrase,
    Prefix,
    Query,
    Range,
    Term,
    Terms,
    Words,
    required,
)
from connectors.embedded.query_string import QueryString
from connectors.embedded.simple_query_string import SimpleQueryString
from connectors.json_bytes import JsonObject

MAX_CLAUSES = 4096
MAX_DEPTH = 30
"""Elasticsearch's `indices.query.bool.max_nested_depth`."""

_UNSUPPORTED = frozenset(
    [
        "combined_fields",
        "common",
        "distance_feature",
        "function_score",
        "fuzzy",
        "geo_bounding_box",
        "geo_distance",
        "geo_grid",
        "geo_polygon",
        "geo_shape",
        "has_child",
        "has_parent",
        "hybrid",
        "interval",
        "intervals",
        "knn",
        "match_bool_prefix",
        "match_phrase_prefix",
        "more_like_this",
        "nested",
        "neural",
        "parent_id",
        "percolate",
        "pinned",
        "rank_feature",
        "regexp",
        "rule",
        "script",
        "script_score",
        "semantic",
        "shape",
        "span_containing",
        "span_first",
        "span_multi",
        "span_near",
        "span_not",
        "span_or",
        "span_term",
        "span_within",
        "sparse_vector",
        "terms_set",
        "text_expansion",
        "weighted_tokens",
        "wildcard",
        "wrapper",
    ]
)


_MISSING = {
    "match": "No text specified for text query",
    "match_phrase": "No text specified for text query",
    "multi_match": "No text specified for multi_match query",
}
"""What Elasticsearch says where the text is missing."""


def parse_query(body: Any, depth: int = 0) -> Query:
    """Return the query that a JSON value describes; `ApiError` 400 when it is none."""
    if depth > MAX_DEPTH:
        raise illegal_argument(
            f"The nested depth of the query exceeds the maximum nested depth for queries of {MAX_DEPTH}"
        )
    if not isinstance(body, dict):
        raise parsing_error(f"[_na] query malformed, must start with start_object, not {body!r:.40}")
    if not body:
        raise illegal_argument("query malformed, empty clause found")
    if len(body) > 1:
        first = next(iter(body))
        raise parsing_error(f"[{first}] malformed query, expected [END_OBJECT] but found [FIELD_NAME]")
    ((name, value),) = body.items()
    if name in _UNSUPPORTED:
        raise unsupported(f"query [{name}]")
    if name not in _CLAUSES:
        raise parsing_error(f"unknown query [{name}]")
    if not isinstance(value, dict):
        raise parsing_error(f"[{name}] query malformed, no start_object after query name")
    return _CLAUSES[name](_Clause(name=name, body=dict(value), depth=depth))


@dataclass(slots=True, kw_only=True)
class _Clause:
    """The body of one clause on its way into a query. What nobody has taken at the end is refused."""

    name: str
    body: JsonObject
    depth: int

    def take(self, key: str, default: Any = None) -> Any:
        return self.body.pop(key, default)

    def required(self, key: str, complaint: str = "requires '{key}' field") -> Any:
        if self.body.get(key) is None:
            raise parsing_error(f"[{self.name}] {complaint.format(key=key)}")
        return self.body.pop(key)

    def query(self, key: str, complaint: str) -> Query:
        return parse_query(self.required(key, complaint), self.depth + 1)

    def queries(self, key: str) -> tuple[Query, ...]:
        value = self.take(key) or []
        clauses = value if isinstance(value, list) else [value]
        if not isinstance(value, dict | list):
            reason = f"[{self.name}] {key} doesn't support values of type: {token_name(value)}"
            raise ApiError(400, "x_content_parse_exception", reason)
        if len(clauses) > MAX_CLAUSES:
            raise illegal_argument(f"maxClauseCount is set to {MAX_CLAUSES}")
        return tuple(parse_query(clause, self.depth + 1) for clause in clauses)

    def number(self, key: str, default: float) -> float:
        value = self.take(key, default)
        try:
            return field_types.to_float(value, "float")
        except ValueError:
            raise number_format_error(value) from None

    def words(self, key: str, *allowed: str, default: str) -> str:
        value = str(self.take(key, default)).lower()
        if value not in allowed:
            raise illegal_argument(f"[{self.name}] [{key}: {value}] is not supported by the embedded engine")
        return value

    def operator(self, key: str = "operator") -> Operator:
        return "and" if self.words(key, "or", "and", default="or") == "and" else "or"

    def analyzer(self) -> Analyzer | None:
        name = self.take("analyzer")
        if name is None:
            return None
        if not isinstance(name, str) or name not in ANALYZERS:
            raise illegal_argument(f"[{self.name}] analyzer [{name}] not found")
        return ANALYZERS[name]

    def minimum(self, key: str = "minimum_should_match") -> str | None:
        value = self.take(key)
        if value is None:
            return None
        try:
            required(str(value), 1)
        except ValueError:
            raise illegal_argument(f"[{self.name}] [{key}: {value}] is not understood") from None
        return str(value)

    def flag(self, key: str) -> bool:
        value = self.take(key, False)
        if value not in (True, False, "true", "false"):
            raise illegal_argument(f"Failed to parse value [{value}] as only [true] or [false] are allowed.")
        return value in (True, "true")

    def optional_flag(self, key: str) -> bool | None:
        return self.flag(key) if self.body.get(key) is not None else None

    def fields(self) -> tuple[FieldBoost, ...]:
        value = self.take("fields", [])
        fields = value if isinstance(value, list) else [value]
        for field in fields:
            if not isinstance(field, str):
                raise illegal_argument(f"Expected text but found {token_name(field)}")
        return tuple(map(_field_boost, fields))

    def done(self, query: Query) -> Query:
        """Return the query with its boost, now that every key must have been taken."""
        boost = self.number("boost", 1.0)
        self.take("_name")
        if boost < 0:
            raise illegal_argument(f"negative [boost] are not allowed in [{self.name}], use a value between 0 and 1")
        if self.body:
            unknown = next(iter(self.body))
            if self.name == "bool":
                raise ApiError(400, "x_content_parse_exception", f"[bool] unknown field [{unknown}]")
            raise parsing_error(f"[{self.name}] query does not support [{unknown}]")
        return query if boost == 1.0 else Boosted(query=query, boost=boost)

    def one_field(self, key: str) -> tuple[str, _Clause]:
        """Split `{field: {key: value, …}}`, or the short `{field: value}`, into the field and its own clause."""
        fields = list(self.body)
        if not fields:
            raise parsing_error(_MISSING.get(self.name, f"[{self.name}] requires a field"))
        if len(fields) != 1:
            found = " and ".join(f"[{field}]" for field in fields[:2])
            raise parsing_error(f"[{self.name}] query doesn't support multiple fields, found {found}")
        value = self.body[fields[0]]
        body = dict(value) if isinstance(value, dict) else {key: value}
        return fields[0], _Clause(name=self.name, body=body, depth=self.depth)

    def scalar(self, key: str) -> Any:
        value = self.body.pop(key, None)
        if value is None:
            raise parsing_error(_MISSING.get(self.name, f"[{self.name}] must be provided with a [{key}]"))
        if isinstance(value, list) and self.name == "term":
            raise parsing_error("[term] query does not support array of values")
        if isinstance(value, dict | list):
            raise illegal_argument(f"Expected text but found {token_name(value)}")
        return value


def _field_boost(text: str) -> FieldBoost:
    pattern, caret, boost = text.rpartition("^")
    if not caret:
        return FieldBoost(text)
    try:
        return FieldBoost(pattern, field_types.to_float(boost, "float"))
    except ValueError:
        raise number_format_error(boost) from None


def _match_all(clause: _Clause) -> Query:
    return clause.done(MatchAll())


def _match_none(clause: _Clause) -> Query:
    return clause.done(MatchNone())


def _match(clause: _Clause) -> Query:
    field, inner = clause.one_field("query")
    matches_without_words = inner.words("zero_terms_query", "none", "all", default="none") == "all"
    _take_what_changes_nothing(inner)
    query = Words(
        field=field,
        text=inner.scalar("query"),
        operator=inner.operator(),
        minimum=inner.minimum(),
        analyzer=inner.analyzer(),
        is_lenient=inner.flag("lenient"),
        matches_without_words=matches_without_words,
    )
    return inner.done(query)


def _match_phrase(clause: _Clause) -> Query:
    field, inner = clause.one_field("query")
    _refuse_slop(inner)
    inner.words("zero_terms_query", "none", default="none")
    return inner.done(Phrase(field=field, text=inner.scalar("query"), analyzer=inner.analyzer()))


def _multi_match(clause: _Clause) -> Query:
    kind = str(clause.take("type", "best_fields")).lower()
    if kind in ("cross_fields", "phrase_prefix", "bool_prefix"):
        raise unsupported(f"[multi_match] with [type: {kind}]")
    if kind not in ("best_fields", "most_fields", "phrase"):
        reason = f"failed to parse [multi_match] query type [{kind}]. unknown type."
        raise ApiError(400, "parse_exception", reason)
    text = clause.scalar("query")
    fields = clause.fields() or (FieldBoost("*"),)
    per_field = _phrase_of(clause, text) if kind == "phrase" else _words_of(clause, text)
    tie_breaker = clause.number("tie_breaker", 1.0 if kind == "most_fields" else 0.0)
    clause.words("zero_terms_query", "none", default="none")
    return clause.done(AcrossFields(fields=fields, per_field=per_field, tie_breaker=tie_breaker))


def _words_of(clause: _Clause, text: Any) -> PerField:
    _take_what_changes_nothing(clause)
    operator, minimum, analyzer = clause.operator(), clause.minimum(), clause.analyzer()
    is_always_lenient = clause.flag("lenient")

    def per_field(path: str, *, is_lenient: bool) -> Query:
        return Words(
            field=path,
            text=text,
            operator=operator,
            minimum=minimum,
            analyzer=analyzer,
            is_lenient=is_lenient or is_always_lenient,
        )

    return per_field


def _phrase_of(clause: _Clause, text: Any) -> PerField:
    _refuse_slop(clause)
    analyzer, is_always_lenient = clause.analyzer(), clause.flag("lenient")

    def per_field(path: str, *, is_lenient: bool) -> Query:
        return Phrase(field=path, text=text, analyzer=analyzer, is_lenient=is_lenient or is_always_lenient)

    return per_field


def _take_what_changes_nothing(clause: _Clause) -> None:
    """Parameters of fuzzy matching and synonyms change nothing without fuzziness and without synonyms."""
    for key in ("auto_generate_synonyms_phrase_query", "fuzzy_transpositions", "prefix_length", "max_expansions"):
        clause.take(key)
    if clause.body.get("fuzziness") in (0, "0"):
        clause.take("fuzziness")
    if "fuzziness" in clause.body:
        raise unsupported(f"[{clause.name}] with [fuzziness]")


def _refuse_slop(clause: _Clause) -> None:
    if clause.number("slop", 0) != 0:
        raise unsupported(f"[{clause.name}] with [slop]")


def _term(clause: _Clause) -> Query:
    field, inner = clause.one_field("value")
    if inner.flag("case_insensitive"):
        raise unsupported("[term] with [case_insensitive]")
    return inner.done(Term(field=field, value=inner.scalar("value")))


def _terms(clause: _Clause) -> Query:
    boost, name = clause.take("boost", 1.0), clause.take("_name")
    if len(clause.body) != 1:
        raise parsing_error(
            "[terms] query requires a field name, followed by array of terms or a document lookup specification"
        )
    ((field, values),) = clause.body.items()
    if isinstance(values, dict):
        raise unsupported("[terms] with a lookup")
    if not isinstance(values, list):
        raise parsing_error(f"[terms] query does not support [{field}]")
    for value in values:
        if not isinstance(value, str | int | float):
            raise parsing_error(f"[terms] query does not support {token_name(value)} among the values of [{field}]")
    clause.body = {"boost": boost, "_name": name}
    return clause.done(ConstantScore(query=Terms(field=field, values=tuple(values))))


def _range(clause: _Clause) -> Query:
    field, inner = clause.one_field("gte")
    if not isinstance(clause.body.get(field), dict):
        raise parsing_error(f"[range] query does not support [{field}]")
    bounds = {key: inner.take(key) for key in ("gt", "gte", "lt", "lte")}
    inner.words("relation", "intersects", default="intersects")
    query = Range(
        field=field,
        lower=bounds["gte"] if bounds["gt"] is None else bounds["gt"],
        upper=bounds["lte"] if bounds["lt"] is None else bounds["lt"],
        includes_lower=bounds["gt"] is None,
        includes_upper=bounds["lt"] is None,
    )
    return inner.done(query)


def _prefix(clause: _Clause) -> Query:
    field, inner = clause.one_field("value")
    inner.words("rewrite", "constant_score", default="constant_score")
    if inner.flag("case_insensitive"):
        raise unsupported("[prefix] with [case_insensitive]")
    return inner.done(Prefix(field=field, prefix=str(inner.scalar("value"))))


def _ids(clause: _Clause) -> Query:
    values = clause.take("values", [])
    ids = values if isinstance(values, list) else [values]
    for one in ids:
        if not isinstance(one, str | int | float):
            raise parsing_error(f"[ids] values doesn't support values of type: {token_name(one)}")
    return clause.done(Ids(ids=tuple(map(to_text, ids))))


def _exists(clause: _Clause) -> Query:
    field = clause.required("field", "must be provided with a [{key}]")
    if not isinstance(field, str):
        raise parsing_error(f"[exists] unknown token [{token_name(field)}] after [field]")
    return clause.done(Exists(field=field))


def _bool(clause: _Clause) -> Query:
    query = Bool(
        must=clause.queries("must"),
        should=clause.queries("should"),
        filter=clause.queries("filter"),
        must_not=clause.queries("must_not"),
        minimum=clause.minimum(),
    )
    return clause.done(query)


def _dis_max(clause: _Clause) -> Query:
    queries = clause.queries("queries")
    if not queries:
        raise parsing_error("[dis_max] requires 'queries' field with at least one clause")
    return clause.done(DisMax(queries=queries, tie_breaker=clause.number("tie_breaker", 0.0)))


def _constant_score(clause: _Clause) -> Query:
    return clause.done(ConstantScore(query=clause.query("filter", "requires a 'filter' element")))


def _boosting(clause: _Clause) -> Query:
    complaint = "query requires '{key}' query to be set'"
    query = Boosting(
        positive=clause.query("positive", complaint),
        negative=clause.query("negative", complaint),
        negative_boost=clause.number("negative_boost", -1.0),
    )
    if query.negative_boost < 0:
        raise parsing_error("[boosting] query requires 'negative_boost' to be set to be a positive value'")
    return clause.done(query)


def _query_string(clause: _Clause) -> Query:
    default_field = clause.take("default_field")
    clause.words("type", "best_fields", default="best_fields")
    query = QueryString(
        text=str(clause.scalar("query")),
        fields=clause.fields(),
        default_field=None if default_field is None else str(default_field),
        operator=clause.operator("default_operator"),
        tie_breaker=clause.number("tie_breaker", 0.0),
        minimum=clause.minimum(),
        analyzer=clause.analyzer(),
        is_lenient=clause.optional_flag("lenient"),
    )
    return clause.done(query)


def _simple_query_string(clause: _Clause) -> Query:
    query = SimpleQueryString(
        text=str(clause.scalar("query")),
        fields=clause.fields() or (FieldBoost("*"),),
        operator=clause.operator("default_operator"),
        minimum=clause.minimum(),
        analyzer=clause.analyzer(),
        is_lenient=clause.optional_flag("lenient"),
    )
    return clause.done(query)


_CLAUSES: Mapping[str, Callable[[_Clause], Query]] = {
    "bool": _bool,
    "boosting": _boosting,
    "constant_score": _constant_score,
    "dis_max": _dis_max,
    "exists": _exists,
    "ids": _ids,
    "match": _match,
    "match_all": _match_all,
    "match_none": _match_none,
    "match_phrase": _match_phrase,
    "multi_match": _multi_match,
    "prefix": _prefix,
    "query_string": _query_string,
    "range": _range,
    "simple_query_string": _simple_query_string,
    "term": _term,
    "terms": _terms,
}

"""Aggregations: `terms` and the metrics of one field, over the documents that match.

Law: what is not listed here is refused. Buckets are ordered as Elasticsearch orders them: by count, then by key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.embedded import field_types
from connectors.embedded.errors import ShardError, parsing_error, unsupported
from connectors.embedded.field_types import Value
from connectors.embedded.sorting import Found, no_fielddata
from connectors.json_bytes import JsonObject

Compute = Callable[[Sequence[Found]], JsonObject]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation:
    """One named aggregation."""

    name: str
    kind: str
    compute: Compute


def read_aggregations(body: Any) -> tuple[Aggregation, ...]:
    """Return the aggregations that a request asks for; `ApiError` 400 for what is not done."""
    if not isinstance(body, dict):
        raise parsing_error(f"Expected [START_OBJECT] in [aggs] but found {body!r:.40}")
    return tuple(_read_one(name, one) for name, one in body.items())


def compute(aggregations: Sequence[Aggregation], found: Sequence[Found], *, typed_keys: bool = False) -> JsonObject:
    """Return the member `aggregations` of the answer."""
    return {f"{_typed(one.kind)}#{one.name}" if typed_keys else one.name: one.compute(found) for one in aggregations}


def _typed(kind: str) -> str:
    return "sterms" if kind == "terms" else kind


def _read_one(name: str, body: Any) -> Aggregation:
    if not isinstance(body, dict):
        raise parsing_error(f"Found {body!r:.40} under aggregation [{name}], expected an object")
    inner = dict(body)
    below = read_aggregations(inner.pop("aggs", inner.pop("aggregations", {})))
    inner.pop("meta", None)
    if len(inner) != 1:
        raise parsing_error(f"Expected exactly one aggregation type under [{name}], found {sorted(inner)}")
    ((kind, options),) = inner.items()
    if kind not in _KINDS:
        raise unsupported(f"aggregation [{kind}]")
    if below and kind != "terms":
        raise parsing_error(f"Aggregator [{name}] of type [{kind}] cannot accept sub-aggregations")
    return Aggregation(name=name, kind=kind, compute=_KINDS[kind](dict(options), below))


def _terms(options: JsonObject, below: Sequence[Aggregation]) -> Compute:
    field, size = _take_field(options), int(options.pop("size", 10))
    least = int(options.pop("min_doc_count", 1))
    order = options.pop("order", {"_count": "desc"})
    if order not in ({"_count": "desc"}, {"_key": "asc"}, {"_key": "desc"}) or least < 1:
        raise unsupported(f"[terms] with order {order} and min_doc_count {least}")
    _refuse_rest("terms", options)

    def compute_terms(found: Sequence[Found]) -> JsonObject:
        groups: dict[Value, list[Found]] = {}
        for one in found:
            for value in dict.fromkeys(_values(one, field)):
                groups.setdefault(value, []).append(one)
        kept = sorted(
            ((value, group) for value, group in groups.items() if len(group) >= least),
            key=lambda pair: pair[0],
            reverse=order == {"_key": "desc"},
        )
        if order == {"_count": "desc"}:
            kept.sort(key=lambda pair: -len(pair[1]))
        kind = _kind(found, field)
        return {
            "doc_count_error_upper_bound": 0,
            "sum_other_doc_count": sum(len(group) for _, group in kept[size:]),
            "buckets": [{**_bucket(value, group, kind), **compute(below, group)} for value, group in kept[:size]],
        }

    return compute_terms


def _bucket(value: Value, group: Sequence[Found], kind: str) -> JsonObject:
    key: JsonObject = {"key": value}
    if kind == "date":
        key["key_as_string"] = field_types.format_date(int(value))
    if kind == "boolean":
        key["key_as_string"] = "true" if value else "false"
    return {**key, "doc_count": len(group)}


def _metric(kind: str, measure: Callable[[list[float]], JsonObject]) -> Callable[..., Compute]:
    def read(options: JsonObject, _below: Sequence[Aggregation]) -> Compute:
        field = _take_field(options)
        _refuse_rest(kind, options)

        def compute_metric(found: Sequence[Found]) -> JsonObject:
            if _kind(found, field) in ("keyword", "text"):
                index = found[0].reader.index
                reason = f"Field [{field}] of type [keyword] is not supported for aggregation [{kind}]"
                raise ShardError("illegal_argument_exception", reason, index=index)
            return measure([float(value) for one in found for value in _values(one, field)])

        return compute_metric

    return read


def _counting(kind: str, count: Callable[[list[Value]], int]) -> Callable[..., Compute]:
    def read(options: JsonObject, _below: Sequence[Aggregation]) -> Compute:
        field = _take_field(options)
        _refuse_rest(kind, options)
        return lambda found: {"value": count([value for one in found for value in _values(one, field)])}

    return read


def _stats(values: list[float]) -> JsonObject:
    return {
        "count": len(values),
        "min": min(values, default=None),
        "max": max(values, default=None),
        "avg": sum(values) / len(values) if values else None,
        "sum": sum(values),
    }


def _take_field(options: JsonObject) -> str:
    field = options.pop("field", None)
    if not isinstance(field, str):
        raise parsing_error("Required one of fields [field, script], but none were specified.")
    return field


def _refuse_rest(kind: str, options: JsonObject) -> None:
    if options:
        raise unsupported(f"[{kind}] with [{next(iter(options))}]")


def _kind(found: Sequence[Found], field: str) -> str:
    mapped = next((one.reader.fields[field] for one in found if field in one.reader.fields), None)
    return mapped.kind if mapped else ""


def _values(one: Found, field: str) -> tuple[Value, ...]:
    mapped = one.reader.fields.get(field)
    if mapped is not None and mapped.kind == "text":
        reason = no_fielddata(field, one.reader.index)
        raise ShardError("illegal_argument_exception", reason, index=one.reader.index)
    return one.reader.documents[one.number].values.get(field, ())


_KINDS: Mapping[str, Callable[[JsonObject, Sequence[Aggregation]], Compute]] = {
    "terms": _terms,
    "cardinality": _counting("cardinality", lambda values: len(set(values))),
    "value_count": _counting("value_count", len),
    "stats": _metric("stats", _stats),
    "min": _metric("min", lambda values: {"value": min(values, default=None)}),
    "max": _metric("max", lambda values: {"value": max(values, default=None)}),
    "sum": _metric("sum", lambda values: {"value": sum(values)}),
    "avg": _metric("avg", lambda values: {"value": sum(values) / len(values) if values else None}),
}

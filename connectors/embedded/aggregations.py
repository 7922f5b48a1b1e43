"""Aggregations: `terms` and the metrics of one field, over the documents that match.

Law: what is not listed here is refused. Buckets are ordered as Elasticsearch orders them: by count, then by key. What a
field's type cannot do is refused for every index that is searched, also where nothing matches.

*Source:* Elasticsearch 9.5's terms, cardinality, value_count, stats, min, max, sum and avg aggregations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from connectors.embedded import field_types
from connectors.embedded.errors import ApiError, ShardError, illegal_argument, parsing_error, unexpected, unsupported
from connectors.embedded.field_types import Value
from connectors.embedded.index import Reader
from connectors.embedded.sorting import Found, no_fielddata
from connectors.json_bytes import JsonObject

Compute = Callable[["Documents"], JsonObject]

_NUMERIC = frozenset({"stats", "min", "max", "sum", "avg"})
_TYPED = {"": "sterms", "keyword": "sterms", "double": "dterms", "float": "dterms", "half_float": "dterms"}
"""How `typed_keys` calls a terms aggregation over these field types ("": no such field); `lterms` over the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """The documents that an aggregation sees, and the indices they are from, all that are searched."""

    readers: Sequence[Reader]
    found: Sequence[Found]
    #: whether the names of the answer begin with the kind of aggregation
    typed_keys: bool = False

    def kind(self, path: str) -> str:
        """Return the type of a field, "" where no index has it."""
        return next((reader.fields[path].kind for reader in self.readers if path in reader.fields), "")

    def values(self, path: str) -> list[Value]:
        """Return all values of a field."""
        return [value for one in self.found for value in _values(one, path)]

    def of(self, found: Sequence[Found]) -> Documents:
        """Return a part of these documents."""
        return replace(self, found=found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation:
    """One named aggregation. `path` is the field it reads, `meta` what its answer carries along."""

    name: str
    kind: str
    path: str
    compute: Compute
    meta: JsonObject = field(default_factory=dict)
    below: Sequence[Aggregation] = ()


def read_aggregations(body: Any) -> tuple[Aggregation, ...]:
    """Return the aggregations that a request asks for; `ApiError` 400 for what is not done."""
    if not isinstance(body, dict):
        raise unexpected("aggs", body)
    return tuple(_read_one(name, one) for name, one in body.items())


def check(aggregations: Sequence[Aggregation], reader: Reader) -> None:
    """Raise `ShardError` for what the types of an index's fields cannot do."""
    for one in aggregations:
        found = reader.fields.get(one.path)
        reason = None
        if found is not None and found.kind == "text":
            reason = no_fielddata(one.path, reader.index)
        elif found is not None and found.kind == "keyword" and one.kind in _NUMERIC:
            reason = f"Field [{one.path}] of type [keyword] is not supported for aggregation [{one.kind}]"
        if reason is not None:
            raise ShardError("illegal_argument_exception", reason, index=reader.index)
        check(one.below, reader)


def compute(
    aggregations: Sequence[Aggregation], readers: Sequence[Reader], found: Sequence[Found], *, typed_keys: bool = False
) -> JsonObject:
    """Return the member `aggregations` of the answer."""
    return _compute(aggregations, Documents(readers=readers, found=found, typed_keys=typed_keys))


def _compute(aggregations: Sequence[Aggregation], documents: Documents) -> JsonObject:
    answer: JsonObject = {}
    for one in aggregations:
        meta = {"meta": one.meta} if one.meta else {}
        name = f"{_typed(one, documents)}#{one.name}" if documents.typed_keys else one.name
        answer[name] = {**meta, **one.compute(documents)}
    return answer


def _typed(aggregation: Aggregation, documents: Documents) -> str:
    if aggregation.kind != "terms":
        return aggregation.kind
    return _TYPED.get(documents.kind(aggregation.path), "lterms")


def _read_one(name: str, body: Any) -> Aggregation:
    if set(name) & set("[]>"):
        raise parsing_error(
            f"Invalid aggregation name [{name}]. Aggregation names can contain any character except '[', ']', and '>'"
        )
    if not isinstance(body, dict):
        raise parsing_error(f"Found {body!r:.40} under aggregation [{name}], expected an object")
    inner = dict(body)
    below = read_aggregations(inner.pop("aggs", inner.pop("aggregations", {})))
    meta = inner.pop("meta", None) or {}
    if not inner:
        raise parsing_error(f"Missing definition for aggregation [{name}]")
    kind, *others = inner
    if others:
        raise parsing_error(f"Found two aggregation type definitions in [{name}]: [{kind}] and [{others[0]}]")
    if kind not in _KINDS:
        raise unsupported(f"aggregation [{kind}]")
    if not isinstance(inner[kind], dict):
        raise parsing_error(f"Found {inner[kind]!r:.40} in aggregation [{name}], expected an object")
    if below and kind != "terms":
        raise ApiError(
            400,
            "aggregation_initialization_exception",
            f"Aggregator [{name}] of type [{kind}] cannot accept sub-aggregations",
        )
    options = dict(inner[kind])
    path = _take_field(options)
    return Aggregation(
        name=name, kind=kind, path=path, compute=_KINDS[kind](path, options, below), meta=meta, below=below
    )


def _terms(path: str, options: JsonObject, below: Sequence[Aggregation]) -> Compute:
    size, least = _take_count(options, "size", 10), _take_count(options, "min_doc_count", 1)
    by, direction = _take_order(options)
    _refuse_rest("terms", options)

    def compute_terms(documents: Documents) -> JsonObject:
        kind = documents.kind(path)
        groups: dict[Value, list[Found]] = {}
        for one in documents.found:
            for value in dict.fromkeys(_values(one, path)):
                groups.setdefault(value, []).append(one)
        try:
            kept = [(value, groups[value]) for value in sorted(groups) if len(groups[value]) >= least]
        except TypeError:
            raise illegal_argument(f"the field [{path}] has values of different types in different indices") from None
        if by == "_count":
            kept.sort(key=lambda pair: len(pair[1]), reverse=direction == "desc")
        elif direction == "desc":
            kept.reverse()
        buckets = [
            {**_bucket(value, group, kind), **_compute(below, documents.of(group))} for value, group in kept[:size]
        ]
        others = sum(len(group) for _, group in kept[size:])
        return {"doc_count_error_upper_bound": 0, "sum_other_doc_count": others, "buckets": buckets}

    return compute_terms


def _take_order(options: JsonObject) -> tuple[str, Literal["asc", "desc"]]:
    """Return what buckets are ordered by. A list may name the key after the count, as the order is anyway."""
    order = options.pop("order", {"_count": "desc"})
    listed = order if isinstance(order, list) else [order]
    if len(listed) == 2 and listed[1] == {"_key": "asc"}:
        listed = listed[:1]
    match listed:
        case [{"_count": "desc" | "asc" as direction}] | [{"_key": "desc" | "asc" as direction}] if len(listed[0]) == 1:
            return next(iter(listed[0])), direction
        case _:
            raise unsupported(f"[terms] with order {order}")


def _take_count(options: JsonObject, name: str, default: int) -> int:
    try:
        count = field_types.to_integer(options.pop(name, default), 32)
    except ValueError as error:
        raise parsing_error(f"[terms] failed to parse field [{name}]: {error}") from None
    if count < 1:
        raise illegal_argument(f"[{name}] must be greater than 0. Found [{count}] in [terms]")
    return count


def _bucket(value: Value, group: Sequence[Found], kind: str) -> JsonObject:
    shown = field_types.as_string(value, kind)
    return {"key": value, **({} if shown is None else {"key_as_string": shown}), "doc_count": len(group)}


def _metric(name: str, measure: Callable[[list[float]], JsonObject]) -> Callable[..., Compute]:
    def read(path: str, options: JsonObject, _below: Sequence[Aggregation]) -> Compute:
        _refuse_rest(name, options)

        def compute_metric(documents: Documents) -> JsonObject:
            measured = measure([float(value) for value in documents.values(path)])
            shown = _as_strings(measured, documents.kind(path))
            if name == "stats" and documents.kind(path) == "boolean":
                shown = {key: text == "true" for key, text in shown.items()}  # as Elasticsearch has it, and only there
            return {**measured, **shown}

        return compute_metric

    return read


def _as_strings(measured: JsonObject, kind: str) -> JsonObject:
    """Return the results that a date or boolean field also writes as text."""
    shown = {
        f"{name}_as_string": field_types.as_string(value, kind)
        for name, value in measured.items()
        if name != "count" and value is not None
    }
    return {} if None in shown.values() else shown


def _counting(name: str, count: Callable[[list[Value]], int]) -> Callable[..., Compute]:
    def read(path: str, options: JsonObject, _below: Sequence[Aggregation]) -> Compute:
        _refuse_rest(name, options)
        return lambda documents: {"value": count(documents.values(path))}

    return read


def _stats(values: list[float]) -> JsonObject:
    return {
        "count": len(values),
        "min": min(values, default=None),
        "max": max(values, default=None),
        "avg": _average(values),
        "sum": float(sum(values)),
    }


def _average(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _take_field(options: JsonObject) -> str:
    path = options.pop("field", None)
    if not isinstance(path, str):
        raise illegal_argument("Required one of fields [field, script], but none were specified.")
    if path.startswith("_"):
        raise unsupported(f"an aggregation over [{path}]")
    return path


def _refuse_rest(kind: str, options: JsonObject) -> None:
    if options:
        raise unsupported(f"[{kind}] with [{next(iter(options))}]")


def _values(one: Found, path: str) -> tuple[Value, ...]:
    return one.reader.documents[one.number].values.get(path, ())


_KINDS: Mapping[str, Callable[[str, JsonObject, Sequence[Aggregation]], Compute]] = {
    "terms": _terms,
    "cardinality": _counting("cardinality", lambda values: len(set(values))),
    "value_count": _counting("value_count", len),
    "stats": _metric("stats", _stats),
    "min": _metric("min", lambda values: {"value": min(values, default=None)}),
    "max": _metric("max", lambda values: {"value": max(values, default=None)}),
    "sum": _metric("sum", lambda values: {"value": float(sum(values))}),
    "avg": _metric("avg", lambda values: {"value": _average(values)}),
}

"""Sort orders: `sort` and `search_after`.

Law: the order is total. Where all keys are equal the index's name and then the order of writing decide, so that pages
never overlap. A document without a value for a number sorts as the greatest or the least number there is, and says so,
as in Elasticsearch, so that its sort values can be given back as `search_after`.

*Source:* Elasticsearch 9.5's FieldSortBuilder and SearchAfterBuilder.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from connectors.embedded import field_types
from connectors.embedded.errors import (
    ApiError,
    ShardError,
    illegal_argument,
    parsing_error,
    query_shard_error,
    token_name,
    unexpected,
    unsupported,
)
from connectors.embedded.field_types import Value
from connectors.embedded.index import Reader

Direction = Literal["asc", "desc"]
SortValue: TypeAlias = Value | None

_UNSORTABLE = ("_geo_distance", "_script", "_shard_doc")
_INFINITIES = {"Infinity": math.inf, "-Infinity": -math.inf}
_SHORT_INTEGERS = ("integer", "short", "byte")


@dataclass(frozen=True, slots=True, kw_only=True)
class SortKey:
    """One key: `_score`, `_doc`, or a field with doc values."""

    field: str
    direction: Direction
    is_missing_first: bool = False
    #: the type of the field in an index that does not have it; None = such an index is refused
    unmapped_kind: str | None = None


@dataclass(slots=True)
class Found:
    """A document that matches: where it is, its score, and its values for the sort keys."""

    reader: Reader
    number: int
    score: float
    sort: tuple[SortValue, ...] = ()


def read_sort(value: Any) -> tuple[SortKey, ...]:
    """Return the keys that a request's `sort` names, none for `_score` alone; `ApiError` 400 for what is not done."""
    listed = value if isinstance(value, list) else [value]
    keys = tuple(key for one in listed for key in _read_one(one))
    return () if keys == (SortKey(field="_score", direction="desc"),) else keys


def read_sort_parameter(text: str) -> tuple[SortKey, ...]:
    """Return the keys of the URL parameter `sort`: `field,other:desc`."""
    pairs = [one.rpartition(":") for one in text.split(",") if one]
    return read_sort([{name: order} if colon else order for name, colon, order in pairs])


def read_search_after(value: Any) -> tuple[Any, ...]:
    """Return the values of a request's `search_after`; `ApiError` 400 when they are none."""
    if not isinstance(value, list):
        raise unexpected("search_after", value)
    if not value:
        raise illegal_argument("Values must contains at least one value.")
    for one in value:
        if isinstance(one, dict | list):
            raise parsing_error(
                "Expected [VALUE_STRING] or [VALUE_NUMBER] or [VALUE_BOOLEAN] or [VALUE_NULL] but found "
                f"[{token_name(one)}] inside search_after."
            )
    return tuple(value)


def kinds_of(reader: Reader, keys: Sequence[SortKey]) -> tuple[str, ...]:
    """Return what each key sorts by in an index: a field type, or "_score" or "_doc"; `ShardError` for what cannot."""
    return tuple(_kind(reader, key) for key in keys)


def values_of(found: Found, keys: Sequence[SortKey], kinds: Sequence[str]) -> tuple[SortValue, ...]:
    """Return the document's value for every key; only a missing string is None."""
    return tuple(_value(found, key, kind) for key, kind in zip(keys, kinds, strict=True))


def in_order(found: list[Found], keys: Sequence[SortKey]) -> list[Found]:
    """Return what was found in the order of the keys; `found` is in index and writing order."""
    for place, key in reversed(list(enumerate(keys))):
        present = [one for one in found if one.sort[place] is not None]
        missing = [one for one in found if one.sort[place] is None]
        try:
            present.sort(key=lambda one: one.sort[place], reverse=key.direction == "desc")  # type: ignore[arg-type, return-value]
        except TypeError:
            reason = f"Can't sort on field [{key.field}]; the field has incompatible sort types across shards!"
            raise illegal_argument(reason) from None
        found = missing + present if key.is_missing_first else present + missing
    return found


def bounds_of(
    reader: Reader, after: Sequence[Any], keys: Sequence[SortKey], kinds: Sequence[str]
) -> tuple[SortValue, ...]:
    """Return the values of `search_after` as those of the keys; `ShardError` when they cannot be."""
    problem = None
    if not keys:
        problem = "Sort must contain at least one field."
    elif len(after) != len(keys):
        problem = f"search_after has {len(after)} value(s) but sort has {len(keys)}."
    if problem is not None:
        raise ShardError("illegal_argument_exception", problem, index=reader.index)
    return tuple(
        _bound(reader, place, value, key, kind)
        for place, (value, key, kind) in enumerate(zip(after, keys, kinds, strict=True))
    )


def is_after(values: Sequence[SortValue], after: Sequence[SortValue], keys: Sequence[SortKey]) -> bool:
    """Return whether a document with these sort values comes strictly after `after`."""
    for value, bound, key in zip(values, after, keys, strict=True):
        if value == bound:
            continue
        if value is None or bound is None:
            return (value is None) != key.is_missing_first
        is_greater = bool(value > bound)  # type: ignore[operator]
        return is_greater == (key.direction == "asc")
    return False


def _read_one(one: Any) -> list[SortKey]:
    match one:
        case str():
            return [_key(one, {})]
        case dict():
            return [
                _key(name, options if isinstance(options, dict) else {"order": options})
                for name, options in one.items()
            ]
        case _:
            raise illegal_argument(
                "malformed sort format, within the sort array, an object, or an actual string are allowed"
            )


def _key(field: str, body: dict[str, Any]) -> SortKey:
    options = dict(body)
    direction = str(options.pop("order", "desc" if field == "_score" else "asc")).lower()
    if direction not in ("asc", "desc"):
        raise ApiError(400, "x_content_parse_exception", "[field_sort] failed to parse field [order]")
    missing = options.pop("missing", "_last")
    if missing not in ("_last", "_first"):
        raise unsupported(f"sort with [missing: {missing}]")
    unmapped_kind = options.pop("unmapped_type", None)
    if options or field in _UNSORTABLE or unmapped_kind not in (None, *field_types.TYPES):
        raise unsupported(f"sort by [{field}] with {body}")
    return SortKey(
        field=field,
        direction="asc" if direction == "asc" else "desc",
        is_missing_first=missing == "_first",
        unmapped_kind=unmapped_kind,
    )


def _kind(reader: Reader, key: SortKey) -> str:
    if key.field in ("_score", "_doc"):
        return key.field
    if key.field == "_id":
        reason = (
            "Fielddata access on the _id field is disallowed, you can re-enable it by updating the dynamic cluster "
            "setting: indices.id_field_data.enabled"
        )
        raise ShardError("illegal_argument_exception", reason, index=reader.index)
    field = reader.fields.get(key.field)
    kind = key.unmapped_kind if field is None else field.kind
    if kind is None:
        reason = f"No mapping found for [{key.field}] in order to sort on"
        raise query_shard_error(reason, index=reader.index, uuid=reader.uuid)
    if kind == "text":
        raise ShardError("illegal_argument_exception", no_fielddata(key.field, reader.index), index=reader.index)
    return kind


def _value(found: Found, key: SortKey, kind: str) -> SortValue:
    if kind == "_score":
        return found.score
    if kind == "_doc":
        return found.number
    values = found.reader.documents[found.number].values.get(key.field, ())
    if not values:
        return _missing(key, kind)
    return min(values) if key.direction == "asc" else max(values)


def _missing(key: SortKey, kind: str) -> SortValue:
    """Return what stands for a missing value: beyond every other one, on the side where it sorts."""
    if kind == "keyword":
        return None
    is_high = (key.direction == "asc") != key.is_missing_first
    if kind in field_types.FLOATS:
        return math.inf if is_high else -math.inf
    greatest = (1 << (31 if kind in _SHORT_INTEGERS else 63)) - 1
    return greatest if is_high else -greatest - 1


def _bound(reader: Reader, place: int, value: Any, key: SortKey, kind: str) -> SortValue:
    if kind == "keyword":
        return None if value is None else field_types.to_text(value)
    if value is None:
        reason = f"[search_after] value at position {place} cannot be null for sort field [{key.field}]"
        raise ShardError("illegal_argument_exception", reason, index=reader.index)
    try:
        bound: int | float = _BOUNDS.get(kind, _number)(value)
        return bound
    except ValueError:
        reason = f"Failed to parse search_after value for field [{key.field}]."
        raise ShardError("illegal_argument_exception", reason, index=reader.index) from None


def _number(value: Any) -> int | float:
    return _INFINITIES.get(value) or _finite(value)


def _finite(value: Any) -> int | float:
    return field_types.numeric_bound(value, "long")


def _boolean(value: Any) -> int | float:
    return field_types.to_boolean(value) if isinstance(value, bool | str) else _finite(value)


_BOUNDS: Mapping[str, Any] = {
    "date": lambda value: field_types.date_bound(value, rounds_up=False),
    "boolean": _boolean,
}


def no_fielddata(field: str, index: str) -> str:
    """Return the reason why a text field can be neither sorted by nor aggregated."""
    return (
        f"Fielddata is disabled on [{field}] in [{index}]. Text fields are not optimised for operations that require "
        "per-document field data like aggregations and sorting, so these operations are disabled by default. Please "
        f"use a keyword field instead. Alternatively, set fielddata=true on [{field}] in order to load field data by "
        "uninverting the inverted index. Note that this can use significant memory."
    )

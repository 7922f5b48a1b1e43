"""Sort orders: `sort` and `search_after`.

Law: the order is total. Where all keys are equal the index's name and then the order of writing decide, so that pages
never overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from connectors.embedded.errors import ShardError, illegal_argument, parsing_error, unsupported
from connectors.embedded.field_types import Value
from connectors.embedded.index import Reader

Direction = Literal["asc", "desc"]
SortValue: TypeAlias = Value | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SortKey:
    """One key: `_score`, `_doc`, or a field with doc values."""

    field: str
    direction: Direction
    is_missing_first: bool = False
    #: whether an index without the field counts as one where every document misses it
    may_be_unmapped: bool = False


@dataclass(slots=True)
class Found:
    """A document that matches: where it is, its score, and its values for the sort keys."""

    reader: Reader
    number: int
    score: float
    sort: tuple[SortValue, ...] = ()


def read_sort(value: Any) -> tuple[SortKey, ...]:
    """Return the keys that a request's `sort` names; `ApiError` 400 for what is not done."""
    listed = value if isinstance(value, list) else [value]
    return tuple(key for one in listed for key in _read_one(one))


def read_sort_parameter(text: str) -> tuple[SortKey, ...]:
    """Return the keys of the URL parameter `sort`: `field,other:desc`."""
    pairs = [one.rpartition(":") for one in text.split(",") if one]
    return read_sort([{name: order} if colon else order for name, colon, order in pairs])


def is_by_score(keys: Sequence[SortKey]) -> bool:
    """Return whether the keys are the order that a search without `sort` has."""
    return not keys or (len(keys) == 1 and keys[0].field == "_score" and keys[0].direction == "desc")


def values_of(found: Found, keys: Sequence[SortKey]) -> tuple[SortValue, ...]:
    """Return the document's value for every key, None where it has none."""
    return tuple(_value(found, key) for key in keys)


def in_order(found: list[Found], keys: Sequence[SortKey]) -> list[Found]:
    """Return what was found in the order of the keys; `found` is in index and writing order."""
    for place, key in reversed(list(enumerate(keys))):
        present = [one for one in found if one.sort[place] is not None]
        missing = [one for one in found if one.sort[place] is None]
        present.sort(key=lambda one: one.sort[place], reverse=key.direction == "desc")  # type: ignore[arg-type, return-value]
        found = missing + present if key.is_missing_first else present + missing
    return found


def is_after(values: Sequence[SortValue], after: Sequence[SortValue], keys: Sequence[SortKey]) -> bool:
    """Return whether a document with these sort values comes strictly after `after`."""
    for value, bound, key in zip(values, after, keys, strict=True):
        if value == bound:
            continue
        if value is None or bound is None:
            return (value is None) != key.is_missing_first
        try:
            is_greater = bool(value > bound)  # type: ignore[operator]
        except TypeError:
            raise illegal_argument(f"Failed to parse search_after value for field [{key.field}].") from None
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
            raise parsing_error(f"malformed sort format, {one!r:.40}")


def _key(field: str, body: dict[str, Any]) -> SortKey:
    options = dict(body)
    direction = str(options.pop("order", "desc" if field == "_score" else "asc")).lower()
    if direction not in ("asc", "desc"):
        raise illegal_argument(f"Unknown SortOrder [{direction}]")
    missing = options.pop("missing", "_last")
    if missing not in ("_last", "_first"):
        raise unsupported(f"sort with [missing: {missing}]")
    may_be_unmapped = options.pop("unmapped_type", None) is not None
    if options or field in ("_geo_distance", "_script", "_shard_doc"):
        raise unsupported(f"sort by [{field}] with {sorted(options)}")
    return SortKey(
        field=field,
        direction="asc" if direction == "asc" else "desc",
        is_missing_first=missing == "_first",
        may_be_unmapped=may_be_unmapped,
    )


def _value(found: Found, key: SortKey) -> SortValue:
    if key.field == "_score":
        return found.score
    if key.field == "_doc":
        return found.number
    reader = found.reader
    field = reader.fields.get(key.field)
    if field is None:
        if key.may_be_unmapped:
            return None
        reason = f"No mapping found for [{key.field}] in order to sort on"
        raise ShardError("query_shard_exception", reason, index=reader.index)
    if field.kind == "text":
        raise ShardError("illegal_argument_exception", no_fielddata(key.field, reader.index), index=reader.index)
    values = reader.documents[found.number].values.get(key.field, ())
    if not values:
        return None
    return min(values) if key.direction == "asc" else max(values)


def no_fielddata(field: str, index: str) -> str:
    """Return the reason why a text field can be neither sorted by nor aggregated."""
    return (
        f"Fielddata is disabled on [{field}] in [{index}]. Text fields are not optimised for operations that require "
        "per-document field data like aggregations and sorting, so these operations are disabled by default. Please "
        "use a keyword field instead."
    )

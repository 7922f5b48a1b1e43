"""One search: what it asks for, what it finds, and the JSON of its hits.

Law: hits carry the documents' own bytes. The scores of an answer are single precision, as Lucene's are, and are rounded
before they are compared, so that equal scores keep the order of writing. An index that cannot answer is left out and
named, unless no index can.

*Source:* Elasticsearch 9.5's `_search`.
"""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.embedded import aggregations, field_types, json_filter, sorting
from connectors.embedded.aggregations import Aggregation
from connectors.embedded.errors import AllShardsFailed, ShardError, unsupported
from connectors.embedded.highlight import Highlight
from connectors.embedded.index import Document, Reader
from connectors.embedded.json_filter import SourceSelection
from connectors.embedded.json_text import to_json, to_object
from connectors.embedded.patterns import matches
from connectors.embedded.query import MatchAll, Query
from connectors.embedded.sorting import Found, SortKey
from connectors.json_bytes import JsonObject

MAX_RESULT_WINDOW = 10_000
"""Elasticsearch's default of `index.max_result_window`; also how far `hits.total` counts unless asked for more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a search asks for."""

    query: Query = field(default_factory=MatchAll)
    post_filter: Query | None = None
    offset: int = 0
    size: int = 10
    #: None = no `_source` in the hits
    source: SourceSelection | None = field(default_factory=SourceSelection)
    #: patterns of fields whose values are returned as arrays
    fields: tuple[str, ...] = ()
    has_ids: bool = True
    #: None = not asked for; then, unlike with an empty list, `_source` comes along
    stored_fields: tuple[str, ...] | None = None
    has_versions: bool = False
    has_sequence_numbers: bool = False
    highlight: Highlight | None = None
    sort: tuple[SortKey, ...] = ()
    search_after: tuple[Any, ...] | None = None
    #: count up to here; None = to the end
    count_to: int | None = MAX_RESULT_WINDOW
    has_total: bool = True
    tracks_scores: bool = False
    min_score: float | None = None
    aggregations: tuple[Aggregation, ...] = ()
    typed_keys: bool = False
    total_is_integer: bool = False
    #: words are as rare as they are in all indices together
    has_global_statistics: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All that a search found, in order, before it is cut to a page."""

    found: list[Found]
    total: int
    max_score: float | None
    aggregations: JsonObject | None
    #: the indices that refused, while others did not
    failures: Sequence[ShardError] = ()


def check(search: Search, readers: Sequence[Reader]) -> None:
    """Raise `ApiError` 400 when the page lies beyond what an engine returns, or the scores would be others."""
    if search.has_global_statistics and len(readers) > 1:
        raise unsupported("[search_type: dfs_query_then_fetch] over several indices")
    if search.offset + search.size > MAX_RESULT_WINDOW and readers:
        reason = (
            f"Result window is too large, from + size must be less than or equal to: [{MAX_RESULT_WINDOW}] but was "
            f"[{search.offset + search.size}]. See the scroll api for a more efficient way to request large data "
            "sets. This limit can be set by changing the [index.max_result_window] index level setting."
        )
        raise ShardError("illegal_argument_exception", reason, index=readers[0].index)


def run(search: Search, readers: Sequence[Reader]) -> Result:
    """Return everything that matches, in order."""
    parts: list[_Part] = []
    failures: list[ShardError] = []
    for reader in readers:
        try:
            parts.append(_part(search, reader))
        except ShardError as error:
            failures.append(error)
    if failures and not parts:
        raise AllShardsFailed(failures)
    found = [one for part in parts for one in part.found]
    computed = None
    if search.aggregations:
        kept = [part.reader for part in parts]
        computed = aggregations.compute(search.aggregations, kept, found, typed_keys=search.typed_keys)
    if search.post_filter is not None:
        found = [one for part in parts for one in part.found if part.allowed is None or one.number in part.allowed]
    total = len(found)
    has_scores = search.tracks_scores or not search.sort
    max_score = max((one.score for one in found), default=None) if has_scores and search.size else None
    if not readers:
        max_score = 0.0  # as Elasticsearch says it where no shard was asked
    if search.sort:
        found = _sorted(search, found, {part.reader.index: part for part in parts})
    else:
        found.sort(key=lambda one: -one.score)
    return Result(found=found, total=total, max_score=max_score, aggregations=computed, failures=failures)


def hits_json(search: Search, page: Sequence[Found], result: Result) -> str:
    """Return the member `hits` of the answer, with the hits of one page."""
    shows_scores = search.tracks_scores or not search.sort or any(key.field == "_score" for key in search.sort)
    members = [("max_score", format_score(result.max_score))]
    if search.has_total or search.total_is_integer:
        members.insert(0, ("total", _total(search, result.total)))
    hits = ",".join(hit_json(search, one, shows_score=shows_scores) for one in page)
    return to_object([*members, ("hits", f"[{hits}]")])


def hit_json(search: Search, found: Found, *, shows_score: bool) -> str:
    """Return one hit, its document spliced in as it was given."""
    document = found.reader.documents[found.number]
    members = [("_index", to_json(found.reader.index))]
    if search.has_ids:
        members.append(("_id", to_json(document.id)))
    if search.has_versions:
        members.append(("_version", str(document.version)))
    if search.has_sequence_numbers:
        members += [("_seq_no", str(document.sequence)), ("_primary_term", "1")]
    members.append(("_score", format_score(found.score if shows_score else None)))
    if document.ignored and search.has_ids:
        members.append(("_ignored", to_json(list(document.ignored))))
    if search.source is not None:
        members.append(("_source", source_json(document, search.source)))
    members += _optional_members(search, found, document)
    return to_object(members)


def source_json(document: Document, selection: SourceSelection) -> str:
    """Return a document's JSON, or the part of it that is asked for."""
    if not selection.includes and not selection.excludes:
        return document.source
    return json_filter.keep(document.source, selection)


def format_score(score: float | None) -> str:
    """Return a single precision number with as few digits as tell it apart, and null for none."""
    if score is None:
        return "null"
    single = struct.pack("f", score)
    text = next(
        text for text in (f"{score:.{digits}g}" for digits in range(1, 10)) if struct.pack("f", float(text)) == single
    )
    return text if any(mark in text for mark in ".e") else text + ".0"


def _matching(search: Search, reader: Reader) -> list[Found]:
    scores = search.query.match(reader)
    numbers = sorted(scores)
    rounded = array("f", (scores[number] for number in numbers)).tolist()
    if not all(map(math.isfinite, rounded)):
        reason = "a score is greater than the greatest number of single precision"
        raise ShardError("illegal_argument_exception", reason, index=reader.index)
    least = search.min_score
    return [
        Found(reader, number, score)
        for number, score in zip(numbers, rounded, strict=True)
        if least is None or score >= least
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What one index has to say: what matches, what the sort keys are in it, the values that a page comes after."""

    reader: Reader
    found: list[Found]
    kinds: tuple[str, ...]
    after: tuple[sorting.SortValue, ...] | None
    #: what the post filter lets through; None = everything
    allowed: Collection[int] | None


def _part(search: Search, reader: Reader) -> _Part:
    kinds = sorting.kinds_of(reader, search.sort)
    after = None
    if search.search_after is not None:
        after = sorting.bounds_of(reader, search.search_after, search.sort, kinds)
    aggregations.check(search.aggregations, reader)
    allowed = None if search.post_filter is None else search.post_filter.match(reader)
    return _Part(reader=reader, found=_matching(search, reader), kinds=kinds, after=after, allowed=allowed)


def _sorted(search: Search, found: list[Found], parts: Mapping[str, _Part]) -> list[Found]:
    for one in found:
        one.sort = sorting.values_of(one, search.sort, parts[one.reader.index].kinds)
    return [
        one
        for one in sorting.in_order(found, search.sort)
        if (after := parts[one.reader.index].after) is None or sorting.is_after(one.sort, after, search.sort)
    ]


def _optional_members(search: Search, found: Found, document: Document) -> list[tuple[str, str]]:
    members: list[tuple[str, str]] = []
    if search.fields:
        values = _field_values(found.reader, document, search.fields)
        members += [("fields", to_json(values))] if values else []
        ignored = {path: raw for path, raw in document.ignored.items() if _is_any(path, search.fields)}
        members += [("ignored_field_values", to_json(ignored))] if ignored else []
    if search.highlight is not None:
        fragments = search.highlight.fragments(found.reader, search.query, document)
        members += [("highlight", to_json(fragments))] if fragments else []
    if search.sort:
        literals = [_sort_json(value, key) for value, key in zip(found.sort, search.sort, strict=True)]
        members.append(("sort", f"[{','.join(literals)}]"))
    return members


def _sort_json(value: sorting.SortValue, key: SortKey) -> str:
    if key.field == "_score" and value is not None:
        return format_score(float(value))
    if isinstance(value, float) and math.isinf(value):
        return '"Infinity"' if value > 0 else '"-Infinity"'
    return to_json(value)


def _field_values(reader: Reader, document: Document, patterns: Sequence[str]) -> JsonObject:
    metadata = {"_id": [document.id], "_index": [reader.index]}
    shown: JsonObject = {name: value for name, value in metadata.items() if name in patterns}
    return shown | {
        path: [_shown(reader.fields[path].kind, value) for value in values]
        for path, values in sorted(document.values.items())
        if path in reader.fields and _is_any(path, patterns)
    }


def _is_any(path: str, patterns: Sequence[str]) -> bool:
    return any(matches(pattern, path) for pattern in patterns)


def _shown(kind: str, value: field_types.Value) -> Any:
    match kind:
        case "date":
            return field_types.format_date(int(value))
        case "boolean":
            return bool(value)
        case "float":
            return float(format_score(float(value)))
        case _:
            return value


def _total(search: Search, total: int) -> str:
    if search.total_is_integer:
        return str(total if search.has_total else -1)
    if search.count_to is not None and total > search.count_to:
        return to_json({"value": search.count_to, "relation": "gte"})
    return to_json({"value": total, "relation": "eq"})

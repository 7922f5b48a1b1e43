"""One search: from the request's JSON and parameters to the answer's JSON.

Law: every key of the body is read or refused. Hits carry the documents' own bytes. The scores of an answer are single
precision, as Lucene's are, and are rounded before they are compared, so that equal scores keep the order of writing.

*Source:* Elasticsearch 9.5's `_search`.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.embedded import aggregations, field_types, json_filter, sorting
from connectors.embedded.aggregations import Aggregation
from connectors.embedded.errors import ShardError, illegal_argument, parsing_error, unsupported
from connectors.embedded.highlight import Highlight, read_highlight
from connectors.embedded.index import Document, Reader
from connectors.embedded.json_filter import SourceSelection
from connectors.embedded.json_text import to_json, to_object
from connectors.embedded.parameters import Parameters
from connectors.embedded.patterns import matches
from connectors.embedded.query import MatchAll, Query
from connectors.embedded.query_dsl import parse_query
from connectors.embedded.sorting import Found, SortKey
from connectors.json_bytes import JsonObject

MAX_RESULT_WINDOW = 10_000
"""Elasticsearch's default of `index.max_result_window`; also how far `hits.total` counts unless asked for more."""

_NOT_DONE = frozenset(
    [
        "collapse",
        "docvalue_fields",
        "indices_boost",
        "knn",
        "pit",
        "profile",
        "rank",
        "rescore",
        "retriever",
        "runtime_mappings",
        "script_fields",
        "slice",
        "stats",
        "sub_searches",
        "suggest",
        "terminate_after",
    ]
)


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
    has_versions: bool = False
    has_sequence_numbers: bool = False
    highlight: Highlight | None = None
    sort: tuple[SortKey, ...] = ()
    search_after: tuple[Any, ...] | None = None
    #: count up to here; None = to the end, 0 = no total at all
    count_to: int | None = MAX_RESULT_WINDOW
    tracks_scores: bool = False
    min_score: float | None = None
    aggregations: tuple[Aggregation, ...] = ()
    typed_keys: bool = False
    total_is_integer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All that a search found, in order, before it is cut to a page."""

    found: list[Found]
    total: int
    max_score: float | None
    aggregations: JsonObject | None


def read_search(body: JsonObject, parameters: Parameters) -> Search:
    """Return the search that a body and a query string describe; `ApiError` 400 for what is not done."""
    search = Search()
    for key, value in body.items():
        if key in _NOT_DONE and not _is_default(key, value):
            raise unsupported(f"[{key}]")
        if key not in _KEYS and key not in _NOT_DONE:
            raise parsing_error(f"Unknown key for a value in [{key}].")
        if key in _KEYS:
            search = replace(search, **_KEYS[key](value))
    search = _read_parameters(search, parameters)
    if "stored_fields" in body and "_source" not in body:
        search = replace(search, source=None)
    return search


def check(search: Search, readers: Sequence[Reader]) -> None:
    """Raise `ApiError` 400 when the page lies beyond what an engine returns."""
    if search.offset + search.size > MAX_RESULT_WINDOW and readers:
        reason = (
            f"Result window is too large, from + size must be less than or equal to: [{MAX_RESULT_WINDOW}] but was "
            f"[{search.offset + search.size}]. See the scroll api for a more efficient way to request large data "
            "sets. This limit can be set by changing the [index.max_result_window] index level setting."
        )
        raise ShardError("illegal_argument_exception", reason, index=readers[0].index)


def run(search: Search, readers: Sequence[Reader]) -> Result:
    """Return everything that matches, in order."""
    found = [one for reader in readers for one in _matching(search, reader)]
    computed = None
    if search.aggregations:
        computed = aggregations.compute(search.aggregations, found, typed_keys=search.typed_keys)
    if search.post_filter is not None:
        allowed = {reader.index: search.post_filter.match(reader) for reader in readers}
        found = [one for one in found if one.number in allowed[one.reader.index]]
    total = len(found)
    has_scores = search.tracks_scores or not search.sort or any(key.field == "_score" for key in search.sort)
    max_score = max((one.score for one in found), default=None) if has_scores and search.size else None
    if sorting.is_by_score(search.sort) and not search.sort:
        found.sort(key=lambda one: -one.score)
    else:
        found = _sorted(search, found)
    return Result(found=found, total=total, max_score=max_score, aggregations=computed)


def hits_json(search: Search, page: Sequence[Found], result: Result) -> str:
    """Return the member `hits` of the answer, with the hits of one page."""
    by_field_only = bool(search.sort) and not any(key.field == "_score" for key in search.sort)
    shows_scores = search.tracks_scores or not by_field_only
    members = [("max_score", format_score(result.max_score if shows_scores else None))]
    if search.count_to != 0 or search.total_is_integer:
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


def read_source(value: Any) -> SourceSelection | None:
    """Return what `_source` asks for, None for no source."""
    match value:
        case True | "true":
            return SourceSelection()
        case False | "false":
            return None
        case str():
            return SourceSelection(includes=(value,))
        case list():
            return SourceSelection(includes=tuple(map(str, value)))
        case dict() if not set(value) - {"includes", "include", "excludes", "exclude"}:
            includes = value.get("includes", value.get("include", ()))
            excludes = value.get("excludes", value.get("exclude", ()))
            return SourceSelection(includes=_texts(includes), excludes=_texts(excludes))
        case _:
            raise parsing_error(f"Unknown key for a value in [_source]: {value!r:.60}")


def read_source_parameters(parameters: Parameters, default: SourceSelection | None) -> SourceSelection | None:
    """Return what the parameters `_source`, `_source_includes` and `_source_excludes` ask for."""
    source = parameters.text("_source")
    includes, excludes = parameters.names("_source_includes"), parameters.names("_source_excludes")
    if source is not None and source not in ("true", "false", ""):
        includes = [*source.split(","), *(includes or ())]
        source = "true"
    if source is not None:
        default = read_source(source or "true")
    if includes is None and excludes is None:
        return default
    return SourceSelection(includes=tuple(includes or ()), excludes=tuple(excludes or ()))


def _matching(search: Search, reader: Reader) -> list[Found]:
    scores = search.query.match(reader)
    numbers = sorted(scores)
    rounded = array("f", (scores[number] for number in numbers)).tolist()
    least = search.min_score
    return [
        Found(reader, number, score)
        for number, score in zip(numbers, rounded, strict=True)
        if least is None or score >= least
    ]


def _sorted(search: Search, found: list[Found]) -> list[Found]:
    for one in found:
        one.sort = sorting.values_of(one, search.sort)
    found = sorting.in_order(found, search.sort)
    after = search.search_after
    if after is None:
        return found
    if len(after) != len(search.sort):
        raise illegal_argument(f"search_after has {len(after)} value(s) but sort has {len(search.sort)}.")
    return [one for one in found if sorting.is_after(one.sort, after, search.sort)]


def _optional_members(search: Search, found: Found, document: Document) -> list[tuple[str, str]]:
    members: list[tuple[str, str]] = []
    if search.fields:
        values = _field_values(found.reader, document, search.fields)
        members += [("fields", to_json(values))] if values else []
    if search.highlight is not None:
        fragments = search.highlight.fragments(found.reader, search.query, document)
        members += [("highlight", to_json(fragments))] if fragments else []
    if search.sort:
        literals = [_sort_json(value, key) for value, key in zip(found.sort, search.sort, strict=True)]
        members.append(("sort", f"[{','.join(literals)}]"))
    return members


def _sort_json(value: sorting.SortValue, key: SortKey) -> str:
    return format_score(float(value)) if key.field == "_score" and value is not None else to_json(value)


def _field_values(reader: Reader, document: Document, patterns: Sequence[str]) -> JsonObject:
    return {
        path: [_shown(reader.fields[path].kind, value) for value in values]
        for path, values in sorted(document.values.items())
        if path in reader.fields and any(matches(pattern, path) for pattern in patterns)
    }


def _shown(kind: str, value: field_types.Value) -> Any:
    if kind == "date":
        return field_types.format_date(int(value))
    return bool(value) if kind == "boolean" else value


def _total(search: Search, total: int) -> str:
    if search.total_is_integer:
        return str(total if search.count_to != 0 else -1)
    if search.count_to is not None and total > search.count_to:
        return to_json({"value": search.count_to, "relation": "gte"})
    return to_json({"value": total, "relation": "eq"})


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value),)


def _is_default(key: str, value: Any) -> bool:
    """Return whether a key that is not done asks for nothing."""
    return value in (None, [], {}) or (key in ("profile", "terminate_after") and not value)


def _read_size(name: str, value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise parsing_error(f'[{name}]: For input string: "{value}"') from None
    if number < 0:
        word = "be negative, found" if name == "size" else "be negative but was"
        raise illegal_argument(f"[{name}] parameter cannot {word} [{number}]")
    return number


def _read_fields(value: Any) -> dict[str, Any]:
    listed = value if isinstance(value, list) else [value]
    for one in listed:
        if isinstance(one, dict) and (set(one) - {"field"} or "field" not in one):
            raise unsupported(f"[fields] with {sorted(set(one) - {'field'})}")
    return {"fields": tuple(str(one["field"] if isinstance(one, dict) else one) for one in listed)}


def _read_stored_fields(value: Any) -> dict[str, Any]:
    names = list(value) if isinstance(value, list) else [value]
    if names == ["_none_"]:
        return {"has_ids": False}
    if names:
        raise unsupported(f"[stored_fields: {names}]")
    return {}


def _read_total(value: Any) -> dict[str, Any]:
    if value is True or value == "true":
        return {"count_to": None}
    if value is False or value == "false":
        return {"count_to": 0}
    number = _read_integer("track_total_hits", value)
    if number < 0:
        raise illegal_argument(f"[track_total_hits] parameter must be positive or equals to -1, got {number}")
    return {"count_to": number}


def _read_integer(name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise illegal_argument(f"Failed to parse [{name}] with value [{value}]") from None


def _read_min_score(value: Any) -> dict[str, Any]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise parsing_error(f"[min_score] must be a number, not [{value}]")
    return {"min_score": float(value)}


def _read_flag(name: str, value: Any) -> bool:
    if value not in (True, False, "true", "false"):
        raise illegal_argument(f"Failed to parse value [{value}] as only [true] or [false] are allowed.")
    return value in (True, "true")


def _refuse_true(value: Any) -> dict[str, Any]:
    if value not in (False, "false"):
        raise unsupported("[explain]")
    return {}


def _refuse_ext(value: Any) -> dict[str, Any]:
    if value:
        raise illegal_argument(f"unknown search extension {sorted(value)}")
    return {}


_KEYS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "query": lambda value: {"query": parse_query(value)},
    "post_filter": lambda value: {"post_filter": parse_query(value)},
    "from": lambda value: {"offset": _read_size("from", value)},
    "size": lambda value: {"size": _read_size("size", value)},
    "_source": lambda value: {"source": read_source(value)},
    "fields": _read_fields,
    "stored_fields": _read_stored_fields,
    "highlight": lambda value: {"highlight": read_highlight(value)},
    "sort": lambda value: {"sort": sorting.read_sort(value)},
    "search_after": lambda value: {"search_after": tuple(value)},
    "track_total_hits": _read_total,
    "track_scores": lambda value: {"tracks_scores": _read_flag("track_scores", value)},
    "min_score": _read_min_score,
    "version": lambda value: {"has_versions": _read_flag("version", value)},
    "seq_no_primary_term": lambda value: {"has_sequence_numbers": _read_flag("seq_no_primary_term", value)},
    "explain": _refuse_true,
    "aggs": lambda value: {"aggregations": aggregations.read_aggregations(value)},
    "aggregations": lambda value: {"aggregations": aggregations.read_aggregations(value)},
    "timeout": lambda _value: {},
    "ext": _refuse_ext,
}


def _read_parameters(search: Search, parameters: Parameters) -> Search:
    """Return the search with what its query string says over the body."""
    query = read_query_parameters(parameters)
    changes: dict[str, Any] = {} if query is None else {"query": query}
    for name in ("from", "size", "track_total_hits", "track_scores", "version", "seq_no_primary_term", "explain"):
        value = parameters.text(name)
        if value is not None:
            if name in ("from", "size"):
                value = str(parameters.integer(name))
            changes |= _KEYS[name](value or "true")
    sort = parameters.text("sort")
    if sort is not None:
        changes["sort"] = sorting.read_sort_parameter(sort)
    stored = parameters.names("stored_fields")
    if stored is not None:
        changes |= {**_read_stored_fields(stored), "source": None}
    changes["source"] = read_source_parameters(parameters, changes.get("source", search.source))
    changes["typed_keys"] = parameters.flag("typed_keys")
    changes["total_is_integer"] = parameters.flag("rest_total_hits_as_int")
    if changes["total_is_integer"] and search.count_to == MAX_RESULT_WINDOW:
        changes.setdefault("count_to", None)
    if parameters.text("search_type") not in (None, "query_then_fetch", "dfs_query_then_fetch"):
        raise illegal_argument(f"No search type for [{parameters.text('search_type')}]")
    return replace(search, **changes)


def read_query_parameters(parameters: Parameters) -> Query | None:
    """Return the query of `?q=`, with `df`, `default_operator`, `analyzer` and `lenient`; None without one."""
    text = parameters.text("q")
    options = {
        "default_field": parameters.text("df"),
        "default_operator": parameters.text("default_operator"),
        "analyzer": parameters.text("analyzer"),
        "lenient": parameters.text("lenient"),
    }
    parameters.ignore({"analyze_wildcard"})
    if text is None:
        return None
    given = {key: value for key, value in options.items() if value is not None}
    return parse_query({"query_string": {"query": text, **given}})

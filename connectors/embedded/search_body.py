"""What a search request asks for: its JSON and its query string, read into a `Search`.

Law: every key and every parameter is read or refused. One that Elasticsearch has and this engine has not is refused by
name, unless it asks for nothing.

*Source:* Elasticsearch 9.5's SearchSourceBuilder and RestSearchAction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from connectors.embedded import aggregations, field_types, sorting
from connectors.embedded.errors import (
    ApiError,
    illegal_argument,
    number_format_error,
    parsing_error,
    token_name,
    unexpected,
    unsupported,
)
from connectors.embedded.highlight import read_highlight
from connectors.embedded.json_filter import SourceSelection
from connectors.embedded.parameters import Parameters
from connectors.embedded.query import Query
from connectors.embedded.query_dsl import parse_query
from connectors.embedded.search import MAX_RESULT_WINDOW, Search
from connectors.json_bytes import JsonObject

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


_PARAMETERS_NOT_DONE = ("scroll", "terminate_after", "docvalue_fields", "suggest_field", "suggest_text", "stats")


def read_search(body: JsonObject, parameters: Parameters) -> Search:
    """Return the search that a body and a query string describe; `ApiError` 400 for what is not done."""
    search = Search()
    for key, value in body.items():
        if key in _NOT_DONE and not _is_default(key, value):
            raise unsupported(f"[{key}]")
        if key not in _KEYS and key not in _NOT_DONE:
            raise unexpected(key, value)
        if key in _KEYS:
            search = replace(search, **_KEYS[key](value))
    if search.stored_fields == () and "_source" not in body:
        search = replace(search, source=None)
    search = _read_parameters(search, parameters, has_source="_source" in body)
    _check_together(search)
    return search


def _check_together(search: Search) -> None:
    """Raise `ApiError` 400 for parts of a request that exclude each other."""
    problem = None
    if search.search_after is not None and search.offset:
        problem = "[from] parameter must be set to 0 when [search_after] is used"
    if not search.has_ids and search.source is not None:
        problem = "[stored_fields] cannot be disabled if [_source] is requested"
    if problem is not None:
        raise ApiError(400, "action_request_validation_exception", f"Validation Failed: 1: {problem};")


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
            return SourceSelection(includes=_texts("_source", value))
        case dict():
            for key, one in value.items():
                if key not in ("includes", "include", "excludes", "exclude"):
                    raise unexpected(key, one)
            includes = value.get("includes", value.get("include", ()))
            excludes = value.get("excludes", value.get("exclude", ()))
            return SourceSelection(includes=_texts("includes", includes), excludes=_texts("excludes", excludes))
        case _:
            raise parsing_error(
                "Expected one of [VALUE_BOOLEAN, VALUE_STRING, START_ARRAY, START_OBJECT] but found "
                f"[{token_name(value)}]"
            )


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


def _texts(name: str, value: Any) -> tuple[str, ...]:
    listed = value if isinstance(value, list | tuple) else [value]
    for one in listed:
        if not isinstance(one, str):
            raise unexpected(name, one)
    return tuple(listed)


def _is_default(key: str, value: Any) -> bool:
    """Return whether a key that is not done asks for nothing."""
    return value in (None, [], {}) or (key in ("profile", "terminate_after") and not value)


def _read_query(name: str, value: Any) -> Query:
    if not isinstance(value, dict):
        raise unexpected(name, value)
    return parse_query(value)


def _read_size(name: str, value: Any) -> int:
    if not isinstance(value, int | float | str):
        raise unexpected(name, value)
    try:
        number = field_types.to_integer(value, 32)
    except ValueError:
        raise number_format_error(value) from None
    if number < 0:
        word = "be negative, found" if name == "size" else "be negative but was"
        raise illegal_argument(f"[{name}] parameter cannot {word} [{number}]")
    return number


def _read_fields(value: Any) -> dict[str, Any]:
    if not isinstance(value, list):
        raise unexpected("fields", value)
    for one in value:
        if not isinstance(one, dict | str):
            raise unexpected("fields", one)
        if isinstance(one, dict) and (set(one) - {"field"} or "field" not in one):
            raise unsupported(f"[fields] with {sorted(set(one) - {'field'})}")
    return {"fields": tuple(str(one["field"] if isinstance(one, dict) else one) for one in value)}


def _read_stored_fields(value: Any) -> dict[str, Any]:
    names = tuple(map(str, value)) if isinstance(value, list) else (str(value),)
    if names == ("_none_",):
        return {"has_ids": False, "stored_fields": ()}
    if set(names) - {"_source"}:
        raise unsupported(f"[stored_fields: {list(names)}]")
    return {"stored_fields": names}


def _read_total(value: Any) -> dict[str, Any]:
    if value is True or value == "true":
        return {"count_to": None, "has_total": True}
    if value is False or value in ("false", -1, "-1"):
        return {"has_total": False}
    if value is None:
        raise unexpected("track_total_hits", value)
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise number_format_error(value) from None
    if number < 0:
        raise illegal_argument(f"[track_total_hits] parameter must be positive or equals to -1, got {number}")
    return {"count_to": number, "has_total": True}


def _read_min_score(value: Any) -> dict[str, Any]:
    try:
        return {"min_score": field_types.to_float(value, "float")}
    except ValueError:
        raise number_format_error(value) from None


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
        raise ApiError(400, "x_content_parse_exception", f"unknown search extension {sorted(value)}")
    return {}


_KEYS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "query": lambda value: {"query": _read_query("query", value)},
    "post_filter": lambda value: {"post_filter": _read_query("post_filter", value)},
    "from": lambda value: {"offset": _read_size("from", value)},
    "size": lambda value: {"size": _read_size("size", value)},
    "_source": lambda value: {"source": read_source(value)},
    "fields": _read_fields,
    "stored_fields": _read_stored_fields,
    "highlight": lambda value: {"highlight": read_highlight(value)},
    "sort": lambda value: {"sort": sorting.read_sort(value)},
    "search_after": lambda value: {"search_after": sorting.read_search_after(value)},
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


def _read_parameters(search: Search, parameters: Parameters, *, has_source: bool) -> Search:
    """Return the search with what its query string says over the body."""
    for name in _PARAMETERS_NOT_DONE:
        if parameters.text(name) is not None:
            raise unsupported(f"[{name}]")
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
        changes |= _read_stored_fields(stored)
        if "_source" not in stored and not has_source:
            changes["source"] = None
    changes["source"] = read_source_parameters(parameters, changes.get("source", search.source))
    changes["typed_keys"] = parameters.flag("typed_keys")
    changes["total_is_integer"] = parameters.flag("rest_total_hits_as_int")
    search = replace(search, **changes)
    if search.total_is_integer and search.count_to == MAX_RESULT_WINDOW:
        search = replace(search, count_to=None)
    if search.total_is_integer and search.has_total and search.count_to is not None:
        raise illegal_argument(
            "[rest_total_hits_as_int] cannot be used if the tracking of total hits is not accurate, got "
            f"{search.count_to}"
        )
    kind = parameters.text("search_type")
    if kind not in (None, "query_then_fetch", "dfs_query_then_fetch"):
        raise illegal_argument(f"No search type for [{kind}]")
    return replace(search, has_global_statistics=kind == "dfs_query_then_fetch")


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

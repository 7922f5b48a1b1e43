"""Step 2: rerank this search or not, and with what first-stage request?

Law: in doubt the search is left alone, with a reason. What is fetched is max(window, from + size) hits from the
first one on, so that every page is cut from one ranking; what is scored never depends on `from` or `size`. The
caller's bytes stay as they are but for the settings named here. No I/O.

`plan` decides. `widen` writes the first-stage request once the text fields are known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Final

from connectors.base import header
from sidecar import signals
from sidecar.candidates import template_fields
from sidecar.errors import BadRerankRequest
from sidecar.requests import controls, native, query_text, signatures
from sidecar.requests.filter_path import SOURCE, FilterPath
from sidecar.requests.native import Native
from sidecar.requests.query_text import Reading
from sidecar.requests.search_call import SearchCall
from sidecar.types import Arm, RerankOptions, SkipReason

DEFAULT_SIZE: Final = 10
MAX_RESULT_WINDOW: Final = 10_000
"""The engines' default of `index.max_result_window`."""

_SOURCE_PARAMS: Final = (
    "_source",
    "_source_includes",
    "_source_excludes",
    "_source_include",
    "_source_exclude",
    "stored_fields",
)
_ORIGIN_HEADERS: Final = ("x-elastic-product-origin", "x-opensearch-product-origin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """The search is left alone. `call` is what the engine gets: the caller's own, less our controls."""

    reason: SkipReason
    call: SearchCall
    #: the engine's own reranker that the search asks for
    native: Native | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The search is reranked."""

    #: the caller's search, less our controls and less a reranker that we execute
    call: SearchCall
    #: words to score against
    query: str
    #: fields as the query names them: may hold patterns and sub-fields
    fields: tuple[str, ...]
    options: RerankOptions
    offset: int
    size: int
    #: the ranking depends on how many hits are asked for, so that only the caller's own page is reranked
    is_own_page: bool = False
    #: hits that the first stage can be asked for
    most: int = MAX_RESULT_WINDOW
    #: what the caller sees of the answer; None = all of it
    filter_path: FilterPath | None = None
    #: the side of an experiment that the search is on, None where there is none
    arm: Arm | None = None
    #: what the coins of an interleaved page come from, None where there is none: the user and the words, as a digest
    draw: bytes | None = None

    @property
    def fetched(self) -> int:
        """Hits that the first stage is asked for."""
        if self.is_own_page:
            return self.size
        return min(self.most, max(self.options.window, self.offset + self.size))

    @property
    def is_beyond_window(self) -> bool:
        """Whether the page begins after the window, so that no model is needed."""
        return self.offset >= self.options.window and not self.is_own_page

    @property
    def has_whole_source(self) -> bool:
        """Whether the caller gets `_source` unfiltered, so that its fields are there to read."""
        if self.filter_path is not None and not self.filter_path.shows_whole(SOURCE):
            return False
        is_on = self.call.body("_source") in (None, True)
        return is_on and not self.call.has_param(*_SOURCE_PARAMS) and not self.call.has_body("stored_fields")

    @property
    def shown_fields(self) -> frozenset[str]:
        """The fields that a filtered `_source` names, patterns left out: they are there to read."""
        source = self.call.body("_source")
        is_hidden = self.filter_path is not None and not self.filter_path.shows_whole(SOURCE)
        if is_hidden or self.call.has_param(*_SOURCE_PARAMS) or isinstance(source, bool):
            return frozenset()
        if isinstance(source, dict):
            source = source.get("includes") if set(source) == {"includes"} else None
        return frozenset(name for name in _entries(source) if isinstance(name, str) and "*" not in name)

    @property
    def value_fields(self) -> tuple[str, ...]:
        """The fields of hits that the ranking needs beside their text."""
        return signals.fields(self.options)

    @property
    def takes_fields(self) -> bool:
        """Whether more `fields` can be asked for: `top_hits` get them, too, and `_none_` forbids them."""
        return _TOP_HITS not in self.call.text and "_none_" not in _entries(self.call.setting("stored_fields"))

    @property
    def has_filtered_source(self) -> bool:
        """Whether the caller gets a part of `_source`."""
        is_off = self.call.body("_source") is False or self.call.param("_source") == "false"
        return not self.has_whole_source and not is_off

    @property
    def own_fields(self) -> tuple[str, ...]:
        """The names and patterns that the caller itself gets in the hits' `fields` member."""
        in_body = [entry for name in _FIELDS_SETTINGS for entry in _entries(self.call.body(name))]
        in_url = [name for key in _FIELDS_SETTINGS for name in (self.call.param(key) or "").split(",") if name]
        names = [entry.get("field") if isinstance(entry, dict) else entry for entry in in_body]
        return (*(name for name in names if isinstance(name, str)), *in_url)


_TOP_HITS: Final = "top_hits"
_FIELDS_SETTINGS: Final = ("fields", "stored_fields", "docvalue_fields", "script_fields")


def _entries(value: Any) -> list[Any]:
    """Return the entries of a setting that is one, a list of them, or an object by name."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | dict) else [value]


def plan(
    call: SearchCall, options: RerankOptions, is_ours: Callable[[Native], bool] = attrgetter("is_ours")
) -> Plan | Skip:
    """Decide about one search under the options of its policy.

    `is_ours` says whether a reranker of the engine's own that a search asks for is executed by us.

    Raises:
        BadRerankRequest: the caller's own controls make no sense.
    """
    if signatures.covers_body(call.headers, call.params):
        why = SkipReason.SIGNED if options.enabled else SkipReason.OFF
        return Skip(reason=why, call=_without_headers(call))  # not even `ext.rerank` can be taken out
    asked = native.find(call)
    if asked is not None and asked.is_ours and not asked.is_complete:
        raise BadRerankRequest("a text_similarity_reranker must have retriever, field and inference_text")
    if asked is not None and not (is_ours(asked) and asked.is_complete):
        whose = asked if asked.is_complete else None
        return Skip(reason=SkipReason.NATIVE_RERANK, call=_without_headers(call), native=whose)
    if asked is not None:
        options = controls.outside_experiments(asked.options(options))  # the engine could only refuse it
        call = native.unwrap(call)
    ext = call.body("ext")
    rerank = ext.get("rerank") if isinstance(ext, dict) else None
    if isinstance(rerank, dict):
        options = controls.apply_body(options, rerank)
    elif rerank is not None:
        raise BadRerankRequest(f"ext.rerank must be an object, not {str(rerank)[:80]!r}")
    options, headers = controls.apply_headers(options, call.headers)
    call = replace(call.without_rerank_ext(), headers=headers)
    reading = _read_words(call)
    most = None if asked is None else asked.most
    is_size_dependent = reading.is_size_dependent or any(applies(call) for applies in _SIZE_DEPENDENT)
    is_own_page = most is None and is_size_dependent  # a reranker's window says how many hits it is about
    reason = next(_reasons(call, options, reading, is_own_page=is_own_page), None)
    if reason is not None:
        return Skip(reason=reason, call=call)
    query = options.query_text or reading.text
    if query is None:
        return Skip(reason=SkipReason.NO_FREE_TEXT, call=call)
    return Plan(
        call=call,
        query=query,
        fields=_text_fields(options, reading),
        options=options,
        offset=_count(call.setting("from"), 0) or 0,
        size=_count(call.setting("size"), DEFAULT_SIZE) or 0,
        is_own_page=is_own_page,
        most=most or MAX_RESULT_WINDOW,
        filter_path=_filter_path(call),
    )


def widen(plan: Plan, extra_fields: tuple[str, ...]) -> SearchCall:
    """Return the first-stage search: all hits that the ranking needs, and `extra_fields` under `fields`."""
    settings: dict[str, Any] = {}
    if not plan.is_own_page:
        if plan.offset != 0:
            settings["from"] = 0
        if plan.fetched != plan.size or plan.call.setting("size") is None:
            settings["size"] = plan.fetched
    if extra_fields:
        settings["fields"] = [*(plan.call.body("fields") or ()), *entries(plan, extra_fields)]
    if plan.filter_path is not None:
        settings["filter_path"] = plan.filter_path.widened()
    return plan.call.with_settings(settings)


def entries(plan: Plan, names: Iterable[str]) -> list[str | dict[str, str]]:
    """Return how fields that we ask for are written under `fields`."""
    return [signals.entry(plan.options, name) for name in names]


def _text_fields(options: RerankOptions, reading: Reading) -> tuple[str, ...]:
    if options.template:
        return template_fields(options.template)
    if options.fields:
        return options.fields
    return title_first(reading.fields or query_text.ALL_FIELDS)


_TITLES: Final = frozenset({"title", "name", "headline", "heading", "subject", "question"})


def title_first(fields: tuple[str, ...]) -> tuple[str, ...]:
    """Return `fields` in their order, one that is named like a title in front: of several the least nested."""
    titles = [field for field in fields if _TITLES & set(field.lower().split("."))]
    first = [min(titles, key=lambda field: field.count("."))] if titles else []
    return tuple(dict.fromkeys((*first, *fields)))


def _without_headers(call: SearchCall) -> SearchCall:
    return replace(call, headers=controls.strip_headers(call.headers))


def _read_words(call: SearchCall) -> Reading:
    q = call.param("q")
    if q is None:
        searches = [entry.get("query") for entry in _entries(call.body("sub_searches")) if isinstance(entry, dict)]
        readings = [query_text.read_query(query) for query in (call.body("query"), *searches)]
        readings.append(query_text.read_knn(call.body("knn")))
        if call.has_body("retriever"):
            readings.append(query_text.read_retriever(call.body("retriever")))
        return query_text.join(*readings)
    default_field = call.param("df")
    return query_text.read_query_string(q, (default_field,) if default_field else query_text.ALL_FIELDS)


# --- reasons not to rerank ----------------------------------------------------------------------------------


def _reasons(call: SearchCall, options: RerankOptions, reading: Reading, *, is_own_page: bool) -> Iterator[SkipReason]:
    """Yield every reason to leave the search alone, impossible ones before doubtful ones."""
    if not options.enabled:
        yield SkipReason.OFF
    for reason, applies in _IMPOSSIBLE:
        if applies(call):
            yield reason
    if is_own_page and _count(call.setting("from"), 0) != 0:
        yield SkipReason.SIZE_DEPENDENT
    if options.text_from != "fields" and _filter_path(call) is not None:  # which may hide highlights and inner hits
        yield SkipReason.FILTER_PATH
    if options.insist:
        return
    for reason, applies in _DOUBTFUL:
        if applies(call):
            yield reason
    # an operator's policy says that both rankings count
    is_mixed = options.fusion in {"linear", "rrf"} or (options.fusion == "auto" and bool(options.signals))
    if not is_mixed and (reading.has_custom_ranking or call.has_body("rescore")):
        yield SkipReason.CUSTOM_RANKING


_DIGITS: Final = re.compile(r"\+?[0-9]+")


def _has_null(call: SearchCall) -> bool:
    """Return whether a setting that we may write anew is null, which the engines refuse."""
    return any(member.value is None and member.key in ("from", "size", "fields") for member in call.members)


def _has_odd_page(call: SearchCall) -> bool:
    return _count(call.setting("size"), DEFAULT_SIZE) is None or _count(call.setting("from"), 0) is None


def _is_beyond_result_window(call: SearchCall) -> bool:
    size, offset = _count(call.setting("size"), DEFAULT_SIZE), _count(call.setting("from"), 0)
    return size is not None and offset is not None and offset + size > MAX_RESULT_WINDOW


def _has_own_sort(call: SearchCall) -> bool:
    """Return whether hits are sorted by anything but exactly `_score`, descending.

    Within a point in time any sort gives the hits values to continue from, so that it counts as one.
    """
    if call.has_body("pit") and call.setting("sort") is not None:
        return True
    in_url = call.param("sort")
    if in_url is not None:
        return in_url not in {"_score", "_score:desc"}
    sort = call.body("sort")
    if sort is None:
        return False
    keys = sort if isinstance(sort, list) else [sort]
    return not (
        len(keys) == 1 and keys[0] in ("_score", {"_score": "desc"}, {"_score": {"order": "desc"}}, {"_score": {}})
    )


def _has_native_reranker(call: SearchCall) -> bool:
    return "text_similarity_reranker" in str(call.body("retriever"))


def _has_pipeline(call: SearchCall) -> bool:
    return call.has_param("search_pipeline") or call.has_body("search_pipeline")


def _of_standard_retriever(call: SearchCall, name: str) -> bool:
    """Return whether a standard retriever, alone or inside others, has a setting."""
    return any(name in settings for settings in _standard_retrievers(call.body("retriever")))


def _standard_retrievers(retriever: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(retriever, dict):
        return
    for kind, value in retriever.items():
        if kind == "standard" and isinstance(value, dict):
            yield value
        elif isinstance(value, dict):
            for inner in (value.get("retriever"), *_entries(value.get("retrievers"))):
                wrapped = inner.get("retriever") if isinstance(inner, dict) else None
                yield from _standard_retrievers(wrapped if isinstance(wrapped, dict) else inner)


def _filter_path(call: SearchCall) -> FilterPath | None:
    return FilterPath.parse(call.param("filter_path"))


def _hides_too_much(call: SearchCall) -> bool:
    """Return whether a filter leaves no page to rerank, or is not understood; an `_msearch` has paths of its own."""
    found = _filter_path(call)
    return found is not None and (call.is_item or not found.can_be_widened)


def _is_of_system_index(call: SearchCall) -> bool:
    return any(name.lstrip("-+").startswith(".") for name in call.index.split(","))


_IMPOSSIBLE: Final[tuple[tuple[SkipReason, Callable[[SearchCall], bool]], ...]] = (
    (SkipReason.UNPARSABLE, _has_odd_page),
    (SkipReason.UNPARSABLE, _has_null),
    (SkipReason.UNPARSABLE, lambda call: not isinstance(call.body("fields"), list | None)),
    (SkipReason.SIZE_ZERO, lambda call: _count(call.setting("size"), DEFAULT_SIZE) == 0),
    (SkipReason.SCROLL, lambda call: call.has_param("scroll") or call.has_body("slice")),
    (SkipReason.SEARCH_AFTER, lambda call: call.has_body("search_after")),
    (SkipReason.SORT, _has_own_sort),
    (SkipReason.COLLAPSE, lambda call: call.has_body("collapse")),
    (SkipReason.NATIVE_RERANK, _has_native_reranker),
    (SkipReason.SORT, lambda call: _of_standard_retriever(call, "sort")),
    (SkipReason.SEARCH_AFTER, lambda call: _of_standard_retriever(call, "search_after")),
    (SkipReason.COLLAPSE, lambda call: _of_standard_retriever(call, "collapse")),
    (SkipReason.FILTER_PATH, lambda call: _hides_too_much(call)),
    (SkipReason.BEYOND_RESULT_WINDOW, _is_beyond_result_window),
)
"""What cannot be reranked however much the caller wants it."""

_SIZE_DEPENDENT: Final[tuple[Callable[[SearchCall], bool], ...]] = (
    lambda call: call.has_body("knn", "rank", "sub_searches", "terminate_after") or call.has_param("terminate_after"),
    _has_pipeline,
)
"""Searches whose ranking depends on how many hits are asked for; what a search pipeline does nobody knows."""

_DOUBTFUL: Final[tuple[tuple[SkipReason, Callable[[SearchCall], bool]], ...]] = (
    (SkipReason.SEARCH_PIPELINE, _has_pipeline),
    (SkipReason.SYSTEM_INDEX, _is_of_system_index),
    (SkipReason.PRODUCT_ORIGIN, lambda call: any(header(call.headers, name) for name in _ORIGIN_HEADERS)),
)
"""What is left alone unless the caller says `X-Rerank: on` or gives `ext.rerank`."""


def _count(value: Any, default: int) -> int | None:
    """Return a hit count of the body or the URL, `default` when it is absent, None when it is none."""
    if value is None:
        return default
    if isinstance(value, str) and not _DIGITS.fullmatch(value):  # what Python takes for a number, Java may not
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if isinstance(value, bool) or not 0 <= number < 2**31 or number != int(number):
        return None
    return int(number)

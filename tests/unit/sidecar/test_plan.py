"""Step 2: rerank or not, with what first-stage request, and nothing changed but what is named."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import SearchRequest
from sidecar.errors import BadRerankRequest
from sidecar.plan import DEFAULT_SIZE, MAX_RESULT_WINDOW, Plan, Skip, plan, title_first, widen
from sidecar.requests import multi_search
from sidecar.requests.search_call import SearchCall, parse, write
from sidecar.types import RerankOptions, Signal, SkipReason
from tests.unit.doubles import JSON, call, match, msearch, search

DEFAULTS = RerankOptions()
NATIVE = {
    "text_similarity_reranker": {
        "retriever": {"standard": {"query": {"match": {"text": "blue sky"}}}},
        "field": "text",
        "inference_id": "mine",
        "inference_text": "why blue",
    }
}
MATCH = {"match": {"text": "blue sky"}}


def planned(given_call: SearchCall, options: RerankOptions = DEFAULTS) -> Plan:
    """Return the plan, which there must be."""
    decision = plan(given_call, options)
    assert isinstance(decision, Plan), decision
    return decision


def reason(given_call: SearchCall, options: RerankOptions = DEFAULTS) -> SkipReason | None:
    """Return why a search is left alone, None when it is not."""
    decision = plan(given_call, options)
    return decision.reason if isinstance(decision, Skip) else None


# --- reasons ------------------------------------------------------------------------------------------------

Row = tuple[dict[str, Any] | str | None, dict[str, Any]]

IMPOSSIBLE: dict[str, tuple[SkipReason, Row]] = {
    "size 0": (SkipReason.SIZE_ZERO, (match(size=0), {})),
    "size 0 in the URL": (SkipReason.SIZE_ZERO, (match(size=5), {"target": "/books/_search?size=0"})),
    "scroll": (SkipReason.SCROLL, (match(), {"target": "/books/_search?scroll=1m"})),
    "slice": (SkipReason.SCROLL, (match(slice={"id": 0, "max": 2}), {})),
    "search_after": (SkipReason.SEARCH_AFTER, (match(search_after=[1]), {})),
    "sort by a field": (SkipReason.SORT, (match(sort=[{"date": "desc"}]), {})),
    "sort by _score ascending": (SkipReason.SORT, (match(sort=[{"_score": "asc"}]), {})),
    "sort with a tiebreaker": (SkipReason.SORT, (match(sort=["_score", {"id": "asc"}]), {})),
    "sort in the URL": (SkipReason.SORT, (match(), {"target": "/books/_search?sort=date:desc"})),
    "sort in the URL over the body": (SkipReason.SORT, (match(sort=["_score"]), {"target": "/_search?sort=date"})),
    "collapse": (SkipReason.COLLAPSE, (match(collapse={"field": "author"}), {})),
    "native reranker": (SkipReason.NATIVE_RERANK, ({"retriever": NATIVE}, {})),
    "native rerank context": (
        SkipReason.NATIVE_RERANK,
        (match(ext={"rerank": {"query_context": {"query_text": "blue"}}}), {}),
    ),
    "a native reranker inside another retriever": (
        SkipReason.NATIVE_RERANK,
        ({"retriever": {"rrf": {"retrievers": [{"text_similarity_reranker": {}}]}}}, {}),
    ),
    "a native reranker that lacks its text": (
        SkipReason.NATIVE_RERANK,
        ({"retriever": {"text_similarity_reranker": {"retriever": {"standard": {"query": MATCH}}}}}, {}),
    ),
    "a query context without words": (SkipReason.NATIVE_RERANK, (match(ext={"rerank": {"query_context": {}}}), {})),
    "a later page of knn": (SkipReason.SIZE_DEPENDENT, (match(knn={"field": "v"}, **{"from": 10}), {})),
    "a later page of retrievers": (SkipReason.SIZE_DEPENDENT, ({"retriever": {"rrf": {}}, "from": 10}, {})),
    "a later page of hybrid": (
        SkipReason.SIZE_DEPENDENT,
        ({"query": {"hybrid": {"queries": [MATCH]}}}, {"target": "/_search?from=1"}),
    ),
    "a retriever with a sort": (SkipReason.SORT, ({"retriever": {"standard": {"query": MATCH, "sort": ["n"]}}}, {})),
    "a retriever with search_after": (
        SkipReason.SEARCH_AFTER,
        ({"retriever": {"standard": {"query": MATCH, "search_after": [1]}}}, {}),
    ),
    "a retriever with collapse": (
        SkipReason.COLLAPSE,
        ({"retriever": {"standard": {"query": MATCH, "collapse": {"field": "a"}}}}, {}),
    ),
    "filter_path": (SkipReason.FILTER_PATH, (match(), {"target": "/books/_search?filter_path=hits.total"})),
    "beyond the result window": (SkipReason.BEYOND_RESULT_WINDOW, (match(**{"from": 9_995, "size": 6}), {})),
    "signed": (SkipReason.SIGNED, (match(), {"headers": (("Authorization", "AWS4-HMAC-SHA256 Credential=a"),)})),
    "negative size": (SkipReason.UNPARSABLE, (match(size=-1), {})),
    "size of another type": (SkipReason.UNPARSABLE, (match(size=[1]), {})),
    "half a size": (SkipReason.UNPARSABLE, (match(size=1.5), {})),
    "from that is no number": (SkipReason.UNPARSABLE, (match(), {"target": "/_search?from=x"})),
    "from true": (SkipReason.UNPARSABLE, (match(**{"from": True}), {})),
    "size null": (SkipReason.UNPARSABLE, (match(size=None), {})),
    "fields null": (SkipReason.UNPARSABLE, (match(fields=None), {})),
    "what only Python takes for a number": (SkipReason.UNPARSABLE, (match(), {"target": "/_search?size=1e1"})),
    "fields that are no list": (SkipReason.UNPARSABLE, (match(fields="text"), {})),
    "fields that are a number": (SkipReason.UNPARSABLE, (match(fields=5), {})),
}
DOUBTFUL: dict[str, tuple[SkipReason, Row]] = {
    "system index": (SkipReason.SYSTEM_INDEX, (match(), {"target": "/.kibana/_search"})),
    "system index among others": (SkipReason.SYSTEM_INDEX, (match(), {"target": "/books,.tasks/_search"})),
    "Kibana": (SkipReason.PRODUCT_ORIGIN, (match(), {"headers": (("X-Elastic-Product-Origin", "kibana"),)})),
    "Dashboards": (SkipReason.PRODUCT_ORIGIN, (match(), {"headers": (("x-opensearch-product-origin", "osd"),)})),
    "function_score": (
        SkipReason.CUSTOM_RANKING,
        ({"query": {"function_score": {"query": MATCH, "random_score": {}}}}, {}),
    ),
    "script_score": (SkipReason.CUSTOM_RANKING, ({"query": {"script_score": {"query": MATCH, "script": {}}}}, {})),
    "rescore": (SkipReason.CUSTOM_RANKING, (match(rescore={"query": {}}), {})),
    "search pipeline": (SkipReason.SEARCH_PIPELINE, (match(), {"target": "/books/_search?search_pipeline=p"})),
    "search pipeline in the body": (SkipReason.SEARCH_PIPELINE, (match(search_pipeline="p"), {})),
}
NO_TEXT: dict[str, Row] = {
    "match_all": ({"query": {"match_all": {}}}, {}),
    "filters only": ({"query": {"bool": {"filter": [MATCH]}}}, {}),
    "no body": (None, {}),
    "an identifier": ({"query": {"match": {"sku": "AB-1234"}}}, {}),
    "fields only": (None, {"target": "/_search?q=status:active"}),
}


@pytest.mark.parametrize(("expected", "row"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_what_cannot_be_reranked_is_left_alone(expected: SkipReason, row: Row) -> None:
    """With its reason, and however much the caller insists."""
    body, request = row
    assert expected is reason(call(body, **request))
    insisting = {**request, "headers": (*request.get("headers", ()), ("X-Rerank", "on"))}
    assert expected is reason(call(body, **insisting))


@pytest.mark.parametrize(("expected", "row"), DOUBTFUL.values(), ids=DOUBTFUL)
def test_what_is_doubtful_is_left_alone_until_asked_for(expected: SkipReason, row: Row) -> None:
    """`X-Rerank: on` or `ext.rerank` says that the caller means it."""
    body, request = row
    assert isinstance(body, dict)
    assert expected is reason(call(body, **request))
    insisting = {**request, "headers": (*request.get("headers", ()), ("X-Rerank", "on"))}
    assert reason(call(body, **insisting)) is None
    assert reason(call({**body, "ext": {"rerank": {}}}, **request)) is None


@pytest.mark.parametrize("row", NO_TEXT.values(), ids=NO_TEXT)
def test_without_words_there_is_nothing_to_score_against(row: Row) -> None:
    """Unless the caller gives the words."""
    body, request = row
    assert reason(call(body, **request)) is SkipReason.NO_FREE_TEXT
    told = planned(call(body, **{**request, "headers": (("X-Rerank-Query", "why blue"),)}))
    assert told.query == "why blue"


def test_every_early_reason_has_a_row() -> None:
    """The other reasons arise later: in the request as a whole, or from the engine's answer."""
    later = {
        SkipReason.NOT_JSON,
        SkipReason.FEW_HITS,
        SkipReason.NO_TEXT_FIELD,
        SkipReason.ENGINE_ERROR,
        SkipReason.WIDENING_REFUSED,
        SkipReason.TOO_LARGE,
        SkipReason.TEMPLATE,
        SkipReason.ASYNC_SEARCH,
        SkipReason.CONTROL,
        SkipReason.LANGUAGE,
    }
    rows = {found for found, _ in [*IMPOSSIBLE.values(), *DOUBTFUL.values()]}
    assert set(SkipReason) == rows | later | {SkipReason.OFF, SkipReason.NO_FREE_TEXT}


@pytest.mark.parametrize(
    ("options", "headers"),
    [(RerankOptions(enabled=False), ()), (DEFAULTS, (("X-Rerank", "off"),))],
    ids=["by policy", "by the caller"],
)
def test_switched_off_is_the_first_reason(options: RerankOptions, headers: tuple[tuple[str, str], ...]) -> None:
    """Whatever else could be said of the search."""
    assert reason(call(match(size=0), headers=headers), options) is SkipReason.OFF


def test_the_caller_can_switch_on_what_policy_switched_off() -> None:
    """`X-Rerank: on` is meant for that."""
    assert reason(call(match(), headers=(("X-Rerank", "on"),)), RerankOptions(enabled=False)) is None


@pytest.mark.parametrize("fusion", ["linear", "rrf"])
def test_a_mixing_policy_reranks_custom_rankings(fusion: Any) -> None:
    """There both rankings count; `auto` and `model_only` would throw the caller's away."""
    _, (body, _) = DOUBTFUL["function_score"]
    assert reason(call(body), RerankOptions(fusion=fusion)) is None
    assert reason(call(body), RerankOptions(fusion="model_only")) is SkipReason.CUSTOM_RANKING
    assert reason(call(match(rescore={})), RerankOptions(fusion=fusion)) is None


def test_so_does_a_policy_with_signals() -> None:
    """Unless a request names a fusion that has no room for them."""
    _, (body, _) = DOUBTFUL["function_score"]
    signals = (Signal(field="likes", function="saturation"),)
    assert reason(call(body), RerankOptions(signals=signals)) is None
    assert reason(call(body), RerankOptions(signals=signals, fusion="model_only")) is SkipReason.CUSTOM_RANKING


def test_signals_are_asked_for_beside_the_text() -> None:
    """A date in a form that does not depend on the mapping; the caller's own entries stay before."""
    signals = (
        Signal(field="day", function="gauss", is_date=True),
        Signal(field="likes", function="saturation"),
    )
    found = plan(call(match(fields=["shelf"])), RerankOptions(signals=signals, pin_field="promoted"))
    assert isinstance(found, Plan)
    assert ("day", "likes", "promoted") == found.value_fields
    sent = json.loads(widen(found, ("text", *found.value_fields)).text)["fields"]
    assert ["shelf", "text", {"field": "day", "format": "epoch_millis"}, "likes", "promoted"] == sent


@pytest.mark.parametrize(
    ("body", "target"),
    [
        (match(sort="_score"), "/_search"),
        (match(sort=["_score"]), "/_search"),
        (match(sort=[{"_score": {"order": "desc"}}]), "/_search"),
        (match(sort={"_score": "desc"}), "/_search"),
        (match(), "/_search?sort=_score:desc"),
        (match(sort=[{"date": "asc"}]), "/_search?sort=_score"),
        (match(size="5"), "/_search?from=%30"),
        (match(collapse=None, sort=None, knn=None), "/_search"),
        (match(highlight={}, aggs={}, explain=True, track_total_hits=False, min_score=1, post_filter={}), "/_search"),
        (match(), "/_search?routing=a&preference=b&typed_keys&rest_total_hits_as_int=true&pretty"),
        (match(**{"from": 9_990, "size": 10}), "/_search"),
    ],
)
def test_what_looks_special_and_is_reranked(body: dict[str, Any], target: str) -> None:
    """Sorting by score is the default said aloud; the rest goes along."""
    assert reason(call(body, target=target)) is None


@pytest.mark.parametrize("row", [row for _, row in [*IMPOSSIBLE.values(), *DOUBTFUL.values()]] + list(NO_TEXT.values()))
def test_a_skipped_search_keeps_its_bytes(row: Row) -> None:
    """Less what was said to us: here nothing."""
    body, request = row
    found = call(body, **request)
    decision = plan(found, DEFAULTS)
    assert isinstance(decision, Skip)
    assert found == decision.call


def test_a_skipped_search_loses_what_was_said_to_us() -> None:
    """The engine would refuse `ext.rerank`; headers of ours are nobody else's business."""
    body = '{"ext":{"rerank":{"window":5}}, "query":{"match_all":{}}}'
    decision = plan(call(body, headers=(("X-Rerank-Explain", "on"), ("A", "b"))), DEFAULTS)
    assert isinstance(decision, Skip)
    assert ('{"query":{"match_all":{}}}', (*JSON, ("A", "b"))) == (decision.call.text, decision.call.headers)


def test_a_native_rerank_context_stays_for_the_engine() -> None:
    """Only our headers go: `ext.rerank` with `query_context` is OpenSearch's own."""
    body = match(ext={"rerank": {"query_context": {"query_text": "blue"}}})
    decision = plan(call(body, headers=(("X-Rerank", "on"),)), DEFAULTS)
    assert isinstance(decision, Skip)
    assert (json.dumps(body), JSON) == (decision.call.text, decision.call.headers)


# --- the caller's settings ----------------------------------------------------------------------------------


def test_headers_win_over_the_body_and_both_over_the_policy() -> None:
    """From the widest to the narrowest."""
    body = match(ext={"rerank": {"window": 20, "fusion": "rrf"}})
    options = planned(call(body, headers=(("X-Rerank-Window", "30"),)), RerankOptions(window=10, explain=True)).options
    assert (options.window, options.fusion, options.explain, options.insist) == (30, "rrf", True, True)


@pytest.mark.parametrize("rerank", ["on", 3, [], True])
def test_ext_rerank_must_be_an_object(rerank: Any) -> None:
    """The error shows what was there."""
    with pytest.raises(BadRerankRequest, match=r"ext\.rerank must be an object, not "):
        plan(call(match(ext={"rerank": rerank})), DEFAULTS)


def test_ext_rerank_null_says_nothing() -> None:
    """As for any other setting; and it does not reach the engine, which knows no such extension."""
    found = planned(call(match(ext={"rerank": None})))
    assert not found.options.insist
    assert "rerank" not in found.call.text


# --- words and fields ---------------------------------------------------------------------------------------


def test_the_query_says_words_and_fields() -> None:
    """A title-like field goes first, then the query's order."""
    body = {"query": {"multi_match": {"query": "blue sky", "fields": ["body^2", "Title.english", "tags"]}}}
    found = planned(call(body))
    assert (found.query, found.fields) == ("blue sky", ("Title.english", "body", "tags"))


def test_the_url_s_q_wins_over_the_body() -> None:
    """As the engines have it; `df` names its field."""
    found = planned(call(match("green"), target="/_search?q=blue+sky&df=body"))
    assert (found.query, found.fields) == ("blue sky", ("body",))
    assert planned(call(match("green"), target="/_search?q=blue")).fields == ("*",)


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        (RerankOptions(fields=("body", "title")), ("body", "title")),
        (RerankOptions(template="{title}: {body} ({title})"), ("title", "body")),
        (RerankOptions(fields=("a",), template="{a}"), ("a",)),
        (RerankOptions(query_text="words"), ("text",)),
    ],
)
def test_options_say_fields(options: RerankOptions, fields: tuple[str, ...]) -> None:
    """In their own order, which is the operator's."""
    assert fields == planned(call(match()), options).fields


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("body", "title"), ("title", "body")),
        (("body", "doc.name", "title"), ("title", "body", "doc.name")),
        (("body", "subtitles"), ("body", "subtitles")),
        ((), ()),
    ],
)
def test_title_first(fields: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """One title-like field goes to the front, the others keep their order."""
    assert expected == title_first(fields)


# --- pages --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "target", "window", "expected"),
    [
        ({}, "/_search", 100, (0, DEFAULT_SIZE, 100, False)),
        ({"from": 20, "size": 5}, "/_search", 100, (20, 5, 100, False)),
        ({"from": 95, "size": 20}, "/_search", 100, (95, 20, 115, False)),
        ({"from": 100, "size": 10}, "/_search", 100, (100, 10, 110, True)),
        ({"from": 9_990}, "/_search", 100, (9_990, 10, MAX_RESULT_WINDOW, True)),
        ({"size": 500}, "/_search", 100, (0, 500, 500, False)),
        ({"from": 3, "size": 3}, "/_search?from=7&size=1", 5, (7, 1, 8, True)),
    ],
)
def test_what_is_fetched(body: dict[str, Any], target: str, window: int, expected: tuple[int, int, int, bool]) -> None:
    """max(window, from + size), at most the engine's result window."""
    found = planned(call(match(**body), target=target), RerankOptions(window=window))
    assert expected == (found.offset, found.size, found.fetched, found.is_beyond_window)


# --- widening -----------------------------------------------------------------------------------------------


def widened(body: str, target: str = "/_search", extra: tuple[str, ...] = (), window: int = 50) -> SearchRequest:
    """Return the first-stage request of a search."""
    request = search(body, target=target)
    original = parse(request)
    return write(widen(planned(original, RerankOptions(window=window)), extra), original=original, request=request)


QUERY = '"query" : {"match":{"text":"blue"}}'


@pytest.mark.parametrize(
    ("body", "extra", "expected"),
    [
        (f"{{{QUERY}}}", (), f'{{"size":50,{QUERY}}}'),
        (f'{{{QUERY}, "size":5}}', (), f'{{{QUERY}, "size":50}}'),
        (f'{{{QUERY}, "size":50}}', (), f'{{{QUERY}, "size":50}}'),
        (f'{{"from" : 10, {QUERY}}}', (), f'{{"size":50,"from" : 0, {QUERY}}}'),
        (f'{{"from" : 0, {QUERY}}}', (), f'{{"size":50,"from" : 0, {QUERY}}}'),
        (f'{{"from":45,"size":10,{QUERY}}}', (), f'{{"from":0,"size":55,{QUERY}}}'),
        (f"{{{QUERY}}}", ("text",), f'{{"size":50,"fields":["text"],{QUERY}}}'),
        (
            f'{{"fields":["a",{{"field":"d","format":"yyyy"}}],{QUERY}}}',
            ("text",),
            f'{{"size":50,"fields":["a", {{"field": "d", "format": "yyyy"}}, "text"],{QUERY}}}',
        ),
        (f'{{{QUERY}, "ext":{{"rerank":{{}}}}}}', (), f'{{"size":50,{QUERY}}}'),
    ],
)
def test_widening_changes_the_named_settings_and_nothing_else(body: str, extra: tuple[str, ...], expected: str) -> None:
    """`from`, `size`, and `fields` where text is asked for; every other byte is the caller's."""
    assert expected == widened(body, extra=extra).body.decode()


def test_widening_in_the_url() -> None:
    """Settings of the URL are changed there, others go into the body."""
    request = widened(f"{{{QUERY}}}", "/books/_search?from=5&size=7&x=%zz", ("text",))
    assert request.target == "/books/_search?from=0&size=50&x=%zz"
    assert f'{{"fields":["text"],{QUERY}}}' == request.body.decode()


def test_widening_a_filter() -> None:
    """What we need is shown beside what the caller sees, in its place."""
    request = widened(f'{{{QUERY},"size":50}}', "/books/_search?filter_path=hits.hits._id,took&x=%zz")
    more = "timed_out%2C_shards.failed%2Chits.hits._score%2Chits.hits.fields%2Chits.hits._id%2Chits.hits._index"
    assert request.target == f"/books/_search?filter_path=hits.hits._id%2Ctook%2C{more}&x=%zz"


def test_a_filter_of_highlights_is_left_alone_where_they_count() -> None:
    """Nobody knows whether they are shown."""
    target = "/books/_search?filter_path=hits"
    body = {"ext": {"rerank": {"text_from": "highlight"}}}
    assert SkipReason.FILTER_PATH is reason(call(match(**body), target=target))
    assert reason(call(match(), target=target)) is None


def test_a_filter_of_an_msearch_has_other_paths() -> None:
    """They are left alone."""
    (item,) = multi_search.parse(msearch({}, match(), target="/_msearch?filter_path=-took"))
    assert item.call is not None
    assert SkipReason.FILTER_PATH is reason(item.call)


def test_a_search_as_wide_as_the_window_is_sent_as_it_is() -> None:
    """Nothing is written anew where nothing has to change."""
    request = search(f'{{{QUERY}, "size" : 5e1 }}')
    original = parse(request)
    assert request is write(widen(planned(original, RerankOptions(window=50)), ()), original=original, request=request)


@given(st.integers(0, 200), st.integers(1, 200), st.integers(1, 100))
def test_what_is_scored_does_not_depend_on_the_page(offset: int, size: int, window: int) -> None:
    """A page within the window asks for the same first stage as any other; a longer one for a longer prefix."""
    found = planned(call(match(**{"from": offset, "size": size})), RerankOptions(window=window))
    sent = widen(found, ())
    assert (0, max(window, offset + size)) == (sent.setting("from") or 0, sent.setting("size"))


# --- what the caller gets of its own accord -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "target", "expected"),
    [
        ({}, "/_search", ()),
        ({"fields": ["a", {"field": "b*"}]}, "/_search", ("a", "b*")),
        ({"stored_fields": "a"}, "/_search", ("a",)),
        (
            {"stored_fields": ["a"], "docvalue_fields": [{"field": "b"}], "script_fields": {"c": {}}},
            "/_search",
            ("a", "b", "c"),
        ),
        ({}, "/_search?stored_fields=a,b&docvalue_fields=c", ("a", "b", "c")),
        ({"fields": [3, {"format": "x"}]}, "/_search", ()),
    ],
)
def test_own_fields(body: dict[str, Any], target: str, expected: tuple[str, ...]) -> None:
    """Every setting by which a hit gets a `fields` member counts."""
    assert expected == planned(call(match(**body), target=target)).own_fields


@pytest.mark.parametrize(
    ("body", "target", "expected"),
    [
        ({}, "/_search", True),
        ({"_source": True}, "/_search", True),
        ({"_source": False}, "/_search", False),
        ({"_source": ["a"]}, "/_search", False),
        ({"_source": {"excludes": ["v"]}}, "/_search", False),
        ({"stored_fields": "_none_"}, "/_search", False),
        ({}, "/_search?_source=false", False),
        ({}, "/_search?_source_includes=a", False),
        ({}, "/_search?stored_fields=a", False),
        ({"fields": ["a"]}, "/_search", True),
        ({}, "/_search?filter_path=hits.hits._source", True),
        ({}, "/_search?filter_path=-took", True),
        ({}, "/_search?filter_path=", True),
        ({}, "/_search?filter_path=hits.hits._id", False),
        ({}, "/_search?filter_path=-hits.hits._source.v", False),
    ],
)
def test_has_whole_source(body: dict[str, Any], target: str, expected: bool) -> None:
    """Any filter of `_source` may hide the text."""
    assert expected is planned(call(match(**body), target=target)).has_whole_source


def test_a_plan_is_a_value() -> None:
    """Two plans of one search are equal."""
    found = planned(call(match()))
    assert found == planned(call(match()))
    assert found != replace(found, size=3)

"""Steps 1 and 2 for a whole request."""

import json
from typing import Any

import pytest

from connectors.base import SearchRequest
from sidecar import searches
from sidecar.errors import BadRerankRequest, SchedulerFull
from sidecar.plan import Plan
from sidecar.policy import IndexPolicy, Policy
from sidecar.searches import Decision, Left, Refused, Search, decide
from sidecar.types import Operation, SkipReason
from tests.unit.doubles import JSON, NDJSON, ScriptedEngine, call, match, msearch, search

OURS = (("X-Rerank-Explain", "on"), ("x-rerank-window", "5"))
BOOKS_ONLY = Policy(
    policies=(
        IndexPolicy(indices=("books",), overrides={"window": 7}),
        IndexPolicy(indices=("*",), overrides={"enabled": False}),
    )
)


def read(request: SearchRequest, policy: Policy | None = None) -> Search:
    """Return the request's searches with their decisions."""
    operation = Operation.MSEARCH if "_msearch" in request.target else Operation.SEARCH
    return searches.read(operation, request, policy or Policy(), ScriptedEngine())


def reasons(of: Search) -> list[str | None]:
    """Return the reason of each search's marker."""
    return [marker.reason for marker in of.markers({})]


# --- one search ---------------------------------------------------------------------------------------------


def test_a_search_to_rerank_has_a_plan_and_an_exchange() -> None:
    """The forwarded form has lost our headers."""
    found = read(search(match(), headers=OURS))
    assert [0] == list(found.plans)
    assert (False, True, None) == (found.is_left_alone, found.exchange is not None, found.refusal)
    assert JSON == found.request.headers
    assert (5, True) == (found.plans[0].options.window, found.plans[0].options.explain)


def test_a_search_left_alone_is_the_callers_own_request() -> None:
    """The same object where nothing was said to us."""
    request = search({"query": {"match_all": {}}}, target="/a%2Cb/_search?x=%zz")
    found = read(request)
    assert request is found.request
    assert (True, ["no_free_text"]) == (found.is_left_alone, reasons(found))


def test_what_was_said_to_us_is_taken_out_of_a_search_left_alone() -> None:
    """Headers and `ext.rerank`; the engine would refuse the latter."""
    body = '{"query": {"match_all":{}}, "ext":{"rerank":{"window":5}} }'
    found = read(search(body, headers=OURS))
    assert b'{"query": {"match_all":{}} }' == found.request.body
    assert (*JSON, ("Content-Length", "28")) == found.request.headers


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (search("{"), "unparsable"),
        (search('{"a":1}x'), "unparsable"),
        (SearchRequest(method="POST", target="/_search", headers=JSON, body=b"\xff"), "unparsable"),
        (
            SearchRequest(method="POST", target="/_search", headers=(*JSON, ("Content-Encoding", "br")), body=b"x"),
            "unparsable",
        ),
        (search("size: 1", headers=()), "unparsable"),
        (search({}, target="/_search?format=yaml"), "not_json"),
        (msearch({}, target="/_msearch?format=yaml"), "not_json"),
        (SearchRequest(method="POST", target="/_msearch", headers=NDJSON, body=b"{}\n"), "unparsable"),
    ],
)
def test_a_request_that_cannot_be_read_is_left_to_the_engine(request_: SearchRequest, reason: str) -> None:
    """With the caller's own bytes, less our headers."""
    found = read(request_)
    assert request_ is found.request
    assert (True, [reason]) == (found.is_left_alone, reasons(found))


def test_settings_that_make_no_sense_are_refused() -> None:
    """There is nothing to ask the engine then."""
    found = read(search(match(), headers=(("X-Rerank-Window", "0"),)))
    assert found.refusal is not None
    assert isinstance(found.refusal.error, BadRerankRequest)
    assert (False, ["bad_request"]) == (found.is_left_alone, reasons(found))
    assert JSON == found.request.headers


def test_the_policy_of_the_index_decides() -> None:
    """By the index expression of the path."""
    assert 7 == read(search(match()), BOOKS_ONLY).plans[0].options.window
    assert ["off"] == reasons(read(search(match(), target="/films/_search"), BOOKS_ONLY))


# --- several searches ---------------------------------------------------------------------------------------


def test_each_item_of_an_msearch_has_its_decision() -> None:
    """By its own index and body."""
    request = msearch(
        {"index": "books"},
        match(),
        {"index": "films"},
        match(),
        {},
        {"query": {"match_all": {}}},
        target="/books/_msearch",
    )
    found = read(request, BOOKS_ONLY)
    assert ([0], [1, 2]) == (list(found.plans), list(found.others))
    assert ["engine_error", "off", "no_free_text"] == reasons(found)
    assert found.refusal is None
    assert request is found.request


def test_one_bad_item_does_not_touch_its_siblings() -> None:
    """Neither a body that cannot be read nor settings that make no sense."""
    bad = {"ext": {"rerank": {"window": 0}}, **match()}
    request = SearchRequest(
        method="POST",
        target="/_msearch",
        headers=NDJSON,
        body=b"{}\nx\n{}\n" + json.dumps(bad).encode() + b"\n{}\n" + json.dumps(match()).encode() + b"\n",
    )
    found = read(request)
    assert [Left, Refused, Plan] == [type(decision) for _, decision in sorted(found.decisions.items())]
    assert ([2], [1]) == (list(found.plans), list(found.refused))
    assert ["unparsable", "bad_request", "engine_error"] == reasons(found)
    assert b"{}\nx\n{}\n" + json.dumps(match()).encode() + b"\n{}\n" + json.dumps(match()).encode() + b"\n" == (
        found.request.body
    )


def test_headers_hold_for_all_items() -> None:
    """They cannot be said of one."""
    found = read(msearch({}, match(), {}, match(), headers=OURS))
    assert [5, 5] == [plan.options.window for plan in found.plans.values()]
    assert NDJSON == found.request.headers


def test_an_empty_msearch_is_the_engines() -> None:
    """It will refuse it."""
    request = SearchRequest(method="POST", target="/_msearch", headers=NDJSON)
    found = read(request)
    assert (True, ["unparsable"]) == (found.is_left_alone, reasons(found))
    assert request is found.request


# --- one decision -------------------------------------------------------------------------------------------


def test_decide_keeps_the_bare_call_of_a_refusal() -> None:
    """An item of an _msearch is sent along so that answers stay in step."""
    body: dict[str, Any] = {**match(), "ext": {"rerank": {"fusion": "best"}}}
    found = decide(call(body, headers=OURS), Policy())
    assert isinstance(found, Refused)
    assert found.call is not None
    assert (json.dumps(match()), JSON) == (found.call.text, found.call.headers)


def test_markers_are_those_found_or_those_decided() -> None:
    """In the order of the items; a plan of which nothing is known met an error of the engine."""
    decisions: dict[int, Decision] = {
        1: Refused(call=None, error=SchedulerFull("full")),
        0: Refused(call=None, error=BadRerankRequest("bad")),
    }
    found = Search(operation=Operation.MSEARCH, original=search(), request=search(), decisions=decisions)
    assert ["skipped; reason=bad_request", "degraded; reason=scheduler_full"] == [str(m) for m in found.markers({})]


def test_left_for_leaves_what_was_to_be_reranked() -> None:
    """What was left before keeps its own reason."""
    found = read(msearch({}, match(), {}, {"query": {"match_all": {}}})).left_for(SkipReason.TOO_LARGE)
    assert (True, ["too_large", "no_free_text"]) == (found.is_left_alone, reasons(found))

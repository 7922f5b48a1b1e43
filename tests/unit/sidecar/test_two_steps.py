"""Heavy hits: when they come in two steps, and what the two requests say."""

import json
from dataclasses import replace
from typing import Any

import pytest

from connectors.base import Hit
from sidecar import answer
from sidecar.answer import Reply
from sidecar.plan import Plan
from sidecar.two_steps import ONE_STEP_BYTES, HitWeights, page, read_page, slim, text_only, without_inner_hits
from sidecar.types import RerankOptions
from tests.unit.doubles import a_plan, call

HEAVY: dict[str, Any] = {
    "highlight": {"fields": {"text": {}}},
    "script_fields": {"s": {"script": "1"}},
    "explain": True,
    "_source": ["text"],
    "fields": ["n"],
    "stored_fields": ["n"],
    "docvalue_fields": ["n"],
    "version": True,
}


def hits(*ids: str, weight: int = 100, index: str = "books") -> list[answer.HitText]:
    """Return hits of an answer, each of about `weight` bytes."""
    found = [{"_index": index, "_id": id, "_source": {"text": "x" * weight}} for id in ids]
    return list(answer.parse(json.dumps({"hits": {"hits": found}})).hits)


def views(*ids: str, index: str = "books") -> list[Hit]:
    """Return views of hits in first-stage order."""
    return [each.hit for each in hits(*ids, index=index)]


def of(**settings: Any) -> Plan:
    """Return a plan."""
    return a_plan(**settings)


# --- when ---------------------------------------------------------------------------------------------------


def test_unknown_hits_count_as_heavy_until_a_page_was_seen() -> None:
    """The first search of an index is slim; light hits then come in one request, heavy ones do not."""
    weights = HitWeights()
    assert weights.wants_two_steps(of())
    weights.learn(of(), hits("1", "2", weight=100))
    assert not weights.wants_two_steps(of())
    weights.learn(of(), hits("1", weight=ONE_STEP_BYTES // 50))
    assert weights.wants_two_steps(of())


def test_each_view_of_an_index_has_its_own_weight() -> None:
    """A filtered source says nothing about the whole one."""
    weights = HitWeights()
    weights.learn(of(_source=["title"]), hits("1"))
    assert not weights.wants_two_steps(of(_source=["title"]))
    assert weights.wants_two_steps(of())


def test_nothing_is_learned_from_nothing() -> None:
    """An empty page has no weight."""
    weights = HitWeights()
    weights.learn(of(), [])
    assert weights.wants_two_steps(of())


@pytest.mark.parametrize("key", ["highlight", "script_fields", "explain"])
def test_what_costs_the_engine_work_is_asked_for_the_page_alone(key: str) -> None:
    """However light the hits are."""
    weights = HitWeights()
    weights.learn(of(**{key: HEAVY[key]}), hits("1"))
    assert weights.wants_two_steps(of(**{key: HEAVY[key]}))


def test_inner_hits_are_asked_for_the_page_alone() -> None:
    """They stand somewhere in the query."""
    query = {"nested": {"path": "c", "inner_hits": {}, "query": {"match": {"c.text": "x"}}}}
    weights = HitWeights()
    weights.learn(of(query=query), hits("1"))
    assert weights.wants_two_steps(of(query=query))


@pytest.mark.parametrize(
    "plan",
    [
        of(size=100),
        of(size=5, options=RerankOptions(window=5)),
        of(**{"from": 100}),
        of(options=RerankOptions(fetch="once")),
        of(stored_fields="_none_"),
        of(stored_fields=["_none_"]),
        of(rescore={"query": {}}),
        of(terminate_after=5),
        of(pit={"id": "x"}),
    ],
)
def test_one_request_where_two_would_not_do(plan: Plan) -> None:
    """The window is no wider than the page, or a filter on ids would change what is found."""
    assert not HitWeights().wants_two_steps(plan)


def test_a_policy_can_ask_for_two_requests() -> None:
    """Whatever the hits weigh."""
    weights = HitWeights()
    twice = of(options=RerankOptions(fetch="twice"))
    weights.learn(twice, hits("1"))
    assert weights.wants_two_steps(twice)


# --- the first request --------------------------------------------------------------------------------------


def test_the_first_request_asks_for_text_alone() -> None:
    """Of the whole window; what is no matter of single hits stays."""
    plan = of(**HEAVY, size=5, aggs={"a": {"max": {"field": "n"}}}, **{"from": 5})
    assert {
        "query": {"match": {"text": "blue sky"}},
        "aggs": {"a": {"max": {"field": "n"}}},
        "from": 0,
        "size": 100,
        "_source": False,
        "fields": ["text"],
    } == json.loads(slim(plan, ["text"]).text)


def test_text_that_an_answer_lacks_is_asked_for_alone() -> None:
    """Without what the answer has already; inner hits that cannot be taken out stay."""
    plan = of(**HEAVY, size=5, aggs={}, aggregations={}, suggest={}, profile=True, min_score=1)
    query = {"match": {"text": "blue sky"}}
    assert {
        "query": query,
        "min_score": 1,
        "from": 0,
        "size": 100,
        "_source": False,
        "fields": ["all"],
    } == json.loads(text_only(plan, ["all"]).text)
    twice = '{"nested":{"inner_hits":{},"inner_hits":{},"path":"a","query":{}}}'
    plan = replace(of(), call=call(f'{{"query":{twice},"aggs":{{}}}}'))
    assert text_only(plan, ["all"]).text.endswith(f'"query":{twice}}}')


def test_inner_hits_are_taken_out_wherever_they_stand() -> None:
    """And nothing else is."""
    text = (
        '{"query":{"bool":{"must":[{"nested":{"path":"a","inner_hits":{"size":1},"query":{"match":{"a.b":"x"}}}},'
        '{"nested":{"inner_hits":{},"path":"c","query":{"term":{"inner":1}}}}]}},"size":1E+1}'
    )
    assert (
        '{"query":{"bool":{"must":[{"nested":{"path":"a","query":{"match":{"a.b":"x"}}}},'
        '{"nested":{"path":"c","query":{"term":{"inner":1}}}}]}},"size":1E+1}'
    ) == without_inner_hits(text)


# --- the second request -------------------------------------------------------------------------------------


def test_the_second_request_is_the_callers_own_for_these_hits() -> None:
    """Without what the first answer has already."""
    plan = of(**HEAVY, size=5, aggs={}, suggest={}, profile=True, **{"from": 5})
    body = json.loads(page(plan, views("3", "1")).text)
    assert {"bool": {"filter": [{"ids": {"values": ["3", "1"]}}]}} == body.pop("post_filter")
    assert {"query": {"match": {"text": "blue sky"}}, **HEAVY, "from": 0, "size": 2} == body


def test_the_callers_own_filter_stays() -> None:
    """Byte for byte, beside ours."""
    plan = Plan(
        call=call('{"query":{"match":{"text":"x"}},"post_filter":{"term":{"n":1E+2}}}'),
        query="x",
        fields=("text",),
        options=RerankOptions(),
        offset=0,
        size=10,
    )
    assert (
        '"post_filter":{"bool":{"filter":[{"term":{"n":1E+2}},{"ids": {"values": ["1"]}}]}}'
        in page(plan, views("1")).text
    )


def test_hits_of_several_indices_are_asked_for_by_both_names() -> None:
    """Ids repeat across indices."""
    body = json.loads(page(of(), [*views("1"), *views("1", "2", index="films")]).text)
    (only,) = body["post_filter"]["bool"]["filter"]
    assert [
        {"bool": {"filter": [{"term": {"_index": "books"}}, {"ids": {"values": ["1"]}}]}},
        {"bool": {"filter": [{"term": {"_index": "films"}}, {"ids": {"values": ["1", "2"]}}]}},
    ] == only["bool"]["should"]


def reply(*ids: str, status: int = 200, **members: Any) -> Reply:
    """Return the answer to the second request."""
    found = [{"_index": "books", "_id": id} for id in ids]
    return Reply(status, json.dumps({**members, "hits": {"hits": found}}))


def test_hits_are_found_by_their_identity() -> None:
    """In whatever order they come."""
    full = read_page(reply("1", "3", "2"), views("3", "1"))
    assert full is not None
    assert {1: "3", 2: "1"} == {rank: each.hit.hit.id for rank, each in full.items()}


@pytest.mark.parametrize(
    "answered",
    [
        reply("1"),
        reply("1", "3", status=400),
        reply("1", "3", _shards={"failed": 1}),
        reply("1", "3", timed_out=True),
        Reply(200, "no JSON"),
    ],
)
def test_a_page_that_is_not_whole_is_none(answered: Reply) -> None:
    """Somebody deleted a document, or the engine failed in part."""
    assert read_page(answered, views("3", "1")) is None


def test_hits_that_cannot_be_told_apart_are_none() -> None:
    """Two documents with one id, on two shards."""
    assert read_page(reply("1", "1"), views("1", "1")) is None


def test_a_key_twice_is_the_engines_to_refuse() -> None:
    """It cannot be taken out."""
    text = '{"query":{"nested":{"inner_hits":{},"inner_hits":{},"path":"c","query":{"match":{"c.text":"x"}}}}}'
    plan = Plan(call=call(text), query="x", fields=("c.text",), options=RerankOptions(fetch="twice"), offset=0, size=10)
    assert not HitWeights().wants_two_steps(plan)

"""Step 3: asking the engine, once, twice where a widening was refused, and putting the answer together."""

from typing import Any

import pytest

from connectors.base import SearchRequest, SearchResponse, header
from sidecar.first_stage import FirstStage, ManySearches, OneSearch, Reply, Unusable, WholeAnswer, run
from sidecar.plan import Plan, plan
from sidecar.requests import multi_search, search_call
from sidecar.text_fields import TextFields
from sidecar.two_steps import HitWeights
from sidecar.types import RerankOptions, SkipReason
from tests.unit.doubles import ScriptedEngine, answer_with, error_with, match, msearch, search

FAILED_SHARD = '{"_shards":{"failed":1},"hits":{"hits":[{"_source":{"text":"a"}},{"_source":{"text":"b"}}]}}'


async def staged(
    engine: ScriptedEngine, request: SearchRequest, **options: Any
) -> tuple[FirstStage | Unusable, OneSearch]:
    """Return the first stage of a search, and its exchange."""
    call = search_call.parse(request)
    planned = plan(call, RerankOptions(**options))
    assert isinstance(planned, Plan)
    exchange = OneSearch(engine, request, call)
    return (await run({0: planned}, {}, exchange, TextFields(engine), HitWeights()))[0], exchange


# --- one search ---------------------------------------------------------------------------------------------


async def test_a_first_stage_has_hits_and_knows_its_fields() -> None:
    """Those that count, and those that were added to the request."""
    stage, _ = await staged(ScriptedEngine("a", "b"), search(match(_source=False)))
    assert isinstance(stage, FirstStage)
    assert (("text",), ("text",), [1, 2]) == (stage.fields, stage.extra_fields, [hit.rank for hit in stage.hits])


@pytest.mark.parametrize("body", [match(size=5), match(size=5, **{"from": 0})], ids=["as wide", "from 0"])
@pytest.mark.parametrize("status", [400, 404, 500])
async def test_a_search_that_was_not_widened_is_not_asked_twice(body: dict[str, Any], status: int) -> None:
    """The engine has judged the caller's own bytes."""
    engine = ScriptedEngine(override=lambda *_: error_with(status))
    stage, _ = await staged(engine, search(body), window=5)
    assert isinstance(stage, Unusable)
    assert (SkipReason.ENGINE_ERROR, status, 1) == (stage.reason, stage.reply.status, len(engine.searches))


async def test_a_search_that_was_not_widened_may_fail_in_part() -> None:
    """What the engine found for the caller's own bytes is the first stage."""
    engine = ScriptedEngine(override=lambda *_: answer_with(FAILED_SHARD))
    stage, _ = await staged(engine, search(match(size=5)), window=5)
    assert isinstance(stage, FirstStage)
    assert 1 == len(engine.searches)


async def test_a_widened_search_that_fails_in_part_is_asked_again() -> None:
    """And the second answer stands, whatever it is."""
    engine = ScriptedEngine(override=lambda *_: answer_with(FAILED_SHARD))
    request = search(match())
    stage, exchange = await staged(engine, request)
    assert isinstance(stage, Unusable)
    assert (SkipReason.WIDENING_REFUSED, [request]) == (stage.reason, engine.searches[1:])
    assert FAILED_SHARD.encode() == exchange.answer({0: stage.reply}).body


async def test_an_answer_gets_other_text_and_status() -> None:
    """Headers stay but for the length; a reason belongs to its status."""
    engine = ScriptedEngine("a", "b")
    _, exchange = await staged(engine, search(match()))
    same = exchange.answer({0: Reply(200, "{}")})
    assert (200, "OK", b"{}", "2") == (same.status, same.reason, same.body, header(same.headers, "content-length"))
    other = exchange.answer({0: Reply(500, "{}")})
    assert (500, "") == (other.status, other.reason)


async def test_what_is_asked_aside_leaves_no_trace() -> None:
    """Neither in the headers of the answer nor in the first status."""
    engine = ScriptedEngine("a", "b", override=lambda _, body: error_with(400) if body.get("size") == 7 else None)
    _, exchange = await staged(engine, search(match()))
    before = exchange.answer({0: Reply(200, "{}")})
    replies = await exchange.ask({0: search_call.parse(search(match(size=7)))}, is_aside=True)
    assert (400, before) == (replies[0].status, exchange.answer({0: Reply(200, "{}")}))
    assert 200 == exchange.first_status(0)


async def test_bytes_that_are_no_text_are_the_whole_answer() -> None:
    """There is nothing to splice."""
    engine = ScriptedEngine(override=lambda *_: answer_with(b"\xff"))
    with pytest.raises(WholeAnswer, match="the engine answered 200") as raised:
        await staged(engine, search(match()))
    assert b"\xff" == raised.value.response.body


# --- many searches ------------------------------------------------------------------------------------------


def many(engine: ScriptedEngine, request: SearchRequest) -> tuple[ManySearches, list[Any]]:
    """Return the exchange of an _msearch, and the calls of its items."""
    items = multi_search.parse(request)
    return ManySearches(engine, request, items), [item.call for item in items]


async def test_items_are_asked_together_and_answered_by_index() -> None:
    """Some of them again, alone; the answer is the first one with other texts in it."""
    engine, request = ScriptedEngine("a"), msearch({}, match(), {}, match("sky"))
    exchange, calls = many(engine, request)
    replies = await exchange.ask(dict(enumerate(calls)))
    assert [200, 200] == [reply.status for reply in replies.values()]
    again = await exchange.ask({1: calls[1]})
    assert ([1], replies[1]) == (list(again), again[1])
    assert [4, 2] == [asked.body.count(b"\n") for asked in engine.msearches]
    whole = exchange.answer({1: Reply(200, "{}")})
    assert whole.body.startswith(b'{"took":1,"responses":[{"took":3')
    assert whole.body.endswith(b',"status":200},{}]}')


async def test_each_item_has_its_first_status() -> None:
    """Whatever it was when it was sent again."""
    engine = ScriptedEngine(
        "a", override=lambda _, body: error_with(404) if body["query"]["match"]["text"] == "sky" else None
    )
    exchange, calls = many(engine, msearch({}, match(), {}, match("sky")))
    await exchange.ask(dict(enumerate(calls)))
    await exchange.ask({1: calls[0]})
    assert [200, 404] == [exchange.first_status(index) for index in (0, 1)]


async def test_an_answer_without_other_texts_is_the_engines() -> None:
    """The same object."""
    exchange, calls = many(ScriptedEngine("a"), msearch({}, match()))
    await exchange.ask(dict(enumerate(calls)))
    assert exchange.answer({}) is exchange.answer({})


@pytest.mark.parametrize("answer", [error_with(400), answer_with("x"), answer_with('{"responses":[{},{}]}')])
async def test_another_answer_is_the_whole_answer(answer: SearchResponse) -> None:
    """An error for the request, no JSON, or another number of items."""

    class Whole(ScriptedEngine):
        async def msearch(self, request: SearchRequest) -> SearchResponse:
            return answer

    exchange, calls = many(Whole(), msearch({}, match()))
    with pytest.raises(WholeAnswer):
        await exchange.ask(dict(enumerate(calls)))

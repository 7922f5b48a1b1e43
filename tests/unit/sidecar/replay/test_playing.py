"""Searches sent to both arms: which, in what order, how fast, and what is kept of them."""

import asyncio
from typing import Any

import pytest

from connectors.base import SearchRequest, SearchResponse
from connectors.errors import EngineTimeout
from sidecar.errors import ModelFailed
from sidecar.policy import IndexPolicy, Policy
from sidecar.replay.playing import TROUBLE, Pace, Player, Replayed, Unchanged, for_everybody, play_all
from sidecar.replay.recorded import Found, Recorded, search
from sidecar.types import RerankOptions
from tests.unit.doubles import FailingScorer, ScriptedEngine, ScriptedScorer, error_with
from tests.unit.sidecar.replay.replays import SCORES, asked, engine, policy, recording


def player(on: ScriptedEngine | None = None, depth: int | None = None, **options: Any) -> Player:
    """Return a player of a policy that is tried on nobody."""
    return Player(on or engine(), ScriptedScorer(SCORES), policy(**options), {}, depth)


async def played(found: Found, on: Player, *, is_engine_first: bool = True) -> Replayed | Unchanged:
    """Return what becomes of a search."""
    return await on.play(Recorded(request=found.request), is_engine_first=is_engine_first)


async def test_both_arms_answer_the_caller_s_page() -> None:
    """Reranked as the policy would for everybody, though it is tried on nobody."""
    found = await played(asked(size=3), player(window=4))
    assert isinstance(found, Replayed)
    assert ["1", "2", "3"] == [hit.id for hit in found.before]
    assert ["3", "4", "2"] == [hit.id for hit in found.after]
    assert ("text a", "text <c>") == (found.before[0].text, found.after[0].text)
    assert ("blue sky", "default", 4, "scripted") == (found.query, found.policy, found.candidates, found.model_name)


@pytest.mark.parametrize("is_engine_first", [True, False])
async def test_the_arms_take_turns_in_being_first(is_engine_first: bool) -> None:
    """The engine gets the caller's own search, and a wider one."""
    on = engine()
    await played(asked(size=2), player(on, window=4, fetch="once"), is_engine_first=is_engine_first)
    sizes = [2, 4] if is_engine_first else [4, 2]
    assert sizes == [body["size"] for body in on.bodies]


async def test_with_a_depth_the_rankings_are_compared() -> None:
    """From the first hit on, whatever page was asked for."""
    found = await played(asked(size=1, **{"from": 2}), player(depth=4))
    assert isinstance(found, Replayed)
    assert ["1", "2", "3", "4"] == [hit.id for hit in found.before]
    assert ["3", "4", "2", "1"] == [hit.id for hit in found.after]


async def test_a_ranking_that_depends_on_its_size_keeps_it() -> None:
    """A kNN search for more hits would be another search."""
    on = engine()
    vector = {"field": "v", "query_vector": [1], "k": 2, "num_candidates": 10}
    await played(asked(size=2, knn=vector), player(on, depth=50))
    assert {2} == {body["size"] for body in on.bodies}


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (asked(sort=["price"]), "sort"),
        (asked(index="off"), "off"),
        (asked(index=".kibana"), "system_index"),
        (Found(request=search("books", {"query": {"match_all": {}}})), "no_free_text"),
        (Found(request=search("books", {"query": {"match": {"text": "sky"}}}, [("scroll", "1m")])), "scroll"),
    ],
)
async def test_what_is_left_alone_is_not_sent(found: Found, reason: str) -> None:
    """Nothing would change, and a scroll would leave something behind."""
    on = engine()
    result = await played(found, player(on))
    assert isinstance(result, Unchanged)
    assert (reason, False, []) == (result.reason, result.has_failed, on.searches)


async def test_what_turns_out_to_be_left_alone() -> None:
    """After the engine's answer: one hit alone, a page behind the window."""
    few = await played(asked(), player(ScriptedEngine("alone")))
    beyond = await played(asked(**{"from": 3}), player(window=2))
    assert isinstance(few, Unchanged)
    assert isinstance(beyond, Unchanged)
    assert ("few_hits", "beyond_window") == (few.reason, beyond.reason)


async def test_settings_of_the_request_do_not_reach_the_engine() -> None:
    """`ext.rerank` is ours, also in the arm that is not reranked."""
    on = engine()
    found = await played(asked(ext={"rerank": {"window": 2}}), player(on))
    assert isinstance(found, Replayed)
    assert 2 == found.candidates
    assert not any("ext" in body for body in on.bodies)
    refused = await played(asked(ext={"rerank": {"windw": 2}}), player(on))
    assert isinstance(refused, Unchanged)
    assert ("bad_request", True) == (refused.reason, refused.has_failed)


async def test_a_window_is_scored_to_the_end_and_what_is_late_is_said() -> None:
    """As `observe` does: the deadline decides about the window and nothing else."""

    class Slow(ScriptedScorer):
        async def score(self, query: str, texts: Any, *, deadline: float | None = None) -> list[float]:
            assert deadline is None
            await asyncio.sleep(0.01)
            return await super().score(query, texts)

    slow = Player(engine(), Slow(SCORES), policy(), {})
    found = await played(asked(ext={"rerank": {"deadline_ms": 5}}), slow)
    assert isinstance(found, Replayed)
    assert (4, True) == (found.candidates, found.is_late)


async def test_failures_are_no_figures() -> None:
    """Neither the scorer's nor the engine's."""
    failing = Player(engine(), FailingScorer(ModelFailed("by order")), policy(), {})
    model = await played(asked(), failing)
    refusing = ScriptedEngine(*SCORES, override=lambda request, body: error_with(400))
    refused = await played(asked(), player(refusing))
    for found, reason in ((model, "model"), (refused, "engine: 400 scripted")):
        assert isinstance(found, Unchanged)
        assert (reason, True) == (found.reason, found.has_failed)
    assert isinstance(refused, Unchanged)
    assert "by order" == refused.said


class Away(ScriptedEngine):
    """An engine that does not answer."""

    async def search(self, request: SearchRequest) -> SearchResponse:
        """Wait in vain."""
        raise EngineTimeout("no answer")


@pytest.mark.parametrize("on", [Away(), ScriptedEngine("a", override=lambda request, body: error_with(429))])
async def test_an_engine_in_trouble_is_left_alone(on: ScriptedEngine) -> None:
    """After so many failures in a row; what was played until then is kept."""
    recorded = recording(*(asked(f"blue {number}") for number in range(20))).searches
    found, why = await play_all(player(on), recorded, Pace(0), concurrency=1, stop=asyncio.Event())
    assert TROUBLE - 1 == len(found)
    assert why is not None
    assert why.startswith(f"the engine failed {TROUBLE} times in a row: ")


async def test_a_failure_now_and_then_ends_nothing() -> None:
    """The row is broken by an answer."""
    count = 0

    def every_other(request: SearchRequest, body: Any) -> SearchResponse | None:
        nonlocal count
        count += 1
        return error_with(503) if body["query"]["match"]["text"].endswith("bad") else None

    recorded = recording(*(asked(f"{number} {word}") for number in range(12) for word in ("good", "bad"))).searches
    found, why = await play_all(
        player(ScriptedEngine(*SCORES, override=every_other)), recorded, Pace(0), concurrency=1, stop=asyncio.Event()
    )
    assert (24, None) == (len(found), why)


async def test_it_can_be_interrupted() -> None:
    """What is in hand is finished, and the results stay in their order."""
    stop = asyncio.Event()
    recorded = recording(*(asked(f"blue {number}") for number in range(9))).searches

    def third(request: SearchRequest, body: Any) -> SearchResponse | None:
        if body["query"]["match"]["text"] == "blue 2":
            stop.set()
        return None

    found, why = await play_all(
        player(ScriptedEngine(*SCORES, override=third)), recorded, Pace(0), concurrency=1, stop=stop
    )
    assert (3, "it was interrupted") == (len(found), why)
    assert list(recorded[:3]) == [each.recorded for each in found]


async def test_no_more_than_so_many_are_in_hand() -> None:
    """However many there are."""
    in_hand, most = 0, 0

    class Counting(ScriptedEngine):
        async def search(self, request: SearchRequest) -> SearchResponse:
            nonlocal in_hand, most
            in_hand += 1
            most = max(most, in_hand)
            await asyncio.sleep(0)
            in_hand -= 1
            return await super().search(request)

    recorded = recording(*(asked(f"blue {number}") for number in range(20))).searches
    await play_all(player(Counting(*SCORES)), recorded, Pace(0), concurrency=3, stop=asyncio.Event())
    assert 3 == most


async def test_the_pace_is_kept() -> None:
    """By a clock of the test's: one search a step, and no burst after a slow one."""
    now, slept = 100.0, []

    async def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(round(seconds, 6))
        now += seconds

    pace = Pace(4, now=lambda: now, sleep=sleep)
    for _ in range(3):
        await pace.turn()
    now += 10
    await pace.turn()
    await pace.turn()
    assert [0.25, 0.25, 0.25] == slept
    free = Pace(0, now=lambda: now, sleep=sleep)
    for _ in range(3):
        await free.turn()
    assert 3 == len(slept)


async def test_hits_without_a_text_are_shown_by_their_ids() -> None:
    """A caller that wants no source gets none here, either."""
    found = await played(asked(_source=False), player())
    assert isinstance(found, Replayed)
    assert [("1", "")] == [(hit.id, hit.text) for hit in found.before[:1]]


def test_a_policy_that_is_tried_is_tried_on_everybody() -> None:
    """Its own settings, too: neither observing, nor a share, nor a page of two rankings, nor an error in its place."""
    tried = IndexPolicy(
        indices=("books",),
        overrides={"mode": "observe", "percent": 5.0, "interleave": "team_draft", "on_failure": "error", "window": 7},
    )
    defaults = RerankOptions(mode="observe", percent=0.0, interleave="team_draft", on_failure="error", explain=True)
    everybody = for_everybody(Policy(defaults=defaults, policies=(tried,)))
    for index, window in (("books", 7), ("other", 100)):
        options = everybody.options(index)
        who = (options.mode, options.percent, options.interleave, options.on_failure, options.explain)
        assert ("apply", 100.0, "off", "first_stage", False) == who
        assert window == options.window


async def test_one_search_that_is_reranked_is_sent_before() -> None:
    """What is left alone warms nothing up, and what comes after need not."""
    on = engine()
    searches = recording(asked(sort=["price"]), asked("first", size=2), asked("second", size=2)).searches
    await player(on, window=4, fetch="once").warm_up(searches)
    assert [("first", 2), ("first", 4)] == [(body["query"]["match"]["text"], body["size"]) for body in on.bodies]

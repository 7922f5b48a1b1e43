"""Searches that are only observed, on real engines: callers get the engine's bytes, and what is found out is right."""

import asyncio
import math
import os
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import aiohttp
import pytest

from connectors.detect import connect
from sidecar.experiments import overlap
from sidecar.policy import Policy
from sidecar.replay.playing import Pace, Player, Unchanged, play_all
from sidecar.replay.recorded import Recorded, search
from sidecar.types import Observation, Outcome, RerankOptions
from tests.integration.books import BOOKS, put_documents
from tests.integration.proxies import LastFirst, ShortestFirst, proxied
from tests.integration.wire import Answer, same_but_time, send, untimed

TEA = {"match": {"body": "tea"}}
SEARCHES: Mapping[str, tuple[str, Any]] = {
    "as it is": ("", {"query": TEA}),
    "a page": ("?pretty", {"query": TEA, "from": 3, "size": 4}),
    "_source false": ("", {"query": TEA, "_source": False}),
    "fields": ("", {"query": TEA, "fields": ["title"], "_source": ["n"]}),
    "highlight": ("", {"query": TEA, "highlight": {"fields": {"body": {}}}}),
    "aggregations": ("?track_total_hits=true", {"query": TEA, "aggs": {"shelves": {"terms": {"field": "shelf"}}}}),
    "filter_path": ("?filter_path=hits.hits._id", {"query": TEA}),
    "an error": ("", {"query": {"match": {"body": {"query": "tea", "operator": "nor"}}}}),
}


class Observed:
    """A proxy that only observes, and what it has found out."""

    def __init__(self, url: str) -> None:
        """Nothing yet."""
        self.url = url
        self.found: asyncio.Queue[Observation] = asyncio.Queue()

    async def next(self) -> Observation:
        """Wait for the next observation."""
        async with asyncio.timeout(20):
            return await self.found.get()


@pytest.fixture
async def observed(engine_url: str) -> AsyncIterator[Observed]:
    """A proxy whose scorer likes short texts."""
    observed = Observed("")
    settings: dict[str, Any] = {"mode": "observe", "deadline": 0.0, "window": BOOKS}
    async with proxied(engine_url, ShortestFirst(), compare=observed.found.put_nowait, **settings) as observed.url:
        yield observed


async def ask(url: str, index: str, name: str, **headers: str) -> Answer:
    """Send one of the searches."""
    parameters, body = SEARCHES[name]
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return await send(url, "POST", f"/{index}/_search{parameters}", body=body, headers=named)


@pytest.mark.parametrize("name", SEARCHES)
async def test_callers_get_the_engine_s_bytes(engine_url: str, library: str, observed: Observed, name: str) -> None:
    """But for `took` and the marker, whatever of ours the request has; errors, too."""
    direct = await ask(engine_url, library, name)
    ours = await ask(observed.url, library, name, X_Rerank_Window="7")
    assert "observed" == ours.marker
    assert same_but_time(direct) == same_but_time(ours)
    found = await observed.next()
    assert (Outcome.SKIPPED if name == "an error" else Outcome.APPLIED) is found.outcome


async def test_the_figures_are_those_of_the_two_answers(engine_url: str, library: str, observed: Observed) -> None:
    """As if both had been sent and compared."""
    body = {"query": TEA, "size": BOOKS}
    direct = await send(engine_url, "POST", f"/{library}/_search", body=body)
    await send(observed.url, "POST", f"/{library}/_search", body=body)
    found = await observed.next()
    async with proxied(engine_url, ShortestFirst(), deadline=0.0, window=BOOKS) as applied:
        reranked = await send(applied, "POST", f"/{library}/_search", body=body)
    assert direct.ids != reranked.ids
    assert (overlap.jaccard(direct.ids, reranked.ids), overlap.rbo(direct.ids, reranked.ids)) == (
        found.jaccard,
        found.rbo,
    )
    assert [direct.ids[rank - 1] for rank in found.top] == reranked.ids[:10]


async def test_a_template_is_the_engine_s(opensearch_url: str, index_name: str) -> None:
    """Rendered by the engine for the answer, and once more to be looked at."""
    put_documents(opensearch_url, index_name, [{"body": "tea " * (n + 1)} for n in range(5)])
    queue: asyncio.Queue[Observation] = asyncio.Queue()
    body = {"source": {"query": {"match": {"body": "{{words}}"}}, "size": 3}, "params": {"words": "tea"}}
    target = f"/{index_name}/_search/template"
    direct = await send(opensearch_url, "POST", target, body=body)
    async with proxied(opensearch_url, ShortestFirst(), mode="observe", deadline=0.0, compare=queue.put_nowait) as url:
        ours = await send(url, "POST", target, body=body)
        async with asyncio.timeout(20):
            found = await queue.get()
    assert "observed" == ours.marker
    assert same_but_time(direct) == same_but_time(ours)
    assert (Outcome.APPLIED, "tea") == (found.outcome, found.query)


async def test_an_msearch_is_the_engine_s(engine_url: str, library: str) -> None:
    """Each item is observed."""
    queue: asyncio.Queue[Observation] = asyncio.Queue()
    lines: list[Mapping[str, Any]] = []
    for name in ("as it is", "highlight"):
        lines += [{"index": library}, SEARCHES[name][1]]
    direct = await send(engine_url, "POST", "/_msearch", body=lines)
    async with proxied(engine_url, LastFirst(), mode="observe", deadline=0.0, compare=queue.put_nowait) as url:
        ours = await send(url, "POST", "/_msearch", body=lines)
        async with asyncio.timeout(20):
            found = [await queue.get() for _ in range(2)]
    assert "observed, observed" == ours.marker
    assert same_but_time(direct) == same_but_time(ours)
    assert [Outcome.APPLIED] * 2 == [each.outcome for each in found]
    assert [found[0].hits] * 2 == [each.top[0] for each in found]


MANY = int(os.environ.get("RERANK_OBSERVE_SEARCHES", "150"))
"""Searches on each engine; `make observe` sends 10,000."""

AT_ONCE = 8


def any_search() -> tuple[str, Mapping[str, Any]]:
    """Return the URL parameters and the body of a search like those that people send."""
    words = random.choices(["tea", "leaves", "water", "green", "black", "about", f"word{random.randrange(30)}"], k=3)
    text = " ".join(words[: random.randint(1, 3)])
    query = random.choice(
        [
            {"match": {"body": text}},
            {"multi_match": {"query": text, "fields": ["title^2", "body"]}},
            {
                "bool": {
                    "must": {"match": {"body": text}},
                    "filter": {"term": {"shelf": f"shelf-{random.randrange(3)}"}},
                }
            },
            {"query_string": {"query": text}},
        ]
    )
    view = random.choice(list(SEARCHES.values())[:-1])[1]
    page = random.choice([{}, {"size": random.randint(1, 20)}, {"from": random.randint(0, 20), "size": 5}])
    return random.choice(["", "?pretty", "?preference=_local"]), {**view, **page, "query": query}


@pytest.mark.timeout(600 if MANY > 1000 else 60)
async def test_many_searches_are_the_engine_s_to_the_byte(engine_url: str, library: str) -> None:
    """But for `took`, while a tenth of them are looked at; and what was seen is what a replay of the same finds."""
    found: list[Observation] = []
    settings: dict[str, Any] = {"mode": "observe", "observe_percent": 10.0, "deadline": 0.0}
    searches = iter([any_search() for _ in range(MANY)])
    same = 0

    async def compare(session: aiohttp.ClientSession, url: str) -> None:
        nonlocal same
        for parameters, body in searches:
            told = []
            for each in (engine_url, url):
                async with session.post(f"{each}/{library}/_search{parameters}", json=body) as answer:
                    headers = [pair for pair in answer.headers.items() if pair[0].lower() not in HEADERS]
                    told.append((answer.status, headers, untimed(await answer.read())))
            assert "observed" == answer.headers["X-Rerank"]
            assert told[0] == told[1]
            same += 1

    async with (
        proxied(engine_url, ShortestFirst(), compare=found.append, **settings) as url,
        aiohttp.ClientSession() as session,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(AT_ONCE):
            group.create_task(compare(session, url))
    assert MANY == same
    assert abs(len(found) - 0.1 * MANY) < 4 * math.sqrt(0.09 * MANY)
    looked = [each for each in found if each.outcome is not None]
    assert looked
    await check_by_replay(engine_url, looked)


async def check_by_replay(engine_url: str, seen: Sequence[Observation]) -> None:
    """Check what was observed against both arms' answers to the same searches."""
    policy = Policy(defaults=RerankOptions(deadline=0.0))
    async with await connect(engine_url) as engine:
        player = Player(engine, ShortestFirst(), policy, {}, depth=policy.defaults.window)
        requests = [search(each.index, each.body, each.params) for each in seen]
        recorded = [Recorded(request=request) for request in requests]
        played, ended = await play_all(player, recorded, Pace(0), concurrency=4, stop=asyncio.Event())
        assert ended is None
    for observed, replayed in zip(seen, played, strict=True):
        if isinstance(replayed, Unchanged):
            assert (Outcome.SKIPPED, replayed.reason) == (observed.outcome, observed.reason)
            continue
        before, after = [hit.key for hit in replayed.before], [hit.key for hit in replayed.after]
        assert (observed.jaccard, observed.rbo) == (overlap.jaccard(before, after), overlap.rbo(before, after))
        assert (observed.has_other_top, observed.hits) == (before[0] != after[0], len(before))
        assert [before[rank - 1] for rank in observed.top] == after[:10]


HEADERS = frozenset({"x-rerank", "content-length", "connection", "keep-alive", "transfer-encoding"})
"""Ours, what follows `took`, and framing."""

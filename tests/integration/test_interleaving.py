"""Interleaved pages over real engines: hits with the engine's bytes, pages that fit together, clicks in an index."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch
from opensearchpy import AsyncOpenSearch

from connectors.detect import connect
from sidecar.experiments.click_token import ClickTokens
from sidecar.experiments.event_index import EventIndex
from sidecar.experiments.event_store import EventsNotKept
from sidecar.policy import Policy
from sidecar.types import InterleaveMethod, RerankOptions
from tests.integration.books import BOOKS, call
from tests.integration.pages import RawPage, differences
from tests.integration.proxies import ShortestFirst, proxied
from tests.integration.wire import Answer, send
from tests.unit.sidecar.experiments.clicks import a_click

TEA = {"match": {"body": "tea"}}
METHODS: tuple[InterleaveMethod, ...] = ("team_draft", "balanced")
WINDOW = 12
TOKENS = ClickTokens("a key for the tests of pages")


async def page(url: str, index: str, offset: int, size: int, user: str = "7", **more: Any) -> Answer:
    """Return a page of a user's search."""
    body = {"query": TEA, "from": offset, "size": size, **more}
    return await send(url, "POST", f"/{index}/_search", body=body, headers={"X-User-Id": user})


@pytest.fixture(params=METHODS)
async def interleaved(request: pytest.FixtureRequest, engine_url: str) -> AsyncIterator[str]:
    """A proxy that interleaves with what likes short texts."""
    options = {"interleave": request.param, "window": WINDOW, "deadline": 0.0}
    policy = Policy(defaults=RerankOptions(**options))
    async with proxied(engine_url, ShortestFirst(), policy=policy, tokens=TOKENS) as url:
        yield url


@pytest.mark.parametrize("size", [1, 5, 8])
async def test_pages_fit_together(engine_url: str, library: str, interleaved: str, size: int) -> None:
    """Within the window, across its end and behind it: each hit once, and behind it the engine's order."""
    direct = await page(engine_url, library, 0, BOOKS)
    whole = await page(interleaved, library, 0, BOOKS)
    pages = [await page(interleaved, library, offset, size) for offset in range(0, len(direct.ids), size)]
    shown = [hit for answer in pages for hit in answer.ids]
    assert whole.ids == shown
    assert sorted(direct.ids) == sorted(shown)
    assert len(shown) == len(set(shown))
    assert direct.ids[WINDOW:] == shown[WINDOW:]


@pytest.mark.parametrize(
    "more", [{}, {"_source": ["title"]}, {"highlight": {"fields": {"body": {}}}}, {"explain": True}]
)
async def test_hits_keep_the_engine_s_bytes(
    engine_url: str, library: str, interleaved: str, more: dict[str, Any]
) -> None:
    """But for `_score`, which falls; what is around them is the engine's, too."""
    everything = await page(engine_url, library, 0, BOOKS, **more)
    for offset in (0, 5, 10):
        own = await page(engine_url, library, offset, 5, **more)
        ours = await page(interleaved, library, offset, 5, **more)
        found = RawPage(ours.body)
        assert [] == differences(ours.body, own.body, everything.body, found.ids)
        assert found.scores == sorted(found.scores, reverse=True)


async def test_a_token_tells_of_the_page(library: str, interleaved: str) -> None:
    """Each hit by its `_id`."""
    answer = await page(interleaved, library, 3, 6)
    assert answer.marker.startswith("applied; interleaved=")
    told = TOKENS.read(answer.marker.split("token=")[1])
    assert [4, 5, 6, 7, 8, 9] == [TOKENS.place(told, hit, None).position for hit in answer.ids]


async def test_the_official_client_gets_its_usual_answer(elasticsearch_url: str, index_name: str) -> None:
    """With the token in the headers that it shows."""
    for number in range(6):
        call(
            elasticsearch_url, "PUT", f"/{index_name}/_doc/{number}?refresh", {"body": "tea " + "x" * (7 * number % 5)}
        )
    options = {"interleave": "team_draft", "deadline": 0.0}
    policy = Policy(defaults=RerankOptions(**options))  # type: ignore[arg-type]  # as a file has them
    async with (
        proxied(elasticsearch_url, ShortestFirst(), policy=policy, tokens=TOKENS) as url,
        AsyncElasticsearch(url) as client,
    ):
        answer = await client.search(index=index_name, query=TEA)
    assert {str(number) for number in range(6)} == {hit["_id"] for hit in answer["hits"]["hits"]}
    assert {"_index", "_id", "_score", "_source"} == set(answer["hits"]["hits"][0])
    told = TOKENS.read(answer.meta.headers["X-Rerank"].split("token=")[1])
    assert [hit["_id"] for hit in answer["hits"]["hits"]] != sorted(hit["_id"] for hit in answer["hits"]["hits"])
    assert 6 == len(told.places)


async def test_opensearch_py_gets_its_usual_answer(opensearch_url: str, index_name: str) -> None:
    """Which shows no headers: the body says the token where that was asked for, and nothing else is new."""
    for number in range(6):
        call(opensearch_url, "PUT", f"/{index_name}/_doc/{number}?refresh", {"body": "tea " + "x" * (7 * number % 5)})
    policy = Policy(defaults=RerankOptions(interleave="balanced", deadline=0.0))
    async with proxied(opensearch_url, ShortestFirst(), policy=policy, tokens=TOKENS) as url:
        client = AsyncOpenSearch(url)
        try:
            answer = await client.search(index=index_name, body={"query": TEA})
            asked = await client.search(index=index_name, body={"query": TEA}, headers={"X-Rerank-Token": "true"})
        finally:
            await client.close()
    assert {"took", "timed_out", "_shards", "hits"} == set(answer)
    assert {*answer, "ext"} == set(asked)
    assert 6 == len(TOKENS.read(asked["ext"]["rerank"]["token"]).places)
    assert {str(number) for number in range(6)} == {hit["_id"] for hit in answer["hits"]["hits"]}


# --- clicks in an index -------------------------------------------------------------------------------------


async def test_clicks_are_kept_in_an_index(engine_url: str, index_name: str) -> None:
    """Made with the first one; each event once; and counted over all its pages."""
    async with await connect(engine_url) as engine:
        store = EventIndex(engine, index_name)
        clicks = [a_click(event_id=str(n), search=str(n)) for n in range(20)]
        assert 20 == await store.append(clicks)
        assert 1 == await EventIndex(engine, index_name).append([*clicks, a_click(event_id="20", search="20")])
        [found] = await store.preferences()
        assert (21, 21) == (found.wins, found.clicks)
    mapping = call(engine_url, "GET", f"/{index_name}/_mapping")[index_name]["mappings"]["properties"]
    assert ("date", "keyword", "integer") == tuple(
        mapping[name]["type"] for name in ("@timestamp", "search", "position")
    )


async def test_an_index_that_takes_nothing_is_said(engine_url: str, index_name: str) -> None:
    """Nothing is acknowledged."""
    call(engine_url, "PUT", f"/{index_name}", {"settings": {"index.blocks.write": True}})
    async with await connect(engine_url) as engine:
        with pytest.raises(EventsNotKept, match="blocked"):
            await EventIndex(engine, index_name).append([a_click()])

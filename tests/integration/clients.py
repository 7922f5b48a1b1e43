"""The official clients, and the same call made through each of them, at the engine itself and through the proxy.

Its one law: a client is what its package gives, with another URL. Retries are off, so that none hides a failure.
"""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from types import AsyncGeneratorType, GeneratorType
from typing import Any

import elasticsearch
import opensearchpy
from elastic_transport import ApiResponse

from tests.integration.books import BOOKS, book

Call = Callable[[Any, str], Any]
"""What is asked of a client, given an index name: one answer, or a generator function that yields several in turn."""
Steps = Generator[Any, Any, None]
"""What such a function makes: it is sent each answer as the client gives it."""

OURS = frozenset({"x-rerank", "server-timing"})
FRAMING = frozenset({"content-length", "transfer-encoding", "connection"})
CHANGING = frozenset(
    {"took", "_scroll_id", "scroll_id", "pit_id", "id", "creation_time", "creation_date", "uuid", "stack_trace"}
)
"""Members whose values differ between two equal calls."""


@dataclass(frozen=True)
class Client:
    """One official client: its class, and whether it is asynchronous."""

    make: Callable[..., Any]
    is_async: bool


ELASTICSEARCH = (
    Client(elasticsearch.Elasticsearch, is_async=False),
    Client(elasticsearch.AsyncElasticsearch, is_async=True),
)
OPENSEARCH = (
    Client(opensearchpy.OpenSearch, is_async=False),
    Client(opensearchpy.AsyncOpenSearch, is_async=True),
)


async def answers(client: Client, url: str, call: Call, index: str = "", **settings: Any) -> list[Any]:
    """Return what the client gives for the steps of a call, as plain values. `settings` are the client's own.

    A synchronous client runs in a thread, with a loop of that thread's own that nothing else waits for.
    """
    asked = _answers(client, url, call, index, settings)
    return await asked if client.is_async else await asyncio.to_thread(asyncio.run, asked)


async def answer(client: Client, url: str, call: Call, index: str = "", **settings: Any) -> Any:
    """Return what the client gives for a call of one step."""
    (only,) = await answers(client, url, call, index, **settings)
    return only


async def outcome(client: Client, url: str, call: Call, index: str = "", **settings: Any) -> Any:
    """Return what the client gives or, of what it raises, its class, its words and what the engine answered."""
    try:
        return await answers(client, url, call, index, **settings)
    except elasticsearch.ApiError as raised:
        facts = {"status": raised.meta.status, "headers": _headers(raised.meta.headers), "body": raised.body}
        return {"class": type(raised).__name__, "words": str(raised), **facts}
    except opensearchpy.TransportError as raised:
        facts = {"status": raised.status_code, "error": raised.error, "body": raised.info}
        return {"class": type(raised).__name__, "words": str(raised), **facts}


async def failure(client: Client, url: str, call: Call, index: str = "", **settings: Any) -> dict[str, Any]:
    """Return what the client raises."""
    found = await outcome(client, url, call, index, **settings)
    assert isinstance(found, dict), f"no error but {found}"
    return found


async def _answers(client: Client, url: str, call: Call, index: str, settings: dict[str, Any]) -> list[Any]:
    opened = client.make(url, max_retries=0, **settings)
    try:
        if not inspect.isgeneratorfunction(call):
            return [_plain(await _settled(call(opened, index)))]
        return await _steps(call(opened, index))
    finally:
        await _settled(opened.close())


async def _steps(steps: Steps) -> list[Any]:
    given: Any = None
    found: list[Any] = []
    while True:
        try:
            step = steps.send(given)
        except StopIteration:
            return found
        given = await _settled(step)
        found.append(_plain(given))


async def _settled(value: Any) -> Any:
    """Return what a synchronous or an asynchronous client gives, complete."""
    if isinstance(value, Awaitable):
        return await value
    if isinstance(value, AsyncGeneratorType):
        return [item async for item in value]
    return list(value) if isinstance(value, GeneratorType) else value


def _plain(value: Any) -> Any:
    """Return an answer as values that compare: of elasticsearch-py with status and headers, which it shows."""
    if isinstance(value, ApiResponse):
        return {"status": value.meta.status, "headers": _headers(value.meta.headers), "body": value.body}
    return value


def _headers(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items() if name.lower() not in FRAMING}


# --- comparing ----------------------------------------------------------------------------------------------


def comparable(given: Any, index: str = "") -> Any:
    """Return an answer without what differs between two equal calls, and without our headers.

    `index` is the name that this side's index has; it becomes the same on both.
    """
    if isinstance(given, dict):
        return {
            comparable(key, index): "…" if key in CHANGING else comparable(value, index)
            for key, value in given.items()
            if key not in OURS
        }
    if isinstance(given, list | tuple):
        return [comparable(value, index) for value in given]
    return given.replace(index, "<index>") if isinstance(given, str) and index else given


def without_order(search: Any) -> tuple[Any, dict[str, Any]]:
    """Split the answer to a search into what reranking leaves as it is: all but the hits, and the hits by `_id`."""
    outer = {key: value for key, value in search.items() if key != "hits"}
    inner = {key: value for key, value in search["hits"].items() if key not in {"hits", "max_score"}}
    hits = {hit["_id"]: {key: value for key, value in hit.items() if key != "_score"} for hit in search["hits"]["hits"]}
    return comparable([outer, inner]), hits


def ids(search: Any) -> list[str]:
    """Return the `_id`s of a search's hits in their order."""
    return [hit["_id"] for hit in search["hits"]["hits"]]


def shortest_first(*fields: str, among: Sequence[int] = range(BOOKS)) -> list[str]:
    """Return the `_id`s of the library's books in the order that `ShortestFirst` gives to the text of `fields`."""
    lengths = {str(n): len(" ".join(json.loads(book(n))[name] for name in fields)) for n in among}
    assert len(set(lengths.values())) == len(lengths), "two texts are equally long"
    return sorted(lengths, key=lambda name: lengths[name])


def assert_reranked(direct: Any, proxied: Any, expected: Sequence[str]) -> None:
    """Check the answer to one search: the scorer's order, scores that fit it, and all the rest as the engine has it."""
    assert list(expected) == ids(proxied)
    assert list(expected) != ids(direct), "the engine has this order, too: nothing is shown"
    scores = [hit["_score"] for hit in proxied["hits"]["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert proxied["hits"]["max_score"] == scores[0]
    assert all(1 < score <= 2 for score in scores)
    assert without_order(direct) == without_order(proxied)

"""What is asked of a server under load: rerank calls or searches, each with its right answer.

The right answer is what the server itself says when it is asked alone; under load the same must come back. (That scores
are right at all is `benchmarks/accuracy.py`'s to say.)
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from benchmarks.calls import Answer, Call, Client, ranking
from benchmarks.open_loop import Sender
from benchmarks.workload import Search

TOLERANCE = {"fp32": 1e-4, "bf16": 2e-2, "fp16": 2e-3}
"""By how much a score may differ that was computed in other company."""

INDEX = "rerank-sidecar-benchmark"

Ranked = list[tuple[Any, float]]


class NoRightAnswer(Exception):
    """A server did not answer as it must even when it was asked alone."""


def rerank_calls(searches: Sequence[Search], path: str = "/v1/rerank") -> list[Call]:
    """Return calls of the rerank API, in the words that Cohere, Jina, vLLM and Infinity share."""
    return [call("POST", path, _rerank_body(search)) for search in searches]


def search_calls(searches: Sequence[Search], size: int) -> list[Call]:
    """Return searches for `size` hits of the benchmark's index."""
    bodies = [{"query": {"match": {"text": search.query}}, "size": size} for search in searches]
    return [call("POST", f"/{INDEX}/_search", json.dumps(body).encode()) for body in bodies]


def call(method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Call:
    """Return a call of which any answer will do."""
    return Call(method=method, path=path, body=body, headers={"Content-Type": kind}, check=lambda answer: "")


async def with_right_answers(client: Sender, calls: Sequence[Call], tolerance: float) -> list[Call]:
    """Ask each call alone and return them with judges who want the same again.

    Raises:
        NoRightAnswer: one is not answered properly.
    """
    judged = []
    for asked in calls:
        answer = await client.send(asked)
        if isinstance(answer, str) or answer.status != 200:
            raise NoRightAnswer(answer if isinstance(answer, str) else f"{answer.status} {answer.body[:300]!r}")
        read = _hits if asked.path.endswith("/_search") else _results
        expected = dict(read(answer))
        judged.append(replace(asked, check=_judge(read, expected, tolerance)))
    return judged


@asynccontextmanager
async def indexed(client: Client, searches: Sequence[Search]) -> AsyncIterator[None]:
    """Put the texts of searches into an index of an engine, and delete it afterwards."""
    texts = dict.fromkeys(text for search in searches for text in search.texts)
    lines = "".join(
        f'{{"index":{{"_id":"{number}"}}}}\n{json.dumps({"text": text})}\n' for number, text in enumerate(texts)
    )
    path = f"/{INDEX}"
    try:
        answer = await client.send(call("POST", f"{path}/_bulk?refresh=true", lines.encode(), "application/x-ndjson"))
        if isinstance(answer, str) or answer.status != 200 or answer.json["errors"]:
            raise NoRightAnswer(f"the engine took no documents: {answer}"[:500])
        yield
    finally:
        await client.send(call("DELETE", path))


def _rerank_body(search: Search) -> bytes:
    return json.dumps({"model": "benchmark", "query": search.query, "documents": search.texts}).encode()


def _results(answer: Answer) -> Ranked:
    return [(result["index"], result["relevance_score"]) for result in answer.json["results"]]


def _hits(answer: Answer) -> Ranked:
    marker = answer.headers.get("X-Rerank", "none")
    if marker.partition(";")[0] != "applied":
        raise NoRightAnswer(f"the marker is {marker}")
    return [(hit["_id"], hit["_score"]) for hit in answer.json["hits"]["hits"]]


def _judge(
    read: Callable[[Answer], Ranked], expected: Mapping[Any, float], tolerance: float
) -> Callable[[Answer], str]:
    def check(answer: Answer) -> str:
        if answer.status != 200:
            return f"status {answer.status}"
        try:
            return ranking(read(answer), expected, tolerance)
        except NoRightAnswer as error:
            return str(error)

    return check

"""The rerank API without HTTP: status, body, headers, order."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from sidecar.errors import (
    ModelFailed,
    RerankUnavailable,
    SchedulerFull,
    ScorerLost,
    ScorerStarting,
    ScoringTimeout,
)
from sidecar.rerank_api import dialects
from sidecar.rerank_api.api import RerankApi, RerankLimits
from sidecar.scoring.base import ModelFacts
from sidecar.scoring.scripted import parse
from sidecar.scoring.splitting import Spans
from tests.unit.sidecar.scoring.doubles import FACTS

BODY = json.dumps({"query": "q", "documents": ["a", "b", "c"]}).encode()


class Unavailable:
    """A scorer that cannot score."""

    def __init__(self, error: RerankUnavailable, *, is_describable: bool = True) -> None:
        """Raise `error` from score, and from describe unless it is describable."""
        self.error = error
        self.is_describable = is_describable

    def describe(self) -> ModelFacts:
        """Return facts or raise."""
        if self.is_describable:
            return FACTS
        raise self.error

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Raise."""
        raise self.error

    async def aclose(self) -> None:
        """Nothing to close."""


async def test_documents_are_reranked() -> None:
    """200 with results and an id of its own."""
    api = RerankApi(parse("test:identity"))
    reply, again = await api.rerank(BODY), await api.rerank(BODY)
    answer = json.loads(reply.body)
    assert (reply.status, reply.headers, answer["model"]) == (200, (), "test:identity")
    assert [result["index"] for result in answer["results"]] == [0, 1, 2]
    assert answer["id"] != json.loads(again.body)["id"]


async def test_no_documents_have_no_results() -> None:
    """An empty list is not an error."""
    reply = await RerankApi(parse("test:identity")).rerank(b'{"query": "q", "documents": []}')
    assert (reply.status, json.loads(reply.body)["results"]) == (200, [])


async def test_a_bad_call_is_400_with_the_field() -> None:
    """In the shape that clients read."""
    reply = await RerankApi(parse("test:identity"), RerankLimits(max_documents=2)).rerank(BODY)
    error = json.loads(reply.body)["error"]
    assert (reply.status, error["type"], error["param"]) == (400, "invalid_request_error", "documents")
    assert "the limit is api.max_documents" in error["message"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SchedulerFull("busy"), 429),
        (ScorerStarting("loading"), 503),
        (ScorerLost("gone"), 503),
        (ModelFailed("broken"), 503),
        (ScoringTimeout("late"), 504),
    ],
)
@pytest.mark.parametrize("is_describable", [True, False])
async def test_an_unavailable_scorer_has_its_status(
    error: RerankUnavailable, status: int, is_describable: bool
) -> None:
    """Full is 429, late 504, the rest 503; all say when to come again."""
    reply = await RerankApi(Unavailable(error, is_describable=is_describable)).rerank(BODY)
    body = json.loads(reply.body)
    assert reply.status == status
    assert dict(reply.headers) == {"Retry-After": "1"}
    assert (body["message"], body["error"]["code"]) == (str(error), error.reason)


async def test_a_deadline_bounds_a_call() -> None:
    """A stalled scorer is 504."""
    reply = await RerankApi(parse("test:stalled"), deadline=0.01).rerank(BODY)
    assert reply.status == 504


async def test_cancelling_cancels_the_scoring() -> None:
    """A client that goes away leaves nothing behind."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await RerankApi(parse("test:stalled")).rerank(BODY)


class Firsts:
    """A scorer whose score is the code of a text's first letter; it splits texts into words."""

    def describe(self) -> ModelFacts:
        """Return facts."""
        return FACTS

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Score."""
        return [float(ord(text[0])) for text in texts]

    async def split(self, texts: Sequence[str], *, tokens: int, overlap: int) -> list[Spans]:
        """Split at spaces."""
        return [[match.span() for match in re.finditer(r"\S+", text)] for text in texts]

    async def aclose(self) -> None:
        """Nothing to close."""


async def ranked(**fields: Any) -> list[tuple[int, float]]:
    """Return the raw results of a call with these fields."""
    body = {"query": "q", "documents": ["b", "a", "c", "b"], "raw_scores": True, **fields}
    answer = json.loads((await RerankApi(Firsts()).rerank(json.dumps(body).encode())).body)
    return [(result["index"], result["relevance_score"]) for result in answer["results"]]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [(2, 99.0), (0, 98.0), (3, 98.0), (1, 97.0)]),
        ({"top_n": 2}, [(2, 99.0), (0, 98.0)]),
        ({"top_n": 100}, [(2, 99.0), (0, 98.0), (3, 98.0), (1, 97.0)]),
        ({"sort": "input"}, [(0, 98.0), (1, 97.0), (2, 99.0), (3, 98.0)]),
        ({"sort": "input", "top_n": 2}, [(0, 98.0), (2, 99.0)]),
        ({"documents": ["a d", "b c", "a"], "max_chunks_per_doc": 2}, [(0, 100.0), (1, 99.0), (2, 97.0)]),
        ({"documents": ["a b d", "b c", "a"], "max_chunks_per_doc": 2}, [(1, 99.0), (0, 98.0), (2, 97.0)]),
    ],
)
async def test_the_best_come_first(fields: dict[str, Any], expected: list[tuple[int, float]]) -> None:
    """Equal ones in the order of the documents; of several passages the best counts."""
    assert expected == await ranked(**fields)


async def test_probabilities_follow_the_kind_of_model() -> None:
    """A cosine is not a logit."""

    class Cosine(Firsts):
        def describe(self) -> ModelFacts:
            return replace(FACTS, kind="cosine")

        async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
            return [0.5 for _ in texts]

    body = json.dumps({"query": "q", "documents": ["a"]}).encode()
    replies = [await RerankApi(scorer).rerank(body) for scorer in (Firsts(), Cosine())]
    assert [1.0, 0.75] == [json.loads(reply.body)["results"][0]["relevance_score"] for reply in replies]


async def test_a_call_that_cannot_be_read_is_refused_in_the_dialect_of_its_path() -> None:
    """There is nothing else to go by."""
    reply = await RerankApi(Firsts()).rerank(b"{", choose=lambda fields: dialects.TEI)
    assert (422, "Validation") == (reply.status, json.loads(reply.body)["error_type"])


async def test_an_unavailable_scorer_speaks_the_callers_dialect() -> None:
    """TEI's words for a full one."""
    body = json.dumps({"query": "q", "texts": ["a"]}).encode()
    reply = await RerankApi(Unavailable(SchedulerFull("busy"))).rerank(body)
    assert (429, {"error": "busy", "error_type": "Overloaded"}) == (reply.status, json.loads(reply.body))

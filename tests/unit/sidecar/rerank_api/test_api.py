"""`POST /v1/rerank`, without HTTP: status, body, headers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from sidecar.errors import (
    ModelFailed,
    RerankUnavailable,
    SchedulerFull,
    ScorerLost,
    ScorerStarting,
    ScoringTimeout,
)
from sidecar.rerank_api.api import RerankApi, RerankLimits
from sidecar.scoring.base import ModelFacts
from sidecar.scoring.scripted import parse
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
    assert "the limit is max_documents" in error["message"]


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

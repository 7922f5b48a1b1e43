"""What the page is told, and that it is told nothing else."""

import json
from typing import Any

import pytest

from connectors.base import header
from sidecar.errors import ModelFailed, ScorerLost
from sidecar.playground.endpoints import ABOUT_PATH, TRAFFIC_PATH, Example, Playground
from sidecar.program import wiring
from sidecar.program.config import load
from sidecar.proxy.endpoints import EndpointRequest
from sidecar.scoring.figures import Figures
from sidecar.types import Operation, Outcome, RerankOptions, SearchRecord
from tests.unit.doubles import FailingScorer, ScriptedEngine, ScriptedScorer


def playground(**changes: Any) -> Playground:
    """Return a playground, with `changes`."""
    given: dict[str, Any] = {
        "version": "1.2.3",
        "engine": lambda: "scripted engine",
        "scorer": ScriptedScorer(),
        "options": RerankOptions(window=50, deadline=0.25),
    }
    return Playground(**{**given, **changes})


async def get(path: str, found: Playground) -> Any:
    """Return the JSON that is answered, which no cache may keep."""
    answer = await found.endpoints()["GET", path](EndpointRequest(method="GET", path=path, headers=(), body=b""))
    assert "no-store" == header(answer.headers, "Cache-Control")
    return json.loads(answer.body)


async def test_the_page_learns_what_runs_here() -> None:
    """Names, the model's facts, the defaults of a request."""
    about = await get(ABOUT_PATH, playground())
    assert ("1.2.3", "scripted engine", "scripted") == (about["version"], about["engine"], about["model"]["name"])
    assert {"enabled": True, "window": 50, "fusion": "auto", "weight": None, "deadline_ms": 250} == about["defaults"]
    assert [] == about["examples"]


async def test_a_model_that_is_not_there_is_said() -> None:
    """By the reason of the marker, without the words of the error, which may hold paths."""
    scorer = FailingScorer(ModelFailed("/secret/path is no model"), is_known_before=True)
    assert {"unavailable": "model"} == (await get(ABOUT_PATH, playground(scorer=scorer)))["model"]


async def test_examples_come_with_their_judgments() -> None:
    """So that the page can say at once what reranking is worth."""
    example = Example(query="blue sky", index="books", fields=("title",), judgments={"b": 2})
    assert [{"query": "blue sky", "index": "books", "fields": ["title"], "judgments": {"b": 2}}] == (
        await get(ABOUT_PATH, playground(examples=[example]))
    )["examples"]


async def test_traffic_tells_counts_and_times_only() -> None:
    """Nothing that anybody searched for."""
    found = playground()
    found.traffic.observe(SearchRecord(operation=Operation.SEARCH, outcome=Outcome.APPLIED, model="m", candidates=3))
    traffic = await get(TRAFFIC_PATH, found)
    assert {"age", "outcomes", "total", "first_stage", "second_stage"} == set(traffic["searches"][0])


@pytest.mark.parametrize("is_enabled", [True, False])
def test_switched_off_there_is_nothing(is_enabled: bool) -> None:
    """By the setting, and not even the page's files."""
    settings = load(flags={"playground.enabled": is_enabled})
    found = wiring.playground(ScriptedEngine(), ScriptedScorer(), settings).endpoints()
    assert is_enabled is (("GET", "/_rerank/") in found) is bool(found)


def test_every_endpoint_is_read_only() -> None:
    """And none stands outside our own prefix."""
    assert all(method in {"GET", "HEAD"} and path.startswith("/_rerank/") for method, path in playground().endpoints())


class Counting(ScriptedScorer):
    """A scorer that counts, and fails to say so when it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        """Raise `error` when asked."""
        super().__init__()
        self.error = error

    async def figures(self) -> Figures:
        """Return figures, some of which the page has no use for."""
        if self.error is not None:
            raise self.error
        return {"waiting_calls": 2.0, "waiting_tokens": 500.0, "token_cache_bytes": 1e9}


@pytest.mark.parametrize(
    ("scorer", "expected"),
    [
        (ScriptedScorer(), None),
        (Counting(), {"waiting_calls": 2.0, "waiting_tokens": 500.0}),
        (Counting(ScorerLost("gone")), None),
    ],
    ids=["does not count", "counts", "is away"],
)
async def test_the_queue_is_what_the_scorer_says(scorer: ScriptedScorer, expected: dict[str, float] | None) -> None:
    """Nobody knows what waits in somebody else's server."""
    assert expected == (await get(TRAFFIC_PATH, playground(scorer=scorer)))["scorer"]

"""What every Scorer keeps to, wherever it lives: in this process, behind HTTP, in a child process, scripted."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeAlias

import pytest

from sidecar import tasks
from sidecar.errors import RerankUnavailable, ScorerLost, ScoringTimeout
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import Address, listening
from sidecar.rerank_api.api import RerankApi
from sidecar.rerank_api.api_key import ApiKey
from sidecar.rerank_api.endpoints import endpoints
from sidecar.scoring.base import Scorer
from sidecar.scoring.prefix import score_prefix
from sidecar.scoring.remote import RemoteScorer
from sidecar.scoring.scheduler import LocalScorer
from sidecar.scoring.score_cache import ScoreCache
from sidecar.scoring.scripted import parse
from sidecar.scoring.worker import SupervisedScorer
from tests import foreign_servers
from tests.foreign_servers import Routes
from tests.scoring_server import serving
from tests.unit.sidecar.scoring.doubles import FakeModel

Maker: TypeAlias = Callable[[AsyncExitStack, Path], Awaitable[Scorer]]

TEXTS = [f"text {number}" for number in range(40)]


async def local(stack: AsyncExitStack, socket: Path) -> Scorer:
    """In this process."""
    del stack, socket
    scorer = LocalScorer.loading(FakeModel)
    await scorer.loaded()
    return scorer


async def remote(stack: AsyncExitStack, socket: Path) -> Scorer:
    """Behind HTTP."""
    behind = LocalScorer.loading(FakeModel)
    stack.push_async_callback(behind.aclose)
    await behind.loaded()
    scorer = RemoteScorer(await stack.enter_async_context(serving(behind, socket)))
    await scorer.loaded()
    return scorer


async def supervised(stack: AsyncExitStack, socket: Path) -> Scorer:
    """In a child process."""
    del stack, socket
    scorer = SupervisedScorer([sys.executable, "-m", "tests.scoring_server", "test:identity"])
    await scorer.loaded()
    return scorer


async def scripted(stack: AsyncExitStack, socket: Path) -> Scorer:
    """Without any model."""
    del stack, socket
    return parse("test:slow=1")


def foreign(routes: Routes, kind: str = "") -> Maker:
    """Return the maker of a scorer over somebody else's server, of a kind that is said or found out."""

    async def make(stack: AsyncExitStack, socket: Path) -> Scorer:
        scorer = RemoteScorer(kind + await stack.enter_async_context(foreign_servers.serving(routes, socket)))
        await scorer.loaded()
        return scorer

    return make


def ours_as(kind: str) -> Maker:
    """Return the maker of a scorer over our own rerank API, which speaks that kind's dialect."""

    async def make(stack: AsyncExitStack, socket: Path) -> Scorer:
        behind = LocalScorer.loading(FakeModel)
        stack.push_async_callback(behind.aclose)
        await behind.loaded()
        app = ProxyApp(None, endpoints(RerankApi(behind), ApiKey("key")))
        address = await stack.enter_async_context(listening(app, Address(unix=str(socket))))
        scorer = RemoteScorer(f"{kind}+{address}", api_key="key")
        await scorer.loaded()
        return scorer

    return make


FOREIGN = [
    pytest.param(foreign(foreign_servers.TEI), id="tei"),
    pytest.param(foreign(foreign_servers.VLLM), id="vllm"),
    pytest.param(foreign(foreign_servers.INFINITY), id="infinity"),
    pytest.param(foreign(foreign_servers.GATEWAY), id="gateway"),
    pytest.param(foreign(foreign_servers.COHERE, "cohere+"), id="cohere"),
    *(pytest.param(ours_as(kind), id=f"ours as {kind}") for kind in ("tei", "vllm", "infinity", "cohere")),
]


@pytest.fixture(params=[local, remote, supervised, scripted, *FOREIGN])
async def scorer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scorer]:
    """Give each scorer, ready."""
    make: Maker = request.param
    async with AsyncExitStack() as stack:
        made = await make(stack, tmp_path_factory.mktemp("s") / "s")
        stack.push_async_callback(made.aclose)
        yield made


async def test_there_is_one_finite_score_per_text(scorer: Scorer) -> None:
    """Empty and odd texts included; no text, no score."""
    scores = await scorer.score("query", ["a", "", "京都", "\ud800", "a" * 10_000])
    assert len(scores) == 5
    assert all(math.isfinite(score) for score in scores)
    assert await scorer.score("query", []) == []


async def test_it_says_what_it_is(scorer: Scorer) -> None:
    """A name, a revision, a length."""
    facts = scorer.describe()
    assert facts.name
    assert facts.revision
    assert facts.max_length > 0


async def test_concurrent_calls_get_their_own_scores(scorer: Scorer) -> None:
    """Twenty searches at once."""
    alone = await scorer.score("query", TEXTS)
    together = await asyncio.gather(*(scorer.score("query", TEXTS) for _ in range(20)))
    assert together == [alone] * 20


async def test_a_window_in_chunks_is_scored_whole_and_in_order(scorer: Scorer) -> None:
    """Whatever the pieces travel through."""
    loop = asyncio.get_running_loop()
    scores = await score_prefix(scorer, "query", TEXTS, deadline=loop.time() + 30)
    assert len(scores) == len(TEXTS)


async def test_a_deadline_that_has_passed_is_a_timeout(scorer: Scorer) -> None:
    """At once."""
    with pytest.raises(ScoringTimeout):
        await scorer.score("query", TEXTS, deadline=asyncio.get_running_loop().time() - 1)


async def test_a_memory_in_front_changes_no_score(scorer: Scorer) -> None:
    """Wherever it lives; a scorer that tells no revision of its model, or scores by position, is asked every time."""
    cache = ScoreCache(10**6)
    alone = await scorer.score("query", TEXTS)
    await cache.of(scorer).score("query", TEXTS)
    again = cache.of(scorer)
    assert await again.score("query", TEXTS) == alone
    is_remembered = scorer.describe().revision != "unknown" and not getattr(scorer, "whole_window", False)
    assert again.hits == (len(TEXTS) if is_remembered else 0)


async def test_closing_is_final(scorer: Scorer) -> None:
    """Calls afterwards, and calls that wait, end with RerankUnavailable."""
    calls = [tasks.start(_unavailable(scorer), name="call") for _ in range(3)]
    await scorer.aclose()
    await asyncio.wait(calls)
    with pytest.raises(ScorerLost):
        await scorer.score("query", ["a"])


async def _unavailable(scorer: Scorer) -> RerankUnavailable | list[float]:
    try:
        return await scorer.score("query", TEXTS)
    except RerankUnavailable as error:
        return error

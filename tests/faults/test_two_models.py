"""A pool whose replicas have different models, as while a new one is rolled out: no page has scores of both."""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from sidecar.pipeline import RerankingConnector
from sidecar.policy import Policy
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse
from sidecar.proxy.listener import listening
from sidecar.rerank_api.api import RerankApi
from sidecar.rerank_api.scoring_protocol import ScoringProtocol
from sidecar.scoring.base import ModelFacts
from sidecar.scoring.pool import SEEN_SECONDS, Pool
from sidecar.scoring.remote import RemoteOptions, RemoteScorer
from sidecar.scoring.score_cache import ScoreCache
from sidecar.scoring.wire import MODEL_PATH, SCORE_PATH, read_call
from sidecar.types import RerankOptions
from tests.faults.stack import ANYWHERE, LATER
from tests.unit.doubles import ScriptedEngine, marker_of, match, search, texts

FACTS = ModelFacts(name="old", revision="1", kind="cross-encoder", max_length=512, recommended_fusion="model_only")
NEW = replace(FACTS, name="new", revision="2")
TEXTS = [f"text {number}" for number in range(100)]
OFFSET = {"old": 0.0, "new": 1000.0}
"""What a model adds to a text's number: a score says whose it is."""

SOON = (("X-Rerank-Deadline-Ms", "300"),)

CALM = RemoteOptions(calm_poll=600.0)


class Replica:
    """A scorer of one model."""

    def __init__(self, facts: ModelFacts) -> None:
        """Have that one."""
        self.facts = facts

    def describe(self) -> ModelFacts:
        """Return its facts."""
        return self.facts

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Return the text's number, and what the model adds, a moment later."""
        await asyncio.sleep(0)
        return [OFFSET[self.facts.name] + float(text.split()[-1]) for text in texts]

    async def aclose(self) -> None:
        """Nothing to close."""


class Rollout:
    """Replicas behind one address, that of the next request in turn; which models they have is for the test to say."""

    def __init__(self) -> None:
        """Begin with the old model everywhere."""
        self.models = [FACTS, FACTS]
        self.requests = 0
        self.can_do_all = True
        self._turn: Callable[[], int] = itertools.count().__next__

    async def model(self, request: EndpointRequest) -> EndpointResponse:
        """Answer `GET /_rerank/model`."""
        reply = await self._next().model(request.body)
        return EndpointResponse(status=reply.status, body=reply.body)

    async def score(self, request: EndpointRequest) -> EndpointResponse:
        """Answer `POST /_rerank/score`."""
        self.requests += 1
        if not self.can_do_all and len(read_call(request.body).texts) == len(TEXTS):
            await asyncio.Event().wait()
        reply = await self._next().score(request.body)
        return EndpointResponse(status=reply.status, body=reply.body, headers=reply.headers)

    def _next(self) -> ScoringProtocol:
        number = self._turn() % len(self.models)
        return ScoringProtocol(Replica(self.models[number]), replica=f"replica-{number}")


class Clock:
    """A clock that stands still until the test moves it."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@asynccontextmanager
async def rolling(clock: Callable[[], float] = time.monotonic) -> AsyncIterator[tuple[Rollout, RemoteScorer]]:
    """Give a pool, and a scorer that has found it."""
    rollout = Rollout()
    app = ProxyApp(None, {("GET", MODEL_PATH): rollout.model, ("POST", SCORE_PATH): rollout.score})
    async with listening(app, ANYWHERE) as address:
        scorer = RemoteScorer(str(address), CALM, pool=Pool(clock=clock))
        try:
            await scorer.loaded()
            yield rollout, scorer
        finally:
            await scorer.aclose()


def connecting(scorer: RemoteScorer, cache: ScoreCache | None = None) -> RerankingConnector:
    """Return the pipeline over a hundred texts, of which each score is told."""
    options = RerankOptions(fetch="once", deadline=LATER, explain=True, score_cache=cache is not None)
    return RerankingConnector(ScriptedEngine(*TEXTS), scorer, Policy(defaults=options), score_cache=cache)


async def models_of_a_page(connector: RerankingConnector, words: str = "blue sky") -> set[str]:
    """Search, and return whose scores are on the page; the marker names that model."""
    answer = await connector.search(search({**match(words), "size": len(TEXTS)}))
    scores = [hit["_rerank"]["model_score"] for hit in answer.json["hits"]["hits"]]
    assert len(TEXTS) == len(scores)
    models = {"new" if score >= OFFSET["new"] else "old" for score in scores}
    assert "applied" == marker_of(answer).partition(";")[0]
    assert f"model={'/'.join(models)}" in marker_of(answer).split("; ")
    return models


async def test_a_window_is_spread_over_the_pool() -> None:
    """In requests of a few dozen pairs, once several replicas are known."""
    async with rolling() as (rollout, scorer):
        connector = connecting(scorer)
        await models_of_a_page(connector)
        rollout.requests = 0
        assert {"old"} == await models_of_a_page(connector)
        assert 5 == rollout.requests
        assert {"replica-0", "replica-1"} < set(pool_of(scorer).replicas)


async def test_no_page_has_scores_of_two_models() -> None:
    """Whenever a replica gets the new model, and however many searches are under way."""
    async with rolling() as (rollout, scorer):
        connector = connecting(scorer)
        seen = set()
        for models in ([FACTS, FACTS], [NEW, FACTS], [NEW, NEW]):
            rollout.models = models
            pages = await asyncio.gather(*(models_of_a_page(connector) for _ in range(20)))
            assert {1} == {len(page) for page in pages}
            seen |= set().union(*pages)
        assert {"old", "new"} == seen
        assert {"new"} == await models_of_a_page(connector)


async def test_while_models_differ_a_window_is_one_request() -> None:
    """Which is one replica's; a while after the last of the old model windows are spread again."""
    clock = Clock()
    async with rolling(clock) as (rollout, scorer):
        connector = connecting(scorer)
        await models_of_a_page(connector)
        rollout.models = [NEW, FACTS]
        await models_of_a_page(connector)  # finds it out
        rollout.requests = 0
        for _ in range(10):
            await models_of_a_page(connector)
        assert 10 == rollout.requests
        rollout.models = [NEW, NEW]
        clock.now += SEEN_SECONDS + 1
        await models_of_a_page(connector)
        assert 10 < rollout.requests


async def test_remembered_scores_are_not_put_beside_those_of_another_model() -> None:
    """What is known of the old model is left out once the new one answers, and is not kept under its name."""
    clock = Clock()
    async with rolling(clock) as (rollout, scorer):
        connector = connecting(scorer, cache := ScoreCache(10**6))
        await cache.of(scorer).score("blue sky", TEXTS[:50])
        rollout.models = [NEW, NEW]
        assert {"new"} == await models_of_a_page(connector)
        clock.now += SEEN_SECONDS + 1  # so that windows are spread again
        rollout.models = [FACTS, FACTS]
        assert {"old"} == await models_of_a_page(connector)
        before = rollout.requests
        assert {"old"} == await models_of_a_page(connector)
        assert before == rollout.requests  # all is known


async def test_a_page_that_no_model_can_score_in_time_is_the_engines() -> None:
    """Two models and no time for one of them: `degraded; reason=two_models`."""
    async with rolling() as (rollout, scorer):
        rollout.models = [NEW, FACTS]
        rollout.can_do_all = False
        answer = await connecting(scorer).search(search({**match(), "size": 10}, headers=SOON))
        assert "degraded; reason=two_models" == marker_of(answer)
        assert TEXTS[:10] == texts(answer)


async def test_the_rerank_api_is_of_one_model_too() -> None:
    """A request's documents travel in parts."""
    async with rolling() as (rollout, scorer):
        api = RerankApi(scorer)
        body = json.dumps({"query": "q", "documents": TEXTS, "raw_scores": True, "model": "any"}).encode()
        for models in ([FACTS, NEW], [NEW, FACTS]):
            rollout.models = models
            for _ in range(4):
                reply = json.loads((await api.rerank(body)).body)
                scores = [each["relevance_score"] for each in reply["results"]]
                assert (100, 1) == (len(scores), len({score >= OFFSET["new"] for score in scores}))


def pool_of(scorer: RemoteScorer) -> Pool:
    """Return a scorer's pool."""
    assert scorer.pool is not None
    return scorer.pool

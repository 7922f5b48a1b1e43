"""Scorers on Ray Serve: two nodes, replicas that die, come and go, and searches that do not notice."""

import asyncio
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from benchmarks.calls import Client
from benchmarks.open_loop import Report, send_when_due
from benchmarks.pool import WINDOW, Judge, front, search, until_reranked
from benchmarks.programs import sink
from benchmarks.restarts import due
from sidecar.scoring.loading import load_scorer
from sidecar.scoring.remote import MODEL_HEADER, RemoteScorer
from tests.integration.wire import send
from tests.program.processes import REPOSITORY, Program, eventually, free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra `ray` is not installed"),
]

START_SECONDS = 240.0
RATE = 20.0
UNHURRIED = {"RERANK_SIDECAR_RERANK__DEADLINE_MS": "0"}  # a busy machine is not what is looked at
TEXTS = ["Bees find their way by the sun.", "Bananas are yellow.", "The hive is warm in winter."]


class RayCluster(Program):
    """Two nodes of Ray in a process, which takes orders."""

    def __init__(self, **arguments: str) -> None:
        """Begin it, and deploy with `arguments`."""
        self._port = free_port()
        words = [f"{name.replace('__', '.')}={value}" for name, value in arguments.items()]
        script = Path(__file__).with_name("ray_cluster.py")
        settings = {"PYTHONPATH": str(REPOSITORY), "RAY_USAGE_STATS_ENABLED": "0"}
        super().__init__((sys.executable, str(script), str(self._port), *words), settings, takes_orders=True)

    @property
    def url(self) -> str:
        """Where scorers answer."""
        return f"http://127.0.0.1:{self._port}"

    async def order(self, words: str, answer: str) -> str:
        """Give an order and return the line that answers it, which matches."""
        before = len(self.lines)
        self.tell(words)
        return await asyncio.to_thread(lambda: self.said(answer, START_SECONDS, after=before)[0])

    def close(self) -> None:
        """Let it end, and make sure that it is gone."""
        with suppress(OSError, subprocess.TimeoutExpired):
            self.tell("end")
            self.exit_code(60)
        super().close()


@contextmanager
def cluster(**arguments: str) -> Iterator[RayCluster]:
    """Give a cluster that has deployed its scorers; end it at the end."""
    program = RayCluster(**arguments)
    try:
        program.said("^deployed$", START_SECONDS)
        yield program
    finally:
        program.close()


async def test_no_search_fails_while_replicas_die_come_and_go() -> None:
    """A replica is killed, a node removed and added, three replicas become one and three again, under load.

    What has no scores meanwhile comes in the engine's order, says so, and ends with the outage.
    """
    with cluster(model__name="test:slow=5", allow_test_scorers="true", min_replicas="3") as ray:
        assert "nodes 2" == await ray.order("nodes", r"^nodes \d+$")
        async with (
            sink() as engine,
            front(engine, "--scorer", ray.url, window=WINDOW, **UNHURRIED) as server,
            Client(server.url) as client,
        ):
            judge, done = Judge(), asyncio.Event()

            async def happen() -> None:
                try:
                    await ray.order("kill", r"^killed \d+$")
                    await replicas(ray, 3)
                    await ray.order("remove", "^removed$")
                    await ray.order("add", "^added$")
                    await replicas(ray, 3)
                    await ray.order("scale 1", "^deployed$")
                    await replicas(ray, 1)
                    await ray.order("scale 3", "^deployed$")
                    await replicas(ray, 3)
                finally:
                    done.set()

            async with asyncio.TaskGroup() as group:
                group.create_task(happen())
                sent = group.create_task(send_when_due(client, [search(judge.check)], due(RATE, 200, done)))
            await until_reranked(server)
    report = Report.of(sent.result())
    assert {} == report.faults
    assert 200 <= report.requests == sum(judge.outcomes.values())
    assert all(word == "applied" or word.startswith("degraded; reason=") for word in judge.outcomes), judge.outcomes
    assert judge.outcomes["applied"] >= report.requests / 2, judge.outcomes  # Ray takes seconds to miss a node


async def replicas(ray: RayCluster, wanted: int) -> None:
    """Wait until as many replicas are there."""
    await eventually(
        lambda: ray.order("count", r"^replicas \d+$"), lambda said: said == f"replicas {wanted}", START_SECONDS
    )


@pytest.mark.weights
async def test_it_scores_as_a_process_does() -> None:
    """The engine's own scores, on every replica; another model for who asks for it, and none that nobody named."""
    arguments = {"model__name": "offline", "model__dtype": "fp32", "models": "test:identity"}
    local = await load_scorer("offline", dtype="fp32")
    with cluster(**arguments, allow_test_scorers="true", min_replicas="2") as ray:
        scorer, other = RemoteScorer(ray.url), RemoteScorer(ray.url, model="test:identity")
        try:
            expected = await local.score("how do bees find their way", TEXTS)
            facts = await scorer.loaded()
            assert ("offline", local.describe().revision) == (facts.name, facts.revision)
            for _ in range(10):
                assert pytest.approx(expected, abs=1e-5) == await scorer.score("how do bees find their way", TEXTS)
            assert "test:identity" == (await other.loaded()).name
            answer = await send(
                ray.url, "POST", "/v1/rerank", body={"query": "how do bees find their way", "documents": TEXTS}
            )
            assert (200, "offline") == (answer.status, answer.json["model"])
            evil = await send(ray.url, "GET", "/_rerank/model", headers={MODEL_HEADER: "/etc"})
            assert 404 == evil.status
        finally:
            for each in (scorer, other, local):
                await each.aclose()

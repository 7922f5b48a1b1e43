"""Scorers behind HAProxy, as shipped: short forms of `make bench-pool`, and what a rollout of a model does to pages."""

from __future__ import annotations

import pytest

from benchmarks.calls import Client
from benchmarks.open_loop import saturate
from benchmarks.pool import WINDOW, applied, capacity, front, outages, search, ways
from benchmarks.programs import sink
from benchmarks.restarts import found_haproxy
from benchmarks.scorers import pool
from tests.integration.wire import send
from tests.program.processes import ANYWHERE, QUICK_END, eventually, finished, running, status

pytestmark = pytest.mark.skipif(found_haproxy() is None, reason="HAProxy is not installed")

CHECK = "100ms"
DRAIN_SECONDS = 0.6
UNHURRIED = {"RERANK_SIDECAR_RERANK__DEADLINE_MS": "0"}


def nothing(line: str) -> None:
    """Say nothing."""


@pytest.mark.parametrize(
    "has_restarts", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["killed", "restarted"]
)
async def test_searches_outlive_their_scorers(has_restarts: bool) -> None:
    """One is killed under load, after both were restarted in turn: no search fails, less than 1 % are degraded."""
    found = await outages(
        model="test:slow=5",
        rate=60.0,
        requests=200,
        rounds=1,
        drain_seconds=DRAIN_SECONDS,
        check=CHECK,
        say=nothing,
        has_restarts=has_restarts,
        **UNHURRIED,  # a busy machine is not what is looked at
    )
    assert ({}, [0, 0] if has_restarts else []) == (found.report.faults, found.exit_codes)
    assert 200 <= found.report.requests
    assert found.degraded <= found.report.requests // 100, found.outcomes


async def test_replicas_are_told_apart() -> None:
    """In the figures of the front: what each answered, and how many models there are."""
    async with (
        sink() as engine,
        pool("test:identity", 2, check=CHECK, drain_seconds=0.0) as scorers,
        front(engine, "--scorer", scorers.url, window=WINDOW, **UNHURRIED) as server,
        Client(server.url) as client,
    ):
        await saturate(client, [search(applied)], connections=4, seconds=0.3)
        shown = (await send(server.url, "GET", "/_rerank/metrics")).body.decode()
    for address in scorers.addresses:
        port = address.rpartition(":")[2]
        assert f':{port}",scorer="main"}}' in shown
    assert 'rerank_sidecar_replica_models{scorer="main"} 1.0' in shown


@pytest.mark.slow
async def test_two_scorers_carry_nearly_twice_as_much() -> None:
    """Where they and nothing else decide."""
    found = await capacity("test:slow=20x1", window=10, connections=8, seconds=2.0, rounds=3, say=nothing)
    assert 1.9 <= found.gain.median
    assert [{}] * 6 == [each.faults for each in (*found.one, *found.two)]


@pytest.mark.slow
async def test_the_way_to_a_scorer_elsewhere_is_short() -> None:
    """All ways answer; how long they take is for `make bench-pool` to say."""
    found = await ways(seconds=0.5, rounds=1, say=nothing)
    assert ["child", "elsewhere", "behind HAProxy"] == list(found.reports)
    assert [{}] * 3 == [each.faults for (each,) in found.reports.values()]


async def test_a_test_scorer_can_be_served() -> None:
    """`score --model test:NAME`, with its permission only; and `serve` can have it as its child."""
    refused = finished("score", "--model", "test:identity")
    assert (2, True) == (refused.code, "--allow-test-scorers" in refused.stderr)
    refused = finished("serve", "--engine", "embedded", "--model", "test:identity", "--listen", ANYWHERE, **QUICK_END)
    assert (2, True) == (refused.code, "--allow-test-scorers" in refused.stderr)
    with running("score", "--model", "test:identity", "--allow-test-scorers", "--listen", ANYWHERE) as program:
        assert "test:identity" == (await send(program.url, "GET", "/_rerank/model")).json["name"]
        assert (200, "ready") == await eventually(lambda: status(program.url, "ready"), lambda found: found[0] == 200)

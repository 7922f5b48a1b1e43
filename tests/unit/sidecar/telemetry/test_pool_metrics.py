"""What came of the requests to a pool, as Prometheus metrics."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from prometheus_client import CollectorRegistry, generate_latest

from sidecar.scoring.pool import Pool
from sidecar.telemetry.pool_metrics import PoolFigures
from tests.unit.sidecar.scoring.doubles import FACTS


def test_each_replica_has_its_figures() -> None:
    """Requests by what came of them, and how long answers took; who did not answer has no name."""
    pool, registry, figures = Pool(), CollectorRegistry(), PoolFigures()
    registry.register(figures)
    figures.watch("main", pool)
    pool.count("gpu-1:9281", "answered", 0.004)
    pool.count("gpu-1:9281", "answered", 0.25)
    pool.count("gpu-1:9281", "refused", 0.001)
    pool.count(None, "died")
    pool.heard("gpu-1:9281", FACTS)
    pool.heard("gpu-2:9281", replace(FACTS, revision="2"))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"rerank_sidecar_replica_{name}", {"scorer": "main", **labels})

    assert 2 == value("requests_total", replica="gpu-1:9281", outcome="answered")
    assert 1 == value("requests_total", replica="gpu-1:9281", outcome="refused")
    assert 1 == value("requests_total", replica="", outcome="died")
    assert 1 == value("duration_seconds_bucket", replica="gpu-1:9281", le="0.001")
    assert 2 == value("duration_seconds_bucket", replica="gpu-1:9281", le="0.005")
    assert 3 == value("duration_seconds_count", replica="gpu-1:9281")
    assert 0.255 == value("duration_seconds_sum", replica="gpu-1:9281")
    assert value("duration_seconds_count", replica="") is None
    assert 2 == value("models")


async def test_what_was_sent_again_is_counted() -> None:
    """By what the first try did."""

    async def dies() -> str:
        raise ConnectionResetError

    pool, registry, figures = Pool(), CollectorRegistry(), PoolFigures()
    registry.register(figures)
    figures.watch("main", pool)
    with suppress(ConnectionResetError):
        await pool.send(dies, has_died=lambda done: True, left=None)
    labels = {"scorer": "main", "reason": "died"}
    assert 1 == registry.get_sample_value("rerank_sidecar_replica_resent_total", labels)


def test_without_a_pool_there_is_nothing() -> None:
    """A scorer that is a child has figures of its own."""
    registry = CollectorRegistry()
    registry.register(PoolFigures())
    assert b"" == generate_latest(registry)

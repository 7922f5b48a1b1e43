"""What clicks say, as Prometheus metrics."""

import logging

import pytest

from sidecar.experiments.event_store import EventsNotKept, Standing
from sidecar.proxy.endpoints import EndpointRequest
from sidecar.telemetry.metrics import Metrics
from sidecar.types import Operation, Outcome, SearchRecord
from tests.unit.sidecar.experiments.test_event_store import Counting

LABELS = {"policy": "p", "version": "", "method": "team_draft"}


async def exposed(store: Counting) -> Metrics:
    """Return the metrics of a program with that store, which have been asked for."""
    metrics = Metrics("1")
    metrics.watch_interleaving(Standing(store))
    await metrics.endpoints()["GET", "/_rerank/metrics"](
        EndpointRequest(method="GET", path="/_rerank/metrics", headers=(), body=b"")
    )
    return metrics


async def test_wins_losses_and_ties_are_gauges() -> None:
    """With the preference and how sure it is."""
    found = (await exposed(Counting())).registry.get_sample_value
    name = "rerank_sidecar_interleaving"
    assert [1, 0, 0] == [found(f"{name}_searches", {**LABELS, "outcome": word}) for word in ("win", "loss", "tie")]
    assert 0.5 == found(f"{name}_preference", LABELS)
    assert [1, 1] == [found(f"{name}_p_value", {**LABELS, "test": test}) for test in ("sign", "any_time")]
    assert 0 == found(f"{name}_clicks", LABELS)


async def test_clicks_that_cannot_be_read_have_no_figures(caplog: pytest.LogCaptureFixture) -> None:
    """The other metrics are told all the same, and the log says why."""
    with caplog.at_level(logging.WARNING):
        metrics = await exposed(Counting(failure=EventsNotKept("no disk")))
    assert metrics.registry.get_sample_value("rerank_sidecar_build_info", {"version": "1"})
    assert metrics.registry.get_sample_value("rerank_sidecar_interleaving_preference", LABELS) is None
    assert "events_not_read error=no disk" in caplog.text


def test_interleaved_searches_and_events_are_counted() -> None:
    """By policy and method; by what became of them."""
    metrics = Metrics("1")
    applied = {"operation": Operation.SEARCH, "outcome": Outcome.APPLIED}
    metrics.observe(SearchRecord(**applied))
    metrics.observe(SearchRecord(**applied, interleaved="balanced", policy="shop"))
    metrics.count_events("accepted", 3)
    found = metrics.registry.get_sample_value
    assert 1 == found("rerank_sidecar_interleaved_searches_total", {"policy": "shop", "method": "balanced"})
    assert 3 == found("rerank_sidecar_events_total", {"outcome": "accepted"})

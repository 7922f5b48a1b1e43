"""Search records as Prometheus metrics."""

import pytest
from prometheus_client import CollectorRegistry

from sidecar.metrics import Metrics
from sidecar.proxy.endpoints import EndpointRequest
from sidecar.types import Operation, Outcome, SearchRecord


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """Return one sample."""
    return registry.get_sample_value(name, labels)


@pytest.fixture
def metrics() -> Metrics:
    """Metrics that have seen two searches."""
    found = Metrics("1.2.3")
    applied = SearchRecord(
        operation=Operation.SEARCH,
        outcome=Outcome.APPLIED,
        candidates=30,
        window=100,
        model="m",
        first_stage_seconds=0.02,
        second_stage_seconds=0.3,
    )
    found.observe(applied)
    found.observe(SearchRecord(operation=Operation.MSEARCH, outcome=Outcome.SKIPPED, reason="off"))
    return found


def test_searches_are_counted_by_what_became_of_them(metrics: Metrics) -> None:
    """By operation, outcome and reason."""
    name = "rerank_sidecar_rerank_outcomes_total"
    assert 1 == value(metrics.registry, name, operation="search", outcome="applied", reason="")
    assert 1 == value(metrics.registry, name, operation="msearch", outcome="skipped", reason="off")


def test_durations_and_candidates_are_observed_where_there_were_any(metrics: Metrics) -> None:
    """A skipped search has none."""
    assert 1 == value(metrics.registry, "rerank_sidecar_stage_duration_seconds_count", stage="first_stage")
    assert 0.3 == value(metrics.registry, "rerank_sidecar_stage_duration_seconds_sum", stage="second_stage")
    assert (1, 30) == (
        value(metrics.registry, "rerank_sidecar_candidates_count"),
        value(metrics.registry, "rerank_sidecar_candidates_sum"),
    )


def test_every_name_begins_alike(metrics: Metrics) -> None:
    """And no label says an index or a query."""
    families = list(metrics.registry.collect())
    assert all(family.name.startswith("rerank_sidecar_") for family in families)
    labels = {label for family in families for sample in family.samples for label in sample.labels}
    assert {"operation", "outcome", "reason", "stage", "le", "version"} == labels


async def test_the_endpoint_exposes_them(metrics: Metrics) -> None:
    """In Prometheus' own format."""
    metrics.scorer_ready.set(1)
    endpoint = metrics.endpoints()["GET", "/_rerank/metrics"]
    answer = await endpoint(EndpointRequest(method="GET", path="/_rerank/metrics", headers=(), body=b""))
    assert answer.content_type.startswith("text/plain")
    assert b'rerank_sidecar_build_info{version="1.2.3"} 1.0' in answer.body
    assert b"rerank_sidecar_rerank_ready 1.0" in answer.body


def test_two_programs_in_one_process_do_not_meet() -> None:
    """Each has a registry of its own."""
    assert Metrics("1").registry is not Metrics("2").registry

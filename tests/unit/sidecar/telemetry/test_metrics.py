"""Search records as Prometheus metrics."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from sidecar.errors import ScorerLost
from sidecar.experiments.event_store import Standing
from sidecar.proxy.endpoints import EndpointRequest
from sidecar.scoring.pool import Pool
from sidecar.scoring.scheduler import LocalScorer
from sidecar.scoring.score_cache import ScoreCache
from sidecar.telemetry.metrics import Metrics, ScorerFigures
from sidecar.telemetry.worker_metrics import WorkerMetrics
from sidecar.types import Observation, Operation, Outcome, SearchRecord
from tests.unit.doubles import ScriptedScorer
from tests.unit.sidecar.experiments import test_event_store
from tests.unit.sidecar.scoring.doubles import FakeModel


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


def test_observations_are_counted_by_policy(metrics: Metrics) -> None:
    """What would have become of a search, how far the rankings are apart, and what was not looked at."""
    found = Observation(
        policy="books",
        operation=Operation.SEARCH,
        outcome=Outcome.APPLIED,
        candidates=30,
        second_stage_seconds=0.3,
        top=(3, 1, 2),
        jaccard=0.5,
        rbo=0.75,
        moved=1.5,
    )
    metrics.compare(found)
    metrics.compare(Observation(policy="books", operation=Operation.SEARCH, outcome=Outcome.SKIPPED, reason="few_hits"))
    metrics.compare(Observation(policy="books", operation=Operation.SEARCH, outcome=None))
    expected = {
        "observations_dropped_total": 1,
        "observed_top_changes_total": 1,
        "observed_jaccard_sum": 0.5,
        "observed_jaccard_count": 1,
        "observed_rbo_sum": 0.75,
        "observed_moved_ranks_sum": 1.5,
    }
    registry = metrics.registry
    assert expected == {name: value(registry, f"rerank_sidecar_{name}", policy="books") for name in expected}
    outcomes = "rerank_sidecar_observations_total"
    assert 1 == value(registry, outcomes, policy="books", outcome="applied", reason="")
    assert 1 == value(registry, outcomes, policy="books", outcome="skipped", reason="few_hits")
    seconds = "rerank_sidecar_observed_stage_duration_seconds_sum"
    assert 0.3 == value(registry, seconds, policy="books", stage="second_stage")
    assert 1 == value(registry, "rerank_sidecar_candidates_count")  # that of an answer


def test_the_policies_in_force_have_one_digest(metrics: Metrics) -> None:
    """The former one is gone."""
    metrics.policies("a")
    metrics.policies("b")
    name = "rerank_sidecar_policies_info"
    assert (None, 1) == (value(metrics.registry, name, digest="a"), value(metrics.registry, name, digest="b"))


def test_every_name_begins_alike(metrics: Metrics) -> None:
    """But for those that every Python process tells; and no label says an index or a query."""
    families = list(metrics.registry.collect())
    assert all(family.name.startswith(("rerank_sidecar_", "process_")) for family in families)
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


class Counting:
    """A scorer that has counted something, or cannot be asked."""

    def __init__(self, figures: dict[str, float] | None) -> None:
        """None: it cannot be asked."""
        self._figures = figures

    async def figures(self) -> dict[str, float]:
        """Return the figures."""
        if self._figures is None:
            raise ScorerLost("gone")
        return self._figures


async def exposed(metrics: Metrics) -> str:
    """Return what the endpoint says."""
    answer = await metrics.endpoints()["GET", "/_rerank/metrics"](
        EndpointRequest(method="GET", path="/_rerank/metrics", headers=(), body=b"")
    )
    return answer.body.decode()


async def test_what_scorers_count_is_shown_by_their_names(metrics: Metrics) -> None:
    """As it is when somebody asks; a scorer that cannot be asked, or does not count, is left out."""
    figures = {"waiting_tokens": 12.0, "batches": 3.0, "token_cache_hits": 7.0, "of no interest": 1.0}
    metrics.watch_scorer("main", Counting(figures))
    metrics.watch_scorer("small", Counting(None))
    metrics.watch_scorer("other", object())
    assert 'rerank_sidecar_scorer_waiting_tokens{scorer="main"} 12.0' in await exposed(metrics)
    figures["waiting_tokens"] = 5.0
    text = await exposed(metrics)
    assert 'rerank_sidecar_scorer_waiting_tokens{scorer="main"} 5.0' in text
    assert 'rerank_sidecar_scorer_batches_total{scorer="main"} 3.0' in text
    assert 'rerank_sidecar_scorer_token_cache_hits_total{scorer="main"} 7.0' in text
    assert "small" not in text
    assert "interest" not in text


async def test_a_local_scorer_counts_what_is_shown() -> None:
    """Every name that the scheduler counts by is one of ours, but for what changes too fast to be looked at."""
    scorer = LocalScorer.loading(FakeModel)
    try:
        await scorer.loaded()
        await scorer.score("q", ["a", "b"])
        metrics = Metrics("1")
        metrics.watch_scorer("main", scorer)
        text = await exposed(metrics)
        missing = {name for name in await scorer.figures() if f"rerank_sidecar_scorer_{name}" not in text}
    finally:
        await scorer.aclose()
    assert missing == {"running_pairs"}
    assert 'rerank_sidecar_scorer_scored_pairs_total{scorer="main"} 2.0' in text
    assert 'rerank_sidecar_scorer_launched_calls_total{scorer="main"} 1.0' in text


async def test_a_score_cache_is_shown(metrics: Metrics) -> None:
    """Hits, misses and memory."""
    cache = ScoreCache(10**6)
    metrics.watch_score_cache(cache)
    for _ in range(2):
        await cache.of(ScriptedScorer()).score("q", ["a", "b"])
    text = await exposed(metrics)
    assert "rerank_sidecar_score_cache_hits_total 2.0" in text
    assert "rerank_sidecar_score_cache_misses_total 2.0" in text
    assert "rerank_sidecar_score_cache_entries 2.0" in text
    assert "rerank_sidecar_score_cache_max_bytes 1e+06" in text


def test_every_metric_is_documented(metrics: Metrics) -> None:
    """And nothing else is."""
    metrics.watch_score_cache(ScoreCache(10**6))
    metrics.watch_pool("main", Pool())
    metrics.watch_interleaving(Standing(test_event_store.Counting()))
    text = (Path(__file__).parents[4] / "docs" / "metrics.md").read_text(encoding="utf-8")
    workers = WorkerMetrics({}, is_listening=bool, starts=len, scorers=ScorerFigures())
    families = [*metrics.registry.collect(), *workers.collect()]
    found = {f"{family.name}{'_total' if family.type == 'counter' else ''}" for family in families}
    prefixes = ("", "scorer_", "replica_", "score_cache_")
    sections = zip(re.split(r"^Names begin with|Names begin with", text), prefixes, strict=True)
    documented = {
        name if name.startswith(("rerank_sidecar_", "process_")) else f"rerank_sidecar_{prefix}{name}"
        for section, prefix in sections
        for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert found == documented


def test_two_programs_in_one_process_do_not_meet() -> None:
    """Each has a registry of its own."""
    assert Metrics("1").registry is not Metrics("2").registry

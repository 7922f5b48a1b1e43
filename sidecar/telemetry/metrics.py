"""Search records, observations, and what scorers and caches count, as Prometheus metrics.

Law: an adapter, nothing more; no index names and no query text of a request in labels.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecar.errors import RerankUnavailable
from sidecar.experiments.event_store import Standing
from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse, Endpoints
from sidecar.scoring.figures import CountsWork, Figures
from sidecar.scoring.pool import Pool
from sidecar.scoring.score_cache import ScoreCache
from sidecar.telemetry.interleaving_metrics import InterleavingFigures
from sidecar.telemetry.pool_metrics import PoolFigures
from sidecar.types import Observation, SearchRecord

_STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_CANDIDATE_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_SHARE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 1.0)
_RANK_BUCKETS = (0, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)

SCORER_PATIENCE_SECONDS: Final = 0.5
"""A scorer that does not tell what it counts by then is left out of one answer."""

_SCORER_GAUGES: Final = {
    "waiting_calls": "Calls that wait for tokenization or the device, or run in part",
    "waiting_tokens": "Tokens that wait for the device",
    "running_tokens": "Tokens of the batches that the device has been given",
    "tokens_per_second": "Running estimate of the device's speed",
    "token_cache_bytes": "Memory that remembered token ids take",
    "token_cache_entries": "Texts whose token ids are remembered",
}
_SCORER_COUNTERS: Final = {
    "batches": "Batches that were scored",
    "batches_ahead": "Batches that were prepared while another one ran",
    "failed_batches": "Batches that failed",
    "scored_pairs": "Pairs of query and text that were scored",
    "scored_tokens": "Tokens that were scored",
    "launched_calls": "Calls of which pairs were launched",
    "waited_seconds": "Time from the calls' arrival to their first launch, summed",
    "refused_calls": "Calls refused because they could not be done in time, or too much waits",
    "late_calls": "Calls that missed their deadline",
    "cancelled_calls": "Calls that were cancelled",
    "queries_cut": "Queries longer than the model allows them to be",
    "token_cache_hits": "Texts whose token ids were remembered",
    "token_cache_misses": "Texts that were tokenised",
}


class Metrics:
    """The program's metrics, in a registry of its own."""

    def __init__(self, version: str) -> None:
        """Start every metric at zero."""
        self.registry = CollectorRegistry()
        self._outcomes = Counter(
            "rerank_sidecar_rerank_outcomes_total",
            "Searches by what became of their reranking",
            ["operation", "outcome", "reason"],
            registry=self.registry,
        )
        self._stages = Histogram(
            "rerank_sidecar_stage_duration_seconds",
            "Duration of the stages of reranked searches",
            ["stage"],
            buckets=_STAGE_BUCKETS,
            registry=self.registry,
        )
        self._candidates = Histogram(
            "rerank_sidecar_candidates",
            "Candidates scored per reranked search",
            buckets=_CANDIDATE_BUCKETS,
            registry=self.registry,
        )
        self._observations = _Observations(self.registry)
        self._interleaved = Counter(
            "rerank_sidecar_interleaved_searches_total",
            "Searches whose pages were interleaved",
            ["policy", "method"],
            registry=self.registry,
        )
        self._events = Counter(
            "rerank_sidecar_events_total", "Events by what became of them", ["outcome"], registry=self.registry
        )
        self._interleaving: InterleavingFigures | None = None
        self._policies = Gauge(
            "rerank_sidecar_policies_info", "1 for the policies in force", ["digest"], registry=self.registry
        )
        self.scorer_ready = Gauge(
            "rerank_sidecar_rerank_ready", "1 while a model is loaded and answers", registry=self.registry
        )
        info = Gauge("rerank_sidecar_build_info", "Version of this program", ["version"], registry=self.registry)
        info.labels(version).set(1)
        self._tasks = Gauge("rerank_sidecar_tasks", "Tasks of the event loop", registry=self.registry)
        ProcessCollector(registry=self.registry)
        self._scorers = ScorerFigures()
        self.registry.register(self._scorers)
        self._pools = PoolFigures()
        self.registry.register(self._pools)

    def observe(self, record: SearchRecord) -> None:
        """Count one search."""
        self._outcomes.labels(record.operation.value, record.outcome.value, record.reason or "").inc()
        stages = {
            "first_stage": record.first_stage_seconds,
            "second_stage": record.second_stage_seconds,
            "queue": record.queue_seconds,
            "model": record.model_seconds,
        }
        for stage, seconds in stages.items():
            if seconds is not None:
                self._stages.labels(stage).observe(seconds)
        if record.candidates:
            self._candidates.observe(record.candidates)
        if record.interleaved is not None:
            self._interleaved.labels(record.policy, record.interleaved).inc()

    def compare(self, observation: Observation) -> None:
        """Count one observation."""
        self._observations.count(observation)

    def count_events(self, outcome: str, count: int) -> None:
        """Count events that came in."""
        self._events.labels(outcome).inc(count)

    def watch_interleaving(self, standing: Standing) -> None:
        """Show what clicks on interleaved pages say."""
        self._interleaving = InterleavingFigures(standing)
        self.registry.register(self._interleaving)

    def policies(self, digest: str) -> None:
        """Tell which policies are in force."""
        self._policies.clear()
        self._policies.labels(digest).set(1)

    def watch_scorer(self, role: str, scorer: object) -> None:
        """Show what a scorer counts, where it does; `role` is "main", or the model that a policy names."""
        self._scorers.watch(role, scorer)

    def watch_pool(self, role: str, pool: Pool) -> None:
        """Show what came of the requests to a scorer elsewhere; `role` as above."""
        self._pools.watch(role, pool)

    def watch_score_cache(self, cache: ScoreCache) -> None:
        """Show what the memory for scores counts."""
        self.registry.register(_ScoreCache(cache))

    def endpoints(self) -> Endpoints:
        """Return `/_rerank/metrics`."""
        return {("GET", "/_rerank/metrics"): self._expose}

    async def _expose(self, _: EndpointRequest) -> EndpointResponse:
        await self._scorers.look()
        if self._interleaving is not None:
            await self._interleaving.look()
        self._tasks.set(len(asyncio.all_tasks()))
        return EndpointResponse(body=generate_latest(self.registry), content_type=CONTENT_TYPE_LATEST)


class _Observations:
    """What would have become of searches that were only observed, by policy."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, words: str, *labels: str) -> Counter:
            return Counter(f"rerank_sidecar_{name}", words, ["policy", *labels], registry=registry)

        def histogram(name: str, words: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(f"rerank_sidecar_{name}", words, ["policy", *labels], buckets=buckets, registry=registry)

        self._outcomes = counter(
            "observations_total", "Searches by what would have become of them", "outcome", "reason"
        )
        self._dropped = counter("observations_dropped_total", "Searches that were not looked at: too many in hand")
        self._tops = counter("observed_top_changes_total", "Searches that would have had another first hit")
        self._stages = histogram(
            "observed_stage_duration_seconds", "Duration of the stages of observations", _STAGE_BUCKETS, "stage"
        )
        self._jaccard = histogram(
            "observed_jaccard", "Hits that the first ten of both rankings share, 0 to 1", _SHARE_BUCKETS
        )
        self._rbo = histogram("observed_rbo", "Rank-biased overlap of both rankings, 0 to 1", _SHARE_BUCKETS)
        self._moved = histogram("observed_moved_ranks", "Mean move of the first ten hits, in ranks", _RANK_BUCKETS)

    def count(self, found: Observation) -> None:
        """Count one observation."""
        if found.outcome is None:
            self._dropped.labels(found.policy).inc()
            return
        self._outcomes.labels(found.policy, found.outcome.value, found.reason or "").inc()
        self._tops.labels(found.policy).inc(found.has_other_top)
        stages = {
            "first_stage": found.first_stage_seconds,
            "second_stage": found.second_stage_seconds,
            "queue": found.queue_seconds,
            "model": found.model_seconds,
        }
        for stage, seconds in stages.items():
            if seconds is not None:
                self._stages.labels(found.policy, stage).observe(seconds)
        figures = ((self._jaccard, found.jaccard), (self._rbo, found.rbo), (self._moved, found.moved))
        for histogram, value in figures:
            if value is not None:
                histogram.labels(found.policy).observe(value)


class ScorerFigures(Collector):
    """What scorers count, as they told it when they were last looked at."""

    def __init__(self) -> None:
        """Watch nobody yet."""
        self._watched: dict[str, CountsWork] = {}
        self._figures: Mapping[str, Figures] = {}

    def watch(self, role: str, scorer: object) -> None:
        """Show what a scorer counts, where it does; see `Metrics.watch_scorer`."""
        if isinstance(scorer, CountsWork):
            self._watched[role] = scorer

    async def look(self) -> None:
        """Ask all scorers; one that does not answer is left out."""
        found = await asyncio.gather(*(_figures(scorer) for scorer in self._watched.values()))
        self._figures = dict(zip(self._watched, found, strict=True))

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, as they were when they were looked at."""
        for name, words in _SCORER_GAUGES.items():
            yield self._filled(GaugeMetricFamily(f"rerank_sidecar_scorer_{name}", words, labels=["scorer"]), name)
        for name, words in _SCORER_COUNTERS.items():
            yield self._filled(CounterMetricFamily(f"rerank_sidecar_scorer_{name}", words, labels=["scorer"]), name)

    def _filled(
        self, family: GaugeMetricFamily | CounterMetricFamily, name: str
    ) -> GaugeMetricFamily | CounterMetricFamily:
        for role, figures in self._figures.items():
            if name in figures:
                family.add_metric([role], figures[name])
        return family


class _ScoreCache(Collector):
    """What the memory for scores counts."""

    def __init__(self, cache: ScoreCache) -> None:
        self._cache = cache

    def collect(self) -> Iterator[Metric]:
        counted = self._cache.statistics()
        prefix = "rerank_sidecar_score_cache"
        yield CounterMetricFamily(f"{prefix}_hits", "Scores that were remembered", counted.hits)
        yield CounterMetricFamily(f"{prefix}_misses", "Scores that were not", counted.misses)
        yield CounterMetricFamily(f"{prefix}_evictions", "Scores that made room for others", counted.evictions)
        yield GaugeMetricFamily(f"{prefix}_entries", "Scores that are kept", counted.entries)
        yield GaugeMetricFamily(f"{prefix}_bytes", "Memory that they take at most", counted.bytes)
        yield GaugeMetricFamily(f"{prefix}_max_bytes", "Memory that they may take", counted.max_bytes)


async def _figures(scorer: CountsWork) -> Figures:
    try:
        async with asyncio.timeout(SCORER_PATIENCE_SECONDS):
            return await scorer.figures()
    except (RerankUnavailable, TimeoutError):
        return {}

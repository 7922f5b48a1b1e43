"""Search records, and what scorers and caches count, as Prometheus metrics.

Law: an adapter, nothing more; no index names, no query text in labels.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecar.errors import RerankUnavailable
from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse, Endpoints
from sidecar.scoring.figures import CountsWork, Figures
from sidecar.scoring.score_cache import ScoreCache
from sidecar.types import SearchRecord

_STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_CANDIDATE_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

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
        self.scorer_ready = Gauge(
            "rerank_sidecar_rerank_ready", "1 while a model is loaded and answers", registry=self.registry
        )
        info = Gauge("rerank_sidecar_build_info", "Version of this program", ["version"], registry=self.registry)
        info.labels(version).set(1)
        self._scorers = _Scorers()
        self.registry.register(self._scorers)

    def observe(self, record: SearchRecord) -> None:
        """Count one search."""
        self._outcomes.labels(record.operation.value, record.outcome.value, record.reason or "").inc()
        if record.first_stage_seconds is not None:
            self._stages.labels("first_stage").observe(record.first_stage_seconds)
        if record.second_stage_seconds is not None:
            self._stages.labels("second_stage").observe(record.second_stage_seconds)
        if record.candidates:
            self._candidates.observe(record.candidates)

    def watch_scorer(self, role: str, scorer: object) -> None:
        """Show what a scorer counts, where it does; `role` is "main", or the model that a policy names."""
        if isinstance(scorer, CountsWork):
            self._scorers.watched[role] = scorer

    def watch_score_cache(self, cache: ScoreCache) -> None:
        """Show what the memory for scores counts."""
        self.registry.register(_ScoreCache(cache))

    def endpoints(self) -> Endpoints:
        """Return `/_rerank/metrics`."""
        return {("GET", "/_rerank/metrics"): self._expose}

    async def _expose(self, _: EndpointRequest) -> EndpointResponse:
        await self._scorers.look()
        return EndpointResponse(body=generate_latest(self.registry), content_type=CONTENT_TYPE_LATEST)


class _Scorers(Collector):
    """What scorers count, as they told it when they were last looked at."""

    def __init__(self) -> None:
        self.watched: dict[str, CountsWork] = {}
        self._figures: Mapping[str, Figures] = {}

    async def look(self) -> None:
        """Ask all scorers; one that does not answer is left out."""
        found = await asyncio.gather(*(_figures(scorer) for scorer in self.watched.values()))
        self._figures = dict(zip(self.watched, found, strict=True))

    def collect(self) -> Iterator[Metric]:
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

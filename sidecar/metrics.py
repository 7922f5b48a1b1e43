"""Search records as Prometheus metrics.

Law: an adapter of `SearchRecord`, nothing more; no index names, no query text in labels.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse, Endpoints
from sidecar.types import SearchRecord

_STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_CANDIDATE_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


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

    def observe(self, record: SearchRecord) -> None:
        """Count one search."""
        self._outcomes.labels(record.operation.value, record.outcome.value, record.reason or "").inc()
        if record.first_stage_seconds is not None:
            self._stages.labels("first_stage").observe(record.first_stage_seconds)
        if record.second_stage_seconds is not None:
            self._stages.labels("second_stage").observe(record.second_stage_seconds)
        if record.candidates:
            self._candidates.observe(record.candidates)

    def endpoints(self) -> Endpoints:
        """Return `/_rerank/metrics`."""
        return {("GET", "/_rerank/metrics"): self._expose}

    async def _expose(self, _: EndpointRequest) -> EndpointResponse:
        return EndpointResponse(body=generate_latest(self.registry), content_type=CONTENT_TYPE_LATEST)

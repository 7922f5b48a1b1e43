"""What several front processes count, in one answer: each process's own figures under the label `worker`.

Law: nothing is added up here. A process that is started anew begins at zero, which Prometheus understands in a series
of that process and in no sum; whoever asks adds up: `sum without (worker) (rate(…))`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse, Endpoints
from sidecar.telemetry.metrics import ScorerFigures

logger = logging.getLogger(__name__)

LABEL: Final = "worker"
PATIENCE_SECONDS: Final = 1.0
"""A front that does not tell what it counts by then is left out of one answer."""


class WorkerMetrics(Collector):
    """The metrics of all fronts."""

    def __init__(
        self,
        ask: Mapping[str, Callable[[], Awaitable[bytes]]],
        *,
        is_listening: Callable[[str], bool],
        starts: Callable[[str], int],
        scorers: ScorerFigures,
    ) -> None:
        """Ask each front for its metrics, by its number; `scorers` are those that all of them share."""
        self._ask = ask
        self._is_listening = is_listening
        self._starts = starts
        self._scorers = scorers
        self._told: dict[str, str] = {}
        self._registry = CollectorRegistry()
        self._registry.register(scorers)
        self._registry.register(self)

    def endpoints(self) -> Endpoints:
        """Return `/_rerank/metrics`."""
        return {("GET", "/_rerank/metrics"): self._expose}

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, as they were when the fronts were last asked."""
        listening = GaugeMetricFamily("rerank_sidecar_workers", "1 while a front process listens", labels=[LABEL])
        starts = CounterMetricFamily("rerank_sidecar_worker_starts", "Starts of a front process", labels=[LABEL])
        for worker in self._ask:
            listening.add_metric([worker], self._is_listening(worker))
            starts.add_metric([worker], self._starts(worker))
        yield listening
        yield starts
        yield from _merged(self._told)

    async def _expose(self, _: EndpointRequest) -> EndpointResponse:
        await self._scorers.look()
        told = await asyncio.gather(*(self._tell(worker) for worker in self._ask))
        self._told = {worker: text for worker, text in zip(self._ask, told, strict=True) if text}
        return EndpointResponse(body=generate_latest(self._registry), content_type=CONTENT_TYPE_LATEST)

    async def _tell(self, worker: str) -> str:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return (await self._ask[worker]()).decode()
        except (OSError, TimeoutError, ValueError) as error:
            logger.warning("worker_metrics_not_had worker=%s error=%s", worker, str(error) or type(error).__name__)
            return ""


def _merged(told: Mapping[str, str]) -> Iterator[Metric]:
    merged: dict[str, Metric] = {}
    for worker, text in told.items():
        for family in text_string_to_metric_families(text):
            for sample in family.samples:  # none: a name that is the scorers', who are asked themselves
                metric = merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                metric.add_sample(sample.name, {**sample.labels, LABEL: worker}, sample.value)
    yield from merged.values()

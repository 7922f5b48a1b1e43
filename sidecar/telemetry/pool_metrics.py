"""What came of the requests to scorers elsewhere, by replica, as Prometheus metrics.

Law: an adapter of `scoring/pool.py`, nothing more. Replicas name themselves; nobody who does not answer has a name.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from sidecar.scoring.pool import DURATION_BUCKETS, Pool

PREFIX: Final = "rerank_sidecar_replica"
BOUNDS: Final = (*map(floatToGoString, DURATION_BUCKETS), "+Inf")


class PoolFigures(Collector):
    """The figures of all pools."""

    def __init__(self) -> None:
        """Watch nobody yet."""
        self._pools: dict[str, Pool] = {}

    def watch(self, role: str, pool: Pool) -> None:
        """Show a pool's figures; `role` as in `Metrics.watch_scorer`."""
        self._pools[role] = pool

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of pools, where there are any."""
        if not self._pools:
            return
        labels = ["scorer", "replica"]
        requests = CounterMetricFamily(
            f"{PREFIX}_requests", "Requests to scorers elsewhere, by what came of them", labels=[*labels, "outcome"]
        )
        durations = HistogramMetricFamily(f"{PREFIX}_duration_seconds", "Duration of their answers", labels=labels)
        resent = CounterMetricFamily(f"{PREFIX}_resent", "Requests that were sent again", labels=["scorer", "reason"])
        models = GaugeMetricFamily(f"{PREFIX}_models", "Models that were heard of lately", labels=["scorer"])
        for role, pool in self._pools.items():
            for name, figures in pool.replicas.items():
                for outcome, count in figures.outcomes.items():
                    requests.add_metric([role, name, outcome], count)
                if any(figures.durations):
                    buckets = list(zip(BOUNDS, accumulate(figures.durations), strict=True))
                    durations.add_metric([role, name], buckets, figures.seconds)
            for reason, count in pool.resent.items():
                resent.add_metric([role, reason], count)
            models.add_metric([role], pool.models())
        yield from (requests, durations, resent, models)

"""What clicks on interleaved pages say, as Prometheus metrics.

Law: gauges and not counters, since a later click can make a tie of a win; every front that is asked counts the clicks
of all.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sidecar.experiments.event_store import EventsNotKept, Standing
from sidecar.experiments.preference import Preference
from sidecar.telemetry.seldom import Seldom

logger = logging.getLogger(__name__)

_LABELS = ("policy", "version", "method")


class InterleavingFigures(Collector):
    """The preferences, as they were when they were last looked at."""

    def __init__(self, standing: Standing) -> None:
        """Ask `standing`."""
        self._standing = standing
        self._found: Sequence[Preference] = ()
        self._seldom = Seldom()

    async def look(self) -> None:
        """Ask; where the clicks cannot be read there are no figures."""
        try:
            self._found = await self._standing.preferences()
        except EventsNotKept as error:
            self._found = ()
            if (more := self._seldom.turn("not read")) is not None:
                logger.warning("events_not_read error=%s left_out=%d", error, more)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""

        def gauge(name: str, words: str, *labels: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(f"rerank_sidecar_interleaving_{name}", words, labels=[*_LABELS, *labels])

        searches = gauge("searches", "Searches with clicks, by what they say of the reranked order", "outcome")
        clicks = gauge("clicks", "Hits of interleaved pages that were clicked")
        preference = gauge("preference", "Preference for the reranked order, -0.5 to 0.5")
        p_value = gauge("p_value", "Probability of such a preference, or a greater one, by chance", "test")
        for found in self._found:
            labels = [found.policy, found.version, found.method]
            for outcome, count in (("win", found.wins), ("loss", found.losses), ("tie", found.ties)):
                searches.add_metric([*labels, outcome], count)
            clicks.add_metric(labels, found.clicks)
            preference.add_metric(labels, found.delta or 0.0)
            p_value.add_metric([*labels, "sign"], found.p_value)
            p_value.add_metric([*labels, "any_time"], found.p_any_time)
        yield from (searches, clicks, preference, p_value)

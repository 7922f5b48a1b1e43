"""What several front processes count, in one answer."""

import logging

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sidecar.proxy.endpoints import EndpointRequest
from sidecar.scoring.figures import Figures
from sidecar.telemetry.metrics import Metrics, ScorerFigures
from sidecar.telemetry.worker_metrics import WorkerMetrics
from sidecar.types import Operation, Outcome, SearchRecord

REQUEST = EndpointRequest(method="GET", path="/_rerank/metrics", headers=(), body=b"")
OUTCOMES = "rerank_sidecar_rerank_outcomes_total"


class Front:
    """A front that counts searches."""

    def __init__(self) -> None:
        """Have counted none."""
        self.metrics = Metrics("1.2.3")
        self.failure: Exception | None = None

    def search(self, times: int) -> None:
        """Count some."""
        for _ in range(times):
            self.metrics.observe(
                SearchRecord(
                    operation=Operation.SEARCH, outcome=Outcome.APPLIED, candidates=5, second_stage_seconds=0.1
                )
            )

    async def ask(self) -> bytes:
        """Tell."""
        if self.failure is not None:
            raise self.failure
        return (await self.metrics.endpoints()["GET", "/_rerank/metrics"](REQUEST)).body


class Counting:
    """A scorer that counts."""

    async def figures(self) -> Figures:
        """Return one figure."""
        return {"scored_pairs": 7.0}


def of(fronts: dict[str, Front], listening: set[str] | None = None) -> WorkerMetrics:
    """Return the metrics of these fronts, with one scorer."""
    figures = ScorerFigures()
    figures.watch("main", Counting())
    return WorkerMetrics(
        {number: front.ask for number, front in fronts.items()},
        is_listening=lambda number: listening is None or number in listening,
        starts=lambda number: 1 + int(number),
        scorers=figures,
    )


async def samples(metrics: WorkerMetrics) -> dict[tuple[str, ...], float]:
    """Return what is answered: values by name and the values of labels."""
    answer = await metrics.endpoints()["GET", "/_rerank/metrics"](REQUEST)
    text = answer.body.decode()
    kinds = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(kinds) == len(set(kinds)), "a name is described twice"
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_each_front_has_its_own_series_and_their_scorer_one() -> None:
    """Histograms, too; and every name is described once."""
    fronts = {"0": Front(), "1": Front()}
    fronts["0"].search(3)
    fronts["1"].search(2)
    found = await samples(of(fronts, listening={"1"}))
    assert (3, 2) == tuple(found[OUTCOMES, "search", "applied", "", worker] for worker in "01")
    assert (3, 2) == tuple(found["rerank_sidecar_candidates_bucket", "5.0", worker] for worker in "01")
    assert 7 == found["rerank_sidecar_scorer_scored_pairs_total", "main"]
    assert (0, 1) == tuple(found["rerank_sidecar_workers", worker] for worker in "01")
    assert (1, 2) == tuple(found["rerank_sidecar_worker_starts_total", worker] for worker in "01")
    assert 1 == found["rerank_sidecar_build_info", "1.2.3", "0"]


async def test_a_front_that_is_started_anew_begins_at_zero_and_costs_the_others_nothing() -> None:
    """The series of the others go on, so that a sum of rates stays right."""
    fronts = {"0": Front(), "1": Front()}
    metrics = of(fronts)
    for front in fronts.values():
        front.search(4)
    await samples(metrics)
    fronts["0"].metrics = Metrics("1.2.3")
    fronts["0"].search(1)
    found = await samples(metrics)
    assert (1, 4) == tuple(found[OUTCOMES, "search", "applied", "", worker] for worker in "01")


@pytest.mark.parametrize("failure", [ConnectionError("gone"), TimeoutError(), FileNotFoundError("no socket")])
async def test_a_front_that_does_not_tell_is_left_out(failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """Of one answer, with a line in the log."""
    fronts = {"0": Front(), "1": Front()}
    metrics = of(fronts)
    fronts["0"].search(1)
    await samples(metrics)
    fronts["0"].failure = failure
    fronts["1"].search(1)
    with caplog.at_level(logging.WARNING):
        found = await samples(metrics)
    assert [(OUTCOMES, "search", "applied", "", "1")] == [key for key in found if key[0] == OUTCOMES]
    assert ["worker_metrics_not_had worker=0"] == [message.partition(" error=")[0] for message in caplog.messages]

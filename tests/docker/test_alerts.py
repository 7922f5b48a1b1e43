"""The alerts ask for metrics that there are, with labels and values that they have. There is no Prometheus here."""

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from sidecar import errors
from sidecar.errors import RerankUnavailable
from sidecar.proxy.endpoints import EndpointRequest
from sidecar.scoring.figures import Figures
from sidecar.scoring.scheduler import SchedulerStatistics
from sidecar.telemetry.metrics import Metrics, ScorerFigures
from sidecar.telemetry.worker_metrics import WorkerMetrics
from sidecar.types import Operation, Outcome, SearchRecord, SkipReason
from tests.docker.dockerfile import FOLDER

ALERTS = FOLDER / "alerts.yaml"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]
]
RUNBOOK = (FOLDER.parent / "docs/operations.md").read_text(encoding="utf-8")

FUNCTIONS = frozenset({"sum", "max", "rate", "increase", "histogram_quantile", "vector"})
WORDS = frozenset({"by", "and", "or", "ignoring", "group_left"})
SELECTOR = re.compile(r"(rerank_sidecar_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~?)"([^"]*)"')
ADDED = frozenset({"instance"})
"""Labels that Prometheus adds to what it scrapes."""


class Counting:
    """A scorer that counts all that one of ours does."""

    async def figures(self) -> Figures:
        """Return ones."""
        return dict.fromkeys((field.name for field in fields(SchedulerStatistics)), 1.0)


async def exposed() -> dict[str, set[str]]:
    """Return the labels of every sample that a program with several fronts exposes, by its name."""
    front, figures = Metrics("1"), ScorerFigures()
    front.observe(
        SearchRecord(
            operation=Operation.SEARCH,
            outcome=Outcome.APPLIED,
            candidates=1,
            first_stage_seconds=0.1,
            second_stage_seconds=0.1,
        )
    )
    figures.watch("main", Counting())

    async def ask() -> bytes:
        return generate_latest(front.registry)

    metrics = WorkerMetrics({"0": ask}, is_listening=lambda _: True, starts=lambda _: 1, scorers=figures)
    request = EndpointRequest(method="GET", path="/_rerank/metrics", headers=(), body=b"")
    answer = await metrics.endpoints()["GET", "/_rerank/metrics"](request)
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def values(label: str) -> set[str]:
    """Return the values that a label may have."""
    failures = {error.reason for error in RerankUnavailable.__subclasses__() if error.__module__ == errors.__name__}
    return {
        "outcome": {outcome.value for outcome in Outcome},
        "reason": {reason.value for reason in SkipReason} | failures,
        "stage": {"first_stage", "second_stage", "queue", "model"},
    }[label]


def selectors(expression: str) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Yield every metric of an expression with its matchers."""
    for name, matchers in SELECTOR.findall(expression):
        yield name, MATCHER.findall(matchers)


def named(rule: dict[str, Any]) -> str:
    """Return the name of an alert."""
    return str(rule["alert"])


@pytest.mark.parametrize("rule", RULES, ids=named)
async def test_an_alert_asks_for_what_there_is(rule: dict[str, Any]) -> None:
    """Names of metrics, their labels, and the values of these."""
    there = await exposed()
    found = list(selectors(rule["expr"]))
    assert found
    for name, matchers in found:
        assert name in there, f"there is no {name}"
        for label, sign, value in matchers:
            assert label in there[name]
            wanted = value.split("|") if sign == "=~" else [value]
            assert set(wanted) <= values(label)
    grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", rule["expr"]) for label in group.split(",")}
    assert grouped <= {label for name, _ in found for label in there[name]} | ADDED


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_an_alert_is_an_expression(rule: dict[str, Any]) -> None:
    """As far as can be told without Prometheus: brackets match, and every other word is one of its language."""
    expression = re.sub(r'"[^"]*"', "", rule["expr"])
    for opening, closing in ("()", "[]", "{}"):
        assert expression.count(opening) == expression.count(closing)
    rest = re.sub(r"\{[^}]*\}|\[\d+m\]|rerank_sidecar_\w+|\((?:\w+(?:, \w+)*)?\)", " ", expression)
    assert set(re.findall(r"[a-z_]+", rest)) <= FUNCTIONS | WORDS
    assert re.search(r"(==|>) [\d.]+$", expression)


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    """In the runbook, under its name; labels in its words are labels of the expression."""
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert f"### {rule['alert']}\n" in RUNBOOK
    for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]):
        assert re.search(rf"by \([^)]*\b{label}\b", rule["expr"])


def test_every_runbook_entry_of_an_alert_has_its_alert() -> None:
    """None has been renamed on one side."""
    entries = set(re.findall(r"^### ([A-Z]\w+)$", RUNBOOK, re.MULTILINE))
    assert {named(rule) for rule in RULES} == entries

"""The results as JSON."""

import json

import pytest

from sidecar.evaluation.document import document, milliseconds
from tests.unit.sidecar.evaluation.evaluated import results


async def test_everything_is_there_and_is_json() -> None:
    """What was evaluated, on what, and every figure, also by query."""
    found = json.loads(json.dumps(document(await results()), allow_nan=False))
    assert {"version", "dataset", "measures", "first_stage", "systems"} == set(found)
    assert {
        "name": "small & odd",
        "queries": 3,
        "is_judged": True,
        "relevant_from": 1,
        "notes": ["a note"],
    } == found["dataset"]
    first = found["first_stage"]
    assert ("stored run r.trec", None, ["text"], 100) == (
        first["engine"],
        first["query"],
        first["fields"],
        first["hits"],
    )
    assert pytest.approx(1 / 3) == first["queries"]["up"]["measures"]["RR@10"]
    system = found["systems"][1]
    assert ("model window=4", 4, "model_only") == (system["label"], system["window"], system["fusion"])
    assert "scripted" == system["model"]["name"]
    assert {"measure", "delta", "interval", "p_value", "wins", "losses", "ties"} == set(system["against_first_stage"])
    assert pytest.approx(2 / 3) == system["queries"]["up"]["delta"]
    assert 4 == system["queries"]["up"]["scored"]
    assert {"p50", "p95", "p99"} == set(system["milliseconds"])
    assert ["down"] == [query["id"] for query in system["hurt"]]
    assert {
        "id": "a",
        "rank": 4,
        "first_stage_rank": 1,
        "model_score": 0.0,
        "grade": 1,
        "text": "text a",
    } == system["hurt"][0]["hits"][-1]


async def test_without_judgments_there_are_no_measures() -> None:
    """But how far the rankings agree."""
    found = document(await results(qrels=None))
    assert [] == found["measures"]
    system = found["systems"][1]
    assert system["against_first_stage"] is None
    assert "hurt" not in system
    assert 3 == len(system["changed"])
    assert 0 < system["overlap"]["rbo"] < 1


def test_durations_are_in_milliseconds() -> None:
    """Seconds inside."""
    assert {"p50": 1.0, "p95": 2000.0, "p99": 2000.0} == milliseconds({"a": 0.001, "b": 2.0})

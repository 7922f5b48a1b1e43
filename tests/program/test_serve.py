"""`rerank-sidecar serve` with the embedded engine: searches, probes, the rerank API, and the death of its scorer."""

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from sidecar import sample
from tests.integration.wire import Answer, send
from tests.program.processes import (
    ANYWHERE,
    QUICK_END,
    Program,
    asynchronous,
    children,
    eventually,
    finished,
    is_running,
    running,
    search,
    status,
)

QUERY = next(iter(sample.queries().values()))
OTHER = "why is the sky blue"
PAIRS = {
    "model": "cross-encoder/ms-marco-MiniLM-L6-v2",
    "query": "capital of France",
    "documents": ["Bananas are yellow.", "Paris is the capital of France."],
}

QUICK = ("--scorer", "test:identity", "--allow-test-scorers", "--listen", ANYWHERE)
"""What makes a program that needs no model."""


@pytest.mark.weights
async def test_a_search_comes_back_reranked(served: Program) -> None:
    """The marker says so, the scores are ours and fall, and the hits are those of the engine in another order."""
    answer = await search(served.url, QUERY)
    bare = await search(served.url, QUERY, X_Rerank="off")
    assert "applied; candidates=15; window=15; model=offline" == answer.marker
    assert "skipped; reason=off" == bare.marker
    assert answer.ids != bare.ids
    scores = [hit["_score"] for hit in answer.hits]
    assert sorted(scores, reverse=True) == scores
    assert answer.json["hits"]["max_score"] == scores[0]
    assert answer.json["hits"]["total"] == bare.json["hits"]["total"]
    timing = dict(re.findall(r"(\w+);dur=([\d.]+)", answer.header("Server-Timing") or ""))
    assert ["first_stage", "rerank", "queue", "model", "total"] == list(timing)
    assert float(timing["queue"]) + float(timing["model"]) <= float(timing["rerank"]) < float(timing["total"])


@pytest.mark.weights
async def test_an_msearch_has_a_marker_for_each_item(served: Program) -> None:
    """Two searches, one of them without free text."""
    lines: list[dict[str, Any]] = [
        {"index": "articles"},
        {"query": {"match": {"text": OTHER}}},
        {},
        {"query": {"match_all": {}}},
    ]
    answer = await send(served.url, "POST", "/articles/_msearch", body=lines)
    first, second = answer.marker.split(", ")
    assert first.startswith("applied; ")
    assert "skipped; reason=no_free_text" == second
    assert [200, 200] == [item["status"] for item in answer.json["responses"]]


@pytest.mark.weights
async def test_what_is_no_search_passes_through(served: Program) -> None:
    """The list of indices, as dashboards ask for it."""
    (index,) = (await send(served.url, "GET", "/_cat/indices?format=json")).json
    documents = len(sample.documents_path().read_text(encoding="utf-8").splitlines())
    assert (sample.INDEX, str(documents)) == (index["index"], index["docs.count"])


@pytest.mark.weights
async def test_probes_and_metrics_are_on_both_ports(served: Program) -> None:
    """The admin listener has them, too, and nothing else."""
    admin = served.said(r"^probes and metrics on (http://\S+)/_rerank/metrics$")[1]
    await search(served.url, QUERY)
    for url in (served.url, admin):
        assert (200, "live") == await status(url, "live")
        assert (200, "started") == await status(url, "startup")
        assert (200, "ready") == await status(url, "ready")
        lines = (await send(url, "GET", "/_rerank/metrics")).body.decode().splitlines()
        assert "rerank_sidecar_rerank_ready 1.0" in lines
        outcomes = [line for line in lines if line.startswith("rerank_sidecar_rerank_outcomes_total{")]
        assert any('operation="search",outcome="applied"' in line for line in outcomes)
    assert 404 == (await send(admin, "GET", "/articles/_count")).status


@pytest.mark.weights
@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/v2/rerank"])
async def test_the_rerank_api_puts_paris_first(served: Program, path: str) -> None:
    """As the README's curl asks; `model` is a label, and the answer names the one that was used."""
    answer = (await send(served.url, "POST", path, body=PAIRS)).json
    assert "offline" == answer["model"]
    assert [1, 0] == [result["index"] for result in answer["results"]]
    paris, bananas = (result["relevance_score"] for result in answer["results"])
    assert 0 <= bananas < paris <= 1


@pytest.mark.weights
async def test_a_killed_scorer_costs_no_search(served: Program) -> None:
    """Its child dies by SIGKILL: every search is answered, at first in the engine's order, then reranked again."""
    (child,) = children(served.pid)
    os.kill(child, signal.SIGKILL)
    bare = (await search(served.url, QUERY, X_Rerank="off")).ids
    answers = [await eventually(lambda: search(served.url, QUERY), lambda answer: answer.outcome == "degraded")]

    async def ask() -> Answer:
        answers.append(await search(served.url, QUERY))
        return answers[-1]

    await eventually(ask, lambda answer: answer.outcome == "applied")
    assert {200} == {answer.status for answer in answers}
    assert {"degraded", "applied"} == {answer.outcome for answer in answers}
    assert {"scorer_lost", "starting"} >= {answer.reason for answer in answers[:-1]}
    assert all(answer.ids == bare for answer in answers[:-1])
    assert (200, "ready") == await status(served.url, "ready")
    (reborn,) = children(served.pid)
    assert reborn != child


async def test_a_model_that_cannot_be_had_degrades() -> None:
    """`serve` lives on, is ready, and says why on every search. When it is killed, its child ends, too."""
    with running("serve", "--engine", "embedded", "--listen", ANYWHERE, "--model", "/nowhere", **QUICK_END) as program:
        answer = await eventually(lambda: search(program.url, QUERY), lambda answer: answer.reason != "starting")
        assert (200, "degraded; reason=model") == (answer.status, answer.marker)
        assert (200, "ready") == await status(program.url, "ready")
        (child,) = children(program.pid)
        assert -signal.SIGKILL == program.end(signal.SIGKILL)
        await eventually(asynchronous(lambda: is_running(child)), lambda alive: not alive)


async def test_documents_of_ones_own(tmp_path: Path) -> None:
    """`--engine embedded:FILE` serves its lines as the index `documents`."""
    file = tmp_path / "own.jsonl"
    documents = [{"_id": "a", "title": "Tea", "n": 1}, {"_id": "b", "title": "Green tea", "n": 2}]
    file.write_text("".join(json.dumps(document) + "\n" for document in documents), encoding="utf-8")
    with running("serve", "--engine", f"embedded:{file}", *QUICK, **QUICK_END) as program:
        answer = await search(program.url, "tea", index="documents")
        assert {"a", "b"} == set(answer.ids)
        assert "applied; candidates=2; window=100; model=test:identity" == answer.marker
        assert 0 == program.end()


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ('{"title": "fine"}\n{"title": \n', "line 2: "),
        (None, "No such file"),
    ],
)
def test_a_broken_file_of_documents_is_named(tmp_path: Path, lines: str | None, complaint: str) -> None:
    """File and line, and the exit code of what the operator can mend."""
    file = tmp_path / "broken.jsonl"
    if lines is not None:
        file.write_text(lines, encoding="utf-8")
    done = finished("serve", "--engine", f"embedded:{file}", *QUICK)
    assert (2, "") == (done.code, done.stdout)
    assert done.stderr.startswith("rerank-sidecar: engine.url: ")
    assert str(file) in done.stderr
    assert complaint in done.stderr

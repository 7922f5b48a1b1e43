"""`rerank-sidecar evaluate`: what it prints and writes, on the demo's judged queries and on real engines."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ir_measures
import pytest

from sidecar import sample
from tests.program.processes import finished

SAMPLE = ("evaluate", "--dataset", "sample")
IDENTITY = ("--scorer", "test:identity", "--allow-test-scorers")
MEASURES = ("nDCG@10", "RR@10", "AP")
MEASURED = [argument for name in MEASURES for argument in ("--measure", name)]


def evaluated(folder: Path, *arguments: str) -> dict[str, Any]:
    """Return what an evaluation that works writes as JSON."""
    done = finished(*arguments, "--json", str(folder / "out.json"))
    assert 0 == done.code, done.stderr
    found: dict[str, Any] = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.weights
def test_reranking_helps_on_the_demos_queries(tmp_path: Path, scorer: str) -> None:
    """With the offline model; two windows in one table, a page, and runs of which ir-measures says the same."""
    files = ("--save-run", str(tmp_path / "after.trec"), "--html", str(tmp_path / "page.html"))
    windows = ("--window", "10", "--window", "20", "--limit", "6", *MEASURED)
    found = evaluated(tmp_path, *SAMPLE, "--scorer", scorer, *windows, *files)
    ten, twenty = found["systems"]
    assert (10, 20) == (ten["window"], twenty["window"])
    assert 10 == ten["scored_per_query"] < twenty["scored_per_query"] <= 20
    assert twenty["against_first_stage"]["delta"] > 0
    assert twenty["means"]["nDCG@10"] > found["first_stage"]["means"]["nDCG@10"]
    assert twenty["milliseconds"]["p50"] > ten["milliseconds"]["p50"] > 0
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    for system in (ten, twenty):
        run = tmp_path / f"after.offline-window={system['window']}-{system['fusion']}.trec"
        assert pytest.approx(system["means"]) == aggregate(run, list(system["queries"]))


def aggregate(run: Path, queries: Sequence[str]) -> dict[str, float]:
    """Return what ir-measures says of a run on the demo's judgments."""
    qrels = {query: dict(sample.qrels()[query]) for query in queries}
    names = [ir_measures.parse_measure(name) for name in MEASURES]
    found = ir_measures.calc_aggregate(names, qrels, list(ir_measures.read_trec_run(str(run))))
    return {str(name): value for name, value in found.items()}


def test_a_saved_first_stage_can_be_evaluated_again(tmp_path: Path) -> None:
    """As a stored run it gives the figures that it gave as an engine."""
    run = tmp_path / "first.trec"
    engine = evaluated(tmp_path, *SAMPLE, *IDENTITY, "--save-first-stage", str(run), "--analyzer", "standard")
    stored = evaluated(tmp_path, *SAMPLE, *IDENTITY, "--run", str(run))
    assert "standard" == engine["first_stage"]["analyzer"]
    assert engine["first_stage"]["means"] == stored["first_stage"]["means"]
    assert engine["systems"][0]["means"] == stored["systems"][0]["means"]


def test_ratings_as_quepid_exports_them(tmp_path: Path) -> None:
    """They are queries and judgments in one file; the documents are an engine's."""
    ratings = tmp_path / "ratings.csv"
    rows = [f'"{text}",{id},{grade}' for query, text in sample.queries().items() for id, grade in _rated(query)]
    ratings.write_text("\n".join(("query,docid,rating", *rows)), encoding="utf-8")
    engine = ("--engine", f"embedded:{sample.documents_path()}", "--fields", "title,text", *MEASURED)
    by_text = evaluated(tmp_path, "evaluate", "--qrels", str(ratings), *engine, *IDENTITY)
    by_id = evaluated(tmp_path, *SAMPLE, *engine, *IDENTITY)
    assert 30 == by_text["dataset"]["queries"]
    assert pytest.approx(by_id["first_stage"]["means"]) == by_text["first_stage"]["means"]


def _rated(query: str) -> list[tuple[str, int]]:
    return list(sample.qrels()[query].items())


def test_without_judgments_the_rankings_are_compared(tmp_path: Path) -> None:
    """By how far they agree."""
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "how do bees find food"}\n', encoding="utf-8")
    (tmp_path / "corpus.jsonl").write_bytes(sample.documents_path().read_bytes())
    done = finished("evaluate", "--dataset", str(tmp_path), *IDENTITY)
    assert 0 == done.code, done.stderr
    assert "Jaccard@10" in done.stdout
    assert "nDCG" not in done.stdout


def test_a_real_engine_gets_the_corpus_and_gives_the_same_figures(
    tmp_path: Path, engine_url: str, new_index_name: Callable[[], str]
) -> None:
    """Those of the embedded engine, which are Lucene's; the index stays, and is not written to again."""
    index = new_index_name()
    engine = ("--engine", engine_url, "--index", index)
    analyzer = ("--analyzer", "standard")  # the engines that the tests build have but the analyzers of their core
    embedded = evaluated(tmp_path, *SAMPLE, *IDENTITY, *analyzer)
    indexed = evaluated(tmp_path, *SAMPLE, *IDENTITY, *engine, *analyzer, "--index-corpus")
    assert pytest.approx(embedded["first_stage"]["means"], abs=1e-6) == indexed["first_stage"]["means"]
    again = evaluated(tmp_path, *SAMPLE, *IDENTITY, *engine, "--fields", "title,text")
    assert indexed["first_stage"]["means"] == again["first_stage"]["means"]
    assert again["first_stage"]["analyzer"] is None
    refused = finished(*SAMPLE, *IDENTITY, *engine, *analyzer, "--index-corpus")
    assert 1 == refused.code
    assert "already" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("--dataset", "/nowhere"), 2, "--dataset: /nowhere is no folder"),
        (("--dataset", "sample", "--run", "a.trec", "--engine", "embedded"), 2, "--run and --engine: give one of them"),
        (("--dataset", "sample", "--model", "offline"), 2, "--model and --scorer: give one of them"),
        (("--dataset", "sample", "--window", "0"), 2, "--window"),
        (("--dataset", "sample", "--engine", "http://127.0.0.1:9"), 2, "--index: say which index"),
        (("--dataset", "sample", "--engine", "http://127.0.0.1:9", "--index", "i"), 1, "127.0.0.1:9 cannot be reached"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], code: int, complaint: str) -> None:
    """In one line, and with the exit code that says whose fault it is."""
    done = finished("evaluate", *arguments, *IDENTITY)
    assert (code, "") == (done.code, done.stdout)
    assert complaint in done.stderr


def test_a_failing_model_gives_no_figures() -> None:
    """Those of the first stage under its name would be a lie."""
    done = finished(*SAMPLE, "--scorer", "test:failing", "--allow-test-scorers")
    assert 1 == done.code
    assert "not reranked, model" in done.stderr
    assert "nDCG" not in done.stdout

"""`rerank-sidecar finetune`: what it refuses, and a tiny model tuned from the shell."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from sidecar.program.cli import app
from tests import tiny_models
from tests.program.processes import finished
from tests.unit.sidecar.finetuning import lessons

RUNNER = CliRunner(env={"COLUMNS": "100"})


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--output", "out"), "Missing option '--qrels'"),
        (("--qrels", "q.tsv", "--output", "out", "--run", "a.trec", "--engine", "embedded"), "--run and --engine"),
        (("--qrels", "q.tsv", "--output", "tests"), "--output: tests is there already"),
        (("--qrels", "q.tsv", "--output", "out", "--dataset", "/nowhere"), "--dataset: /nowhere is no folder"),
        (("--qrels", "q.tsv", "--output", "out", "--method", "half"), "--method"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], complaint: str) -> None:
    """With exit code 2."""
    pytest.importorskip("peft")
    done = RUNNER.invoke(app, ["finetune", *arguments])
    assert 2 == done.exit_code
    assert complaint in done.output


@pytest.mark.slow
def test_a_model_is_tuned_and_can_be_evaluated(tmp_path: Path) -> None:
    """A folder like any other; the last lines compare it with the one that it was made of."""
    pytest.importorskip("peft")
    pytest.importorskip("sentence_transformers")
    data = lessons.write_dataset(tmp_path / "data")
    model, tuned = tiny_models.bert(tmp_path / "base"), tmp_path / "tuned"
    course = ("--epochs", "1", "--batch-size", "8", "--evaluations", "1", "--learning-rate", "5e-3", "--held-out", "6")
    judged = ("--dataset", str(data), "--qrels", str(data / "qrels.trec"))
    done = finished("finetune", *judged, "--model", str(model), "--output", str(tuned), *course)
    assert 0 == done.code, done.stderr
    assert "tuned against untuned, nDCG@10: +" in done.stdout
    assert f"wrote {tuned}: serve it with --model {tuned}" == done.stdout.splitlines()[-1]
    again = finished("evaluate", *judged, "--model", str(tuned), "--limit", "2", "--window", "5")
    assert 0 == again.code, again.stderr
    assert "tuned window=5 model_only" in again.stdout

"""The whole command in this process: a tuned model, its figures, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import ConfigError, ModelFailed
from sidecar.finetuning import program
from sidecar.finetuning.report import NotBetter
from sidecar.finetuning.request import FinetuneRequest
from sidecar.program.config import load as load_settings
from sidecar.program.parts import Options
from tests import tiny_models
from tests.unit.sidecar.finetuning import lessons

for name in ("accelerate", "datasets", "peft", "sentence_transformers"):
    pytest.importorskip(name)


def tuned(folder: Path, model: Path, **changes: Any) -> list[str]:
    """Run the command, and return the lines that it says."""
    data = lessons.write_dataset(folder / "data")
    settings = {"epochs": 2.0, "batch_size": 8, "evaluations": 2, "learning_rate": 5e-3, "held_out": 6}
    settings |= {"negatives": 3, "per_query": 4, **changes}
    request = FinetuneRequest(
        dataset=str(data), qrels=data / "qrels.trec", model=str(model), output=folder / "tuned", window=24, **settings
    )
    lines: list[str] = []
    program.run(Options(settings=load_settings(None, {"model.dtype": "fp32"})), request, lines.append)
    return lines


def test_a_model_is_tuned_and_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On queries that were held out; what was needed on the way is gone."""
    lines = tuned(tmp_path, tiny_models.bi_encoder(tmp_path / "base"), epochs=20.0)
    assert f"wrote {tmp_path / 'tuned'}: serve it with --model {tmp_path / 'tuned'}" == lines[-1]
    figures = json.loads((tmp_path / "tuned" / "finetuning.json").read_text())
    assert (24, 6) == (figures["course"]["trained_queries"], figures["course"]["held_out_queries"])
    assert 6 == figures["evaluation"]["dataset"]["queries"]
    assert figures["tuned_against_untuned"]["delta"] > 0.1
    assert "base window=24" in capsys.readouterr().out
    assert {"base", "data", "tuned"} == {path.name for path in tmp_path.iterdir()}


def test_what_is_no_better_is_not_written(tmp_path: Path) -> None:
    """The folder of the training stays, and is not begun anew by mistake."""
    model = tiny_models.bert(tmp_path / "base")
    with pytest.raises(NotBetter, match="nothing was written"):
        tuned(tmp_path, model, learning_rate=0.0)
    assert not (tmp_path / "tuned").exists()
    with pytest.raises(ConfigError, match="go on with --resume"):
        tuned(tmp_path, model, learning_rate=0.0)
    with pytest.raises(ConfigError, match="other judgments or settings"):
        tuned(tmp_path, model, learning_rate=1e-3, resume=True)


def test_two_outputs_are_refused(tmp_path: Path) -> None:
    """Their loss is another."""
    with pytest.raises(ModelFailed, match="two outputs"):
        tuned(tmp_path, tiny_models.bert(tmp_path / "base", labels=2))


def test_clicks_on_an_engine_need_no_dataset(tmp_path: Path) -> None:
    """Queries are in the file, texts in the index."""
    data = lessons.write_dataset(tmp_path / "data")
    good, other = sorted(lessons.relevant()), sorted(lessons.documents().keys() - lessons.relevant())
    rows = [f"{words},{good[n % 12]},{other[(5 * n) % 12]}" for words in lessons.queries().values() for n in range(4)]
    (tmp_path / "clicks.csv").write_text("\n".join(("query,clicked,passed_over", *rows)))
    request = FinetuneRequest(
        qrels=tmp_path / "clicks.csv",
        model=str(tiny_models.bert(tmp_path / "base")),
        output=tmp_path / "tuned",
        fields=("text",),
        method="full",
        epochs=1.0,
        evaluations=1,
        learning_rate=5e-3,
        held_out=5,
    )
    engine = {"engine.url": f"embedded:{data / 'corpus.jsonl'}", "model.dtype": "fp32"}
    lines: list[str] = []
    program.run(Options(settings=load_settings(None, engine)), request, lines.append)
    assert "first stage: embedded engine, index documents" in lines
    figures = json.loads((tmp_path / "tuned" / "finetuning.json").read_text())
    assert (25, 5) == (figures["course"]["trained_queries"], figures["course"]["held_out_queries"])


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is asked."""
    monkeypatch.setattr(program, "_NEEDED", ("peft", "no_such_trainer"))
    with pytest.raises(ConfigError, match=r"finetune needs no_such_trainer: pip install 'rerank-sidecar\[finetune\]'"):
        tuned(tmp_path, tmp_path)

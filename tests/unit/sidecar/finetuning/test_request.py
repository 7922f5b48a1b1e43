"""What is asked for, and what cannot be."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import ConfigError
from sidecar.finetuning.request import BI_ENCODER, CROSS_ENCODER, FinetuneRequest


def asked(folder: Path, **changes: Any) -> FinetuneRequest:
    """Return a request with a new folder as the output."""
    given = {"qrels": Path("train.tsv"), "model": "offline", "output": folder / "tuned", **changes}
    return FinetuneRequest(**given)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    """An empty folder will do."""
    (tmp_path / "tuned").mkdir()
    asked(tmp_path)
    (tmp_path / "tuned" / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"--output: .* is there already"):
        asked(tmp_path)


def test_a_stored_run_of_the_training_is_none_of_the_test(tmp_path: Path) -> None:
    """Its queries are others."""
    with pytest.raises(ConfigError, match="--test-run"):
        asked(tmp_path, run=Path("a.trec"), test_qrels=Path("test.tsv"))


def test_the_report_compares_the_model_with_itself(tmp_path: Path) -> None:
    """On the test's judgments and run, else on those of the training."""
    request = asked(tmp_path, run=Path("train.trec"), test_run=Path("test.trec"), window=50, limit=7)
    report = request.report(Path("held-out.csv"), Path("tuned"))
    assert ("offline", "tuned") == report.models
    assert (Path("train.trec"), (50,), None) == (report.run, report.windows, report.limit)
    tested = asked(tmp_path, run=Path("a.trec"), test_run=Path("b.trec"), test_qrels=Path("test.tsv"))
    assert Path("b.trec") == tested.report(Path("test.tsv"), Path("tuned")).run
    assert (Path("train.tsv"), 7) == (request.training_source().qrels, request.training_source().limit)


@pytest.mark.parametrize(("queries", "given", "expected"), [(30, None, 3), (5, None, 1), (5000, None, 100), (9, 8, 8)])
def test_how_many_are_held_out(tmp_path: Path, queries: int, given: int | None, expected: int) -> None:
    """A tenth, at most a hundred, unless somebody says."""
    assert expected == asked(tmp_path, held_out=given).held_out_of(queries)


@pytest.mark.parametrize(("queries", "given"), [(9, 9), (1, None)])
def test_both_sides_need_queries(tmp_path: Path, queries: int, given: int | None) -> None:
    """One to train on, one to measure on."""
    with pytest.raises(ConfigError, match="--held-out"):
        asked(tmp_path, held_out=given).held_out_of(queries)


@pytest.mark.parametrize("is_cross_encoder", [True, False])
def test_rates_are_the_methods_unless_given(tmp_path: Path, is_cross_encoder: bool) -> None:
    """Adapters learn faster than all weights."""

    def rate(**changes: Any) -> float:
        return asked(tmp_path, **changes).recipe(is_cross_encoder=is_cross_encoder).learning_rate

    assert rate(method="lora") > rate(method="full")
    assert 0.1 == rate(learning_rate=0.1)


def test_what_is_not_said_is_the_kinds(tmp_path: Path) -> None:
    """Cross-encoders by adapters, with the texts of an example; bi-encoders whole, with those of the batch."""
    assert CROSS_ENCODER == asked(tmp_path).recipe(is_cross_encoder=True)
    assert BI_ENCODER == asked(tmp_path).recipe(is_cross_encoder=False)
    with pytest.raises(ConfigError, match="--per-text"):
        asked(tmp_path, per_text=4).recipe(is_cross_encoder=True)
    with pytest.raises(ConfigError, match="--negatives"):
        asked(tmp_path, negatives=0).recipe(is_cross_encoder=True)
    assert replace(BI_ENCODER, negatives=2) == asked(tmp_path, negatives=2).recipe(is_cross_encoder=False)

"""Outputs: whole files, equal bytes for equal answers."""

from pathlib import Path

import pytest

from sidecar.bulk import output
from sidecar.bulk.answers import Answer, Row
from sidecar.errors import ConfigError

ROWS = [
    Row(
        document=f"d{rank}",
        rank=rank,
        score=2.0 - rank / 10,
        first_stage_rank=3 - rank,
        first_stage_score=None if rank == 2 else 1.0,
        model_score=None if rank == 2 else 0.5,
        text=f"text {rank} \ud800",
    )
    for rank in (1, 2)
]
ANSWERS = [("q1", Answer(rows=ROWS)), ("q2", Answer(rows=[], skipped="no_hits")), ("q3", Answer(rows=ROWS))]
TEXTS = {"q1": "one", "q2": "two", "q3": "three"}


def test_a_run(tmp_path: Path) -> None:
    """Six columns; a query without hits has no lines."""
    output.write_run(tmp_path / "deep/run.trec", ANSWERS)
    lines = (tmp_path / "deep/run.trec").read_text(encoding="utf-8").splitlines()
    assert ["q1 Q0 d1 1 1.9 rerank-sidecar", "q1 Q0 d2 2 1.8 rerank-sidecar"] == lines[:2]
    assert 4 == len(lines)
    assert ["run.trec"] == [path.name for path in (tmp_path / "deep").iterdir()]


def test_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows with texts, in groups that keep a query together, and the same bytes each time."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `bulk` is not installed")
    monkeypatch.setattr(output, "GROUP_ROWS", 2)
    for name in ("a", "b"):
        output.write_table(tmp_path / f"{name}.parquet", ANSWERS, TEXTS)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    file = parquet.ParquetFile(tmp_path / "a.parquet")
    assert 2 == file.num_row_groups
    rows = file.read().to_pylist()
    assert ["q1", "q1", "q3", "q3"] == [row["query_id"] for row in rows]
    assert ("one", "d1", "text 1 ?", 1, 1.9, 0.5, 2, 1.0) == tuple(
        rows[0][name]
        for name in (
            "query",
            "document_id",
            "text",
            "rank",
            "score",
            "model_score",
            "first_stage_rank",
            "first_stage_score",
        )
    )
    assert (None, None) == (rows[1]["model_score"], rows[1]["first_stage_score"])


def test_an_id_that_a_run_cannot_hold(tmp_path: Path) -> None:
    """Is said when it comes, not at the end of the job."""
    row = Row(document="white space", rank=1, score=1.0, first_stage_rank=1, first_stage_score=1.0, model_score=None)
    with pytest.raises(ConfigError, match="white space"):
        output.check_ids(tmp_path / "run.trec", "q1", Answer(rows=[row]))


def test_what_was_there_stays_until_all_is_written(tmp_path: Path) -> None:
    """A write that fails leaves the old file."""
    path = tmp_path / "run.trec"
    path.write_text("old", encoding="utf-8")

    def failing() -> output.Answers:
        yield ANSWERS[0]
        raise OSError(28, "No space left on device")

    with pytest.raises(ConfigError, match="No space left"):
        output.write_run(path, failing())
    assert "old" == path.read_text(encoding="utf-8")

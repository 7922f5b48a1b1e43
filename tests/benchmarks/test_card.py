"""The model card's table, from files laid out as MS MARCO's are."""

from pathlib import Path

import pytest

from benchmarks import card
from tests import tiny_models

CANDIDATES = (
    "1\t10\tblue sky\tthe sky is blue\n2\t11\told tree\ta tree\n1\t11\tblue sky\ta tree\n2\t10\told tree\tsky\n"
)


@pytest.mark.slow
def test_what_is_there_is_measured_and_what_is_not_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model in a folder, TREC's files, none of the dev set, and a model that no hub gives."""
    model = str(tiny_models.bert(tmp_path / "model"))
    files = tmp_path / "msmarco"
    files.mkdir()
    (files / "msmarco-passagetest2019-top1000.tsv").write_text(CANDIDATES)
    (files / "2019qrels-pass.txt").write_text("1 Q0 10 3\n1 Q0 11 0\n2 Q0 11 2\n")
    absent = "cross-encoder/ms-marco-MiniLM-L2-v2"
    card.main(["--msmarco", str(files), "--work", str(tmp_path / "work"), "--model", model, "--model", absent])
    printed = capsys.readouterr().out
    row = next(line for line in printed.splitlines() if line.startswith(f"| {model}"))
    figure = float(row.split("|")[2])
    assert 63.0 < figure <= 100.0
    assert "missing: top1000.dev.tsv and qrels.dev.small.tsv in" in printed
    assert f"missing: weights of {absent}: " in printed


def test_lists_keep_their_order(tmp_path: Path) -> None:
    """Each passage and each query is there once, though the file names them in every line."""
    (tmp_path / "c.tsv").write_text(CANDIDATES)
    (tmp_path / "q.tsv").write_text("1\t0\t10\t1\n")
    card.lay_out(tmp_path / "c.tsv", tmp_path / "q.tsv", tmp_path / "out")
    assert 2 == len((tmp_path / "out" / "corpus.jsonl").read_text().splitlines())
    assert 2 == len((tmp_path / "out" / "queries.jsonl").read_text().splitlines())
    run = [line.split()[:4:2] + line.split()[3:4] for line in (tmp_path / "out" / "run.trec").read_text().splitlines()]
    assert [["1", "10", "1"], ["2", "11", "1"], ["1", "11", "2"], ["2", "10", "2"]] == run
    assert "1 0 10 1\n" == (tmp_path / "out" / "qrels.trec").read_text()

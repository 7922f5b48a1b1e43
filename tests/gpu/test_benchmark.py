"""The GPU benchmark as a rehearsal: it runs from end to end without a GPU, and does not hide that there was none."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.gpu import correctness, vocabulary
from benchmarks.gpu.report import Report, Stopped
from benchmarks.workload import Search, Synthetic
from tests import tiny_models

SECTIONS = {
    "Loading",
    "Are the scores right?",
    "Is a score its pair's alone?",
    "Matrix products alone",
    "One pass on the device",
    "Engine: strings in, scores out",
    "Service: many searches at once",
    "What each kernel gains",
    "Late interaction",
    "Rooms of every size",
    "Kernel by kernel",
    "Beside the targets",
}


@pytest.mark.timeout(240)
@pytest.mark.slow
def test_a_rehearsal_runs_every_section(tmp_path: Path) -> None:
    """On a tiny model; the figures are there, in a file that says that they are none."""
    model = tiny_models.bert(tmp_path / "model")
    arguments = ["--device", "cpu", "--quick", "--model", str(model), "--out", str(tmp_path / "out"), "--commit", "abc"]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *arguments], capture_output=True, text=True, cwd=root, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "out" / "gpu.json").read_text())
    assert found["facts"]["is_rehearsal"] is True
    assert found["facts"]["commit"] == "abc"
    assert set(found["sections"]) == SECTIONS
    assert not [name for name, section in found["sections"].items() if "error" in section]
    assert found["sections"]["Engine: strings in, scores out"]["k=10"]["ours, cold"]["pairs_per_second"] > 0
    assert "REHEARSAL WITHOUT A GPU" in (tmp_path / "out" / "gpu.md").read_text()


def test_a_section_that_fails_costs_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its error is written beside what was measured before; what has no time left is not begun."""
    report = Report(tmp_path, {"gpu": "none"}, seconds=100.0)

    def fails() -> dict[str, object]:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    assert report.section("first", lambda: {"speed": 3}) == {"speed": 3}
    assert report.section("second", fails) == {}
    assert report.section("third", lambda: {"speed": 4}, needs=1000.0) == {}
    assert report.failed == ["second", "third"]
    sections = json.loads((tmp_path / "gpu.json").read_text())["sections"]
    assert sections["first"]["speed"] == 3
    assert "illegal memory access" in sections["second"]["error"]
    assert sections["third"]["error"] == "100 s left, 1000 s needed"
    assert "FAILED: RuntimeError" in capsys.readouterr().out


def test_wrong_scores_are_named(tmp_path: Path) -> None:
    """A system that misses the bar, and one that fails, are told from one that is right."""

    def right(search: Search) -> list[float]:
        return [float(len(text)) for text in search.texts]

    def fails(search: Search) -> list[float]:
        raise RuntimeError(search.query)

    work = [Search("a", ("bb", "cccc", "d")), Search("e", ("f", "gg"))]
    systems: dict[str, tuple[correctness.Score, str]] = {
        "right": (right, "fp16"),
        "a little off": (lambda search: [score + 0.01 for score in right(search)], "fp16"),
        "too far off": (lambda search: [score + 0.01 for score in right(search)], "fp32"),
        "in the wrong order": (lambda search: [-score for score in right(search)], "int8"),
        "failing": (fails, "fp16"),
    }
    expected = [right(search) for search in work]
    found = correctness.gate(Report(tmp_path, {}, seconds=1.0), systems, work, expected, dtype="fp16")
    assert [bool(each["failure"]) for each in found.values()] == [False, False, True, True, True]


class _Model:
    """What `invariants` asks of a model; every second run is another."""

    def __init__(self, noise: float) -> None:
        self._noise = noise
        self._runs = 0

    class facts:  # noqa: N801  # stands for an object
        dtype = "fp16"

    def tokenize(self, query: str, texts: Sequence[str]) -> list[str]:
        return list(texts)

    def prepare(self, pairs: Sequence[str], *, slot: int) -> Sequence[str]:
        return pairs

    def forward(self, pairs: Sequence[str]) -> list[float]:
        self._runs += 1
        return [len(pair) + self._noise * (self._runs % 2) for pair in pairs]

    run = forward


def test_scores_that_depend_on_more_than_the_pair_stop_it(tmp_path: Path) -> None:
    """More than rounding explains is an error; less is written down."""
    report = Report(tmp_path, {}, seconds=1.0)
    work = [Search("a", tuple("b" * size for size in range(1, 9)))]
    found = correctness.invariants(report, _Model(noise=0.001), work)  # type: ignore[arg-type]
    assert found["differences"]["alone"] == pytest.approx(0.001)
    with pytest.raises(Stopped, match="a score is not its pair's alone: permuted"):
        correctness.invariants(report, _Model(noise=0.5), work)  # type: ignore[arg-type]


def test_the_vocabulary_is_like_bert_s(tmp_path: Path) -> None:
    """As many pieces, the special ones at their places, and a whole word is one token."""
    from tokenizers import Tokenizer

    folder = vocabulary.write(tmp_path)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == vocabulary.SIZE
    assert {number: tokenizer.id_to_token(number) for number in vocabulary.SPECIAL} == vocabulary.SPECIAL
    search = Synthetic(folder).search(20, is_long=False)
    encoded = tokenizer.encode(search.query, search.texts[0])
    assert len(encoded.ids) == len(search.query.split()) + len(search.texts[0].split()) + 3
    assert [encoded.type_ids[0], encoded.type_ids[-1]] == [0, 1]
    assert "[UNK]" not in tokenizer.encode("xqzvbn").tokens

"""TREC run files: read in the order that trec_eval reads, written so that every tool reads the order that was meant."""

import struct
from itertools import pairwise
from pathlib import Path

import ir_measures
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import ConfigError
from sidecar.evaluation.runs import ScoredId, read, save, strictly_falling


def written(folder: Path, text: str) -> Path:
    """Return a run file with this text."""
    path = folder / "run.trec"
    path.write_text(text, encoding="utf-8")
    return path


def test_scores_give_the_order_and_ranks_decide_ties(tmp_path: Path) -> None:
    """Neither the order of the lines nor a rank against its score counts."""
    text = "q Q0 low 1 1.5 tag\nq Q0 b 3 2.5 tag\nq Q0 a 2 2.5 tag\nother Q0 a 1 -3e2 tag\n"
    expected = {"q": [ScoredId("a", 2.5), ScoredId("b", 2.5), ScoredId("low", 1.5)], "other": [ScoredId("a", -300.0)]}
    assert expected == read(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("q Q0 a 1 2.5\n", "line 1: expected `query Q0 document rank score tag`"),
        ("q Q0 a 1 high tag\n", "line 1: expected `query Q0 document rank score tag`"),
        ("q Q0 a 1 nan tag\n", "line 1: rank and score must be finite numbers"),
        ("q Q0 a 1 2 tag\nq Q0 a 2 1 tag\n", "line 2: document a is there twice for query q"),
        ("", "has no lines"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    """With the line."""
    with pytest.raises(ConfigError, match=complaint):
        read(written(tmp_path, text))


SCORES = st.lists(st.floats(-1e38, 1e38), max_size=30).map(lambda scores: sorted(scores, reverse=True))


@given(SCORES)
def test_scores_fall_as_c_floats(scores: list[float]) -> None:
    """Strictly, from the first to the last, and a score that did not have to move has not."""
    falling = strictly_falling(scores)
    assert len(scores) == len(falling)
    singles = [single(score) for score in falling]
    assert all(before > after for before, after in pairwise(singles))
    if len({single(score) for score in scores}) == len(scores):
        assert scores == falling


def single(value: float) -> float:
    """Return a number as C's float."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def test_scores_beyond_c_floats_fall_as_well() -> None:
    """The largest number there is stands for them."""
    assert [3.4028234663852886e38, 3.4028232635611926e38, 0.5] == strictly_falling([1e300, 1e300, 0.5])


def test_ir_measures_reads_the_order_that_was_meant(tmp_path: Path) -> None:
    """Even of equal scores, whatever the ids: the relevant document is third, and so its reciprocal rank is 1/3."""
    path = tmp_path / "run.trec"
    save(path, {"q": [ScoredId(id, 7.25) for id in ("a", "z", "m", "y")]}, "tag")
    run = list(ir_measures.read_trec_run(str(path)))
    assert {ir_measures.RR: 1 / 3} == ir_measures.calc_aggregate([ir_measures.RR], {"q": {"m": 1}}, run)
    assert ["a", "z", "m", "y"] == [scored.id for scored in read(path)["q"]]
    assert "q Q0 a 1 7.25 tag" == path.read_text().splitlines()[0]


def test_an_id_with_white_space_cannot_be_written(tmp_path: Path) -> None:
    """A file that every reader would misread is not written."""
    with pytest.raises(ConfigError, match="white space in 'q' or 'a b'"):
        save(tmp_path / "run.trec", {"q": [ScoredId("a b", 1.0)]}, "tag")
    assert not (tmp_path / "run.trec").exists()

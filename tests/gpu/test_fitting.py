"""What runs is what gives the reference's scores; what does not is left out, down to a refusal in words."""

from __future__ import annotations

import logging
import math
from array import array
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from sidecar.errors import ModelFailed
from sidecar.scoring.base import TokenPair
from sidecar.scoring.cuda.bert import Inputs
from sidecar.scoring.cuda.fitting import Candidate, Fitting, Probes
from sidecar.scoring.cuda.graphs import Recorder, Replay, Rerun
from sidecar.scoring.cuda.operations import PLAIN, Operations
from sidecar.scoring.cuda.rooms import Room, Rooms
from sidecar.scoring.cuda.runner import Runner
from sidecar.scoring.cuda.staging import PairParts
from sidecar.scoring.pairs import Template

QUERY = array("i", [5])
PAIRS = [TokenPair(QUERY, array("i", [7] * size)) for size in (3, 1, 0, 30, 12)]  # type: ignore[arg-type]
SCORES = [3.5, 1.5, 0.5, 30.5, 12.5]
ROOMS = Rooms(Room(tokens=tokens, longest=34, texts=8) for tokens in (64, 128))
RIGHT = replace(PLAIN, name="right", is_recordable=True)
SLOW = replace(RIGHT, name="slow")
WRONG = replace(RIGHT, name="wrong")
UNRECORDABLE = replace(PLAIN, name="one by one")


def lengths(inputs: Inputs, operations: Operations) -> torch.Tensor:
    """Score a text by its length, less four special tokens or the query, plus a half; by "wrong" ways, twice that."""
    bounds = inputs.texts.bounds
    scores = (bounds[1:] - bounds[:-1]).float() - 3.5
    if operations.name == "slow":
        for _ in range(2000):
            scores = scores + 0.0
    return scores * 2 if operations.name == "wrong" else scores


def fit(*candidates: Candidate, recorder: Recorder | None = None) -> Runner:
    """Return the runner that is found."""
    parts = PairParts(Template(before=(1,), between=(2,), after=(2,), types=(0, 0, 0, 1, 1))).parts
    probes = Probes(pairs=PAIRS, scores=SCORES, dtype="fp16")
    return Fitting(lengths, parts, probes, device="cpu").fit(candidates, lambda _: ROOMS, recorder)


def test_the_fastest_that_is_right_is_taken() -> None:
    """Recorded in every room."""
    runner = fit(lambda: SLOW, lambda: RIGHT, recorder=Rerun())
    assert runner.operations.name == "right"
    assert len(runner.recorded) == len(ROOMS)


def test_equally_fast_ones_keep_their_order() -> None:
    """The preferred one stands first, and noise does not decide."""
    assert fit(lambda: RIGHT, lambda: SLOW).operations.name == "right"


def test_wrong_scores_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """However fast, and it is said."""
    with caplog.at_level(logging.WARNING):
        assert fit(lambda: WRONG, lambda: SLOW).operations.name == "slow"
    assert "a score is off by 30.5" in caplog.text


def test_what_cannot_be_made_is_left_out() -> None:
    """A machine without Triton, or where it cannot compile."""

    def missing() -> Operations:
        raise ImportError("No module named 'triton'")

    assert fit(missing, lambda: RIGHT).operations.name == "right"


def test_what_cannot_be_recorded_is_the_last_resort() -> None:
    """It is not even tried when something else is right; then it runs one by one."""
    assert fit(lambda: SLOW, lambda: UNRECORDABLE, recorder=Rerun()).operations.name == "slow"
    runner = fit(lambda: WRONG, lambda: UNRECORDABLE, recorder=Rerun())
    assert (runner.operations.name, len(runner.recorded)) == ("one by one", 0)


def test_nothing_right_is_a_refusal() -> None:
    """In words that say why."""
    with pytest.raises(ModelFailed, match=r"no way to run it on cpu gives the right scores .*off by 30\.5"):
        fit(lambda: WRONG)


class _NoGraphs:
    """A device on which recording fails, after so many recordings."""

    def __init__(self, after: int = 0) -> None:
        self.left = after

    def record(self, work: Callable[[], torch.Tensor]) -> tuple[Replay, torch.Tensor]:
        self.left -= 1
        if self.left < 0:
            raise RuntimeError("operation not permitted when stream is capturing")
        return Rerun().record(work)


class _Stuck:
    """Graphs that give the scores of the recording for ever, or nothing that is a number."""

    def __init__(self, *, gives_numbers: bool) -> None:
        self.gives_numbers = gives_numbers

    def record(self, work: Callable[[], torch.Tensor]) -> tuple[Replay, torch.Tensor]:
        result = work()
        return (lambda: None if self.gives_numbers else result.fill_(math.nan)), result  # type: ignore[return-value]


@pytest.mark.parametrize(
    "recorder",
    [_NoGraphs(after=1), _Stuck(gives_numbers=True), _Stuck(gives_numbers=False)],
    ids=lambda x: repr(x)[20:30],
)
def test_graphs_that_are_not_right_are_not_used(recorder: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    """Everything then runs one by one, with the right scores, and it is said."""
    with caplog.at_level(logging.WARNING):
        runner = fit(lambda: RIGHT, recorder=recorder)
    assert len(runner.recorded) == 0
    assert "cuda graphs not used" in caplog.text
    parts = PairParts(Template(before=(1,), between=(2,), after=(2,), types=(0, 0, 0, 1, 1))).parts
    assert runner.run(runner.stage(parts(PAIRS, runner.largest))) == SCORES


def test_a_device_that_never_records_is_no_failure() -> None:
    """Timing goes on without, too."""
    runner = fit(lambda: RIGHT, lambda: SLOW, recorder=_NoGraphs())
    assert runner.operations.name == "right"
    assert len(runner.recorded) == 0


def test_a_full_room_holds_the_probes_over_and_over() -> None:
    """As many as fit, less those that are too long for it."""
    parts = PairParts(Template(before=(1,), between=(2,), after=(2,), types=(0, 0, 0, 1, 1))).parts
    fitting = Fitting(lengths, parts, Probes(pairs=PAIRS, scores=SCORES, dtype="fp32"), device="cpu")
    part, places = fitting.filling(Room(tokens=30, longest=10, texts=8))
    assert places == [0, 1, 2, 0, 1]
    assert part.lengths.tolist() == [7, 5, 4, 7, 5]


def test_tolerance_grows_with_the_scores_and_shrinks_with_the_precision() -> None:
    """What no precision explains is refused, and so is what is no number."""
    close = [score * 1.005 for score in SCORES]
    Probes(pairs=PAIRS, scores=SCORES, dtype="fp16").check(close, range(5))
    with pytest.raises(ModelFailed, match="a score is off"):
        Probes(pairs=PAIRS, scores=SCORES, dtype="fp32").check(close, range(5))
    with pytest.raises(ModelFailed, match="off by inf"):
        Probes(pairs=PAIRS, scores=SCORES, dtype="bf16").check([*SCORES[:4], math.nan], range(5))

"""Batches through a forward: which run is replayed, which is not, and that slots do not touch each other."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import pytest
import torch

from sidecar.scoring.base import TokenPair
from sidecar.scoring.cuda.bert import Inputs
from sidecar.scoring.cuda.graphs import Replay, Rerun
from sidecar.scoring.cuda.operations import PLAIN, Operations
from sidecar.scoring.cuda.rooms import Room
from sidecar.scoring.cuda.runner import Runner
from sidecar.scoring.cuda.staging import PairParts
from sidecar.scoring.pairs import Template
from tests.gpu.here import DEVICE, HAS_GPU, on_device

pytestmark = on_device

LARGEST = Room(tokens=64, longest=64, texts=16)
PACKER = PairParts(Template(before=(1,), between=(2,), after=(2,), types=(0, 0, 0, 1, 1)))


class Sums:
    """A model whose score is the sum of a text's ids. Remembers the rooms that it ran in."""

    def __init__(self) -> None:
        """Begin without runs."""
        self.runs: list[int] = []

    def __call__(self, inputs: Inputs, operations: Operations) -> torch.Tensor:
        """Return (texts,)."""
        assert operations is PLAIN
        texts = inputs.texts
        self.runs.append(len(texts.ids))
        sums = torch.cat([texts.ids.new_zeros(1), texts.ids.cumsum(0)])
        bounds = sums[texts.bounds]
        return (bounds[1:] - bounds[:-1]).float()


class Counting:
    """A recorder that counts replays."""

    def __init__(self) -> None:
        """Begin at none."""
        self.replays = 0

    def record(self, work: Callable[[], torch.Tensor]) -> tuple[Replay, torch.Tensor]:
        """Count and do as `Rerun` does."""
        replay, result = Rerun().record(work)

        def counted() -> None:
            self.replays += 1
            replay()

        return counted, result


def pairs(*sizes: int) -> list[TokenPair]:
    """Return pairs whose texts are `size` times the id 1000; a score is then 1000 * size + 1 + 5 + 2 + 2."""
    query = array("i", [5])
    return [TokenPair(query, array("i", [1000] * size)) for size in sizes]  # type: ignore[arg-type]  # any sequence


def scores(*sizes: int) -> list[float]:
    """Return what `pairs` score."""
    return [1000.0 * size + 10 for size in sizes]


@pytest.fixture
def sums() -> Sums:
    """Give a fresh model."""
    return Sums()


@pytest.fixture
def runner(sums: Sums) -> Runner:
    """Give a runner that has recorded nothing."""
    return Runner(sums, PLAIN, largest=LARGEST, device=DEVICE)


def test_nothing_recorded_runs_as_it_is(runner: Runner, sums: Sums) -> None:
    """In exactly the room that it needs, so that nothing is wasted."""
    assert runner.run(runner.stage(PACKER.parts(pairs(3, 0, 5), LARGEST))) == scores(3, 0, 5)
    assert sums.runs == [20]


def test_recorded_rooms_are_replayed(runner: Runner, sums: Sums) -> None:
    """The smallest that holds the batch; what none holds runs as it is."""
    recorder = Counting()
    runner.record([Room(tokens=32, longest=32, texts=4), Room(tokens=16, longest=16, texts=2)], recorder)
    sums.runs.clear()
    assert runner.run(runner.stage(PACKER.parts(pairs(3, 0), LARGEST))) == scores(3, 0)
    assert runner.run(runner.stage(PACKER.parts(pairs(3, 0, 4), LARGEST))) == scores(3, 0, 4)
    assert runner.run(runner.stage(PACKER.parts(pairs(40), LARGEST))) == scores(40)
    assert sums.runs == [16, 32, 44]
    assert recorder.replays == 2


def test_a_smaller_batch_sees_nothing_of_the_one_before(runner: Runner) -> None:
    """All of a room is written, also what the batch leaves empty."""
    runner.record([Room(tokens=64, longest=64, texts=16)], Rerun())
    assert runner.run(runner.stage(PACKER.parts(pairs(20, 20, 4), LARGEST))) == scores(20, 20, 4)
    assert runner.run(runner.stage(PACKER.parts(pairs(1), LARGEST))) == scores(1)


def test_large_batches_run_in_parts(runner: Runner) -> None:
    """Parts of one room follow each other, and none overwrites the scores of the one before."""
    runner.record([Room(tokens=64, longest=64, texts=16)], Rerun())
    sizes = [7, 20, 9, 30, 2, 40, 1, 1, 50]
    assert runner.run(runner.stage(PACKER.parts(pairs(*sizes), LARGEST))) == scores(*sizes)


def test_slots_are_apart(runner: Runner) -> None:
    """A batch is put together while another one, staged before, has not run yet."""
    runner.record([Room(tokens=64, longest=64, texts=16)], Rerun())
    first = runner.stage(PACKER.parts(pairs(7, 20, 30, 4), LARGEST), slot=0)
    second = runner.stage(PACKER.parts(pairs(9, 40, 1), LARGEST), slot=1)
    assert runner.run(first) == scores(7, 20, 30, 4)
    third = runner.stage(PACKER.parts(pairs(2), LARGEST), slot=0)
    assert runner.run(second) == scores(9, 40, 1)
    assert runner.run(third) == scores(2)


def test_a_slot_can_be_taken_anew_before_its_batch_has_run(runner: Runner) -> None:
    """A batch that was dropped is overwritten."""
    runner.stage(PACKER.parts(pairs(7, 20), LARGEST), slot=0)
    assert runner.run(runner.stage(PACKER.parts(pairs(3), LARGEST), slot=0)) == scores(3)


def test_a_text_longer_than_the_largest_room_still_runs(runner: Runner) -> None:
    """In memory of its own."""
    assert runner.run(runner.stage(PACKER.parts(pairs(100, 2), LARGEST))) == scores(100, 2)


def test_forgetting_goes_back_to_running(runner: Runner, sums: Sums) -> None:
    """After a recording that is not right."""
    recorder = Counting()
    runner.record([Room(tokens=64, longest=64, texts=16)], recorder)
    runner.forget()
    sums.runs.clear()
    assert runner.run(runner.stage(PACKER.parts(pairs(3), LARGEST))) == scores(3)
    assert (sums.runs, recorder.replays, len(runner.recorded)) == ([7], 0, 0)


def test_nothing_is_nothing(runner: Runner) -> None:
    """An empty batch gives no scores."""
    assert runner.run([]) == []


@pytest.mark.skipif(not HAS_GPU, reason="needs CUDA graphs")
def test_cuda_graphs_replay(runner: Runner, sums: Sums) -> None:
    """Real graphs: the model's Python runs while recording only, and every replay reads the new batch."""
    from sidecar.scoring.cuda.graphs import CudaRecorder

    runner.record([Room(tokens=64, longest=64, texts=16), Room(tokens=32, longest=32, texts=8)], CudaRecorder())
    sums.runs.clear()
    for sizes in ([7, 20, 9], [3], [1, 2, 3, 4], [40, 5]):
        assert runner.run(runner.stage(PACKER.parts(pairs(*sizes), LARGEST))) == scores(*sizes)
    assert sums.runs == []

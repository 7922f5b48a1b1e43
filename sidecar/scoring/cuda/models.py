"""The PairModels of a GPU: a BERT cross-encoder, and late interaction over a BERT bi-encoder.

Law: the same scores as on the CPU, up to the precision; both are tested against that when they are loaded. A model that
overflows in fp16 runs in bf16, and says so in its facts.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

import torch

from sidecar.errors import ModelFailed
from sidecar.scoring.alignments import BestTokens
from sidecar.scoring.base import ModelFacts, PairModel, TokenPair
from sidecar.scoring.cuda.bert import CrossEncoder, LateInteraction
from sidecar.scoring.cuda.fitting import Candidate, Fitting, Probes, cuda_candidates
from sidecar.scoring.cuda.graphs import CudaRecorder, Recorder
from sidecar.scoring.cuda.operations import PLAIN, Likeness, Operations
from sidecar.scoring.cuda.rooms import Room, Rooms, standard_rooms
from sidecar.scoring.cuda.runner import Compute, Runner, Staged
from sidecar.scoring.cuda.staging import PairParts, Part, SeparateParts
from sidecar.scoring.devices import Placement
from sidecar.scoring.late_interaction import COSINE_SHARE
from sidecar.scoring.late_interaction import LateInteraction as CpuLateInteraction
from sidecar.scoring.model_folder import ModelFolder
from sidecar.scoring.packed_bert import BertShape
from sidecar.scoring.packed_cross_encoder import PackedCrossEncoder
from sidecar.scoring.tokenized import JointModel, SeparateModel, TokenizedModel
from sidecar.scoring.weights import read_weights

log = logging.getLogger(__name__)

CPU: Final = Placement("cpu", "fp32")

_FIRST_PAIRS: Final = 64
"""Of many pairs, so many are sent ahead: the device then works on these while the others are put together."""

_PROBE_QUERY: Final = "how does a quick fox jump over a dog"
_PROBE_WORDS: Final = (
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "a",
    "lazy",
    "dog",
    "that",
    "sleeps",
    "in",
    "town",
)
_PROBE_LENGTHS: Final = (0, 1, 2, 7, 15, 31, 60, 75, 90, 105, 120, 250, 1000)
"""Words of the texts with which a model is tested: none, the usual lengths, and more than it reads."""


class Packer(Protocol):
    """Puts pairs into parts."""

    @property
    def has_matches(self) -> bool:
        """Whether scores come from comparisons between texts."""
        ...

    def parts(self, pairs: Sequence[TokenPair], limit: Room) -> Iterable[Part]:
        """Return the pairs in order, in parts that `limit` holds."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """What may be used to run a model on its device."""

    candidates: Sequence[Candidate]
    #: None = no graphs
    recorder: Recorder | None
    #: tokens of the recorded rooms; None = the usual ones
    room_tokens: Sequence[int] | None = None

    @classmethod
    def of(cls, placement: Placement) -> Ways:
        """Return what there is for a device: kernels and graphs on CUDA, plain torch elsewhere."""
        if placement.kind != "cuda":
            return cls(candidates=[lambda: PLAIN], recorder=None)
        with torch.cuda.device(placement.device):
            return cls(candidates=cuda_candidates(), recorder=CudaRecorder())


class _Prepared:
    """What the models here have in common: batches are put into pinned memory ahead of time; see `PreparesBatches`."""

    _packer: Packer
    _runner: Runner

    @property
    def runner(self) -> Runner:
        """What runs it: the operations that were chosen for this device, and the rooms that are recorded."""
        return self._runner

    def prepare(self, pairs: Sequence[TokenPair], *, slot: int) -> list[Staged]:
        """Return the batch in pinned memory."""
        return self._runner.stage(self._packer.parts(pairs, self._runner.largest), slot=slot)

    def run(self, batch: Sequence[Staged]) -> list[float]:
        """Return one score per pair of a prepared batch, in order."""
        return self._runner.run(batch)

    def forward(self, pairs: Sequence[TokenPair]) -> list[float]:
        """Return one score per pair, in order."""
        first = _FIRST_PAIRS if len(pairs) >= 4 * _FIRST_PAIRS else 0
        runs = (pairs[:first], pairs[first:]) if first else (pairs,)
        return self._runner.stage_and_run(
            part for run in runs for part in self._packer.parts(run, self._runner.largest)
        )


class CudaCrossEncoder(_Prepared, JointModel):
    """A PairModel over BertForSequenceClassification weights."""

    def __init__(self, folder: ModelFolder, facts: ModelFacts, placement: Placement, ways: Ways | None = None) -> None:
        """Load the model in `folder`, choose how to run it, test it and record it.

        Raises:
            ModelFailed: its files are not what config.json says, or its scores here are not the reference's.
        """
        super().__init__(folder, facts, placement)
        self._packer = PairParts(self._template)
        types = self._packer.types
        if types is None:
            raise ModelFailed(
                f"{folder.name}: token types {self._template.types} are not supported on {placement.kind}"
            )
        weights, shape = read_weights(folder.weights()), BertShape.read(folder.config)
        make = partial(CrossEncoder, weights, shape, types=types)
        reference = PackedCrossEncoder(folder, facts, CPU)
        self._runner, self._facts = _fit(self, make, self._packer, reference, placement, ways or Ways.of(placement))


class CudaLateInteraction(_Prepared, SeparateModel):
    """A PairModel over a sentence-transformers bi-encoder's weights; see `late_interaction.py` for the score."""

    def __init__(self, folder: ModelFolder, facts: ModelFacts, placement: Placement, ways: Ways | None = None) -> None:
        """Load the model in `folder`, choose how to run it, test it and record it.

        Raises:
            ModelFailed: its files are not what config.json says, or its scores here are not the reference's.
        """
        super().__init__(folder, facts, placement)
        self._packer = SeparateParts(self._template)
        likeness = Likeness(
            before=len(self._template.before),
            after=len(self._template.after),
            pooled_share=COSINE_SHARE,
            pools_mean=self._pooling == "mean",
        )
        weights, shape = read_weights(folder.weights()), BertShape.read(folder.config)
        make = partial(LateInteraction, weights, shape, likeness=likeness)
        self._on_cpu = CpuLateInteraction(folder, facts, CPU)
        self._runner, self._facts = _fit(self, make, self._packer, self._on_cpu, placement, ways or Ways.of(placement))

    def best_tokens(self, pairs: Sequence[TokenPair]) -> Sequence[BestTokens]:
        """Return what answers the query's tokens in each text: for people, a few texts at a time, so on the CPU."""
        return self._on_cpu.best_tokens(pairs)


def _fit(
    model: TokenizedModel,
    make: Callable[[Placement], Compute],
    packer: Packer,
    reference: PairModel,
    placement: Placement,
    ways: Ways,
) -> tuple[Runner, ModelFacts]:
    """Return what runs the model on its device, in the first precision that does not overflow, and its facts."""
    pairs = model.tokenize(_PROBE_QUERY, _probe_texts())
    scores = reference.forward(pairs)

    def rooms(operations: Operations) -> Rooms:
        return standard_rooms(
            model.facts.max_length,
            has_matches=packer.has_matches,
            by_length=operations.is_bound_by_longest,
            tokens=ways.room_tokens,
        )

    for where in _precisions(placement):
        compute = make(where)
        if _is_finite(compute, packer, pairs, max(rooms(PLAIN)), where):
            probes = Probes(pairs=pairs, scores=scores, dtype=where.dtype)
            fitting = Fitting(compute, packer.parts, probes, device=where.device)
            return fitting.fit(ways.candidates, rooms, ways.recorder), replace(model.facts, dtype=where.dtype)
        log.warning("precision not used dtype=%s reason=its range is too small for this model", where.dtype)
    raise ModelFailed(f"{model.facts.name} gives no finite scores in {placement.dtype}")


def _precisions(placement: Placement) -> list[Placement]:
    """Return what was asked for, and bf16, which has the range of fp32, behind fp16."""
    return [placement, replace(placement, dtype="bf16")] if placement.dtype == "fp16" else [placement]


def _is_finite(compute: Compute, packer: Packer, pairs: Sequence[TokenPair], largest: Room, where: Placement) -> bool:
    runner = Runner(compute, PLAIN, largest=largest, device=where.device)
    return all(map(math.isfinite, runner.run(runner.stage(packer.parts(pairs, largest)))))


def _probe_texts() -> list[str]:
    return [
        " ".join(_PROBE_WORDS[(text + word) % len(_PROBE_WORDS)] for word in range(words))
        for text, words in enumerate(_PROBE_LENGTHS)
    ]

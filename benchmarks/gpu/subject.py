"""Our own models, and the ways to run them that are compared: kernels and graphs on or off."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from sidecar.scoring.base import ModelFacts, ScoreKind
from sidecar.scoring.cuda.bert import CrossEncoder
from sidecar.scoring.cuda.graphs import CudaRecorder, Recorder, Rerun
from sidecar.scoring.cuda.models import CudaCrossEncoder, CudaLateInteraction, Ways
from sidecar.scoring.cuda.operations import PLAIN, Operations, triton_operations, with_varlen
from sidecar.scoring.cuda.rooms import Room
from sidecar.scoring.cuda.runner import Runner
from sidecar.scoring.cuda.staging import PairParts
from sidecar.scoring.devices import Placement
from sidecar.scoring.late_interaction import LateInteraction
from sidecar.scoring.model_folder import ModelFolder
from sidecar.scoring.packed_bert import BertShape
from sidecar.scoring.pairs import load_tokenizer, probe
from sidecar.scoring.weights import read_weights

Make = Callable[[], Operations]

KERNELS: Final[dict[str, tuple[Make, ...]]] = {
    "auto": (),
    "triton": (triton_operations,),
    "torch": (lambda: with_varlen(PLAIN),),
    "plain": (lambda: PLAIN,),
}
REHEARSAL_ROOMS: Final = (256, 512)
REHEARSED: Final = replace(PLAIN, is_recordable=True)
"""Plain torch that may be "recorded" where a recording only runs it again."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model folder, and where it is run."""

    folder: Path
    device: str
    dtype: str
    #: "auto", or which operations alone may be used: should one kernel break the device, the others can be measured
    kernels: str = "auto"

    @property
    def is_rehearsal(self) -> bool:
        """Whether there is no GPU."""
        return self.device == "cpu"

    @property
    def placement(self) -> Placement:
        """Where it runs."""
        return Placement(self.device, self.dtype)

    def recorder(self) -> Recorder:
        """Return what records on this device."""
        return Rerun() if self.is_rehearsal else CudaRecorder()

    def ways(self, *makes: Make, records: bool = True) -> Ways:
        """Return what may be used: `makes` alone, or what the program itself tries, less what is ruled out."""
        own = Ways.of(self.placement)
        makes = makes or KERNELS[self.kernels]
        if self.is_rehearsal:
            own = Ways(candidates=[lambda: REHEARSED], recorder=Rerun(), room_tokens=REHEARSAL_ROOMS)
        return replace(own, candidates=makes or own.candidates, recorder=own.recorder if records else None)

    def cross_encoder(self, ways: Ways | None = None) -> CudaCrossEncoder:
        """Load it as the program does, or by `ways`."""
        return CudaCrossEncoder(self._folder, self._facts("cross-encoder"), self.placement, ways or self.ways())

    @cached_property
    def compute(self) -> CrossEncoder:
        """The forward alone, to be run by whatever operations."""
        return CrossEncoder(read_weights(self._folder.weights()), self._shape, self.placement, types=(0, 1))

    @cached_property
    def packer(self) -> PairParts:
        """What lays pairs out for it."""
        return PairParts(probe(load_tokenizer(self.folder)))

    def runner(self, operations: Operations, largest: Room) -> Runner:
        """Return what runs `compute` by way of `operations`, nothing recorded."""
        return Runner(self.compute, operations, largest=largest, device=self.device)

    @property
    def max_length(self) -> int:
        """Tokens that the model reads."""
        return self._folder.max_length(None)

    @property
    def gflop_per_token(self) -> Callable[[float], float]:
        """GFLOP of one token in a text of a length; the last layer works for first tokens only, next to nothing."""
        layers, hidden = self._shape.layers - 1, int(self._folder.config["hidden_size"])
        return lambda length: layers * (24 * hidden**2 + 4 * length * hidden) / 1e9

    @property
    def _shape(self) -> BertShape:
        return BertShape.read(self._folder.config)

    @property
    def _folder(self) -> ModelFolder:
        return ModelFolder(name=self.folder.name, path=self.folder)

    def _facts(self, kind: ScoreKind) -> ModelFacts:
        return ModelFacts(
            name=self.folder.name,
            revision="benchmark",
            kind=kind,
            max_length=self.max_length,
            recommended_fusion="model_only",
            device=self.placement.kind,
            dtype=self.dtype,
        )

    def bi_encoders(self, work: Path, ways: Ways | None = None) -> tuple[CudaLateInteraction, LateInteraction]:
        """Load its trunk as a bi-encoder: by kernels and graphs, and text by text as on a CPU, but on this device."""
        folder = ModelFolder(name="bi-encoder", path=_as_bi_encoder(self.folder, work))
        facts = self._facts("late-interaction")
        ours = CudaLateInteraction(folder, facts, self.placement, ways or self.ways())
        return ours, LateInteraction(folder, facts, self.placement)


def _as_bi_encoder(cross_encoder: Path, folder: Path) -> Path:
    """Write the same weights with what sentence-transformers says of a bi-encoder beside them."""
    shutil.copytree(cross_encoder, folder, dirs_exist_ok=True)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    modules = [{"path": "", "type": "x.Transformer"}, {"path": "1_Pooling", "type": "x.Pooling"}]
    (folder / "1_Pooling").mkdir(exist_ok=True)
    for path, content in (
        ("config.json", config | {"architectures": ["BertModel"]}),
        ("modules.json", modules),
        ("1_Pooling/config.json", {"pooling_mode_mean_tokens": True}),
    ):
        (folder / path).write_text(json.dumps(content), encoding="utf-8")
    return folder

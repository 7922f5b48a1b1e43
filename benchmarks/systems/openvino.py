"""OpenVINO over sorted batches, in fp32 or with its bf16 inference precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openvino
from numpy.typing import NDArray

from benchmarks.systems.onnx import INPUTS, exported
from benchmarks.systems.padded import Ids, PaddedSystem

HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenVino(PaddedSystem):
    """The ONNX model, compiled by OpenVINO for latency: one stream over all cores."""

    def __init__(self, folder: Path, *, threads: int, max_length: int, dtype: str) -> None:
        """Export the model if need be, and compile it."""
        super().__init__(folder, max_length=max_length)
        config = {
            "INFERENCE_PRECISION_HINT": HINTS[dtype],
            "INFERENCE_NUM_THREADS": str(threads),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._model: Any = openvino.Core().compile_model(str(exported(folder)), "CPU", config)

    def _forward(self, ids: Ids, mask: Ids, types: Ids) -> NDArray[Any]:
        (logits,) = self._model(dict(zip(INPUTS, (ids, mask, types), strict=True))).values()
        return logits[:, 0]  # type: ignore[no-any-return]  # (pairs,)

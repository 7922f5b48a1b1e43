"""sentence-transformers' CrossEncoder on each of its backends, as its documentation says to use it.

It sorts by length and pads each batch itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoder

from benchmarks.workload import Search

DEFAULT_BATCH_SIZE = 32


class SentenceTransformers:
    """`CrossEncoder.predict` over the pairs of all searches."""

    batch_sizes: Sequence[int] = (4, 8, 16, DEFAULT_BATCH_SIZE, 64)

    def __init__(
        self, folder: Path, *, threads: int, max_length: int, backend: str = "torch", dtype: str = "fp32"
    ) -> None:
        """Load the model; the ONNX and OpenVINO backends export it first."""
        torch.set_num_threads(threads)
        self.batch_size = DEFAULT_BATCH_SIZE
        self._model: Any = CrossEncoder(
            str(folder),
            device="cpu",
            max_length=max_length,
            backend=backend,
            model_kwargs=_model_arguments(backend, dtype, threads),
            local_files_only=True,
        )

    def score(self, searches: Sequence[Search]) -> list[list[float]]:
        """Return the logits of every search; see the package."""
        pairs = [(search.query, text) for search in searches for text in search.texts]
        scores = self._model.predict(
            pairs, batch_size=self.batch_size, activation_fn=torch.nn.Identity(), show_progress_bar=False
        )
        rest = iter(scores.tolist())
        return [[next(rest) for _ in search.texts] for search in searches]


def _model_arguments(backend: str, dtype: str, threads: int) -> dict[str, Any]:
    match backend:
        case "onnx":
            return {"provider": "CPUExecutionProvider", "export": True}
        case "openvino":
            hint = {"fp32": "f32", "bf16": "bf16"}[dtype]
            return {
                "export": True,
                "ov_config": {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": str(threads)},
            }
        case _:
            return {"dtype": {"fp32": torch.float32, "bf16": torch.bfloat16}[dtype]}

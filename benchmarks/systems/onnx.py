"""The model as ONNX, exported here; onnxruntime over sorted batches; FlashRank as it comes.

The export is cached beside the model, so that only the first run pays for it.
"""

from __future__ import annotations

import fcntl
import json
import math
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from benchmarks.systems.padded import Ids, PaddedSystem
from benchmarks.workload import Search

INPUTS = ("input_ids", "attention_mask", "token_type_ids")

_FLASHRANK_NAME = "ms-marco-TinyBERT-L-2-v2"
"""FlashRank runs models that it knows by name; the file of this one is ours."""


class OnnxRuntime(PaddedSystem):
    """onnxruntime, with its own fusions for BERT (`optimizer`, as optimum's O2 has them) where asked for."""

    def __init__(self, folder: Path, *, threads: int, max_length: int, is_fused: bool) -> None:
        """Export the model if need be, and load it."""
        super().__init__(folder, max_length=max_length)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        path = fused(folder) if is_fused else exported(folder)
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def _forward(self, ids: Ids, mask: Ids, types: Ids) -> NDArray[Any]:
        (logits,) = self._session.run(None, dict(zip(INPUTS, (ids, mask, types), strict=True)))
        return logits[:, 0]  # type: ignore[no-any-return]  # (pairs,)


class FlashRank:
    """FlashRank's Ranker: all texts of a search in one padded batch. Its scores are probabilities, turned back."""

    batch_sizes: Sequence[int] = ()
    batch_size = 0

    def __init__(self, folder: Path, *, threads: int, max_length: int) -> None:
        """Export the model if need be, and load it; FlashRank takes all cores."""
        from flashrank import Ranker
        from flashrank.Config import model_file_map

        del threads
        cache = folder / "flashrank"
        if not (cache / _FLASHRANK_NAME).is_dir():
            (cache / _FLASHRANK_NAME).mkdir(parents=True)
            for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
                shutil.copy(folder / name, cache / _FLASHRANK_NAME)
            shutil.copy(exported(folder), cache / _FLASHRANK_NAME / model_file_map[_FLASHRANK_NAME])
        self._ranker: Any = Ranker(_FLASHRANK_NAME, cache_dir=str(cache), max_length=max_length, log_level="ERROR")

    def score(self, searches: Sequence[Search]) -> list[list[float]]:
        """Return the logits of every search; see the package."""
        return [self._score(search) for search in searches]

    def _score(self, search: Search) -> list[float]:
        from flashrank import RerankRequest

        passages = [{"id": place, "text": text} for place, text in enumerate(search.texts)]
        found = self._ranker.rerank(RerankRequest(query=search.query, passages=passages))
        scores = {passage["id"]: float(passage["score"]) for passage in found}
        return [math.log(scores[place] / (1.0 - scores[place])) for place in range(len(search.texts))]


def exported(folder: Path) -> Path:
    """Return the model as ONNX with the attention spelt out, which is the form that onnxruntime can fuse."""
    return _made_once(folder, "model.onnx", _export)


def fused(folder: Path) -> Path:
    """Return the same after onnxruntime's fusions for BERT: attention, embeddings, GELU and LayerNorm."""
    exported(folder)
    return _made_once(folder, "model-fused.onnx", _fuse)


def _made_once(folder: Path, name: str, make: Callable[[Path, Path], None]) -> Path:
    """Return a file beside the model; several systems may ask for it at the same time."""
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / name).exists():
            make(folder, folder / f"new-{name}")
            (folder / f"new-{name}").rename(folder / name)
    return folder / name


def _export(folder: Path, path: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager", local_files_only=True
    ).eval()
    ids = torch.randint(1000, 2000, (2, 16))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of what is constant, which it is
        torch.onnx.export(
            model,
            (ids, torch.ones_like(ids), torch.zeros_like(ids)),
            path,
            input_names=list(INPUTS),
            output_names=["logits"],
            dynamic_axes={name: {0: "pairs", 1: "tokens"} for name in INPUTS},
            dynamo=False,
        )


def _fuse(folder: Path, path: Path) -> None:
    from onnxruntime.transformers import optimizer

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    made = optimizer.optimize_model(
        str(folder / "model.onnx"),
        model_type="bert",
        num_heads=config["num_attention_heads"],
        hidden_size=config["hidden_size"],
        opt_level=1,
    )
    made.save_model_to_file(str(path))

"""Models of transformers: loaded whole, and called with padded batches, since they need rectangles.

Laws: safetensors only, no code that comes with a model, nothing from the network, and no part made up at random.
Texts of like length share a batch, so that little of it is padding.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import torch

from sidecar.errors import ModelFailed
from sidecar.scoring.devices import Placement
from sidecar.scoring.model_folder import ModelFolder, Pooling
from sidecar.scoring.packing import Ids, joined

BATCH_TOKENS: Final = {"cpu": 1024, "cuda": 16_384}
"""Padded tokens per forward: small on a CPU, where texts of like length then share a batch."""


_HEADS: Final = ("classifier", "score")
"""What transformers calls the last part of its sequence classifiers."""


def sub_batches(lengths: Sequence[int], *, budget: int) -> Iterator[list[int]]:
    """Yield the places of the texts, longest first, in batches of at most `budget` padded tokens (or one text)."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > budget:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def padded(rows: Sequence[Ids], filler: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows as one tensor filled up with `filler`, and its mask. Both (rows, longest)"""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]  # (rows, longest)
    values = np.full(mask.shape, filler, dtype=np.int64)
    values[mask] = joined(rows)
    return torch.from_numpy(values).to(device), torch.from_numpy(mask.astype(np.int64)).to(device)


def pooled(states: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Return one vector per text of (texts, longest, hidden), in fp32: the mean of its states, or the first one."""
    if pooling == "cls":
        return states[:, 0].float()
    weights = mask.unsqueeze(2).float()  # (texts, longest, 1)
    return (states.float() * weights).sum(1) / weights.sum(1)


def load_whole(auto_class: str, folder: ModelFolder, placement: Placement) -> Any:
    """Return the model that transformers' `auto_class` loads from `folder`, ready to be called.

    Raises:
        ModelFailed: it cannot be loaded, or the weights lack a part that would be made up at random.
    """
    import transformers

    folder.weights()
    transformers.utils.logging.disable_progress_bar()
    try:
        model, report = getattr(transformers, auto_class).from_pretrained(
            folder.path,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            dtype=placement.torch_dtype,
            output_loading_info=True,
        )
    except Exception as error:  # damaged files and unknown families raise anything
        raise ModelFailed(f"{folder.name} cannot be loaded: {error}") from error
    if missing := sorted(report["missing_keys"]):
        raise ModelFailed(f"{folder.name}: the weights lack {', '.join(missing[:5])}")
    return model.eval().to(placement.device)


def keep_heads_exact(model: Any) -> None:
    """Let a classifier compute in fp32 whatever the precision of the rest: rounded logits are ties."""
    for name in _HEADS:
        head = getattr(model, name, None)
        if head is not None:
            head.float().register_forward_pre_hook(lambda _, inputs: tuple(given.float() for given in inputs))


def takes_token_types(model: Any) -> bool:
    """Whether a model tells query and text apart by token types."""
    is_parameter = "token_type_ids" in inspect.signature(model.forward).parameters
    return is_parameter and (getattr(model.config, "type_vocab_size", 0) or 0) > 1

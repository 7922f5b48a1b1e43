"""What is shipped of a trained model: low-rank changes and what else differs, as one file of safetensors in fp16."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file

_INSIDE: Final = ".parametrizations.weight.0."


def changes(model: Any) -> dict[str, torch.Tensor]:
    """Return everything that was trained under the names of `sidecar.scoring.starter`, in fp16."""
    found: dict[str, torch.Tensor] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            layer, inside, part = name.partition(_INSIDE)
            found[f"{layer}.weight.{part}" if inside else name] = parameter.detach().cpu().half().contiguous()
    return found


def write(model: Any, path: Path) -> int:
    """Write the changes of a trained model, and return the bytes of the file."""
    save_file(changes(model), path, metadata={"format": "pt"})
    return path.stat().st_size

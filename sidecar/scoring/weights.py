"""A model's weights: read from safetensors, and handed to our forwards part by part, on their device.

Law: a weight that is not there is named, never made up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from sidecar.errors import ModelFailed
from sidecar.scoring.linear import Linear, Rows, make_linear

if TYPE_CHECKING:
    from sidecar.scoring.devices import Placement

Weights = Mapping[str, torch.Tensor]


def read_weights(files: Sequence[Path], *, prefix: str = "bert.") -> dict[str, torch.Tensor]:
    """Return the tensors of safetensors files by name, less a leading `prefix` and in today's words.

    Raises:
        ModelFailed: a file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    weights: dict[str, torch.Tensor] = {}
    for file in files:
        try:
            loaded = load_file(file)
        except (SafetensorError, OSError) as error:
            raise ModelFailed(f"{file.name} cannot be read: {error}") from error
        weights |= {_todays_name(name.removeprefix(prefix)): tensor for name, tensor in loaded.items()}
    return weights


class Part:
    """The weights under a name, on their device and in their precision."""

    def __init__(self, weights: Weights, placement: Placement, prefix: str = "") -> None:
        """Take the weights whose names begin with `prefix`."""
        self._weights = weights
        self._placement = placement
        self._prefix = prefix

    def under(self, name: str) -> Part:
        """Return the weights under a further name."""
        return Part(self._weights, self._placement, f"{self._prefix}{name}.")

    def tensor(self, name: str) -> torch.Tensor:
        """Return one weight. Raises ModelFailed when it is missing."""
        return self.exact(name).to(self._placement.torch_dtype).contiguous()

    def exact(self, name: str) -> torch.Tensor:
        """Return one weight in fp32, for what is computed from it once. Raises ModelFailed when it is missing."""
        full = self._prefix + name
        if full not in self._weights:
            raise ModelFailed(f"the weights lack {full}")
        return self._weights[full].to(self._placement.device, torch.float32)

    def rounded(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return what was computed in fp32 in the model's precision."""
        return tensor.to(self._placement.torch_dtype).contiguous()

    def linear(self, *names: str, gelu: bool = False, has_bias: bool = True) -> Linear:
        """Return one layer for those called `names`, their outputs side by side."""
        weight = torch.cat([self.tensor(f"{name}.weight") for name in names])
        bias = torch.cat([self.tensor(f"{name}.bias") for name in names]) if has_bias else None
        return make_linear(weight, bias, gelu=gelu)

    def norm(self, name: str, eps: float, *, has_bias: bool = True) -> Rows:
        """Return a LayerNorm."""
        weight = self.tensor(f"{name}.weight")
        bias = self.tensor(f"{name}.bias") if has_bias else None
        return lambda x: functional.layer_norm(x, weight.shape, weight, bias, eps)


def _todays_name(name: str) -> str:
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")

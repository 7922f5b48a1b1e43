"""A linear layer, and what comes after it in the same pass: GELU, the sum with a residual, the product with a gate.

Two ways: torch's own operators, or oneDNN's over weights laid out for it. Law: which of the two is used is measured on
this machine when a model is loaded, because it depends on the CPU: torch multiplies fp32 through MKL, which on some
processors leaves half of their speed unused. oneDNN's entry points are private to torch, so they are used only where
they are there and give the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final, Protocol

import torch
from torch.nn import functional

from sidecar.scoring.devices import is_faster

Rows = Callable[[torch.Tensor], torch.Tensor]
"""Rows of numbers -> as many rows."""

_TYPICAL_TOKENS: Final = 1024

_CLEARLY: Final = 1.5
"""How many times faster torch's own products must be to be preferred. Prepacked ones spare a pass over the sum with the
residual, which is then rounded once instead of twice; and where noise decided, bf16 scores would change from one start
to the next."""

_TOLERANCE: Final = {torch.float32: 1e-4, torch.bfloat16: 4e-2}
"""Relative, and absolute for numbers of about one."""

_UNAVAILABLE: Final = (AttributeError, RuntimeError, NotImplementedError)


class Linear(Protocol):
    """A linear layer."""

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(tokens, inputs) -> (tokens, outputs)"""
        ...

    def add(self, x: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """Return the layer's output for `x`, (tokens, inputs), plus `residual`, (tokens, outputs); not with GELU."""
        ...

    def times(self, x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        """Return the layer's output for `x`, (tokens, inputs), times `factor`, (tokens, outputs); not with GELU."""
        ...


class Plain:
    """Torch's own product. `weight` is (outputs, inputs)."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, *, gelu: bool = False) -> None:
        """Keep both as they are."""
        self._weight = weight
        self._bias = bias
        self._gelu = gelu

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(tokens, inputs) -> (tokens, outputs)"""
        y = functional.linear(x, self._weight, self._bias)
        return functional.gelu(y) if self._gelu else y

    def add(self, x: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """See `Linear.add`."""
        return functional.linear(x, self._weight, self._bias).add_(residual)

    def times(self, x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        """See `Linear.times`."""
        return functional.linear(x, self._weight, self._bias).mul_(factor)


class Prepacked:
    """oneDNN's product over prepacked weights; GELU is the exact one, by erf. CPU only."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None, *, gelu: bool = False) -> None:
        """Lay the weights out.

        Raises:
            AttributeError, RuntimeError, NotImplementedError: this torch or this CPU does not have it.
        """
        operators = torch.ops.mkldnn
        self._weight = operators._reorder_linear_weight(weight, _TYPICAL_TOKENS)
        self._bias = bias
        self._apply = operators._linear_pointwise.default
        self._combine = operators._linear_pointwise.binary
        self._activation: tuple[object, ...] = ("gelu", [], "none") if gelu else ("none", [], "")

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(tokens, inputs) -> (tokens, outputs)"""
        y: torch.Tensor = self._apply(x, self._weight, self._bias, *self._activation)
        return y

    def add(self, x: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
        """See `Linear.add`."""
        y: torch.Tensor = self._combine(x, residual, self._weight, self._bias, "add")
        return y

    def times(self, x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        """See `Linear.times`."""
        y: torch.Tensor = self._combine(x, factor, self._weight, self._bias, "mul")
        return y


def make_linear(weight: torch.Tensor, bias: torch.Tensor | None, *, gelu: bool = False) -> Linear:
    """Return the better product of the two for a weight of this shape on its device."""
    if weight.device.type == "cpu" and _is_prepacked_better(tuple(weight.shape), weight.dtype, gelu=gelu):
        return Prepacked(weight, bias, gelu=gelu)
    return Plain(weight, bias, gelu=gelu)


@cache
def _is_prepacked_better(shape: tuple[int, ...], dtype: torch.dtype, *, gelu: bool) -> bool:
    """Try both, once per shape: some 50 ms in all for a model."""
    outputs, inputs = shape
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(_TYPICAL_TOKENS, inputs, generator=generator).to(dtype)
    weight = torch.randn(outputs, inputs, generator=generator).mul(inputs**-0.5).to(dtype)
    bias, other = (torch.randn(size, outputs, generator=generator).to(dtype) for size in (1, _TYPICAL_TOKENS))
    with torch.inference_mode():
        theirs = Plain(weight, bias[0], gelu=gelu)
        try:
            ours = Prepacked(weight, bias[0], gelu=gelu)
            pairs = [(theirs(x), ours(x))]
            if not gelu:
                pairs += [(theirs.add(x, other), ours.add(x, other)), (theirs.times(x, other), ours.times(x, other))]
        except _UNAVAILABLE:
            return False
        if not all(_are_equal(a, b) for a, b in pairs):
            return False
        return not is_faster(lambda: theirs(x), lambda: ours(x), by=_CLEARLY)


def _are_equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    tolerance = _TOLERANCE.get(a.dtype, 1e-4)
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance)

"""A matrix product with bias, and GELU where wanted: the plain one of torch, or oneDNN's over weights laid out for it.

Law: which of the two is used is measured on this machine when a model is loaded, because it depends on the CPU: torch
multiplies fp32 through MKL, which on some processors leaves half of their speed unused. oneDNN's entry points are
private to torch, so they are used only where they are there and give the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

import torch
from torch.nn import functional

from sidecar.scoring.devices import is_faster

Linear = Callable[[torch.Tensor], torch.Tensor]
"""x of (tokens, in) -> (tokens, out)."""

_TYPICAL_TOKENS: Final = 512
_CLEARLY: Final = 1.2
"""How many times faster prepacked products must be: where they win, they win by a factor; less than that is noise, and
measured within a whole forward it was a loss."""

_TOLERANCE: Final = {torch.float32: 1e-4, torch.bfloat16: 5e-2}


def plain(weight: torch.Tensor, bias: torch.Tensor, *, gelu: bool = False) -> Linear:
    """Return torch's own product. `weight` is (out, in)."""
    if gelu:
        return lambda x: functional.gelu(functional.linear(x, weight, bias))
    return lambda x: functional.linear(x, weight, bias)


def prepacked(weight: torch.Tensor, bias: torch.Tensor, *, gelu: bool = False) -> Linear:
    """Return oneDNN's product over prepacked weights, with GELU (the exact one, by erf) in the same pass. CPU only.

    Raises:
        AttributeError, RuntimeError, NotImplementedError: this torch or this CPU does not have it.
    """
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, _TYPICAL_TOKENS)
    multiply = torch.ops.mkldnn._linear_pointwise
    activation, algorithm = ("gelu", "none") if gelu else ("none", "")
    return lambda x: multiply(x, packed, bias, activation, [], algorithm)


def make_linear(weight: torch.Tensor, bias: torch.Tensor, *, gelu: bool = False) -> Linear:
    """Return the faster product of the two for a weight of this shape on its device."""
    if weight.device.type == "cpu" and _is_prepacked_better(tuple(weight.shape), weight.dtype, gelu=gelu):
        return prepacked(weight, bias, gelu=gelu)
    return plain(weight, bias, gelu=gelu)


@cache
def _is_prepacked_better(shape: tuple[int, ...], dtype: torch.dtype, *, gelu: bool) -> bool:
    """Try both, once per shape: some 50 ms in all for a model."""
    outputs, inputs = shape
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(_TYPICAL_TOKENS, inputs, generator=generator).to(dtype)
    weight = torch.randn(outputs, inputs, generator=generator).mul(0.05).to(dtype)
    bias = torch.randn(outputs, generator=generator).to(dtype)
    with torch.inference_mode():
        theirs = plain(weight, bias, gelu=gelu)
        try:
            ours = prepacked(weight, bias, gelu=gelu)
            is_equal = torch.allclose(theirs(x), ours(x), rtol=0.0, atol=_TOLERANCE.get(dtype, 1e-4))
        except (AttributeError, RuntimeError, NotImplementedError):
            return False
        return is_equal and is_faster(lambda: ours(x), lambda: theirs(x), by=_CLEARLY)

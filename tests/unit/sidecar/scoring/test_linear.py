"""Products: both ways give the same numbers, and a missing one is done without."""

from __future__ import annotations

import pytest
import torch

from sidecar.scoring import linear
from sidecar.scoring.linear import make_linear, plain, prepacked


@pytest.fixture(autouse=True)
def undecided() -> None:
    """Forget which way was found better."""
    linear._is_prepacked_better.cache_clear()


def tensors() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return x, weight and bias."""
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(7, 48, generator=generator),
        torch.randn(96, 48, generator=generator),
        torch.randn(96, generator=generator),
    )


@pytest.mark.parametrize("gelu", [False, True])
def test_both_ways_give_the_same(gelu: bool) -> None:
    """With the exact GELU, not its approximation."""
    x, weight, bias = tensors()
    try:
        ours = prepacked(weight, bias, gelu=gelu)
    except (AttributeError, RuntimeError, NotImplementedError) as error:
        pytest.skip(f"not in this torch on this CPU: {error}")
    with torch.inference_mode():
        assert torch.allclose(ours(x), plain(weight, bias, gelu=gelu)(x), atol=1e-4)


def test_gelu_is_exact() -> None:
    """x times the normal distribution's share below x."""
    x, weight, bias = tensors()
    y = torch.nn.functional.linear(x, weight, bias)
    expected = y * 0.5 * (1 + torch.erf(y / 2**0.5))
    assert torch.allclose(make_linear(weight, bias, gelu=True)(x), expected, atol=1e-4)


@pytest.mark.parametrize("error", [AttributeError, RuntimeError, NotImplementedError])
def test_a_torch_without_prepacked_products_uses_its_own(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """The operators are private: they may go, or not be there for this CPU."""

    def missing(weight: torch.Tensor, bias: torch.Tensor, *, gelu: bool = False) -> linear.Linear:
        raise error("no such operator")

    monkeypatch.setattr(linear, "prepacked", missing)
    x, weight, bias = tensors()
    assert torch.equal(make_linear(weight, bias)(x), plain(weight, bias)(x))


def test_prepacked_products_with_other_numbers_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fast and wrong is wrong."""
    monkeypatch.setattr(linear, "prepacked", lambda weight, bias, gelu: lambda x: torch.zeros(len(x), len(weight)))
    x, weight, bias = tensors()
    assert torch.equal(make_linear(weight, bias)(x), plain(weight, bias)(x))

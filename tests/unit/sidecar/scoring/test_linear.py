"""Products: both ways give the same numbers, and a missing one is done without."""

from __future__ import annotations

import pytest
import torch

from sidecar.scoring import linear
from sidecar.scoring.linear import Plain, Prepacked, make_linear


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


def prepacked(weight: torch.Tensor, bias: torch.Tensor | None, *, gelu: bool = False) -> Prepacked:
    """Return oneDNN's product, where there is one."""
    try:
        ours = Prepacked(weight, bias, gelu=gelu)
        ours(torch.zeros(1, weight.shape[1]))
    except (AttributeError, RuntimeError, NotImplementedError) as error:
        pytest.skip(f"not in this torch on this CPU: {error}")
    return ours


@pytest.mark.parametrize("gelu", [False, True])
def test_both_ways_give_the_same(gelu: bool) -> None:
    """With the exact GELU, not its approximation."""
    x, weight, bias = tensors()
    with torch.inference_mode():
        ours, theirs = prepacked(weight, bias, gelu=gelu)(x), Plain(weight, bias, gelu=gelu)(x)
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_both_ways_add_the_residual() -> None:
    """And leave it, and x, as they were."""
    x, weight, bias = tensors()
    residual = torch.randn(7, 96, generator=torch.Generator().manual_seed(1))
    before = residual.clone()
    with torch.inference_mode():
        expected = x @ weight.T + bias + residual
        for layer in (Plain(weight, bias), prepacked(weight, bias)):
            assert torch.allclose(layer.add(x, residual), expected, atol=1e-4)
            assert torch.equal(residual, before)


def test_both_ways_multiply_by_a_gate_without_a_bias() -> None:
    """As GeGLU layers do."""
    x, weight, _ = tensors()
    gate = torch.randn(7, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        for layer in (Plain(weight, None), prepacked(weight, None)):
            assert torch.allclose(layer.times(x, gate), x @ weight.T * gate, atol=1e-4)


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

    monkeypatch.setattr(linear, "Prepacked", missing)
    _, weight, bias = tensors()
    assert isinstance(make_linear(weight, bias), Plain)


@pytest.mark.parametrize("is_wrong", [{"product"}, {"sum"}])
def test_prepacked_products_with_other_numbers_are_not_used(
    monkeypatch: pytest.MonkeyPatch, is_wrong: set[str]
) -> None:
    """Fast and wrong is wrong, in either of its two uses."""

    class Wrong(Plain):
        def __call__(self, x: torch.Tensor) -> torch.Tensor:
            return super().__call__(x) * (0 if "product" in is_wrong else 1)

        def add(self, x: torch.Tensor, residual: torch.Tensor) -> torch.Tensor:
            return super().add(x, residual) * (0 if "sum" in is_wrong else 1)

    monkeypatch.setattr(linear, "Prepacked", Wrong)
    monkeypatch.setattr(linear, "is_faster", lambda new, old, by: False)
    _, weight, bias = tensors()
    assert type(make_linear(weight, bias)) is Plain


@pytest.mark.parametrize(("is_plain_faster", "kind"), [(True, Plain), (False, Prepacked)])
def test_the_clearly_faster_way_is_used(
    monkeypatch: pytest.MonkeyPatch, is_plain_faster: bool, kind: type[linear.Linear]
) -> None:
    """In doubt the prepacked one, which spares a pass."""
    monkeypatch.setattr(linear, "is_faster", lambda new, old, by: is_plain_faster)
    _, weight, bias = tensors()
    prepacked(weight, bias)
    assert type(make_linear(weight, bias)) is kind

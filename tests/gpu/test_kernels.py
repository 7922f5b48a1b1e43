"""Every kernel gives what plain torch gives in fp32, for any mix of lengths and in every precision."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from sidecar.scoring.cuda.operations import (
    ATTENTION_TILES,
    DENSE_TILES,
    PLAIN,
    Dense,
    Embeddings,
    Likeness,
    Matches,
    Norm,
    Operations,
    Tiles,
    read_once_padded,
    triton_operations,
    with_varlen,
)
from tests.gpu.here import DEVICE, HAS_GPU, VOCABULARY, on_device, packed

pytest.importorskip("triton")
pytestmark = on_device

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
ROUNDING = {"fp32": 1e-5, "fp16": 2e-3, "bf16": 2e-2}
"""Error against fp32, as a share of the largest number of the result."""

LENGTHS = {
    "mixed": [7, 1, 33, 70, 2, 90],
    "one token": [1],
    "one text": [64],
    "a block and one": [65, 63, 64],
    "very short": [2] * 20,
    "longer than blocks": [130, 3, 70],
}


@dataclass(frozen=True)
class Sizes:
    """A model's width."""

    hidden: int
    heads: int


@pytest.fixture(params=DTYPES)
def dtype(request: pytest.FixtureRequest) -> str:
    """Give each precision."""
    return str(request.param)


@pytest.fixture(params=[Sizes(48, 4), Sizes(384, 12)], ids=lambda sizes: str(sizes.hidden))
def sizes(request: pytest.FixtureRequest) -> Sizes:
    """Give a width that is no power of two, and MiniLM's."""
    found: Sizes = request.param
    return found


@pytest.fixture
def triton() -> Operations:
    """Give the kernels."""
    return triton_operations()


@pytest.mark.parametrize("lengths", [LENGTHS["mixed"], LENGTHS["one token"]], ids=["mixed", "one token"])
def test_embeddings(triton: Operations, sizes: Sizes, dtype: str, lengths: list[int]) -> None:
    """Word, position and type of every token; where its text lies; zeros behind the last text."""
    texts = packed(lengths, tokens=sum(lengths) + 19, texts=len(lengths) + 3)
    weights = Embeddings(
        words=weight(VOCABULARY, sizes.hidden, dtype=dtype),
        positions=weight(256, sizes.hidden, dtype=dtype),
        types=weight(2, sizes.hidden, dtype=dtype),
        norm=norm(sizes.hidden, dtype),
        second_type=1,
    )
    states, ranges = triton.embed(texts, weights)
    expected, expected_ranges = PLAIN.embed(texts, weights)
    real = sum(lengths)
    assert_close(states[:real], expected[:real], dtype)
    assert torch.equal(ranges.begins, expected_ranges.begins)
    assert torch.equal(ranges.ends, expected_ranges.ends)
    assert not states[real:].any()


def test_residual_and_norm(triton: Operations, sizes: Sizes, dtype: str) -> None:
    """LayerNorm of a sum, also of rows far from zero."""
    x, residual = weight(37, sizes.hidden, dtype=dtype), weight(37, sizes.hidden, dtype=dtype, scale=20.0)
    norms = norm(sizes.hidden, dtype)
    full = Norm(norms.weight.float(), norms.bias.float(), norms.eps)
    assert_close(triton.add_norm(x, residual, norms), PLAIN.add_norm(x.float(), residual.float(), full), dtype)


@pytest.mark.parametrize("dense", [None, DENSE_TILES], ids=["elementwise", "with the product"])
def test_gelu(sizes: Sizes, dtype: str, dense: Tiles | None) -> None:
    """The exact GELU of a linear layer, alone and as the end of the product where the tiles divide it."""
    if dense is not None:
        skip_without_products(dtype)
    x, layer = weight(77, sizes.hidden, dtype=dtype), linear(sizes.hidden, 4 * sizes.hidden, dtype)
    expected = PLAIN.dense_gelu(x.float(), Dense(layer.weight.float(), layer.bias.float()))
    assert_close(triton_operations(dense=dense).dense_gelu(x, layer), expected, dtype)


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_attention(dtype: str, lengths: list[int]) -> None:
    """Every token over its own text and no other; finite numbers behind the last text."""
    skip_without_products(dtype)
    assert_attention(triton_operations(), Sizes(48, 4), dtype, lengths)


@pytest.mark.parametrize("tiles", [ATTENTION_TILES, Tiles(rows=32, step=16, warps=2, stages=2)], ids=["usual", "small"])
def test_attention_of_a_known_model(dtype: str, tiles: Tiles) -> None:
    """MiniLM's heads, in blocks of any size."""
    skip_without_products(dtype)
    assert_attention(triton_operations(tiles), Sizes(384, 12), dtype, LENGTHS["mixed"])


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_GPU, reason="torch has this kernel for CUDA only")
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("dtype", ["fp16", "bf16"], indirect=True)
def test_flash_attention(sizes: Sizes, dtype: str, lengths: list[int]) -> None:
    """The same by torch's variable-length attention."""
    if sizes.hidden // sizes.heads % 8:
        pytest.skip("it wants heads of a multiple of 8 numbers")
    assert_attention(with_varlen(PLAIN), sizes, dtype, lengths)


@pytest.mark.parametrize("pools_mean", [True, False], ids=["mean", "first"])
def test_late_interaction(triton: Operations, sizes: Sizes, dtype: str, pools_mean: bool) -> None:
    """One score per pair, 0 for what has no inner token, and a number for a pair of unused texts."""
    skip_without_products(dtype)
    lengths = [9, 2, 30, 3, 100, 2, 80, 21]  # special tokens included: two have nothing but these
    texts = packed(lengths, tokens=sum(lengths) + 9, texts=len(lengths) + 2)
    states = weight(sum(lengths) + 9, sizes.hidden, dtype=dtype)
    pairs = [(0, 2), (0, 3), (0, 1), (5, 4), (1, 5), (7, 6), (0, 0), (2, 4), (9, 9)]
    queries, answers = (torch.tensor(side, dtype=torch.int32, device=DEVICE) for side in zip(*pairs, strict=True))
    how = Likeness(before=1, after=1, pooled_share=0.5, pools_mean=pools_mean)
    scores = triton.match(states, texts, Matches(queries, answers), how)
    expected = PLAIN.match(states.float(), texts, Matches(queries, answers), how)
    assert scores.dtype == torch.float32
    assert torch.allclose(scores[:-1], expected[:-1], atol=1e-3 if dtype == "bf16" else 1e-5)
    assert scores[6].item() == pytest.approx(1.5, abs=1e-3)  # a text and itself
    assert scores[-1].isfinite()


def skip_without_products(dtype: str) -> None:
    """Skip a kernel with a matrix product where the interpreter cannot do it: it takes bf16's bits for integers."""
    if dtype == "bf16" and not HAS_GPU:
        pytest.skip("Triton's interpreter multiplies no matrices of bf16")


def assert_attention(operations: Operations, sizes: Sizes, dtype: str, lengths: list[int]) -> None:
    """Compare both kinds of attention with plain torch in fp32."""
    width = sizes.hidden // sizes.heads
    texts = packed(lengths, tokens=sum(lengths) + 19, texts=len(lengths) + 3)
    _, ranges = PLAIN.embed(texts, some_embeddings(sizes.hidden))
    tokens, real = sum(lengths) + 19, sum(lengths)
    q, k, v = weight(tokens, 3 * sizes.hidden, dtype=dtype, scale=1.5).view(tokens, 3, sizes.heads, width).unbind(1)
    attended = operations.attend(q, k, v, ranges)
    assert attended.shape == (tokens, sizes.hidden)
    assert_close(attended[:real], PLAIN.attend(q.float(), k.float(), v.float(), ranges)[:real], dtype)
    firsts = weight(len(lengths) + 3, sizes.hidden, dtype=dtype, scale=1.5).view(-1, sizes.heads, width)
    k, v = weight(tokens, 2 * sizes.hidden, dtype=dtype, scale=1.5).view(tokens, 2, sizes.heads, width).unbind(1)
    if operations.read_once is not None:
        states = weight(tokens, sizes.hidden, dtype=dtype)
        queries = weight(sizes.heads, len(lengths) + 3, sizes.hidden, dtype=dtype, scale=0.3).transpose(0, 1)
        means = operations.read_once(queries, states, ranges)
        assert means.shape == queries.shape
        expected = read_once_padded(queries.float(), states.float(), ranges)
        assert_close(means[: len(lengths)], expected[: len(lengths)], dtype)
        assert means.isfinite().all()
    once = operations.attend_once(firsts, k, v, ranges)
    expected = PLAIN.attend_once(firsts.float(), k.float(), v.float(), ranges)
    assert_close(once[: len(lengths)], expected[: len(lengths)], dtype)
    assert once.isfinite().all()


def assert_close(actual: torch.Tensor, expected: torch.Tensor, dtype: str) -> None:
    """Allow what rounding to a precision costs."""
    assert actual.dtype == DTYPES[dtype]
    error = (actual.float() - expected.float()).abs().max().item()
    assert error <= ROUNDING[dtype] * max(1.0, expected.abs().max().item())


def weight(*shape: int, dtype: str, scale: float = 0.5) -> torch.Tensor:
    """Return random numbers."""
    return (torch.randn(*shape) * scale).to(DEVICE, DTYPES[dtype])


def linear(inputs: int, outputs: int, dtype: str) -> Dense:
    """Return a layer whose outputs are about as large as its inputs."""
    return Dense(weight(outputs, inputs, dtype=dtype, scale=inputs**-0.5), weight(outputs, dtype=dtype))


def norm(hidden: int, dtype: str) -> Norm:
    """Return a norm that does something."""
    return Norm(weight(hidden, dtype=dtype) + 1, weight(hidden, dtype=dtype), 1e-12)


def some_embeddings(hidden: int) -> Embeddings:
    """Return any: only where texts lie is asked."""
    words, positions, types = (weight(size, hidden, dtype="fp32") for size in (VOCABULARY, 256, 2))
    return Embeddings(words=words, positions=positions, types=types, norm=norm(hidden, "fp32"))

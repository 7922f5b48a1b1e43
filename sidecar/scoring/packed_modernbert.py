"""ModernBERT's trunk over packed texts; see `packed_bert.py` for what packing is.

What differs from BERT: positions are rotations of queries and keys (RoPE), most layers see their neighbourhood alone,
the feed-forward part has a gate (GeGLU), and norms come before what they normalise. Law: equal to transformers'
ModernBertModel, in fp32 to 1e-4. Shapes are written as there.

*Source:* Warner et al. 2024, arXiv:2412.13663; Su et al. 2021, arXiv:2104.09864 (rotations).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch.nn import functional

from sidecar.scoring.attention import Rectangles, attend, attend_first
from sidecar.scoring.linear import make_linear
from sidecar.scoring.packing import Packed
from sidecar.scoring.weights import Part, Weights

if TYPE_CHECKING:
    from sidecar.scoring.devices import Placement

_LOCAL = "sliding_attention"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModernBertShape:
    """The numbers of config.json that a forward needs."""

    heads: int
    #: of every layer, whether it sees its neighbourhood alone
    is_local: tuple[bool, ...]
    #: how far a local layer sees, in tokens to either side
    distance: int
    #: bases of the rotations of global and local layers
    global_theta: float
    local_theta: float
    norm_eps: float
    #: which parts have biases
    norm_bias: bool
    attention_bias: bool
    mlp_bias: bool

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Self:
        """Take the numbers from a parsed config.json, of today's or yesterday's words."""
        from transformers import ModernBertConfig

        known = ModernBertConfig.from_dict(dict(config))
        thetas = {kind: known.rope_parameters[kind]["rope_theta"] for kind in ("full_attention", _LOCAL)}
        return cls(
            heads=known.num_attention_heads,
            is_local=tuple(kind == _LOCAL for kind in known.layer_types),
            distance=known.sliding_window,
            global_theta=thetas["full_attention"],
            local_theta=thetas[_LOCAL],
            norm_eps=known.norm_eps,
            norm_bias=known.norm_bias,
            attention_bias=known.attention_bias,
            mlp_bias=known.mlp_bias,
        )


def is_supported(config: Mapping[str, Any]) -> bool:
    """Whether this trunk computes what transformers would for the model of `config`."""
    rotations = config.get("rope_parameters") or {}
    kinds = [each.get("rope_type", "default") for each in rotations.values() if isinstance(each, dict)]
    return (
        config.get("model_type") == "modernbert"
        and config.get("hidden_activation", "gelu") == "gelu"
        and config.get("rope_scaling") is None
        and all(kind == "default" for kind in kinds)
    )


class PackedModernBert:
    """The trunk: embeddings, layers and the last norm. Called from one thread under `torch.inference_mode`."""

    def __init__(
        self, weights: Weights, shape: ModernBertShape, placement: Placement, *, first_only: bool = False
    ) -> None:
        """Take what it needs from `weights`, which may hold more.

        With `first_only`, the last layer works for every text's first token alone, and only its keys and values for
        all: exact.

        Raises:
            ModelFailed: a weight is missing.
        """
        part = Part(weights, placement)
        self._first_only = first_only
        self._words = part.tensor("embeddings.tok_embeddings.weight")  # (vocabulary, hidden)
        self._norm = part.norm("embeddings.norm", shape.norm_eps, has_bias=shape.norm_bias)
        kinds = [_Layer] * (len(shape.is_local) - 1) + [_FirstTokenLayer if first_only else _Layer]
        self._layers = [kind(part.under(f"layers.{n}"), shape, is_first=n == 0) for n, kind in enumerate(kinds)]
        self._last_norm = part.norm("final_norm", shape.norm_eps, has_bias=shape.norm_bias)
        self._shape = shape

    def states(self, texts: Packed) -> torch.Tensor:
        """Return the last layer's state of every token, (tokens, hidden), or with `first_only`, (texts, hidden).

        Texts of like length should be neighbours; see `packing.batches`.
        """
        x = self._norm(functional.embedding(texts.ids, self._words))  # (tokens, hidden)
        everywhere = Rectangles.of(texts.lengths, device=x.device, dtype=x.dtype)
        nearby = everywhere.within(self._shape.distance)
        positions, width = everywhere.fill(texts.positions), x.shape[1] // self._shape.heads
        turns = [_turns(positions, width, theta) for theta in (self._shape.global_theta, self._shape.local_theta)]
        for layer, is_local in zip(self._layers, self._shape.is_local, strict=True):
            x = layer(x, texts, nearby if is_local else everywhere, turns[is_local])
        x = x[: len(texts.lengths) if self._first_only else sum(texts.lengths)]
        return self._last_norm(x)


class _Layer:
    """Self-attention and feed-forward, each with its residual around it and its norm before it."""

    def __init__(self, part: Part, shape: ModernBertShape, *, is_first: bool) -> None:
        self._heads = shape.heads
        self._attention_norm = (
            _unchanged if is_first else part.norm("attn_norm", shape.norm_eps, has_bias=shape.norm_bias)
        )
        self._prepare_attention(*_query_key_value(part.under("attn"), shape))
        self._attention_out = part.linear("attn.Wo", has_bias=shape.attention_bias)
        self._norm = part.norm("mlp_norm", shape.norm_eps, has_bias=shape.norm_bias)
        weights = part.tensor("mlp.Wi.weight").chunk(2)  # (middle, hidden) each
        biases = part.tensor("mlp.Wi.bias").chunk(2) if shape.mlp_bias else (None, None)
        self._up = make_linear(weights[0].contiguous(), biases[0], gelu=True)
        self._gate = make_linear(weights[1].contiguous(), biases[1])
        self._down = part.linear("mlp.Wo", has_bias=shape.mlp_bias)

    def _prepare_attention(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self._query_key_value = make_linear(weight, bias)

    def __call__(self, x: torch.Tensor, texts: Packed, rectangles: Rectangles, turns: torch.Tensor) -> torch.Tensor:
        rows = self._query_key_value(rectangles.fill(self._attention_norm(x)))  # (rows, 3 * hidden)
        _turn(rows[:, : 2 * x.shape[1]], turns)
        return self._rest(x, attend(rows, self._heads, rectangles))

    def _rest(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        x = self._attention_out.add(attended, x)  # (tokens, hidden)
        y = self._norm(x)
        return self._down.add(self._gate.times(y, self._up(y)), x)


class _FirstTokenLayer(_Layer):
    """The same for every text's first token alone, whose own position is 0, so that its query is not turned."""

    def _prepare_attention(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        hidden = weight.shape[1]
        self._query = make_linear(weight[:hidden], None if bias is None else bias[:hidden])
        self._key_value = make_linear(weight[hidden:], None if bias is None else bias[hidden:])

    def __call__(self, x: torch.Tensor, texts: Packed, rectangles: Rectangles, turns: torch.Tensor) -> torch.Tensor:
        y = self._attention_norm(x)  # (tokens, hidden)
        rows = self._key_value(rectangles.fill(y))  # (rows, 2 * hidden)
        _turn(rows[:, : x.shape[1]], turns)
        queries = self._query(y.index_select(0, texts.firsts))  # (texts, hidden)
        attended = attend_first(queries, rows, self._heads, rectangles)  # (texts, hidden)
        return self._rest(x.index_select(0, texts.firsts), attended)


def _unchanged(x: torch.Tensor) -> torch.Tensor:
    return x


def _query_key_value(part: Part, shape: ModernBertShape) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return the weight (3 * hidden, hidden) and bias of queries, keys and values.

    Queries and keys get their numbers in another order, the same for both, which leaves their products as they are:
    those that a rotation turns together, which lie half a head apart, become neighbours.
    """
    weight = part.tensor("Wqkv.weight")
    hidden = weight.shape[1]
    places = torch.arange(hidden).view(shape.heads, 2, -1).transpose(1, 2).flatten()  # (hidden,)
    order = torch.cat([places, hidden + places, torch.arange(2 * hidden, 3 * hidden)]).to(weight.device)
    return weight[order], part.tensor("Wqkv.bias")[order] if shape.attention_bias else None


def _turns(positions: torch.Tensor, width: int, theta: float) -> torch.Tensor:
    """Return by how much the pairs of a head are turned at each position, as complex numbers. (rows, width / 2)"""
    speeds = theta ** -(torch.arange(0, width, 2, device=positions.device, dtype=torch.float32) / width)
    angles = positions[:, None].float() * speeds
    return torch.polar(torch.ones_like(angles), angles)


def _turn(x: torch.Tensor, turns: torch.Tensor) -> None:
    """Turn the pairs of numbers of `x`, (rows, heads * width), in place."""
    exact = x.float()  # `x` itself in fp32
    pairs = torch.view_as_complex(exact.view(len(x), -1, turns.shape[1], 2))  # (rows, heads, width / 2)
    pairs *= turns[:, None]
    if exact is not x:
        x.copy_(exact)

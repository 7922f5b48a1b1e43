"""BERT's trunk over packed texts: the tokens of all texts lie one after the other in one matrix, without padding.

The matrix products, nine tenths of the work, then touch real tokens only; attention alone knows where a text begins
and ends. Law: equal to transformers' BertModel, in fp32 to 1e-4.

Shapes: `tokens` is the room for the tokens of all texts of a batch, `texts` that for the texts, `rows` that of the
rectangles which attention fills up (`packing.py`, `attention.py`), `hidden` the model's width, `heads` x `width` =
hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch.nn import functional

from sidecar.scoring.attention import Rectangles, attend, attend_once
from sidecar.scoring.linear import make_linear
from sidecar.scoring.packing import Packed, batches, pack, split
from sidecar.scoring.weights import Part, Weights, read_weights

if TYPE_CHECKING:
    from sidecar.scoring.devices import Placement

__all__ = ["BertShape", "Packed", "PackedBert", "Weights", "batches", "is_supported", "pack", "read_weights", "split"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BertShape:
    """The numbers of config.json that a forward needs."""

    layers: int
    heads: int
    positions: int
    layer_norm_eps: float

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> Self:
        """Take the numbers from a parsed config.json."""
        return cls(
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            positions=config["max_position_embeddings"],
            layer_norm_eps=config.get("layer_norm_eps", 1e-12),
        )


def is_supported(config: Mapping[str, Any]) -> bool:
    """Whether this trunk computes what transformers would for the model of `config`."""
    return (
        config.get("model_type") == "bert"
        and config.get("hidden_act", "gelu") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and not config.get("is_decoder", False)
    )


class PackedBert:
    """The trunk: embeddings and layers. Called from one thread under `torch.inference_mode`."""

    def __init__(self, weights: Weights, shape: BertShape, placement: Placement, *, first_only: bool = False) -> None:
        """Take what it needs from `weights`, which may hold more.

        With `first_only`, the last layer works for every text's first token alone, [CLS]: a sixth less work in six
        layers, and exact.

        Raises:
            ModelFailed: a weight is missing.
        """
        part = Part(weights, placement)
        self._first_only = first_only
        kinds = [_Layer] * (shape.layers - 1) + [_FirstTokenLayer if first_only else _Layer]
        self._embeddings = _Embeddings(part.under("embeddings"), shape)
        self._layers = [kind(part.under(f"encoder.layer.{n}"), shape) for n, kind in enumerate(kinds)]

    def states(self, texts: Packed) -> torch.Tensor:
        """Return the last layer's state of every token, (tokens, hidden), or with `first_only`, (texts, hidden).

        Texts of like length should be neighbours; see `batches`.
        """
        x = self._embeddings(texts)  # (tokens, hidden)
        rectangles = Rectangles.of(texts.lengths, device=x.device, dtype=x.dtype)
        for layer in self._layers:
            x = layer(x, texts, rectangles)
        return x[: len(texts.lengths) if self._first_only else sum(texts.lengths)]


class _Embeddings:
    """Word + position + token type, normalised."""

    def __init__(self, part: Part, shape: BertShape) -> None:
        self._words = part.tensor("word_embeddings.weight")  # (vocabulary, hidden)
        types, positions = part.exact("token_type_embeddings.weight"), part.exact("position_embeddings.weight")
        self._positions = len(positions)
        self._places = part.rounded(types[:, None] + positions).flatten(0, 1)  # (types * positions, hidden)
        self._norm = part.norm("LayerNorm", shape.layer_norm_eps)

    def __call__(self, texts: Packed) -> torch.Tensor:
        x = functional.embedding(texts.ids, self._words)  # (tokens, hidden)
        x += functional.embedding(texts.types * self._positions + texts.positions, self._places)
        return self._norm(x)


class _Layer:
    """Self-attention and feed-forward, each with its residual and LayerNorm."""

    def __init__(self, part: Part, shape: BertShape) -> None:
        self._heads = shape.heads
        self._prepare_attention(part.under("attention.self"))
        self._attention_out = part.linear("attention.output.dense")
        self._attention_norm = part.norm("attention.output.LayerNorm", shape.layer_norm_eps)
        self._up = part.linear("intermediate.dense", gelu=True)
        self._down = part.linear("output.dense")
        self._norm = part.norm("output.LayerNorm", shape.layer_norm_eps)

    def _prepare_attention(self, part: Part) -> None:
        self._query_key_value = part.linear("query", "key", "value")

    def __call__(self, x: torch.Tensor, texts: Packed, rectangles: Rectangles) -> torch.Tensor:
        rows = rectangles.fill(x)  # (rows, hidden): here a third of what it would be after the product
        return self._rest(x, attend(self._query_key_value(rows), self._heads, rectangles))

    def _rest(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        y = self._attention_norm(self._attention_out.add(attended, x))  # (tokens, hidden)
        return self._norm(self._down.add(self._up(y), y))


class _FirstTokenLayer(_Layer):
    """The same for every text's first token alone.

    Its attention needs neither keys nor values. A query's product with a key, q (K x + b), is (q K) x but for q b,
    which is the same for all tokens and falls out of the softmax; and the weighted mean of the values, V x + c, is V
    applied to the weighted mean of the states, plus c. So both are applied once per text instead of once per token.
    """

    def _prepare_attention(self, part: Part) -> None:
        weight, bias = part.exact("query.weight"), part.exact("query.bias")
        scale = (len(weight) // self._heads) ** -0.5
        self._query = make_linear(part.rounded(weight * scale), part.rounded(bias * scale))
        self._key = part.tensor("key.weight").view(self._heads, -1, weight.shape[1])  # (heads, width, hidden)
        self._value = part.tensor("value.weight").view(self._heads, -1, weight.shape[1])  # (heads, width, hidden)
        self._value_bias = part.tensor("value.bias")  # (hidden,)

    def __call__(self, x: torch.Tensor, texts: Packed, rectangles: Rectangles) -> torch.Tensor:
        first = x.index_select(0, texts.firsts)  # (texts, hidden)
        q = self._query(first).view(len(first), self._heads, -1).transpose(0, 1)  # (heads, texts, width)
        queries = torch.bmm(q, self._key).transpose(0, 1)  # (texts, heads, hidden)
        means = attend_once(queries, rectangles.fill(x), rectangles)  # (texts, heads, hidden)
        values = torch.bmm(means.transpose(0, 1), self._value.transpose(1, 2))  # (heads, texts, width)
        attended = values.transpose(0, 1).reshape(len(first), -1) + self._value_bias  # (texts, hidden)
        return self._rest(first, attended)

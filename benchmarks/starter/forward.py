"""The forward pass of the training: rows of different length without padding, all in one dtype.

Only attention sees rows padded to the longest one, a few rows at a time, so that their products stay in the cache. All
else is done for the tokens of all rows as one. On one core of an Intel Xeon with AMX a step of 4,096 tokens takes two
thirds of the time that the model's own forward takes under autocast (35 and 24 pairs of query and passage a second).

Law: the logits are those of the model's own forward but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional

ROWS_AT_ONCE: Final = 4
"""Of attention."""

_FAR: Final = -1e4
"""What is added to the score of padding."""

Row = tuple[list[int], list[int]]
"""Ids and segments of the tokens of a query and a passage."""


class LowRank(nn.Module):
    """A weight and a change of it: weight + up @ down."""

    def __init__(self, weight: torch.Tensor, rank: int) -> None:
        """Begin with no change."""
        super().__init__()
        outputs, inputs = weight.shape
        self.down = nn.Parameter(torch.empty(rank, inputs))  # (rank, inputs)
        self.up = nn.Parameter(torch.zeros(outputs, rank))  # (outputs, rank)
        nn.init.kaiming_uniform_(self.down, a=5**0.5)

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the changed weight. (outputs, inputs)"""
        return weight + self.up @ self.down

    def rounded(self, weight: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Return the changed weight, multiplied and returned in `dtype`. (outputs, inputs)"""
        return (weight + self.up.to(dtype) @ self.down.to(dtype)).to(dtype)


class Packed:
    """The tokens of some rows behind one another, and where they are among padded rows."""

    def __init__(self, rows: Sequence[Row], device: str | torch.device, dtype: torch.dtype) -> None:
        """Pack them."""
        lengths = torch.tensor([len(ids) for ids, _ in rows])
        self.count, self.longest = len(rows), int(lengths.max())
        tokens = int(lengths.sum())
        place = torch.cat([torch.arange(length) for length in lengths.tolist()])
        padded = torch.repeat_interleave(torch.arange(self.count), lengths) * self.longest + place
        source = torch.zeros(self.count * self.longest, dtype=torch.long)
        source[padded] = torch.arange(tokens)
        is_padding = torch.arange(self.longest)[None] >= lengths[:, None]
        mask = torch.zeros(self.count, 1, 1, self.longest).masked_fill(is_padding[:, None, None], _FAR)
        self.ids = torch.tensor([token for ids, _ in rows for token in ids], device=device)  # (tokens,)
        self.segments = torch.tensor([segment for _, types in rows for segment in types], device=device)  # (tokens,)
        self.place = place.to(device)  # in its row (tokens,)
        self.first = (lengths.cumsum(0) - lengths).to(device)  # (rows,)
        self.padded = padded.to(device)  # (tokens,)
        self.source = source.to(device)  # (rows * longest,)
        self.mask = mask.to(device, dtype)  # (rows, 1, 1, longest)


def logits(model: Any, rows: Sequence[Row], device: str | torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Return what a BertForSequenceClassification with one output makes of rows, computed in `dtype`. (rows, 1)"""
    packed = Packed(rows, device, dtype)
    states = _embedded(model.bert.embeddings, packed, dtype)
    for layer in model.bert.encoder.layer:
        states = _layer(layer, states, packed, model.config.num_attention_heads)
    first = states.index_select(0, packed.first).float()
    pooled = torch.tanh(model.bert.pooler.dense(first))
    found: torch.Tensor = model.classifier(pooled)
    return found


class _Attention(torch.autograd.Function):
    """Softmax(query @ key / sqrt(size) + mask) @ value, a few rows at a time, there and back."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """All but the mask: (rows, heads, tokens, size)."""
        scale = query.shape[-1] ** -0.5
        shares = []
        mixed = torch.empty_like(value)
        for begin in range(0, len(query), ROWS_AT_ONCE):
            some = slice(begin, begin + ROWS_AT_ONCE)
            scores = (query[some] @ key[some].transpose(-1, -2)).mul_(scale).add_(mask[some])
            shares.append(scores.softmax(-1))
            torch.matmul(shares[-1], value[some], out=mixed[some])
        ctx.save_for_backward(query, key, value, *shares)
        return mixed

    @staticmethod
    def backward(ctx: Any, *outputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of query, key and value."""
        (gradient,) = outputs
        query, key, value, *shares = ctx.saved_tensors
        scale = query.shape[-1] ** -0.5
        found = [torch.empty_like(each) for each in (query, key, value)]
        for number, share in enumerate(shares):
            some = slice(number * ROWS_AT_ONCE, (number + 1) * ROWS_AT_ONCE)
            of_share = gradient[some] @ value[some].transpose(-1, -2)
            of_scores = torch._softmax_backward_data(of_share, share, -1, share.dtype).mul_(scale)
            torch.matmul(of_scores, key[some], out=found[0][some])
            torch.matmul(of_scores.transpose(-1, -2), query[some], out=found[1][some])
            torch.matmul(share.transpose(-1, -2), gradient[some], out=found[2][some])
        return (*found, None)


def _embedded(embeddings: Any, packed: Packed, dtype: torch.dtype) -> torch.Tensor:
    words = functional.embedding(packed.ids, embeddings.word_embeddings.weight)
    places = functional.embedding(packed.place, embeddings.position_embeddings.weight)
    segments = functional.embedding(packed.segments, embeddings.token_type_embeddings.weight)
    return _normed(embeddings.LayerNorm, (words + places + segments).to(dtype))


def _layer(layer: Any, states: torch.Tensor, packed: Packed, heads: int) -> torch.Tensor:
    inner, width = layer.attention, states.shape[1]
    asked = inner.self
    joined = torch.cat([_weight(each, states.dtype) for each in (asked.query, asked.key, asked.value)])
    bias = torch.cat([each.bias for each in (asked.query, asked.key, asked.value)]).to(states.dtype)
    projected = functional.linear(states, joined, bias).index_select(0, packed.source)  # (rows * longest, 3 * width)
    split = projected.view(packed.count, packed.longest, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    query, key, value = split.contiguous().unbind(0)  # each (rows, heads, longest, size)
    mixed = _Attention.apply(query, key, value, packed.mask)
    mixed = mixed.transpose(1, 2).reshape(-1, width).index_select(0, packed.padded)  # (tokens, width)
    states = _normed(inner.output.LayerNorm, _linear(inner.output.dense, mixed) + states)
    wide = functional.gelu(_linear(layer.intermediate.dense, states))
    return _normed(layer.output.LayerNorm, _linear(layer.output.dense, wide) + states)


def _weight(layer: nn.Linear, dtype: torch.dtype) -> torch.Tensor:
    changed: Any = getattr(layer, "parametrizations", None)
    if changed is None:
        return layer.weight.to(dtype)
    change: LowRank = changed.weight[0]
    return change.rounded(changed.weight.original, dtype)


def _linear(layer: nn.Linear, states: torch.Tensor) -> torch.Tensor:
    return functional.linear(states, _weight(layer, states.dtype), layer.bias.to(states.dtype))


def _normed(layer: nn.LayerNorm, states: torch.Tensor) -> torch.Tensor:
    weight, bias = layer.weight.to(states.dtype), layer.bias.to(states.dtype)
    return functional.layer_norm(states, layer.normalized_shape, weight, bias, layer.eps)

"""BERT's trunk over packed texts: the tokens of all texts lie one after the other in one matrix, without padding.

The matrix products, nine tenths of the work, then touch real tokens only; attention alone knows where a text begins
and ends. Law: equal to transformers' BertModel, in fp32 to 1e-4.

Shapes: `tokens` is the number of tokens of all texts of a batch, `texts` their number, `hidden` the model's width,
`heads` x `width` = hidden.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch.nn import functional

from sidecar.errors import ModelFailed
from sidecar.scoring.linear import Linear, make_linear

if TYPE_CHECKING:
    from sidecar.scoring.devices import Placement

Weights = Mapping[str, torch.Tensor]


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


def read_weights(files: Sequence[Path]) -> dict[str, torch.Tensor]:
    """Return the tensors of safetensors files by name, less a leading "bert." and in today's words.

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
        weights |= {_todays_name(name): tensor for name, tensor in loaded.items()}
    return weights


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Packed:
    """Texts as one run of tokens, in their order."""

    ids: torch.Tensor  # (tokens,)
    positions: torch.Tensor  # (tokens,)
    types: torch.Tensor  # (tokens,)
    lengths: tuple[int, ...]  # tokens of every text

    @property
    def firsts(self) -> torch.Tensor:
        """The place of every text's first token, on the tokens' device. (texts,)"""
        starts = list(itertools.accumulate(self.lengths, initial=0))[:-1]
        return torch.tensor(starts, device=self.ids.device)


def pack(ids: Sequence[Sequence[int]], types: Sequence[Sequence[int]] | None = None, *, device: str = "cpu") -> Packed:
    """Lay texts behind each other. `types` are token types, aligned with `ids`; None = all 0."""
    flat = torch.tensor([id for text in ids for id in text], dtype=torch.long)
    positions = torch.tensor([position for text in ids for position in range(len(text))], dtype=torch.long)
    kinds = torch.zeros_like(flat) if types is None else torch.tensor([type for text in types for type in text])
    return Packed(
        ids=flat.to(device, non_blocking=True),
        positions=positions.to(device, non_blocking=True),
        types=kinds.to(device, non_blocking=True),
        lengths=tuple(len(text) for text in ids),
    )


def split(rows: torch.Tensor, texts: Packed) -> tuple[torch.Tensor, ...]:
    """Return every text's own rows of (tokens, …), as views in order."""
    return torch.split(rows, list(texts.lengths))


def batches(lengths: Sequence[int], *, budget: int) -> Iterator[list[int]]:
    """Yield the places of the texts, shortest first, in batches of at most `budget` tokens (or one text).

    Sorted, so that texts of equal length, whose attention is one operation, lie together.
    """
    batch: list[int] = []
    tokens = 0
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and tokens + lengths[place] > budget:
            yield batch
            batch, tokens = [], 0
        batch.append(place)
        tokens += lengths[place]
    if batch:
        yield batch


class PackedBert:
    """The trunk: embeddings and layers. Called from one thread under `torch.inference_mode`."""

    def __init__(self, weights: Weights, shape: BertShape, placement: Placement, *, first_only: bool = False) -> None:
        """Take what it needs from `weights`, which may hold more.

        With `first_only`, the last layer works for every text's first token alone, [CLS], and only its keys and
        values for all: a seventh less work in six layers, and exact.

        Raises:
            ModelFailed: a weight is missing.
        """
        part = _Part(weights, placement)
        kinds = [_Layer] * (shape.layers - 1) + [_FirstTokenLayer if first_only else _Layer]
        self._embeddings = _Embeddings(part.under("embeddings"), shape)
        self._layers = [kind(part.under(f"encoder.layer.{n}"), shape) for n, kind in enumerate(kinds)]

    def states(self, texts: Packed) -> torch.Tensor:
        """Return the last layer's state of every token, (tokens, hidden), or with `first_only`, (texts, hidden)."""
        x = self._embeddings(texts)  # (tokens, hidden)
        for layer in self._layers:
            x = layer(x, texts)
        return x


class _Part:
    """The weights under a name, on their device."""

    def __init__(self, weights: Weights, placement: Placement, prefix: str = "") -> None:
        self._weights = weights
        self._placement = placement
        self._prefix = prefix

    def under(self, name: str) -> _Part:
        return _Part(self._weights, self._placement, f"{self._prefix}{name}.")

    def tensor(self, name: str) -> torch.Tensor:
        full = self._prefix + name
        if full not in self._weights:
            raise ModelFailed(f"the weights lack {full}")
        return self._weights[full].to(self._placement.device, self._placement.torch_dtype).contiguous()

    def linear(self, *names: str, gelu: bool = False) -> Linear:
        """Return one product for the layers called `names`, their outputs side by side."""
        weight = torch.cat([self.tensor(f"{name}.weight") for name in names])
        bias = torch.cat([self.tensor(f"{name}.bias") for name in names])
        return make_linear(weight, bias, gelu=gelu)

    def norm(self, name: str, eps: float) -> Linear:
        weight, bias = self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias")
        return lambda x: functional.layer_norm(x, weight.shape, weight, bias, eps)


class _Embeddings:
    """Word + position + token type, normalised."""

    def __init__(self, part: _Part, shape: BertShape) -> None:
        self._words = part.tensor("word_embeddings.weight")  # (vocabulary, hidden)
        self._positions = part.tensor("position_embeddings.weight")  # (positions, hidden)
        self._types = part.tensor("token_type_embeddings.weight")  # (types, hidden)
        self._norm = part.norm("LayerNorm", shape.layer_norm_eps)

    def __call__(self, texts: Packed) -> torch.Tensor:
        x = functional.embedding(texts.ids, self._words)  # (tokens, hidden)
        x += functional.embedding(texts.types, self._types)
        x += functional.embedding(texts.positions, self._positions)
        return self._norm(x)


class _Layer:
    """Self-attention and feed-forward, each with its residual and LayerNorm."""

    def __init__(self, part: _Part, shape: BertShape) -> None:
        self._heads = shape.heads
        self._prepare_attention(part.under("attention.self"))
        self._attention_out = part.linear("attention.output.dense")
        self._attention_norm = part.norm("attention.output.LayerNorm", shape.layer_norm_eps)
        self._up = part.linear("intermediate.dense", gelu=True)
        self._down = part.linear("output.dense")
        self._norm = part.norm("output.LayerNorm", shape.layer_norm_eps)

    def _prepare_attention(self, part: _Part) -> None:
        self._query_key_value = part.linear("query", "key", "value")

    def __call__(self, x: torch.Tensor, texts: Packed) -> torch.Tensor:
        q, k, v = self._split(self._query_key_value(x), 3)  # (tokens, heads, width) each
        return self._rest(x, attend(q, k, v, texts.lengths))

    def _split(self, x: torch.Tensor, parts: int) -> tuple[torch.Tensor, ...]:
        """(tokens, parts * hidden) -> parts times (tokens, heads, width), as views."""
        return x.view(x.shape[0], parts, self._heads, -1).unbind(1)

    def _rest(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        y = self._attention_norm(self._attention_out(attended).add_(x))  # (tokens, hidden)
        return self._norm(self._down(self._up(y)).add_(y))


class _FirstTokenLayer(_Layer):
    """The same for every text's first token alone."""

    def _prepare_attention(self, part: _Part) -> None:
        self._query = part.linear("query")
        self._key_value = part.linear("key", "value")

    def __call__(self, x: torch.Tensor, texts: Packed) -> torch.Tensor:
        first = x[texts.firsts]  # (texts, hidden)
        (q,) = self._split(self._query(first), 1)  # (texts, heads, width)
        k, v = self._split(self._key_value(x), 2)  # (tokens, heads, width) each
        return self._rest(first, attend_once(q, k, v, texts.lengths))


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """Return every token's attention over its own text.

    `q`, `k`, `v` are (tokens, heads, width); returns (tokens, hidden).
    """
    if q.is_cuda:
        return _attend_padded(q, k, v, lengths)
    return _attend_by_length(q, k, v, lengths)


def attend_once(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """Return one query's attention per text.

    `q` is (texts, heads, width), `k` and `v` are (tokens, heads, width); returns (texts, hidden).
    """
    if q.is_cuda:
        return _attend_once_padded(q, k, v, lengths)
    return _attend_once_by_length(q, k, v, lengths)


def _attend_by_length(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """Attend per run of texts of equal length: on a CPU the fastest way for short texts, and without any padding."""
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    for texts, tokens, length in _runs(lengths):
        shape = (texts.stop - texts.start, length, *q.shape[1:])
        queries, keys, values = (x[tokens].view(shape).transpose(1, 2) for x in (q, k, v))
        attended = functional.scaled_dot_product_attention(queries, keys, values)  # (texts, heads, length, width)
        out[tokens].view(shape).copy_(attended.transpose(1, 2))
    return out.view(q.shape[0], -1)


def _attend_padded(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    """Attend in one padded operation: on a GPU one launch instead of one per length."""
    places, mask = _padding(lengths, q.device)  # (texts, longest)
    queries, keys, values = (x[places].transpose(1, 2) for x in (q, k, v))  # (texts, heads, longest, width)
    attended = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask[:, None, None, :])
    return attended.transpose(1, 2)[mask].reshape(q.shape[0], -1)


def _attend_once_by_length(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
    for texts, tokens, length in _runs(lengths):
        shape = (texts.stop - texts.start, length, *q.shape[1:])
        keys, values = (x[tokens].view(shape).transpose(1, 2) for x in (k, v))  # (texts, heads, length, width)
        out[texts] = functional.scaled_dot_product_attention(q[texts].unsqueeze(2), keys, values).squeeze(2)
    return out.view(q.shape[0], -1)


def _attend_once_padded(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    places, mask = _padding(lengths, q.device)  # (texts, longest)
    keys, values = (x[places].transpose(1, 2) for x in (k, v))  # (texts, heads, longest, width)
    queries = q.unsqueeze(2)  # (texts, heads, 1, width)
    attended = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask[:, None, None, :])
    return attended.reshape(q.shape[0], -1)


def _runs(lengths: Sequence[int]) -> Iterator[tuple[slice, slice, int]]:
    """Yield runs of neighbouring texts of equal length: their texts, their tokens, that length."""
    text = token = 0
    for length, run in itertools.groupby(lengths):
        count = sum(1 for _ in run)
        yield slice(text, text + count), slice(token, token + count * length), length
        text, token = text + count, token + count * length


def _padding(lengths: Sequence[int], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the place of every token in a padded batch, and which of these are real. Both (texts, longest)"""
    sizes = torch.tensor(lengths, device=device)
    offsets = torch.arange(max(lengths), device=device)
    mask = offsets < sizes[:, None]
    places = (sizes.cumsum(0) - sizes)[:, None] + offsets
    return places.where(mask, 0), mask


def _todays_name(name: str) -> str:
    name = name.removeprefix("bert.")
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")

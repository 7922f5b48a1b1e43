"""BERT over packed texts on a GPU: the tokens of all texts lie one after the other in one matrix, without padding.

Read here how a layer runs; the parts between the matrix products are in `operations.py`. Nothing here reads a number
back from the device or knows how many texts a batch really holds, so that a CUDA graph can record all of it. Laws:
equal to transformers' BERT up to the precision; and what a classifier makes of the states is computed in fp32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch.nn import functional

from sidecar.scoring.cuda.operations import (
    LOG2_E,
    Dense,
    Embeddings,
    FeedForward,
    Likeness,
    Matches,
    Norm,
    Operations,
    Ranges,
    Texts,
)
from sidecar.scoring.logits import one_logit
from sidecar.scoring.packed_bert import BertShape
from sidecar.scoring.weights import Part, Weights

if TYPE_CHECKING:
    from sidecar.scoring.devices import Placement

TYPES_OF_ONE_TEXT: Final = (0, 0)
"""Token types of a text that stands alone."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Inputs:
    """One batch on the device."""

    texts: Texts
    #: which texts are compared; None where every text is a pair of its own
    matches: Matches | None = None


class CrossEncoder:
    """[CLS] query [SEP] text [SEP] -> layers -> pooler -> classifier -> one logit per text."""

    def __init__(self, weights: Weights, shape: BertShape, placement: Placement, types: tuple[int, int]) -> None:
        """Take the weights. `types` are the token types of query and text.

        Raises:
            ModelFailed: a weight is missing.
        """
        part = Part(weights, placement)
        self._trunk = _Trunk(part, shape, types)
        self._pooler = Dense(part.exact("pooler.dense.weight"), part.exact("pooler.dense.bias"))
        self._classifier = Dense(part.exact("classifier.weight"), part.exact("classifier.bias"))

    def __call__(self, inputs: Inputs, operations: Operations) -> torch.Tensor:
        """Return one logit per text, fp32. (texts,)"""
        first = self._trunk.first_states(inputs.texts, operations).float()  # (texts, hidden)
        return one_logit(self._classifier(torch.tanh(self._pooler(first))))


class LateInteraction:
    """Query and text each alone through the layers, then compared token by token."""

    def __init__(self, weights: Weights, shape: BertShape, placement: Placement, likeness: Likeness) -> None:
        """Take the weights.

        Raises:
            ModelFailed: a weight is missing.
        """
        self._trunk = _Trunk(Part(weights, placement), shape, TYPES_OF_ONE_TEXT)
        self._likeness = likeness

    def __call__(self, inputs: Inputs, operations: Operations) -> torch.Tensor:
        """Return one score per match, fp32. (pairs,)"""
        assert inputs.matches is not None
        states = self._trunk.states(inputs.texts, operations)  # (tokens, hidden)
        return operations.match(states, inputs.texts, inputs.matches, self._likeness)


class _Trunk:
    def __init__(self, part: Part, shape: BertShape, types: tuple[int, int]) -> None:
        embeddings = part.under("embeddings")
        self._embeddings = Embeddings(
            words=embeddings.tensor("word_embeddings.weight"),
            positions=embeddings.tensor("position_embeddings.weight"),
            types=embeddings.tensor("token_type_embeddings.weight"),
            norm=_norm(embeddings, "LayerNorm", shape),
            first_type=types[0],
            second_type=types[1],
        )
        self._layers = [_Layer(part.under(f"encoder.layer.{number}"), shape) for number in range(shape.layers)]

    def states(self, texts: Texts, operations: Operations) -> torch.Tensor:
        """Return the last layer's state of every token. (tokens, hidden)"""
        x, ranges = operations.embed(texts, self._embeddings)
        for layer in self._layers:
            x = layer.all_tokens(x, ranges, operations)
        return x

    def first_states(self, texts: Texts, operations: Operations) -> torch.Tensor:
        """Return the last layer's state of every text's first token: a seventh less work. (texts, hidden)"""
        x, ranges = operations.embed(texts, self._embeddings)
        for layer in self._layers[:-1]:
            x = layer.all_tokens(x, ranges, operations)
        return self._layers[-1].first_tokens(x, ranges, operations)


class _Layer:
    """Self-attention and feed-forward, each with its residual and LayerNorm."""

    def __init__(self, part: Part, shape: BertShape) -> None:
        self._heads = shape.heads
        attention = part.under("attention")
        self._query_key_value = _dense(attention, "self.query", "self.key", "self.value")
        self._attention_out = _dense(attention, "output.dense")
        self._attention_norm = _norm(attention, "output.LayerNorm", shape)
        self._feed_forward = FeedForward(
            up=_dense(part, "intermediate.dense"),
            down=_dense(part, "output.dense"),
            norm=_norm(part, "output.LayerNorm", shape),
        )
        hidden = len(self._query_key_value.weight) // 3
        weight, bias = self._query_key_value.weight, self._query_key_value.bias
        self._query = Dense(weight[:hidden], bias[:hidden])
        self._key_value = Dense(weight[hidden:], bias[hidden:])
        self._absorbed = _Absorbed(attention, shape)

    def all_tokens(self, x: torch.Tensor, ranges: Ranges, operations: Operations) -> torch.Tensor:
        """(tokens, hidden) -> (tokens, hidden)"""
        q, k, v = self._split(self._query_key_value(x), 3)  # (tokens, heads, width) each
        return self._rest(x, operations.attend(q, k, v, ranges), operations)

    def first_tokens(self, x: torch.Tensor, ranges: Ranges, operations: Operations) -> torch.Tensor:
        """(tokens, hidden) -> (texts, hidden): all other tokens are only attended to."""
        firsts = ranges.texts.bounds[:-1].clamp(max=len(x) - 1)  # an unused text takes whatever is there
        first = functional.embedding(firsts, x)  # (texts, hidden)
        if operations.read_once is not None:
            means = operations.read_once(self._absorbed.queries(first), x, ranges)  # (texts, heads, hidden)
            return self._after(first, self._absorbed.out(means), operations)
        k, v = self._split(self._key_value(x), 2)  # (tokens, heads, width) each
        (q,) = self._split(self._query(first), 1)  # (texts, heads, width)
        return self._rest(first, operations.attend_once(q, k, v, ranges), operations)

    def _split(self, x: torch.Tensor, parts: int) -> tuple[torch.Tensor, ...]:
        """(rows, parts * hidden) -> parts times (rows, heads, width), as views."""
        return x.view(x.shape[0], parts, self._heads, -1).unbind(1)

    def _rest(self, x: torch.Tensor, attended: torch.Tensor, operations: Operations) -> torch.Tensor:
        return self._after(x, self._attention_out(attended), operations)

    def _after(self, x: torch.Tensor, y: torch.Tensor, operations: Operations) -> torch.Tensor:
        """Residual and norm, and the second half."""
        return operations.second_half(operations.add_norm(y, x, self._attention_norm), self._feed_forward)


class _Absorbed:
    """Attention of one query per text that needs neither keys nor values of the tokens, only their states.

    A query's product with a key, q (K x + b), is (q K) x but for q b, which is the same for all tokens and falls out of
    the softmax; and the weighted mean of the values, V x + c, is V applied to the weighted mean of the states, plus c.
    So K and V are applied once per text instead of once per token, and c goes into the bias behind them.
    """

    def __init__(self, attention: Part, shape: BertShape) -> None:
        weight, bias = attention.exact("self.query.weight"), attention.exact("self.query.bias")
        hidden = weight.shape[1]
        scale = LOG2_E * (hidden // shape.heads) ** -0.5
        self._query = Dense(attention.rounded(weight * scale), attention.rounded(bias * scale))
        self._key = attention.tensor("self.key.weight").view(shape.heads, -1, hidden)  # (heads, width, hidden)
        self._value = attention.tensor("self.value.weight").view(shape.heads, -1, hidden)  # (heads, width, hidden)
        out, out_bias = attention.exact("output.dense.weight"), attention.exact("output.dense.bias")
        self._out = Dense(
            attention.rounded(out), attention.rounded(out_bias + out @ attention.exact("self.value.bias"))
        )

    def queries(self, first: torch.Tensor) -> torch.Tensor:
        """Return what is to be multiplied with the states. (texts, hidden) -> (texts, heads, hidden)"""
        q = self._query(first).view(len(first), len(self._key), -1).transpose(0, 1)  # (heads, texts, width)
        return torch.bmm(q, self._key).transpose(0, 1)

    def out(self, means: torch.Tensor) -> torch.Tensor:
        """Return the attention's output of the heads' mean states. (texts, heads, hidden) -> (texts, hidden)"""
        values = torch.bmm(means.transpose(0, 1), self._value.transpose(1, 2))  # (heads, texts, width)
        return self._out(values.transpose(0, 1).reshape(len(means), -1))


def _dense(part: Part, *names: str) -> Dense:
    """Return one layer of those called `names`, their outputs side by side."""
    weight, bias = (torch.cat([part.tensor(f"{name}.{kind}") for name in names]) for kind in ("weight", "bias"))
    return Dense(weight, bias)


def _norm(part: Part, name: str, shape: BertShape) -> Norm:
    return Norm(part.tensor(f"{name}.weight"), part.tensor(f"{name}.bias"), shape.layer_norm_eps)

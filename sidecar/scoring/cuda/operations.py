"""What a packed BERT does between its matrix products, each in two ways: in plain torch and as one Triton kernel.

Law: both ways give the same numbers, up to the rounding of the precision. Plain torch runs anywhere and is what the
kernels are tested against; which way is used is chosen part by part (`Operations`), so that what each kernel gains can
be measured, and a machine where Triton cannot compile still scores.

Shapes: `tokens` is the room for tokens of a batch and `texts` that for texts; what is not filled lies behind the last
text. `hidden` is the model's width, `heads` x `width` = hidden.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch.nn import functional

LOG2_E: Final = math.log2(math.e)
"""The kernels use 2^x, which the chip computes, instead of e^x."""


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """A linear layer."""

    weight: torch.Tensor  # (outputs, inputs)
    bias: torch.Tensor  # (outputs,)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(rows, inputs) -> (rows, outputs)"""
        return functional.linear(x, self.weight, self.bias)


@dataclass(frozen=True, slots=True, eq=False)
class Norm:
    """A LayerNorm's weights."""

    weight: torch.Tensor  # (hidden,)
    bias: torch.Tensor  # (hidden,)
    eps: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Embeddings:
    """Word, position and token type, and which types the two parts of a text have."""

    words: torch.Tensor  # (vocabulary, hidden)
    positions: torch.Tensor  # (positions, hidden)
    types: torch.Tensor  # (types, hidden)
    norm: Norm
    first_type: int = 0
    second_type: int = 0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FeedForward:
    """The second half of a layer."""

    up: Dense
    down: Dense
    norm: Norm


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Texts:
    """Packed texts on the device. All numbers are int32."""

    ids: torch.Tensor  # (tokens,)
    #: where every text begins, and where the last one ends; unused texts begin and end there
    bounds: torch.Tensor  # (texts + 1,)
    #: how many tokens of every text are its first part, e.g. [CLS] query [SEP]
    second_starts: torch.Tensor  # (texts,)
    #: no text has more tokens
    longest: int


@dataclass(frozen=True, slots=True, eq=False)
class Ranges:
    """For every token, the bounds of its text, and all texts' bounds. All int32."""

    begins: torch.Tensor  # (tokens,)
    ends: torch.Tensor  # (tokens,)
    texts: Texts


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Which of the packed texts are compared with which. All int32."""

    queries: torch.Tensor  # (pairs,)
    answers: torch.Tensor  # (pairs,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How two texts are compared by their tokens' states."""

    #: special tokens in front of and behind the inner ones
    before: int
    after: int
    #: the weight of the pooled vectors' cosine beside the mean of the best cosines of the query's inner tokens
    pooled_share: float
    #: pooled by the mean, else by the first token
    pools_mean: bool


Heads = torch.Tensor
"""(tokens, heads, width), where a token's heads lie side by side; rows may lie apart."""

Embed = Callable[[Texts, Embeddings], tuple[torch.Tensor, Ranges]]
AddNorm = Callable[[torch.Tensor, torch.Tensor, Norm], torch.Tensor]
Gelu = Callable[[torch.Tensor, Dense], torch.Tensor]
Attend = Callable[[Heads, Heads, Heads, Ranges], torch.Tensor]
ReadOnce = Callable[[torch.Tensor, torch.Tensor, Ranges], torch.Tensor]
Match = Callable[[torch.Tensor, Texts, Matches, Likeness], torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operations:
    """One way for each part. Names say which, for logs and benchmarks."""

    name: str
    #: texts -> states (tokens, hidden), and where every token's text lies
    embed: Embed
    #: (x, residual) -> LayerNorm(x + residual), (rows, hidden)
    add_norm: AddNorm
    #: gelu(dense(x)), (rows, outputs)
    dense_gelu: Gelu
    #: every token's attention over its own text -> (tokens, hidden)
    attend: Attend
    #: one query (texts, heads, width) per text over that text -> (texts, hidden)
    attend_once: Attend
    #: the same without keys and values: for every text, each head's mean of the states (tokens, hidden), weighted by
    #: 2^(query . state) -> (texts, heads, hidden); None = take `attend_once`
    read_once: ReadOnce | None
    #: late interaction: states (tokens, hidden) -> one score per pair, fp32 (pairs,)
    match: Match
    #: whether a CUDA graph can hold it: its shapes do not depend on what the texts are
    is_recordable: bool = True
    #: whether what attention costs depends on `Texts.longest`, so that a tight bound is worth something
    is_bound_by_longest: bool = False

    def second_half(self, x: torch.Tensor, part: FeedForward) -> torch.Tensor:
        """LayerNorm(down(gelu(up(x))) + x) for (rows, hidden)."""
        return self.add_norm(part.down(self.dense_gelu(x, part.up)), x, part.norm)


# Plain torch.


def embed(texts: Texts, weights: Embeddings) -> tuple[torch.Tensor, Ranges]:
    """Word + position + token type, normalised; see `Operations.embed`."""
    ranges, text = _ranges(texts)
    positions = torch.arange(len(texts.ids), device=texts.ids.device) - ranges.begins  # (tokens,)
    is_first = positions < texts.second_starts[text]
    kinds = torch.where(is_first, weights.first_type, weights.second_type)
    x = functional.embedding(texts.ids, weights.words).float()  # (tokens, hidden)
    x += functional.embedding(kinds, weights.types)
    x += functional.embedding(positions.clamp_(max=len(weights.positions) - 1), weights.positions)
    return _normalised(x, weights.norm).to(weights.words.dtype), ranges


def add_norm(x: torch.Tensor, residual: torch.Tensor, norm: Norm) -> torch.Tensor:
    """LayerNorm(x + residual), the sum in fp32."""
    return _normalised(x.float() + residual, norm).to(x.dtype)


def dense_gelu(x: torch.Tensor, dense: Dense) -> torch.Tensor:
    """gelu(dense(x)), the exact one, by erf."""
    return functional.gelu(dense(x))


def attend_padded(q: Heads, k: Heads, v: Heads, ranges: Ranges) -> torch.Tensor:
    """Attention in one padded operation of torch: works everywhere, computes the padding, needs the memory of it."""
    tokens = q.shape[0]
    places, mask = _padding(ranges.texts, tokens)  # (texts, longest)
    queries, keys, values = (x[places].transpose(1, 2) for x in (q, k, v))  # (texts, heads, longest, width)
    attended = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask[:, None, None, :])
    _, text = _ranges(ranges.texts)
    offset = torch.arange(tokens, device=q.device) - ranges.begins
    return attended.transpose(1, 2)[text, offset.clamp_(max=ranges.texts.longest - 1)].reshape(tokens, -1)


def attend_once_padded(q: Heads, k: Heads, v: Heads, ranges: Ranges) -> torch.Tensor:
    """The same for one query per text."""
    places, mask = _padding(ranges.texts, k.shape[0])  # (texts, longest)
    keys, values = (x[places].transpose(1, 2) for x in (k, v))  # (texts, heads, longest, width)
    attended = functional.scaled_dot_product_attention(q.unsqueeze(2), keys, values, attn_mask=mask[:, None, None, :])
    return attended.reshape(q.shape[0], -1)


def read_once_padded(queries: torch.Tensor, states: torch.Tensor, ranges: Ranges) -> torch.Tensor:
    """Each head's mean of a text's states, in one padded operation."""
    places, mask = _padding(ranges.texts, len(states))  # (texts, longest)
    rows = states[places][:, None]  # (texts, 1, longest, hidden)
    # The queries are for 2^x, and this takes e^x.
    means = functional.scaled_dot_product_attention(
        queries[:, None], rows, rows, attn_mask=mask[:, None, None, :], scale=1.0 / LOG2_E
    )
    return means.squeeze(1)


def attend_varlen(q: Heads, k: Heads, v: Heads, ranges: Ranges) -> torch.Tensor:
    """FlashAttention's variable-length kernel, which comes with torch: fp16 and bf16 on CUDA only."""
    bounds, longest = ranges.texts.bounds, ranges.texts.longest
    return _varlen(q, k, v, bounds, bounds, longest, longest)


def attend_once_varlen(q: Heads, k: Heads, v: Heads, ranges: Ranges) -> torch.Tensor:
    """The same for one query per text."""
    each = torch.arange(q.shape[0] + 1, dtype=torch.int32, device=q.device)
    return _varlen(q, k, v, each, ranges.texts.bounds, 1, ranges.texts.longest)


def match(states: torch.Tensor, texts: Texts, matches: Matches, how: Likeness) -> torch.Tensor:
    """The mean, over the query's inner tokens, of the best cosine with one of the answer's, and the pooled cosine."""
    unit = functional.normalize(states.float(), dim=1)  # (tokens, hidden)
    ours, is_ours = _inner(unit, texts, matches.queries, how)  # (pairs, longest, hidden), (pairs, longest)
    theirs, is_theirs = _inner(unit, texts, matches.answers, how)
    cosines = (ours @ theirs.transpose(1, 2)).masked_fill_(~is_theirs[:, None, :], -math.inf)
    best = cosines.amax(2).masked_fill_(~is_ours | ~is_theirs.any(1, keepdim=True), 0.0)  # (pairs, longest)
    pooled = _pooled(states.float(), texts, pools_mean=how.pools_mean)  # (texts, hidden)
    likeness = (pooled[matches.queries] * pooled[matches.answers]).sum(1)
    return best.sum(1) / is_ours.sum(1).clamp_(min=1) + how.pooled_share * likeness


PLAIN: Final = Operations(
    name="torch",
    embed=embed,
    add_norm=add_norm,
    dense_gelu=dense_gelu,
    attend=attend_padded,
    attend_once=attend_once_padded,
    read_once=read_once_padded,
    match=match,
    is_recordable=False,
)
"""Runs anywhere."""


def with_varlen(operations: Operations) -> Operations:
    """Return the same with FlashAttention for the attention, and nothing that has to be padded."""
    return replace(
        operations,
        name=f"{operations.name}, FlashAttention",
        attend=attend_varlen,
        attend_once=attend_once_varlen,
        read_once=operations.read_once if operations.is_recordable else None,
        is_recordable=True,
        is_bound_by_longest=True,
    )


# One kernel each.


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """How a kernel cuts its work: rows of the result, length of a step, warps of a program, steps in flight."""

    rows: int
    step: int
    warps: int
    stages: int
    #: columns of the result, where a matrix product is cut both ways
    columns: int = 128


ATTENTION_TILES: Final = Tiles(rows=64, step=64, warps=4, stages=3)
DENSE_TILES: Final = Tiles(rows=64, step=64, warps=4, stages=3)
NORM_ROWS: Final = 4
"""Rows that one program normalises, a warp each."""
_ELEMENTS: Final = 1024
"""Numbers per program of the elementwise kernel."""


def triton_operations(
    attention: Tiles = ATTENTION_TILES, *, dense: Tiles | None = None, norm_rows: int = NORM_ROWS
) -> Operations:
    """Return all parts as kernels.

    Matrix products are cuBLAS's, but with `dense` that in front of GELU is ours, where the tiles divide it.

    Raises:
        ImportError: there is no Triton here.
    """
    from sidecar.scoring.cuda import kernels

    def embed(texts: Texts, weights: Embeddings) -> tuple[torch.Tensor, Ranges]:
        tokens, hidden = len(texts.ids), weights.words.shape[1]
        out = weights.words.new_empty(tokens, hidden)
        begins, ends = torch.empty_like(texts.ids), torch.empty_like(texts.ids)
        kernels.embed_kernel[(tokens,)](
            texts.ids, texts.bounds, texts.second_starts, len(texts.second_starts),
            weights.words, weights.positions, weights.types, weights.norm.weight, weights.norm.bias, out, begins, ends,
            weights.first_type, weights.second_type, weights.norm.eps,
            hidden=hidden, block=_power_of_two(hidden), num_warps=_row_warps(hidden),
        )  # fmt: skip
        return out, Ranges(begins, ends, texts)

    def add_norm(x: torch.Tensor, residual: torch.Tensor, norm: Norm) -> torch.Tensor:
        rows, hidden = x.shape
        out = torch.empty_like(x)
        kernels.add_norm_kernel[(_blocks(rows, norm_rows),)](
            x, residual, norm.weight, norm.bias, out, rows, norm.eps,
            hidden=hidden, block=_power_of_two(hidden), row_block=norm_rows,
            num_warps=min(8, norm_rows * _row_warps(hidden)),
        )  # fmt: skip
        return out

    def dense_then_gelu(x: torch.Tensor, layer: Dense) -> torch.Tensor:
        out = functional.linear(x, layer.weight)
        size = out.numel()
        kernels.bias_gelu_kernel[(_blocks(size, _ELEMENTS),)](
            out, layer.bias, size, width=out.shape[1], block=_ELEMENTS
        )
        return out

    def dense_with_gelu(x: torch.Tensor, layer: Dense) -> torch.Tensor:
        assert dense is not None
        (rows, inputs), outputs = x.shape, len(layer.weight)
        if inputs % dense.step or outputs % dense.columns:
            return dense_then_gelu(x, layer)
        out = x.new_empty(rows, outputs)
        kernels.dense_gelu_kernel[(_blocks(outputs, dense.columns), _blocks(rows, dense.rows))](
            x, layer.weight, layer.bias, out, rows, outputs=outputs, inputs=inputs,
            row_block=dense.rows, column_block=dense.columns, step=dense.step,
            num_warps=dense.warps, num_stages=dense.stages,
        )  # fmt: skip
        return out

    def attend(q: Heads, k: Heads, v: Heads, ranges: Ranges) -> torch.Tensor:
        tokens, heads, width = q.shape
        out = q.new_empty(tokens, heads * width)
        kernels.attend_kernel[(_blocks(tokens, attention.rows), heads)](
            q, k, v, q.stride(0), ranges.begins, ranges.ends, out, tokens, LOG2_E / math.sqrt(width),
            heads=heads, width=width, width_block=max(16, _power_of_two(width)),
            query_block=attention.rows, key_block=attention.step,
            num_warps=attention.warps, num_stages=attention.stages,
        )  # fmt: skip
        return out

    def attend_once(q: Heads, k: Heads, v: Heads, ranges: Ranges) -> torch.Tensor:
        texts, heads, width = q.shape
        out = q.new_empty(texts, heads * width)
        kernels.attend_once_kernel[(texts, heads)](
            q, k, v, k.stride(0), ranges.texts.bounds, out, LOG2_E / math.sqrt(width),
            heads=heads, width=width, width_block=_power_of_two(width), key_block=64, num_warps=1,
        )  # fmt: skip
        return out

    def read_once(queries: torch.Tensor, states: torch.Tensor, ranges: Ranges) -> torch.Tensor:
        texts, heads, hidden = queries.shape
        out = queries.new_empty(texts, heads, hidden)
        kernels.read_once_kernel[(texts,)](
            queries, queries.stride(0), queries.stride(1), states, ranges.texts.bounds, out,
            heads=heads, head_block=max(16, _power_of_two(heads)), hidden=hidden, block=max(16, _power_of_two(hidden)),
            key_block=32, num_warps=4,
        )  # fmt: skip
        return out

    def match(states: torch.Tensor, texts: Texts, matches: Matches, how: Likeness) -> torch.Tensor:
        pairs, hidden = len(matches.queries), states.shape[1]
        out = torch.empty(pairs, dtype=torch.float32, device=states.device)
        kernels.max_similarity_kernel[(pairs,)](
            states, texts.bounds, matches.queries, matches.answers, out, how.before, how.after, how.pooled_share,
            pools_mean=how.pools_mean, hidden=hidden, part=min(128, max(16, _power_of_two(hidden))),
            query_block=16, text_block=64, num_warps=4,
        )  # fmt: skip
        return out

    return Operations(
        name="triton" if dense is None else "triton, dense",
        embed=embed,
        add_norm=add_norm,
        dense_gelu=dense_then_gelu if dense is None else dense_with_gelu,
        attend=attend,
        attend_once=attend_once,
        read_once=read_once,
        match=match,
    )


def _ranges(texts: Texts) -> tuple[Ranges, torch.Tensor]:
    """Return the bounds of every token's text, and its number: behind the last text, that of the last one."""
    last = len(texts.second_starts) - 1
    tokens = torch.arange(len(texts.ids), dtype=torch.int32, device=texts.ids.device)
    text = torch.searchsorted(texts.bounds[1:].contiguous(), tokens, right=True)  # (tokens,), `texts` behind the end
    begins, ends = texts.bounds[text], texts.bounds[(text + 1).clamp_(max=last + 1)]
    return Ranges(begins, ends, texts), text.clamp_(max=last)


def _padding(texts: Texts, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the place of every token in a padded batch, and which of these are real. Both (texts, longest)

    An unused text keeps one place, so that no softmax is over nothing.
    """
    starts, ends = texts.bounds[:-1, None], texts.bounds[1:, None]
    offsets = torch.arange(texts.longest, dtype=torch.int32, device=texts.bounds.device)
    places = starts + offsets
    mask = (places < ends) | (offsets == 0)
    return places.clamp_(max=tokens - 1), mask


def _inner(unit: torch.Tensor, texts: Texts, which: torch.Tensor, how: Likeness) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the states of some texts' inner tokens, padded, and which are real."""
    begins = texts.bounds[which][:, None] + how.before  # (pairs, 1)
    ends = texts.bounds[which + 1][:, None] - how.after
    places = begins + torch.arange(texts.longest, dtype=torch.int32, device=unit.device)  # (pairs, longest)
    return unit[places.clamp(max=len(unit) - 1)], places < ends


def _pooled(states: torch.Tensor, texts: Texts, *, pools_mean: bool) -> torch.Tensor:
    """Return every text's vector, of length one. (texts, hidden)"""
    if not pools_mean:
        return functional.normalize(states[texts.bounds[:-1].clamp(max=len(states) - 1)], dim=1)
    _, text = _ranges(texts)
    is_real = torch.arange(len(states), device=states.device) < texts.bounds[-1]
    sums = states.new_zeros(len(texts.second_starts), states.shape[1])
    return functional.normalize(sums.index_add_(0, text, states * is_real[:, None]), dim=1)


def _varlen(
    q: Heads, k: Heads, v: Heads, query_bounds: torch.Tensor, bounds: torch.Tensor, longest_query: int, longest: int
) -> torch.Tensor:
    """Call torch's kernel with what its signature has in common from 2.10 to 2.15: seven arguments by position."""
    from torch.nn.attention import varlen

    attended: Any = varlen.varlen_attn(q, k, v, query_bounds, bounds, longest_query, longest)
    out: torch.Tensor = attended.reshape(q.shape[0], -1)
    return out


def _normalised(x: torch.Tensor, norm: Norm) -> torch.Tensor:
    return functional.layer_norm(x, norm.weight.shape, norm.weight.float(), norm.bias.float(), norm.eps)


def _power_of_two(size: int) -> int:
    return 1 << (size - 1).bit_length()


def _row_warps(hidden: int) -> int:
    """A warp for every 512 numbers: a row then stays within few registers."""
    return max(1, min(8, _power_of_two(hidden) // 512))


def _blocks(size: int, block: int) -> int:
    return -(-size // block)

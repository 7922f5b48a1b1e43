"""Attention over packed texts, in rectangles: texts of like length are filled up to the same multiple of 16 tokens.

On a CPU, torch's attention is about twice as fast for a length that fills its vector registers as for the odd length
next to it, so that a few masked tokens more cost less than they save. On other devices one rectangle is one launch.

Laws: every token attends to the tokens of its own text and to no other; what a rectangle is filled up with is never
seen. Texts lie in order of length, or the rectangles become many.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from sidecar.scoring.packing import in_room, room, starts

STEP: Final = 16
"""Lengths are rounded up to a multiple of this: measured with bf16 and fp32, with AMX, AVX-512 and AVX2, on texts of 16
to 512 tokens. 32 computes more than it saves, 8 leaves half of the speed unused."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rectangle:
    """Texts that are filled up to the same length."""

    texts: slice  # which of the packed texts
    tokens: slice  # their tokens among all tokens
    rows: slice  # their places among all rows, filling included
    length: int  # tokens of every text, filling included
    is_token: torch.Tensor  # (texts, length): what is not filling
    real: torch.Tensor | None  # (tokens,): which of its own rows are tokens; None = all
    #: (texts, 1, 1 or length, length): 0 where a row sees a token, else -inf; None = every row sees every token
    mask: torch.Tensor | None

    def within(self, distance: int, dtype: torch.dtype) -> Rectangle:
        """Return the same with a mask by which tokens see those at most `distance` away."""
        if self.length <= distance + 1:
            return self
        places = torch.arange(self.length, device=self.is_token.device)
        is_near = (places[:, None] - places).abs() <= distance  # (length, length)
        is_seen = self.is_token[:, None, :] & (is_near | ~self.is_token[:, :, None])  # filling sees something, too
        return replace(self, mask=_mask(is_seen[:, None], dtype))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rectangles:
    """The rectangles of packed texts. There is more room for tokens and rows than there are (`packing.room`)."""

    #: where every row is found among the tokens, (rows,); filling repeats its text's first token. None = as they are
    gather: torch.Tensor | None
    parts: tuple[Rectangle, ...]
    tokens: int
    room: int  # for tokens
    dtype: torch.dtype

    @classmethod
    def of(cls, lengths: Sequence[int], *, device: torch.device, dtype: torch.dtype) -> Self:
        """Cut texts of these lengths into rectangles: several on a CPU, one elsewhere."""
        step = STEP if device.type == "cpu" else max(lengths, default=1)
        parts: list[Rectangle] = []
        gathers: list[NDArray[np.int64]] = []
        text = token = row = 0
        for length, sizes in _runs(lengths, step):
            count, tokens, rows = len(sizes), int(sizes.sum()), len(sizes) * length
            is_token = np.arange(length) < sizes[:, None]  # (texts, length)
            begins = (token + starts(sizes.tolist()))[:, None]  # (texts, 1)
            gathers.append(np.where(is_token, begins + np.arange(length), begins).ravel())
            is_filled = tokens < rows
            seen = torch.from_numpy(is_token).to(device)
            parts.append(
                Rectangle(
                    texts=slice(text, text + count),
                    tokens=slice(token, token + tokens),
                    rows=slice(row, row + rows),
                    length=length,
                    is_token=seen,
                    real=torch.from_numpy(np.flatnonzero(is_token)).to(device) if is_filled else None,
                    mask=_mask(seen[:, None, None], dtype) if is_filled else None,
                )
            )
            text, token, row = text + count, token + tokens, row + rows
        gather = torch.from_numpy(in_room(np.concatenate(gathers))).to(device) if token < row else None
        return cls(gather=gather, parts=tuple(parts), tokens=token, room=room(token), dtype=dtype)

    def within(self, distance: int) -> Self:
        """Return the same for local attention, in which tokens see those at most `distance` away."""
        return replace(self, parts=tuple(part.within(distance, self.dtype) for part in self.parts))

    def fill(self, tokens: torch.Tensor) -> torch.Tensor:
        """(tokens, …) -> (rows, …)"""
        return tokens if self.gather is None else tokens.index_select(0, self.gather)


def attend(rows: torch.Tensor, heads: int, rectangles: Rectangles) -> torch.Tensor:
    """Return every token's attention over its own text.

    `rows` are queries, keys and values side by side, (rows, 3 * hidden); returns (tokens, hidden).
    """
    hidden = rows.shape[1] // 3
    out = rows.new_empty(rectangles.room, hidden)
    out[rectangles.tokens :] = 0
    for part in rectangles.parts:
        x = rows[part.rows].view(-1, part.length, 3, heads, hidden // heads)
        q, k, v = x.permute(2, 0, 3, 1, 4)  # (texts, heads, length, width) each
        attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=part.mask)
        attended = attended.transpose(1, 2).reshape(-1, hidden)  # (texts * length, hidden)
        if part.real is None:
            out[part.tokens] = attended
        else:
            torch.index_select(attended, 0, part.real, out=out[part.tokens])
    return out


def attend_first(queries: torch.Tensor, rows: torch.Tensor, heads: int, rectangles: Rectangles) -> torch.Tensor:
    """Return the attention of every text's first token alone.

    `queries` are those tokens', (texts, hidden), `rows` are keys and values side by side, (rows, 2 * hidden); returns
    (texts, hidden).
    """
    hidden = queries.shape[1]
    out = torch.zeros_like(queries)
    for part in rectangles.parts:
        k, v = rows[part.rows].view(-1, part.length, 2, heads, hidden // heads).permute(2, 0, 3, 1, 4)
        q = queries[part.texts].view(-1, heads, 1, hidden // heads)  # (texts, heads, 1, width)
        mask = None if part.mask is None else part.mask[:, :, :1]
        attended = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # (texts, heads, 1, width)
        out[part.texts] = attended.reshape(-1, hidden)
    return out


def attend_once(queries: torch.Tensor, rows: torch.Tensor, rectangles: Rectangles) -> torch.Tensor:
    """Return the means of every text's states, weighted by the softmax of their products with the text's queries.

    `queries` is (texts, heads, hidden), `rows` are states, (rows, hidden); returns (texts, heads, hidden).
    """
    out = torch.zeros_like(queries)
    for part in rectangles.parts:
        x = rows[part.rows].view(-1, 1, part.length, rows.shape[1])  # (texts, 1, length, hidden)
        q = queries[part.texts].unsqueeze(1)  # (texts, 1, heads, hidden)
        out[part.texts] = functional.scaled_dot_product_attention(q, x, x, attn_mask=part.mask, scale=1.0).squeeze(1)
    return out


def _mask(is_seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return 0 where it is true, else -inf."""
    return torch.zeros(is_seen.shape, dtype=dtype, device=is_seen.device).masked_fill_(~is_seen, -torch.inf)


def _runs(lengths: Sequence[int], step: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield runs of neighbouring texts that fill up to the same multiple of `step`: that multiple, their lengths."""
    for length, run in itertools.groupby(lengths, key=lambda length: -(-length // step) * step):
        yield length, np.fromiter(run, dtype=np.int64)

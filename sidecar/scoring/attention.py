"""Attention over packed texts, in rectangles: texts of like length are filled up to the same multiple of 16 tokens.

On a CPU, torch's attention is about twice as fast for a length that fills its vector registers as for the odd length
next to it, so that a few masked tokens more cost less than they save. On other devices one rectangle is one launch.

Laws: every token attends to the tokens of its own text and to no other; what a rectangle is filled up with is never
seen. Texts lie in order of length, or the rectangles become many.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from sidecar.scoring.packing import starts

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
    mask: torch.Tensor | None  # (texts, 1, 1, length): 0 for a token, -inf for filling; None = no filling
    real: torch.Tensor | None  # (tokens,): which of its own rows are tokens; None = all


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rectangles:
    """The rectangles of packed texts."""

    #: where every row is found among the tokens, (rows,); filling repeats its text's first token. None = as they are
    gather: torch.Tensor | None
    parts: tuple[Rectangle, ...]
    tokens: int

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
            mask = np.where(is_token, np.float32(0), np.float32(-np.inf))[:, None, None, :]
            parts.append(
                Rectangle(
                    texts=slice(text, text + count),
                    tokens=slice(token, token + tokens),
                    rows=slice(row, row + rows),
                    length=length,
                    mask=torch.from_numpy(mask).to(device, dtype) if is_filled else None,
                    real=torch.from_numpy(np.flatnonzero(is_token)).to(device) if is_filled else None,
                )
            )
            text, token, row = text + count, token + tokens, row + rows
        gather = torch.from_numpy(np.concatenate(gathers)).to(device) if token < row else None
        return cls(gather=gather, parts=tuple(parts), tokens=token)

    def fill(self, tokens: torch.Tensor) -> torch.Tensor:
        """(tokens, …) -> (rows, …)"""
        return tokens if self.gather is None else tokens.index_select(0, self.gather)


def attend(rows: torch.Tensor, heads: int, rectangles: Rectangles) -> torch.Tensor:
    """Return every token's attention over its own text.

    `rows` are queries, keys and values side by side, (rows, 3 * hidden); returns (tokens, hidden).
    """
    hidden = rows.shape[1] // 3
    out = rows.new_empty(rectangles.tokens, hidden)
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


def attend_once(queries: torch.Tensor, rows: torch.Tensor, rectangles: Rectangles) -> torch.Tensor:
    """Return the means of every text's states, weighted by the softmax of their products with the text's queries.

    `queries` is (texts, heads, hidden), `rows` are states, (rows, hidden); returns (texts, heads, hidden).
    """
    out = torch.empty_like(queries)
    for part in rectangles.parts:
        x = rows[part.rows].view(-1, part.length, rows.shape[1])  # (texts, length, hidden)
        products = torch.bmm(queries[part.texts], x.transpose(1, 2))  # (texts, heads, length)
        if part.mask is not None:
            products += part.mask[:, 0]
        out[part.texts] = torch.bmm(products.softmax(-1), x)
    return out


def _runs(lengths: Sequence[int], step: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield runs of neighbouring texts that fill up to the same multiple of `step`: that multiple, their lengths."""
    for length, run in itertools.groupby(lengths, key=lambda length: -(-length // step) * step):
        yield length, np.fromiter(run, dtype=np.int64)

"""Texts as one run of tokens: they lie one after the other in one array, without padding.

Laws: texts keep their order; ids, positions and token types are made in a few operations on whole arrays, never token
by token; the array is of one of a few sizes (`room`), and what lies behind the last text belongs to nobody. Knows no
model and no attention.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Ids = Sequence[int]
"""Token ids of one text: an array.array, which is packed fastest, or any other sequence."""

Numbers = NDArray[np.int32]

_TYPECODE = attrgetter("typecode")


@dataclass(frozen=True, eq=False, kw_only=True)
class Packed:
    """Texts as one run of tokens, in their order. `room` is that of their tokens; what is over is 0."""

    ids: torch.Tensor  # (room,), int32
    positions: torch.Tensor  # (room,), int32
    types: torch.Tensor  # (room,), int32
    lengths: tuple[int, ...]  # tokens of every text

    @cached_property
    def firsts(self) -> torch.Tensor:
        """The place of every text's first token, on the tokens' device; what is over is 0. (room of the texts,)"""
        return torch.from_numpy(in_room(starts(self.lengths))).to(self.ids.device)

    @cached_property
    def text_of(self) -> torch.Tensor:
        """The number of every token's text, on the tokens' device. (tokens,)"""
        return torch.from_numpy(np.repeat(np.arange(len(self.lengths)), self.lengths)).to(self.ids.device)

    @cached_property
    def sizes(self) -> torch.Tensor:
        """`lengths` on the tokens' device. (texts,)"""
        return torch.tensor(self.lengths, device=self.ids.device)


def room(count: int) -> int:
    """Return the smallest size that holds `count` of something: there are eight sizes to each doubling, from 16 on.

    For every size of a matrix oneDNN compiles kernels of its own, which takes several times as long as to use them
    once: in bf16 with AMX, 37 ms for the four products of a MiniLM layer.
    """
    step = max(16, (1 << max(0, count - 1).bit_length()) // 16)
    return max(step, -(-count // step) * step)


def pack(ids: Sequence[Ids], types: Sequence[Ids] | None = None, *, device: str = "cpu") -> Packed:
    """Lay texts behind each other. `types` are token types, aligned with `ids`; None = all 0."""
    lengths = tuple(map(len, ids))
    flat = joined(ids)
    return _packed(flat, np.zeros_like(flat) if types is None else joined(types), lengths, device)


def pack_parts(parts: Sequence[Ids], count: int, types: Sequence[int], *, device: str = "cpu") -> Packed:
    """Lay texts behind each other that come as `count` parts each: `parts` are those of the first text, then the next.

    `types` are the token types of the parts.
    """
    sizes = np.fromiter(map(len, parts), dtype=np.int32, count=len(parts))  # (texts * count,)
    kinds = np.repeat(np.tile(np.array(types, dtype=np.int32), len(parts) // count), sizes)
    lengths = sizes.reshape(-1, count).sum(1)  # (texts,)
    return _packed(joined(parts), kinds, tuple(lengths.tolist()), device)


def split(rows: torch.Tensor, texts: Packed) -> tuple[torch.Tensor, ...]:
    """Return every text's own rows of (tokens, …), as views in order."""
    return torch.split(rows, list(texts.lengths))


def means(rows: torch.Tensor, texts: Packed) -> torch.Tensor:
    """Return the mean of every text's own rows of (tokens, width), in fp32. (texts, width)"""
    sums = torch.zeros(len(texts.lengths), rows.shape[1], device=rows.device)
    return sums.index_add_(0, texts.text_of, rows.float()) / texts.sizes[:, None]


def batches(lengths: Sequence[int], *, budget: int) -> Iterator[list[int]]:
    """Yield the places of the texts, shortest first, in batches of at most `budget` tokens (or one text).

    Sorted, so that texts of like length, whose attention is one operation, lie together. The last batch may have an
    eighth more: a small rest would be slower by itself, and in bf16 its scores would be rounded by other kernels.
    """
    batch: list[int] = []
    tokens, left = 0, sum(lengths)
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and tokens + lengths[place] > budget and left > budget // 8:
            yield batch
            batch, tokens = [], 0
        batch.append(place)
        tokens += lengths[place]
        left -= lengths[place]
    if batch:
        yield batch


def joined(rows: Sequence[Ids]) -> Numbers:
    """Return the numbers of all rows, one row after the other."""
    if set(map(type, rows)) != {array}:
        kinds = {row.typecode for row in rows if isinstance(row, array)}
        if len(kinds) != 1:
            return np.array([number for row in rows for number in row], dtype=np.int32)
        kind = kinds.pop()
        rows = [row if isinstance(row, array) else array(kind, row) for row in rows]
    (kind, *others) = set(map(_TYPECODE, rows))
    if others:
        return np.array([number for row in rows for number in row], dtype=np.int32)
    return np.frombuffer(b"".join(rows), dtype=kind).astype(np.int32)  # type: ignore[arg-type]  # arrays are buffers


def starts(lengths: Sequence[int]) -> NDArray[np.int64]:
    """Return where every text begins. (texts,)"""
    sizes = np.array(lengths, dtype=np.int64)
    begins: NDArray[np.int64] = np.cumsum(sizes) - sizes
    return begins


def in_room(numbers: NDArray[Any]) -> NDArray[Any]:
    """Return the numbers and as many zeros as there is room for."""
    filled = np.zeros(room(len(numbers)), dtype=numbers.dtype)
    filled[: len(numbers)] = numbers
    return filled


def _packed(ids: Numbers, types: Numbers, lengths: tuple[int, ...], device: str) -> Packed:
    positions = np.arange(len(ids), dtype=np.int32) - np.repeat(starts(lengths), lengths).astype(np.int32)
    return Packed(
        ids=torch.from_numpy(in_room(ids)).to(device, non_blocking=True),
        positions=torch.from_numpy(in_room(positions)).to(device, non_blocking=True),
        types=torch.from_numpy(in_room(types)).to(device, non_blocking=True),
        lengths=lengths,
    )

"""Where these tests run: on the GPU, or, without one, with the same kernels in Triton's interpreter on the CPU."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest
import torch

HAS_GPU = torch.cuda.is_available()
DEVICE = "cuda" if HAS_GPU else "cpu"
if not HAS_GPU:
    os.environ["TRITON_INTERPRET"] = "1"  # read when the kernels are imported, which nothing else does on a CPU

on_device = [pytest.mark.filterwarnings("default"), *([pytest.mark.gpu] if HAS_GPU else [])]
"""Marks a module whose tests say something about a GPU when there is one. Triton and numpy warn of what they change."""

from sidecar.scoring.cuda.operations import Texts  # noqa: E402  # after the line above


def packed(lengths: Sequence[int], *, tokens: int | None = None, texts: int | None = None, first: int = 5) -> Texts:
    """Return random texts of these lengths, each with a first part of `first` tokens, in a room that may be larger."""
    tokens, texts = tokens or sum(lengths), texts or len(lengths)
    bounds = torch.tensor([0, *lengths]).cumsum(0)
    unused = texts - len(lengths)
    return Texts(
        ids=torch.randint(0, VOCABULARY, (tokens,), dtype=torch.int32).to(DEVICE),
        bounds=torch.cat([bounds, bounds[-1:].expand(unused)]).int().to(DEVICE),
        second_starts=torch.tensor([min(first, length) for length in lengths] + [0] * unused).int().to(DEVICE),
        longest=max(lengths),
    )


VOCABULARY = 50

"""The teacher: the untrained floor, MaxSim + 0.5 * cosine of the trunk's own states, asked once for every passage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from benchmarks.starter.material import Listed
from sidecar.scoring import models

MAX_LENGTH: Final = 256

_AT_ONCE: Final = 16
"""Lists of a forward: enough to fill the passes of the packed engine."""


def score(found: Sequence[Listed], *, name: str = models.OFFLINE, dtype: str = "auto") -> list[Listed]:
    """Return the lists with the scores of the model called `name`."""
    model = models.load(name, dtype=dtype, max_length=MAX_LENGTH, token_cache_bytes=0)
    scored: list[Listed] = []
    for begin in range(0, len(found), _AT_ONCE):
        some = found[begin : begin + _AT_ONCE]
        scores = iter(model.forward([pair for each in some for pair in model.tokenize(each.query, each.passages)]))
        scored += [replace(each, scores=tuple(round(next(scores), 4) for _ in each.passages)) for each in some]
    return scored

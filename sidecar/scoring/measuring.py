"""Run a model and judge what comes out: are these scores, and how fast did they come?

Blocking; called from the model's own thread. Law: what is not as many finite numbers as there are pairs is no
scores at all.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence

from sidecar.errors import ModelFailed, RerankUnavailable
from sidecar.scoring.base import PairModel, TokenPair

MEASURING_SECONDS = 1.0
"""Timed forwards stop here; with the warm-up the measurement stays under one and a half seconds."""

SAMPLE_SECONDS = 0.1
"""One timed forward should take about this long."""

MAX_SAMPLE_PAIRS = 320
"""About 32,000 tokens: more hardly gain speed on any device."""

_WORDS = ("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "that", "sleeps", "in", "old", "town")


def forward(model: PairModel, pairs: Sequence[TokenPair]) -> list[float]:
    """Return the model's scores of `pairs`.

    Raises:
        ModelFailed: a wrong number of scores, NaN or infinity.
        Exception: whatever the model raises.
    """
    return checked(model.forward(pairs), len(pairs))


def checked(scores: list[float], expected: int) -> list[float]:
    """Return a model's scores.

    Raises:
        ModelFailed: they are not `expected` finite numbers.
    """
    if len(scores) != expected:
        raise ModelFailed(f"the model gave {len(scores)} scores for {expected} pairs")
    if not all(map(math.isfinite, scores)):
        raise ModelFailed("the model gave a score that is not a finite number")
    return scores


def load_and_measure(load: Callable[[], PairModel]) -> tuple[PairModel, float]:
    """Return the model that `load` gives and its speed in tokens per second.

    Raises:
        ModelFailed: it was loaded but cannot score.
        Exception: whatever `load` raises.
    """
    model = load()
    try:
        return model, measure_speed(model)
    except Exception as error:
        raise ModelFailed(f"the model was loaded, but its first forward failed: {in_words(error)}") from error


def measure_speed(model: PairModel, *, seconds: float = MEASURING_SECONDS) -> float:
    """Return tokens per second of `model` on pairs of about a hundred tokens: the median of timed forwards.

    Takes little more than `seconds`, unless a single forward does.
    """
    pairs = _sample_pairs(model, 8)
    warm_up = _timed(model, pairs)
    if 4 * warm_up > seconds:
        return _tokens(pairs) / warm_up
    pairs = _sample_pairs(model, _sample_size(_timed(model, pairs) / len(pairs)))
    _timed(model, pairs)
    times = [_timed(model, pairs)]
    while len(times) < 5 and sum(times) + times[-1] < seconds:
        times.append(_timed(model, pairs))
    return _tokens(pairs) / statistics.median(times)


def in_words(error: BaseException) -> str:
    """Return an error's own words, with its type where it is not one of ours."""
    return str(error) if isinstance(error, RerankUnavailable) else f"{type(error).__name__}: {error}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a batch was too large: torch's own error, by its name so that torch stays unknown here, or Python's."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"


def is_device_lost(error: BaseException) -> bool:
    """Whether the device will not work again in this process: after most errors CUDA refuses all that follows."""
    return type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error)


def _sample_size(seconds_per_pair: float) -> int:
    return int(min(MAX_SAMPLE_PAIRS, max(8, SAMPLE_SECONDS / seconds_per_pair)))


def _sample_pairs(model: PairModel, count: int) -> list[TokenPair]:
    """Return pairs of 60 to 140 tokens: lengths differ as they do in a search."""
    lengths = [60 + (17 * text) % 81 for text in range(count)]
    texts = [" ".join(_WORDS[(text + word) % len(_WORDS)] for word in range(n)) for text, n in enumerate(lengths)]
    return model.tokenize("how does a quick fox jump over a dog", texts)


def _tokens(pairs: Sequence[TokenPair]) -> int:
    return sum(pair.tokens for pair in pairs)


def _timed(model: PairModel, pairs: Sequence[TokenPair]) -> float:
    began = time.perf_counter()
    forward(model, pairs)
    return max(time.perf_counter() - began, 1e-6)

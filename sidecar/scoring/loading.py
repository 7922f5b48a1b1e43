"""A model by name, as a scorer in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.scoring.scheduler import LocalScorer, SchedulerOptions
from sidecar.scoring.token_cache import DEFAULT_CAPACITY_BYTES

if TYPE_CHECKING:
    from sidecar.scoring.base import PairModel


def begin_loading(
    model: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    max_length: int | None = None,
    token_cache_bytes: int = DEFAULT_CAPACITY_BYTES,
    scheduling: SchedulerOptions | None = None,
) -> LocalScorer:
    """Return a scorer that loads `model` (hub id, folder, or "offline") in a thread; until then it is starting.

    `token_cache_bytes`: memory for token ids of texts, 0 = none. `scheduling`: None = by the measured speed.
    """

    def load() -> PairModel:
        from sidecar.scoring.models import load as load_model  # torch and transformers come with it

        return load_model(model, device=device, dtype=dtype, max_length=max_length, token_cache_bytes=token_cache_bytes)

    return LocalScorer.loading(load, scheduling)


async def load_scorer(
    model: str, *, device: str = "auto", dtype: str = "auto", max_length: int | None = None
) -> LocalScorer:
    """Return a scorer with `model` loaded and measured. Whoever calls this closes it.

    Raises:
        ModelFailed: the model cannot be had.
    """
    scorer = begin_loading(model, device=device, dtype=dtype, max_length=max_length)
    try:
        await scorer.loaded()
    except BaseException:
        await scorer.aclose()
        raise
    return scorer

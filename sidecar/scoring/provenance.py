"""Which model gave scores, as far as their scorer can tell: a page never has those of two.

Law: told beside the scores, as `timing` is, and by whoever knows at the moment of scoring. What a pool says of itself
at another moment may be another replica's. A scorer that has one model as long as it lives need not tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Final

from sidecar.errors import ModelsDisagree, ScorerLost
from sidecar.scoring import wire
from sidecar.scoring.base import ModelFacts

HEADER: Final = "X-Rerank-Model"
"""How our own servers tell it over HTTP: the model's facts, as `/_rerank/model` has them."""

_REMEMBERED: Final = 64
"""Models whose headers are not read again."""

_heard: ContextVar[list[ModelFacts] | None] = ContextVar("models heard", default=None)


def tell(*models: ModelFacts | None) -> None:
    """Say which models gave scores to whoever listens; None says nothing."""
    heard = _heard.get()
    if heard is not None:
        heard.extend(model for model in models if model is not None)


@contextmanager
def listening() -> Iterator[list[ModelFacts]]:
    """Give what is told while the context lasts."""
    heard: list[ModelFacts] = []
    token = _heard.set(heard)
    try:
        yield heard
    finally:
        _heard.reset(token)


def are_several(models: Sequence[ModelFacts]) -> bool:
    """Whether scores of these models do not belong in one page."""
    return len({model.identity for model in models}) > 1


def the_one(models: Sequence[ModelFacts]) -> ModelFacts | None:
    """Return the model that all scores are from, None where nobody told.

    Raises:
        ModelsDisagree: there are several.
    """
    if are_several(models):
        names = sorted({f"{model.name} {model.revision[:24]} {model.dtype}" for model in models})
        raise ModelsDisagree(f"replicas of the scorer have different models: {', '.join(names)}")
    return models[0] if models else None


@lru_cache(_REMEMBERED)
def write(model: ModelFacts) -> tuple[tuple[str, str], ...]:
    """Return the headers of an answer with scores of this model."""
    return ((HEADER, wire.write_facts(model).decode("ascii")),)


def read(headers: Mapping[str, str]) -> ModelFacts | None:
    """Return the model that a server's answer tells, None where it does not. `headers` do not care for case."""
    value = headers.get(HEADER)
    return None if value is None else _facts(value)


@lru_cache(_REMEMBERED)
def _facts(value: str) -> ModelFacts | None:
    try:
        return wire.read_facts(value.encode())
    except (ScorerLost, TypeError):
        return None

"""How fast a model is, and whether what it gives are scores."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import pytest

from sidecar.errors import ModelFailed, ScorerLost
from sidecar.scoring import measuring
from sidecar.scoring.base import TokenPair
from sidecar.scoring.measuring import forward, in_words, load_and_measure, measure_speed
from tests.unit.sidecar.scoring.doubles import FakeModel

PAIRS = [TokenPair((1,), (2,)), TokenPair((1,), (3,))]


class TimedModel(FakeModel):
    """A model with a clock of its own: a token takes `seconds_per_token`, the first forward ten times as long."""

    def __init__(self, seconds_per_token: float) -> None:
        """Start at time zero."""
        super().__init__()
        self.seconds_per_token = seconds_per_token
        self.now = 0.0
        self.forwards = 0

    def forward(self, pairs: Sequence[TokenPair]) -> list[float]:
        """Let the clock run."""
        self.forwards += 1
        slowness = 10 if self.forwards == 1 else 1
        self.now += slowness * self.seconds_per_token * sum(pair.tokens for pair in pairs)
        return [0.0] * len(pairs)


@pytest.mark.parametrize("tokens_per_second", [500_000.0, 1_000_000.0, 14_000_000.0])
def test_the_speed_is_that_of_a_warm_model(monkeypatch: pytest.MonkeyPatch, tokens_per_second: float) -> None:
    """The first forward does not count, and the measurement takes no longer than it may."""
    model = TimedModel(1 / tokens_per_second)
    monkeypatch.setattr(time, "perf_counter", lambda: model.now)
    assert measure_speed(model) == pytest.approx(tokens_per_second)
    assert model.now < 1.5


def test_a_very_slow_model_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose first forward takes seconds is not asked again."""
    model = TimedModel(1 / 100)
    monkeypatch.setattr(time, "perf_counter", lambda: model.now)
    assert measure_speed(model) == pytest.approx(10)
    assert model.forwards == 1


@pytest.mark.parametrize(("scores", "words"), [([1.0], "1 scores for 2"), ([1.0, math.nan], "not a finite")])
def test_what_are_no_scores_is_the_models_failure(scores: list[float], words: str) -> None:
    """Too few, or NaN."""
    model = FakeModel()
    model.result = lambda pairs: scores
    with pytest.raises(ModelFailed, match=words):
        forward(model, PAIRS)


def test_loading_fails_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the load comes through; one of the first forward says that it was that."""
    with pytest.raises(ZeroDivisionError):
        load_and_measure(lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    model = FakeModel()
    monkeypatch.setattr(measuring, "measure_speed", lambda model: 1 / 0)
    with pytest.raises(ModelFailed, match="its first forward failed: ZeroDivisionError"):
        load_and_measure(lambda: model)


def test_our_own_errors_need_no_type_in_their_words() -> None:
    """Foreign ones do."""
    assert in_words(ScorerLost("gone")) == "gone"
    assert in_words(OSError("disk")) == "OSError: disk"

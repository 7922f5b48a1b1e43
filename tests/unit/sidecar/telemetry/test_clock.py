"""Durations of the stages of one request."""

import time

import pytest

from sidecar.telemetry.clock import Clock


def test_stages_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second stage begins where the first is complete."""
    times = iter([10.0, 12.5, 13.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    found = Clock()
    assert (None, None) == (found.first_stage, found.second_stage)
    found.first_stage_is_complete()
    assert (2.5, 0.5) == (found.first_stage, found.second_stage)


def test_an_explanation_is_not_the_second_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its seconds are taken out."""
    times = iter([0.0, 1.0, 5.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    found = Clock()
    found.first_stage_is_complete()
    found.explaining = 1.5
    assert 2.5 == found.second_stage

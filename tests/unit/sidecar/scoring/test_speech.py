"""Our own speech: the scoring protocol."""

from __future__ import annotations

import pytest

from sidecar.errors import ModelFailed, SchedulerFull, ScorerLost
from sidecar.scoring import wire
from sidecar.scoring.speech import OwnSpeech, refused_key


def test_ours_is_the_scoring_protocol() -> None:
    """All texts at once, every bit of them, and what is left of the deadline."""
    speech = OwnSpeech()
    assert [["a", "b"]] == speech.portions(["a", "b"])
    call = wire.read_call(speech.write("q\ud800", ["a"], 0.25))
    assert ("q\ud800", ["a"], 0.25) == (call.query, call.texts, call.seconds_left)
    assert [1.5] == speech.read(wire.write_scores([1.5]), 1)
    with pytest.raises(ModelFailed):
        speech.read(wire.write_scores([1.5]), 2)


def test_its_errors_are_ours() -> None:
    """By their words; a refused key by the status."""
    full = SchedulerFull("busy")
    error = OwnSpeech().error(429, wire.write_error(full))
    assert (SchedulerFull, "busy") == (type(error), str(error))
    assert "scorer.api_key" in str(OwnSpeech().error(401, b"{}"))


@pytest.mark.parametrize(("status", "is_refused"), [(200, False), (400, False), (401, True), (403, True), (404, False)])
def test_two_statuses_ask_for_a_key(status: int, is_refused: bool) -> None:
    """Whoever answers."""
    assert is_refused == isinstance(refused_key(status), ScorerLost)

"""Errors that we originate, in the engine's dialect."""

import json

import pytest

from connectors import errors as engine_errors
from connectors.errors import EngineError
from sidecar import errors
from sidecar.error_answers import STRICT_FAILURE_STATUS, describe, error_answer, error_text
from sidecar.errors import SidecarError


def test_the_shape_is_the_engines() -> None:
    """Both official clients read root_cause, type, reason and status."""
    answer = error_answer(400, "illegal_argument_exception", "wöndow is bad")
    cause = {"type": "illegal_argument_exception", "reason": "wöndow is bad"}
    assert {"error": {"root_cause": [cause], **cause}, "status": 400} == answer.json
    assert (("Content-Type", "application/json"), ("Content-Length", str(len(answer.body)))) == answer.headers
    assert 400 == answer.status


def test_a_reason_that_is_no_text_can_be_sent() -> None:
    """A caller's key may hold a lone surrogate."""
    assert "a?b" == json.loads(error_text(400, "x", "a\ud800b").encode())["error"]["reason"]


LEAVES: list[tuple[SidecarError | EngineError, int, str]] = [
    (errors.BadRerankRequest("r"), 400, "illegal_argument_exception"),
    (errors.RerankUnavailable("r"), 500, "rerank_unavailable"),
    (errors.ScorerStarting("r"), 500, "rerank_unavailable"),
    (errors.Overloaded("r"), 500, "rerank_unavailable"),
    (errors.SchedulerFull("r"), 500, "rerank_unavailable"),
    (errors.ScoringTimeout("r"), 500, "rerank_unavailable"),
    (errors.ScorerLost("r"), 500, "rerank_unavailable"),
    (errors.ModelsDisagree("r"), 500, "rerank_unavailable"),
    (errors.ModelFailed("r"), 500, "rerank_unavailable"),
    (errors.ConfigError("r"), 500, "internal_error"),
    (engine_errors.EngineUnavailable("r"), 502, "engine_unavailable"),
    (engine_errors.EngineTimeout("r"), 504, "engine_timeout"),
    (engine_errors.AnswerTooLarge("r"), 502, "engine_unavailable"),
    (engine_errors.RequestTooLarge("r"), 413, "content_too_long_exception"),
    (engine_errors.UnknownEngine("r"), 502, "engine_unavailable"),
    (engine_errors.EngineStatusError("r", status=404, body=b""), 502, "engine_unavailable"),
]


@pytest.mark.parametrize(("error", "status", "kind"), LEAVES, ids=lambda value: type(value).__name__)
def test_every_leaf_error_has_a_status(error: SidecarError | EngineError, status: int, kind: str) -> None:
    """A strict failure names its reason."""
    reason = f"{error.reason}: r" if isinstance(error, errors.RerankUnavailable) else "r"
    assert (status, kind, reason) == describe(error)


def test_no_leaf_error_is_missing_here() -> None:
    """Whoever adds an error adds its row."""

    def leaves(error: type) -> set[type]:
        below: list[type] = error.__subclasses__()
        return set().union(*map(leaves, below)) if below else {error}

    named = {type(error) for error, _, _ in LEAVES}
    assert {one for one in leaves(SidecarError) | leaves(EngineError) if one.__module__.endswith("errors")} <= named


def test_a_strict_failure_is_not_sent_again() -> None:
    """Both official clients repeat 429, 502, 503 and 504."""
    assert STRICT_FAILURE_STATUS not in {429, 502, 503, 504}

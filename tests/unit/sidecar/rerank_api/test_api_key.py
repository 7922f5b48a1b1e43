"""Who may call."""

from __future__ import annotations

import json

import pytest

from sidecar.rerank_api.api_key import ApiKey


def test_without_a_key_everybody_may_call() -> None:
    """Whatever they show."""
    assert ApiKey(None).refusal(()) is None
    assert ApiKey(None).refusal((("Authorization", "Bearer x"),)) is None


@pytest.mark.parametrize("shown", ["Bearer sésame", "bearer sésame", "BEARER  sésame ", " Bearer sésame"])
def test_whoever_has_the_key_may_call(shown: str) -> None:
    """The scheme in any case."""
    assert ApiKey("sésame").refusal((("authorization", shown),)) is None


@pytest.mark.parametrize(
    ("shown", "got"),
    [
        (None, "no key"),
        ("", "no key"),
        ("sesame", "no key"),
        ("Bearer", "no key"),
        ("Basic sesame", "no key"),
        ("Bearer open", "another key"),
        ("Bearer sesam", "another key"),
        ("Bearer sesame2", "another key"),
        ("Bearer ses\udcffame", "another key"),
    ],
)
def test_whoever_has_not_is_refused(shown: str | None, got: str) -> None:
    """With 401, a challenge, and words that hold neither key."""
    reply = ApiKey("sesame").refusal(() if shown is None else (("Authorization", shown),))
    assert reply is not None
    body = json.loads(reply.body)
    assert (401, {"WWW-Authenticate": "Bearer"}) == (reply.status, dict(reply.headers))
    assert body["message"].startswith(f"got {got}, expected the header Authorization: Bearer KEY")
    assert "sesam" not in body["message"]
    assert "invalid_api_key" == body["error"]["code"]

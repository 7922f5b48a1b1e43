"""An answer is a value."""

from __future__ import annotations

from sidecar.rerank_api.reply import Reply


def test_a_replys_text_never_shows_documents() -> None:
    """A log line of it holds status and headers only."""
    assert repr(Reply(status=200, body=b"secret")) == "Reply(status=200, headers=())"

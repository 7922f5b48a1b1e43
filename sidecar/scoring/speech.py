"""How a server elsewhere is asked for scores: what is sent, what comes back, and in what portions.

Pure: bytes and values. A `Speech` is one kind of server's; ours is here, others' are in `foreign.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sidecar.errors import RerankUnavailable, ScorerLost
from sidecar.scoring import wire
from sidecar.scoring.base import ModelFacts
from sidecar.scoring.wire import SCORE_PATH, ScoreCall


class Speech(Protocol):
    """How one server is asked."""

    @property
    def path(self) -> str:
        """Where calls are sent, below the server's address."""
        ...

    def portions(self, texts: Sequence[str]) -> list[Sequence[str]]:
        """Return the texts as the server takes them, in calls of their own."""
        ...

    def write(self, query: str, texts: Sequence[str], seconds_left: float | None) -> bytes:
        """Return the body of a call."""
        ...

    def read(self, body: bytes, expected: int) -> list[float]:
        """Return the raw scores of a 200 answer, in the order of the texts.

        Raises:
            ModelFailed: they are not `expected` finite numbers.
        """
        ...

    def error(self, status: int, body: bytes) -> RerankUnavailable:
        """Return what an answer with another status means."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A server as it was found."""

    kind: str
    facts: ModelFacts
    speech: Speech
    #: False: somebody's service, which is looked at seldom
    is_local: bool = True


class OwnSpeech:
    """Our own protocol: a child, or `rerank-sidecar score` elsewhere."""

    path = SCORE_PATH

    def portions(self, texts: Sequence[str]) -> list[Sequence[str]]:
        """Return all texts as one call."""
        return [texts]

    def write(self, query: str, texts: Sequence[str], seconds_left: float | None) -> bytes:
        """Return the body of a call."""
        return wire.write_call(ScoreCall(query=query, texts=texts, seconds_left=seconds_left))

    def read(self, body: bytes, expected: int) -> list[float]:
        """Return the scores."""
        return wire.read_scores(body, expected)

    def error(self, status: int, body: bytes) -> RerankUnavailable:
        """Return the other side's own error."""
        return refused_key(status) or wire.read_error(status, body)


def refused_key(status: int) -> ScorerLost | None:
    """Return the error of a server that wants another API key, None where it does not say so."""
    if status not in (401, 403):
        return None
    return ScorerLost(f"the scorer answered {status}: it wants an API key (the setting scorer.api_key)")

"""`POST /v1/rerank`: score given texts, without an engine.

Law: knows no HTTP library; bytes in, a Reply out. Here a busy scorer is the caller's to know: unlike a search, which
falls back to the first stage, a call is refused with 429 or 503 and when to come again.
"""

from __future__ import annotations

import asyncio
import uuid

from sidecar.errors import RerankUnavailable
from sidecar.rerank_api import schema
from sidecar.rerank_api.reply import RETRY_AFTER, Reply
from sidecar.rerank_api.schema import InvalidRerankCall, RerankLimits
from sidecar.scoring.base import Scorer
from sidecar.scoring.wire import status_of

__all__ = ["Reply", "RerankApi", "RerankLimits"]


class RerankApi:
    """Reranks documents with a Scorer, which stays its maker's to close."""

    def __init__(self, scorer: Scorer, limits: RerankLimits | None = None, *, deadline: float | None = None) -> None:
        """Score with `scorer`; `deadline` is the seconds that a call may take, None for as long as it does."""
        self._scorer = scorer
        self._limits = limits or RerankLimits()
        self._deadline = deadline

    async def rerank(self, body: bytes) -> Reply:
        """Answer one call. Cancelling it cancels the scoring."""
        try:
            return Reply(status=200, body=await self._results(body))
        except InvalidRerankCall as error:
            return _refusal(error)
        except RerankUnavailable as error:
            return _unavailable(error)

    async def _results(self, body: bytes) -> bytes:
        call = schema.read_call(body, self._limits)
        facts = self._scorer.describe()
        deadline = None if self._deadline is None else asyncio.get_running_loop().time() + self._deadline
        scores = await self._scorer.score(call.query, call.documents, deadline=deadline)
        return schema.write_results(f"rerank-{uuid.uuid4()}", call, scores, facts)


def _refusal(error: InvalidRerankCall) -> Reply:
    body = schema.write_error(str(error), type="invalid_request_error", param=error.param, code="bad_request")
    return Reply(status=400, body=body)


def _unavailable(error: RerankUnavailable) -> Reply:
    body = schema.write_error(str(error), type="scorer_unavailable", code=error.reason)
    return Reply(status=status_of(error), body=body, headers=(RETRY_AFTER,))

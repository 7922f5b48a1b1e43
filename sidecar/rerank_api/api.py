"""The rerank API: score given texts, without an engine, in the dialects of those who ask.

Law: knows no HTTP library; bytes in, a Reply out. Here a busy scorer is the caller's to know: unlike a search, which
falls back to the first stage, a call is refused with 429 or 503 and when to come again.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence

from sidecar.errors import RerankUnavailable, ScoringTimeout
from sidecar.rerank_api import dialects
from sidecar.rerank_api.calls import Answer, Fields, InvalidRerankCall, RerankCall, RerankLimits
from sidecar.rerank_api.dialects import Dialect
from sidecar.rerank_api.passages import estimated_tokens, passages
from sidecar.rerank_api.reading import read_object
from sidecar.rerank_api.reply import Reply
from sidecar.rerank_api.slices import score_pairs
from sidecar.scoring import provenance
from sidecar.scoring.base import ModelFacts, Scorer, probability

__all__ = ["Reply", "RerankApi", "RerankLimits"]

Choose = Callable[[Fields], Dialect]
"""Returns the dialect of a body; of an empty one, that of a call which cannot be read."""


class RerankApi:
    """Reranks documents with a Scorer, which stays its maker's to close."""

    def __init__(self, scorer: Scorer, limits: RerankLimits | None = None, *, deadline: float | None = None) -> None:
        """Score with `scorer`; `deadline` is the seconds that a call may take, None for as long as it does."""
        self._scorer = scorer
        self._limits = limits or RerankLimits()
        self._deadline = deadline

    async def rerank(self, body: bytes, choose: Choose = dialects.of_body) -> Reply:
        """Answer one call. Cancelling it cancels the scoring."""
        dialect = choose({})
        try:
            fields = read_object(body)
            dialect = choose(fields)
            answer = await self._answer(dialect.read(fields, self._limits))
        except InvalidRerankCall as error:
            return dialect.refuse(error)
        except RerankUnavailable as error:
            return dialect.be_unavailable(error)
        return Reply(status=200, body=dialect.write(answer).encode())

    async def _answer(self, call: RerankCall) -> Answer:
        deadline = None if self._deadline is None else asyncio.get_running_loop().time() + self._deadline
        try:
            async with asyncio.timeout_at(deadline):
                return await self._scored(call, deadline)
        except TimeoutError as error:
            raise ScoringTimeout("the deadline has passed (the limit is api.deadline_ms)") from error

    async def _scored(self, call: RerankCall, deadline: float | None) -> Answer:
        facts = self._scorer.describe()
        cut = await passages(call, self._scorer, facts, self._limits)
        queries = [query for query, texts in zip(call.queries, cut, strict=True) for _ in texts]
        texts = [text for document in cut for text in document]
        with provenance.listening() as told:
            found = iter(await score_pairs(self._scorer, queries, texts, deadline=deadline))
        facts = provenance.the_one(told) or facts
        scores = [max(next(found) for _ in document) for document in cut]
        return Answer(
            id=f"rerank-{uuid.uuid4()}",
            created=int(time.time()),
            call=call,
            results=_results(call, scores, facts),
            facts=facts,
            tokens=estimated_tokens(queries, texts, facts.max_length),
        )


def _results(call: RerankCall, scores: Sequence[float], facts: ModelFacts) -> list[tuple[int, float]]:
    """Return the best `top_n` documents by score, equal scores in the order of the documents."""
    order = sorted(range(len(scores)), key=lambda index: -scores[index])[: call.top_n]
    if call.in_input_order:
        order.sort()
    return [(index, scores[index] if call.raw_scores else probability(scores[index], facts.kind)) for index in order]

"""The scoring protocol's answering side: a Scorer for callers in other processes (`scoring/wire.py` has the words).

Law: knows no HTTP library. A deadline comes as what is left of it and is counted from the moment the call is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from sidecar.errors import BadRerankRequest, ModelFailed, RerankUnavailable
from sidecar.rerank_api.reply import RETRY_AFTER, Reply
from sidecar.scoring import provenance, splitting, timing, wire
from sidecar.scoring.alignments import Aligner
from sidecar.scoring.base import ModelFacts, Scorer
from sidecar.scoring.figures import CountsWork
from sidecar.scoring.wire import REPLICA_HEADER, ScoreCall


class ScoringProtocol:
    """Answers for a Scorer, which stays its maker's to close."""

    def __init__(self, scorer: Scorer, *, replica: str | None = None) -> None:
        """Answer with what `scorer` says, as the `replica` of a pool, where this is one."""
        self._scorer = scorer
        self._replica = () if replica is None else ((REPLICA_HEADER, replica),)

    async def model(self, body: bytes = b"") -> Reply:
        """Answer `GET /_rerank/model`."""
        del body
        try:
            return self._signed(Reply(status=200, body=wire.write_facts(self._scorer.describe())))
        except RerankUnavailable as error:
            return self._signed(_unavailable(error))

    async def score(self, body: bytes) -> Reply:
        """Answer `POST /_rerank/score`. Cancelling the call cancels the scoring."""
        return self._signed(await self._scored(body))

    async def _scored(self, body: bytes) -> Reply:
        try:
            with timing.listening() as heard, provenance.listening() as told:
                scores = await self._score(wire.read_call(body))
            headers = (*timing.write(heard), *self._model(told))
        except BadRerankRequest as error:
            return Reply(status=400, body=wire.write_refusal(error))
        except RerankUnavailable as error:
            return _unavailable(error)
        return Reply(status=200, body=wire.write_scores(scores), headers=headers)

    async def split(self, body: bytes) -> Reply:
        """Answer `POST /_rerank/passages`."""
        return self._signed(await self._spans(body))

    async def align(self, body: bytes) -> Reply:
        """Answer `POST /_rerank/alignments`."""
        return self._signed(await self._alignments(body))

    async def figures(self, body: bytes = b"") -> Reply:
        """Answer `GET /_rerank/figures`."""
        del body
        try:
            found = await self._scorer.figures() if isinstance(self._scorer, CountsWork) else {}
        except RerankUnavailable as error:
            return _unavailable(error)
        return Reply(status=200, body=wire.write_figures(found))

    def _signed(self, reply: Reply) -> Reply:
        """Return a reply with the name of whoever gives it."""
        return replace(reply, headers=(*reply.headers, *self._replica)) if self._replica else reply

    async def _spans(self, body: bytes) -> Reply:
        try:
            call = wire.read_split(body)
            spans = await splitting.split(self._scorer, call.texts, tokens=call.tokens, overlap=call.overlap)
        except BadRerankRequest as error:
            return Reply(status=400, body=wire.write_refusal(error))
        return Reply(status=200, body=wire.write_spans(spans))

    async def _alignments(self, body: bytes) -> Reply:
        try:
            call = wire.read_call(body)
            if not isinstance(self._scorer, Aligner):
                raise ModelFailed("the model does not say how it reads")
            return Reply(status=200, body=wire.write_alignments(await self._scorer.alignments(call.query, call.texts)))
        except BadRerankRequest as error:
            return Reply(status=400, body=wire.write_refusal(error))
        except RerankUnavailable as error:
            return _unavailable(error)

    def _model(self, told: Sequence[ModelFacts]) -> tuple[tuple[str, str], ...]:
        """Return the header that names the model: what was told, else the one that the scorer has all its life."""
        return provenance.write(provenance.the_one(told) or self._scorer.describe())

    async def _score(self, call: ScoreCall) -> list[float]:
        now = asyncio.get_running_loop().time()
        deadline = None if call.seconds_left is None else now + call.seconds_left
        return await self._scorer.score(call.query, call.texts, deadline=deadline)


def _unavailable(error: RerankUnavailable) -> Reply:
    return Reply(status=wire.status_of(error), body=wire.write_error(error), headers=(RETRY_AFTER,))

"""The scoring protocol's answering side: a Scorer for callers in other processes (`scoring/wire.py` has the words).

Law: knows no HTTP library. A deadline comes as what is left of it and is counted from the moment the call is read.
"""

from __future__ import annotations

import asyncio

from sidecar.errors import BadRerankRequest, ModelFailed, RerankUnavailable
from sidecar.rerank_api.reply import RETRY_AFTER, Reply
from sidecar.scoring import splitting, timing, wire
from sidecar.scoring.alignments import Aligner
from sidecar.scoring.base import Scorer
from sidecar.scoring.figures import CountsWork
from sidecar.scoring.wire import ScoreCall


class ScoringProtocol:
    """Answers for a Scorer, which stays its maker's to close."""

    def __init__(self, scorer: Scorer) -> None:
        """Answer with what `scorer` says."""
        self._scorer = scorer

    async def model(self, body: bytes = b"") -> Reply:
        """Answer `GET /_rerank/model`."""
        del body
        try:
            return Reply(status=200, body=wire.write_facts(self._scorer.describe()))
        except RerankUnavailable as error:
            return _unavailable(error)

    async def score(self, body: bytes) -> Reply:
        """Answer `POST /_rerank/score`. Cancelling the call cancels the scoring."""
        try:
            with timing.listening() as heard:
                scores = await self._score(wire.read_call(body))
        except BadRerankRequest as error:
            return Reply(status=400, body=wire.write_refusal(error))
        except RerankUnavailable as error:
            return _unavailable(error)
        return Reply(status=200, body=wire.write_scores(scores), headers=timing.write(heard))

    async def split(self, body: bytes) -> Reply:
        """Answer `POST /_rerank/passages`."""
        try:
            call = wire.read_split(body)
            spans = await splitting.split(self._scorer, call.texts, tokens=call.tokens, overlap=call.overlap)
        except BadRerankRequest as error:
            return Reply(status=400, body=wire.write_refusal(error))
        return Reply(status=200, body=wire.write_spans(spans))

    async def align(self, body: bytes) -> Reply:
        """Answer `POST /_rerank/alignments`."""
        try:
            call = wire.read_call(body)
            if not isinstance(self._scorer, Aligner):
                raise ModelFailed("the model does not say how it reads")
            return Reply(status=200, body=wire.write_alignments(await self._scorer.alignments(call.query, call.texts)))
        except BadRerankRequest as error:
            return Reply(status=400, body=wire.write_refusal(error))
        except RerankUnavailable as error:
            return _unavailable(error)

    async def figures(self, body: bytes = b"") -> Reply:
        """Answer `GET /_rerank/figures`."""
        del body
        try:
            found = await self._scorer.figures() if isinstance(self._scorer, CountsWork) else {}
        except RerankUnavailable as error:
            return _unavailable(error)
        return Reply(status=200, body=wire.write_figures(found))

    async def _score(self, call: ScoreCall) -> list[float]:
        now = asyncio.get_running_loop().time()
        deadline = None if call.seconds_left is None else now + call.seconds_left
        return await self._scorer.score(call.query, call.texts, deadline=deadline)


def _unavailable(error: RerankUnavailable) -> Reply:
    return Reply(status=wire.status_of(error), body=wire.write_error(error), headers=(RETRY_AFTER,))

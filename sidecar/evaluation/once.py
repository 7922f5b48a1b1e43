"""Nothing is asked twice: one query's first stage, and one query's scores, kept while its systems take their turns.

Law: an answer or a score that comes from memory is the one that was given before, so that systems differ in what they
do with it and in nothing else; and the time that it took before is not forgotten.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal

from connectors.base import Connector, RelayRequest, RelayResponse, SearchRequest, SearchResponse
from sidecar.errors import ModelFailed
from sidecar.scoring import splitting
from sidecar.scoring.base import ModelFacts, Scorer
from sidecar.scoring.prefix import score_prefix
from sidecar.scoring.splitting import Spans


class AskedOnce:
    """A Connector whose engine gets each search once until `forget`."""

    def __init__(self, engine: Connector) -> None:
        """Ask `engine`, which stays the caller's to close."""
        self._engine = engine
        self._answers: dict[tuple[str, str, bytes], SearchResponse] = {}

    @property
    def name(self) -> str:
        """The engine's name."""
        return self._engine.name

    async def search(self, request: SearchRequest) -> SearchResponse:
        """Answer from memory, else as the engine does."""
        key = (request.method, request.target, request.body)
        if key not in self._answers:
            self._answers[key] = await self._engine.search(request)
        return self._answers[key]

    def forget(self) -> None:
        """Drop all answers: the next query has others."""
        self._answers.clear()

    async def msearch(self, request: SearchRequest) -> SearchResponse:
        """Answer as the engine does."""
        return await self._engine.msearch(request)

    def relay(self, request: RelayRequest) -> AbstractAsyncContextManager[RelayResponse]:
        """Answer as the engine does."""
        return self._engine.relay(request)

    async def ping(self) -> None:
        """Return when the engine answers."""
        await self._engine.ping()

    async def aclose(self) -> None:
        """Do nothing: the engine is not ours."""


class ScoredOnce:
    """A Scorer that gives no text of a query to its model twice.

    It keeps the scores of the latest query. A window goes to the model in the pieces in which `serve` sends it. A test
    scorer that scores by position, which it says by `whole_window`, gets every window anew.
    """

    #: score_prefix sends it in one call, so that texts that stand twice in a window can be seen
    whole_window: Literal[True] = True

    def __init__(self, scorer: Scorer) -> None:
        """Ask `scorer`, which stays the caller's to close."""
        self._scorer = scorer
        self._lock = asyncio.Lock()
        self._query: str | None = None
        self._scores: dict[str, float] = {}
        self._seconds = 0.0
        #: pairs that the model has scored in all
        self.pairs = 0
        #: seconds that the scores took which the latest call had from memory
        self.seconds_before = 0.0

    def describe(self) -> ModelFacts:
        """Return the model's facts."""
        return self._scorer.describe()

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Return one score per text, new ones from the model; see `Scorer.score`."""
        async with self._lock:
            is_positional = getattr(self._scorer, "whole_window", False)
            if query != self._query or is_positional:
                self._query, self._scores, self._seconds = query, {}, 0.0
            self.seconds_before = self._seconds
            if is_positional:
                return await self._score_new(query, texts, deadline)
            new = [text for text in dict.fromkeys(texts) if text not in self._scores]
            if new:
                self._scores |= zip(new, await self._score_new(query, new, deadline), strict=True)
            return [self._scores[text] for text in texts]

    async def split(self, texts: Sequence[str], *, tokens: int, overlap: int) -> list[Spans]:
        """Return the passages of every text by the scorer's tokens; see `Splitter.split`."""
        return await splitting.split(self._scorer, texts, tokens=tokens, overlap=overlap)

    async def _score_new(self, query: str, texts: Sequence[str], deadline: float | None) -> list[float]:
        start = time.monotonic()
        scores = await score_prefix(self._scorer, query, texts, deadline=deadline)
        if len(scores) != len(texts):
            raise ModelFailed(f"the scorer gave {len(scores)} scores for {len(texts)} texts")
        self._seconds += time.monotonic() - start
        self.pairs += len(texts)
        return scores

    async def aclose(self) -> None:
        """Do nothing: the scorer is not ours."""

"""Scores that were given before: a memory in front of scorers, for operators who ask for one.

Laws: what is kept is a score and nothing else, under a digest of all that it depends on: the model's revision, kind,
length, device and precision, the query, and the exact text, whose id never stands for it. Keys of different tenants
never meet. The memory is bounded in bytes, and what was used least recently goes first. Not remembered are scores that
depend on more than that: those of a scorer that does not tell its model's revision, or that scores by position. What is
remembered of one model is never put beside what another one says.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache

from sidecar.errors import ModelFailed, RerankUnavailable
from sidecar.scoring import provenance
from sidecar.scoring.base import ModelFacts, Scorer

ENTRY_BYTES: Final = 448
"""What an entry takes at most, measured: the digest, the score, and their share of the tables, also when these grow."""

DIGEST_BYTES: Final = 16
"""Keyed with a secret of this process, so that nobody can choose texts whose digests collide."""

UNKNOWN_REVISION: Final = "unknown"
"""What is said of a server that does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreCacheStatistics:
    """A snapshot. Counters grow from the start of the process."""

    hits: int
    misses: int
    evictions: int
    entries: int
    #: what the entries take at most, and may take
    bytes: int
    max_bytes: int


class ScoreCache:
    """A memory for scores of any number of scorers. Belongs to one event loop."""

    def __init__(self, max_bytes: int) -> None:
        """Keep as many scores as `max_bytes` have room for, at least one."""
        self._scores: LRUCache[bytes, float] = LRUCache(max(1, max_bytes // ENTRY_BYTES))
        self._max_bytes = max_bytes
        self._secret = os.urandom(32)
        self._hits = 0
        self._misses = 0
        self._stored = 0

    def of(self, scorer: Scorer, tenant: str = "") -> CachedScorer:
        """Return a scorer that remembers what `scorer` says, and what it said to this `tenant` before."""
        return CachedScorer(self, scorer, tenant)

    def statistics(self) -> ScoreCacheStatistics:
        """Return what is kept, as a snapshot."""
        entries = len(self._scores)
        return ScoreCacheStatistics(
            hits=self._hits,
            misses=self._misses,
            evictions=self._stored - entries,
            entries=entries,
            bytes=entries * ENTRY_BYTES,
            max_bytes=self._max_bytes,
        )

    def keys(self, tenant: str, facts: ModelFacts, query: str, texts: Sequence[str]) -> list[bytes]:
        """Return the key of each text's score."""
        given = [tenant, facts.revision, facts.kind, facts.max_length, facts.device, facts.dtype, query]
        # a JSON array ends where it ends, so that no two givens and texts are the same bytes
        known = hashlib.blake2b(json.dumps(given).encode(), key=self._secret, digest_size=DIGEST_BYTES)
        keys = []
        for text in texts:
            digest = known.copy()
            digest.update(text.encode("utf-8", "surrogatepass"))
            keys.append(digest.digest())
        return keys

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, float]:
        """Return the scores that are known."""
        found = {key: score for key in keys if (score := self._scores.get(key)) is not None}
        self._hits += sum(1 for key in keys if key in found)
        self._misses += sum(1 for key in keys if key not in found)
        return found

    def remember(self, scores: dict[bytes, float]) -> None:
        """Keep scores, in place of those that were used least recently."""
        for key, score in scores.items():
            self._stored += key not in self._scores
            self._scores[key] = score


class CachedScorer:
    """A Scorer with a memory: for one search, or for as long as one likes. What it wraps stays its maker's to close."""

    def __init__(self, cache: ScoreCache, scorer: Scorer, tenant: str) -> None:
        """Use `ScoreCache.of`."""
        self._cache = cache
        self._scorer = scorer
        self._tenant = tenant
        #: texts whose scores were known
        self.hits = 0

    @property
    def whole_window(self) -> bool:
        """Whether the scorer wants a window in one call, as one does that scores by position."""
        return getattr(self._scorer, "whole_window", False)

    @property
    def has_replicas(self) -> bool:
        """Whether the scorer is a pool."""
        return getattr(self._scorer, "has_replicas", False)

    def describe(self) -> ModelFacts:
        """Return the facts of the scorer's model; see `Scorer.describe`."""
        return self._scorer.describe()

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Return one raw score per text, known ones from memory; see `Scorer.score`. A text is scored once per call.

        Calls that run at the same time may score the same text, each for itself: what one of them ends with is no
        matter of the others.
        """
        facts = self._scorer.describe()
        if self.whole_window or facts.revision in ("", UNKNOWN_REVISION):
            return await self._scorer.score(query, texts, deadline=deadline)
        keys = self._cache.keys(self._tenant, facts, query, texts)
        known = self._cache.recall(keys)
        told = [facts] if known else []
        self.hits += sum(1 for key in keys if key in known)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            with provenance.listening() as heard:
                found = await self._scorer.score(query, list(missing.values()), deadline=deadline)
            told.extend(heard)
            if provenance.are_several(told):  # another replica answers, which has another model
                return await self._scorer.score(query, texts, deadline=deadline)
            if len(found) != len(missing) or not all(map(math.isfinite, found)):
                raise ModelFailed(f"the scorer gave {len(found)} scores for {len(missing)} texts, or not finite ones")
            new = dict(zip(missing, found, strict=True))
            known |= new
            if self._still_has(facts) and not provenance.are_several([facts, *told]):
                self._cache.remember(new)
        provenance.tell(*told)
        return [known[key] for key in keys]

    def _still_has(self, facts: ModelFacts) -> bool:
        """Whether the scorer has the model that it had before it scored: else the scores may be another one's."""
        try:
            return self._scorer.describe() == facts
        except RerankUnavailable:
            return False

    async def aclose(self) -> None:
        """Do nothing: the scorer is not ours."""

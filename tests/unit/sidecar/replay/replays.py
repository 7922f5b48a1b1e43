"""A small replay, whose every figure can be worked out by hand."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sidecar.evaluation import measures
from sidecar.policy import IndexPolicy, Policy
from sidecar.replay.judged import Judged
from sidecar.replay.playing import Pace, Player, play_all
from sidecar.replay.recorded import Collector, Found, Recording, search
from sidecar.replay.request import ReplayRequest
from sidecar.replay.results import Results, gather
from sidecar.scoring.base import Scorer
from sidecar.types import RerankOptions
from tests.unit.doubles import ScriptedEngine, ScriptedScorer

SCORES = {"text a": 0.0, "text b": 1.0, "text <c>": 3.0, "text d": 2.0}
"""The engine's order is a b c d, ids 1 to 4; the model's is c d b a."""


def engine() -> ScriptedEngine:
    """Return an engine with these documents."""
    return ScriptedEngine(*SCORES)


def asked(words: str = "blue sky", index: str = "books", **settings: Any) -> Found:
    """Return a search for some words."""
    return Found(request=search(index, {"query": {"match": {"text": words}}, **settings}))


def recording(*founds: Found) -> Recording:
    """Return the recording of what was found, and of a line that cannot be replayed."""
    collector = Collector()
    for found in founds:
        collector.line()
        collector.add(found)
    collector.refuse("it is <no> search", "a.log, line 9")
    return collector.recording("a & b")


def policy(**options: Any) -> Policy:
    """Return a policy under which `off` is not reranked and everything else is tried on nobody."""
    off = IndexPolicy(indices=("off",), name="switched off", overrides={"enabled": False})
    defaults = RerankOptions(deadline=0.0, mode="observe", percent=0.0, **options)
    return Policy(defaults=defaults, policies=(off,))


async def results(
    *founds: Found,
    request: ReplayRequest | None = None,
    scorer: Scorer | None = None,
    qrels: Mapping[str, Mapping[str, int]] | None = None,
    on: ScriptedEngine | None = None,
) -> Results:
    """Return the results of a replay of these searches, judged by their words."""
    request = request or ReplayRequest(files=(Path("a & b"),))
    recorded = recording(*founds)
    player = Player(on or engine(), scorer or ScriptedScorer(SCORES), policy(), {}, request.ranked)
    played, ended = await play_all(
        player, recorded.searches, Pace(0), concurrency=request.concurrency, stop=asyncio.Event()
    )
    return gather(
        request,
        recorded,
        played,
        ended,
        engine="scripted engine",
        models=["scripted <model>"],
        judged=None
        if qrels is None
        else Judged(name="ratings", qrels=qrels, by_words={words: words for words in qrels}),
        measured=None if qrels is None else measures.parse(("RR@10", "P@10")),
    )

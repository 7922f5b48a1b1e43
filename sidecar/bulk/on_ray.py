"""The same job over a pool of scorers: Ray Data hands queries to actors, each of which searches and reranks.

Laws: an actor asks as one process without Ray does, so that scores do not depend on how many there are; an actor or a
node that dies costs its queries another try; the journal stays here, so that the job survives the end of the cluster.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

from sidecar.bulk import conditions
from sidecar.bulk.answers import Answer
from sidecar.bulk.conditions import SCORED
from sidecar.bulk.journal import Journal
from sidecar.bulk.lanes import Lanes, Query, Told, open_lanes
from sidecar.bulk.request import BulkRequest, RayRequest
from sidecar.errors import ConfigError, SidecarError
from sidecar.evaluation.datasets import Dataset
from sidecar.evaluation.sources import Source, open_source
from sidecar.evaluation.stored_run import StoredRun
from sidecar.program import parts
from sidecar.program.config import Settings
from sidecar.program.parts import Options
from sidecar.scoring.base import ModelFacts

BATCH_QUERIES: Final = 8
"""Queries that an actor answers before it tells: what a dead one costs at most."""

MOST_BLOCKS: Final = 2000


class RayFailed(SidecarError):
    """The cluster gave the job up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What an actor needs to answer queries."""

    settings: Settings
    allow_test_scorers: bool
    request: BulkRequest
    dataset: Dataset
    #: a stored run travels; None = an engine, which every actor reaches for itself
    run: Source | None


def check(options: Options) -> None:
    """Raise ConfigError where Ray is missing, or the scorer is elsewhere."""
    if options.settings.scorer.url is not None:
        raise ConfigError("--ray and --scorer: the actors load the model; give one of them")
    try:
        import ray.data  # noqa: F401
    except ImportError as error:
        raise ConfigError('--ray: needs Ray: pip install "rerank-sidecar[ray]"') from error


async def answer_all(
    options: Options,
    request: BulkRequest,
    source: Source,
    queries: Sequence[Query],
    told: Told,
    journal: Journal,
    announce: Any,
) -> None:
    """Tell every query's answer, in any order.

    Raises:
        ConfigError: there is no such cluster, or the journal is another job's.
        RayFailed: the actors cannot load the model, or failed too often.
    """
    assert request.ray is not None
    import ray

    _join(request.ray)
    try:
        recipe = Recipe(
            settings=options.settings,
            allow_test_scorers=options.allow_test_scorers,
            request=replace(request, index_corpus=False),
            dataset=source.dataset,
            run=source if isinstance(source.engine, StoredRun) else None,
        )
        facts = await asyncio.to_thread(_first_facts, recipe, request.ray)
        announce(f"model: {parts.model_line(facts)}, in {request.ray.scorers} actors")
        settings = _with_dtype(recipe.settings, facts.dtype)
        rows = _rows(replace(recipe, settings=settings), request.ray, queries)
        by_place = {query.place: query for query in queries}
        while (row := await asyncio.to_thread(_next, rows)) is not None:
            conditions.agree(journal, SCORED, json.loads(row["scored"]))
            told(by_place[row["place"]], Answer.loaded(row["answer"]))
    finally:
        await asyncio.to_thread(ray.shutdown)


def _join(request: RayRequest) -> None:
    import ray
    from ray.data import DataContext

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    is_local = request.address == "local"
    cpus = {"num_cpus": int(request.scorers * request.cpus) + 1} if is_local else {}
    try:
        ray.init(address=request.address, include_dashboard=False, logging_level="warning", log_to_driver=False, **cpus)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(f"--ray: {request.address}: {error}") from error
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False


def _first_facts(recipe: Recipe, request: RayRequest) -> ModelFacts:
    """Return what a model is there, and in which dtype, which all actors take then."""
    import ray
    from ray.exceptions import RayError

    asked = ray.remote(num_cpus=request.cpus, num_gpus=request.gpus)(_facts).remote(recipe)
    try:
        facts: ModelFacts = ray.get(asked)
    except RayError as error:
        raise RayFailed(f"--ray: no actor can score: {_cause(error)}") from error
    return facts


def _facts(recipe: Recipe) -> ModelFacts:
    with asyncio.Runner() as runner:
        actor = Actor(recipe, runner)
        try:
            assert actor.lanes.facts is not None
            return actor.lanes.facts
        finally:
            actor.close()


def _rows(recipe: Recipe, request: RayRequest, queries: Sequence[Query]) -> Iterator[Mapping[str, Any]]:
    import ray

    items = [{"place": query.place, "id": query.id, "text": query.text} for query in queries]
    blocks = max(1, min(MOST_BLOCKS, -(-len(items) // BATCH_QUERIES)))
    data = ray.data.from_items(items, override_num_blocks=blocks).map_batches(
        Actor,
        fn_constructor_args=(ray.put(recipe),),
        batch_size=BATCH_QUERIES,
        compute=ray.data.ActorPoolStrategy(size=request.scorers),
        num_cpus=request.cpus,
        num_gpus=request.gpus,
    )
    return iter(data.iter_rows())


def _next(rows: Iterator[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    from ray.exceptions import RayError

    try:
        return next(rows, None)
    except RayError as error:
        raise RayFailed(f"--ray: {_cause(error)}") from error


class Actor:
    """Answers batches of queries, in a process of its own."""

    def __init__(self, recipe: Any, runner: asyncio.Runner | None = None) -> None:
        """Load the model of a Recipe, which Ray gives as it is or by reference."""
        import ray

        self._recipe: Recipe = ray.get(recipe) if isinstance(recipe, ray.ObjectRef) else recipe
        self._runner = runner or asyncio.Runner()
        self._stack = AsyncExitStack()
        self.lanes: Lanes = self._runner.run(self._open())
        self._scored = json.dumps(conditions.scored(self.lanes.facts, self.lanes.settings))

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Return the answers to a batch of queries, in any order."""
        columns = (batch["place"], batch["id"], batch["text"])
        queries = [Query(int(place), str(id), str(text)) for place, id, text in zip(*columns, strict=True)]
        found: dict[int, bytes] = {}

        def told(query: Query, answer: Answer) -> None:
            found[query.place] = answer.dumped()

        self._runner.run(self.lanes.answer_all(iter(queries), told))
        return {"place": list(found), "answer": list(found.values()), "scored": [self._scored] * len(found)}

    def close(self) -> None:
        """Let engine and model go."""
        self._runner.run(self._stack.aclose())

    async def _open(self) -> Lanes:
        recipe = self._recipe
        options = Options(settings=recipe.settings, allow_test_scorers=recipe.allow_test_scorers)
        source = recipe.run
        if source is None:
            opened = open_source(options, recipe.request.as_evaluation(), recipe.dataset)
            source = await self._stack.enter_async_context(opened)
        return await self._stack.enter_async_context(open_lanes(options, recipe.request, source))


def _with_dtype(settings: Settings, dtype: str) -> Settings:
    return settings.model_copy(update={"model": settings.model.model_copy(update={"dtype": dtype})})


def _cause(error: Exception) -> str:
    """Return the last line of an error that was raised in another process."""
    return str(error).strip().rpartition("\n")[2]

"""`bulk`, from the words of the command line to files.

Laws: a job that was killed goes on where it was, with nothing lost and nothing done twice; its outputs are, byte for
byte, those of a job that nobody disturbed. What cannot be is refused before the long work begins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from sidecar.bulk import conditions, output
from sidecar.bulk.answers import Answer
from sidecar.bulk.conditions import ASKED, SCORED
from sidecar.bulk.journal import Journal
from sidecar.bulk.lanes import Query, open_lanes
from sidecar.bulk.progress import shown
from sidecar.bulk.request import BulkRequest
from sidecar.errors import ConfigError
from sidecar.evaluation import datasets
from sidecar.evaluation.datasets import Dataset
from sidecar.evaluation.program import with_engine
from sidecar.evaluation.sources import Source, open_source
from sidecar.program import parts
from sidecar.program.parts import Options

Announce = Callable[[str], None]

INDEXED: Final = "indexed"
"""Noted in the journal: an index is made once."""


async def run(options: Options, request: BulkRequest, announce: Announce) -> None:
    """Answer every query that has no answer yet, and write the outputs when all have one.

    Raises:
        ConfigError: something that was given makes no sense, or belongs to another job; the message names it.
        SidecarError: the model cannot be had, or a search has no result; what was answered is kept.
        EngineError: the engine gives no answer; what was answered is kept.
    """
    output.check_parquet(request.tables)
    if request.ray is not None:
        from sidecar.bulk import on_ray

        on_ray.check(options)
    dataset = datasets.unjudged(request.dataset, request.queries).limited(request.limit)
    options = with_engine(options)
    with Journal(request.journal) as journal:
        if _is_done(journal, request, conditions.asked(options, request, dataset)):
            announce(f"done already: {_names(request)}; --restart does it anew")
            return
        job = _Job(journal, request, dataset)
        if job.todo:
            await _answer(options, job, announce)
        job.write(announce)


class _Job:
    """One job: its journal, its queries, and what is still to be done."""

    def __init__(self, journal: Journal, request: BulkRequest, dataset: Dataset) -> None:
        self.journal = journal
        self.request = request
        self.dataset = dataset
        self.queries = [Query(place, *query) for place, query in enumerate(dataset.queries.items())]
        answered = journal.places()
        self.todo = [query for query in self.queries if query.place not in answered]

    @property
    def done(self) -> int:
        """Queries that were answered before."""
        return len(self.queries) - len(self.todo)

    def keep(self, query: Query, answer: Answer) -> None:
        """Keep an answer. Raises ConfigError where an output cannot hold its ids."""
        for path in self.request.runs:
            output.check_ids(path, query.id, answer)
        self.journal.add(query.place, answer.dumped())

    def write(self, announce: Announce) -> None:
        """Write all outputs, and be done."""
        for path in self.request.runs:
            output.write_run(path, self._answers())
        for path in self.request.tables:
            output.write_table(path, self._answers(), self.dataset.queries)
        skipped = Counter(answer.skipped for _, answer in self._answers() if answer.skipped)
        self.journal.finish()
        for reason, count in skipped.most_common():
            announce(f"note: {count:,} of {len(self.queries):,} queries were not reranked: {reason}")
        announce(f"wrote {_names(self.request)}")

    def _answers(self) -> Iterator[tuple[str, Answer]]:
        return ((self.queries[place].id, answer) for place, answer in self.journal.answers())


def _is_done(journal: Journal, request: BulkRequest, asked: conditions.Conditions) -> bool:
    """Return whether the outputs are there already; what was begun goes on, and nobody's file is written over.

    Raises:
        ConfigError: the journal is another job's, or a file stands in the way.
    """
    there = [path for path in request.outputs if path.exists()]
    if request.restart or (journal.is_done and not there):
        journal.clear()
    elif journal.get(ASKED) is None and there:
        raise ConfigError(f"--output: {there[0]} is there already; give --restart to write over it")
    conditions.agree(journal, ASKED, asked)
    if journal.is_done and len(there) < len(request.outputs):
        raise ConfigError(f"--output: {there[0]} is there without the others; give --restart to make all anew")
    return journal.is_done


async def _answer(options: Options, job: _Job, announce: Announce) -> None:
    if job.done:
        announce(f"going on: {job.done:,} of {len(job.queries):,} queries are answered")
    options = _pinned(options, conditions.dtype_before(job.journal))
    with shown(len(job.queries), job.done, report_seconds=job.request.report_seconds, announce=announce) as advance:

        def told(query: Query, answer: Answer) -> None:
            job.keep(query, answer)
            advance()

        async with _opened(options, job, announce) as source:
            if job.request.ray is not None:
                from sidecar.bulk import on_ray

                await on_ray.answer_all(options, job.request, source, job.todo, told, job.journal, announce)
                return
            async with open_lanes(options, job.request, source) as lanes:
                if lanes.facts is not None:
                    announce(f"model: {parts.model_line(lanes.facts)}")
                conditions.agree(job.journal, SCORED, conditions.scored(lanes.facts, lanes.settings))
                await lanes.answer_all(iter(job.todo), told)


@asynccontextmanager
async def _opened(options: Options, job: _Job, announce: Announce) -> AsyncIterator[Source]:
    asked = job.request.as_evaluation()
    asked = replace(asked, index_corpus=asked.index_corpus and job.journal.get(INDEXED) is None)
    async with open_source(options, asked, job.dataset) as source:
        job.journal.put(INDEXED, True)
        lost = len(job.dataset.queries) - len(source.dataset.queries)
        if lost:
            announce(f"note: {lost:,} queries are not in the run: they have no rows")
        for note in source.dataset.notes:
            announce(f"note: {note}")
        announce(f"first stage: {source}")
        yield source


def _pinned(options: Options, dtype: str | None) -> Options:
    """Return options under which a model scores in the dtype that it has scored in before."""
    section = options.settings.model
    if dtype is None or section.dtype != "auto":
        return options
    model = section.model_copy(update={"dtype": dtype})
    return replace(options, settings=options.settings.model_copy(update={"model": model}))


def _names(request: BulkRequest) -> str:
    return ", ".join(map(str, request.outputs))

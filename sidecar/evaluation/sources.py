"""Where the first stage comes from: an engine, the embedded one over the dataset's corpus, or a stored run.

Law: what is searched, how and under which analyzer is said, so that a figure can be made again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from connectors.base import Connector
from connectors.json_bytes import JsonObject
from sidecar.errors import ConfigError
from sidecar.evaluation import datasets, runs
from sidecar.evaluation.datasets import Dataset
from sidecar.evaluation.indexing import index_corpus
from sidecar.evaluation.progress import bar
from sidecar.evaluation.request import EvaluationRequest, Question, question
from sidecar.evaluation.runs import Run
from sidecar.evaluation.stored_run import INDEX, StoredRun
from sidecar.program import parts
from sidecar.program.parts import Options

EMBEDDED: Final = "embedded"
_EMBEDDED_INDEX: Final = "corpus"
_FILE_INDEX: Final = "documents"
"""The index of `embedded:FILE`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A first stage, ready to be asked."""

    engine: Connector
    dataset: Dataset
    question: Question
    #: fields that are searched and scored; none = those that the engine's query searches
    fields: tuple[str, ...]
    #: under which the corpus was indexed here; None where it was not
    analyzer: str | None = None

    @property
    def query(self) -> str | None:
        """The search body; None for a stored run, which looks at query ids alone."""
        return None if isinstance(self.engine, StoredRun) else str(self.question)

    def __str__(self) -> str:
        """Return what it is in a line."""
        analyzer = f", analyzer {self.analyzer}" if self.analyzer else ""
        index = "" if isinstance(self.engine, StoredRun) else f", index {self.question.index}"
        return f"{self.engine.name}{index}{analyzer}"


@asynccontextmanager
async def open_source(options: Options, request: EvaluationRequest, dataset: Dataset) -> AsyncIterator[Source]:
    """Give the first stage that was asked for.

    Raises:
        ConfigError: it cannot be had from what was given.
        IndexingFailed: the engine does not take the corpus.
        EngineError: it gives no answer.
    """
    if request.run is not None:
        yield _stored_run(request, dataset, request.run)
        return
    url = options.settings.engine.urls[0]
    if url == EMBEDDED:
        from connectors.embedded import EmbeddedConnector

        async with EmbeddedConnector() as engine:
            yield await _indexed(engine, request, dataset, request.index or _EMBEDDED_INDEX)
        return
    index = request.index or (_FILE_INDEX if url.startswith(f"{EMBEDDED}:") else None)
    if index is None:
        raise ConfigError(f"--index: say which index of {options.settings.engine.printable_urls[0]} is searched")
    async with parts.open_engine(options.settings) as engine:
        await engine.ping()
        if request.index_corpus:
            yield await _indexed(engine, request, dataset, index)
        else:
            yield Source(
                engine=engine,
                dataset=dataset,
                question=question(index, request.fields, request.body, request.ranked),
                fields=request.fields,
            )


async def _indexed(engine: Connector, request: EvaluationRequest, dataset: Dataset, index: str) -> Source:
    corpus = _corpus(dataset)
    fields = request.fields or datasets.text_fields(document for _, document in datasets.documents(corpus))
    with bar(f"indexing {corpus.name}") as advance:
        await index_corpus(
            engine,
            index,
            datasets.documents(corpus),
            fields=fields,
            analyzer=request.analyzer,
            advance=advance,
        )
    return Source(
        engine=engine,
        dataset=dataset,
        question=question(index, fields, request.body, request.ranked),
        fields=fields,
        analyzer=request.analyzer,
    )


def _stored_run(request: EvaluationRequest, dataset: Dataset, path: Path) -> Source:
    run = runs.read(path)
    dataset = _searched(dataset, run, path)
    kept = {query: run[query][: request.ranked] for query in dataset.queries if query in run}
    wanted = {scored.id for ranking in kept.values() for scored in ranking}
    documents = _documents(_corpus(dataset), wanted)
    lost = len(wanted - documents.keys())
    if not documents:
        raise ConfigError(f"--run: no document of {path} is in {dataset.corpus}")
    if lost:
        dataset = replace(dataset, notes=(*dataset.notes, f"{lost} documents of the run have no text: not scored"))
    fields = request.fields or datasets.text_fields(documents.values())
    return Source(
        engine=StoredRun(path.name, kept, documents),
        dataset=dataset,
        question=question(INDEX, fields, request.body, request.ranked),
        fields=fields,
    )


def _searched(dataset: Dataset, run: Run, path: Path) -> Dataset:
    """Return the dataset with the queries that can be asked of a run: judged ones count though it lacks them."""
    absent = dataset.queries.keys() - run.keys()
    if len(absent) == len(dataset.queries):
        raise ConfigError(f"--run: no query of {path} is in the dataset")
    if not absent:
        return dataset
    if dataset.qrels is not None:
        return replace(
            dataset, notes=(*dataset.notes, f"{len(absent)} judged queries are not in the run: they count 0")
        )
    return replace(dataset, queries={query: text for query, text in dataset.queries.items() if query in run})


def _corpus(dataset: Dataset) -> Path:
    if dataset.corpus is None:
        raise ConfigError(f"--dataset: {dataset.name} has no corpus.jsonl or corpus.jsonl.gz")
    return dataset.corpus


def _documents(corpus: Path, wanted: set[str]) -> Mapping[str, JsonObject]:
    return {id: document for id, document in datasets.documents(corpus) if id in wanted}

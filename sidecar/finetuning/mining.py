"""What the first stage gives to every judged query, and the texts that a model would read of it.

Law: a text is what the second stage makes of a hit, by the pipeline itself: fields, template, HTML and highlights are
those of serving. What is not among the hits is read from the corpus, in the same fields.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connectors.base import Hit, SearchResponse
from sidecar.candidates import extract, template_fields
from sidecar.errors import ConfigError
from sidecar.evaluation import datasets
from sidecar.evaluation.datasets import Dataset
from sidecar.evaluation.once import ScoredOnce
from sidecar.evaluation.request import FusionChoice, question
from sidecar.evaluation.runs import Run, ScoredId
from sidecar.evaluation.searching import System
from sidecar.evaluation.sources import Source
from sidecar.evaluation.stored_run import INDEX, StoredRun
from sidecar.scoring.base import ModelFacts
from sidecar.types import RerankOptions

SEARCHES_AT_ONCE: Final = 4

TEXT: Final = "text"
"""The field of a mined document that holds what the model reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """Rankings of the first stage by query id, and texts by document id, as the model reads them."""

    rankings: Run
    texts: Mapping[str, str]


class _Reader:
    """A Scorer that likes all texts alike, so that they keep their order."""

    def describe(self) -> ModelFacts:
        return ModelFacts(
            name="none", revision="", kind="cross-encoder", max_length=512, recommended_fusion="model_only"
        )

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        del query, deadline
        return [0.0] * len(texts)

    async def aclose(self) -> None:
        pass


async def mine(source: Source, base: RerankOptions, window: int, advance: Callable[[], None] = lambda: None) -> Mined:
    """Ask the first stage every query of the source, and return its first `window` hits and their texts.

    Texts of judged documents that are no hits come from the dataset's corpus, where there is one.

    Raises:
        EngineError: the engine gave no answer, or an error.
        SearchFailed: a search has no result.
    """
    texts: dict[str, str] = {}
    rankings: dict[str, list[ScoredId]] = {query: [] for query in source.dataset.queries}
    waiting = iter(source.dataset.queries.items())

    async def ask() -> None:
        system = System(source.engine, ScoredOnce(_Reader()), base, window, FusionChoice(name="model_only"))
        for query, words in waiting:
            answer, _ = await system.search(source.question.request(query, words))
            rankings[query] = _read(answer, window, source.fields, base, texts)
            advance()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(SEARCHES_AT_ONCE):
                group.create_task(ask(), name="searches of the first stage")
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    _add_judged(source, base, texts)
    return Mined(rankings=rankings, texts=texts)


def as_source(dataset: Dataset, mined: Mined, queries: Collection[str]) -> Source:
    """Return the mined first stage of some queries as a source, for `evaluate`: nothing is searched again."""
    kept = {query: text for query, text in dataset.queries.items() if query in queries}
    grades = dataset.qrels or {}
    documents = {id: {TEXT: text} for id, text in mined.texts.items()}
    rankings = {query: mined.rankings.get(query, ()) for query in kept}
    return Source(
        engine=StoredRun("of the training", rankings, documents),
        dataset=Dataset(name=dataset.name, queries=kept, qrels={query: grades[query] for query in kept}, corpus=None),
        question=question(INDEX, (TEXT,), None, max(map(len, rankings.values()), default=1)),
        fields=(TEXT,),
    )


def save(path: Path, mined: Mined) -> None:
    """Write what was mined."""
    rankings = {query: [[each.id, each.score] for each in ranking] for query, ranking in mined.rankings.items()}
    with gzip.open(path, "wt", encoding="utf-8") as file:
        json.dump({"rankings": rankings, "texts": mined.texts}, file)


def load(path: Path) -> Mined:
    """Return what was mined. Raises ConfigError when it was not written to its end."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, EOFError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}; remove it, and the first stage is asked again") from error
    rankings = {query: [ScoredId(id, score) for id, score in rows] for query, rows in found["rankings"].items()}
    return Mined(rankings=rankings, texts=found["texts"])


def _read(
    answer: SearchResponse, window: int, fields: Sequence[str], base: RerankOptions, texts: dict[str, str]
) -> list[ScoredId]:
    """Note the texts of an answer's hits, and return those that have one."""
    found: dict[str, ScoredId] = {}
    for hit in answer.hits[:window]:
        said = hit.value.get("_rerank", {})  # not there where a search is left alone, as with one hit
        text = said.get("text") or extract([hit], fields or tuple(hit.source or {}), base)[0].text
        if text:
            id, score = str(hit.id), said.get("first_stage_score", hit.score)
            texts.setdefault(id, text)
            found.setdefault(id, ScoredId(id, -float(hit.rank) if score is None else score))
    return list(found.values())


def _add_judged(source: Source, base: RerankOptions, texts: dict[str, str]) -> None:
    """Note the texts of judged documents that were no hits."""
    corpus = source.dataset.corpus
    wanted = {id for grades in (source.dataset.qrels or {}).values() for id in grades} - texts.keys()
    if corpus is None or not wanted:
        return
    documents = {id: document for id, document in datasets.documents(corpus) if id in wanted}
    fields = _fields(source, base) or datasets.text_fields(documents.values())
    hits = [Hit(rank=1, value={"_id": id, "_source": document}) for id, document in documents.items()]
    for id, candidate in zip(documents, extract(hits, fields, base), strict=True):
        if candidate.text:
            texts[id] = candidate.text


def _fields(source: Source, base: RerankOptions) -> Sequence[str]:
    return template_fields(base.template) if base.template else base.fields or source.fields


def check(mined: Mined) -> None:
    """Refuse to train on nothing. Raises ConfigError when no hit has a text."""
    if not mined.texts:
        raise ConfigError("no hit of any query has a text that could be scored: name the fields by --fields")

"""`evaluate`, from the words of the command line to tables and files.

Law: what was asked for and cannot be is refused before the long work begins; after it, a file that cannot be written
costs no figure, and a reader that has gone no file.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from connectors.base import Connector
from sidecar.errors import ConfigError
from sidecar.evaluation import datasets, measures, runs, table
from sidecar.evaluation.document import document
from sidecar.evaluation.files import write
from sidecar.evaluation.once import AskedOnce, ScoredOnce
from sidecar.evaluation.page import page
from sidecar.evaluation.progress import bar
from sidecar.evaluation.request import EvaluationRequest
from sidecar.evaluation.results import Reranked, Results, gather
from sidecar.evaluation.runs import ScoredId
from sidecar.evaluation.searching import Rankings, System, search_all
from sidecar.evaluation.sources import EMBEDDED, Source, open_source
from sidecar.program import parts
from sidecar.program.parts import Options
from sidecar.types import RerankOptions

Announce = Callable[[str], None]

_UNSAFE: Final = re.compile(r"[^\w.=-]+")
"""What stands in no file name and no tag of a run."""


async def run(options: Options, request: EvaluationRequest, announce: Announce) -> None:
    """Evaluate, print, and write the files that were asked for.

    Raises:
        ConfigError: something that was given makes no sense; the message names it.
        SidecarError: a model cannot be had, or a search has no result.
        EngineError: the engine gives no answer.
    """
    show_and_save(request, await evaluated(options, request, announce), announce)


async def evaluated(options: Options, request: EvaluationRequest, announce: Announce) -> Results:
    """Return what there is to print and to write. Raises as `run`."""
    dataset = datasets.load(request.dataset, request.qrels, relevant_from=request.relevant_from)
    measured = {} if dataset.qrels is None else measures.parse(request.measures, relevant_from=request.relevant_from)
    options = with_engine(options)
    async with open_source(options, request, dataset.limited(request.limit)) as source:
        announce(f"first stage: {source}")
        return await measure(options, request, source, measured, announce)


async def measure(
    options: Options, request: EvaluationRequest, source: Source, measured: Mapping[str, Any], announce: Announce
) -> Results:
    """Return what all systems of a request do with the queries of a source, by the measures in `measured`.

    Raises as `run`.
    """
    async with AsyncExitStack() as stack:
        base = settings_of(options, request, source)
        scorers = [await stack.enter_async_context(_loaded(each)) for each in _each_model(options, request, base)]
        for scorer in scorers:
            announce(f"model: {parts.model_line(scorer.describe())}")
        pruner = await _pruner(stack, options, request, base)
        if pruner is not None:
            announce(f"pruner: {parts.model_line(pruner.describe())}")
        asked = AskedOnce(source.engine)
        systems = _systems(asked, scorers, pruner, base, request)
        with bar("queries", len(source.dataset.queries)) as advance:
            answers = await search_all(
                asked, systems, source.dataset.queries, source.question, source.fields, lambda: advance(1)
            )
        return gather(source, systems, answers, measured, request.relevant_from)


def show_and_save(request: EvaluationRequest, results: Results, announce: Announce) -> None:
    """Print the tables, and write the files that were asked for.

    Raises:
        ConfigError: a file cannot be written; the tables were printed.
    """
    written: list[Path] = []
    try:
        written.extend(_save(request, results))
    finally:
        table.show(results)
        for path in written:
            announce(f"wrote {path}")


def with_engine(options: Options) -> Options:
    """Return the options with the embedded engine where nobody named one."""
    engine = options.settings.engine
    if "url" in engine.model_fields_set:
        return options
    return _changed(options, engine=engine.model_copy(update={"url": EMBEDDED}))


def _changed(options: Options, **sections: Any) -> Options:
    return replace(options, settings=options.settings.model_copy(update=sections))


def settings_of(options: Options, request: EvaluationRequest, source: Source) -> RerankOptions:
    """Return the settings that hold for the index. Raises ConfigError when they leave a question open."""
    base = options.settings.policy().options(source.question.index)
    if request.keeps and not (request.pruner or base.prune_model):
        raise ConfigError("--prune-keep: who prunes? Give --prune-model, too")
    return replace(base, fields=request.fields, template=None) if request.fields else base


def _each_model(options: Options, request: EvaluationRequest, base: RerankOptions) -> list[Options]:
    """Return the options of every scorer that is compared: each model by name, else what the settings say."""
    settings = options.settings
    names = request.models or ((base.model,) if base.model else ())
    nowhere = settings.scorer.model_copy(update={"url": None})
    return [
        _changed(options, model=settings.model.model_copy(update={"name": name}), scorer=nowhere)
        for name in dict.fromkeys(names)
    ] or [options]


@asynccontextmanager
async def _loaded(options: Options) -> AsyncIterator[ScoredOnce]:
    """Give the scorer of some options once it can score. Raises RerankUnavailable when it cannot be had."""
    async with parts.open_any_scorer(options) as scorer:
        with bar(f"loading {options.settings.model.name}"):
            await parts.await_facts(scorer)
        yield ScoredOnce(scorer)


async def _pruner(
    stack: AsyncExitStack, options: Options, request: EvaluationRequest, base: RerankOptions
) -> ScoredOnce | None:
    """Return the scorer that prunes windows, None where nobody asks for a cascade."""
    name = request.pruner or base.prune_model
    if name is None:
        return None
    settings = options.settings
    nowhere = settings.scorer.model_copy(update={"url": None})
    model = settings.model.model_copy(update={"name": name})
    return await stack.enter_async_context(_loaded(_changed(options, model=model, scorer=nowhere)))


def _systems(
    engine: Connector,
    scorers: Sequence[ScoredOnce],
    pruner: ScoredOnce | None,
    base: RerankOptions,
    request: EvaluationRequest,
) -> dict[str, System]:
    """Return every combination of model, window, cascade and fusion by its label; windows of one model grow."""
    names = _short([scorer.describe().name for scorer in scorers])
    cascades = _cascades(pruner, base, request)
    found: dict[str, System] = {}
    for name, scorer in zip(names, scorers, strict=True):
        for window in sorted(set(request.windows)):
            for first, keep in cascades:
                for choice in request.fusions:
                    system = System(engine, scorer, base, window, choice, pruner=first, keep=keep)
                    words = (name, f"window={window}", system.cascade, system.fusion)
                    found.setdefault(" ".join(word for word in words if word), system)
    return found


def _cascades(
    pruner: ScoredOnce | None, base: RerankOptions, request: EvaluationRequest
) -> list[tuple[ScoredOnce | None, int]]:
    """Return who prunes and how much is kept, the least first, and no cascade last."""
    keeps = set(request.keeps or (base.prune_keep,)) if pruner is not None else {0}
    return [(pruner, keep) for keep in sorted(keeps - {0})] + [(None, 0)] * (0 in keeps)


def _short(names: Sequence[str]) -> list[str]:
    """Return names without their folders, where they are still different then."""
    short = [name.rstrip("/").rpartition("/")[2] for name in names]
    return short if len(set(short)) == len(short) else list(names)


def _save(request: EvaluationRequest, results: Results) -> Iterator[Path]:
    """Write the files that were asked for, and yield each when it is written."""
    files: dict[Path, Callable[[Path], None]] = {}
    if request.save_first_stage is not None:
        files[request.save_first_stage] = lambda path: _save_run(path, results.first_stage.rankings, "first-stage")
    if request.save_run is not None:
        for system in results.systems:
            files[_run_path(request.save_run, system, results)] = partial(
                _save_run, rankings=system.rankings, tag=_tag(system)
            )
    if request.json is not None:
        files[request.json] = lambda path: write(path, json.dumps(document(results), ensure_ascii=False, indent=2))
    if request.html is not None:
        files[request.html] = lambda path: write(path, page(results))
    for path, save in files.items():
        save(path)
        yield path


def _save_run(path: Path, rankings: Rankings, tag: str) -> None:
    runs.save(
        path, {query: [ScoredId(hit.id, hit.score) for hit in hits] for query, hits in rankings.hits.items()}, tag
    )


def _run_path(path: Path, system: Reranked, results: Results) -> Path:
    """Return the file of a system's run: the one that was named, or one for each of several systems."""
    return path if len(results.systems) == 1 else path.with_name(f"{path.stem}.{_tag(system)}{path.suffix}")


def _tag(system: Reranked) -> str:
    return _UNSAFE.sub("-", system.label)

"""`finetune`, from the words of the command line to a model folder and its figures.

Law: everything is measured by `evaluate`'s means, on a first stage that was asked once; a model that ranks the queries
held out no better than the untuned one is not written.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import importlib.util
import io
import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from sidecar.errors import ConfigError, ModelFailed
from sidecar.evaluation import datasets, measures
from sidecar.evaluation import program as evaluation
from sidecar.evaluation.datasets import Dataset
from sidecar.evaluation.files import write
from sidecar.evaluation.judgments import Qrels
from sidecar.evaluation.progress import bar
from sidecar.evaluation.request import EvaluationRequest
from sidecar.evaluation.results import Results
from sidecar.evaluation.sources import open_source
from sidecar.finetuning import mining, report
from sidecar.finetuning.early_stop import Evaluation, HeldOut
from sidecar.finetuning.examples import Example, TextExample, draw, draw_texts, relevant
from sidecar.finetuning.mining import Mined
from sidecar.finetuning.report import Course, NotBetter
from sidecar.finetuning.request import MEASURE, FinetuneRequest, Recipe
from sidecar.finetuning.split import held_out
from sidecar.program.parts import Options
from sidecar.scoring import models
from sidecar.scoring.devices import place
from sidecar.scoring.model_folder import ModelFolder

Announce = Callable[[str], None]

_NEEDED: Final = ("accelerate", "datasets", "ir_measures", "peft", "sentence_transformers")
_MAY_CHANGE: Final = ("output", "resume", "json", "html", "test_qrels", "test_run", "patience")
"""What a training that goes on may be told otherwise."""

_BEGUN: Final = "begun.json"
_COMPLETE: Final = "complete"
_FIRST_STAGE: Final = "first-stage.json.gz"
_HELD_OUT: Final = "held-out.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What there is to learn from, and what to measure on."""

    #: all judged queries
    dataset: Dataset
    mined: Mined
    #: ids of the queries to train on, and of those held out
    trained: Sequence[str]
    held_out: frozenset[str]
    #: of every round; a bi-encoder's rounds differ
    rounds: Sequence[Sequence[Example] | Sequence[TextExample]]

    @property
    def examples(self) -> int:
        """How many a round has."""
        return len(self.rounds[0])


def run(options: Options, request: FinetuneRequest, announce: Announce) -> None:
    """Adapt the model, write it, and print before and after. Blocking; no event loop runs yet.

    Raises:
        ConfigError: something that was given makes no sense; the message names it.
        NotBetter: no model was found that is better than the untuned one.
        SidecarError: a model cannot be had, or a search has no result.
        EngineError: the engine gives no answer.
    """
    _check_installed()
    began = time.monotonic()
    options = evaluation.with_engine(options)
    folder, request = _resolved(request, announce)
    recipe = request.recipe(is_cross_encoder=folder.is_cross_encoder)
    material = asyncio.run(_material(options, request, recipe, announce, is_cross_encoder=folder.is_cross_encoder))
    watch = _Watch(options, request, material)
    before = watch(request.model, announce)
    untuned = before.systems[0].means[MEASURE]
    announce(f"held out: {MEASURE} {before.first_stage.means[MEASURE]:.4f} first stage, {untuned:.4f} untuned")
    evaluations = HeldOut(request.work, lambda folder: watch(str(folder)).systems[0].means[MEASURE], request.patience)
    _train(options, request, recipe, folder, material, before, evaluations, announce)
    best = _better(evaluations.best, untuned, request)
    tuned = request.work / _COMPLETE / request.output.name
    shutil.copytree(evaluations.best_folder, tuned, dirs_exist_ok=True)
    course = Course(
        trained=len(material.trained),
        held_out=len(material.held_out),
        examples=material.examples,
        first_stage=before.first_stage.means[MEASURE],
        untuned=untuned,
        evaluations=evaluations.evaluations,
        best=best,
        seconds=time.monotonic() - began,
    )
    _report(options, request, recipe, material, course, tuned, announce)
    shutil.copytree(tuned, request.output, dirs_exist_ok=True)
    shutil.rmtree(request.work)
    announce(f"wrote {request.output}: serve it with --model {request.output}")


def _resolved(request: FinetuneRequest, announce: Announce) -> tuple[ModelFolder, FinetuneRequest]:
    """Return the folder of the model, and the request under the model's own name: another one may stand in for it.

    Raises:
        ModelFailed: it cannot be had, or has two outputs.
    """
    chosen = models.resolve(request.model)
    if chosen.note:
        announce(f"model: {chosen.note}")
    folder = ModelFolder(name=chosen.name, path=chosen.path)
    folder.check_is_safe()
    if folder.is_cross_encoder and folder.labels != 1:
        raise ModelFailed(f"{chosen.name} has two outputs; only cross-encoders with one are tuned here")
    return folder, replace(request, model=chosen.name)


class _Watch:
    """Measures a model on the queries held out, over the first stage that was asked already."""

    def __init__(self, options: Options, request: FinetuneRequest, material: Material) -> None:
        self._options = options
        self._source = mining.as_source(material.dataset, material.mined, material.held_out)
        self._window = request.held_out_window
        self._relevant_from = request.relevant_from

    def __call__(self, model: str, announce: Announce = lambda _: None) -> Results:
        request = EvaluationRequest(
            models=(model,), windows=(self._window,), fields=self._source.fields, relevant_from=self._relevant_from
        )
        measured = measures.parse((MEASURE,))
        return asyncio.run(evaluation.measure(self._options, request, self._source, measured, announce))


def _check_installed() -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"finetune needs {', '.join(missing)}: pip install 'rerank-sidecar[finetune]'")


async def _material(
    options: Options, request: FinetuneRequest, recipe: Recipe, announce: Announce, *, is_cross_encoder: bool
) -> Material:
    """Ask the first stage all judged queries, split them, and draw the examples."""
    asked = request.training_source()
    dataset = datasets.load(asked.dataset, asked.qrels, relevant_from=asked.relevant_from).limited(asked.limit)
    qrels = dataset.qrels or {}
    count = request.held_out_of(len(dataset.queries))
    _begin(request, qrels)
    mined = await _mined(options, request, dataset, announce)
    mining.check(mined)
    apart = held_out(dataset.queries, count, request.seed)
    trained = [query for query in dataset.queries if query not in apart]
    rounds = _rounds(trained, qrels, mined, request, recipe, is_cross_encoder=is_cross_encoder)
    found = Material(dataset=dataset, mined=mined, trained=trained, held_out=frozenset(apart), rounds=rounds)
    if not found.examples:
        raise ConfigError(f"{request.qrels}: no relevant document has a text: give the corpus, or search deeper")
    announce(f"{found.examples} examples of {len(trained)} queries; {len(apart)} queries held out")
    return found


def _rounds(
    trained: Sequence[str],
    qrels: Qrels,
    mined: Mined,
    request: FinetuneRequest,
    recipe: Recipe,
    *,
    is_cross_encoder: bool,
) -> Sequence[Sequence[Example] | Sequence[TextExample]]:
    if is_cross_encoder:
        return [
            draw(
                trained,
                qrels,
                mined,
                relevant_from=request.relevant_from,
                per_query=recipe.per_query,
                negatives=recipe.negatives,
                seed=request.seed,
            )
        ]
    return draw_texts(
        trained,
        qrels,
        mined,
        relevant_from=request.relevant_from,
        per_query=recipe.per_query,
        per_text=recipe.per_text,
        negatives=recipe.negatives,
        rounds=math.ceil(recipe.epochs),
        seed=request.seed,
    )


async def _mined(options: Options, request: FinetuneRequest, dataset: Dataset, announce: Announce) -> Mined:
    """Return what the first stage gives to every query: it is asked once, also by a training that goes on."""
    path = request.work / _FIRST_STAGE
    if path.is_file():
        return mining.load(path)
    asked = request.training_source()
    async with open_source(options, asked, dataset) as source:
        announce(f"first stage: {source}")
        for note in source.dataset.notes:
            announce(f"note: {note}")
        base = evaluation.settings_of(options, asked, source)
        with bar("first stage", len(source.dataset.queries)) as advance:
            mined = await mining.mine(source, base, request.window, lambda: advance(1))
    mining.save(path, mined)
    return mined


def _begin(request: FinetuneRequest, qrels: Qrels) -> None:
    """Make the folder of checkpoints, or find it as it was left.

    Raises:
        ConfigError: it is there and was not asked for, or is another training's.
    """
    path = request.work / _BEGUN
    own = _fingerprint(request, qrels)
    if request.resume and path.is_file() and path.read_text(encoding="utf-8") != own:
        raise ConfigError(f"--resume: {request.work} is a training of other judgments or settings")
    if not request.resume and path.is_file():
        raise ConfigError(f"{request.work} is a training that was begun: go on with --resume, or remove it")
    write(path, own)


def _fingerprint(request: FinetuneRequest, qrels: Qrels) -> str:
    """Return what must be equal for a training to go on."""
    settings = {name: value for name, value in asdict(request).items() if name not in _MAY_CHANGE}
    digest = hashlib.sha256(json.dumps(qrels, sort_keys=True).encode()).hexdigest()
    return json.dumps({**settings, "judgments": digest}, default=str, indent=2)


def _train(
    options: Options,
    request: FinetuneRequest,
    recipe: Recipe,
    folder: ModelFolder,
    material: Material,
    before: Results,
    evaluations: HeldOut,
    announce: Announce,
) -> None:
    from sidecar.finetuning import training

    facts = before.systems[0].facts
    lesson = training.Lesson(
        folder=folder,
        kind=facts.kind,
        max_length=facts.max_length,
        rounds=material.rounds,
        queries=material.dataset.queries,
        texts=material.mined.texts,
        qrels=material.dataset.qrels or {},
        relevant=relevant(material.dataset.qrels or {}, request.relevant_from),
    )
    placement = place(options.settings.model.device, options.settings.model.dtype)
    whole, between = training.steps(material.examples, recipe, request.evaluations)
    announce(f"training: {recipe.method}, {whole} steps of {recipe.batch_size} examples, measured every {between}")
    with bar("steps", whole) as advance:
        training.train(
            lesson,
            request,
            placement,
            evaluations,
            said=lambda each: announce(f"step {each.step}: {MEASURE} {each.value:.4f}"),
            advance=advance,
        )


def _better(best: Evaluation | None, untuned: float, request: FinetuneRequest) -> Evaluation:
    """Return the best evaluation. Raises NotBetter when it is none."""
    if best is not None and best.value > untuned:
        return best
    found = "never measured" if best is None else f"{best.value:.4f} at best tuned"
    raise NotBetter(
        f"{MEASURE} of the held-out queries is {untuned:.4f} untuned and {found}: nothing was written. More judgments, "
        f"more --epochs or another --learning-rate may help. What there is lies in {request.work}"
    )


def _report(
    options: Options,
    request: FinetuneRequest,
    recipe: Recipe,
    material: Material,
    course: Course,
    tuned: Path,
    announce: Announce,
) -> None:
    """Print before and after on the test queries, else on those held out, and write all beside the model."""
    asked = request.report(request.test_qrels or _held_out_judgments(request, material), tuned)
    results = asyncio.run(evaluation.evaluated(options, asked, announce))
    report.write_beside(tuned, report.figures(request, recipe, course, results))
    evaluation.show_and_save(asked, results, announce)
    announce(report.line(report.against_untuned(results), results.measures[0]))


def _held_out_judgments(request: FinetuneRequest, material: Material) -> Path:
    """Write the judgments of the queries held out, which name queries by their words, and return the file."""
    path = request.work / _HELD_OUT
    dataset = material.dataset
    with io.StringIO() as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("query", "docid", "rating"))
        for query in sorted(material.held_out):
            for document, grade in (dataset.qrels or {})[query].items():
                writer.writerow((dataset.queries[query], document, grade))
        write(path, text.getvalue())
    return path

"""Models learn what a tiny dataset can teach; one seed gives one result, also from a checkpoint on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from sidecar.evaluation.runs import ScoredId
from sidecar.finetuning.early_stop import HeldOut
from sidecar.finetuning.examples import draw, draw_texts, relevant
from sidecar.finetuning.mining import Mined
from sidecar.finetuning.request import FinetuneRequest
from sidecar.scoring import models
from sidecar.scoring.devices import Placement
from sidecar.scoring.model_folder import ModelFolder
from tests import tiny_models
from tests.unit.sidecar.finetuning import lessons

for name in ("accelerate", "datasets", "peft", "sentence_transformers"):
    pytest.importorskip(name)
from sidecar.finetuning import training  # noqa: E402 - imports what may not be installed

CPU = Placement("cpu", "fp32")


class Stopped(Exception):
    """Somebody ended the program."""


def lesson(folder: Path, kind: Any) -> training.Lesson:
    """Return what a model in a folder is to learn."""
    queries, qrels = lessons.queries(), lessons.qrels()
    ranking = [ScoredId(id, 0.0) for id in lessons.documents()]
    mined = Mined(rankings=dict.fromkeys(queries, ranking), texts=lessons.documents())
    settings: Any = {"relevant_from": 1, "per_query": 4, "negatives": 3, "seed": 1}
    is_list = kind == "cross-encoder"
    return training.Lesson(
        folder=ModelFolder(name="tiny", path=folder),
        kind=kind,
        max_length=32,
        rounds=[draw(list(queries), qrels, mined, **settings)]
        if is_list
        else draw_texts(list(queries), qrels, mined, rounds=10, per_text=10, **settings),
        queries=queries,
        texts=mined.texts,
        qrels=qrels,
        relevant=relevant(qrels, 1),
    )


def request(work: Path, **changes: Any) -> FinetuneRequest:
    """Return a request whose checkpoints lie in a folder beside `work`."""
    settings = {"epochs": 1.0, "batch_size": 8, "evaluations": 2, "learning_rate": 5e-3, "max_length": 32, **changes}
    return FinetuneRequest(qrels=Path("q"), model="tiny", output=work, **settings)


def accuracy(folder: Path) -> float:
    """Return the share of pairs of a relevant and another text that a model has in the right order."""
    model = models.load(str(folder), device="cpu", dtype="fp32")
    documents = lessons.documents()
    right = []
    for words in list(lessons.queries().values())[:6]:
        scores = dict(zip(documents, model.forward(model.tokenize(words, list(documents.values()))), strict=True))
        good = [scores.pop(id) for id in lessons.relevant()]
        right += [one > other for one in good for other in scores.values()]
    return sum(right) / len(right)


def trained(folder: Path, kind: Any, asked: FinetuneRequest, measure: Callable[[Path], float] = accuracy) -> HeldOut:
    """Train the model in a folder, and return its evaluations."""
    asked.work.mkdir(exist_ok=True)
    found = HeldOut(asked.work, measure, 9)
    training.train(lesson(folder, kind), asked, CPU, found, said=lambda _: None, advance=lambda _: None)
    return found


@pytest.mark.parametrize(
    ("make", "kind", "method"),
    [
        (tiny_models.bert, "cross-encoder", "lora"),
        (tiny_models.bert, "cross-encoder", "full"),
        (tiny_models.bi_encoder, "late-interaction", "lora"),
        (tiny_models.xlm_roberta_bi_encoder, "cosine", "full"),
    ],
)
def test_models_learn(make: Callable[[Path], Path], kind: str, method: Any, tmp_path: Path) -> None:
    """What the words of the topics have to do with each other."""
    base = make(tmp_path / "base")
    before = accuracy(base)
    epochs = 1.0 if kind == "cross-encoder" else 10.0  # a text is once in a round, a query with several texts
    found = trained(base, kind, request(tmp_path / "tuned", method=method, epochs=epochs))
    assert found.best is not None
    assert found.best.value > before + 0.2
    assert found.best.value == accuracy(found.best_folder)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_only_the_last_layers_change_where_that_was_asked(method: Any, tmp_path: Path) -> None:
    """And nothing below them."""
    base = tiny_models.bi_encoder(tmp_path / "base")
    found = trained(base, "late-interaction", request(tmp_path / "tuned", method=method, layers=1))
    before, after = (load_file(folder / "model.safetensors") for folder in (base, found.best_folder))
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    last = max(int(name.split(".")[2]) for name in before if name.startswith("encoder.layer."))
    assert last > 0
    assert changed
    assert all(name.startswith(f"encoder.layer.{last}.") for name in changed)


def test_a_training_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    """To the same model that it would have come to, which another run with its seed comes to, too."""
    base = tiny_models.bi_encoder(tmp_path / "base")
    whole = trained(base, "late-interaction", request(tmp_path / "whole", epochs=10.0))

    def until_the_second(folder: Path) -> float:
        if (tmp_path / "parts.work" / "held-out.json").is_file():
            raise Stopped
        return accuracy(folder)

    with pytest.raises(Stopped):
        trained(base, "late-interaction", request(tmp_path / "parts", epochs=10.0), until_the_second)
    parts = trained(base, "late-interaction", request(tmp_path / "parts", epochs=10.0, resume=True))
    assert [each.step for each in whole.evaluations] == [each.step for each in parts.evaluations]
    assert scores(whole.best_folder) == pytest.approx(scores(parts.best_folder), abs=1e-4)
    ended = trained(base, "late-interaction", request(tmp_path / "parts", epochs=10.0, resume=True), lambda _: 9.9)
    assert parts.evaluations == ended.evaluations


def scores(folder: Path) -> list[float]:
    """Return some scores of a model."""
    model = models.load(str(folder), device="cpu", dtype="fp32")
    return model.forward(model.tokenize(lessons.queries()["q0"], list(lessons.documents().values())))


@pytest.mark.parametrize(
    ("examples", "batch", "evaluations", "expected"), [(100, 10, 5, (10, 2)), (100, 8, 4, (12, 3)), (3, 16, 6, (1, 1))]
)
def test_the_last_step_is_measured(
    tmp_path: Path, examples: int, batch: int, evaluations: int, expected: tuple[int, int]
) -> None:
    """Steps are a multiple of those between two evaluations."""
    asked = request(tmp_path / "x", epochs=1.0, batch_size=batch, evaluations=evaluations)
    assert expected == training.steps(examples, asked.recipe(is_cross_encoder=True), evaluations)

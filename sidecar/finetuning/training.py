"""The training itself, on sentence-transformers' trainers: a cross-encoder by lists, a bi-encoder by its own score.

Laws: one seed, one set of examples, one result, on one kind of device. A checkpoint holds what is trained and nothing
that is not, as safetensors; a training that goes on from one does what it would have done.

*Source:* LambdaLoss (Wang et al. 2018, doi:10.1145/3269206.3271784) for cross-encoders, whose gains are the grades;
LoRA (Hu et al. 2021, arXiv:2106.09685).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from datasets import Dataset
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
from sentence_transformers.cross_encoder.losses import LambdaLoss
from sentence_transformers.sentence_transformer.trainer import SentenceTransformerTrainer
from sentence_transformers.sentence_transformer.training_args import SentenceTransformerTrainingArguments
from torch import nn
from torch.utils.data import BatchSampler, SequentialSampler
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import get_last_checkpoint

from sidecar.errors import ConfigError
from sidecar.evaluation.judgments import Qrels
from sidecar.finetuning import saving
from sidecar.finetuning.early_stop import Evaluation, HeldOut
from sidecar.finetuning.examples import Example, TextExample
from sidecar.finetuning.losses import RankingLoss
from sidecar.finetuning.request import FinetuneRequest, Recipe
from sidecar.scoring.base import ScoreKind
from sidecar.scoring.devices import Placement
from sidecar.scoring.model_folder import ModelFolder
from sidecar.scoring.pairs import load_tokenizer, probe_single

RANK: Final = 16
"""Of the adapters; they are scaled by 2."""

WARMUP: Final = 0.1
"""Share of the steps in which the learning rate rises; then it falls to 0."""

CHECKPOINTS: Final = 4
"""For each evaluation."""

_TRAINED: Final = "trained.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A model, and what it is to learn. Texts by id, of queries and of documents."""

    folder: ModelFolder
    kind: ScoreKind
    #: tokens that the model reads when it serves
    max_length: int
    #: examples of every round: of cross-encoders one round, which is gone through as often as there are epochs
    rounds: Sequence[Sequence[Example] | Sequence[TextExample]]
    queries: Mapping[str, str]
    texts: Mapping[str, str]
    qrels: Qrels
    relevant: Mapping[str, frozenset[str]]

    @property
    def is_cross_encoder(self) -> bool:
        """Whether it reads query and text together."""
        return self.kind == "cross-encoder"


def train(
    lesson: Lesson,
    request: FinetuneRequest,
    placement: Placement,
    held_out: HeldOut,
    *,
    said: Callable[[Evaluation], None],
    advance: Callable[[int], None],
) -> None:
    """Train until the end, or until `held_out` says that there is no use in going on; the best model is there then.

    `said` hears of every evaluation, `advance` of every step.
    """
    recipe = request.recipe(is_cross_encoder=lesson.is_cross_encoder)
    whole, between = steps(len(lesson.rounds[0]), recipe, request.evaluations)
    if held_out.is_over or any(each.step >= whole for each in held_out.evaluations):
        return
    transformers.set_seed(request.seed)
    transformers.utils.logging.disable_progress_bar()
    model = _model(lesson, recipe, placement)
    _choose_parameters(model, recipe.method, recipe.layers)
    dataset = _dataset(lesson)
    arguments = _arguments(lesson, recipe, placement, request, whole, between, dataset.column_names)
    kind: Any = _CrossEncoderTrainer if lesson.is_cross_encoder else _BiEncoderTrainer
    trainer = kind(
        model=model,
        args=arguments,
        train_dataset=dataset,
        loss=_loss(lesson, model),
        evaluator=_Evaluator(held_out, lesson.folder, said),
        callbacks=[_Course(held_out, advance)],
    )
    for each in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(each)
    trainer.train(resume_from_checkpoint=get_last_checkpoint(str(request.work)) if request.resume else None)


def steps(examples: int, recipe: Recipe, evaluations: int) -> tuple[int, int]:
    """Return how many steps there are, and how many between two evaluations; the last step is an evaluation's."""
    wanted = max(1, math.ceil(examples * recipe.epochs / recipe.batch_size))
    between = max(1, round(wanted / evaluations))
    return between * max(1, round(wanted / between)), between


def _model(lesson: Lesson, recipe: Recipe, placement: Placement) -> Any:
    kind: Any = CrossEncoder if lesson.is_cross_encoder else SentenceTransformer
    settings: dict[str, Any] = {"dtype": torch.float32, "use_safetensors": True}
    if placement.kind == "cpu" and recipe.layers is None:
        settings["attn_implementation"] = "eager"  # its backward is the quicker one; the fused forward is quicker
    model = kind(
        str(lesson.folder.path),
        device=placement.device,
        local_files_only=True,
        trust_remote_code=False,
        model_kwargs=settings,
        processor_kwargs={"model_max_length": min(recipe.max_length, lesson.max_length)},
    )
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0  # its masks take a quarter of a step on a CPU; against overfitting there is the early stop
    return model


def _choose_parameters(model: Any, method: str, last: int | None = None) -> None:
    """Leave trainable: all but the vocabulary, or LoRA adapters on the layers of the trunk, and the head.

    Of the layers only so many last ones, where that was asked for: what is below needs no gradients, and keeps what the
    model knows of language.

    Raises:
        ConfigError: so many were asked for of a model whose layers are not to be told apart.
    """
    trunk = model.transformers_model.base_model
    layers = _layers(trunk)
    if last is not None and not layers:
        raise ConfigError(f"--layers: the layers of {type(trunk).__name__} are not to be told apart: leave it out")
    chosen = layers[-last:] if last is not None else layers or [trunk]
    if method == "full":
        trunk.get_input_embeddings().requires_grad_(False)
        if last is not None and last < len(layers):
            trunk.requires_grad_(False)
            for part in (*chosen, getattr(trunk, "pooler", None)):
                if part is not None:
                    part.requires_grad_(True)
        return
    from peft import LoraConfig, inject_adapter_in_model

    adapted = [
        name
        for name, layer in model.transformers_model.named_modules()
        if isinstance(layer, nn.Linear)
        and any(layer is own for part in chosen for own in part.modules())
        and "pooler" not in name
    ]
    in_trunk = {id(parameter) for name, parameter in trunk.named_parameters() if "pooler" not in name}
    head = [parameter for parameter in model.parameters() if id(parameter) not in in_trunk]
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=adapted)
    inject_adapter_in_model(config, model.transformers_model)
    for parameter in head:
        parameter.requires_grad_(True)


def _layers(trunk: Any) -> Sequence[nn.Module]:
    """Return the layers of a trunk in order: a list of modules that is as long as its config says; of ALBERT none."""
    count = trunk.config.num_hidden_layers
    lists = (module for module in trunk.modules() if isinstance(module, nn.ModuleList) and len(module) == count)
    return list(next(lists, ()))


def _dataset(lesson: Lesson) -> Dataset:
    examples = [example for each in lesson.rounds for example in each]
    if lesson.is_cross_encoder:
        return _lists(lesson, [example for example in examples if isinstance(example, Example)])
    return _texts(lesson, [example for example in examples if isinstance(example, TextExample)])


def _texts(lesson: Lesson, examples: Sequence[TextExample]) -> Dataset:
    """Return rows of as many queries: a text that answers fewer has one of them again, which counts once."""
    width = max(len(example.queries) for example in examples)
    others = min(len(example.negatives) for example in examples)
    asked = [[*example.queries, *example.queries[:1] * (width - len(example.queries))] for example in examples]
    columns: dict[str, list[Any]] = {"text": [lesson.texts[example.text] for example in examples]}
    for place in range(width):
        columns[f"query_{place}"] = [lesson.queries[row[place]] for row in asked]
    for place in range(others):
        columns[f"other_{place}"] = [lesson.texts[example.negatives[place]] for example in examples]
    queries = {query: number for number, query in enumerate(lesson.queries)}
    documents = {document: number for number, document in enumerate(lesson.texts)}
    columns["label"] = [
        [
            documents[example.text],
            *(queries[query] for query in row),
            *(documents[id] for id in example.negatives[:others]),
        ]
        for example, row in zip(examples, asked, strict=True)
    ]
    return Dataset.from_dict(columns)


def _lists(lesson: Lesson, examples: Sequence[Example]) -> Dataset:
    grades = lesson.qrels
    return Dataset.from_dict(
        {
            "query": [lesson.queries[example.query] for example in examples],
            "texts": [[lesson.texts[id] for id in example.documents] for example in examples],
            "label": [
                [float(grades[example.query][example.positive]), *(0.0 for _ in example.negatives)]
                for example in examples
            ],
        }
    )


def _loss(lesson: Lesson, model: Any) -> nn.Module:
    if lesson.is_cross_encoder:
        loss: nn.Module = LambdaLoss(model)
        return loss
    asked = max(len(example.queries) for each in lesson.rounds for example in each if isinstance(example, TextExample))
    documents = {document: number for number, document in enumerate(lesson.texts)}
    answers = {
        number: frozenset(documents[id] for id in lesson.relevant.get(query, ()) if id in documents)
        for number, query in enumerate(lesson.queries)
    }
    template = probe_single(load_tokenizer(lesson.folder.path))
    return RankingLoss(model, answers, template, asked=asked, is_late=lesson.kind == "late-interaction")


def _arguments(
    lesson: Lesson,
    recipe: Recipe,
    placement: Placement,
    request: FinetuneRequest,
    whole: int,
    between: int,
    columns: Sequence[str],
) -> Any:
    is_cross = lesson.is_cross_encoder
    rounds = placement.dtype != "fp32"
    is_fp16 = placement.dtype == "fp16" and not torch.cuda.is_bf16_supported()  # its range needs scaled gradients
    kind: Any = CrossEncoderTrainingArguments if is_cross else SentenceTransformerTrainingArguments
    return kind(
        output_dir=str(request.work),
        max_steps=whole,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        warmup_steps=WARMUP,
        weight_decay=0.01,
        seed=request.seed,
        data_seed=request.seed,
        eval_strategy="steps",
        eval_steps=between,
        save_strategy="steps",
        save_steps=max(1, between // CHECKPOINTS),
        save_total_limit=1,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=placement.kind == "cpu",
        bf16=rounds and not is_fp16,
        fp16=is_fp16,
        dataloader_pin_memory=placement.kind == "cuda",
        prompts=None if is_cross else _prompts(lesson, columns),
        **({} if is_cross else {"batch_sampler": _in_order}),
    )


def _in_order(dataset: Dataset, *, batch_size: int, drop_last: bool, **_: Any) -> BatchSampler:
    """Return batches of rows as they come: every round is in an order of its own."""
    return BatchSampler(SequentialSampler(dataset), batch_size, drop_last)


def _prompts(lesson: Lesson, columns: Sequence[str]) -> dict[str, str] | None:
    """Return what stands in front of the texts of every column."""
    query, text = lesson.folder.prompts()
    if not query and not text:
        return None
    return {name: query if name.startswith("query") else text for name in columns if name != "label"}


class _Evaluator(BaseEvaluator):
    """What the trainer asks at every evaluation."""

    def __init__(self, held_out: HeldOut, base: ModelFolder, said: Callable[[Evaluation], None]) -> None:
        super().__init__()
        self._held_out = held_out
        self._base = base
        self._said = said

    def __call__(self, model: Any, output_path: str | None = None, epoch: float = -1, steps: int = -1) -> Any:
        del output_path, epoch
        found = self._held_out.evaluate(steps, lambda target: saving.save(model, self._base, target))
        self._said(found)
        return {"held_out": found.value}


class _Course(transformers.TrainerCallback):
    """Tells of steps, and ends the training where there is no use in going on."""

    def __init__(self, held_out: HeldOut, advance: Callable[[int], None]) -> None:
        self._held_out = held_out
        self._advance = advance

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._advance(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._advance(1)

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._held_out.is_over:
            control.should_training_stop = True


class _Checkpoints:
    """What the two trainers here do in their own way: checkpoints of what is trained, and no model card."""

    model: Any

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        assert output_dir is not None
        Path(output_dir).mkdir(parents=True, exist_ok=True)
        weights = {
            name: parameter.detach().cpu().contiguous()
            for name, parameter in self.model.named_parameters()
            if parameter.requires_grad
        }
        save_file(weights, Path(output_dir) / _TRAINED)

    def _load_from_checkpoint(self, checkpoint: str, model: Any = None) -> None:
        path = Path(checkpoint) / _TRAINED
        if not path.is_file():
            raise ConfigError(f"--resume: {checkpoint} is no checkpoint of ours")
        self.model.load_state_dict(load_file(path), strict=False)

    def add_model_card_callback(self, default_args_dict: Any) -> None:
        pass


class _CrossEncoderTrainer(_Checkpoints, CrossEncoderTrainer):
    pass


class _BiEncoderTrainer(_Checkpoints, SentenceTransformerTrainer):
    pass

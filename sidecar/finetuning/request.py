"""What `finetune` is asked for: the words of the command line as values.

Law: what cannot be is refused here, before an engine is asked or a model is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final, Literal

from sidecar.errors import ConfigError
from sidecar.evaluation.request import DEFAULT_WINDOW, EvaluationRequest

Method = Literal["lora", "full"]

MEASURE: Final = "nDCG@10"
HELD_OUT_SHARE: Final = 0.1
HELD_OUT_MOST: Final = 100
"""Queries held out unless somebody says how many: a share of them, of many only so many, since each is reranked at
every evaluation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a model is trained."""

    method: Method
    #: the highest
    learning_rate: float
    #: layers that are trained, from the last one on; None = all
    layers: int | None
    #: examples of a step: of cross-encoders a relevant text of a query, of bi-encoders a text and queries
    batch_size: int
    #: relevant texts of a query at most, None = all; and texts beside each that are not relevant
    per_query: int | None
    negatives: int
    #: queries of a text at most; of bi-encoders alone
    per_text: int
    #: rounds over all examples
    epochs: float
    #: tokens of a text in training
    max_length: int


CROSS_ENCODER: Final = Recipe(
    method="lora",
    learning_rate=5e-4,
    layers=None,
    batch_size=16,
    per_query=4,
    negatives=3,
    per_text=1,
    epochs=1.0,
    max_length=128,
)
BI_ENCODER: Final = Recipe(
    method="full",
    learning_rate=3e-4,
    layers=2,
    batch_size=64,
    per_query=None,
    negatives=0,
    per_text=8,
    epochs=8.0,
    max_length=256,
)
OTHER_RATES: Final[dict[Method | None, float]] = {"full": 5e-5, "lora": 5e-4}
"""Learning rates of the method that is not the recipe's. The figures behind all of it are in docs/finetuning.md."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneRequest:
    """Everything that the command line says beside the settings."""

    #: folder of the dataset, "sample", or None for a CSV of judgments that has the queries
    dataset: str | None = None
    #: judgments to train on
    qrels: Path
    #: judgments of other queries, on which before and after are measured; None = the queries held out
    test_qrels: Path | None = None
    #: stored first stages in place of an engine
    run: Path | None = None
    test_run: Path | None = None
    #: the model that is adapted, and the folder that the adapted one is written to
    model: str
    output: Path
    #: what the recipe of the kind of model has otherwise; None = as it is there
    method: Method | None = None
    learning_rate: float | None = None
    layers: int | None = None
    batch_size: int | None = None
    per_query: int | None = None
    negatives: int | None = None
    per_text: int | None = None
    epochs: float | None = None
    max_length: int | None = None
    #: what is searched, as `evaluate` has it
    index: str | None = None
    index_corpus: bool = False
    analyzer: str = "english"
    fields: tuple[str, ...] = ()
    body: str | None = None
    #: lowest grade that counts as relevant
    relevant_from: int = 1
    #: candidates among which negatives are looked for, and that the report reranks
    window: int = DEFAULT_WINDOW
    #: candidates of a held-out query that are reranked at every evaluation
    held_out_window: int = 30
    #: queries held out; None = HELD_OUT_SHARE of them, HELD_OUT_MOST at most
    held_out: int | None = None
    #: evaluations in the course of the training, and how many in a row may bring nothing
    evaluations: int = 6
    patience: int = 3
    seed: int = 42
    #: judged queries at most, held out or trained on
    limit: int | None = None
    #: go on from the last checkpoint
    resume: bool = False
    json: Path | None = None
    html: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ConfigError: the message names the option.
        """
        if self.run is not None and self.test_qrels is not None and self.test_run is None:
            raise ConfigError("--test-run: the first stage of --test-qrels, where --run is that of the training")
        if self.output.exists() and (not self.output.is_dir() or any(self.output.iterdir())):
            raise ConfigError(f"--output: {self.output} is there already; give a new folder")

    @property
    def work(self) -> Path:
        """The folder of checkpoints, beside the output; it goes when the training is done."""
        return self.output.with_name(f"{self.output.name}.work")

    def recipe(self, *, is_cross_encoder: bool) -> Recipe:
        """Return how a model of a kind is trained: the kind's recipe, but for what was said.

        Raises:
            ConfigError: a cross-encoder would have nothing to tell a relevant text from, or queries that it cannot use.
        """
        if is_cross_encoder and self.per_text is not None:
            raise ConfigError("--per-text: a cross-encoder reads a text anew for every query; see --per-query")
        if is_cross_encoder and self.negatives == 0:
            raise ConfigError("--negatives: a cross-encoder compares a relevant text with others: give 1 or more")
        usual = CROSS_ENCODER if is_cross_encoder else BI_ENCODER
        if self.method not in (None, usual.method):
            usual = replace(usual, learning_rate=OTHER_RATES[self.method])
        said = {each.name: getattr(self, each.name) for each in fields(Recipe)}
        return replace(usual, **{name: value for name, value in said.items() if value is not None})

    def training_source(self) -> EvaluationRequest:
        """Return what `evaluate` would be asked to search the training queries."""
        return self._evaluation(
            self.qrels, self.run, index_corpus=self.index_corpus, windows=(self.window,), limit=self.limit
        )

    def report(self, qrels: Path, tuned: Path) -> EvaluationRequest:
        """Return what `evaluate` is asked for the report: the model, and what it was tuned to, on `qrels`."""
        return self._evaluation(
            qrels,
            self.run if self.test_qrels is None else self.test_run,
            index_corpus=False,
            models=(self.model, str(tuned)),
            windows=(self.window,),
            json=self.json,
            html=self.html,
        )

    def held_out_of(self, queries: int) -> int:
        """Return how many of so many queries are held out.

        Raises:
            ConfigError: none would be left on one of the sides.
        """
        count = min(HELD_OUT_MOST, max(1, round(queries * HELD_OUT_SHARE))) if self.held_out is None else self.held_out
        if not 0 < count < queries:
            raise ConfigError(f"--held-out: got {count} of {queries} judged queries; some must be left on both sides")
        return count

    def _evaluation(self, qrels: Path, run: Path | None, **changes: object) -> EvaluationRequest:
        return EvaluationRequest(
            dataset=self.dataset,
            qrels=qrels,
            run=run,
            index=self.index,
            analyzer=self.analyzer,
            fields=self.fields,
            body=self.body,
            relevant_from=self.relevant_from,
            **changes,  # type: ignore[arg-type]
        )

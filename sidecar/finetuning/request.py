"""What `finetune` is asked for: the words of the command line as values.

Law: what cannot be is refused here, before an engine is asked or a model is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from sidecar.errors import ConfigError
from sidecar.evaluation.request import DEFAULT_WINDOW, EvaluationRequest

Method = Literal["lora", "full"]

LEARNING_RATES: Final[dict[Method, float]] = {"lora": 5e-4, "full": 5e-5}
MEASURE: Final = "nDCG@10"
HELD_OUT_SHARE: Final = 0.1
HELD_OUT_MOST: Final = 100
"""Queries held out unless somebody says how many: a share of them, of many only so many, since each is reranked at
every evaluation."""


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
    method: Method = "lora"
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
    #: examples of a query at most, each with a relevant text of its own; and texts beside it that are not relevant
    per_query: int = 4
    negatives: int = 3
    epochs: float = 1.0
    #: examples of a step
    batch_size: int = 16
    #: None = LEARNING_RATES of the method
    learning_rate: float | None = None
    #: tokens of a text in training; None = as many as the model reads
    max_length: int | None = 128
    #: evaluations in the course of the training, and how many in a row may bring nothing
    evaluations: int = 6
    patience: int = 2
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

    @property
    def rate(self) -> float:
        """The highest learning rate."""
        return LEARNING_RATES[self.method] if self.learning_rate is None else self.learning_rate

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

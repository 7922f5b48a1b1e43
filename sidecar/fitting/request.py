"""What `fit-weights` is asked for: the words of the command line as values.

Law: what cannot be is refused here, before an engine is asked or a model is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidecar.errors import ConfigError
from sidecar.evaluation.request import DEFAULT_WINDOW, EvaluationRequest

HELD_OUT_SHARE: Final = 0.25
"""Of the queries, unless somebody says how many: a difference of rankings takes many queries to be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRequest:
    """Everything that the command line says beside the settings."""

    #: folder of the dataset, "sample", or None for a CSV of judgments that has the queries
    dataset: str | None = None
    #: judgments to fit to
    qrels: Path
    #: judgments of other queries to check on; None = a part of the queries is held out
    test_qrels: Path | None = None
    #: stored first stages in place of an engine
    run: Path | None = None
    test_run: Path | None = None
    #: name of the model; None = what the settings say
    model: str | None = None
    #: what is searched, as `evaluate` has it
    index: str | None = None
    index_corpus: bool = False
    analyzer: str = "english"
    fields: tuple[str, ...] = ()
    body: str | None = None
    window: int = DEFAULT_WINDOW
    #: queries held out; None = HELD_OUT_SHARE of them
    held_out: int | None = None
    #: judged queries at most
    limit: int | None = None
    seed: int = 42
    json: Path | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ConfigError: the message names the option.
        """
        if self.run is not None and self.test_qrels is not None and self.test_run is None:
            raise ConfigError("--test-run: the first stage of --test-qrels, where --run is that of --qrels")
        if self.held_out is not None and self.test_qrels is not None:
            raise ConfigError("--held-out and --test-qrels: give one of them")

    def held_out_of(self, queries: int) -> int:
        """Return how many of so many queries are held out.

        Raises:
            ConfigError: none would be left on one of the sides.
        """
        count = max(1, round(queries * HELD_OUT_SHARE)) if self.held_out is None else self.held_out
        if not 0 < count < queries:
            raise ConfigError(f"--held-out: got {count} of {queries} judged queries; some must be left on both sides")
        return count

    def searched(self) -> EvaluationRequest:
        """Return what `evaluate` would be asked to search the queries of `qrels`."""
        return self._evaluation(self.qrels, self.run, index_corpus=self.index_corpus)

    def tested(self) -> EvaluationRequest | None:
        """Return the same for the queries of `test_qrels`, None where a part of the others is held out."""
        if self.test_qrels is None:
            return None
        return self._evaluation(self.test_qrels, self.test_run, index_corpus=False)

    def _evaluation(self, qrels: Path, run: Path | None, *, index_corpus: bool) -> EvaluationRequest:
        return EvaluationRequest(
            dataset=self.dataset,
            qrels=qrels,
            run=run,
            index=self.index,
            index_corpus=index_corpus,
            analyzer=self.analyzer,
            fields=self.fields,
            body=self.body,
            windows=(self.window,),
            limit=self.limit,
        )

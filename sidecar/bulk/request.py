"""What `bulk` is asked for: the words of the command line as values.

Law: what cannot be is refused here, before a model is loaded or an engine is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sidecar.errors import ConfigError
from sidecar.evaluation.request import DEFAULT_WINDOW, EvaluationRequest, FusionChoice

PARQUET: Final = ".parquet"
JOURNAL: Final = ".journal"
DEFAULT_LANES: Final = 4
DEFAULT_REPORT_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RayRequest:
    """Over which cluster, and how many scorers of what size."""

    #: as `ray.init` has it; "local" begins a cluster of this machine
    address: str
    scorers: int = 1
    #: of each scorer
    gpus: float = 0.0
    cpus: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRequest:
    """Everything that the command line says beside the settings."""

    #: what is written; a name that ends in .parquet is a table with texts, any other a TREC run
    outputs: tuple[Path, ...]
    #: folder of the dataset, or "sample"
    dataset: str | None = None
    #: a file of queries in place of the dataset's own
    queries: Path | None = None
    #: a stored first stage in place of an engine
    run: Path | None = None
    window: int = DEFAULT_WINDOW
    fusion: FusionChoice = field(default_factory=FusionChoice)
    #: what is searched
    index: str | None = None
    #: put the dataset's corpus into `index` first
    index_corpus: bool = False
    analyzer: str = "english"
    #: fields that are searched and scored; none = the dataset's text fields
    fields: tuple[str, ...] = ()
    #: a search body with PLACEHOLDER, as JSON
    body: str | None = None
    #: hits of a ranking; None = the window
    depth: int | None = None
    #: queries at most
    limit: int | None = None
    #: the engine reranks: a proxy of ours, whose caches are filled
    is_served: bool = False
    #: queries in hand at a time
    lanes: int = DEFAULT_LANES
    ray: RayRequest | None = None
    #: begin anew, whatever was done
    restart: bool = False
    #: between two lines about the progress, where standard error is no terminal
    report_seconds: float = DEFAULT_REPORT_SECONDS

    def __post_init__(self) -> None:
        """Refuse what cannot be. Raises ConfigError."""
        if not self.outputs:
            raise ConfigError("--output: say what is written: run.trec, rows.parquet, or both")
        if len(set(self.outputs)) < len(self.outputs):
            raise ConfigError("--output: the same file is named twice")
        if self.is_served and self.run is not None:
            raise ConfigError("--served and --run: a file reranks nothing; give --engine URL with --served")
        if self.is_served and self.ray is not None:
            raise ConfigError("--served and --ray: the engine reranks, so there is nothing to score; give one of them")

    @property
    def journal(self) -> Path:
        """Where answers are kept until all are there: beside the first output."""
        first = self.outputs[0]
        return first.with_name(first.name + JOURNAL)

    @property
    def tables(self) -> Sequence[Path]:
        """Outputs that are Parquet."""
        return [path for path in self.outputs if path.suffix == PARQUET]

    @property
    def runs(self) -> Sequence[Path]:
        """Outputs that are TREC runs."""
        return [path for path in self.outputs if path.suffix != PARQUET]

    def as_evaluation(self) -> EvaluationRequest:
        """Return it as `evaluate` asks for a first stage and settings."""
        return EvaluationRequest(
            dataset=self.dataset,
            run=self.run,
            windows=(self.window,),
            fusions=(self.fusion,),
            index=self.index,
            index_corpus=self.index_corpus,
            analyzer=self.analyzer,
            fields=self.fields,
            body=self.body,
            depth=self.depth or self.window,
        )

"""What `replay` is asked for: the words of the command line as values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

RATE: Final = 10.0
CONCURRENCY: Final = 2
JUDGED_DEPTH: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """Everything that the command line says beside the settings."""

    files: tuple[Path, ...]
    #: what is searched in place of what was recorded
    index: str | None = None
    #: searches of a second at most, 0 for as many as there can be; each asks the engine two or three times
    rate: float = RATE
    #: searches in hand at the same time
    concurrency: int = CONCURRENCY
    #: recorded searches at most, drawn at random
    limit: int | None = None
    #: send a search as often as it was recorded, and not once
    is_all: bool = False
    #: hits of both rankings, from the first; None = the page that the caller asked for
    depth: int | None = None
    #: judgments, and a folder with queries that say what their query ids stand for
    qrels: Path | None = None
    dataset: str | None = None
    measures: tuple[str, ...] = ()
    relevant_from: int = 1
    json: Path | None = None
    html: Path | None = None

    @property
    def is_judged(self) -> bool:
        """Whether there are judgments."""
        return self.qrels is not None or self.dataset is not None

    @property
    def ranked(self) -> int | None:
        """Hits of both rankings, from the first; None = the page that the caller asked for."""
        return self.depth or (JUDGED_DEPTH if self.is_judged else None)

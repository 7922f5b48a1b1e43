"""The held-out queries: a measure at every evaluation, the best model so far, and when there is no use in going on.

Law: what counts is the measure that `evaluate` takes of the folder that would be served. All is on disk at once, so
that a training that is taken up again knows what it knew.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_HISTORY: Final = "held-out.json"
_CANDIDATE: Final = "candidate"
_BEST: Final = "best"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was measured after so many steps."""

    step: int
    value: float


class HeldOut:
    """The evaluations of one training."""

    def __init__(self, work: Path, measure: Callable[[Path], float], patience: int) -> None:
        """Keep all in the folder `work`, where there may be something from before; `measure` measures a model folder.

        After `patience` evaluations in a row that brought nothing it is over.
        """
        self._work = work
        self._measure = measure
        self._patience = patience
        self._evaluations = self._read()

    @property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """All of them, in order."""
        return tuple(self._evaluations)

    @property
    def best(self) -> Evaluation | None:
        """The first of the best ones; None before any."""
        return max(self._evaluations, key=lambda each: each.value, default=None)

    @property
    def best_folder(self) -> Path:
        """The model of the best evaluation."""
        return self._work / _BEST

    @property
    def is_over(self) -> bool:
        """Whether the latest evaluations brought nothing."""
        return self.best is not None and sum(each.step > self.best.step for each in self._evaluations) >= self._patience

    def evaluate(self, step: int, save: Callable[[Path], None]) -> Evaluation:
        """Measure the model that `save` writes after so many steps, and keep it if none was better."""
        self._evaluations = [each for each in self._evaluations if each.step < step]
        candidate = self._work / _CANDIDATE
        save(candidate)
        found = Evaluation(step=step, value=self._measure(candidate))
        self._evaluations.append(found)
        if self.best is found:
            shutil.rmtree(self.best_folder, ignore_errors=True)
            candidate.rename(self.best_folder)
        self._write()
        return found

    def _read(self) -> list[Evaluation]:
        path = self._work / _HISTORY
        return [Evaluation(**each) for each in json.loads(path.read_text())] if path.is_file() else []

    def _write(self) -> None:
        values = [{"step": each.step, "value": each.value} for each in self._evaluations]
        (self._work / _HISTORY).write_text(json.dumps(values))

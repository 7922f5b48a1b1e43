"""A system in a process of its own, so that no library's threads get in another's way, in an environment of its own.

Both ends of it: `Child` starts one and asks it; as a program, this module is one. They talk in lines of JSON. Law: the
clock runs in the child, around the scoring alone; strings go in and numbers come out, tokenization is part of it.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from benchmarks.machine import REPOSITORY, versions
from benchmarks.workload import Search

ENVIRONMENT = {"TOKENIZERS_PARALLELISM": "true", "HF_HUB_OFFLINE": "1", "GOMP_SPINCOUNT": "1000"}
"""All tokenize on all cores, and all wait for their threads as we do: OpenMP's own spinning costs nothing on an idle
machine, and a factor for everybody but us on one that is not."""

SWEEP_TEXTS = 100

SWEEP_SECONDS = 1.5
"""A batch size that needs longer is tried once."""

PACKAGES = (
    "torch", "transformers", "tokenizers", "sentence-transformers", "onnxruntime", "optimum-onnx", "openvino",
    "optimum-intel", "flashrank",
)  # fmt: skip
"""Whose versions a child tells."""


class ChildFailed(Exception):
    """A system could not be loaded, or failed; the words are its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """What is to be measured: a class in `benchmarks.systems`, and how it is made."""

    name: str
    #: module and class, "ours:Ours"
    place: str
    precision: str
    options: dict[str, Any] = field(default_factory=dict)
    #: packages that its environment must have
    needs: tuple[str, ...] = ()
    #: which environment it runs in: "bench", or that of an older transformers
    environment: str = "bench"
    #: the batch size that people get who say nothing; 0 = it chooses by itself
    default_batch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What came of scoring searches once."""

    scores: list[list[float]]
    seconds: float


class Child:
    """One loaded system."""

    def __init__(self, system: System, folder: Path, *, python: Path, threads: int, max_length: int) -> None:
        """Start loading the model in `folder` with the interpreter `python`."""
        order = {
            "place": system.place,
            "folder": str(folder),
            "options": {"threads": threads, "max_length": max_length, **system.options},
        }
        self.system = system
        self.batch_size = 0
        self.batch_sizes: Sequence[int] = ()
        self.versions: dict[str, str] = {}
        #: in words if it does not run as it was asked to
        self.note = ""
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115  # as long as it
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.child", json.dumps(order)],
            cwd=REPOSITORY,
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            encoding="utf-8",
        )

    def wait_until_loaded(self) -> None:
        """Wait for the model. Raises ChildFailed."""
        told = self._answer()
        self.batch_sizes, self.batch_size = told["batch_sizes"], told["batch_size"]
        self.versions, self.note = told["versions"], told["note"]

    def score(self, searches: Sequence[Search]) -> Scored:
        """Score searches at the same time. Raises ChildFailed."""
        asked = [[search.query, search.texts] for search in searches]
        told = self._ask({"searches": asked, "batch_size": self.batch_size})
        return Scored(scores=told["scores"], seconds=told["seconds"])

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(OSError):
            _stream(self._process.stdin).close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _stream(self._process.stdout).close()
        self._stderr.close()

    def _ask(self, question: Any) -> Any:
        try:
            stdin = _stream(self._process.stdin)
            stdin.write(json.dumps(question) + "\n")
            stdin.flush()
        except OSError as error:
            raise ChildFailed(f"{self.system.name} has ended") from error
        return self._answer()

    def _answer(self) -> Any:
        line = _stream(self._process.stdout).readline()
        told = json.loads(line) if line else {"error": f"it has ended: {self._last_words()}"}
        if "error" in told:
            raise ChildFailed(f"{self.system.name}: {told['error']}")
        return told

    def _last_words(self) -> str:
        self._process.wait(10)
        self._stderr.seek(0)
        return self._stderr.read().strip()[-500:]


def sweep(child: Child, searches: Sequence[Search]) -> dict[int, float]:
    """Let a child use the batch size with which it is fastest, and return the seconds of all that were tried.

    It is warm then, also when there is nothing to choose. The first `SWEEP_TEXTS` of a search are enough for that.
    """
    searches = [Search(search.query, search.texts[:SWEEP_TEXTS]) for search in searches]
    pairs = sum(len(search.texts) for search in searches)
    child.score(searches)
    times = {}
    for size in [size for size in child.batch_sizes if size <= pairs] or child.batch_sizes[:1]:
        child.batch_size = size
        times[size] = _best_seconds(child, searches)
    if times:
        child.batch_size = min(times, key=times.__getitem__)
    return times


def _best_seconds(child: Child, searches: Sequence[Search]) -> float:
    times = [child.score(searches).seconds]
    while len(times) < 3 and sum(times) + times[-1] < SWEEP_SECONDS:
        times.append(child.score(searches).seconds)
    return min(times)


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def main(order: dict[str, Any]) -> None:
    """Load a system and score what comes in, until nothing does."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print while they load is no answer

    def tell(answer: Any) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        module, _, name = order["place"].partition(":")
        kind = getattr(importlib.import_module(f"benchmarks.systems.{module}"), name)
        system = kind(Path(order["folder"]), **order["options"])
        facts = {"batch_sizes": system.batch_sizes, "batch_size": system.batch_size}
        tell({**facts, "versions": versions(PACKAGES), "note": getattr(system, "note", "")})
        for line in sys.stdin:
            asked = json.loads(line)
            system.batch_size = asked["batch_size"]
            searches = [Search(query, tuple(texts)) for query, texts in asked["searches"]]
            began = time.perf_counter()
            scores = system.score(searches)
            tell({"seconds": time.perf_counter() - began, "scores": scores})
    except Exception as error:  # noqa: BLE001  # whatever a system raises is told in its words
        tell({"error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(json.loads(sys.argv[1]))

"""What the answers depend on, so that no output mixes two jobs.

Law: a job that is gone on with asks the same queries of the same first stage and reranks them by the same model under
the same settings; anything else is refused in words. Where the engine or the scorer stands is not among it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from sidecar.bulk.journal import Journal
from sidecar.bulk.request import BulkRequest
from sidecar.errors import ConfigError
from sidecar.evaluation.datasets import Dataset
from sidecar.program import parts
from sidecar.program.parts import Options
from sidecar.scoring.base import ModelFacts

Conditions = Mapping[str, Any]

ASKED: Final = "asked"
SCORED: Final = "scored"


def asked(options: Options, request: BulkRequest, dataset: Dataset) -> Conditions:
    """Return what is known before the long work begins."""
    settings = options.settings
    model = settings.model.name if settings.scorer.url is None else "elsewhere"
    return {
        "version": parts.program_version(),
        "queries": hashlib.sha256(json.dumps(list(dataset.queries.items())).encode()).hexdigest(),
        "run": _digest(request.run),
        "corpus": _digest(dataset.corpus) if request.run or settings.engine.urls[0] == parts.EMBEDDED else None,
        "index": request.index,
        "analyzer": request.analyzer,
        "fields": list(request.fields),
        "body": request.body,
        "window": request.window,
        "depth": request.depth,
        "fusion": asdict(request.fusion),
        "served": request.is_served,
        "model": None if request.is_served else model,
        "texts": bool(request.tables),
    }


def scored(facts: ModelFacts | None, settings: str) -> Conditions:
    """Return what is known once the model is: who scores, and under which settings."""
    if facts is None:
        return {"settings": settings}
    names = ("revision", "kind", "max_length", "device", "dtype")
    return {**{name: getattr(facts, name) for name in names}, "settings": settings}


def agree(journal: Journal, part: str, now: Conditions) -> None:
    """Note the conditions of a new job.

    Raises:
        ConfigError: the journal is another job's.
    """
    before = journal.get(part)
    if before is None:
        journal.put(part, now)
        return
    other = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if other:
        name = other[0]
        raise ConfigError(
            f"{journal.path}: was begun with another {name}: {before.get(name)!r}, now {now.get(name)!r}; "
            "give --restart to begin anew, or another --output"
        )


def dtype_before(journal: Journal) -> str | None:
    """Return the dtype that an interrupted job has scored in: `auto` is chosen anew at each start."""
    before = journal.get(SCORED)
    return None if before is None else before.get("dtype")


def _digest(path: Path | None) -> str | None:
    """Return the SHA-256 of a file. Raises ConfigError when it cannot be read."""
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error

"""TREC run files: `query Q0 document rank score tag`.

Law: a run is ordered by its scores, as trec_eval orders it; where scores are equal, the rank column decides. What is
written has no equal scores, not even in single precision, so that every tool reads the order that was meant.

*Source:* trec_eval's input format; it keeps scores as C floats and orders equal ones by document id.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sidecar.errors import ConfigError
from sidecar.evaluation.files import lines, write


@dataclass(frozen=True, slots=True)
class ScoredId:
    """A document of a ranking."""

    id: str
    score: float


Run = Mapping[str, Sequence[ScoredId]]
"""Rankings by query id, best first."""


def read(path: Path) -> Run:
    """Return the rankings of a run file.

    Raises:
        ConfigError: it cannot be read, a line has not six columns, or a document stands twice under one query.
    """
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for number, line in lines(path):
        query, document, rank, score = _columns(path, number, line)
        ranking = found.setdefault(query, {})
        if document in ranking:
            raise ConfigError(f"{path}, line {number}: document {document} is there twice for query {query}")
        ranking[document] = (-score, rank)
    if not found:
        raise ConfigError(f"{path}: has no lines")
    return {query: _ordered(ranking) for query, ranking in found.items()}


def save(path: Path, rankings: Run, tag: str) -> None:
    """Write rankings as a run file; scores that are equal, or so in single precision, fall by the least there is.

    Raises:
        ConfigError: it cannot be written, or an id has white space in it.
    """
    write(path, "".join(written(path, query, ranking, tag) for query, ranking in rankings.items()))


def written(path: Path, query: str, ranking: Sequence[ScoredId], tag: str) -> str:
    """Return the lines of one query's ranking, as `save` writes them to `path`.

    Raises:
        ConfigError: an id has white space in it.
    """
    rows: list[str] = []
    scores = strictly_falling([scored.score for scored in ranking])
    for rank, (scored, score) in enumerate(zip(ranking, scores, strict=True), start=1):
        if len(f"{query} {scored.id}".split()) != 2:
            raise ConfigError(f"{path}: white space in {query!r} or {scored.id!r}: a run file cannot hold it")
        rows.append(f"{query} Q0 {scored.id} {rank} {score!r} {tag}\n")
    return "".join(rows)


def strictly_falling(scores: Sequence[float]) -> list[float]:
    """Return scores that fall from one to the next also as C floats, as near to `scores` as can be."""
    falling: list[float] = []
    before = math.inf
    for score in scores:
        single = _single(score)
        if single >= before:
            score = single = _next_below(before)
        falling.append(score)
        before = single
    return falling


def _single(value: float) -> float:
    """Return the nearest single-precision number, infinity beyond the largest."""
    try:
        single: float = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return math.copysign(math.inf, value)
    return single


def _next_below(single: float) -> float:
    """Return the single-precision number next below one."""
    if single == 0.0:
        return -struct.unpack("<f", b"\x01\x00\x00\x00")[0]  # type: ignore[no-any-return]
    (bits,) = struct.unpack("<i", struct.pack("<f", single))
    below: float = struct.unpack("<f", struct.pack("<i", bits - 1 if single > 0 else bits + 1))[0]
    return below


def _columns(path: Path, number: int, line: str) -> tuple[str, str, float, float]:
    try:
        query, _, document, rank, score, _ = line.split()
        found = query, document, float(rank), float(score)
    except ValueError:
        raise ConfigError(f"{path}, line {number}: expected `query Q0 document rank score tag`") from None
    if not all(map(math.isfinite, found[2:])):
        raise ConfigError(f"{path}, line {number}: rank and score must be finite numbers")
    return found


def _ordered(ranking: Mapping[str, tuple[float, float]]) -> list[ScoredId]:
    return [ScoredId(id, -negative) for id, (negative, _) in sorted(ranking.items(), key=lambda item: item[1])]

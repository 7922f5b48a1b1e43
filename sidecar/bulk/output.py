"""All answers in the order of the queries: as a TREC run, and as a Parquet table with texts.

Laws: a file appears whole or not at all; equal answers make equal bytes; no more than a group of rows is in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sidecar.bulk.answers import Answer, Row
from sidecar.errors import ConfigError
from sidecar.evaluation import runs
from sidecar.evaluation.runs import ScoredId

TAG: Final = "rerank-sidecar"
GROUP_ROWS: Final = 20_000
"""Rows of a Parquet row group, or a few more: a query's rows stay together."""

Answers = Iterable[tuple[str, Answer]]
"""Answers by query id, in the order of the queries."""


def check_parquet(tables: Sequence[Path]) -> None:
    """Raise ConfigError where a table is wanted and pyarrow is missing."""
    if not tables:
        return
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ConfigError(f'--output {tables[0]}: Parquet needs pyarrow: pip install "rerank-sidecar[bulk]"') from error


def check_ids(path: Path, query: str, answer: Answer) -> None:
    """Raise ConfigError where an id cannot stand in a run file."""
    runs.written(path, query, _ranking(answer.rows), TAG)


def write_run(path: Path, answers: Answers) -> None:
    """Write a TREC run. Raises ConfigError when it cannot be written."""
    with _whole(path) as partial, partial.open("w", encoding="utf-8") as file:
        for query, answer in answers:
            file.write(runs.written(path, query, _ranking(answer.rows), TAG))


def write_table(path: Path, answers: Answers, texts: Mapping[str, str]) -> None:
    """Write a Parquet table with a row for every hit; `texts` are those of the queries.

    Raises:
        ConfigError: it cannot be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema(
        [
            pa.field("query_id", pa.string(), nullable=False),
            pa.field("query", pa.string(), nullable=False),
            pa.field("document_id", pa.string(), nullable=False),
            pa.field("text", pa.string(), nullable=False),
            pa.field("rank", pa.int32(), nullable=False),
            pa.field("score", pa.float64(), nullable=False),
            pa.field("model_score", pa.float64()),
            pa.field("first_stage_rank", pa.int32()),
            pa.field("first_stage_score", pa.float64()),
        ]
    )
    with _whole(path) as partial, parquet.ParquetWriter(partial, schema, compression="zstd") as writer:
        for group in _groups(_records(answers, texts)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _records(answers: Answers, texts: Mapping[str, str]) -> Iterator[list[dict[str, Any]]]:
    for query, answer in answers:
        yield [
            {
                "query_id": query,
                "query": _valid(texts[query]),
                "document_id": row.document,
                "text": _valid(row.text),
                "rank": row.rank,
                "score": row.score,
                "model_score": row.model_score,
                "first_stage_rank": row.first_stage_rank,
                "first_stage_score": row.first_stage_score,
            }
            for row in answer.rows
        ]


def _groups(records: Iterable[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    for rows in records:
        group += rows
        if len(group) >= GROUP_ROWS:
            yield group
            group = []
    if group:
        yield group


def _valid(text: str) -> str:
    """Return a text without lone surrogates, which Parquet's UTF-8 has no place for."""
    return text.encode("utf-8", "replace").decode()


def _ranking(rows: Sequence[Row]) -> list[ScoredId]:
    return [ScoredId(row.document, row.score) for row in rows]


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Give a file to write to, which takes the place of `path` at the end."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error

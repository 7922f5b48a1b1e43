"""The results on the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterable
from statistics import fmean
from typing import Final

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sidecar.evaluation.document import PERCENTILES, milliseconds
from sidecar.evaluation.results import OVERLAP_DEPTH, Measured, Reranked, Results, ShownQuery

FIRST_STAGE: Final = "first stage"
FILE_WIDTH: Final = 140
"""Characters of a line where there is no terminal."""


def show(results: Results) -> None:
    """Print what was measured, how it compares, and the queries to look at."""
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = FILE_WIDTH
    console.print(Group(*_parts(results)))


def heading(results: Results) -> list[tuple[str, str]]:
    """Return what was evaluated, by name."""
    source = results.source
    return [
        ("dataset", f"{source.dataset.name}, {len(source.dataset.queries)} queries"),
        (FIRST_STAGE, f"{source}, {source.question.size} hits"),
        ("query", source.query) if source.query else ("fields", ", ".join(source.fields)),
        *(("note", note) for note in (*source.dataset.notes, *_skipped(results))),
    ]


def _skipped(results: Results) -> Iterable[str]:
    for system in results.systems:
        for reason, count in system.rankings.skipped.items():
            yield f"{system.label}: {count} queries were not reranked ({reason}); the first stage's order counts"


def _parts(results: Results) -> Iterable[RenderableType]:
    yield Text("\n".join(f"{name:<13}{value}" for name, value in heading(results)))
    if results.measures:
        yield _measures(results)
    if results.measures:
        yield _comparison(results)
    yield _agreement(results)
    best = results.best
    shown = results.to_look_at(best)
    if shown:
        what = f"hurt most on {results.primary}" if results.primary else "changed most"
        yield Text(f"\nQueries {what} by {best.label}", style="bold")
    for query in shown:
        yield _query(query)


def _measures(results: Results) -> Table:
    table = _table("", *results.measures)
    table.add_row(FIRST_STAGE, *(f"{results.first_stage.means[name]:.4f}" for name in results.measures))
    for system in results.systems:
        table.add_row(system.label, *(f"{system.means[name]:.4f}" for name in results.measures))
    return table


def _comparison(results: Results) -> Table:
    table = _table("", f"Δ {results.primary}", "95 % interval", "p", "won/lost/tied")
    for system in results.systems:
        table.add_row(system.label, *_against(system))
    return table


def _against(system: Reranked) -> Iterable[str]:
    comparison = system.comparison
    if comparison is None:
        return
    low, high = comparison.interval
    yield f"{comparison.mean:+.4f}"
    yield f"{low:+.4f} … {high:+.4f}"
    yield f"{comparison.p_value:.4f}"
    yield f"{comparison.wins}/{comparison.losses}/{comparison.ties}"


def _agreement(results: Results) -> Table:
    table = _table("", f"Jaccard@{OVERLAP_DEPTH}", "RBO", "scored", *(f"p{percent} ms" for percent in PERCENTILES))
    table.add_row(FIRST_STAGE, "", "", "", *_times(results.first_stage))
    for system in results.systems:
        overlap = (f"{fmean(values.values()):.3f}" for values in (system.jaccard, system.rbo))
        table.add_row(system.label, *overlap, f"{system.scored_per_query:.1f}", *_times(system))
    return table


def _times(measured: Measured) -> Iterable[str]:
    return (f"{value:.1f}" for value in milliseconds(measured.rankings.seconds).values())


def _query(query: ShownQuery) -> RenderableType:
    values = f"{query.before:.4f} → {query.after:.4f}" if query.after is not None else f"RBO {query.rbo:.3f}"
    table = Table(show_header=True, box=None, pad_edge=False)
    for name in ("now", "was", "grade"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("id", no_wrap=True)
    table.add_column("text")
    for shown in query.hits:
        grade = "" if shown.grade is None else str(shown.grade)
        text = Text(shown.text, no_wrap=True, overflow="ellipsis")
        table.add_row(str(shown.hit.rank), str(shown.hit.first_stage_rank), grade, Text(shown.hit.id), text)
    return Group(Text(f"“{query.text}” ({query.id})  {values}"), Padding(table, (0, 0, 0, 2)))


def _table(*names: str) -> Table:
    """Return an empty table: names of systems give way where it is too wide, figures never."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for name in names:
        table.add_column(name, justify="left" if not name else "right", no_wrap=bool(name))
    return table

"""The results on the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Final

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sidecar.replay.results import DEPTH, PERCENTILES, Changed, Quality, Results, mean, named
from sidecar.replay.words import in_short, meaning

FILE_WIDTH: Final = 140
"""Characters of a line where there is no terminal."""

_SHOWN: Final = 5
_HITS: Final = 5


def show(results: Results) -> None:
    """Print what was found, and the searches to look at."""
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = FILE_WIDTH
    console.print(Group(*_parts(results)))


def heading(results: Results) -> list[tuple[str, str]]:
    """Return what was replayed, by name."""
    recording, request = results.recording, results.request
    pace = f"{request.rate:g} searches a second" if request.rate else "as fast as it goes"
    depth = f"the first {request.ranked} hits" if request.ranked else "the page that the caller asked for"
    return [
        ("recorded", f"{recording.name}: {recording.sent:,} searches, {len(recording.searches):,} different ones"),
        ("engine", results.engine),
        *(("model", line) for line in results.models),
        ("pace", f"{pace} at most, {request.concurrency} at a time"),
        ("compared", depth),
    ]


def _parts(results: Results) -> Iterable[RenderableType]:
    yield Text("\n".join(f"{name:<10}{value}" for name, value in heading(results)))
    yield Text("\n" + "\n".join(f"• {sentence}" for sentence in in_short(results)) + "\n")
    if results.quality is not None:
        yield _measures(results.quality)
    if results.reranked:
        yield _agreement(results)
        yield _latency(results)
    if results.reasons:
        yield _reasons(results)
    if results.recording.refused:
        yield _refused(results)
    for title, some in _to_look_at(results):
        yield Text(f"\n{title}", style="bold")
        yield from (_search(each, note) for each, note in some)


def _measures(quality: Quality) -> Table:
    table = _table("judged", *quality.names)
    table.add_row("engine", *(f"{quality.before[name]:.4f}" for name in quality.names))
    table.add_row("reranked", *(f"{quality.after[name]:.4f}" for name in quality.names))
    return table


def _agreement(results: Results) -> Table:
    table = _table("policy", "searches", "reranked", f"Jaccard@{DEPTH}", "RBO", "other first hit", "new hits")
    for policy in results.policies:
        figures: Sequence[str] = ()
        if policy.reranked:
            figures = (
                f"{mean(policy.reranked, lambda each: each.jaccard):.3f}",
                f"{mean(policy.reranked, lambda each: each.rbo):.3f}",
                f"{mean(policy.reranked, lambda each: each.has_other_top):.0%}",
                f"{mean(policy.reranked, lambda each: each.new):.1f}",
            )
        table.add_row(policy.name, f"{policy.sent:,}", f"{sum(each.weight for each in policy.reranked):,}", *figures)
    return table


def _latency(results: Results) -> Table:
    table = _table("milliseconds", *(f"p{percent}" for percent in PERCENTILES))
    for name, values in results.seconds.items():
        table.add_row(name, *(f"{1000 * value:,.1f}" for value in values.values()))
    return table


def _reasons(results: Results) -> Table:
    table = _table("left alone", "searches", "different")
    table.add_column("which is", justify="left")
    for each in results.reasons:
        table.add_row(each.reason, f"{each.sent:,}", f"{each.different:,}", meaning(each))
    return table


def _refused(results: Results) -> Table:
    table = _table("lines that cannot be replayed", "lines")
    table.add_column("first", justify="left")
    for reason, each in results.recording.refused.items():
        table.add_row(reason, f"{each.count:,}", each.example)
    return table


def _to_look_at(results: Results) -> Iterable[tuple[str, list[tuple[Changed, str]]]]:
    if results.quality is not None and (hurt := results.hurt_most(_SHOWN)):
        name = results.quality.primary
        yield f"Searches hurt most on {name}", [(each, f"{name} {delta:+.4f}") for each, delta in hurt]
    if changed := results.changed_most(_SHOWN):
        yield "Searches changed most", [(each, f"RBO {each.rbo:.3f}") for each in changed]


def _search(each: Changed, note: str) -> RenderableType:
    replayed = each.replayed
    was = {hit.key: rank for rank, hit in enumerate(replayed.before, start=1)}
    table = Table(show_header=True, box=None, pad_edge=False)
    for name in ("now", "was"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("id", no_wrap=True)
    table.add_column("text")
    for rank, hit in enumerate(replayed.after[:_HITS], start=1):
        before = str(was[hit.key]) if hit.key in was else "-"
        table.add_row(str(rank), before, Text(hit.id), Text(hit.text, no_wrap=True, overflow="ellipsis"))
    times = f", sent {each.weight:,} times" if each.weight > 1 else ""
    title = Text(f"“{replayed.query}” ({named(replayed.recorded)}{times})  {note}")
    return Group(title, Padding(table, (0, 0, 0, 2)))


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for place, name in enumerate(names):
        table.add_column(name, justify="right" if place else "left", no_wrap=bool(place))
    return table

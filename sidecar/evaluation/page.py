"""The results as one HTML page that needs nothing else: no script, no font, no server.

Law: whatever came from a file or an engine is escaped; a page without judgments has no figure that needs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from statistics import fmean
from typing import Final

from sidecar.evaluation import plots
from sidecar.evaluation.document import PERCENTILES, milliseconds
from sidecar.evaluation.results import OVERLAP_DEPTH, Reranked, Results, ShownQuery
from sidecar.evaluation.table import FIRST_STAGE, heading
from sidecar.program import parts

_COLUMNS: Final = (
    "Jaccard and RBO say how far the two rankings agree: 1 is the same ranking. Scored: candidates for a query, in the "
    "mean. Skipped: searches that were not reranked, for which the first stage's order counts."
)
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def page(results: Results) -> str:
    """Return the page."""
    style = resources.files("sidecar.evaluation").joinpath("page.css").read_text(encoding="utf-8")
    name = escape(results.source.dataset.name)
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>Reranking {name}</title>\n<style>\n{style}</style>"
    )
    body = "\n".join(_parts(results))
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><main>\n{body}\n</main></body></html>\n'


def _parts(results: Results) -> Iterable[str]:
    yield f"<h1>Reranking {escape(results.source.dataset.name)}</h1>"
    yield _facts(results)
    if results.measures:
        yield f"<h2>Before and after</h2>{_measures(results)}"
        yield from _judged_plots(results)
    yield f"<h2>Against the first stage</h2>{_comparison(results)}"
    yield _latency(results)
    for system in results.systems:
        yield _system(results, system)


def _facts(results: Results) -> str:
    models = {system.facts.name: parts.model_line(system.facts) for system in results.systems}
    rows = [
        *heading(results),
        *(("model", line) for line in models.values()),
        ("program", f"rerank-sidecar {parts.program_version()}"),
    ]
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in rows)}</dl>"


def _measures(results: Results) -> str:
    first = results.first_stage.means
    rows = [[FIRST_STAGE, *(f"{first[name]:.4f}" for name in results.measures)]]
    rows += [[system.label, *(f"{system.means[name]:.4f}" for name in results.measures)] for system in results.systems]
    return _table(["", *results.measures], rows)


def _judged_plots(results: Results) -> Iterable[str]:
    primary = results.primary
    assert primary is not None
    means = {FIRST_STAGE: results.first_stage.means[primary]}
    means |= {system.label: system.means[primary] for system in results.systems}
    yield plots.bars(f"{primary}, mean of {len(results.source.dataset.queries)} queries", means, baseline=FIRST_STAGE)
    lines: dict[str, list[tuple[float, float]]] = {}
    for system in results.systems:
        name = system.label.replace(f" window={system.window}", "")
        lines.setdefault(name, []).append((system.window, system.means[primary]))
    if any(len(points) > 1 for points in lines.values()):
        yield plots.curves(f"{primary} by window", lines, baseline=means[FIRST_STAGE], x_name="candidates scored")


def _comparison(results: Results) -> str:
    judged = [f"Δ {results.primary}", "95 % interval", "p", "won", "lost", "tied"] if results.primary else []
    names = ["", *judged, f"Jaccard@{OVERLAP_DEPTH}", "RBO", "scored", "skipped"]
    return _table(names, [_compared(system) for system in results.systems]) + _explained(results)


def _compared(system: Reranked) -> list[str]:
    row = [system.label]
    comparison = system.comparison
    if comparison is not None:
        low, high = comparison.interval
        row += [f"{comparison.mean:+.4f}", f"{low:+.4f} … {high:+.4f}", f"{comparison.p_value:.4f}"]
        row += [str(comparison.wins), str(comparison.losses), str(comparison.ties)]
    overlap = [f"{fmean(values.values()):.3f}" for values in (system.jaccard, system.rbo)]
    return [*row, *overlap, f"{system.scored_per_query:.1f}", str(system.rankings.skipped.total())]


def _explained(results: Results) -> str:
    judged = (
        "Interval: bootstrap of the mean difference. p: paired randomisation test, not corrected for the number of "
        "rows. "
        if results.primary
        else ""
    )
    return f"<p class=note>{judged}{_COLUMNS}</p>"


def _latency(results: Results) -> str:
    measured = {FIRST_STAGE: milliseconds(results.first_stage.rankings.seconds)}
    measured |= {system.label: milliseconds(system.rankings.seconds) for system in results.systems}
    rows = [[name, *(f"{value:,.1f}" for value in values.values())] for name, values in measured.items()]
    table = _table(["milliseconds", *(f"p{percent}" for percent in PERCENTILES)], rows)
    shown = " / ".join(f"p{percent}" for percent in PERCENTILES)
    note = (
        "<p class=note>One search at a time on this machine; a reranked system's time is its second stage alone. Of "
        "several windows the larger ones' times are sums of steps.</p>"
    )
    return f"<h2>Latency</h2>{plots.ranges(f'Milliseconds for a search, {shown}', measured, ' ms')}{table}{note}"


def _system(results: Results, system: Reranked) -> str:
    opened = " open" if system is results.best else ""
    parts = [f"<details{opened}><summary><h2>{escape(system.label)}</h2></summary>"]
    if system.comparison is not None:
        names = results.source.dataset.queries
        parts.append(plots.deltas(f"{results.primary} by query, after minus before", system.comparison.deltas, names))
    else:
        parts.append(plots.bars("RBO by query, the most changed first", _most_changed(results, system)))
    shown = results.to_look_at(system)
    what = "Queries hurt most" if system.comparison is not None else "Queries changed most"
    parts.append(f"<h3>{what}</h3>" if shown else "<p>No query lost.</p>")
    return "".join([*parts, *(_query(query) for query in shown), "</details>"])


def _most_changed(results: Results, system: Reranked) -> dict[str, float]:
    queries = results.source.dataset.queries
    return {queries[query.id][:40]: query.rbo for query in results.to_look_at(system)}


def _query(query: ShownQuery) -> str:
    values = f"{query.before:.4f} → {query.after:.4f}" if query.after is not None else f"RBO {query.rbo:.3f}"
    rows = [
        [
            str(shown.hit.rank),
            str(shown.hit.first_stage_rank),
            "" if shown.grade is None else str(shown.grade),
            "" if shown.hit.model_score is None else f"{shown.hit.model_score:.3f}",
            shown.hit.id,
            shown.text,
        ]
        for shown in query.hits
    ]
    table = _table(["now", "was", "grade", "model", "id", "text"], rows, kind="hits")
    return f"<h4>“{escape(query.text)}” <small>{escape(query.id)}, {values}</small></h4>{table}"


def _table(names: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "figures") -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'

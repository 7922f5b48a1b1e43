"""The results as one HTML page to decide on, which needs nothing else: no script, no font, no server.

Law: whatever came from a file or an engine is escaped; a page without judgments has no figure that needs them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from typing import Final

from sidecar.evaluation import plots
from sidecar.program import parts
from sidecar.replay.playing import Page
from sidecar.replay.results import (
    DEPTH,
    PERCENTILES,
    Changed,
    PolicyFigures,
    Quality,
    Results,
    mean,
    named,
)
from sidecar.replay.table import heading
from sidecar.replay.words import in_short, meaning

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_AGREEMENT: Final = (
    f"Jaccard@{DEPTH} and RBO (p = 0.9) say how far the two rankings agree: 1 is the same. New hits: those among the "
    f"first {DEPTH} that were not there before, in the mean."
)
_LATENCY: Final = (
    "Both arms as their caller sees them, on this machine and at this pace, one after the other in turns; of reranked "
    "searches only. A reranked search asks the engine for its window and scores that to the end."
)
_SHARED: Final = "As the log says it, of the slowest line of a search; a slow log has a time for each shard."
_EXAMPLE: Final = 160
"""Characters of a search that is shown as an example."""

_OPEN: Final = 3
"""Searches whose pages are shown at once."""


def page(results: Results) -> str:
    """Return the page."""
    own = resources.files("sidecar.replay").joinpath("page.css").read_text(encoding="utf-8")
    style = resources.files("sidecar.evaluation").joinpath("page.css").read_text(encoding="utf-8") + own
    name = escape(results.recording.name)
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>Replay of {name}</title>\n<style>\n{style}</style>"
    )
    body = "\n".join(_parts(results))
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><main>\n{body}\n</main></body></html>\n'


def _parts(results: Results) -> Iterable[str]:
    yield f"<h1>Replay of {escape(results.recording.name)}</h1>"
    yield f"<ul class=short>{''.join(f'<li>{escape(sentence)}</li>' for sentence in in_short(results))}</ul>"
    yield _facts(results)
    if results.quality is not None:
        yield from _quality(results, results.quality)
    if results.reranked:
        yield f"<h2>What changes</h2>{_change(results)}"
        yield f"<h2>Latency</h2>{_latency(results)}"
        yield f"<h2>Cost</h2>{_cost(results)}"
    if results.reasons:
        yield f"<h2>Searches that keep their page</h2>{_reasons(results)}"
    if results.recording.refused:
        yield f"<h2>Lines that cannot be replayed</h2>{_refused(results)}"
    if results.reranked:
        yield from _to_look_at(results)


def _facts(results: Results) -> str:
    rows = [*heading(results), ("program", f"rerank-sidecar {parts.program_version()}")]
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in rows)}</dl>"


def _quality(results: Results, quality: Quality) -> Iterable[str]:
    against, name = quality.comparison, quality.primary
    low, high = against.interval
    yield f"<h2>Judged searches</h2><p>{len(quality.searches):,} searches, by {escape(quality.judged.name)}</p>"
    rows = [
        [arm, *(f"{means[each]:.4f}" for each in quality.names)]
        for arm, means in (("engine", quality.before), ("reranked", quality.after))
    ]
    yield _table(["", *quality.names], rows)
    figures = [
        f"{against.mean:+.4f}",
        f"{low:+.4f} … {high:+.4f}",
        f"{against.p_value:.4f}",
        *map(str, (against.wins, against.losses, against.ties)),
        f"{quality.weighted_delta:+.4f}",
    ]
    yield _table(["", f"Δ {name}", "95 % interval", "p", "won", "lost", "tied", "Δ as sent"], [["reranked", *figures]])
    yield (
        "<p class=note>Each search counts once, as in evaluate: interval by bootstrap, p by paired randomisation. Δ as "
        "sent: each counts as often as it was sent.</p>"
    )
    names = {place: each.replayed.query for place, each in quality.searches.items()}
    yield plots.deltas(f"{name} by search, reranked minus engine", against.deltas, names)


def _change(results: Results) -> str:
    shares = {words: 100 * share for words, share in results.changes.items()}
    what = f"the first {DEPTH} hits" if results.request.ranked else "the page"
    plot = plots.bars(f"What becomes of {what}, share of the reranked searches", shares, unit=" %")
    names = ["policy", "searches", "reranked", f"Jaccard@{DEPTH}", "RBO", "other first hit", "new hits"]
    rows = [_policy(policy) for policy in results.policies]
    return f"{plot}{_table(names, rows)}<p class=note>{_AGREEMENT}</p>"


def _policy(policy: PolicyFigures) -> list[str]:
    row = [policy.name, f"{policy.sent:,}", f"{sum(each.weight for each in policy.reranked):,}"]
    if not policy.reranked:
        return [*row, "", "", "", ""]
    return [
        *row,
        f"{mean(policy.reranked, lambda each: each.jaccard):.3f}",
        f"{mean(policy.reranked, lambda each: each.rbo):.3f}",
        f"{mean(policy.reranked, lambda each: each.has_other_top):.0%}",
        f"{mean(policy.reranked, lambda each: each.new):.1f}",
    ]


def _latency(results: Results) -> str:
    measured: Mapping[str, Mapping[str, float]] = {
        name: {f"p{percent}": 1000 * value for percent, value in values.items()}
        for name, values in results.seconds.items()
    }
    shown = " / ".join(f"p{percent}" for percent in PERCENTILES)
    plot = plots.ranges(f"Milliseconds for a search, {shown}", measured, " ms")
    rows = [[name, *(f"{value:,.1f}" for value in values.values())] for name, values in measured.items()]
    recorded = f" As recorded: {_SHARED[0].lower()}{_SHARED[1:]}" if "as recorded" in measured else ""
    table = _table(["milliseconds", *(f"p{percent}" for percent in PERCENTILES)], rows)
    return f"{plot}{table}<p class=note>{_LATENCY}{recorded}</p>"


def _cost(results: Results) -> str:
    whose = "device time of a search" if results.is_device_told else "second stage of a search, less its waiting"
    rows = [
        ["hits that the model reads for a search, mean", f"{results.pairs / results.sent_reranked:.1f}"],
        ["for all these searches", f"{results.pairs:,}"],
        [f"{whose}, mean", f"{1000 * results.device_seconds:,.1f} ms"],
    ]
    if results.device_seconds > 0:
        rows.append(["searches a second of one such device", f"{1 / results.device_seconds:,.1f}"])
    if results.recording.per_second is not None and results.load is not None:
        rows.append(["searches a second in the recording", f"{results.recording.per_second:,.2f}"])
        rows.append(["which keep it busy for", f"{results.load:.1%}"])
    rows.append(["longer than their deadline allows", f"{results.late:,} searches"])
    note = (
        "For a reranked search the engine has a wider search to do (“its wider search” above, beside “engine”), and "
        "where hits are heavy one for the page, too."
    )
    if results.request.concurrency > 1:
        note += " Searches that are in hand together share the device, so that its time is somewhat overstated."
    return f"{_table(['', ''], rows)}<p class=note>{note}</p>"


def _to_look_at(results: Results) -> Iterable[str]:
    if results.quality is not None and (hurt := results.hurt_most()):
        name = results.quality.primary
        yield f"<h2>Searches hurt most</h2><p class=note>Those that lose most on {escape(name)}.</p>"
        yield from (
            _search(each, f"{name} {delta:+.4f}", is_open=place < _OPEN) for place, (each, delta) in enumerate(hurt)
        )
    changed = results.changed_most()
    if not changed:
        yield "<p>Not one page has changed.</p>"
        return
    yield "<h2>Searches that change most</h2><p class=note>Those with the least RBO, the most changed first.</p>"
    yield from (_search(each, f"RBO {each.rbo:.3f}", is_open=place < _OPEN) for place, each in enumerate(changed))


def _search(each: Changed, note: str, *, is_open: bool) -> str:
    replayed = each.replayed
    was = {hit.key: rank for rank, hit in enumerate(replayed.before, start=1)}
    now = {hit.key: rank for rank, hit in enumerate(replayed.after, start=1)}
    facts = [named(replayed.recorded), f"sent {each.weight:,} times" if each.weight > 1 else "", note]
    title = f"“{escape(replayed.query)}” <small>{escape(', '.join(fact for fact in facts if fact))}</small>"
    return (
        f"<details class=search{' open' if is_open else ''}><summary><h4>{title}</h4></summary><div class=pages>"
        f"<div><h5>the engine</h5>{_hits(replayed.before, now, is_before=True)}</div>"
        f"<div><h5>reranked</h5>{_hits(replayed.after, was, is_before=False)}</div></div></details>"
    )


def _hits(page: Page, other: Mapping[tuple[str, str], int], *, is_before: bool) -> str:
    items = []
    for rank, hit in enumerate(page[:DEPTH], start=1):
        text = escape(hit.text) if hit.text else "<i>no text in the answer</i>"
        items.append(
            f"<li><span class=rank>{rank}</span>{_move(rank, other.get(hit.key), is_before=is_before)}"
            f'<span class=text title="{escape(hit.text)}"><span class=id>{escape(hit.id)}</span> {text}</span></li>'
        )
    return f"<ol>{''.join(items)}</ol>" if items else "<p class=note>No hits.</p>"


def _move(rank: int, other: int | None, *, is_before: bool) -> str:
    """Return where a hit of a page is in the other one: how far it has come, or gone."""
    if other is None:
        return '<span class="move gone">gone</span>' if is_before else '<span class="move new">new</span>'
    if other == rank:
        return '<span class="move rank">=</span>'
    if is_before:
        return f'<span class="move rank">→ {other}</span>'
    kind, arrow = ("up", "▲") if other > rank else ("down", "▼")
    return f'<span class="move {kind}">{arrow} {abs(other - rank)}</span>'


def _reasons(results: Results) -> str:
    rows = []
    for each in results.reasons:
        recorded = each.example.recorded
        body = recorded.request.body.decode(errors="replace")
        example = body if len(body) <= _EXAMPLE else f"{body[:_EXAMPLE]}…"
        reason = f"failed: {each.reason}" if each.has_failed else each.reason
        rows.append([reason, f"{each.sent:,}", f"{each.different:,}", meaning(each), named(recorded), example])
    names = ["reason", "searches", "different", "which is", "an example", ""]
    return _table(names, rows, kind="reasons")


def _refused(results: Results) -> str:
    rows = [[reason, f"{each.count:,}", each.example] for reason, each in results.recording.refused.items()]
    return _table(["why", "lines", "the first"], rows, kind="refused")


def _table(names: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "figures") -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names) if any(names) else ""
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    head = f"<thead><tr>{head}</tr></thead>" if head else ""
    return f'<div class="wide"><table class="{kind}">{head}<tbody>{body}</tbody></table></div>'

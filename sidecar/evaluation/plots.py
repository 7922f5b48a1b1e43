"""Plots as SVG, drawn from numbers alone: no script, no font, no file beside the page.

Law: a plot has a title that says what it shows, its axis is labelled, and every mark says its value when pointed at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle
from typing import Final

WIDTH: Final = 860
_LEFT: Final = 250
_RIGHT: Final = 90
_ROW: Final = 26
_DELTA_HEIGHT: Final = 180
_CURVE_HEIGHT: Final = 240
_MARGIN: Final = 40
_LINES: Final = ("line-a", "line-b", "line-c", "line-d", "line-e", "line-f")


def bars(title: str, values: Mapping[str, float], *, baseline: str | None = None, unit: str = "") -> str:
    """Return horizontal bars from 0, one for each name; a dotted line marks the value of `baseline`."""
    scale = _scale(max(values.values(), default=0.0))
    room = WIDTH - _LEFT - _RIGHT
    parts: list[str] = []
    for place, (name, value) in enumerate(values.items()):
        y = 8 + place * _ROW
        kind = "first" if name == baseline else "bar"
        width = room * max(0.0, value) / scale
        parts.append(_text(_LEFT - 8, y + 13, name, anchor="end"))
        parts.append(_rect(_LEFT, y, width, _ROW - 8, kind, f"{name}: {value:.4g}{unit}"))
        parts.append(_text(_LEFT + width + 6, y + 13, f"{value:.4f}" if scale <= 1 else f"{value:,.0f}{unit}"))
    height = 8 + len(values) * _ROW
    if baseline is not None:
        x = _LEFT + room * values[baseline] / scale
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}" class="mark"/>')
    return _figure(title, height + 4, parts)


def deltas(title: str, values: Mapping[str, float], names: Mapping[str, str]) -> str:
    """Return one upright bar for each query, sorted: what it gained above the line, what it lost below."""
    ordered = sorted(values.items(), key=lambda item: -item[1])
    highest = max((abs(value) for _, value in ordered), default=0.0) or 1.0
    middle = _DELTA_HEIGHT / 2 + 10
    room = WIDTH - _MARGIN - 10
    step = room / max(1, len(ordered))
    parts = [f'<line x1="{_MARGIN}" x2="{WIDTH - 10}" y1="{middle}" y2="{middle}" class="axis"/>']
    for place, (query, value) in enumerate(ordered):
        height = _DELTA_HEIGHT / 2 * abs(value) / highest
        top = middle - height if value > 0 else middle
        label = f"{names.get(query, query)} ({query}): {value:+.4f}"
        parts.append(
            _rect(_MARGIN + place * step, top, max(0.5, step * 0.85), height, "won" if value > 0 else "lost", label)
        )
    parts += [
        _text(_MARGIN - 6, middle - _DELTA_HEIGHT / 2 + 6, f"+{highest:.2f}", anchor="end"),
        _text(_MARGIN - 6, middle + 4, "0", anchor="end"),
        _text(_MARGIN - 6, middle + _DELTA_HEIGHT / 2 + 4, f"-{highest:.2f}", anchor="end"),
    ]
    return _figure(title, _DELTA_HEIGHT + 24, parts)


def curves(title: str, lines: Mapping[str, Sequence[tuple[float, float]]], *, baseline: float, x_name: str) -> str:
    """Return a line for each name through its points (x, y); a dotted line is at `baseline`."""
    xs = sorted({x for points in lines.values() for x, _ in points})
    ys = [y for points in lines.values() for _, y in points] + [baseline]
    low, high = min(ys), max(ys)
    spread = (high - low) or 1.0
    bottom, right = _CURVE_HEIGHT, WIDTH - 260

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - xs[0]) / ((xs[-1] - xs[0]) or 1)
        return 60 + across * (right - 60), bottom - 20 - (y - low) / spread * (bottom - 40)

    _, first = place(xs[0], baseline)
    parts = [
        f'<line x1="60" x2="{right}" y1="{first:.1f}" y2="{first:.1f}" class="mark"/>',
        _text(54, first + 4, f"{baseline:.3f}", anchor="end"),
        _text(right + 8, first + 4, "first stage"),
        *(_text(place(x, low)[0], bottom + 4, f"{x:g}", anchor="middle") for x in xs),
        _text((60 + right) / 2, bottom + 22, x_name, anchor="middle"),
    ]
    labels: list[tuple[float, str, str]] = []
    for (name, points), kind in zip(lines.items(), cycle(_LINES), strict=False):
        placed = [place(x, y) for x, y in sorted(points)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        parts.append(f'<polyline points="{path}" class="{kind}"/>')
        for (x, y), (left, top) in zip(sorted(points), placed, strict=True):
            parts.append(_dot(left, top, kind, f"{name}, {x:g}: {y:.4f}"))
        labels.append((placed[-1][1], f"{name}  {max(points)[1]:.3f}", kind))
    parts += _spread_out(labels, right + 8)
    return _figure(title, bottom + 30, parts)


def _spread_out(labels: Sequence[tuple[float, str, str]], x: float) -> list[str]:
    """Return labels from top to bottom, none on top of another."""
    written: list[str] = []
    free = -math.inf
    for y, text, kind in sorted(labels):
        y = max(y, free)
        written += [_dot(x + 4, y, kind, text), _text(x + 14, y + 4, text)]
        free = y + 16
    return written


def ranges(title: str, values: Mapping[str, Mapping[str, float]], unit: str) -> str:
    """Return a bar to the highest percentile for each name, with a tick at every percentile."""
    scale = _scale(max((max(each.values()) for each in values.values()), default=0.0))
    room = WIDTH - _LEFT - _RIGHT - 120
    parts: list[str] = []
    for place, (name, percentiles) in enumerate(values.items()):
        y = 8 + place * _ROW
        ends = {percent: _LEFT + room * value / scale for percent, value in percentiles.items()}
        said = ", ".join(f"{percent} {value:,.1f}{unit}" for percent, value in percentiles.items())
        parts.append(_text(_LEFT - 8, y + 13, name, anchor="end"))
        parts.append(_rect(_LEFT, y + 4, max(ends.values()) - _LEFT, _ROW - 16, "bar", f"{name}: {said}"))
        parts += [f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y}" y2="{y + _ROW - 8}" class="tick"/>' for x in ends.values()]
        shown = " / ".join(f"{value:,.0f}" for value in percentiles.values())
        parts.append(_text(max(ends.values()) + 6, y + 13, f"{shown}{unit}"))
    return _figure(title, 8 + len(values) * _ROW + 4, parts)


def _figure(title: str, height: float, parts: Sequence[str]) -> str:
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg></figure>'
    )


def _rect(x: float, y: float, width: float, height: float, kind: str, label: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(0.0, width):.2f}" height="{max(0.0, height):.2f}"'
    return f'<rect {place} class="{kind}">{_tip(label)}</rect>'


def _dot(x: float, y: float, kind: str, label: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" class="{kind}">{_tip(label)}</circle>'


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _tip(text: str) -> str:
    return f"<title>{escape(text)}</title>"


def _scale(highest: float) -> float:
    """Return the value at the right end of an axis: 1 for shares, else the highest."""
    return 1.0 if 0.5 < highest <= 1.0 else highest or 1.0

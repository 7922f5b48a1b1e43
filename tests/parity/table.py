"""The report for people, and the same for programs."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tests.parity.modes import Mode
from tests.parity.player import Kind
from tests.parity.report import Difference, Report, Tally, Verdict

SHOWN_VALUES = 4
SHOWN_CHARACTERS = 300
SHOWN_CALL = 1500


def lines(report: Report, modes: Sequence[Mode]) -> Iterator[str]:
    """Yield the table and everything that it counts as a difference."""
    direct = ", ".join(f"{report.direct[kind]} {kind}" for kind in Kind)
    yield f"direct: {report.direct.total()} tests, {direct}"
    yield ""
    yield f"{'':34}" + "".join(f"{mode.letter:>9}" for mode in modes)
    for name, counts in _rows([report.tallies[mode.letter] for mode in modes]).items():
        yield f"{name:34}" + "".join(f"{count:>9}" for count in counts)
    yield ""
    for mode in modes:
        tally = report.tallies[mode.letter]
        yield f"mode {mode.letter}: {mode.words}"
        yield from (f"    {count:>6}  {name or 'no marker'}" for name, count in tally.markers.most_common())
        yield from (f"    {count:>6}  calls explained by {name}" for name, count in tally.explained.most_common())
    yield from _listed("unexplained", report.differences)
    yield from _listed("differed once, equal when played again", report.flickering)
    yield from (f"in the proxy's log: {line}" for line in report.log_errors)


def shown(modes: str, difference: Difference) -> Iterator[str]:
    """Yield a difference with its exact call."""
    yield f"  {modes} [{difference.comparison}] {difference.where}"
    if difference.call:
        yield textwrap.indent(difference.call[:SHOWN_CALL].rstrip(), "      ")
    for path, (direct, proxied) in list(difference.found.items())[:SHOWN_VALUES]:
        yield f"      {path}: direct {_short(direct)}, proxied {_short(proxied)}"
    if len(difference.found) > SHOWN_VALUES:
        yield f"      and {len(difference.found) - SHOWN_VALUES} more"


def as_json(report: Report) -> Mapping[str, Any]:
    """Return the report as plain values."""
    return {
        "direct": report.direct,
        "failed_direct": report.failed_direct,
        "modes": {letter: vars(tally) for letter, tally in report.tallies.items()},
        "differences": [asdict(difference) for difference in report.differences],
        "flickering": [asdict(difference) for difference in report.flickering],
        "log_errors": report.log_errors,
    }


def _rows(tallies: Sequence[Tally]) -> dict[str, list[int]]:
    rows = {f"tests {kind}": [tally.tests[kind] for tally in tallies] for kind in Kind}
    rows["outcome differences"] = [tally.outcome_differences for tally in tallies]
    for name, counters in (
        ("plays", [tally.plays for tally in tallies]),
        ("same state", [tally.same_state for tally in tallies]),
    ):
        rows[f"{name}: calls"] = [counter.total() for counter in counters]
        for verdict in Verdict:
            rows[f"{name}: {verdict}"] = [counter[verdict] for counter in counters]
    return rows


def _listed(title: str, found: Iterable[Difference]) -> Iterator[str]:
    """Yield differences, those that several modes share once."""
    modes: dict[str, str] = {}
    first: dict[str, Difference] = {}
    for difference in found:
        key = repr((difference.comparison, difference.where, difference.call, sorted(difference.found)))
        modes[key] = modes.get(key, "") + difference.mode
        first.setdefault(key, difference)
    yield ""
    yield f"{title}: {len(first)}"
    for key, difference in first.items():
        yield from shown(modes[key], difference)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."

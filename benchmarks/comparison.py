"""Loaded systems side by side: warm-up and batch size, turns, the accuracy gate, and the table of what came out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from benchmarks.accuracy import Accuracy, compare
from benchmarks.catalogue import BASELINE
from benchmarks.child import Child, Scored, sweep
from benchmarks.rounds import Spread, alternate, ratio
from benchmarks.workload import Regime, Search, Source

GATE_TEXTS: Final = 700
"""Rounds are compared with the reference up to so many texts: it is as slow as the slowest system."""

HEADS: Final = ("system", "batch", "docs/s", "tokens/s", "ms", "x ST fp32", "max error", "tau", "top-10")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One system in one regime."""

    system: str
    precision: str
    batch_size: int
    accuracy: Accuracy
    #: what the accuracy misses, "" when it is right; then there is no speed
    failure: str
    #: of each round; empty after a failure
    seconds: list[float]
    #: of all that were tried
    seconds_by_batch_size: dict[int, float] = field(default_factory=dict)
    default_batch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All systems in one regime."""

    regime: Regime
    #: per round
    texts: list[int]
    tokens: list[int]
    results: list[Result]


def measure(
    children: Sequence[Child],
    reference: Child,
    regime: Regime,
    source: Source,
    *,
    rounds: int,
    count: Callable[[Search], int],
    say: Callable[[str], None],
) -> Outcome:
    """Measure systems in a regime; `count` counts the tokens of a search, `say` is told how far it is."""
    warm_up, *timed = regime.rounds(source, rounds)
    by_name = {child.system.name: child for child in children}
    tried = {}
    for name, child in by_name.items():
        tried[name] = sweep(child, warm_up)
        say(f"{regime.name}: {name} is warm, in batches of {child.batch_size or 'its own choice'}")
    runs = alternate(list(by_name), rounds, lambda name, number: by_name[name].score(timed[number]))
    texts = [sum(len(search.texts) for search in searches) for searches in timed]
    judged = max(1, min(rounds, GATE_TEXTS // texts[0]))
    say(f"{regime.name}: the reference scores {judged} rounds")
    expected = [scores for searches in timed[:judged] for scores in reference.score(searches).scores]
    return Outcome(
        regime=regime,
        texts=texts,
        tokens=[sum(map(count, searches)) for searches in timed],
        results=[result(child, runs[name], expected, tried[name]) for name, child in by_name.items()],
    )


def result(
    child: Child, runs: Sequence[Scored], expected: Sequence[Sequence[float]], tried: dict[int, float]
) -> Result:
    """Return what a system did: its speed only where its scores are right. `expected` may cover fewer searches."""
    scores = [scores for run in runs for scores in run.scores]
    accuracy = compare(scores[: len(expected)], expected)
    failure = accuracy.failure(child.system.precision)
    return Result(
        system=child.system.name + (f" ({child.note})" if child.note else ""),
        precision=child.system.precision,
        batch_size=child.batch_size,
        accuracy=accuracy,
        failure=failure,
        seconds=[] if failure else [run.seconds for run in runs],
        seconds_by_batch_size=tried,
        default_batch=child.system.default_batch,
    )


def title(outcome: Outcome) -> str:
    """Return what a regime is, with its tokens as counted."""
    regime = outcome.regime
    mean = sum(outcome.tokens) / sum(outcome.texts)
    at_once = f", {regime.concurrent} searches at once" if regime.concurrent > 1 else ""
    seen = ", texts seen before" if regime.is_warm else ""
    return f"**{regime.name}**: {regime.texts} texts per search of {mean:.0f} tokens a pair{at_once}{seen}"


def rows(outcome: Outcome) -> list[list[str]]:
    """Return the table of a regime under `HEADS`, in the order of speed; without speed comes last."""
    base = next((result.seconds for result in outcome.results if result.system == BASELINE), [])
    fastest = sorted(outcome.results, key=lambda result: sum(result.seconds) or float("inf"))
    return [_row(result, outcome, base) for result in fastest]


def _row(result: Result, outcome: Outcome, base: Sequence[float]) -> list[str]:
    accuracy = result.accuracy
    figures = [f"{accuracy.max_error:.1e}", f"{accuracy.tau:.4f}", f"{accuracy.top10:.3f}"]
    if result.failure:
        return [f"{result.system}: no speed, {result.failure}", _batch(result), "-", "-", "-", "-", *figures]
    docs = Spread.of(count / time for count, time in zip(outcome.texts, result.seconds, strict=True))
    tokens = Spread.of(count / time for count, time in zip(outcome.tokens, result.seconds, strict=True))
    milliseconds = Spread.of(1000 * time for time in result.seconds)
    compared = f"{ratio(base, result.seconds).median:.2f}" if base else "-"
    speed = [docs.text(), f"{tokens.median:,.0f}", f"{milliseconds.median:,.0f}", compared]
    return [result.system, _batch(result), *speed, *figures]


def _batch(result: Result) -> str:
    """Return the batch size, and how fast the one is beside it that people get who say nothing."""
    tried, default = result.seconds_by_batch_size, result.default_batch
    if not result.batch_size:
        return "own"
    if default in tried and default != result.batch_size:
        return f"{result.batch_size} ({default}: {tried[result.batch_size] / tried[default]:.2f}x)"
    return str(result.batch_size)

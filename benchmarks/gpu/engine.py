"""Strings in, scores out, in one process: ours beside sentence-transformers and transformers on the same device.

All take turns on the same texts. What is named cold has not seen a text before; what is named warm has. Law: only whose
scores have passed the gate is timed; no figure of ours with a warm cache stands without the cold one beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.gpu.peers import SentenceTransformers, Transformers
from benchmarks.gpu.report import Report
from benchmarks.rounds import Spread, ratio
from benchmarks.workload import Search, Source
from sidecar.scoring.base import TokenPair
from sidecar.scoring.cuda.models import CudaCrossEncoder

ROUNDS: Final = 5
MOST_ROUNDS: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """One kind of work."""

    name: str
    texts: int
    is_long: bool = False


REGIMES: Final = (
    Regime(name="k=100", texts=100),
    Regime(name="k=10", texts=10),
    Regime(name="k=1000", texts=1000),
    Regime(name="k=100, 512 tokens", texts=100, is_long=True),
)
QUICK_REGIMES: Final = (Regime(name="k=10", texts=10),)


@dataclass(frozen=True, slots=True)
class System:
    """Something that scores searches. `is_warm`: it is given texts that it has seen."""

    name: str
    score: Callable[[Search], list[float]]
    is_warm: bool = False


def ours(model: CudaCrossEncoder, eager: CudaCrossEncoder | None) -> list[System]:
    """Return our systems: cold, warm, with token ids at hand (the warmest a cache can be), and without graphs."""
    known: dict[int, list[TokenPair]] = {}

    def score(search: Search) -> list[float]:
        return model.forward(model.tokenize(search.query, search.texts))

    def score_ids(search: Search) -> list[float]:
        if id(search) not in known:
            known[id(search)] = model.tokenize(search.query, search.texts)
        return model.forward(known[id(search)])

    systems = [
        System("ours, cold", score),
        System("ours, warm", score, is_warm=True),
        System("ours, token ids at hand", score_ids, is_warm=True),
    ]
    if eager is not None:
        systems.append(
            System("ours, cold, no graphs", lambda search: eager.forward(eager.tokenize(search.query, search.texts)))
        )
    return systems


def best_batch_size(
    peer: SentenceTransformers | Transformers, score: Callable[[Search], object], search: Search
) -> dict[int, float]:
    """Set a peer to its fastest batch size for this search and return the seconds of each."""
    times: dict[int, float] = {}
    for size in peer.batch_sizes:
        peer.batch_size = size
        score(search)
        began = time.perf_counter()
        score(search)
        times[size] = time.perf_counter() - began
    peer.batch_size = min(times, key=times.__getitem__)
    return times


def measure(
    report: Report,
    systems: Sequence[System],
    source: Source,
    regimes: Sequence[Regime],
    *,
    baseline: str,
    seconds: float,
) -> dict[str, Any]:
    """Time every system in every regime, in turns, for `seconds` in all."""
    found: dict[str, Any] = {}
    rows = []
    for regime in regimes:
        times = _turns(systems, source, regime, seconds / len(regimes))
        for name, each in times.items():
            spread = Spread.of(regime.texts / time for time in each)
            gain = (
                ratio([1 / time for time in each], [1 / time for time in times[baseline]])
                if baseline in times
                else None
            )
            found.setdefault(regime.name, {})[name] = {
                "pairs_per_second": spread.median,
                "least": spread.least,
                "greatest": spread.greatest,
                "ms": Spread.of(each).median * 1e3,
                "rounds": len(each),
                "ratio": gain.median if gain else None,
            }
            rows.append([regime.name, name, f"{spread.median:,.0f}", f"{spread.least:,.0f} - {spread.greatest:,.0f}"])
            rows[-1] += [f"{Spread.of(each).median * 1e3:.2f}", f"{gain.median:.1f}" if gain else "-"]
    report.table(["one search at a time", "system", "pairs/s", "", "ms", f"x {baseline}"], rows)
    return found


def _turns(systems: Sequence[System], source: Source, regime: Regime, seconds: float) -> dict[str, list[float]]:
    """Return the seconds of every system's searches, in turns A B C A B C."""
    known = source.search(regime.texts, is_long=regime.is_long)
    for system in systems:
        system.score(source.search(regime.texts, is_long=regime.is_long))
        system.score(known)
    times: dict[str, list[float]] = {system.name: [] for system in systems}
    end = time.perf_counter() + seconds
    for number in range(MOST_ROUNDS):
        if number >= 3 and time.perf_counter() > end:
            break
        fresh = source.search(regime.texts, is_long=regime.is_long)
        for system in systems:
            search = known if system.is_warm else fresh
            began = time.perf_counter()
            system.score(search)
            times[system.name].append(time.perf_counter() - began)
    return times

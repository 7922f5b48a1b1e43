"""How many machines a site needs: the simulation, checked against a real pool, and asked for what is not here.

    python -m benchmarks.planning check     # two scorers behind HAProxy, really and simulated: three minutes
    python -m benchmarks.planning plan      # tables, simulated, in a minute

`check` measures what a search costs (a front's processor time, a scorer's time for a call, and what a lone search takes
beside both), sends searches to the real pool by a Poisson process, and simulates the same arrivals with those costs.
`plan` searches the smallest numbers of scorers and fronts that keep a p99; `--front-ms`, `--window-ms` and the others
say what a search costs there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from cachetools import LRUCache

from benchmarks.calls import Client
from benchmarks.machine import Machine
from benchmarks.open_loop import Report, poisson, saturate, send_when_due
from benchmarks.pool import HITS, UNHURRIED, applied, front, search
from benchmarks.programs import Server, sink
from benchmarks.restarts import found_haproxy
from benchmarks.scorers import pool
from benchmarks.simulation import Costs, Simulated, Site, simulate
from benchmarks.table import table

RATES: Final = (100, 1_000, 10_000, 100_000)
CELL: Final = 10_000
"""Searches per second that are simulated at once; more are as many cells of this size, each with a balancer."""

SIMULATED_SEARCHES: Final = 15_000
BUSY_FRONTS: Final = 0.6
"""What share of its core a front may be busy: fronts are cheap, and what they do is not all that their machine does."""

QUERIES: Final = 200_000
CACHED_WINDOWS: Final = 1_498
"""Windows of 100 scores that 64 MiB hold, the default of `score_cache.max_bytes`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A real run, and the same simulated."""

    costs: Costs
    rate: float
    real: Report
    simulated: Simulated

    def error(self, quantile: str) -> float:
        """Return by what share the simulated quantile is off."""
        return float(getattr(self.simulated, quantile) / getattr(self.real, quantile) - 1.0)


async def check(*, slow_ms: int, share: float, seconds: float) -> Check:
    """Measure the costs, run a pool of two at `share` of what it can do, and simulate it."""
    model = f"test:slow={slow_ms}x1"
    calls = [search(applied)]
    async with running(model, 1) as server, Client(server.url) as client:
        await saturate(client, calls, connections=1, seconds=1.0)
        alone = await saturate(client, calls, connections=1, seconds=seconds / 4)
        full = await saturate(client, calls, connections=8, seconds=seconds / 4)
    async with running(model, 2) as server, Client(server.url) as client:
        await saturate(client, calls, connections=2, seconds=1.0)
        rate = share * 2 * full.achieved
        due = poisson(rate, seconds)
        before = server.processor_seconds
        real = Report.of(await send_when_due(client, calls, due))
        worked = server.processor_seconds - before
    costs = Costs(front=worked / real.requests, window=1 / full.achieved, way=0.0)
    costs = replace(costs, way=max(0.0, alone.p50 - costs.front - costs.window))
    return Check(costs=costs, rate=rate, real=real, simulated=simulate(due, costs, Site(fronts=1, scorers=2)))


@asynccontextmanager
async def running(model: str, replicas: int) -> AsyncIterator[Server]:
    """Give a front before so many scorers."""
    async with (
        sink() as engine,
        pool(model, replicas) as scorers,
        front(engine, "--scorer", scorers.url, window=HITS, **UNHURRIED) as server,
    ):
        yield server


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """The smallest site that keeps the target, and what a search meets there."""

    rate: int
    site: Site
    met: Simulated
    #: with one scorer less, where it still keeps up
    without_one: Simulated | None


def plan(rate: int, costs: Costs, *, target: float, requests: int, searches: int = SIMULATED_SEARCHES) -> Planned:
    """Return the smallest site for `rate` searches a second whose p99 is `target` seconds at most.

    Raises:
        ValueError: no number of machines keeps it.
    """
    cells = math.ceil(rate / CELL)
    due = poisson(rate / cells, searches * cells / rate)
    fronts = math.ceil(rate / cells * costs.front / BUSY_FRONTS)
    least = math.ceil(rate / cells * (costs.window + requests * costs.request))
    best = Site(fronts=fronts, scorers=4 * least + requests, requests=requests)
    met = simulate(due, costs, best)
    if met.p99 > target:
        raise ValueError(f"a p99 of {1000 * target:g} ms cannot be kept: {1000 * met.p99:.1f} ms")
    low, high = least - 1, best.scorers
    while high - low > 1:
        middle = (low + high) // 2
        tried = simulate(due, costs, replace(best, scorers=middle)) if middle else None
        if tried is not None and tried.p99 <= target:
            high, met = middle, tried
        else:
            low = middle
    site = replace(best, scorers=high)
    fewer = replace(site, scorers=high - 1)
    keeps_up = high > least
    return Planned(
        rate=rate,
        site=replace(site, fronts=fronts * cells, scorers=high * cells),
        met=met,
        without_one=simulate(due, costs, fewer) if keeps_up and high > 1 else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """What the memories for scores of several fronts remember, by how searches find a front."""

    fronts: int
    #: shares of searches whose window was known, 0 to 1
    least_loaded: float
    by_query: float
    #: the busiest front's share of the searches, times the number of fronts
    busiest_by_query: float


def routed(fronts: int, *, exponent: float, distinct: int = 100_000, searches: int = QUERIES) -> Routed:
    """Return how often a search's window is known, where queries are as uneven as Zipf's law with `exponent` has it."""
    chance = random.Random(0)
    weights = [1.0 / rank**exponent for rank in range(1, distinct + 1)]
    queries = chance.choices(range(distinct), weights, k=searches)
    anywhere, at_home = [0, 0], [0] * fronts
    spread = [LRUCache[int, bool](CACHED_WINDOWS) for _ in range(fronts)]
    homes = [LRUCache[int, bool](CACHED_WINDOWS) for _ in range(fronts)]
    for number, query in enumerate(queries):
        home = (query * 2_654_435_761 % 2**32) * fronts >> 32  # scattered as a hash ring does it
        for place, (caches, front_number) in enumerate(((spread, number % fronts), (homes, home))):
            cache = caches[front_number]
            if query in cache:
                anywhere[place] += number >= searches // 2
            cache[query] = True
        at_home[home] += 1
    known = searches - searches // 2
    return Routed(
        fronts=fronts,
        least_loaded=anywhere[0] / known,
        by_query=anywhere[1] / known,
        busiest_by_query=max(at_home) * fronts / searches,
    )


def plan_rows(found: Sequence[Planned]) -> list[list[str]]:
    """Return sites as a table's rows."""
    return [
        [
            f"{each.rate:,}",
            f"{each.site.scorers:,}",
            f"{each.site.fronts:,}",
            f"{1000 * each.met.p50:.1f} ms",
            f"{1000 * each.met.p99:.1f} ms",
            f"{100 * each.met.scorers_busy:.0f} %",
            "too few" if each.without_one is None else f"{1000 * each.without_one.p99:.1f} ms",
        ]
        for each in found
    ]


def check_lines(found: Check) -> list[str]:
    """Return a check in lines."""
    costs, real, simulated = found.costs, found.real, found.simulated
    rows = [
        [
            quantile,
            f"{1000 * getattr(real, quantile):.1f} ms",
            f"{1000 * getattr(simulated, quantile):.1f} ms",
            f"{100 * found.error(quantile):+.1f} %",
        ]
        for quantile in ("p50", "p99")
    ]
    return [
        f"a search costs {1000 * costs.front:.2f} ms of a front and {1000 * costs.window:.2f} ms of a scorer, "
        f"and takes {1000 * costs.way:.2f} ms beside both",
        f"{real.requests:,} searches, {found.rate:.1f}/s, faults {sum(real.faults.values())}, the generator late by "
        f"{1000 * real.lateness:.1f} ms (p99); scorers busy {100 * simulated.scorers_busy:.0f} % (simulated)",
        "",
        table(("", "real", "simulated", "off by"), rows),
    ]


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's words."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.planning", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("what", choices=("check", "plan"))
    parser.add_argument("--seconds", type=float, default=110.0, help="of the real run")
    parser.add_argument("--share", type=float, default=0.6, help="of what two scorers can do, in the real run")
    parser.add_argument("--slow-ms", type=int, default=100, help="what a scorer of the real run takes for a call")
    parser.add_argument("--front-ms", type=float, default=4.0, help="of a front's core, for a search")
    parser.add_argument("--window-ms", type=float, default=1.21, help="of a scorer, for a window")
    parser.add_argument("--request-ms", type=float, default=0.0, help="of a scorer, for each request")
    parser.add_argument("--way-ms", type=float, default=1.5, help="of nobody")
    parser.add_argument("--spread", type=float, default=0.2, help="of a scorer's times, as a share of them")
    parser.add_argument("--requests", type=int, default=1, help="that a window travels as")
    parser.add_argument("--p99-ms", type=float, default=25.0, help="the target")
    parser.add_argument("--json", type=Path, help="write all figures here")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    given = parse(argv)
    print(Machine.here().line())
    if given.what == "check":
        if found_haproxy() is None:
            sys.exit("HAProxy is not installed: apt install haproxy")
        found = asyncio.run(check(slow_ms=given.slow_ms, share=given.share, seconds=given.seconds))
        print("\n".join(check_lines(found)))
        _write(given.json, asdict(found))
        return
    costs = Costs(
        front=given.front_ms / 1000,
        window=given.window_ms / 1000,
        request=given.request_ms / 1000,
        way=given.way_ms / 1000,
        spread=given.spread,
    )
    sites = [plan(rate, costs, target=given.p99_ms / 1000, requests=given.requests) for rate in RATES]
    print(f"simulated: {costs}, p99 at most {given.p99_ms:g} ms\n")
    print(table(("searches/s", "scorers", "fronts", "p50", "p99", "busy", "p99, one less"), plan_rows(sites)))
    memories = [routed(fronts, exponent=exponent) for exponent in (0.8, 1.0) for fronts in (2, 10, 100)]
    print(json.dumps([asdict(each) for each in memories]))
    _write(given.json, {"sites": [asdict(each) for each in sites], "memories": [asdict(each) for each in memories]})


def _write(path: Path | None, found: object) -> None:
    if path is not None:
        path.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

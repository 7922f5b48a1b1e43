"""What the proxy costs where it only passes on: the same requests direct and through it, in turns.

    python -m benchmarks.overhead --seconds 20 --rounds 5

The upstream is a sink (`benchmarks/sink.py`), so the difference is the proxy's alone. Load is open-loop at a share of
what the sink can do directly. Generator, proxy and sink share the machine's cores, which the figures suffer from.
Searches are passed on by a proxy that is switched off, and by one that observes a tenth of them afterwards.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from benchmarks.calls import Call, Client, expects
from benchmarks.machine import Machine
from benchmarks.open_loop import Report, poisson, run_exactly, saturate, send_when_due
from benchmarks.programs import Server, sidecar, sink
from benchmarks.rounds import Spread
from benchmarks.sink import document, hits
from benchmarks.table import table

SIZES = {"1 KB": 1024, "64 KB": 65_536}
HITS = 10
OFF = {"RERANK_SIDECAR_RERANK__ENABLED": "false"}
OBSERVE = {"RERANK_SIDECAR_RERANK__MODE": "observe", "RERANK_SIDECAR_RERANK__OBSERVE_PERCENT": "10"}
SEARCHES = {"search, off": OFF, "search, observed": OBSERVE}
CONNECTIONS = 32
CAPACITY_SECONDS = 3.0
WARM_UP_SECONDS = 1.0

HEADS = ("answer", "load", "direct p50", "proxy p50", "added p50", "direct p99", "proxy p99", "added p99", "faults")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One kind of request: what the sink can do, and the rounds of both ways."""

    size: str
    #: answers per second in a closed loop
    capacity: float
    capacity_through_proxy: float
    #: requests per second in the rounds
    rate: float
    direct: list[Report]
    proxied: list[Report]

    def added(self, quantile: str) -> Spread:
        """Return by how much the proxy moved a quantile, round by round, in seconds."""
        pairs = zip(self.proxied, self.direct, strict=True)
        return Spread.of(getattr(slow, quantile) - getattr(fast, quantile) for slow, fast in pairs)


def get(size: int) -> Call:
    """Return a request whose answer has that many bytes."""
    return Call(method="GET", path=f"/sink/_doc/{size}", check=expects(document(size)))


def search() -> Call:
    """Return a search with `HITS` hits."""
    body = json.dumps({"query": {"match": {"text": "search engine"}}, "size": HITS}).encode()
    headers = {"Content-Type": "application/json"}
    return Call(method="POST", path="/sink/_search", headers=headers, body=body, check=expects(hits(HITS)))


async def measure(
    size: str,
    call: Call,
    direct: Server,
    proxy: Server,
    *,
    rounds: int,
    seconds: float,
    share: float,
    say: Callable[[str], None],
) -> Outcome:
    """Measure both ways in turns at `share` of the sink's capacity."""
    calls = [call]
    async with Client(direct.url) as straight, Client(proxy.url) as through:
        for client in (straight, through):
            await saturate(client, calls, connections=CONNECTIONS, seconds=min(WARM_UP_SECONDS, seconds))
        capacity, proxied = [
            (await saturate(client, calls, connections=CONNECTIONS, seconds=min(CAPACITY_SECONDS, seconds))).achieved
            for client in (straight, through)
        ]
        rate = share * capacity
        say(f"{size}: {capacity:,.0f}/s direct, {proxied:,.0f}/s through the proxy; load {rate:,.0f}/s")
        reports: tuple[list[Report], list[Report]] = ([], [])
        for number in range(rounds):
            for client, kept in zip((straight, through), reports, strict=True):
                sent = await send_when_due(client, calls, poisson(rate, seconds, seed=number))
                kept.append(Report.of(sent))
            say(f"{size}: round {number + 1}: p50 {1000 * (reports[1][-1].p50 - reports[0][-1].p50):.3f} ms more")
    return Outcome(
        size=size,
        capacity=capacity,
        capacity_through_proxy=proxied,
        rate=rate,
        direct=reports[0],
        proxied=reports[1],
    )


def row(outcome: Outcome) -> list[str]:
    """Return an outcome under `HEADS`."""
    cells = [outcome.size, f"{outcome.rate:,.0f}/s"]
    for quantile in ("p50", "p99"):
        both = (outcome.direct, outcome.proxied)
        medians = (Spread.of(getattr(report, quantile) for report in reports).median for reports in both)
        cells.extend(map(_milliseconds, medians))
        added = outcome.added(quantile)
        cells.append(f"{_milliseconds(added.median)} ({1000 * added.least:.2f} - {1000 * added.greatest:.2f})")
    faults = sum(sum(report.faults.values()) for report in (*outcome.direct, *outcome.proxied))
    requests = sum(report.requests for report in (*outcome.direct, *outcome.proxied))
    return [*cells, f"{faults} of {requests:,}"]


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.2f} ms"


async def compare(given: argparse.Namespace) -> list[Outcome]:
    """Start all ways and measure them."""
    measured = partial(
        measure,
        rounds=given.rounds,
        seconds=given.seconds,
        share=given.share,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    outcomes: list[Outcome] = []
    async with sink() as direct:
        async with proxy_of(direct) as proxy:
            sizes = [size for size in SIZES if size in given.kinds]
            outcomes += [await measured(size, get(SIZES[size]), direct, proxy) for size in sizes]
        for name, settings in ((name, SEARCHES[name]) for name in SEARCHES if name in given.kinds):
            async with proxy_of(direct, **settings) as proxy:
                outcomes.append(await measured(name, search(), direct, proxy))
    return outcomes


def proxy_of(upstream: Server, **settings: str) -> AbstractAsyncContextManager[Server]:
    """Give the proxy in front of a server."""
    return sidecar(
        "serve", "--engine", upstream.url, "--scorer", "test:identity", "--allow-test-scorers",
        "--listen", "127.0.0.1:0", "--log-level", "warning", **settings,
    )  # fmt: skip


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's words."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overhead", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--kinds", nargs="+", choices=[*SIZES, *SEARCHES], default=[*SIZES, *SEARCHES])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each way in each round")
    parser.add_argument("--share", type=float, default=0.3, help="of the sink's capacity")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--quick", action="store_true", help="two rounds of half a second at a low load")
    given = parser.parse_args(argv)
    if given.quick:
        given.rounds, given.seconds, given.share = 2, 0.5, 0.05
    return given


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    given = parse(argv)
    machine = Machine.here()
    outcomes = run_exactly(partial(compare, given))
    late = max(report.lateness for outcome in outcomes for report in (*outcome.direct, *outcome.proxied))
    print(machine.line())
    print(
        f"open loop, Poisson, {100 * given.share:.0f} % of the sink's capacity, {given.rounds} rounds of "
        f"{given.seconds:g} s each way in turns, medians (least - greatest); the generator was late by "
        f"{1000 * late:.1f} ms at most (p99)\n"
    )
    print(table(HEADS, [row(outcome) for outcome in outcomes]))
    for outcome in outcomes:
        print(
            f"\n{outcome.size}, closed loop, {CONNECTIONS} connections: {outcome.capacity:,.0f}/s direct, "
            f"{outcome.capacity_through_proxy:,.0f}/s through the proxy"
        )
    if given.json is not None:
        facts = {"machine": machine.facts(), "outcomes": [asdict(outcome) for outcome in outcomes]}
        given.json.write_text(json.dumps(facts, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

"""How long people wait: latency over HTTP under a load that does not wait for answers.

    python -m benchmarks.service --texts 100 --dtype bf16
    python -m benchmarks.service --search --engine http://localhost:9200

Asks the rerank API, or with `--search` an engine through the proxy, at shares of what the server can do; every answer
must be the one that the server gives when it is asked alone. `--url` asks any server with the same API.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.calls import Call, Client
from benchmarks.child import ENVIRONMENT
from benchmarks.engine import add_model, prepared, source
from benchmarks.machine import Machine
from benchmarks.open_loop import Report, constant, poisson, saturate, send_when_due
from benchmarks.programs import ProgramFailed, running, sidecar, until_started
from benchmarks.table import table
from benchmarks.targets import TOLERANCE, NoRightAnswer, indexed, rerank_calls, search_calls, with_right_answers
from benchmarks.workload import Search

SHARES = (0.25, 0.5, 0.75, 0.9)
CONNECTIONS = 16
QUERIES = 20
CAPACITY_SECONDS = 15.0
WARM_UP_SECONDS = 3.0

UNHURRIED = {"RERANK_SIDECAR_RERANK__DEADLINE_MS": "0", "RERANK_SIDECAR_RERANK__TOKEN_BUDGET": "0"}
"""Every search is scored in full, however long it takes: what is measured is how long."""

HEADS = ("load", "requests", "per second", "docs/s", "p50", "p95", "p99", "longest", "faults")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a server did."""

    #: texts scored per request
    texts: int
    capacity: Report
    by_share: dict[float, Report]


async def measure(url: str, calls: Sequence[Call], given: argparse.Namespace, say: Callable[[str], None]) -> Outcome:
    """Find the capacity, then load the server with shares of it."""
    async with Client(url) as client:
        judged = await with_right_answers(client, calls, TOLERANCE[given.dtype])
        say(f"{len(judged)} answers are known")
        await saturate(client, judged, connections=CONNECTIONS, seconds=min(WARM_UP_SECONDS, given.seconds))
        capacity = await saturate(client, judged, connections=CONNECTIONS, seconds=min(CAPACITY_SECONDS, given.seconds))
        say(f"capacity: {capacity.achieved:.2f} requests/s")
        by_share = {}
        for share in SHARES:
            rate = share * capacity.achieved
            schedule = constant(rate, given.seconds) if given.constant else poisson(rate, given.seconds)
            by_share[share] = Report.of(await send_when_due(client, judged, schedule or [0.0]))
            say(f"{share:.0%}: p50 {by_share[share].p50:.3f} s")
        return Outcome(texts=given.texts, capacity=capacity, by_share=by_share)


def rows(outcome: Outcome) -> list[list[str]]:
    """Return the table of an outcome under `HEADS`."""
    loads = {f"closed loop, {CONNECTIONS} at a time": outcome.capacity}
    loads |= {f"open loop, {share:.0%}": report for share, report in outcome.by_share.items()}
    return [
        [
            name,
            f"{report.requests:,}",
            f"{report.achieved:.2f}",
            f"{report.achieved * outcome.texts:,.0f}",
            *(f"{1000 * seconds:,.0f} ms" for seconds in (report.p50, report.p95, report.p99, report.longest)),
            f"{sum(report.faults.values())}",
        ]
        for name, report in loads.items()
    ]


@contextlib.asynccontextmanager
async def under_test(given: argparse.Namespace, searches: Sequence[Search]) -> AsyncIterator[tuple[str, list[Call]]]:
    """Give the address of the server and what it will be asked."""
    if given.url:
        yield given.url, rerank_calls(searches, given.path)
    elif given.plain:
        arguments = ["-m", "benchmarks.plain_server", "--model", str(prepared(given)[0]), "--dtype", given.dtype]
        async with running(*arguments, settings=ENVIRONMENT) as server:
            yield server.url, rerank_calls(searches)
    elif given.search:
        async with _proxy(given) as url, Client(url) as client, indexed(client, searches):
            yield url, search_calls(searches, given.texts)
    else:
        folder, _ = prepared(given)
        arguments = ["--model", str(folder), "--dtype", given.dtype]
        async with sidecar("score", *arguments, "--listen", "127.0.0.1:0", ready="model: ") as server:
            yield server.url, rerank_calls(searches)


@contextlib.asynccontextmanager
async def _proxy(given: argparse.Namespace) -> AsyncIterator[str]:
    """Give the address of the proxy, its model loaded."""
    folder, _ = prepared(given)
    arguments = ("--engine", given.engine, "--model", str(folder), "--listen", "127.0.0.1:0", "--log-level", "warning")
    settings = {
        **UNHURRIED,
        "RERANK_SIDECAR_MODEL__DTYPE": given.dtype,
        "RERANK_SIDECAR_RERANK__WINDOW": str(given.texts),
    }
    async with sidecar("serve", *arguments, **settings) as server:
        await until_started(server)
        yield server.url


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's words."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.service", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--texts", type=int, default=100, help="per request")
    parser.add_argument("--dtype", choices=list(TOLERANCE), default="fp32")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each load")
    parser.add_argument("--constant", action="store_true", help="requests at one distance in place of Poisson")
    parser.add_argument("--search", action="store_true", help="search through the proxy")
    parser.add_argument("--engine", default="embedded", help="with --search: URL of an engine (default: embedded)")
    parser.add_argument(
        "--plain", action="store_true", help="the rerank API of benchmarks/plain_server.py in our place"
    )
    parser.add_argument("--url", help="a rerank server that runs already")
    parser.add_argument("--path", default="/v1/rerank", help="with --url: where its API is")
    parser.add_argument("--data", type=Path, help="real texts: a folder laid out as BEIR's, with run*.trec")
    add_model(parser)
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--quick", action="store_true", help="ten texts, loads of one second")
    given = parser.parse_args(argv)
    if given.quick:
        given.texts, given.seconds = 10, 1.0
    return given


async def run(given: argparse.Namespace, searches: Sequence[Search]) -> Outcome:
    """Start what is under test and measure it."""
    async with under_test(given, searches) as (url, calls):
        return await measure(url, calls, given, lambda line: print(line, file=sys.stderr, flush=True))


def _title(given: argparse.Namespace) -> str:
    if given.url:
        return str(given.url)
    if given.search:
        return f"searches through the proxy, engine {given.engine}"
    return "sentence-transformers behind aiohttp" if given.plain else "rerank API"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    given = parse(argv)
    machine = Machine.here()
    folder, described = prepared(given)
    made = source(given, folder)
    searches = [made.search(given.texts, is_long=False) for _ in range(QUERIES)]
    outcome = asyncio.run(run(given, searches))
    model = "" if given.url else f"model: {described}, {given.dtype}"
    print(f"{machine.line()}\n{model}\n\n**{_title(given)}**: {given.texts} texts per request\n")
    print(table(HEADS, rows(outcome)))
    late = max(report.lateness for report in outcome.by_share.values())
    print(f"\nthe generator was late by {1000 * late:.1f} ms at most (p99)")
    for name, report in outcome.by_share.items():
        for fault, count in report.faults.items():
            print(f"{name:.0%}: {count} x {fault}")
    if given.json is not None:
        facts = {"machine": machine.facts(), "model": described, "dtype": given.dtype, "outcome": asdict(outcome)}
        given.json.write_text(json.dumps(facts, indent=1), encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except (ProgramFailed, NoRightAnswer) as error:
        sys.exit(str(error))

"""What becomes of searches when three times as many come as can be scored, and of everything else meanwhile.

    python -m benchmarks.overload --scorer test:slow=50
    python -m benchmarks.overload --scorer model --dtype bf16

The engine is a sink that answers every search with the same hits. Searches come in an open loop at a multiple of what
the proxy can do, and documents are fetched beside them at a steady rate. Right is a search that is answered with 200,
all hits and the marker, in the first stage's order where it could not be scored; anything else is a fault.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.calls import Answer, Call, Client
from benchmarks.engine import add_model, prepared
from benchmarks.machine import Machine
from benchmarks.open_loop import Report, poisson, saturate, send_when_due
from benchmarks.overhead import get
from benchmarks.programs import Server, sidecar, sink, until_started
from benchmarks.table import table

CONNECTIONS = 64
CAPACITY_SECONDS = 8.0
DOCUMENT_BYTES = 1024
UNSCORED = ("degraded", "skipped")

HEADS = ("what", "requests", "offered", "p50", "p99", "longest", "faults")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Searches and other requests, before and during the overload."""

    capacity: float
    #: other requests without and with the searches beside them
    alone: Report
    beside: Report
    searches: Report
    #: how many searches had which word in their marker
    markers: dict[str, int]


class SearchJudge:
    """Says what is wrong with the answer to a search of the sink, and counts the markers."""

    def __init__(self, size: int, *, keeps_order: bool) -> None:
        """Expect `size` hits; with `keeps_order` in the sink's order also when they are scored."""
        self.markers: Counter[str] = Counter()
        self._ids = [str(number) for number in range(size)]
        self._keeps_order = keeps_order

    def check(self, answer: Answer) -> str:
        """Return what is wrong, "" for nothing."""
        if answer.status != 200:
            return f"status {answer.status}"
        marker = answer.headers.get("X-Rerank", "none").partition(";")[0]
        self.markers[marker] += 1
        ids = [hit["_id"] for hit in answer.json["hits"]["hits"]]
        if sorted(ids) != sorted(self._ids):
            return "other hits"
        if marker not in ("applied", "partial", *UNSCORED):
            return f"marker {marker}"
        if (self._keeps_order or marker in UNSCORED) and ids != self._ids:
            return "not in the first stage's order"
        return ""


def search(judge: SearchJudge, size: int, words: str = "what do people search") -> Call:
    """Return a search for `size` hits."""
    body = {"query": {"match": {"text": words}}, "size": size}
    return Call(
        method="POST",
        path="/sink/_search",
        headers={"Content-Type": "application/json"},
        body=json.dumps(body).encode(),
        check=judge.check,
    )


async def measure(proxy: Server, given: argparse.Namespace, say: Callable[[str], None]) -> Outcome:
    """Load the proxy with documents alone, then with both."""
    judge = SearchJudge(given.size, keeps_order=given.scorer.startswith("test:"))
    searches, documents = [search(judge, given.size)], [get(DOCUMENT_BYTES)]
    steady = poisson(given.documents, given.seconds)
    async with Client(proxy.url) as client:
        await saturate(client, [*searches, *documents], connections=4, seconds=min(2.0, given.seconds))
        alone = Report.of(await send_when_due(client, documents, steady))
        closed = await saturate(client, searches, connections=CONNECTIONS, seconds=min(CAPACITY_SECONDS, given.seconds))
        say(f"capacity: {closed.achieved:.1f} searches/s, {dict(judge.markers)}")
        judge.markers.clear()
        many = poisson(given.times * closed.achieved, given.seconds, seed=1)
        async with asyncio.TaskGroup() as group:
            beside = group.create_task(send_when_due(client, documents, steady))
            overload = group.create_task(send_when_due(client, searches, many))
        return Outcome(
            capacity=closed.achieved,
            alone=alone,
            beside=Report.of(beside.result()),
            searches=Report.of(overload.result()),
            markers=dict(judge.markers),
        )


def rows(outcome: Outcome, times: float) -> list[list[str]]:
    """Return an outcome under `HEADS`."""
    reports = {
        "other requests alone": outcome.alone,
        "other requests beside the searches": outcome.beside,
        f"searches, {times:g} x capacity": outcome.searches,
    }
    return [
        [
            name,
            f"{report.requests:,}",
            f"{report.offered:,.1f}/s",
            *(f"{1000 * seconds:,.1f} ms" for seconds in (report.p50, report.p99, report.longest)),
            str(sum(report.faults.values())),
        ]
        for name, report in reports.items()
    ]


@asynccontextmanager
async def under_test(given: argparse.Namespace) -> AsyncIterator[Server]:
    """Give the proxy before a sink, with its scorer started."""
    scorer = ["--scorer", given.scorer, "--allow-test-scorers"]
    if given.scorer == "model":
        scorer = ["--model", str(prepared(given)[0])]
    async with (
        sink() as engine,
        sidecar(
            "serve", "--engine", engine.url, *scorer, "--listen", "127.0.0.1:0", "--log-level", "error",
            RERANK_SIDECAR_MODEL__DTYPE=given.dtype, RERANK_SIDECAR_RERANK__DEADLINE_MS=str(given.deadline_ms),
        ) as proxy,
    ):  # fmt: skip
        await until_started(proxy)
        yield proxy


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's words."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overload", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--scorer", default="model", help="model, or test:slow=MILLISECONDS")
    parser.add_argument("--times", type=float, default=3.0, help="the capacity")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--size", type=int, default=100, help="hits of a search, all of them in the window")
    parser.add_argument("--documents", type=float, default=100.0, help="other requests per second")
    parser.add_argument("--deadline-ms", type=int, default=500)
    parser.add_argument("--dtype", choices=("fp32", "bf16"), default="fp32")
    add_model(parser)
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--quick", action="store_true", help="a scripted scorer, one second")
    given = parser.parse_args(argv)
    if given.quick:
        given.scorer, given.seconds, given.size, given.documents = "test:slow=20", 1.0, 10, 20.0
    return given


async def run(given: argparse.Namespace) -> Outcome:
    """Start what is under test and measure it."""
    async with under_test(given) as proxy:
        return await measure(proxy, given, lambda line: print(line, file=sys.stderr, flush=True))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    given = parse(argv)
    machine = Machine.here()
    outcome = asyncio.run(run(given))
    print(f"{machine.line()}\n")
    print(
        f"scorer {given.scorer}, deadline {given.deadline_ms} ms, {given.size} hits; capacity "
        f"{outcome.capacity:,.1f} searches/s in a closed loop; {given.seconds:g} s\n"
    )
    print(table(HEADS, rows(outcome, given.times)))
    print(f"\nmarkers: {', '.join(f'{count} {marker}' for marker, count in sorted(outcome.markers.items()))}")
    for report in (outcome.alone, outcome.beside, outcome.searches):
        for fault, count in report.faults.items():
            print(f"fault: {count} x {fault}")
    if given.json is not None:
        facts = {"machine": machine.facts(), "scorer": given.scorer, "outcome": asdict(outcome)}
        given.json.write_text(json.dumps(facts, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

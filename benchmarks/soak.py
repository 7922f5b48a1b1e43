"""Traffic of all kinds for a long time: what a program holds stays level, and every answer is right.

    python -m benchmarks.soak --minutes 20
    python -m benchmarks.soak --hours 8 --json soak.json

Searches, documents, bulks and calls of the rerank API come in an open loop, one in ten is given up by who asked.
Memory, open files and tasks are looked at between segments of the load; over those after the first quarter, which
warms up, a straight line is fitted by least squares. It fails when an answer was wrong, when memory grew by more than
`MAX_GROWTH_MEGABYTES` along that line, or when files or tasks are left over at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.calls import Answer, Call, Client, expects
from benchmarks.engine import add_model, prepared
from benchmarks.machine import Machine
from benchmarks.open_loop import poisson, send_when_due
from benchmarks.overload import SearchJudge, search
from benchmarks.programs import Server, sidecar, sink, until_started
from benchmarks.sink import document, text
from benchmarks.table import table

HITS: Final = 10
KINDS: Final = {"search": 12, "document": 3, "large document": 1, "bulk": 1, "rerank": 2}
"""How often each kind comes, of 19."""

BULK: Final = b'{"index":{"_index":"sink"}}\n{"text":"a line of a bulk"}\n' * 4000
ABANDONED: Final = 0.1
"""This share of the requests is given up by who asked, within `PATIENCE_SECONDS`."""

PATIENCE_SECONDS: Final = 0.03
WARM_UP: Final = 0.25
SETTLE_SECONDS: Final = 2.0

MAX_GROWTH_MEGABYTES: Final = 16.0
MAX_LEFT_OVER: Final = 10
MEGABYTE: Final = 1_000_000

HEADS: Final = ("what", "after warming up", "at the end", "slope an hour", "± standard error", "along the line")


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line through measurements, by least squares."""

    #: change per second, and its standard error
    slope: float
    error: float
    #: change along the line from the first to the last measurement
    growth: float

    @classmethod
    def through(cls, times: Sequence[float], values: Sequence[float]) -> Line:
        """Fit measurements at two or more times, in seconds; the error needs three."""
        x, y = np.asarray(times, float), np.asarray(values, float)
        x = x - x.mean()
        slope = float((x * y).sum() / (x * x).sum())
        rest = y - y.mean() - slope * x
        error = float(np.sqrt((rest * rest).sum() / max(len(x) - 2, 1) / (x * x).sum()))
        return cls(slope, error, slope * float(x[-1] - x[0]))


@dataclass(kw_only=True)
class Outcome:
    """A soak: looks at the program, and what became of the requests."""

    seconds: list[float] = field(default_factory=list)
    #: by what is looked at: bytes for memory, numbers for the rest
    looks: dict[str, list[float]] = field(default_factory=dict)
    requests: int = 0
    abandoned: int = 0
    markers: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)

    def look(self, second: float, seen: dict[str, float]) -> None:
        """Note what was seen."""
        self.seconds.append(second)
        for name, value in seen.items():
            self.looks.setdefault(name, []).append(value)

    def settled(self, name: str) -> tuple[list[float], list[float]]:
        """Return times and values after warming up."""
        first = int(WARM_UP * len(self.seconds))
        return self.seconds[first:], self.looks[name][first:]

    def complaints(self) -> list[str]:
        """Return what is wrong, in words."""
        found = [f"{count} x {fault}" for fault, count in self.faults.items()]
        for name in self.looks:
            times, values = self.settled(name)
            if name.startswith("memory"):
                grown = Line.through(times, values).growth / MEGABYTE
                if grown > MAX_GROWTH_MEGABYTES:
                    found.append(f"{name} grew by {grown:.1f} MB, and may by {MAX_GROWTH_MEGABYTES:g}")
            elif values[-1] > values[0] + MAX_LEFT_OVER:
                found.append(f"{name}: {values[0]:g} after warming up, {values[-1]:g} at the end")
        return found


class Traffic:
    """Requests of all kinds in a random order, and their judges."""

    def __init__(self, seed: int) -> None:
        """Draw by `seed`."""
        self.judge = SearchJudge(HITS, keeps_order=False)
        self._random = random.Random(seed)

    def calls(self, count: int) -> list[Call]:
        """Return the next so many."""
        kinds = self._random.choices(list(KINDS), weights=list(KINDS.values()), k=count)
        return [self._call(kind) for kind in kinds]

    def _call(self, kind: str) -> Call:
        if kind == "search":
            return search(self.judge, HITS, f"what do people search {self._random.randrange(10**6)}")
        if kind == "bulk":
            answer = json.dumps({"took": 1, "errors": False, "items": [], "bytes": len(BULK)}).encode()
            lines = {"Content-Type": "application/x-ndjson"}
            return Call(method="POST", path="/_bulk", headers=lines, body=BULK, check=expects(answer))
        if kind == "rerank":
            texts = [text(self._random.randrange(1000)) for _ in range(HITS)]
            body = json.dumps({"query": f"words {self._random.randrange(10**6)}", "documents": texts}).encode()
            return Call(
                method="POST",
                path="/v1/rerank",
                headers={"Content-Type": "application/json"},
                body=body,
                check=_has_all_ranks,
            )
        size = 65_536 if kind == "large document" else 1024
        return Call(method="GET", path=f"/sink/_doc/{size}", check=expects(document(size)))


class Impatient:
    """A client some of whose callers go away before they are answered."""

    def __init__(self, client: Client, seed: int) -> None:
        """Send by `client`; who goes is drawn by `seed`."""
        self.abandoned = 0
        self._client = client
        self._random = random.Random(seed)

    async def send(self, call: Call) -> Answer | str:
        """Return the answer, or in words why there is none; one that was not waited for is none."""
        if self._random.random() >= ABANDONED:
            return await self._client.send(call)
        self.abandoned += 1
        try:
            async with asyncio.timeout(self._random.random() * PATIENCE_SECONDS):
                return await self._client.send(call)
        except TimeoutError:
            return ""


def _has_all_ranks(answer: Answer) -> str:
    if answer.status != 200:
        return f"status {answer.status} of the rerank API"
    ranked = sorted(result["index"] for result in answer.json["results"])
    return "" if ranked == list(range(HITS)) else "other results of the rerank API"


async def look(proxy: Server, client: Client) -> dict[str, float]:
    """Return what the program holds now, by name."""
    seen: dict[str, float] = {"memory of the front": proxy.resident_bytes}
    for number, child in enumerate(proxy.children, 1):
        seen[f"memory of child {number}"] = child.resident_bytes
    seen["open files of the front"] = proxy.open_files
    told = await client.send(Call(method="GET", path="/_rerank/metrics", check=lambda _: ""))
    assert isinstance(told, Answer), told
    lines = (line.split() for line in told.body.decode().splitlines() if not line.startswith("#"))
    seen["tasks of the front"] = next(float(value) for name, value in lines if name == "rerank_sidecar_tasks")
    return seen


async def soak(proxy: Server, given: argparse.Namespace) -> Outcome:
    """Send traffic in segments and look between them."""
    outcome, traffic = Outcome(), Traffic(seed=1)
    loop = asyncio.get_running_loop()
    faults: Counter[str] = Counter()
    async with Client(proxy.url) as client:
        impatient = Impatient(client, seed=2)
        began = loop.time()
        while loop.time() - began < given.seconds:
            schedule = poisson(given.rate, given.segment, seed=len(outcome.seconds))
            sent = await send_when_due(impatient, traffic.calls(len(schedule)), schedule)
            outcome.requests += len(sent)
            faults.update(each.fault for each in sent if each.fault)
            await asyncio.sleep(SETTLE_SECONDS)
            outcome.look(loop.time() - began, await look(proxy, client))
            if len(outcome.seconds) % 10 == 0:
                print(f"{outcome.seconds[-1]:,.0f} s: {_last(outcome)}", file=sys.stderr, flush=True)
    outcome.abandoned, outcome.faults, outcome.markers = impatient.abandoned, dict(faults), dict(traffic.judge.markers)
    return outcome


def _last(outcome: Outcome) -> str:
    return ", ".join(f"{name} {_shown(name, values[-1])}" for name, values in outcome.looks.items())


def _shown(name: str, value: float) -> str:
    return f"{value / MEGABYTE:,.1f} MB" if name.startswith("memory") else f"{value:,.0f}"


def rows(outcome: Outcome) -> list[list[str]]:
    """Return an outcome under `HEADS`."""
    found = []
    for name in outcome.looks:
        times, values = outcome.settled(name)
        line = Line.through(times, values)
        scale, unit = (MEGABYTE, " MB") if name.startswith("memory") else (1, "")
        found.append(
            [
                name,
                _shown(name, values[0]),
                _shown(name, values[-1]),
                f"{3600 * line.slope / scale:+,.2f}{unit}",
                f"{3600 * line.error / scale:,.2f}{unit}",
                f"{line.growth / scale:+,.2f}{unit}",
            ]
        )
    return found


async def run(given: argparse.Namespace) -> Outcome:
    """Start sink and proxy, and soak."""
    scorer = ["--scorer", given.scorer, "--allow-test-scorers"]
    if given.scorer == "model":
        scorer = ["--model", str(prepared(given)[0])]
    async with (
        sink() as engine,
        sidecar(
            "serve", "--engine", engine.url, *scorer, "--listen", "127.0.0.1:0", "--log-level", "error",
            RERANK_SIDECAR_RERANK__WINDOW=str(HITS),
        ) as proxy,
    ):  # fmt: skip
        await until_started(proxy)
        return await soak(proxy, given)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's words; `seconds` is how long it takes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scorer", default="model", help="model, or a test scorer such as test:identity")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--hours", type=float, help="in place of minutes")
    parser.add_argument("--rate", type=float, default=15.0, help="requests per second")
    parser.add_argument("--segment", type=float, default=10.0, help="seconds of load between two looks")
    add_model(parser)
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--quick", action="store_true", help="a scripted scorer, four seconds")
    given = parser.parse_args(argv)
    given.seconds = 3600 * given.hours if given.hours else 60 * given.minutes
    if given.quick:
        given.scorer, given.seconds, given.segment, given.rate = "test:identity", 4.0, 0.5, 40.0
    return given


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    given = parse(argv)
    machine = Machine.here()
    outcome = asyncio.run(run(given))
    print(f"{machine.line()}\n")
    print(
        f"scorer {given.scorer}, {outcome.seconds[-1]:,.0f} s, {outcome.requests:,} requests at {given.rate:g} a "
        f"second, {outcome.abandoned:,} of them given up by who asked\n"
    )
    print(table(HEADS, rows(outcome)))
    print(f"\nmarkers: {', '.join(f'{count} {marker}' for marker, count in sorted(outcome.markers.items()))}")
    if given.json is not None:
        facts = {"machine": machine.facts(), "scorer": given.scorer, "outcome": asdict(outcome)}
        given.json.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    complaints = outcome.complaints()
    for complaint in complaints:
        print(f"fault: {complaint}")
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()

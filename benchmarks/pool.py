"""Scorers elsewhere: what a second one carries, what the way to it costs, and what its end costs.

    python -m benchmarks.pool                     # all parts, about six minutes
    python -m benchmarks.pool --part way --rounds 7

    capacity   searches a second with one scorer and with two behind HAProxy, in turns, in a closed loop. The scorers
               are test:slow=MSx1: they sleep, one call at a time, so that they do not fight with the callers for cores
    models     the same with a real model, one thread each: what the cores of this machine allow
    way        a search of 100 candidates alone: its scorer as a child process, elsewhere, elsewhere behind HAProxy
    outages    searches in an open loop while both scorers are restarted in turn and one is killed: right is an answer
               with all hits; those that came in the engine's order are counted as degraded

The engine is a sink (`benchmarks/sink.py`). Everything shares this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.calls import Answer, Call, Client
from benchmarks.machine import Machine
from benchmarks.open_loop import Report, saturate, send_when_due
from benchmarks.programs import Server, sidecar, sink
from benchmarks.restarts import due, found_haproxy
from benchmarks.rounds import Spread, ratio
from benchmarks.scorers import Pool, pool
from benchmarks.table import table

PARTS: Final = ("capacity", "models", "way", "outages")
HITS: Final = 10
WINDOW: Final = 100
UNHURRIED: Final = {"RERANK_SIDECAR_RERANK__DEADLINE_MS": "0", "RERANK_SIDECAR_RERANK__TOKEN_BUDGET": "0"}
WARM_UP_SECONDS: Final = 1.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Searches per second with one scorer and with two, by round."""

    model: str
    one: list[Report]
    two: list[Report]

    @property
    def gain(self) -> Spread:
        """What two carry of what one does."""
        return ratio([each.achieved for each in self.two], [each.achieved for each in self.one])


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """A lone caller's searches, by the way to the scorer and by round."""

    reports: dict[str, list[Report]]
    #: processor seconds of the front for a search
    worked: dict[str, float]

    def added(self, way: str) -> Spread:
        """Return by how much the median of a way is above the child's, in seconds."""
        pairs = zip(self.reports[way], self.reports["child"], strict=True)
        return Spread.of(slow.p50 - fast.p50 for slow, fast in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outages:
    """Searches while scorers come and go."""

    report: Report
    #: answers by the word of their marker, and its reason
    outcomes: dict[str, int]
    #: what was done, and the exit codes of scorers that were told to end
    events: list[str]
    exit_codes: list[int]

    @property
    def degraded(self) -> int:
        """Searches that came in the engine's order, or in part."""
        return sum(count for word, count in self.outcomes.items() if not word.startswith("applied"))


class Judge:
    """Says what is wrong with the answer to a search of the sink, and counts what became of its reranking."""

    def __init__(self) -> None:
        """Have seen none."""
        self.outcomes: Counter[str] = Counter()

    def check(self, answer: Answer) -> str:
        """Return what is wrong, "" for nothing."""
        if answer.status != 200:
            return f"status {answer.status}"
        if len(answer.json["hits"]["hits"]) != HITS:
            return "other hits"
        marker = answer.headers.get("X-Rerank", "none")
        self.outcomes["; ".join(part for part in marker.split("; ") if "=" not in part or "reason" in part)] += 1
        return ""


def search(check: Callable[[Answer], str]) -> Call:
    """Return a search of the sink."""
    body = json.dumps({"query": {"match": {"text": "people search"}}, "size": HITS}).encode()
    headers = {"Content-Type": "application/json"}
    return Call(method="POST", path="/sink/_search", headers=headers, body=body, check=check)


def applied(answer: Answer) -> str:
    """Return what is wrong with a search that must have been reranked, "" for nothing."""
    judge = Judge()
    fault = judge.check(answer)
    return fault or ("" if judge.outcomes["applied"] else f"not reranked: {answer.headers.get('X-Rerank')}")


@asynccontextmanager
async def front(engine: Server, *arguments: str, window: int = WINDOW, **settings: str) -> AsyncIterator[Server]:
    """Give a sidecar that has found its scorer."""
    async with sidecar(
        *("serve", "--engine", engine.url, "--listen", "127.0.0.1:0", "--log-level", "error", *arguments),
        RERANK_SIDECAR_RERANK__WINDOW=str(window),
        RERANK_SIDECAR_RERANK__FETCH="once",  # the sink has the same hits for every search
        **settings,
    ) as server:
        await until_reranked(server)
        yield server


async def until_reranked(server: Server) -> None:
    """Wait until a search is reranked."""
    async with Client(server.url) as client, asyncio.timeout(60):
        while True:
            answer = await client.send(search(applied))
            if not isinstance(answer, str) and not applied(answer):
                return
            await asyncio.sleep(0.05)


async def capacity(model: str, *, window: int, connections: int, seconds: float, rounds: int, say: Say) -> Capacity:
    """Measure one scorer and two in turns."""
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(sink())
        clients = {}
        for replicas in (1, 2):
            scorers = await stack.enter_async_context(pool(model, replicas))
            server = await stack.enter_async_context(front(engine, "--scorer", scorers.url, window=window, **UNHURRIED))
            clients[replicas] = await stack.enter_async_context(Client(server.url))
        reports: dict[int, list[Report]] = {1: [], 2: []}
        for client in clients.values():
            await saturate(client, [search(applied)], connections=connections, seconds=min(WARM_UP_SECONDS, seconds))
        for number in range(rounds):
            for replicas, client in clients.items():
                report = await saturate(client, [search(applied)], connections=connections, seconds=seconds)
                reports[replicas].append(report)
            one, two = reports[1][-1], reports[2][-1]
            say(f"{model}: round {number + 1}: {one.achieved:.1f}/s, {two.achieved:.1f}/s")
    return Capacity(model=model, one=reports[1], two=reports[2])


async def ways(*, seconds: float, rounds: int, say: Say) -> Ways:
    """Measure a lone caller's search over each way in turns."""
    model = "test:identity"
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(sink())
        behind = await stack.enter_async_context(pool(model, 2))
        arguments = {
            "child": ("--model", model, "--allow-test-scorers"),
            "elsewhere": ("--scorer", f"http://{behind.addresses[0]}"),
            "behind HAProxy": ("--scorer", behind.url),
        }
        clients, servers = {}, {}
        for way, given in arguments.items():
            servers[way] = await stack.enter_async_context(front(engine, *given, window=WINDOW, **UNHURRIED))
            clients[way] = await stack.enter_async_context(Client(servers[way].url))
        reports: dict[str, list[Report]] = {way: [] for way in clients}
        for client in clients.values():
            await saturate(client, [search(applied)], connections=1, seconds=min(WARM_UP_SECONDS, seconds))
        before = {way: server.processor_seconds for way, server in servers.items()}
        for number in range(rounds):
            for way, client in clients.items():
                reports[way].append(await saturate(client, [search(applied)], connections=1, seconds=seconds))
            words = ", ".join(f"{way} {1000 * reports[way][-1].p50:.2f} ms" for way in clients)
            say(f"way: round {number + 1}: p50 {words}")
        worked = {way: server.processor_seconds - before[way] for way, server in servers.items()}
    searches = {way: sum(each.requests for each in done) for way, done in reports.items()}
    return Ways(reports=reports, worked={way: seconds / searches[way] for way, seconds in worked.items()})


async def outages(
    *,
    model: str,
    rate: float,
    requests: int,
    rounds: int,
    drain_seconds: float,
    check: str,
    say: Say,
    has_restarts: bool = True,
    **settings: str,
) -> Outages:
    """Search while both scorers are restarted in turn, and one is killed and started again, so many times."""
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(sink())
        scorers = await stack.enter_async_context(pool(model, 2, drain_seconds=drain_seconds, check=check))
        server = await stack.enter_async_context(front(engine, "--scorer", scorers.url, window=WINDOW, **settings))
        client = await stack.enter_async_context(Client(server.url))
        judge, done, events, codes = Judge(), asyncio.Event(), list[str](), list[int]()

        async def happen() -> None:
            for _ in range(rounds):
                for name in scorers.scorers if has_restarts else ():
                    codes.append(await scorers.scorers[name].end())
                    await _again(scorers, name)
                    events.append(f"{name} restarted")
                    say(events[-1])
                victim = next(iter(scorers.scorers))
                await scorers.scorers[victim].kill()
                await _again(scorers, victim)
                events.append(f"{victim} killed")
                say(events[-1])
            done.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(happen())
            sent = group.create_task(send_when_due(client, [search(judge.check)], due(rate, requests, done)))
    return Outages(report=Report.of(sent.result()), outcomes=dict(judge.outcomes), events=events, exit_codes=codes)


async def _again(scorers: Pool, name: str) -> None:
    await scorers.scorers[name].start()
    await scorers.until_up(name)


def capacity_rows(found: Capacity) -> list[list[str]]:
    """Return one scorer and two as a table's rows."""
    return [
        [
            words,
            Spread.of(each.achieved for each in reports).text(),
            *(Spread.of(1000 * getattr(each, quantile) for each in reports).text() for quantile in ("p50", "p99")),
            str(sum(sum(each.faults.values()) for each in reports)),
        ]
        for words, reports in ((f"{found.model}, one", found.one), (f"{found.model}, two", found.two))
    ]


def way_rows(found: Ways) -> list[list[str]]:
    """Return the ways as a table's rows."""
    return [
        [
            way,
            *(Spread.of(1000 * getattr(each, quantile) for each in reports).text(2) for quantile in ("p50", "p99")),
            "" if way == "child" else _milliseconds(found.added(way)),
            f"{1000 * found.worked[way]:.2f}",
            str(sum(sum(each.faults.values()) for each in reports)),
        ]
        for way, reports in found.reports.items()
    ]


def _milliseconds(spread: Spread) -> str:
    return Spread(1000 * spread.median, 1000 * spread.least, 1000 * spread.greatest).text(2)


def outage_lines(found: Outages) -> list[str]:
    """Return what became of the searches, in lines."""
    report = found.report
    failed = sum(report.faults.values())
    codes = ", ".join(f"{count} x {code}" for code, count in sorted(Counter(found.exit_codes).items()))
    return [
        f"{len(found.events)} outages ({', '.join(f'{n} x {what}' for what, n in _kinds(found.events).items())}), "
        f"exit codes of those told to end: {codes}",
        f"{report.requests:,} searches, {report.offered:,.0f}/s: {failed} failed, {found.degraded} degraded "
        f"({100 * found.degraded / report.requests:.2f} %)",
        *(f"outcome: {count:,} x {word}" for word, count in sorted(found.outcomes.items())),
        *(f"fault: {count} x {fault}" for fault, count in report.faults.items()),
        f"p50 {1000 * report.p50:.1f} ms, p99 {1000 * report.p99:.1f} ms, longest {1000 * report.longest:.0f} ms",
    ]


def _kinds(events: Sequence[str]) -> Mapping[str, int]:
    return Counter(event.partition(" ")[2] for event in events)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's words."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pool", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--part", action="append", choices=PARTS, help="repeatable; default: all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each side in each round")
    parser.add_argument("--slow-ms", type=int, default=20, help="what a scorer of `capacity` takes for a call")
    parser.add_argument("--connections", type=int, default=8, help="searches under way in `capacity` and `models`")
    parser.add_argument("--model", default="offline", help="of `models`")
    parser.add_argument("--model-window", type=int, default=50, help="candidates of a search in `models`")
    parser.add_argument("--rate", type=float, default=100.0, help="searches per second in `outages`")
    parser.add_argument("--requests", type=int, default=2000, help="of `outages`, at least")
    parser.add_argument("--outage-rounds", type=int, default=2, help="restarts of both and a kill, so many times")
    parser.add_argument("--check", default="1s", help="HAProxy's check interval in `outages`; 1s as shipped")
    parser.add_argument("--drain-seconds", type=float, default=4.0, help="longer than HAProxy needs to see it")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; says nothing about speed")
    given = parser.parse_args(argv)
    given.part = given.part or list(PARTS)
    if given.quick:
        given.rounds, given.seconds, given.outage_rounds, given.requests = 1, 0.5, 1, 300
        given.check, given.drain_seconds = "100ms", 0.6
    return given


async def run(given: argparse.Namespace, say: Say) -> dict[str, Capacity | Ways | Outages]:
    """Measure the parts that are asked for, one after the other."""
    found: dict[str, Capacity | Ways | Outages] = {}
    load = {"seconds": given.seconds, "rounds": given.rounds, "say": say}
    for part in given.part:
        match part:
            case "capacity":
                model = f"test:slow={given.slow_ms}x1"
                found[part] = await capacity(model, window=HITS, connections=given.connections, **load)
            case "models":
                window = given.model_window
                found[part] = await capacity(given.model, window=window, connections=given.connections, **load)
            case "way":
                found[part] = await ways(**load)
            case _:
                found[part] = await outages(
                    model=f"test:slow={given.slow_ms // 4}",
                    rate=given.rate,
                    requests=given.requests,
                    rounds=given.outage_rounds,
                    drain_seconds=given.drain_seconds,
                    check=given.check,
                    say=say,
                )
    return found


def text(found: Capacity | Ways | Outages) -> str:
    """Return what was measured, as it stands in docs/scaling.md."""
    match found:
        case Capacity():
            heads = ("scorers", "searches/s", "p50 ms", "p99 ms", "faults")
            return f"{table(heads, capacity_rows(found))}\n\ntwo carry {found.gain.text(2)} times what one does"
        case Ways():
            return table(
                ("the scorer is", "p50 ms", "p99 ms", "added p50 ms", "front's core, ms", "faults"), way_rows(found)
            )
        case Outages():
            return "\n".join(outage_lines(found))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the program."""
    given = parse(argv)
    if found_haproxy() is None:
        sys.exit("HAProxy is not installed: apt install haproxy")
    machine = Machine.here()
    found = asyncio.run(run(given, lambda line: print(line, file=sys.stderr, flush=True)))
    print(machine.line())
    print(f"{given.rounds} rounds of {given.seconds:g} s each side in turns, medians (least - greatest)")
    for part, each in found.items():
        print(f"\n{part}\n\n{text(each)}")
    if given.json is not None:
        parts = {part: asdict(each) for part, each in found.items()}
        facts = {"machine": machine.facts(), "given": {**vars(given), "json": None}, "parts": parts}
        given.json.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    if any(each.report.faults or any(each.exit_codes) for each in found.values() if isinstance(each, Outages)):
        sys.exit(1)


if __name__ == "__main__":
    main()

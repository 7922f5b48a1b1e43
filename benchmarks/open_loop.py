"""Load that does not wait: requests go out when they are due, whatever has become of those before.

Law: latency counts from the time at which a request was due, so that a server that stalls is charged for all who would
have come meanwhile (no coordinated omission), and every answer is checked: a wrong one is a fault like one that never
came. The generator's own lateness is measured, too: when it grows, the figures are the generator's, not the server's.

`saturate` is the other kind, a closed loop, and finds out how much a server can do.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from benchmarks.calls import Answer, Call

Value = TypeVar("Value")


class Sender(Protocol):
    """What sends a call: `benchmarks.calls.Client`."""

    async def send(self, call: Call) -> Answer | str:
        """Return the answer, or in words why there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Sent:
    """One request: when it was due, sent and answered by the loop's clock, and what was wrong, "" for nothing."""

    due: float
    sent: float
    ended: float
    fault: str

    @property
    def latency(self) -> float:
        """Seconds from when it was due to the end of its answer."""
        return self.ended - self.due


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A load in figures. Durations are in seconds."""

    requests: int
    #: requests that were due per second, and answers per second
    offered: float
    achieved: float
    p50: float
    p95: float
    p99: float
    longest: float
    #: 99 of 100 requests were sent no later than this after they were due
    lateness: float
    #: what was wrong, and how often
    faults: dict[str, int]

    @classmethod
    def of(cls, sent: Sequence[Sent]) -> Report:
        """Summarise requests, at least one. Faults count in the latencies: they took their time, too."""
        latencies = np.array([each.latency for each in sent])
        due = [each.due for each in sent]
        first, last = min(due), max(due)
        p50, p95, p99 = (float(value) for value in np.percentile(latencies, [50, 95, 99]))
        return cls(
            requests=len(sent),
            offered=len(sent) / max(last - first, 1e-9),
            achieved=len(sent) / max(max(each.ended for each in sent) - first, 1e-9),
            p50=p50,
            p95=p95,
            p99=p99,
            longest=float(latencies.max()),
            lateness=float(np.percentile([each.sent - each.due for each in sent], 99)),
            faults=dict(Counter(each.fault for each in sent if each.fault)),
        )


def poisson(rate: float, seconds: float, *, seed: int = 0) -> list[float]:
    """Return when requests of independent users are due, `rate` a second on average."""
    chance = random.Random(seed)
    gaps = (chance.expovariate(rate) for _ in itertools.count())
    return list(itertools.takewhile(lambda due: due < seconds, itertools.accumulate(gaps)))


def constant(rate: float, seconds: float) -> list[float]:
    """Return when requests are due that keep one distance."""
    return [number / rate for number in range(int(rate * seconds))]


async def send_when_due(client: Sender, calls: Sequence[Call], schedule: Iterable[float]) -> list[Sent]:
    """Send one request for each time of `schedule`, the calls in turn, and return all, in the order of their times."""
    loop = asyncio.get_running_loop()
    sent: list[Sent] = []
    start = loop.time() + 0.05
    following = itertools.cycle(calls)

    async def send(call: Call, due: float) -> None:
        began = loop.time()
        answer = await client.send(call)
        ended = loop.time()
        sent.append(Sent(due, began, ended, _fault(call, answer)))

    async with asyncio.TaskGroup() as group:
        for offset in schedule:
            due = start + offset
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            group.create_task(send(next(following), due))
    return sorted(sent, key=lambda each: each.due)


async def saturate(client: Sender, calls: Sequence[Call], *, connections: int, seconds: float) -> Report:
    """Keep `connections` requests under way for some seconds and return what came of it: the capacity is `achieved`."""
    loop = asyncio.get_running_loop()
    sent: list[Sent] = []
    end = loop.time() + seconds
    following: Iterator[Call] = itertools.cycle(calls)

    async def keep_sending() -> None:
        while (began := loop.time()) < end:
            call = next(following)
            answer = await client.send(call)
            sent.append(Sent(began, began, loop.time(), _fault(call, answer)))

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(keep_sending())
    return Report.of(sent)


def run_exactly(main: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
    """Run a coroutine in a loop whose timers are exact, for up to a thousand connections.

    asyncio's own loop waits by epoll, which rounds up to milliseconds: longer than a proxied request takes.
    """
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(main())


def _fault(call: Call, answer: Answer | str) -> str:
    return answer if isinstance(answer, str) else call.check(answer)

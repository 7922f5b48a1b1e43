"""Runs the tests of a suite in lanes, each with its own engine and a proxy for every mode."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from tests.engines.nodes import Node
from tests.parity.connection import Connection
from tests.parity.modes import Mode, Proxy, serving
from tests.parity.report import Report
from tests.parity.suites import Suite
from tests.parity.twins import Lane
from tests.parity.yaml_tests import Case

TOLD_EVERY = 100


async def run(
    suite: Suite, cases: Sequence[Case], modes: Sequence[Mode], *, lanes: int = 1, say: Callable[[str], None]
) -> Report:
    """Play the cases and return what was found. `say` hears of the progress. Raises EngineUnavailable."""
    report = Report()
    waiting = _Waiting(cases, say)

    async def drive(node: Node) -> None:
        async with opened(node, suite, modes) as (lane, proxies):
            for case in waiting:
                await lane.compare(case, report)
            report.log_errors += [f"{proxy.mode.letter}: {line}" for proxy in proxies for line in proxy.errors()]

    async with AsyncExitStack() as stack:
        nodes = [await _started(suite, stack) for _ in range(lanes)]
        async with asyncio.TaskGroup() as group:
            for number, node in enumerate(nodes):
                group.create_task(drive(node), name=f"lane {number}")
    return report


@asynccontextmanager
async def opened(node: Node, suite: Suite, modes: Sequence[Mode]) -> AsyncIterator[tuple[Lane, list[Proxy]]]:
    """Start the proxies of a node, all at once, and connect."""
    async with AsyncExitStack() as stack:
        async with asyncio.TaskGroup() as group:
            starts = [group.create_task(stack.enter_async_context(serving(mode, node.url))) for mode in modes]
        proxies = [start.result() for start in starts]
        engine = await stack.enter_async_context(Connection(node.url))
        asked = [(proxy.mode, (await stack.enter_async_context(Connection(proxy.url))).send) for proxy in proxies]
        yield Lane(engine.send, asked, suite.writer(), node.version), proxies


async def _started(suite: Suite, stack: AsyncExitStack) -> Node:
    node = suite.node()
    started = await asyncio.to_thread(node.__enter__)
    stack.push_async_callback(asyncio.to_thread, node.__exit__, None, None, None)
    return started


class _Waiting:
    """The tests that no lane has taken yet."""

    def __init__(self, cases: Sequence[Case], say: Callable[[str], None]) -> None:
        self._cases = deque(cases)
        self._total = len(cases)
        self._say = say
        self._since = time.monotonic()

    def __iter__(self) -> Iterator[Case]:
        while self._cases:
            yield self._cases.popleft()
            done = self._total - len(self._cases)
            if done % TOLD_EVERY == 0:
                self._say(f"{done} of {self._total} tests, {time.monotonic() - self._since:.0f} s")

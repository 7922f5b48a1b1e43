"""Where a search is in a trace: nothing without one."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sidecar import tasks
from sidecar.telemetry import tracing
from sidecar.telemetry.tracing import Attributes


class NotingTrace:
    """A trace that notes its spans."""

    trace_id = "5" * 32

    def __init__(self) -> None:
        """Have noted nothing."""
        self.spans: list[tuple[str, Attributes]] = []

    @contextmanager
    def span(self, name: str, attributes: Attributes) -> Iterator[None]:
        """Note it."""
        self.spans.append((name, attributes))
        yield

    def headers(self) -> dict[str, str]:
        """Return one."""
        return {"traceparent": "p"}


def test_without_a_trace_there_is_nothing() -> None:
    """A span is a context like any other, and nobody is told anything."""
    with tracing.span("score", candidates=3):
        pass
    assert ({}, None) == (tracing.headers(), tracing.trace_id())


async def test_what_a_request_starts_belongs_to_its_trace() -> None:
    """Tasks, too; and what happens beside it does not."""
    trace = NotingTrace()

    async def work() -> dict[str, str]:
        with tracing.span("score", candidates=3):
            return tracing.headers()

    with tracing.traced_by(trace):
        started = tasks.start(work(), name="work")
    beside = await work()
    assert ({"traceparent": "p"}, {}) == (await started, beside)
    assert [("score", {"candidates": 3})] == trace.spans
    assert tracing.trace_id() is None


async def test_two_requests_have_their_own() -> None:
    """Side by side in one loop."""

    async def request(trace: NotingTrace) -> None:
        with tracing.traced_by(trace):
            await asyncio.sleep(0)
            with tracing.span("first_stage"):
                await asyncio.sleep(0)

    traces = [NotingTrace(), NotingTrace()]
    await asyncio.gather(*map(request, traces))
    assert [1, 1] == [len(trace.spans) for trace in traces]


def test_nothing_is_imported_where_tracing_is_off() -> None:
    """Neither for the pipeline nor for a program that serves."""
    program = (
        "import sys, sidecar.program.wiring, sidecar.pipeline; "
        "sys.exit(any(name.partition('.')[0] == 'opentelemetry' for name in sys.modules))"
    )
    assert 0 == subprocess.run([sys.executable, "-c", program], check=False).returncode

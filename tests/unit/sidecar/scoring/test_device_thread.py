"""One thread for the model: in order, results to the loop, failures as failures."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from sidecar.scoring.device_thread import DeviceThread


@pytest.fixture
async def thread() -> AsyncIterator[DeviceThread]:
    """Give a running thread."""
    device = DeviceThread(name="under test")
    yield device
    device.close()


async def test_work_is_done_in_order_in_one_thread(thread: DeviceThread) -> None:
    """And not in the event loop's."""
    done: list[int] = []
    idents = await asyncio.gather(
        *(thread.run(lambda number=number: (done.append(number), threading.get_ident())[1]) for number in range(5))  # type: ignore[misc, func-returns-value]
    )
    assert done == list(range(5))
    assert len({*idents, threading.get_ident()}) == 2


async def test_exceptions_reach_whoever_waits(thread: DeviceThread) -> None:
    """And the thread goes on; an exit within it does not end the program."""
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 / 0)
    with pytest.raises(RuntimeError, match="SystemExit"):
        await thread.run(lambda: exec("raise SystemExit(1)"))
    assert await thread.run(lambda: 42) == 42


async def test_a_cancelled_result_is_dropped(thread: DeviceThread) -> None:
    """The work ends by itself, and nobody is told."""
    release = threading.Event()
    waiting = thread.run(lambda: release.wait(10))
    failing = thread.run(lambda: 1 / 0)
    waiting.cancel()
    failing.cancel()
    release.set()
    assert await thread.run(lambda: "next") == "next"


async def test_work_that_has_not_begun_can_be_taken_back(thread: DeviceThread) -> None:
    """Then it never runs; work that has begun goes on."""
    has_begun, release = threading.Event(), threading.Event()
    done: list[str] = []

    def hold() -> str:
        has_begun.set()
        release.wait(10)
        return "held"

    held, waiting = thread.submit(hold), thread.submit(lambda: done.append("waiting"))
    assert await asyncio.to_thread(has_begun.wait, 10)
    assert waiting.take_back()
    assert waiting.future.cancelled()
    assert not waiting.take_back()
    assert not held.take_back()
    release.set()
    assert await held.future == "held"
    assert await thread.run(lambda: "next") == "next"
    assert done == []


def test_a_result_after_the_loop_has_closed_is_dropped() -> None:
    """The program is ending; the thread must not complain."""
    release, ended = threading.Event(), threading.Event()

    async def leave() -> None:
        device = DeviceThread(name="left behind")
        _ = device.run(lambda: release.wait(10)), device.run(ended.set)
        device.close()

    asyncio.run(leave())
    release.set()
    assert ended.wait(10)

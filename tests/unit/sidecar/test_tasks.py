"""Background tasks: held, named, and heard when they fail."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref

import pytest

from sidecar import tasks


async def test_a_task_has_its_name_and_result() -> None:
    """What is started is an ordinary task with the given name."""

    async def answer() -> int:
        return 42

    task = tasks.start(answer(), name="answer")
    assert task.get_name() == "answer"
    assert await task == 42


async def test_a_task_is_held_until_it_is_done() -> None:
    """Nobody else needs to keep a reference; afterwards nothing is kept."""
    release = asyncio.Event()
    started = weakref.ref(tasks.start(_wait(release), name="held"))
    await asyncio.sleep(0)
    gc.collect()
    assert started() is not None
    release.set()
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    assert started() is None


async def test_an_unexpected_exception_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A failing task says so in the log, with its name and the traceback."""

    async def fail() -> None:
        raise ZeroDivisionError("no")

    with caplog.at_level(logging.ERROR, logger="sidecar.tasks"):
        task = tasks.start(fail(), name="doomed")
        await asyncio.wait({task})
        await asyncio.sleep(0)
    (record,) = caplog.records
    assert record.getMessage() == "background task failed task=doomed"
    assert record.exc_info is not None


async def test_a_cancelled_task_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    """Cancellation is no failure."""
    task = tasks.start(_wait(asyncio.Event()), name="cancelled")
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    await asyncio.sleep(0)
    assert caplog.records == []


async def _wait(event: asyncio.Event) -> None:
    await event.wait()

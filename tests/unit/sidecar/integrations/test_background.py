"""The loop that callers without one share."""

import asyncio
import os
import threading

import pytest

from sidecar.integrations import background


async def where() -> tuple[int, asyncio.AbstractEventLoop]:
    """Return thread and loop."""
    return threading.get_ident(), asyncio.get_running_loop()


async def test_there_is_one_loop() -> None:
    """In a thread of its own, for callers of any kind."""
    awaited, waited_for = await background.wait(where()), await asyncio.to_thread(background.run, where())
    assert awaited == waited_for
    assert awaited[0] != threading.get_ident()
    assert awaited[1] is not asyncio.get_running_loop()


async def test_errors_come_back() -> None:
    """To whoever asked."""

    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await background.wait(fail())
    with pytest.raises(KeyError):
        background.run(fail())


async def test_cancelling_reaches_the_loop() -> None:
    """A call that is given up ends there, too."""
    began, ended = threading.Event(), threading.Event()

    async def wait_for_ever() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.ensure_future(background.wait(wait_for_ever()))
    await asyncio.to_thread(began.wait)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await asyncio.to_thread(ended.wait, 10)


def test_the_loop_does_not_wait_for_itself() -> None:
    """A synchronous call within it is refused; an asynchronous one runs on."""

    async def from_within() -> int:
        with pytest.raises(RuntimeError, match="would wait for itself"):
            background.run(where())
        return (await background.wait(where()))[0]

    assert background.run(from_within()) == background.run(where())[0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_has_its_own() -> None:
    """The parent's thread is not in it."""
    background.run(where())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"y" if background.run(where())[0] else b"n")
        os._exit(0)
    assert b"y" == os.read(reading, 1)
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)

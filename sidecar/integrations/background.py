"""An event loop in a thread of its own, for callers that have none, and for what callers of several loops share.

Law: one loop per process. It starts when somebody first needs it, and never stops; a forked process starts its own.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

T = TypeVar("T")

ENGINE_CALLS_AT_ONCE: Final = 64
"""Requests of synchronous clients that run at a time, each in a thread that waits; the others wait for their turn."""

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def submit(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Run a coroutine in the loop; cancelling the future cancels it."""
    return asyncio.run_coroutine_threadsafe(coroutine, _running_loop())


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in the loop and return its result to a thread that waits.

    Raises:
        RuntimeError: the thread is the loop's own, which would wait for itself.
    """
    if is_here():
        coroutine.close()
        raise RuntimeError("this is the loop that scorers live in: a synchronous call would wait for itself")
    future = submit(coroutine)
    try:
        return future.result()
    except BaseException:  # Ctrl-C while waiting, too
        future.cancel()
        raise


async def wait(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in the loop and return its result to the caller's; cancelling the call cancels it."""
    if is_here():
        return await coroutine
    return await asyncio.wrap_future(submit(coroutine))


def is_here() -> bool:
    """Return whether the caller runs in the loop."""
    try:
        return asyncio.get_running_loop() is _loop
    except RuntimeError:
        return False


def _running_loop() -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            _loop.set_default_executor(ThreadPoolExecutor(ENGINE_CALLS_AT_ONCE, thread_name_prefix="rerank-engine"))
            threading.Thread(target=_loop.run_forever, name="rerank", daemon=True).start()
        return _loop


def _forget() -> None:
    """Know nothing of the parent's thread, which a fork does not take along."""
    global _lock, _loop
    _lock, _loop = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

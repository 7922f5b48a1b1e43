"""Start a task and keep it alive.

Law: the only place that calls `asyncio.create_task`. The event loop holds tasks weakly, so a task that nobody
else holds can be collected while it runs; and an exception that nobody awaits is easily lost. Here every task
has a name, is held until it is done, and reports an exception that it ends with. Prefer a TaskGroup where the
task's life fits into a block.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

_running: set[asyncio.Task[Any]] = set()


def start(coroutine: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Run `coroutine` in the background; hold it until it is done and log an exception that it ends with.

    The caller still owns the task and cancels it. A coroutine whose failure is an outcome like any other
    returns it as a value. Raises `RuntimeError` outside of a running loop.
    """
    task = asyncio.create_task(coroutine, name=name)  # noqa: TID251  # held by _running, reported by _finished
    _running.add(task)
    task.add_done_callback(_finished)
    return task


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("background task failed task=%s", task.get_name(), exc_info=error)

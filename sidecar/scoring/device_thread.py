"""One thread that owns the model.

Law: loading, measuring and every forward happen in this thread and in no other, one after the other, so that no
model needs a lock and thread-local state (OpenMP teams, CUDA contexts, inference mode) is made once.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


class Job(Generic[T]):
    """A piece of work that was given to the thread."""

    def __init__(self, work: Callable[[], T], future: asyncio.Future[T]) -> None:
        """Made by `DeviceThread.submit`."""
        self._work = work
        self._claim = threading.Lock()
        #: the work's result. Cancelling it drops the result; it does not stop the work
        self.future = future

    def begin(self) -> Callable[[], T] | None:
        """Return the work, None when it was taken back: the thread's side of `take_back`."""
        return self._work if self._claim.acquire(blocking=False) else None

    def take_back(self) -> bool:
        """Return whether the work had not begun; then it never will, and its future is cancelled."""
        if not self._claim.acquire(blocking=False):
            return False
        self.future.cancel()
        return True


class DeviceThread:
    """Runs blocking work one piece after the other; results go to the event loop that made it.

    A daemon, unlike an executor's threads: a model that hangs must not keep the program from ending.
    """

    def __init__(self, *, name: str) -> None:
        """Start the thread. Must be called within a running event loop."""
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[Job[Any] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run_jobs, name=name, daemon=True).start()

    def submit(self, work: Callable[[], T]) -> Job[T]:
        """Run `work` after all that was given before."""
        job = Job(work, self._loop.create_future())
        self._jobs.put(job)
        return job

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Run `work` after all that was given before, and return the future of its result."""
        return self.submit(work).future

    def close(self) -> None:
        """End the thread after what it is doing. Does not wait."""
        self._jobs.put(None)

    def _run_jobs(self) -> None:
        while (job := self._jobs.get()) is not None:
            work = job.begin()
            if work is not None:
                self._run(work, job.future)

    def _run(self, work: Callable[[], T], future: asyncio.Future[T]) -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  # carried over to whoever awaits the future
            self._post(_fail, future, error)
        else:
            self._post(_succeed, future, result)

    def _post(self, callback: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            log.debug("result dropped reason=event loop closed")


def _succeed(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    """SystemExit and the like must not end the event loop."""
    if not future.done():
        future.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))

"""A process that is kept alive; `scoring/test_worker.py` has what becomes of it when it or its parent dies."""

import asyncio
import os
import sys
from asyncio.subprocess import Process

from sidecar.child import Child, SupervisorOptions

QUICK = SupervisorOptions(back_off=0.01, longest_back_off=0.02)
ECHO = "import os, sys; print(sys.stdin.readline().strip(), os.read(int(sys.argv[1]), 9).decode(), flush=True); {then}"


async def test_whoever_attends_speaks_with_each_process() -> None:
    """Over its standard input and output; further descriptors are inherited; its end is told."""
    reading, writing = os.pipe()
    said: list[str] = []
    ended: list[str] = []
    twice = asyncio.Event()

    async def attend(process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"hello\n")
        os.write(writing, b"inherited")
        said.extend([line.decode().strip() async for line in process.stdout])

    def note(how: str) -> None:
        ended.append(how)
        if len(ended) == 2:
            twice.set()

    argv = [sys.executable, "-c", ECHO.format(then="sys.exit(3)"), str(reading)]
    child = Child("echo", argv, QUICK, attend=attend, ended=note, pass_fds=[reading])
    try:
        async with asyncio.timeout(20):
            await twice.wait()
    finally:
        await child.aclose()
        os.close(reading)
        os.close(writing)
    assert (["hello inherited"] * 2, ["exit_code=3"] * 2) == (said[:2], ended[:2])
    assert child.starts >= 2


async def test_before_each_start_something_can_be_done() -> None:
    """And a closed child is not started again."""
    starts: list[str] = []
    done = asyncio.Event()

    def before() -> None:
        starts.append("start")
        if len(starts) == 3:
            done.set()

    child = Child("nothing", [sys.executable, "-c", ""], QUICK, before=before)
    async with asyncio.timeout(20):
        await done.wait()
    await child.aclose()
    count = len(starts)
    await asyncio.sleep(0.05)
    assert (count, None) == (len(starts), child.pid)

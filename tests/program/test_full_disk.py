"""A disk that takes no more: searches go on, the log says so once, and what comes after is whole again."""

import asyncio
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.wire import same_but_time
from tests.program.processes import (
    ANYWHERE,
    PROGRAM,
    QUICK_END,
    REPOSITORY,
    Program,
    asynchronous,
    eventually,
    running,
    search,
)

IDENTITY = ("--scorer", "test:identity", "--allow-test-scorers")
OBSERVED = {"RERANK_SIDECAR_RERANK__MODE": "observe", "RERANK_SIDECAR_RERANK__DEADLINE_MS": "0"}

EVENT_LOG = """
import asyncio, resource, sys
from pathlib import Path
from sidecar.experiments.event_log import EventLog
from sidecar.experiments.event_store import EventsNotKept
from tests.unit.sidecar.experiments.clicks import a_click

async def main():
    log = EventLog(Path(sys.argv[1]))
    kept = [await log.append([a_click(event_id=str(number), search=f"s{number}")]) for number in range(3)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    try:
        await log.append([a_click(event_id="3", search="s3")])
    except EventsNotKept as error:
        print("refused", flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    kept.append(await log.append([a_click(event_id="4", search="s4")]))
    (found,) = await log.preferences()
    print(sum(kept), found.clicks, flush=True)
    await log.aclose()

asyncio.run(main())
"""


@contextmanager
def full(pid: int, size: int) -> Iterator[None]:
    """Let no file of a process grow beyond `size` bytes, as on a disk without room, while the block runs."""
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))


async def test_observations_are_dropped_and_searches_are_not(tmp_path: Path) -> None:
    """A line of which there is half is ended, so that the next one can be read."""
    log = tmp_path / "observe.log"
    settings = {**QUICK_END, **OBSERVED, "RERANK_SIDECAR_OBSERVE__LOG": str(log)}

    def lines() -> list[str]:
        return log.read_text(encoding="utf-8").splitlines()

    with running("serve", "--engine", "embedded", "--listen", ANYWHERE, *IDENTITY, **settings) as program:
        before = await search(program.url, "why is the sky blue")
        await eventually(asynchronous(lines), lambda found: len(found) == 1)
        with full(program.pid, log.stat().st_size + 40):
            during = [await search(program.url, "why is the sky blue") for _ in range(5)]
            await asyncio.to_thread(program.said, r"observe_log_not_written error=")
        await search(program.url, "why is the sky blue")
        written = await eventually(asynchronous(lines), lambda found: len(found) >= 3 and found[-1].endswith("}"))
    assert [same_but_time(before)] * 5 == [same_but_time(answer) for answer in during]
    assert 1 == program.output.count("observe_log_not_written")
    torn = [line for line in written if not line.endswith("}")]
    assert [40] == [len(line) for line in torn]
    assert json.loads(written[0]).keys() == json.loads(written[-1]).keys()


def test_clicks_are_not_acknowledged(tmp_path: Path) -> None:
    """Those that were stay, and later ones are kept again."""
    done = subprocess.run(
        [sys.executable, "-c", EVENT_LOG, str(tmp_path / "events.db")],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ("refused\n4 4\n", "") == (done.stdout, done.stderr)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, a disk without room")
async def test_a_log_that_cannot_be_written_stops_no_search() -> None:
    """Standard error goes to a full disk, and every search is slow enough to be logged there."""
    settings = {**QUICK_END, "RERANK_SIDECAR_SLOW_RERANK_MS": "1", "RERANK_SIDECAR_RERANK__DEADLINE_MS": "0"}
    slow = ("serve", "--engine", "embedded", "--listen", ANYWHERE, "--scorer", "test:slow=5", "--allow-test-scorers")
    buffered = ("env", "-u", "PYTHONUNBUFFERED", "sh", "-c", 'exec "$@" 2>/dev/full', "sh")
    program = Program((*buffered, *PROGRAM, *slow), settings)
    try:
        answers = [await search(program.url, "why is the sky blue") for _ in range(3)]
        assert ["applied"] * 3 == [answer.outcome for answer in answers]
        assert 0 == await asyncio.to_thread(program.end)
    finally:
        program.close()

"""The log of clicks when its processes are killed: what was acknowledged is there, each once, and others go on."""

import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.experiments import event_log
from tests.faults.effort import IS_LONG
from tests.program.processes import REPOSITORY

KILLS = 100 if IS_LONG else 6
AT_ONCE = 2
"""Processes that share the file."""
LONGEST_READ = 400
"""Lines after which the latest is killed."""


def begin(path: Path, name: str) -> subprocess.Popen[str]:
    """Start a process that keeps clicks."""
    command = [sys.executable, "-m", "tests.faults.event_writer", str(path), name]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, encoding="utf-8")


def killed(writer: subprocess.Popen[str], after: int) -> list[str]:
    """Kill a process after so many lines, and return all that it has said was acknowledged."""
    assert writer.stdout is not None
    said = [line for _, line in zip(range(after), writer.stdout, strict=False)]
    assert writer.poll() is None, "it ended by itself"
    writer.send_signal(signal.SIGKILL)
    said += writer.stdout.readlines()
    writer.wait(10)
    writer.stdout.close()
    return [line.strip() for line in said if line.endswith("\n")]


@pytest.mark.timeout(600)
def test_nothing_that_was_acknowledged_is_lost(tmp_path: Path) -> None:
    """Two processes write to one file, and one of them is killed, again and again."""
    path = tmp_path / "clicks.sqlite"
    draw = random.Random(5)
    running = [begin(path, f"w{number}") for number in range(AT_ONCE)]
    acknowledged: list[str] = []
    try:
        for kill in range(KILLS):
            running.append(begin(path, f"w{AT_ONCE + kill}"))
            acknowledged += killed(running.pop(draw.randrange(AT_ONCE)), draw.randint(1, LONGEST_READ))
        for writer in list(running):
            acknowledged += killed(writer, 1)
            running.remove(writer)
    finally:
        for writer in running:
            writer.kill()
            writer.wait(10)
            assert writer.stdout is not None
            writer.stdout.close()
    with closing(event_log.connect(path)) as database:
        kept = {each for (each,) in database.execute("SELECT event_id FROM clicks")}
        [found] = event_log.preferences(database)
    assert len(acknowledged) == len(set(acknowledged))
    assert len(acknowledged) > KILLS
    assert set(acknowledged) <= kept
    assert len(kept) == found.wins
    with closing(sqlite3.connect(path)) as database:
        assert [("ok",)] == database.execute("PRAGMA integrity_check").fetchall()

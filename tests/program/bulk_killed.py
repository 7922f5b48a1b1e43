"""A bulk job in processes that kill themselves with -9 in the middle, then one that ends: a program for the tests.

It is imported once and forks, so that three kills take no longer than one start.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from sidecar.bulk import program
from sidecar.bulk.request import BulkRequest
from sidecar.program.config import load
from sidecar.program.parts import Options

QUERIES = 12
SCORER = {"scorer.url": "test:slow=5"}


def job(outputs: tuple[Path, ...], announce: Callable[[str], None]) -> None:
    """Do the job, or go on with it."""
    request = BulkRequest(outputs=outputs, dataset="sample", window=20, limit=QUERIES, report_seconds=0.0)
    options = Options(settings=load(None, SCORER), allow_test_scorers=True)
    asyncio.run(program.run(options, request, announce))


def in_a_process(outputs: tuple[Path, ...], last_line: str | None) -> int:
    """Do the job in a process of its own, which kills itself at a line; return how it ended."""

    def announce(line: str) -> None:
        if last_line is not None and line.startswith(last_line):
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        job(outputs, announce)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(folder: Path) -> None:
    """Kill the job three times, end it, and do the same undisturbed; say how each process ended."""
    killed, calm = (tuple(folder / f"{name}.{kind}" for kind in ("trec", "parquet")) for name in ("killed", "calm"))
    lines = [*(f"{count} of " for count in (QUERIES // 4, QUERIES // 2, QUERIES)), None]
    ends = [in_a_process(killed, line) for line in lines]
    ends.append(in_a_process(calm, None))
    sys.stdout.write(f"{ends}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

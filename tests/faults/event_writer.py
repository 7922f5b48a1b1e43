"""A process that keeps clicks and says which were acknowledged, until it is killed.

    python -m tests.faults.event_writer PATH NAME

It does what a front does with them: many callers at a time, some of whom send several clicks at once, and somebody who
asks again and again what they say.
"""

import asyncio
import itertools
import os
import sys
from dataclasses import replace
from pathlib import Path

from sidecar.experiments.event_log import EventLog
from sidecar.experiments.events import Click
from sidecar.types import Team

CALLERS = 8

CLICK = Click(
    event_id="",
    received=0.0,
    policy="shop",
    version="1",
    method="team_draft",
    arm=None,
    search="s",
    position=1,
    hit="h",
    team=Team.RERANK,
)


async def main(path: str, name: str) -> None:
    """Append to the log at `path` for ever, with ids that begin with `name`, and print each that is acknowledged."""
    log = EventLog(Path(path))
    numbers = itertools.count()

    async def call(caller: int) -> None:
        while True:
            ids = [f"{name}-{next(numbers)}" for _ in range(1 + caller % 3)]
            await log.append([replace(CLICK, event_id=each, search=each) for each in ids])
            os.write(1, "".join(f"{each}\n" for each in ids).encode())

    async def count() -> None:
        while True:
            await log.preferences()

    await asyncio.gather(count(), *map(call, range(CALLERS)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""Clicks in a file of the operator's: an SQLite database that several processes append to.

Laws: what was acknowledged is on the disk, whatever happens to the process or the machine a moment later (a write-ahead
log, synced at every commit). What waits while the disk is busy is committed together. A click is kept once, by the id
of its event. No event loop waits for the disk.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidecar.experiments.event_store import EventsNotKept
from sidecar.experiments.events import Click
from sidecar.experiments.preference import Preference

MOST_WAITING: Final = 10_000
"""Clicks that may wait for the disk."""

MOST_TOGETHER: Final = 1000
"""Appends of one commit."""

BUSY_SECONDS: Final = 10.0
"""How long another process may hold the file."""

VERSION: Final = 1
_MODE: Final = 0o600

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS clicks (
    event_id TEXT NOT NULL PRIMARY KEY,
    received REAL NOT NULL,
    policy TEXT NOT NULL,
    version TEXT NOT NULL,
    method TEXT NOT NULL,
    arm TEXT NOT NULL,
    search TEXT NOT NULL,
    position INTEGER NOT NULL,
    hit TEXT NOT NULL,
    team TEXT NOT NULL,
    first_rank INTEGER,
    rerank_rank INTEGER
) WITHOUT ROWID
"""

_INSERT: Final = "INSERT OR IGNORE INTO clicks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

_PREFERENCES: Final = """
WITH clicked AS (
    SELECT policy, version, method, search, hit, max(position) AS position,
           CASE WHEN min(team) = max(team) THEN team ELSE '' END AS team,
           max(first_rank) AS first_rank, max(rerank_rank) AS rerank_rank, min(received) AS first, max(received) AS last
    FROM clicks WHERE received >= ? GROUP BY policy, version, method, search, hit
),
depth AS (
    SELECT policy, version, method, search, max(position), min(first_rank, rerank_rank) AS depth
    FROM clicked WHERE first_rank IS NOT NULL GROUP BY policy, version, method, search
),
credited AS (
    SELECT policy, version, method, search, count(*) AS clicks, min(first) AS first, max(last) AS last,
           sum(CASE method WHEN 'balanced' THEN ifnull(rerank_rank <= depth, 0) ELSE team = 'rerank' END)
           - sum(CASE method WHEN 'balanced' THEN ifnull(first_rank <= depth, 0) ELSE team = 'first_stage' END)
           AS credit
    FROM clicked LEFT JOIN depth USING (policy, version, method, search)
    GROUP BY policy, version, method, search
)
SELECT policy, version, method, sum(credit > 0), sum(credit < 0), sum(credit = 0), sum(clicks), min(first), max(last)
FROM credited GROUP BY policy, version, method ORDER BY policy, min(first), method
"""
"""A hit counts once a search. Team draft: each team has the hits that it picked. Balanced: each ranking has the clicked
hits down to the depth at which the lowest click stands in the better of both (Chapelle et al. 2012, section 3)."""


@dataclass(frozen=True, slots=True)
class _Append:
    clicks: Sequence[Click]
    done: asyncio.Future[int]
    loop: asyncio.AbstractEventLoop


class EventLog:
    """The store in a file. Appends may come from any event loop."""

    def __init__(self, path: Path) -> None:
        """Open or make the file.

        Raises:
            OSError: it cannot be written, or is something else.
        """
        self._path = path
        try:
            with closing(connect(path)):
                pass
        except sqlite3.Error as error:
            raise OSError(0, str(error)) from error
        self._waiting: queue.SimpleQueue[_Append | None] = queue.SimpleQueue()
        self._room = threading.BoundedSemaphore(MOST_WAITING)
        self._writer = threading.Thread(target=self._write, name="event log", daemon=True)
        self._writer.start()

    async def append(self, clicks: Sequence[Click]) -> int:
        """Return how many of the clicks are new, when they are on the disk. Raises EventsNotKept."""
        taken = 0
        while taken < len(clicks) and self._room.acquire(blocking=False):
            taken += 1
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        try:
            if taken < len(clicks):
                raise EventsNotKept(f"{MOST_WAITING} clicks wait for the disk")
            self._waiting.put(_Append(clicks, done, loop))
            return await done
        finally:
            for _ in range(taken):
                self._room.release()

    async def preferences(self, since: float = 0.0) -> list[Preference]:
        """Return what the clicks say, of all processes. Raises EventsNotKept when the file cannot be read."""
        return await asyncio.to_thread(self._preferences, since)

    async def aclose(self) -> None:
        """Write what waits, and end."""
        self._waiting.put(None)
        await asyncio.to_thread(self._writer.join)

    def _preferences(self, since: float) -> list[Preference]:
        try:
            with closing(connect(self._path)) as database:
                return preferences(database, since)
        except (sqlite3.Error, OSError) as error:
            raise EventsNotKept(f"{self._path}: {error}") from error

    def _write(self) -> None:
        """Commit what waits, again and again, until the end."""
        database: sqlite3.Connection | None = None
        is_ending = False
        while not is_ending:
            appends, is_ending = self._next()
            try:
                database = database or connect(self._path)
                told: list[int | Exception] = list(_committed(database, appends))
            except (sqlite3.Error, OSError) as error:
                if database is not None:
                    database.close()
                database, told = None, [EventsNotKept(f"{self._path}: {error}")] * len(appends)
            for append, outcome in zip(appends, told, strict=True):
                with suppress(RuntimeError):  # the loop has ended, and nobody waits
                    append.loop.call_soon_threadsafe(_tell, append.done, outcome)
        if database is not None:
            database.close()

    def _next(self) -> tuple[list[_Append], bool]:
        """Wait for an append, and return it with those that wait beside it, and whether there will be no more."""
        found: list[_Append] = []
        try:
            while len(found) < MOST_TOGETHER:
                append = self._waiting.get(block=not found)
                if append is None:
                    return found, True
                found.append(append)
        except queue.Empty:
            pass
        return found, False


def connect(path: Path | str) -> sqlite3.Connection:
    """Open the database, and make it where there is none; ":memory:" is one that nobody else sees.

    Raises:
        sqlite3.Error: it cannot be used, or is something else.
        OSError: the file cannot be made.
    """
    # A file that is there is opened by SQLite alone: whoever closes it otherwise ends the locks of this whole process.
    with suppress(FileExistsError):
        if path != ":memory:":
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE))
    database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version not in (0, VERSION):
            raise sqlite3.DatabaseError(f"its version is {version}, and this program knows {VERSION}")
        if version == 0:
            database.execute(_TABLE)
            database.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        database.close()
        raise
    return database


def insert(database: sqlite3.Connection, clicks: Iterable[Click]) -> int:
    """Put clicks into a database, within a transaction of the caller's, and return how many are new."""
    return database.executemany(_INSERT, map(_row, clicks)).rowcount


def preferences(database: sqlite3.Connection, since: float = 0.0) -> list[Preference]:
    """Return what the clicks of a database say, by policy and version."""
    return [
        Preference(
            policy=policy,
            version=version,
            method=method,
            wins=wins,
            losses=losses,
            ties=ties,
            clicks=clicks,
            first=first,
            last=last,
        )
        for policy, version, method, wins, losses, ties, clicks, first, last in database.execute(_PREFERENCES, (since,))
    ]


def _committed(database: sqlite3.Connection, appends: Sequence[_Append]) -> list[int]:
    """Commit appends together, and return how many clicks of each are new."""
    if not appends:
        return []
    database.execute("BEGIN IMMEDIATE")
    try:
        new = [insert(database, append.clicks) for append in appends]
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    return new


def _tell(done: asyncio.Future[int], outcome: int | Exception) -> None:
    if done.done():  # its caller has gone
        return
    if isinstance(outcome, Exception):
        done.set_exception(outcome)
    else:
        done.set_result(outcome)


def _row(click: Click) -> tuple[object, ...]:
    return (
        click.event_id,
        click.received,
        click.policy,
        click.version,
        click.method,
        click.arm.value if click.arm else "",
        click.search,
        click.position,
        click.hit,
        click.team.value if click.team else "",
        click.first_rank,
        click.rerank_rank,
    )

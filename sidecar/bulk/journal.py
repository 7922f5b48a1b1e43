"""Which queries are done, and their answers: one SQLite file, until the outputs are written.

Laws: an answer is in it whole or not at all, once, whenever the process is killed; one process at a time has it open;
the answers come out in the order of the queries, whatever order they came in. After the outputs are written it keeps no
answers, only what the job was and that it is done.

*Source:* a write-ahead log survives the end of a process at any moment, and with `synchronous=NORMAL` a power cut costs
the latest answers at most (sqlite.org/pragma.html, 3.46).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sidecar.bulk.answers import Answer
from sidecar.errors import ConfigError

_SCHEMA: Final = """
    CREATE TABLE IF NOT EXISTS job (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS answers (place INTEGER PRIMARY KEY, answer BLOB NOT NULL);
"""
_DONE: Final = "done"


class Journal:
    """The journal of one job, open for it alone until `close`."""

    def __init__(self, path: Path) -> None:
        """Open the journal at `path`, or make one.

        Raises:
            ConfigError: it cannot be written, is no journal, or another process has it open.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"{path}: cannot be written: {error}") from error
        try:
            for setting in ("locking_mode=EXCLUSIVE", "journal_mode=WAL", "synchronous=NORMAL"):
                self._file.execute(f"PRAGMA {setting}").fetchall()
            self._file.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        except sqlite3.Error as error:
            self._file.close()
            is_open = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            why = "another process works on this job" if is_open else f"is no journal of a job: {error}"
            raise ConfigError(f"{path}: {why}") from error

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""
        self._file.close()

    def get(self, name: str) -> Any:
        """Return what `put` has written under a name, None where it has not."""
        row = self._file.execute("SELECT value FROM job WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, name: str, value: Any) -> None:
        """Write a JSON value under a name."""
        self._file.execute("INSERT OR REPLACE INTO job VALUES (?, ?)", (name, json.dumps(value)))

    @property
    def is_done(self) -> bool:
        """Whether the outputs were written."""
        return self.get(_DONE) is not None

    def places(self) -> set[int]:
        """Return which queries have an answer, by their number."""
        return {place for (place,) in self._file.execute("SELECT place FROM answers")}

    def add(self, place: int, answer: bytes) -> None:
        """Keep the answer of the query `place`; one that is there already stays. Raises ConfigError when it cannot."""
        try:
            self._file.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", (place, answer))
        except sqlite3.Error as error:
            raise ConfigError(f"{self.path}: cannot be written: {error}") from error

    def answers(self) -> Iterator[tuple[int, Answer]]:
        """Yield all answers with the numbers of their queries, in that order."""
        with closing(self._file.execute("SELECT place, answer FROM answers ORDER BY place")) as rows:
            for place, answer in rows:
                yield place, Answer.loaded(answer)

    def clear(self) -> None:
        """Forget all answers and what the job was."""
        self._file.executescript("BEGIN IMMEDIATE; DELETE FROM answers; DELETE FROM job; COMMIT; VACUUM;")

    def finish(self) -> None:
        """Note that the outputs are written, and drop the answers."""
        self._file.execute("BEGIN IMMEDIATE")
        self.put(_DONE, True)
        self._file.execute("DELETE FROM answers")
        self._file.execute("COMMIT")
        self._file.execute("VACUUM")

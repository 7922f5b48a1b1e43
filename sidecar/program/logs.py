"""How the log is written: lines for people, or one JSON object per event with the same words.

Laws: whoever logs never waits for whoever reads: lines go through a bounded queue, and what does not fit is counted.
Nothing is in a JSON line that is not in the line for people, but for the process and the trace that it belongs to.
"""

from __future__ import annotations

import atexit
import json
import logging
import queue
import re
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, Literal

from sidecar.telemetry import tracing

LogFormat = Literal["text", "json"]

MAX_WAITING: Final = 10_000
"""Events that wait for their reader; further ones are dropped, and counted."""

LAST_SECONDS: Final = 1.0
"""How long the end of the program waits for a reader that does not read."""

_TEXT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
_CONVERSION: Final = re.compile(r"%[#0\- +]*\d*(?:\.\d+)?(?P<kind>[diouxXeEfFgGcrsa%])")
_KEY: Final = re.compile(r"(?:^|\s)(\w+)=$")
_FIRST_KEY: Final = re.compile(r"\s+\w+=")
_OWN_KEYS: Final = frozenset({"time", "level", "logger", "process", "trace_id", "message", "event", "exception"})


def begin(level: str, form: LogFormat) -> None:
    """Log to standard error from now on; where logging was set up already, change nothing."""
    writer = logging.StreamHandler(sys.stderr)
    writer.setFormatter(JsonLines() if form == "json" else logging.Formatter(_TEXT))
    logging.basicConfig(level=level.upper(), handlers=[Unhurried(writer)])


class JsonLines(logging.Formatter):
    """One JSON object per event: its words, and the values in them by name.

    "search_degraded reason=deadline" is an event "search_degraded" with a key "reason".
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        line["event"] = _FIRST_KEY.split(line["message"], 1)[0]
        trace_id = getattr(record, "trace_id", None)
        if trace_id:
            line["trace_id"] = trace_id
        line |= _values(record)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _values(record: logging.LogRecord) -> dict[str, Any]:
    """Return what an event's words have a key for."""
    args = record.args if isinstance(record.args, tuple) else ()
    named = zip(_keys(str(record.msg)), args, strict=False)
    return {key: _plain(value) for key, value in named if key and key not in _OWN_KEYS}


def _keys(template: str) -> Iterator[str]:
    """Yield the key of each value, "" for one that has none."""
    for conversion in _CONVERSION.finditer(template):
        if conversion["kind"] != "%":
            key = _KEY.search(template, 0, conversion.start())
            yield key[1] if key else ""


def _plain(value: object) -> Any:
    return value if isinstance(value, bool | int | float) or value is None else str(value)


class Unhurried(logging.Handler):
    """Gives records to a thread that writes them. The thread begins with the first record."""

    def __init__(self, writer: logging.Handler, max_waiting: int = MAX_WAITING) -> None:
        """Write with `writer`; `max_waiting` records may wait for it."""
        super().__init__()
        self._writer = writer
        self._waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(max_waiting)
        self._dropped = 0
        self._thread: threading.Thread | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Let a record be written, or count it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="log", daemon=True)
            self._thread.start()
            atexit.register(self.close)
        record.trace_id = tracing.trace_id()  # known here, and not in the thread
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write what waits, as long as somebody reads it."""
        thread, self._thread = self._thread, None
        if thread is not None:
            try:
                self._waiting.put(None, timeout=LAST_SECONDS)
                thread.join(LAST_SECONDS)
            except queue.Full:
                pass
        super().close()

    def _write(self) -> None:
        while (record := self._waiting.get()) is not None:
            self._writer.handle(record)
            self._tell_dropped()

    def _tell_dropped(self) -> None:
        dropped, self._dropped = self._dropped, 0
        if dropped:
            words = "log_lines_dropped count=%d"
            self._writer.handle(
                logging.makeLogRecord(
                    {
                        "name": __name__,
                        "levelno": logging.WARNING,
                        "levelname": "WARNING",
                        "msg": words,
                        "args": (dropped,),
                    }
                )
            )

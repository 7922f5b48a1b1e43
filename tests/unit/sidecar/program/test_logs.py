"""The log: the same words as lines for people and as JSON, and nobody waits for its reader."""

import io
import json
import logging
import threading
from typing import Any

import pytest

from sidecar.program.logs import JsonLines, Unhurried
from sidecar.telemetry import tracing

RESERVED = {"time", "level", "logger", "process", "message", "event"}


def record(message: str, *args: Any, level: int = logging.INFO, **more: Any) -> logging.LogRecord:
    """Return an event as a logger makes it."""
    return logging.LogRecord("sidecar.telemetry.reports", level, __file__, 1, message, args, more.get("exc_info"))


def line(message: str, *args: Any, **more: Any) -> dict[str, Any]:
    """Return an event as it is written."""
    written = JsonLines().format(record(message, *args, **more))
    assert "\n" not in written
    found: dict[str, Any] = json.loads(written)
    return found


def test_a_line_has_the_words_of_the_text_log_and_their_values_by_name() -> None:
    """Numbers stay numbers."""
    found = line("search_degraded reason=%s operation=%s count=%d", "deadline", "search", 3, level=logging.WARNING)
    assert "search_degraded reason=deadline operation=search count=3" == found["message"]
    assert ("search_degraded", "deadline", "search", 3) == tuple(
        found[key] for key in ("event", "reason", "operation", "count")
    )
    assert ("warning", "sidecar.telemetry.reports") == (found["level"], found["logger"])
    assert found["time"].endswith("+00:00")


@pytest.mark.parametrize(
    ("message", "args", "event", "values"),
    [
        ("draining seconds=%s", (2.0,), "draining", {"seconds": 2.0}),
        ("no values", (), "no values", {}),
        ("100%% done left=%s", (None,), "100% done", {"left": None}),
        ("%s", ("listening on http://h:1/?a=b",), "listening on http://h:1/?a=b", {}),
        ("%s ended %s restart_in=%.1f", ("scorer", "signal=SIGKILL", 0.5), "scorer ended", {"restart_in": 0.5}),
        ("scorer found url=%s kind=%s", ("http://h", "tei"), "scorer found", {"url": "http://h", "kind": "tei"}),
        ("bad level=%s message=%s", ("x", "y"), "bad", {}),
        ("too few a=%s", (), "too few", {}),
        ("split\nline a=%s", ("1\n2",), "split\nline", {"a": "1\n2"}),
    ],
)
def test_what_an_event_is_called_and_what_has_a_name(
    message: str, args: tuple[Any, ...], event: str, values: dict[str, Any]
) -> None:
    """Values without a name stand in the words alone, and no value takes the place of what every line has."""
    found = line(message, *args)
    assert (event, values) == (found["event"], {key: found[key] for key in found.keys() - RESERVED})


def test_a_mapping_in_place_of_values_is_no_trouble() -> None:
    """As `logging` takes one."""
    assert "a 1" == line("a %(n)d", {"n": 1})["message"]


def test_an_exception_is_in_the_line() -> None:
    """With its traceback."""
    try:
        raise ValueError("no good")
    except ValueError as error:
        found = line("rerank_failed", exc_info=(type(error), error, error.__traceback__))
    assert "ValueError: no good" in found["exception"]


class _Trace:
    trace_id = "ab" * 16


def test_a_line_names_its_trace() -> None:
    """The one in which the event happened, whichever thread writes it."""
    written = io.StringIO()
    writer = logging.StreamHandler(written)
    writer.setFormatter(JsonLines())
    handler = Unhurried(writer)
    with tracing.traced_by(_Trace()):  # type: ignore[arg-type]
        handler.handle(record("inside"))
    handler.handle(record("outside"))
    handler.close()
    inside, outside = map(json.loads, written.getvalue().splitlines())
    assert _Trace.trace_id == inside["trace_id"]
    assert "trace_id" not in outside


class _StuckStream(io.StringIO):
    """A pipe that nobody reads, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.is_stuck, self.go = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.is_stuck.set()
        assert self.go.wait(20)
        return super().write(text)


def test_nobody_waits_for_a_reader_that_does_not_read() -> None:
    """What there is no room for is dropped, and counted in a line of its own."""
    stream = _StuckStream()
    handler = Unhurried(logging.StreamHandler(stream), max_waiting=2)
    handler.handle(record("first"))
    assert stream.is_stuck.wait(20)
    for number in range(5):
        handler.handle(record("number=%d", number))
    stream.go.set()
    handler.close()
    assert ["first", "log_lines_dropped count=3", "number=0", "number=1"] == stream.getvalue().splitlines()


def test_what_waits_at_the_end_is_written() -> None:
    """And closing twice does nothing."""
    written = io.StringIO()
    handler = Unhurried(logging.StreamHandler(written))
    for number in range(100):
        handler.handle(record("number=%d", number))
    handler.close()
    handler.close()
    assert [f"number={number}" for number in range(100)] == written.getvalue().splitlines()

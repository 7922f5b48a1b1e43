"""Observations as lines of JSON in a file."""

import json
import logging
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sidecar.experiments import observe_log
from sidecar.experiments.observe_log import ObserveLog
from sidecar.types import Observation, Operation, Outcome

WHEN = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
FOUND = Observation(
    policy="books",
    operation=Operation.SEARCH,
    outcome=Outcome.PARTIAL,
    reason="deadline",
    candidates=30,
    window=100,
    model="scripted",
    first_stage_seconds=0.01234,
    second_stage_seconds=0.6,
    queue_seconds=0.01,
    model_seconds=0.58,
    hits=100,
    top=(3, 1, 2),
    jaccard=1 / 3,
    rbo=0.5,
    moved=4 / 3,
    index="secret-index",
    params=(("preference", "_local"),),
    body='{"query": {"match": {"text": "secret words"}}}',
    query="secret words",
)
LINE = {
    "time": "2026-01-31T12:00:00.123+00:00",
    "policy": "books",
    "operation": "search",
    "outcome": "partial",
    "reason": "deadline",
    "candidates": 30,
    "window": 100,
    "model": "scripted",
    "first_stage_ms": 12.3,
    "rerank_ms": 600.0,
    "queue_ms": 10.0,
    "model_ms": 580.0,
    "hits": 100,
    "top": [3, 1, 2],
    "top_changed": True,
    "moved": 1.333333,
    "jaccard@10": 0.333333,
    "rbo": 0.5,
}


def lines(path: Path) -> list[dict[str, Any]]:
    """Return what the file says."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_line_tells_what_was_found_and_nothing_of_the_search(tmp_path: Path) -> None:
    """Durations in milliseconds; only its owner reads the file."""
    path = tmp_path / "observe.log"
    log = ObserveLog(path, now=lambda: WHEN)
    log.observe(FOUND)
    log.close()
    assert [LINE] == lines(path)
    assert "secret" not in path.read_text(encoding="utf-8")
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)


def test_queries_are_there_on_request(tmp_path: Path) -> None:
    """With all that is needed to send the search again."""
    path = tmp_path / "observe.log"
    log = ObserveLog(path, has_queries=True, now=lambda: WHEN)
    log.observe(FOUND)
    log.close()
    asked = {
        "query": "secret words",
        "index": "secret-index",
        "params": {"preference": "_local"},
        "body": {"query": {"match": {"text": "secret words"}}},
    }
    assert [{**LINE, **asked}] == lines(path)


def test_what_was_dropped_has_no_line(tmp_path: Path) -> None:
    """Only a metric counts it."""
    path = tmp_path / "observe.log"
    log = ObserveLog(path)
    log.observe(Observation(policy="books", operation=Operation.SEARCH, outcome=None))
    log.close()
    assert [] == lines(path)


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    """Rotation needs no signal."""
    path = tmp_path / "observe.log"
    for name in ("observe.log.1", "observe.log.2"):
        log = ObserveLog(path)
        log.observe(FOUND)
        log.close()
        path.rename(tmp_path / name)
    assert [1, 1] == [len(lines(tmp_path / name)) for name in ("observe.log.1", "observe.log.2")]


def test_several_may_write_one_file(tmp_path: Path) -> None:
    """Every line is whole."""
    path = tmp_path / "observe.log"
    logs = [ObserveLog(path) for _ in range(4)]
    with ThreadPoolExecutor(4) as writers:
        for log in logs:
            for _ in range(50):
                writers.submit(log.observe, FOUND)
    for log in logs:
        log.close()
    assert 200 == len(lines(path))


def test_a_file_that_cannot_be_written_is_known_at_start(tmp_path: Path) -> None:
    """Not after a day."""
    with pytest.raises(OSError, match="No such file"):
        ObserveLog(tmp_path / "missing" / "observe.log")


def test_a_disk_that_takes_no_more_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody fails for it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    log = ObserveLog(folder / "observe.log")
    (folder / "observe.log").unlink()
    folder.rmdir()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            log.observe(FOUND)
        log.close()
    assert ["observe_log_not_written error=No such file or directory left_out=0"] == [
        record.getMessage() for record in caplog.records
    ]


def test_lines_that_wait_for_the_disk_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Further ones are dropped, and the program's log says so."""
    monkeypatch.setattr(observe_log, "MOST_WAITING", 3)
    go = threading.Event()

    class Stuck(ObserveLog):
        def _append(self, data: bytes) -> None:
            if data:
                go.wait(5)
            super()._append(data)

    path = tmp_path / "observe.log"
    log = Stuck(path)
    with caplog.at_level(logging.WARNING):
        for _ in range(10):
            log.observe(FOUND)
    go.set()
    log.close()
    assert 3 == len(lines(path))
    assert ["observe_log_not_written error=3 lines wait left_out=0"] == [
        record.getMessage() for record in caplog.records
    ]

"""The log of slow searches."""

import logging

import pytest

from sidecar.telemetry.slow_log import MOST_PER_SECOND, SlowLog
from sidecar.types import Operation, Outcome, SearchRecord


def searched(seconds: float | None, outcome: Outcome = Outcome.APPLIED) -> SearchRecord:
    """Return the record of a search whose second stage took so long."""
    return SearchRecord(
        operation=Operation.SEARCH,
        outcome=outcome,
        candidates=30,
        window=100,
        model="m",
        first_stage_seconds=0.0201,
        second_stage_seconds=seconds,
        queue_seconds=0.25,
        model_seconds=0.0,
    )


def test_a_slow_search_has_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """It says how long what took; a quick one and one that was not tried have none."""
    log = SlowLog(0.3)
    log.observe(searched(0.2999))
    log.observe(searched(None))
    log.observe(searched(9.0, Outcome.SKIPPED))
    log.observe(searched(0.3))
    assert [
        "slow_rerank operation=search outcome=applied reason=None candidates=30 window=100 model=m "
        "first_stage_ms=20.1 rerank_ms=300.0 queue_ms=250.0 model_ms=0.0 left_out=0"
    ] == caplog.messages
    assert [logging.WARNING] == [record.levelno for record in caplog.records]


def test_a_flood_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    """Some lines a second; the next one that is written says how many were not."""
    now = 7.0
    log = SlowLog(0.1, lambda: now)
    for _ in range(MOST_PER_SECOND + 5):
        log.observe(searched(1.0))
    assert MOST_PER_SECOND == len(caplog.messages)
    now = 8.1
    log.observe(searched(1.0))
    log.observe(searched(1.0))
    assert ["left_out=5", "left_out=0"] == [message.rpartition(" ")[2] for message in caplog.messages[-2:]]

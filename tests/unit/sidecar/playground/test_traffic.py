"""The traffic of the last minutes: counts and times by slots of two seconds."""

import math

import pytest

from sidecar.playground.traffic import SLOT_SECONDS, SLOTS, STEP, Traffic, bucket
from sidecar.types import Operation, Outcome, SearchRecord


class Time:
    """A clock that the test moves."""

    def __init__(self) -> None:
        """Begin anywhere."""
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def record(outcome: Outcome = Outcome.APPLIED, reason: str | None = None, **seconds: float) -> SearchRecord:
    """Return a record of one search."""
    return SearchRecord(operation=Operation.SEARCH, outcome=outcome, reason=reason, **seconds)


@pytest.fixture
def time() -> Time:
    """Give a clock."""
    return Time()


@pytest.fixture
def traffic(time: Time) -> Traffic:
    """Give the traffic of a program that has just begun."""
    return Traffic(time)


def test_searches_are_counted_by_outcome_and_reason(traffic: Traffic) -> None:
    """In the slot in which they ended."""
    traffic.observe(record())
    traffic.observe(record())
    traffic.observe(record(Outcome.SKIPPED, "off"))
    (slot,) = traffic.snapshot()["searches"]
    assert {"applied": 2, "skipped:off": 1} == slot["outcomes"]
    assert 0 == slot["age"]


def test_times_are_counted_by_buckets(traffic: Traffic) -> None:
    """Both stages, and their sum; a search that was streamed has none."""
    traffic.observe(record(first_stage_seconds=0.010, second_stage_seconds=0.090))
    traffic.observe(record(Outcome.SKIPPED, "sort"))
    (slot,) = traffic.snapshot()["searches"]
    assert {bucket(0.010): 1} == slot["first_stage"]
    assert {bucket(0.090): 1} == slot["second_stage"]
    assert {bucket(0.100): 1} == slot["total"]


@pytest.mark.parametrize("seconds", [0.0002, 0.001, 0.0123, 0.5, 3.0, 60.0])
def test_a_bucket_is_right_to_five_percent(seconds: float) -> None:
    """Which is what the page says of it."""
    assert seconds * 1000 == pytest.approx(STEP ** bucket(seconds), rel=STEP - 1)
    assert math.isfinite(STEP ** bucket(0.0))


def test_what_is_older_than_five_minutes_is_forgotten(traffic: Traffic, time: Time) -> None:
    """And memory is bounded by the number of slots."""
    traffic.observe(record())
    for _ in range(3 * SLOTS):
        time.now += SLOT_SECONDS
        traffic.observe(record())
    ages = [slot["age"] for slot in traffic.snapshot()["searches"]]
    assert list(range(SLOTS - 1, -1, -1)) == ages
    time.now += SLOTS * SLOT_SECONDS
    assert [] == traffic.snapshot()["searches"]


def test_ages_count_back_from_now(traffic: Traffic, time: Time) -> None:
    """Slots without searches are left out."""
    traffic.observe(record())
    time.now += 3 * SLOT_SECONDS
    traffic.observe(record())
    assert [3, 0] == [slot["age"] for slot in traffic.snapshot()["searches"]]
    assert 3 * SLOT_SECONDS == traffic.snapshot()["uptime_seconds"]

"""The estimate: of this process alone, and only once there is something to go by."""

import pytest

from sidecar.bulk.progress import Estimate, shown


def test_the_estimate_is_of_this_process() -> None:
    """What was done before says nothing of the speed."""
    clock = iter([100.0, 102.0, 102.0, 102.0, 102.0])
    estimate = Estimate(100, 50, now=lambda: next(clock))
    estimate.advance()
    assert (None, "51 of 100 queries") == (estimate.seconds_left, str(estimate))
    estimate.advance()
    assert pytest.approx(96.0) == estimate.seconds_left
    assert "52 of 100 queries, 0.5 a second, 0:01:36 left" == str(estimate)


def test_off_a_terminal_there_are_lines() -> None:
    """One for each answer where nobody wants to wait, and none before the first."""
    said: list[str] = []
    with shown(3, 1, report_seconds=0.0, announce=said.append) as advance:
        assert [] == said
        advance()
        advance()
    assert ["2 of 3 queries", "3 of 3 queries"] == [line.partition(",")[0] for line in said]

"""What a soak says of what it saw."""

import pytest

from benchmarks.soak import MEGABYTE, Line, Outcome


def test_a_line_goes_through_the_measurements() -> None:
    """With an error of zero where they lie on it."""
    line = Line.through([10, 20, 40], [1, 3, 7])
    assert (0.2, 6.0) == (pytest.approx(line.slope), pytest.approx(line.growth))
    assert 0 == pytest.approx(line.error, abs=1e-9)


def test_the_error_is_that_of_least_squares() -> None:
    """The textbook's figure for residuals of -1/3, 2/3, -1/3."""
    assert pytest.approx((2 / 3 / 1 / 2) ** 0.5) == Line.through([0, 1, 2], [0, 1, 0]).error


def outcome(name: str, *values: float) -> Outcome:
    """Return an outcome in which one thing was looked at every ten seconds."""
    found = Outcome()
    for number, value in enumerate(values):
        found.look(10.0 * number, {name: value})
    return found


def test_memory_that_grows_is_a_complaint() -> None:
    """After warming up: what is taken once is not given back, and that is no leak."""
    assert [] == outcome("memory of the front", 0, *[400 * MEGABYTE] * 7).complaints()
    grown = outcome("memory of the front", *(number * 10 * MEGABYTE for number in range(8))).complaints()
    assert ["memory of the front grew by 50.0 MB, and may by 16"] == grown


def test_tasks_that_are_left_over_are_a_complaint() -> None:
    """And so are files."""
    assert [] == outcome("tasks of the front", 5, 9, 7, 30, 9).complaints()
    assert ["tasks of the front: 9 after warming up, 39 at the end"] == outcome(
        "tasks of the front", 5, 9, 7, 30, 39
    ).complaints()

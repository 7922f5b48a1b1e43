"""Tests of the line that says which real engines a run used."""

from tests.engines.tally import Tally


def test_the_line_names_versions_and_tests() -> None:
    """Each engine is there with its version and how many tests ran on it."""
    tally = Tally()
    tally.started("elasticsearch", "9.5.3")
    tally.started("opensearch", "3.8.0")
    tally.ran(["elasticsearch", "opensearch"])
    tally.ran(["opensearch"])
    assert tally.line() == "real engines: elasticsearch 9.5.3 ran 1 test, opensearch 3.8.0 ran 2 tests"


def test_a_reason_that_both_share_is_said_once() -> None:
    """Without a JDK the line is short."""
    tally = Tally()
    tally.skipped("elasticsearch", "no JDK 21")
    tally.skipped("opensearch", "no JDK 21")
    assert tally.line() == "real engines: skipped: no JDK 21"


def test_one_engine_may_run_and_the_other_not() -> None:
    """An engine that ran does not hide the one that did not."""
    tally = Tally()
    tally.started("elasticsearch", "9.5.3")
    tally.skipped("opensearch", "not built, run: make engines")
    assert tally.line() == (
        "real engines: elasticsearch 9.5.3 ran 0 tests, opensearch skipped: not built, run: make engines"
    )


def test_a_run_that_asked_for_no_engine_says_nothing() -> None:
    """A run of unit tests alone has no line."""
    assert Tally().line() is None

"""How fast the device is: learned by ratio, and most from full batches."""

from __future__ import annotations

import pytest

from sidecar.scoring.pace import BATCH_SECONDS, MAX_BATCH_TOKENS, MIN_BATCH_TOKENS, RECOVERY_SECONDS, Pace


def measured(tokens_per_second: float) -> Pace:
    """Return the pace of a device that was measured to be that fast."""
    pace = Pace()
    pace.measured(tokens_per_second)
    return pace


@pytest.mark.parametrize(
    ("speed", "tokens"),
    [(0.0, MIN_BATCH_TOKENS), (20_000.0, 2000), (100.0, MIN_BATCH_TOKENS), (1e9, MAX_BATCH_TOKENS)],
)
def test_a_batch_takes_a_tenth_of_a_second(speed: float, tokens: int) -> None:
    """Within what pays on any device."""
    assert tokens == measured(speed).batch_tokens(0.0)
    assert BATCH_SECONDS == 0.1


def test_a_size_that_was_asked_for_is_kept() -> None:
    """Whatever the speed."""
    pace = Pace(77)
    pace.measured(1e9)
    assert pace.batch_tokens(0.0) == 77


def test_work_takes_its_tokens_by_the_speed() -> None:
    """And no time that anybody knows of before the device is measured."""
    assert measured(500.0).seconds(1000) == 2.0
    assert Pace().seconds(1000) == 0.0


def test_a_device_that_slows_down_is_noticed() -> None:
    """After ten full batches at half the speed the estimate is near it."""
    pace = measured(10_000.0)
    for _ in range(10):
        pace.learn(10_000, 2.0)
    assert pace.tokens_per_second == pytest.approx(5000, rel=0.1)


def test_small_batches_hardly_count() -> None:
    """A hundred lone pairs, each ten times slower per token, do not make a fast device look slow."""
    pace = measured(10_000_000.0)
    for _ in range(100):
        pace.learn(100, 100 / 1_000_000)
    assert pace.tokens_per_second > 8_000_000


def test_after_a_batch_too_large_for_the_memory_smaller_ones_come() -> None:
    """For a minute; then twice as much is tried, until nothing is held back any more."""
    pace = Pace(1000)
    pace.shrink(300, now=5.0)
    assert pace.batch_tokens(5.0 + RECOVERY_SECONDS - 1) == 300
    assert pace.batch_tokens(5.0 + RECOVERY_SECONDS) == 600
    assert pace.batch_tokens(5.0 + RECOVERY_SECONDS + 1) == 600
    assert pace.batch_tokens(5.0 + 2 * RECOVERY_SECONDS) == 1000

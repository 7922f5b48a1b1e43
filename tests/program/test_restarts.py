"""Rolling restarts under load: the short form of `make restarts`."""

import pytest

from benchmarks.restarts import found_haproxy, measure, parse

QUICK = ("--restarts", "2", "--rate", "120", "--requests", "300", "--check", "100ms", "--drain-seconds", "0.5")


@pytest.mark.skipif(found_haproxy() is None, reason="HAProxy is not installed")
async def test_two_sidecars_restarted_in_turn_lose_no_search() -> None:
    """One process, and one with two fronts: a sidecar answers each search, over kept and over new connections."""
    outcome = await measure(parse(QUICK), lambda line: None)
    assert ({}, 0, [0, 0]) == (outcome.failed, outcome.unranked, outcome.exit_codes)
    assert 300 <= outcome.requests

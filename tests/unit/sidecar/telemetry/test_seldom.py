"""Of many equal lines, one in a while."""

from sidecar.telemetry.seldom import Seldom


def test_the_first_is_told_at_once_and_the_others_are_counted() -> None:
    """Each cause for itself; the number is told once."""
    now = 100.0
    seldom = Seldom(seconds=10.0, now=lambda: now)
    assert 0 == seldom.turn("deadline")
    assert [None, None] == [seldom.turn("deadline") for _ in range(2)]
    assert 0 == seldom.turn("model")
    now = 109.9
    assert seldom.turn("deadline") is None
    now = 110.0
    assert 3 == seldom.turn("deadline")
    assert seldom.turn("deadline") is None
    now = 200.0
    assert 1 == seldom.turn("deadline")
    assert 0 == seldom.turn("model")

"""When a scorer that does not answer is left alone."""

from __future__ import annotations

from sidecar.scoring.breaker import Breaker


def silent_calls(breaker: Breaker, *times: float) -> None:
    """Note calls of one second that ended without an answer."""
    for time in times:
        breaker.silent(began=time - 1, now=time)


def test_it_opens_after_silences_in_a_row_and_for_a_while() -> None:
    """Three searches without an answer; a second later one may try again."""
    breaker = Breaker(failures=3, open_seconds=1.0)
    silent_calls(breaker, 10, 20)
    assert not breaker.is_open(20)
    silent_calls(breaker, 30)
    assert breaker.is_open(30.9)
    assert not breaker.is_open(31)


def test_an_answer_closes_it_and_starts_the_count_anew() -> None:
    """Any answer, a refusal included, proves that somebody is there."""
    breaker = Breaker(failures=2)
    silent_calls(breaker, 10)
    breaker.answered(15)
    silent_calls(breaker, 20)
    assert not breaker.is_open(20)
    silent_calls(breaker, 30)
    breaker.answered(30.1)
    assert not breaker.is_open(30.2)


def test_calls_in_flight_together_count_once() -> None:
    """The seven chunks of one search that die at its deadline are one silence."""
    breaker = Breaker(failures=2)
    for _ in range(7):
        breaker.silent(began=9, now=10)
    assert not breaker.is_open(10)


def test_a_call_given_up_while_others_were_answered_is_no_silence() -> None:
    """The tail of a search that the deadline cut says nothing about the scorer."""
    breaker = Breaker(failures=1)
    breaker.answered(9.5)
    breaker.silent(began=9, now=10)
    assert not breaker.is_open(10)


def test_after_its_time_one_more_silence_opens_it_again() -> None:
    """A scorer that stays away costs one search per period."""
    breaker = Breaker(failures=3, open_seconds=1.0)
    silent_calls(breaker, 10, 20, 30, 40)
    assert breaker.is_open(40.5)

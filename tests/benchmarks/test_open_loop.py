"""Load that does not wait for answers, and what it says of them."""

import asyncio
import itertools
import statistics

import pytest

from benchmarks.calls import Answer, Call
from benchmarks.open_loop import Report, Sent, constant, poisson, saturate, send_when_due

OK = Answer(200, {}, b"yes")
PATIENCE_SECONDS = 20.0
CLOCK_SECONDS = 1e-6


def accepted(answer: Answer) -> str:
    """Judge: only "yes" is right."""
    return "" if answer.body == b"yes" else "not yes"


CALL = Call(method="GET", path="/", check=accepted)


class StalledServer:
    """Answers nobody until so many have asked; then everybody."""

    def __init__(self, count: int) -> None:
        """Stall until `count` requests are there."""
        self._missing = count
        self._all_there = asyncio.Event()

    async def send(self, call: Call) -> Answer | str:
        """Take a request."""
        del call
        self._missing -= 1
        if self._missing == 0:
            self._all_there.set()
        await self._all_there.wait()
        return OK


class ScriptedServer:
    """Gives answers in turn."""

    def __init__(self, *answers: Answer | str) -> None:
        """Give these."""
        self._answers = list(answers)
        self.asked: list[str] = []

    async def send(self, call: Call) -> Answer | str:
        """Give the next."""
        self.asked.append(call.path)
        return self._answers[len(self.asked) % len(self._answers)]


async def test_requests_go_out_when_they_are_due_whatever_has_become_of_those_before() -> None:
    """A server that answers nobody before the last has asked would hold up a generator that waits for answers."""
    schedule = constant(200.0, 0.1)
    async with asyncio.timeout(PATIENCE_SECONDS):
        sent = await send_when_due(StalledServer(len(schedule)), [CALL], schedule)
    assert len(schedule) == len(sent)
    assert not Report.of(sent).faults


async def test_a_stall_is_charged_to_all_who_were_due_meanwhile() -> None:
    """Latency counts from the due time: the first waits for the whole stall, each later one for what is left of it."""
    schedule = constant(100.0, 0.1)
    sent = await send_when_due(StalledServer(len(schedule)), [CALL], schedule)
    stall_ends = sent[-1].due
    assert all(each.latency >= stall_ends - each.due for each in sent)
    assert all(each.sent > each.due - CLOCK_SECONDS for each in sent)


async def test_the_calls_take_turns_and_every_answer_is_judged() -> None:
    """A wrong answer is a fault by the judge's words, a missing one by the client's."""
    server = ScriptedServer(OK, Answer(200, {}, b"no"), "no answer: ServerDisconnectedError")
    calls = [CALL, Call(method="GET", path="/other", check=accepted)]
    report = Report.of(await send_when_due(server, calls, [0.0] * 6))
    assert ["/", "/other"] * 3 == server.asked
    assert {"not yes": 2, "no answer: ServerDisconnectedError": 2} == report.faults
    assert 6 == report.requests


async def test_a_closed_loop_keeps_so_many_under_way() -> None:
    """As many as there are connections are asked at once, and never more."""
    under_way = most = 0

    class Counting:
        async def send(self, call: Call) -> Answer | str:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1
            return OK

    report = await saturate(Counting(), [CALL], connections=3, seconds=0.05)
    assert 3 == most
    assert report.achieved > 0


def test_a_report_counts_from_the_due_time() -> None:
    """Percentiles, rates and lateness of four requests that can be checked by hand."""
    sent = [Sent(due=float(second), sent=second + 0.1, ended=second + 1.0, fault="") for second in range(3)]
    sent.append(Sent(due=4.0, sent=4.0, ended=9.0, fault="late"))
    report = Report.of(sent)
    assert 1.0 == report.p50
    assert 5.0 == report.longest
    assert 4 / 4.0 == report.offered
    assert 4 / 9.0 == report.achieved
    assert pytest.approx(0.1) == report.lateness
    assert {"late": 1} == report.faults


def test_poisson_times_have_the_rate_and_an_exponential_distance() -> None:
    """The distances have mean 1 / rate and the same standard deviation; the same seed gives the same times."""
    times = poisson(100.0, 200.0, seed=3)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert sorted(times) == times
    assert pytest.approx(20_000, rel=0.05) == len(times)
    assert pytest.approx(0.01, rel=0.05) == statistics.stdev(gaps)
    assert poisson(100.0, 200.0, seed=3) == times
    assert poisson(100.0, 200.0, seed=4) != times


def test_constant_times_keep_their_distance() -> None:
    """Four a second for a second."""
    assert [0.0, 0.25, 0.5, 0.75] == constant(4.0, 1.0)

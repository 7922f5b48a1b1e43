"""Plays each test on the bare engine and through every proxy, and says where the answers differ.

Two comparisons. *Plays*: the test is played direct and then through each proxy, each time on an empty engine, and
outcome and answers are compared call by call, but for ids and moments. *Same state*: while the test is played once
more, every request that only reads is asked direct, through each proxy and direct again, and the bytes are compared.

Law: a proxied answer is judged by direct ones alone. Where the engine's own answers to one request differ from each
other, the rest of the answer must still be equal.
"""

import itertools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from tests.parity.calls import Request, Writer
from tests.parity.cleaning import clean
from tests.parity.comparing import differences, is_equivalent, is_identical, leaves, unscored
from tests.parity.connection import Answer, Lost
from tests.parity.explanations import SCORES, explain
from tests.parity.modes import Mode
from tests.parity.player import Ask, Exchange, Failure, Kind, Play, Player
from tests.parity.reads import is_search, only_reads
from tests.parity.report import EQUAL, Difference, Found, Judgement, Report, Tally, Verdict
from tests.parity.yaml_tests import Case

PLAYS = 4
"""Plays of a test at most, direct and through each proxy: what differs is played again."""

ROUNDS = 3
"""Times at most that a request is asked of everybody on the same state."""

PATIENCE_SECONDS = 5.0
"""A request that waits longer than this for a state of the engine is compared in plays alone."""

WRITTEN_DIFFERENTLY: Final[Found] = {"bytes": ("the same values", "written differently")}


class Lane:
    """One engine with its proxies, and one test at a time."""

    def __init__(self, engine: Ask, proxies: Sequence[tuple[Mode, Ask]], writer: Writer, version: str) -> None:
        """Ask the engine, and the engine through each proxy."""
        self._engine = engine
        self._proxies = {mode.letter: (mode, _in_mode(mode, proxy)) for mode, proxy in proxies}
        self._writer = writer
        self._version = version

    async def compare(self, case: Case, report: Report) -> None:
        """Play one test in all ways and add to the report."""
        direct = await self._play(case)
        report.direct[direct.kind] += 1
        report.failed_direct += [f"{case.id}: {failure}" for failure in direct.failures[:1]]
        proxied = {letter: await self._play(case, letter) for letter in self._proxies}
        for letter, play in proxied.items():
            report.tallies.setdefault(letter, Tally()).tests[play.kind] += 1
        if direct.kind is not Kind.SKIPPED:
            await _Plays(case, direct, proxied, report).judge(lambda letter: self._play(case, letter))
            state = _SameState(case, self._engine, list(self._proxies.values()), report)
            await self._play(case, ask=state.ask)

    async def _play(self, case: Case, letter: str | None = None, *, ask: Ask | None = None) -> Play:
        """Play a test direct or through a proxy, and leave nothing of it."""
        if ask is None:
            ask = self._engine if letter is None else self._proxies[letter][1]
        play = await Player(_as_somebody(ask), self._writer, self._version).play(case)
        if not play.skipped:
            await clean(case, self._engine)
        return play


_NUMBERS: Final = itertools.count(1)


def _as_somebody(ask: Ask) -> Ask:
    """Give each play a caller of its own: what the proxy has learned of an index, it remembers for one caller."""
    cookie = ("Cookie", f"caller={next(_NUMBERS)}")
    return lambda request: ask(replace(request, headers=(*request.headers, cookie)))


def _from_another(request: Request) -> Request:
    """Return a request as it comes from a caller of whom nothing is known."""
    headers = tuple(pair for pair in request.headers if pair[0] != "Cookie")
    return replace(request, headers=(*headers, ("Cookie", f"caller={next(_NUMBERS)}")))


def _in_mode(mode: Mode, proxy: Ask) -> Ask:
    return lambda request: proxy(replace(request, headers=(*request.headers, *mode.headers)))


class _Plays:
    """Compares whole plays of one test."""

    def __init__(self, case: Case, direct: Play, proxied: Mapping[str, Play], report: Report) -> None:
        self._case = case
        self._direct = [direct]
        self._proxied = {letter: [play] for letter, play in proxied.items()}
        self._report = report

    async def judge(self, again: Callable[[str | None], Awaitable[Play]]) -> None:
        """Compare outcomes and answers; what differs is played again, direct and through the proxy."""
        while len(self._direct) < PLAYS and (letters := [each for each in self._proxied if self._is_open(each)]):
            self._direct.append(await again(None))
            for letter in letters:
                self._proxied[letter].append(await again(letter))
        for letter, plays in self._proxied.items():
            for number, exchange in enumerate(plays[0].exchanges):
                self._count(letter, exchange, self._calls(letter, number))
            self._count_outcome(letter)

    def _is_open(self, letter: str) -> bool:
        calls = (self._calls(letter, number) for number in range(len(self._proxied[letter][0].exchanges)))
        return any(_best(each).verdict is Verdict.UNEXPLAINED for each in calls) or self._has_other_outcome(letter)

    def _calls(self, letter: str, number: int) -> list[Judgement]:
        """Return what is said about one call in each proxied play."""
        exchanges = [play.exchanges[number] for play in self._proxied[letter] if number < len(play.exchanges)]
        direct = [
            play.exchanges[number].answer
            for play in self._direct
            if number < len(play.exchanges) and play.exchanges[number].step == exchanges[0].step
        ]
        return [self._call(letter, exchange, direct) for exchange in exchanges]

    def _call(self, letter: str, exchange: Exchange, direct: Sequence[Answer]) -> Judgement:
        is_head = exchange.request.method == "HEAD"
        if not direct:
            return Judgement(verdict=Verdict.UNEXPLAINED, found={"call": ("not made", "made")})
        if any(is_equivalent(each, exchange.answer, is_head=is_head) for each in direct):
            return EQUAL
        is_steady = all(is_equivalent(direct[0], each, is_head=is_head) for each in direct)
        marked = [leaves(answer, has_marks=True) for answer in direct]
        differing = differences(leaves(exchange.answer, has_marks=True), marked)
        return _judgement(letter, exchange.request, differing, is_steady=is_steady)

    def _count(self, letter: str, exchange: Exchange, judgements: Sequence[Judgement]) -> None:
        tally, settled = self._report.tallies[letter], _settled(exchange.request, judgements)
        tally.plays[settled.verdict] += 1
        tally.explained.update(settled.names)
        if judgements[0].verdict is Verdict.UNEXPLAINED:
            difference = Difference(
                mode=letter,
                where=f"{self._case.id}:{exchange.step}",
                comparison="plays",
                call=str(exchange.request),
                found=judgements[0].found,
            )
            self._report.add(difference, is_lasting=settled.verdict is Verdict.UNEXPLAINED)

    def _count_outcome(self, letter: str) -> None:
        steps = self._open_steps(letter, self._proxied[letter][0])
        if not steps:
            return
        is_lasting = self._has_other_outcome(letter)
        self._report.tallies[letter].outcome_differences += is_lasting
        step, reason = steps[0]
        direct = next((str(each) for each in self._direct[0].failures if each.step == step), "holds")
        found = {"outcome": (direct, reason)}
        where = f"{self._case.id}:{step}"
        difference = Difference(mode=letter, where=where, comparison="outcome", call="", found=found)
        self._report.add(difference, is_lasting=is_lasting)

    def _has_other_outcome(self, letter: str) -> bool:
        return all(self._open_steps(letter, play) for play in self._proxied[letter])

    def _open_steps(self, letter: str, play: Play) -> list[tuple[str, str]]:
        """Return the steps that fail only direct or only through the proxy, and what happened there."""
        proxied = {failure.step: failure for failure in play.failures}
        direct = [{failure.step: failure for failure in each.failures} for each in self._direct]
        steps = {step for each in (proxied, *direct) for step in each}
        return [
            (step, str(proxied.get(step, "holds")))
            for step in sorted(steps)
            if len({step in each for each in direct}) == 1
            and (step in proxied) != (step in direct[0])
            and not _is_explained(letter, proxied.get(step) or direct[0][step])
        ]


class _SameState:
    """Answers a test's requests directly, and on the way asks the proxies what only reads."""

    def __init__(self, case: Case, engine: Ask, proxies: Sequence[tuple[Mode, Ask]], report: Report) -> None:
        self._case = case
        self._engine = engine
        self._proxies = proxies
        self._report = report
        self._number = 0

    async def ask(self, request: Request) -> Answer:
        """Return the direct answer."""
        self._number += 1
        started = time.monotonic()
        direct = [await self._engine(request)]
        if not only_reads(request) or time.monotonic() - started > PATIENCE_SECONDS:
            return direct[0]
        rounds: list[dict[str, Answer]] = []
        judgements: dict[str, list[Judgement]] = {}
        while len(rounds) < ROUNDS:
            rounds.append({mode.letter: await _answer(proxy, request) for mode, proxy in self._proxies})
            request = _from_another(request)
            self._proxies = (*self._proxies[1:], *self._proxies[:1])  # nobody is always the next after the engine
            direct.append(await self._engine(request))
            judgements = {
                mode.letter: [_judge(mode.letter, request, each[mode.letter], direct) for each in rounds]
                for mode, _ in self._proxies
            }
            if not any(each[-1].verdict is Verdict.UNEXPLAINED for each in judgements.values()):
                break
        for mode, _ in self._proxies:
            self._count(mode, request, judgements[mode.letter])
            self._count_marker(mode, request, rounds[0][mode.letter])
        return direct[0]

    def _count(self, mode: Mode, request: Request, judgements: Sequence[Judgement]) -> None:
        tally = self._report.tallies[mode.letter]
        settled = _settled(request, judgements)
        tally.same_state[settled.verdict] += 1
        tally.explained.update(settled.names)
        worst = next((each for each in judgements if each.verdict is Verdict.UNEXPLAINED), None)
        if worst is not None:
            difference = self._difference(mode, request, "same state", worst.found)
            self._report.add(difference, is_lasting=settled.verdict is Verdict.UNEXPLAINED)

    def _count_marker(self, mode: Mode, request: Request, answer: Answer) -> None:
        marker = answer.header("x-rerank")
        entries = marker.split(", ")
        if is_search(request):
            self._report.tallies[mode.letter].markers.update(map(_summary, entries))
            is_right = all(entry.startswith((*mode.outcomes, "mixed")) for entry in entries)
        else:
            is_right = not marker
        if not is_right:
            expected = " or ".join(mode.outcomes) if is_search(request) else ""
            difference = self._difference(mode, request, "marker", {"X-Rerank": (expected, marker)})
            self._report.add(difference, is_lasting=True)

    def _difference(self, mode: Mode, request: Request, comparison: str, found: Found) -> Difference:
        where = f"{self._case.id}:call {self._number}"
        return Difference(mode=mode.letter, where=where, comparison=comparison, call=str(request), found=found)


async def _answer(proxy: Ask, request: Request) -> Answer:
    """Return the proxied answer; a lost connection is one, too, and like none of the engine's."""
    try:
        return await proxy(request)
    except Lost as lost:
        return Answer(0, (), str(lost).encode())


def _settled(request: Request, judgements: Sequence[Judgement]) -> Judgement:
    """Return the judgement that counts: the best, but for searches the first.

    A proxy learns from searches: what it does to the first search of an index it may not do to the next. How many
    hits there are is another matter: a few tests search what they have not refreshed.
    """
    is_about_hits = any(".hits.total" in path for path in judgements[0].found)
    return judgements[0] if is_search(request) and not is_about_hits else _best(judgements)


def _best(judgements: Sequence[Judgement]) -> Judgement:
    return min(judgements, key=lambda each: list(Verdict).index(each.verdict))


def _summary(entry: str) -> str:
    """Return the first word of a marker's entry and its reason."""
    return "; ".join(part for part in entry.split("; ") if "=" not in part or part.startswith("reason="))


def _judge(letter: str, request: Request, answer: Answer, direct: Sequence[Answer]) -> Judgement:
    is_head = request.method == "HEAD"
    if any(is_identical(each, answer, is_head=is_head) for each in direct):
        return EQUAL
    is_steady = all(is_identical(direct[0], each, is_head=is_head) for each in direct)
    differing = differences(leaves(answer), [leaves(each) for each in direct])
    judgement = _judgement(letter, request, differing, is_steady=is_steady)
    if is_steady and judgement.names == {SCORES.name} and not is_identical(unscored(direct[0]), unscored(answer)):
        return Judgement(verdict=Verdict.UNEXPLAINED, found=WRITTEN_DIFFERENTLY)
    return judgement


def _judgement(letter: str, request: Request, differing: Found, *, is_steady: bool) -> Judgement:
    if not differing and is_steady:
        differing = WRITTEN_DIFFERENTLY
    if not differing:
        return Judgement(verdict=Verdict.UNSTEADY)
    names = explain(letter, str(request), differing)
    if names is None:
        return Judgement(verdict=Verdict.UNEXPLAINED, found=differing)
    return Judgement(verdict=Verdict.EXPLAINED, names=frozenset(names), found=differing)


def _is_explained(letter: str, failure: Failure) -> bool:
    """Return whether an assertion names nothing but values that may differ in this mode."""
    paths = list(failure.said) if isinstance(failure.said, Mapping) else [failure.said]
    return failure.word != "do" and explain(letter, "GET /_search", map(str, paths)) is not None

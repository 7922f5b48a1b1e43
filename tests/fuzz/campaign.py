"""Many cases against one engine: every unexplained difference once, with the smallest request that shows it.

Law: a difference that is found is shrunk, kept, and passed over from then on, so that others are found behind it.
"""

import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Flaky, NonInteractiveExampleWarning

from tests.fuzz.arena import Arena, Difference, Tally
from tests.fuzz.cases import Case
from tests.fuzz.explained import explanation
from tests.fuzz.grammar import cases

BATCH: Final = 2000
"""Cases that one run of Hypothesis has at most: its memory of them grows."""

MOST_KINDS: Final = 40
"""Differences after which nobody reads on."""


class Unexplained(Exception):
    """A difference; its subclasses stand for one kind each, so that shrinking does not slip to another."""

    def __init__(self, case: Case, difference: Difference) -> None:
        """Keep both."""
        super().__init__(f"{case}\n{difference}")
        self.case = case
        self.difference = difference


@dataclass
class Campaign:
    """One run."""

    arena: Arena
    engine: str
    start: int = 0
    tally: Tally = field(default_factory=Tally)
    found: dict[str, Unexplained] = field(default_factory=dict)
    flaky: list[str] = field(default_factory=list)
    #: names of explanations, and of differences that were found before, and how often they were seen
    explained: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    _shrinking: Tally = field(default_factory=Tally)
    _is_shrinking: bool = False
    _kinds: dict[str, type[Unexplained]] = field(default_factory=dict)

    def run(self, examples: int) -> None:
        """Play `examples` cases, and those that shrinking needs."""
        began = monotonic()
        batch = 0
        while self.tally.cases < examples and len(self.found) < MOST_KINDS:
            self._is_shrinking = False
            try:
                self._play(min(BATCH, examples - self.tally.cases), self.start + batch)
            except Unexplained as unexplained:
                self.found[unexplained.difference.name] = unexplained
            except Flaky as flaky:
                self._keep(flaky)
            batch += 1
        self.seconds = monotonic() - began

    @property
    def requests(self) -> int:
        """Requests that were sent, direct and through proxies."""
        return self.tally.requests + self._shrinking.requests

    def report(self) -> Iterator[str]:
        """Yield the lines of a report."""
        tally = self.tally
        more = self._shrinking.requests
        yield f"{self.engine}: {tally.cases} cases, {tally.requests} requests, and {more} to make cases smaller"
        yield f"  {self.seconds:.0f} s, {self.requests / max(self.seconds, 0.001):.0f} requests/s"
        yield f"  counted: {tally.counted} cases; the engine's own statuses: {dict(tally.statuses.most_common())}"
        for (mode, outcome), count in sorted(tally.outcomes.items()):
            yield f"  {mode}: {outcome or 'no marker'} {count}"
        yield f"  explained: {dict(self.explained.most_common())}"
        yield f"  unexplained: {len(self.found)} kinds; seen again: {dict(self.known.most_common())}"
        for text in self.flaky:
            yield f"--- came and went\n{text}"
        for name, unexplained in self.found.items():
            yield f"--- {name}\n{unexplained}"

    def _keep(self, flaky: Flaky) -> None:
        """Keep the differences that Hypothesis found and could not find again in the same way."""
        inner = flaky.exceptions if isinstance(flaky, BaseExceptionGroup) else ()
        unexplained = [each for each in inner if isinstance(each, Unexplained)]
        self.found.update({each.difference.name: each for each in unexplained})
        if not unexplained:
            self.flaky.append(str(flaky)[:3000])

    def _play(self, examples: int, number: int) -> None:
        @settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
            print_blob=False,
        )
        @seed(number)
        @given(cases)
        def agree(case: Case) -> None:
            self._judge(case)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NonInteractiveExampleWarning)
            agree()

    def _judge(self, case: Case) -> None:
        tally = self._shrinking if self._is_shrinking else self.tally
        new = [each for each in self.arena.play(case, tally) if not self._is_known(case, each)]
        if not new:
            return
        again = {each.name for each in self.arena.play(case, self._shrinking)}
        for each in new:
            if each.name in again:
                self._is_shrinking = True
                raise self._kind(each.name)(case, each)

    def _is_known(self, case: Case, difference: Difference) -> bool:
        names = [explanation(self.engine, mode, str(case), difference.found.kind) for mode in difference.modes]
        if all(names):
            self.explained.update(set(filter(None, names)))
            return True
        earlier = [each for each in self.found.values() if difference.is_part_of(each.difference)]
        if earlier:
            self.known[earlier[0].difference.name] += 1
        return bool(earlier)

    def _kind(self, name: str) -> type[Unexplained]:
        if name not in self._kinds:
            self._kinds[name] = type("Unexplained", (Unexplained,), {})
        return self._kinds[name]

"""What the comparison counts and finds: plain values."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tests.parity.player import Kind

Found = Mapping[str, tuple[Any, Any]]
"""Where two answers differ: path -> (direct, proxied)."""


class Verdict(StrEnum):
    """What is said about one call, the best first."""

    IDENTICAL = "identical"
    UNSTEADY = "engine differs"  #: from itself, and the proxied answer in nothing else
    EXPLAINED = "explained"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict with its grounds."""

    verdict: Verdict
    #: names of the explanations that were needed
    names: frozenset[str] = frozenset()
    found: Found = field(default_factory=dict)


EQUAL = Judgement(verdict=Verdict.IDENTICAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that the proxy should not have changed."""

    mode: str
    #: file and name of the test, and the step
    where: str
    #: "plays", "same state", "outcome" or "marker"
    comparison: str
    #: the request as somebody would type it
    call: str
    #: path -> (direct, proxied)
    found: Found


@dataclass(kw_only=True)
class Tally:
    """What was counted in one mode."""

    tests: Counter[Kind] = field(default_factory=Counter)  #: through the proxy
    outcome_differences: int = 0
    plays: Counter[Verdict] = field(default_factory=Counter)
    same_state: Counter[Verdict] = field(default_factory=Counter)
    explained: Counter[str] = field(default_factory=Counter)
    markers: Counter[str] = field(default_factory=Counter)


@dataclass(kw_only=True)
class Report:
    """What was counted and found over all tests."""

    direct: Counter[Kind] = field(default_factory=Counter)
    failed_direct: list[str] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    #: differed in one round and was equal in another
    flickering: list[Difference] = field(default_factory=list)
    #: lines of the proxies' logs that none should write
    log_errors: list[str] = field(default_factory=list)

    def add(self, difference: Difference, *, is_lasting: bool) -> None:
        """Keep a difference; one that does not last is kept apart."""
        (self.differences if is_lasting else self.flickering).append(difference)

"""One engine, proxies in front of it in every mode, and what becomes of a case in all of them.

Law: a case is played directly before and after; where those two answers differ, it does not count.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from sidecar.policy import Policy
from sidecar.types import RerankOptions
from tests.fuzz.cases import FETCHES, Case, Request
from tests.fuzz.comparing import Found, api, differences, is_same, marker, marker_differences, shown
from tests.fuzz.connection import Wire
from tests.integration.proxies import proxied
from tests.parity.connection import Answer

SHORT_SECONDS: Final = 0.01
"""The deadline of the stalled scorer."""

_SCORERS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "failing": ("test:failing", {}),
    "stalled": ("test:stalled", {"deadline": SHORT_SECONDS}),
    "identity": ("test:identity", {"deadline": 0.0, "token_budget": 0}),
}
MODES: Final = ("off", *_SCORERS)


@dataclass(frozen=True)
class Difference:
    """What differs, in which modes, and the answers: the engine's, and that of the first of the modes."""

    modes: tuple[str, ...]
    found: Found
    direct: Answer
    proxied: Answer

    @property
    def name(self) -> str:
        """The kind and the modes."""
        return f"{self.found.kind} ({', '.join(self.modes)})"

    def is_part_of(self, other: "Difference") -> bool:
        """Return whether this says nothing that `other` does not say."""
        return self.found.kind == other.found.kind and set(self.modes) <= set(other.modes)

    def __str__(self) -> str:
        """Show it."""
        answers = f"direct: {shown(self.direct)}\nproxied: {shown(self.proxied)}"
        return f"{self.name}\n{self.found.words}\n{answers}"


@dataclass
class Tally:
    """What was played."""

    cases: int = 0
    counted: int = 0
    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)


class Arena:
    """Plays cases. Enter it before."""

    def __init__(self, engine_url: str) -> None:
        """Take a running engine with the indices of the fuzz tests."""
        self.engine_url = engine_url
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._direct = Wire(engine_url)
        self._wires: dict[tuple[str, str], Wire] = {}

    def __enter__(self) -> Self:
        """Start the proxies."""
        self._runner.run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        """Stop them."""
        self._runner.run(self._stack.aclose())
        self._runner.close()

    def play(self, case: Case, tally: Tally) -> list[Difference]:
        """Return what differs; nothing where the engine itself does not answer twice the same."""
        return self._runner.get_loop().run_until_complete(self._play(case, tally))

    async def _open(self) -> None:
        enter = self._stack.enter_async_context
        off = await enter(proxied(self.engine_url, policy=Policy(defaults=RerankOptions(enabled=False))))
        self._wires["off", FETCHES[0]] = await enter(Wire(off))
        for mode, (scorer, options) in _SCORERS.items():
            for fetch in FETCHES:
                url = await enter(proxied(self.engine_url, scorer, fetch=fetch, **options))
                self._wires[mode, fetch] = await enter(Wire(url))
        await enter(self._direct)

    async def _play(self, case: Case, tally: Tally) -> list[Difference]:
        first = await self._direct.ask(case.plain)
        answers = await asyncio.gather(*(self._ask(mode, case) for mode in MODES))
        second = await self._direct.ask(case.plain)
        if "scroll" in case.plain.target:
            await self._direct.ask(Request(method="DELETE", target="/_search/scroll/_all"))
        tally.cases += 1
        tally.requests += 2 + len(MODES)
        if not is_same(first, second):
            return []
        tally.counted += 1
        tally.statuses[first.status] += 1
        modes: dict[str, list[str]] = {}
        details: dict[str, tuple[Found, Answer]] = {}
        for mode, answer in zip(MODES, answers, strict=True):
            tally.outcomes[mode, marker(answer).partition(";")[0]] += 1
            for found in _found(mode, case, first, answer):
                modes.setdefault(found.kind, []).append(mode)
                details.setdefault(found.kind, (found, answer))
        return [
            Difference(tuple(dict.fromkeys(modes[kind])), found, first, answer)
            for kind, (found, answer) in details.items()
        ]

    async def _ask(self, mode: str, case: Case) -> Answer:
        if mode == "off":
            return await self._wires["off", FETCHES[0]].ask(case.plain)
        return await self._wires[mode, case.fetch].ask(case.proxied)


def _found(mode: str, case: Case, direct: Answer, answer: Answer) -> Iterator[Found]:
    """Yield what is wrong with an answer in a mode."""
    for found in (*differences(case, direct, answer), *marker_differences(case, mode, answer)):
        yield replace(found, kind=f"{api(case)}: {found.kind}")

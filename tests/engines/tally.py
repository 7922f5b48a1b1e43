"""Counts which tests ran on which real engine, for the one line at the end of a run.

Its one law: silence is never a pass. An engine that a test asked for is in the line, with its tests or with the reason
why there were none.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class EngineUse:
    """What became of one engine in this run: the version that answered, or why none did."""

    name: str
    version: str | None = None
    why_not: str | None = None
    tests: int = 0

    def __str__(self) -> str:
        if self.version is None:
            return f"{self.name} skipped: {self.why_not}"
        return f"{self.name} {self.version} ran {self.tests} test{'' if self.tests == 1 else 's'}"


@dataclass(slots=True)
class Tally:
    """The uses of all engines that any test of this run asked for."""

    uses: dict[str, EngineUse] = field(default_factory=dict)

    def started(self, name: str, version: str) -> None:
        """Note that the engine answers."""
        self.uses[name] = EngineUse(name=name, version=version)

    def skipped(self, name: str, why_not: str) -> None:
        """Note that the engine cannot be had, and why."""
        self.uses[name] = EngineUse(name=name, why_not=why_not)

    def ran(self, names: Iterable[str]) -> None:
        """Count one test that used these engines."""
        for name in names:
            self.uses[name].tests += 1

    def line(self) -> str | None:
        """Return the summary, or None where no test asked for an engine."""
        reasons = {use.why_not for use in self.uses.values()}
        if len(reasons) == 1 and (reason := next(iter(reasons))):
            return f"real engines: skipped: {reason}"
        return f"real engines: {', '.join(map(str, self.uses.values()))}" if self.uses else None

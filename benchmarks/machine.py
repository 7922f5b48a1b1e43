"""Where a measurement was made: the machine, the commit and the versions, as they stand above a table.

Must not import what it reports on.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]

_TELLING = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8")
"""Instruction sets that decide how fast small models are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine of a measurement, and the state of the source."""

    processor: str
    cores: int
    instructions: tuple[str, ...]
    memory_gb: float
    system: str
    python: str
    commit: str
    #: how many processes wanted a core in the minute before; more than none means a machine that is not quiet
    load: float

    @classmethod
    def here(cls) -> Machine:
        """Return this machine as it is now."""
        about = _processor()
        return cls(
            processor=about.get("model name", platform.processor() or "unknown"),
            cores=len(os.sched_getaffinity(0)),
            instructions=tuple(name for name in _TELLING if name in about.get("flags", "").split()),
            memory_gb=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
            system=f"{platform.system()} {platform.release()}",
            python=platform.python_version(),
            commit=commit(),
            load=round(os.getloadavg()[0], 2),
        )

    def line(self) -> str:
        """Return it in a line for people."""
        sets = ", ".join(self.instructions) or "no vector instructions known"
        return (
            f"{self.cores} cores of {self.processor} ({sets}), {self.memory_gb} GB, Python {self.python}, "
            f"commit {self.commit}, load before {self.load}"
        )

    def facts(self) -> dict[str, Any]:
        """Return it for a JSON file."""
        return asdict(self)


def commit() -> str:
    """Return the commit of the checkout, with "+changes" where files differ from it; "unknown" without one."""
    try:
        found = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", "sidecar", "connectors", "benchmarks")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found + ("+changes" if changed else "")


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those of `packages` that are installed here."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def in_words(found: Mapping[str, str]) -> str:
    """Return versions in a line for people."""
    return ", ".join(f"{name} {number}" for name, number in found.items())


def _processor() -> dict[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],  # the one on the path
        cwd=REPOSITORY,
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},  # whoever works here meanwhile is not in the way
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout.strip()


if __name__ == "__main__":
    sys.stdout.write(Machine.here().line() + "\n")

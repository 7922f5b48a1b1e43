"""What was found, on the screen and in a file, section by section.

Law: a section that fails is a finding like any other: its error is written and the next one runs.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.table import table

JSON: Final = "gpu.json"
TEXT: Final = "gpu.md"


class Stopped(Exception):
    """The section cannot be run; its words say why."""


class Report:
    """Results of one run. Times count from its making."""

    def __init__(self, folder: Path, facts: dict[str, Any], *, seconds: float) -> None:
        """Write into `folder`; all sections together have so many seconds."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._began = time.monotonic()
        self._seconds = seconds
        self._results: dict[str, Any] = {"facts": facts, "sections": {}}
        self._text: list[str] = []

    @property
    def seconds_left(self) -> float:
        """How long there is until the end."""
        return max(0.0, self._seconds - (time.monotonic() - self._began))

    @property
    def failed(self) -> list[str]:
        """The names of the sections that failed."""
        return [name for name, found in self._results["sections"].items() if "error" in found]

    def section(self, name: str, run: Callable[[], dict[str, Any]], *, needs: float = 0.0) -> dict[str, Any]:
        """Run a section and write what it returns; {} when it failed or there were not `needs` seconds left for it."""
        self.say(f"\n## {name}\n")
        began = time.monotonic()
        found: dict[str, Any] = {}
        try:
            if self.seconds_left < needs:
                raise Stopped(f"{self.seconds_left:.0f} s left, {needs:.0f} s needed")
            found = run()
            entry = dict(found)
        except Exception as error:  # noqa: BLE001  # the next section may still tell something
            words = str(error) if isinstance(error, Stopped) else f"{type(error).__name__}: {error}"
            entry = {"error": words, "trace": "" if isinstance(error, Stopped) else traceback.format_exc()}
            self.say(f"FAILED: {words}")
        entry["seconds"] = round(time.monotonic() - began, 1)
        self._results["sections"][name] = entry
        self._write()
        return found

    def table(self, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table."""
        self.say(table(heads, rows))

    def say(self, text: str) -> None:
        """Print a line."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
        self._text.append(text)

    def _write(self) -> None:
        for name, text in ((JSON, json.dumps(self._results, indent=1)), (TEXT, "\n".join(self._text) + "\n")):
            unfinished = self._folder / f".{name}"
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(self._folder / name)

"""The programs in other languages: how each is built, whether it is, and how it is run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
BUILD_SECONDS: Final = 900


@dataclass(frozen=True)
class ForeignClient:
    """A program over the official clients of one language."""

    folder: Path
    #: commands that must be there
    tools: tuple[str, ...]
    build: tuple[str, ...]
    #: what is there once it is built
    built: Path
    run: tuple[str, ...]

    @property
    def lacks(self) -> str | None:
        """The first tool that is not on this machine."""
        return next((tool for tool in self.tools if shutil.which(tool) is None), None)

    @property
    def is_built(self) -> bool:
        """Whether it can be run."""
        return self.lacks is None and self.built.exists()

    def command(self, *arguments: str) -> Sequence[str]:
        """Return the command that runs it."""
        return (*self.run, *arguments)


FOREIGN_CLIENTS: Final[Mapping[str, ForeignClient]] = {
    "javascript": ForeignClient(
        folder=HERE / "javascript",
        tools=("node", "npm"),
        build=("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"),
        built=HERE / "javascript/node_modules/.package-lock.json",
        run=("node", str(HERE / "javascript/client.mjs")),
    ),
    "go": ForeignClient(
        folder=HERE / "go",
        tools=("go",),
        build=("go", "build", "-o", "target/client", "."),
        built=HERE / "go/target/client",
        run=(str(HERE / "go/target/client"),),
    ),
    "java": ForeignClient(
        folder=HERE / "java",
        tools=("mvn", "java"),
        build=("mvn", "--quiet", "--batch-mode", "--no-transfer-progress", "package"),
        built=HERE / "java/target/client.jar",
        run=("java", "-cp", f"{HERE}/java/target/client.jar:{HERE}/java/target/dependency/*", "Main"),
    ),
}


def build(client: ForeignClient) -> str:
    """Build a client and return "", or the end of what its tools said when they failed."""
    try:
        done = subprocess.run(
            client.build,
            cwd=client.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not done after {BUILD_SECONDS} s"
    return "" if done.returncode == 0 else done.stdout[-2000:]

"""Finds the JDK that builds and runs the engines.

Decides which of the JDKs on this machine is used. Its one law: a choice of the caller (JAVA_HOME, then `java` on PATH)
that is new enough wins; only then are the usual folders looked through, the newest first.
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

OLDEST = 21  # both engines are compiled to class files 65
FOLDERS = (
    "/usr/lib/jvm/*",
    "/usr/java/*",
    "/opt/*",
    "/opt/java/*",
    "~/.sdkman/candidates/java/*",
    "~/.jdks/*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "/opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Jdk:
    """A JDK by its folder (what JAVA_HOME means) and its feature version, as in 21 or 25."""

    home: Path
    version: int

    @property
    def java(self) -> Path:
        """The program that runs a class."""
        return self.home / "bin" / "java"


def find_jdk(environment: Mapping[str, str] = os.environ, folders: tuple[str, ...] = FOLDERS) -> Jdk | None:
    """Return the JDK to use, or None where no JDK is new enough."""
    chosen = (jdk for home in _chosen_homes(environment) if (jdk := _read(home)))
    installed = sorted((jdk for home in _installed_homes(folders) if (jdk := _read(home))), key=_newest_first)
    return next((jdk for jdk in (*chosen, *installed) if jdk.version >= OLDEST), None)


def _chosen_homes(environment: Mapping[str, str]) -> Iterator[Path]:
    if home := environment.get("JAVA_HOME"):
        yield Path(home)
    if java := shutil.which("java", path=environment.get("PATH", "")):
        yield Path(java).resolve().parent.parent


def _installed_homes(folders: tuple[str, ...]) -> Iterator[Path]:
    for pattern in folders:
        start = Path(pattern).expanduser()
        yield from Path(start.anchor).glob(str(start.relative_to(start.anchor)))


def _read(home: Path) -> Jdk | None:
    """Read the version from the file `release` that every JDK has; a runtime without a compiler is no JDK."""
    try:
        release = (home / "release").read_text(encoding="utf-8")
    except OSError:
        return None
    version = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', release, re.MULTILINE)  # Java 8 called itself 1.8
    if version is None or not (home / "bin" / "javac").exists():
        return None
    return Jdk(home=home, version=int(version[1]))


def _newest_first(jdk: Jdk) -> tuple[int, str]:
    return -jdk.version, str(jdk.home)

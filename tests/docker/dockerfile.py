"""Reads the Dockerfile into its instructions, as far as our own uses the language: no heredocs, no escapes."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docker"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction: its word in capitals, its flags (--from=build), and the rest as it stands."""

    word: str
    flags: tuple[str, ...]
    rest: str

    def words(self) -> list[str]:
        """Return the list of an instruction in exec form. Raises: ValueError for the shell form."""
        return [str(word) for word in json.loads(self.rest)]

    def pairs(self) -> dict[str, str]:
        """Return names and values of ENV, ARG or LABEL; an ARG without a value has an empty one."""
        found = re.findall(r'([\w.]+)(?:=(?:"([^"]*)"|(\S*)))?', self.rest)
        return {name: quoted or plain for name, quoted, plain in found}


def read_dockerfile(path: Path = FOLDER / "Dockerfile") -> list[Instruction]:
    """Return all instructions in order."""
    lines = (line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#"))
    text = "\n".join(lines).replace("\\\n", " ")
    return list(_instructions(text))


def stages(instructions: list[Instruction]) -> list[list[Instruction]]:
    """Cut the instructions into stages; each begins with its FROM."""
    starts = [i for i, instruction in enumerate(instructions) if instruction.word == "FROM"]
    return [instructions[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


def environment(stage: list[Instruction], *words: str) -> dict[str, str]:
    """Return what a stage sets by ENV, or by the words given instead."""
    return {
        name: value
        for instruction in stage
        if instruction.word in (words or ("ENV",))
        for name, value in instruction.pairs().items()
    }


def _instructions(text: str) -> Iterator[Instruction]:
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        flags = re.match(r"(?:--\S+\s+)*", rest.strip())
        assert flags is not None  # it matches the empty text, too
        yield Instruction(
            word=word.upper(), flags=tuple(flags[0].split()), rest=" ".join(rest.strip()[flags.end() :].split())
        )

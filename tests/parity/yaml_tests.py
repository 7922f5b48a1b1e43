"""What the YAML files of a REST suite say: tests with their setup, steps and teardown.

Law: values are read as the suites' own runners read them. Only `true`, `false`, `null`, decimal integers and decimal
fractions are not text, so that `2016-01-01`, `12:30` and `on` stay what was written.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

Step = tuple[str, Any]
"""The word of a step (`do`, `match`, ...) and what it says."""

SECTIONS = frozenset({"setup", "teardown", "requires"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test. `file` is relative to the suite's folder of tests."""

    file: str
    name: str
    setup: tuple[Step, ...]
    steps: tuple[Step, ...]
    teardown: tuple[Step, ...]

    @property
    def id(self) -> str:
        """File and name."""
        return f"{self.file}:{self.name}"

    @property
    def apis(self) -> set[str]:
        """The names of the APIs that it calls."""
        every = (*self.setup, *self.steps, *self.teardown)
        return {name for word, said in every if word == "do" and isinstance(said, Mapping) for name in said}


class _Loader(yaml.CSafeLoader):
    """A YAML loader with the scalars of JSON and no others."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  # PyYAML's own way


for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", "-+0123456789."),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), list(_first))
# YAML 1.1 reads 010 as eight, JSON cannot say it, and the engines' runners read ten; exponents need no dot
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))
_Loader.add_constructor("tag:yaml.org,2002:float", lambda _, node: float(node.value))


def load(root: Path, paths: Sequence[str] = ("*",), name: str = "*") -> list[Case]:
    """Return the tests of the files under `root` that match one of `paths`, whose names match `name`.

    A path without a wildcard means that file, or all files in that folder.
    """
    files = sorted(file for file in root.rglob("*.yml"))
    chosen = [file for file in files if any(_matches(file.relative_to(root).as_posix(), path) for path in paths)]
    return [case for file in chosen for case in read(file, root) if fnmatch(case.name, name)]


def read(file: Path, root: Path) -> Iterator[Case]:
    """Yield the tests of one file, in its order."""
    sections: dict[str, tuple[Step, ...]] = {}
    tests: dict[str, tuple[Step, ...]] = {}
    for document in yaml.load_all(file.read_text(encoding="utf-8"), Loader=_Loader):
        for name, steps in (document or {}).items():
            if name == "requires":
                continue  # which products of Elastic it is for, and not which engine
            (sections if name in SECTIONS else tests)[str(name)] = _steps(steps)
    for name, steps in tests.items():
        yield Case(
            file=file.relative_to(root).as_posix(),
            name=name,
            setup=sections.get("setup", ()),
            steps=steps,
            teardown=sections.get("teardown", ()),
        )


def _steps(listed: Any) -> tuple[Step, ...]:
    return tuple((str(word), said) for step in listed or () for word, said in step.items())


def _matches(path: str, wanted: str) -> bool:
    return fnmatch(path, wanted) or path == wanted or path.startswith(wanted.rstrip("/") + "/")

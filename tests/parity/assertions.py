"""What a YAML test asserts of an answer: paths into it, values that were set aside, and the comparisons.

Law: whatever does not hold raises `Failed` with what was expected and what was found. Semantics are those of the
engines' own runners (*Source:* rest-api-spec/src/yamlRestTest/resources/rest-api-spec/test/README of OpenSearch 3.6).
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from tests.parity.connection import Answer

ARBITRARY = "_arbitrary_key_"
_DOT = re.compile(r"(?<!\\)\.")
_EMBEDDED = re.compile(r"\$\{([^}]+)\}")


class Failed(Exception):
    """A step of a test does not hold."""


class Stash:
    """Values that a test has set aside, by name."""

    def __init__(self) -> None:
        """Be empty."""
        self._values: dict[str, Any] = {}

    def __setitem__(self, name: str, value: Any) -> None:
        """Set a value aside."""
        self._values[name] = value

    def __getitem__(self, name: str) -> Any:
        """Return a value. Raises Failed."""
        if name not in self._values:
            raise Failed(f"nothing is set aside as {name!r}")
        return self._values[name]

    def fill(self, said: Any) -> Any:
        """Return what a test says with the values in place of `$name` and `${name}`, also in keys."""
        match said:
            case str() if said.startswith("$") and said[1:] in self._values:
                return self._values[said[1:]]
            case str():
                return _EMBEDDED.sub(lambda found: str(self[found[1]]), said)
            case Mapping():
                return {self.fill(name): self.fill(value) for name, value in said.items()}
            case list():
                return [self.fill(value) for value in said]
            case _:
                return said


def find(answer: Answer, path: str, stash: Stash, method: str = "GET") -> Any:
    """Return the value at a path: names and positions separated by dots; "" and `$body` mean all of it.

    None where there is nothing. All of an answer to HEAD is whether it succeeded.
    """
    if path in ("", "$body"):
        return answer.status < 400 if method == "HEAD" else answer.value
    found = answer.value
    for part in _DOT.split(path):
        found = _child(found, stash.fill(part.replace(r"\.", ".")))
    return found


def _child(parent: Any, name: Any) -> Any:
    match parent:
        case Mapping():
            if name == ARBITRARY:
                return next(iter(parent), None)
            return parent.get(name, parent.get(str(name)))
        case list() if str(name).isdecimal() and int(name) < len(parent):
            return parent[int(name)]
        case _:
            return None


def check(word: str, said: Any, answer: Answer, stash: Stash, method: str = "GET") -> None:
    """Check an assertion. Raises Failed when it does not hold, KeyError when there is no such assertion."""
    if word in _TRUTHS:
        found = find(answer, str(said), stash, method)
        if is_true(found) is not _TRUTHS[word]:
            raise Failed(f"{word}: {said}: found {_shown(found)}")
        return
    holds = _COMPARISONS[word]
    for path, expected in said.items():
        wanted, found = stash.fill(expected), find(answer, str(path), stash, method)
        if not holds(found, wanted):
            raise Failed(f"{word}: {path}: expected {_shown(wanted)}, found {_shown(found)}")


def is_assertion(word: str) -> bool:
    """Return whether `check` knows the word."""
    return word in _TRUTHS or word in _COMPARISONS


def is_true(value: Any) -> bool:
    """Return whether a value counts as true: it is there, and no "false", "0" or empty text."""
    return value is not None and str(value).lower() not in ("", "false", "0")


def equal(found: Any, expected: Any) -> bool:
    """Return whether two values are the same; 1 is 1.0, and neither is true."""
    match found, expected:
        case (Mapping(), Mapping()):
            return found.keys() == expected.keys() and all(equal(found[key], expected[key]) for key in found)
        case (list(), list()):
            return len(found) == len(expected) and all(map(equal, found, expected))
        case (bool(), _) | (_, bool()):
            return found is expected
        case (float(), int() | float()) | (int(), float()):
            return float(found) == float(expected)  # an integer of 19 digits is equal to its rounded self, as in Java
        case _:
            return bool(found == expected)


def pattern(said: Any) -> str | None:
    """Return the regular expression in `/.../`, None where there is none."""
    text = said.strip() if isinstance(said, str) else ""
    return text[1:-1] if len(text) > 2 and text[0] == text[-1] == "/" else None


def _matches(found: Any, expected: Any) -> bool:
    expression = pattern(expected)
    if expression is None:
        return equal(found, expected)
    return isinstance(found, str) and _is_like(expression, found)


@cache
def _is_like(expression: str, text: str) -> bool:
    """Return whether a text matches. A few expressions of the suites take seconds, and every play asks again."""
    # Java's COMMENTS ignores blanks inside brackets, too; no expression of the suites depends on it
    return re.search(expression, text, re.VERBOSE) is not None


def _has_length(found: Any, expected: Any) -> bool:
    return isinstance(found, str | list | Mapping) and len(found) == int(expected)


def _contains(found: Any, expected: Any) -> bool:
    match found, expected:
        case (list(), Mapping()):
            return any(
                isinstance(each, Mapping) and all(equal(each.get(key), value) for key, value in expected.items())
                for each in found
            )
        case (list(), _):
            return any(equal(each, expected) for each in found)
        case _:
            return isinstance(found, str) and str(expected) in found


def _compared(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(found: Any, expected: Any) -> bool:
        try:
            return found is not None and compare(found, expected)
        except TypeError:
            return False

    return holds


_TRUTHS = {"is_true": True, "is_false": False}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "match": _matches,
    "length": _has_length,
    "contains": _contains,
    "gt": _compared(lambda found, expected: found > expected),
    "gte": _compared(lambda found, expected: found >= expected),
    "lt": _compared(lambda found, expected: found < expected),
    "lte": _compared(lambda found, expected: found <= expected),
}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."

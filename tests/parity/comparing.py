"""Whether an answer that came through the proxy is the engine's.

Law: nothing is forgiven because of what it looks like, but for the marks of one play that are listed here (`MARKS`).
What differs is compared with answers that the engine itself gave to the same request: only where those differ from
each other may a proxied one, too. Numbers are compared as they are written.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from tests.parity.connection import Answer

OURS: Final = frozenset({"x-rerank", "server-timing"})
"""The headers that the proxy may add."""

FRAMING: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "date"})

Leaves = Mapping[str, object]
"""What an answer says, by where it says it: status, headers, and every value of the body by its path."""

_TOOK = re.compile(rb'("?\btook"?\s*:\s*)\d+')  # in YAML, too
_SCORE = re.compile(rb'("(?:_score|max_score)"\s*:\s*)(?:null|-?[0-9][0-9.eE+-]*)')
_TODAY = datetime.now(UTC).strftime("%Y-%m-")

MARKS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"(?<![\w-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])[\w-]{20}(?:[\w-]{2})?(?![\w-])"), "<uuid>"),
    (
        re.compile(r"(?<![\w+/=-])(?=[\w+/=-]*[A-Z])(?=[\w+/=-]*\d)[\w+/=-]{40,}"),
        "<long id>",
    ),  # scrolls, points in time
    (re.compile(rf"{_TODAY}\d\dT[\d:.]+Z?"), "<now>"),
    (re.compile(r"(?<![\w.])1[6-9]\d{11}(?![\w.])"), "<now>"),  # milliseconds since 1970
    (re.compile(r"(?<![\w-])<uuid>:\d+"), "<task>"),
)
"""What differs between two plays of one test on one engine: ids and moments. In this order."""


def untimed(body: bytes) -> bytes:
    """Return a body with every `took` at 0."""
    return _TOOK.sub(rb"\g<1>0", body)


def unmarked(text: str) -> str:
    """Return a text without the marks of one play."""
    for pattern, name in MARKS:
        text = pattern.sub(name, text)
    return text


def unscored(answer: Answer) -> Answer:
    """Return an answer without the numbers of its scores."""
    return replace(answer, body=_SCORE.sub(rb"\g<1>0", answer.body))


def headers(answer: Answer, *, is_head: bool = False) -> tuple[tuple[str, str], ...]:
    """Return the headers that must be equal, sorted.

    The length follows `took` and was checked when the answer was read; after HEAD it is all that there is of the body.
    """
    left_out = OURS | FRAMING | (frozenset() if is_head else {"content-length"})
    return tuple(sorted(pair for pair in answer.headers if pair[0].lower() not in left_out))


def is_identical(one: Answer, other: Answer, *, is_head: bool = False) -> bool:
    """Return whether two answers on the same state of the same engine are equal, byte for byte, but for `took`."""
    return (one.status, headers(one, is_head=is_head), untimed(one.body)) == (
        other.status,
        headers(other, is_head=is_head),
        untimed(other.body),
    )


def is_equivalent(one: Answer, other: Answer, *, is_head: bool = False) -> bool:
    """Return whether two answers are equal, byte for byte, but for `took` and the marks of their plays."""
    return is_identical(one, other, is_head=is_head) or _unmarked(one, is_head) == _unmarked(other, is_head)


def _unmarked(answer: Answer, is_head: bool) -> tuple[int, str, str]:
    body = untimed(answer.body).decode("utf-8", "surrogateescape")
    return answer.status, unmarked(repr(headers(answer, is_head=is_head))), unmarked(body)


def leaves(answer: Answer, *, has_marks: bool = False) -> dict[str, object]:
    """Return what an answer says by its paths; with `has_marks` without the marks of its play.

    A container is a leaf, too: the names or the number of what it holds.
    """
    found: dict[str, object] = {"status": answer.status}
    for name, value in headers(answer):
        found[f"header {name}"] = f"{found.get(f'header {name}', '')}{value}\n"
    found |= dict(_values(_parsed(answer), "body"))
    if not has_marks:
        return found
    return {
        unmarked(path): unmarked(value) if isinstance(value, str) else value for path, value in sorted(found.items())
    }


def _parsed(answer: Answer) -> Any:
    body = untimed(answer.body)
    if "json" in answer.header("content-type"):
        try:
            return json.loads(body, parse_float=str, parse_int=str, parse_constant=str)
        except ValueError:
            pass
    return {str(number): token for number, token in enumerate(body.decode("utf-8", "surrogateescape").split())}


def _values(value: Any, path: str) -> Iterator[tuple[str, object]]:
    match value:
        case Mapping():
            yield f"{path}{{}}", "\n".join(sorted(value))
            for name, each in value.items():
                yield from _values(each, f"{path}.{name}")
        case list():
            yield f"{path}[]", str(len(value))
            for number, each in enumerate(value):
                yield from _values(each, f"{path}.{number}")
        case _:
            yield path, value


def differences(proxied: Leaves, direct: Sequence[Leaves]) -> dict[str, tuple[object, object]]:
    """Return where a proxied answer differs from what all direct ones agree on: path -> (direct, proxied)."""
    first = direct[0]
    every = {path for one in (*direct, proxied) for path in one}
    unsteady = {path for path in every if any(one.get(path) != first.get(path) for one in direct)}
    containers = tuple(f"{path[:-2]}." for path in unsteady if path.endswith(("{}", "[]")))
    return {
        path: (first.get(path), proxied.get(path))
        for path in sorted(every - unsteady)
        if first.get(path) != proxied.get(path) and not path.startswith(containers)
    }

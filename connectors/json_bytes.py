"""Edit JSON by splicing slices: what we do not change keeps its bytes.

Law: nothing here prints a value that it has parsed. A document is decoded (strict UTF-8, so that decoding and
encoding are inverse), walked for the spans of the members that matter, and put together again from slices of
the original and a few literal replacements. Anything surprising is `ValueError`; the caller then leaves the
bytes alone.

The walker stands on the standard library's own C scanner, so that strings, numbers and nesting are judged by
the same code as `json.loads`. Integers are read as `float`: their digits are never needed as numbers here, and
`int` refuses more than 4,300 digits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from json.decoder import scanstring  # type: ignore[attr-defined]  # documented only in its own docstring
from types import MappingProxyType
from typing import Any, TypeVar

JsonObject = dict[str, Any]

_BRACKET_OR_STRING = re.compile(r'[\[\]{}]|"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_WHITESPACE = re.compile(r"[ \t\n\r]*")
_decoder = json.JSONDecoder(parse_int=float)


@dataclass(frozen=True, slots=True)
class Member:
    """One `"key": value` of an object, with its place in the text.

    `start` is where the key's quote is, `value_start` and `end` bound the value. `value` is parsed.
    """

    key: str
    start: int
    value_start: int
    end: int
    value: Any


@dataclass(frozen=True, slots=True)
class Element:
    """One element of an array: its span in the text, and its value as the scanner gave it."""

    start: int
    end: int
    value: Any


Part = TypeVar("Part", Member, Element)


@dataclass(frozen=True, slots=True)
class Array:
    """An array: the span from bracket to bracket, and its elements in order."""

    start: int
    end: int
    elements: list[Element]


@dataclass(frozen=True, slots=True)
class Edit:
    """Put `text` where `start` to `end` was."""

    start: int
    end: int
    text: str


def decode(content: bytes) -> str:
    """Return JSON text of UTF-8 bytes; `ValueError` when they are not UTF-8 (a BOM included)."""
    text = content.decode("utf-8")
    if text.startswith("\ufeff"):
        raise ValueError("JSON begins with a byte order mark")
    return text


def depth(text: str, limit: int) -> int:
    """Return how deeply `text` nests objects and arrays, at most `limit` + 1; strings are passed over.

    Linear, without recursion and without building anything: to be asked before any parser.
    """
    level = deepest = 0
    for token in _BRACKET_OR_STRING.finditer(text):
        match token[0][0]:
            case "{" | "[":
                level += 1
                if level > deepest:
                    deepest = level
                    if deepest > limit:
                        return deepest
            case "}" | "]":
                level -= 1
            case _:  # a string
                pass
    return deepest


def skip_whitespace(text: str, position: int) -> int:
    """Return the first position from `position` on that is not JSON white space."""
    match = _WHITESPACE.match(text, position)
    assert match is not None  # the pattern matches the empty string
    return match.end()


def scan_value(text: str, position: int) -> tuple[Any, int]:
    """Parse the value that starts at `position`; return it and the position after it."""
    try:
        value, end = _decoder.scan_once(text, position)  # type: ignore[attr-defined]  # missing in typeshed
    except StopIteration as stop:
        raise ValueError(f"expected a JSON value at character {stop.value}") from None
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None
    return value, end


Scanner = Callable[[str, int], tuple[Any, int]]
"""Reads the value that starts at a position; returns it, or what stands for it, and the position after it."""


NOTHING: Mapping[str, Scanner] = MappingProxyType({})


def scan_object(text: str, position: int = 0, into: Mapping[str, Scanner] = NOTHING) -> list[Member]:
    """Return the members of the object that starts at `position`, in order, duplicates included.

    White space before the object is passed over. `into` names members whose value its own scanner reads,
    so that a document is walked once however deep one looks.
    """
    members, _ = scan_members(text, skip_whitespace(text, position), into)
    return members


def scan_members(text: str, position: int, into: Mapping[str, Scanner] = NOTHING) -> tuple[list[Member], int]:
    """Return the members of the object at `position` and the position after it; `into` as in `scan_object`."""
    position = _expect(text, position, "{")
    members: list[Member] = []
    if text[position : position + 1] == "}":
        return members, position + 1
    while True:
        start = position
        if text[position : position + 1] != '"':
            raise ValueError(f"expected a key at character {position}")
        key, position = scanstring(text, position + 1, True)
        position = _expect(text, skip_whitespace(text, position), ":")
        value, end = into.get(key, scan_value)(text, position)
        members.append(Member(key, start, position, end, value))
        position = skip_whitespace(text, end)
        if text[position : position + 1] == "}":
            return members, position + 1
        position = _expect(text, position, ",")


def object_scanner(into: Mapping[str, Scanner] = NOTHING) -> Scanner:
    """Return a scanner that gives an object's members (list[Member]) as its value; `into` as in scan_object."""
    return lambda text, position: scan_members(text, position, into)


def array_scanner(element: Scanner) -> Scanner:
    """Return a scanner that gives an array as `Array`: the span and the scanned value of every element."""
    return lambda text, position: _scan_array(text, position, element)


def scan_elements(text: str, position: int) -> list[tuple[int, int]]:
    """Return (start, end) of every element of the array whose bracket is at `position`."""
    array, _ = _scan_array(text, position, scan_value)
    return [(element.start, element.end) for element in array.elements]


def _scan_array(text: str, position: int, element: Scanner) -> tuple[Array, int]:
    start = position
    position = _expect(text, position, "[")
    elements: list[Element] = []
    if text[position : position + 1] == "]":
        return Array(start, position + 1, elements), position + 1
    while True:
        value, end = element(text, position)
        elements.append(Element(position, end, value))
        position = skip_whitespace(text, end)
        if text[position : position + 1] == "]":
            return Array(start, position + 1, elements), position + 1
        position = _expect(text, position, ",")


def find_member(members: Iterable[Member], key: str) -> Member | None:
    """Return the member called `key`, the last one as JSON parsers do, or None."""
    found = None
    for member in members:
        if member.key == key:
            found = member
    return found


def splice(text: str, edits: Iterable[Edit], start: int = 0, end: int | None = None) -> str:
    """Return `text` from `start` to `end` with non-overlapping `edits` made; what is between them stays as it is."""
    pieces: list[str] = []
    position = start
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if edit.start < position:
            raise ValueError(f"edits overlap at character {edit.start}")
        pieces += (text[position : edit.start], edit.text)
        position = edit.end
    pieces.append(text[position:end])
    return "".join(pieces)


def remove_member(text: str, members: list[Member], member: Member) -> Edit:
    """Return the edit that takes `member` out of its object together with one comma.

    `members` are all members of that object in order. The comma before goes with it, or the one after when
    it is the first, so that what stays looks as if the member had never been written.
    """
    index = members.index(member)
    if index > 0:
        return Edit(members[index - 1].end, member.end, "")
    if len(members) > 1:
        return Edit(member.start, members[1].start, "")
    return Edit(member.start, skip_whitespace(text, member.end), "")


def remove_parts(parts: Sequence[Part], unwanted: Sequence[Part]) -> list[Edit]:
    """Return the edits that take members out of an object, or elements out of an array, of which one must stay.

    `parts` are all of them in order. What stays looks as if the others had never been written.
    """
    first = next(index for index, part in enumerate(parts) if part not in unwanted)
    edits = [Edit(parts[0].start, parts[first].start, "")] if first else []
    return edits + [Edit(before.end, part.end, "") for before, part in pairwise(parts[first:]) if part in unwanted]


def set_members(position: int, members: list[Member], literals: Mapping[str, str]) -> list[Edit]:
    """Return the edits that give each key of `literals` its JSON literal.

    `members` are all members of the object whose brace is at `position`. A key that is there keeps its
    place; new ones go to the front.
    """
    edits: list[Edit] = []
    added: list[str] = []
    for key, literal in literals.items():
        found = find_member(members, key)
        if found is None:
            added.append(f"{json.dumps(key)}:{literal}")
        else:
            edits.append(Edit(found.value_start, found.end, literal))
    if added:
        edits.append(Edit(position + 1, position + 1, ",".join(added) + ("," if members else "")))
    return edits


def _expect(text: str, position: int, character: str) -> int:
    if text[position : position + 1] != character:
        raise ValueError(f"expected {character!r} at character {position}")
    return skip_whitespace(text, position + 1)

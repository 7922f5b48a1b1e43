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
from collections.abc import Iterable
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]  # documented only in its own docstring
from typing import Any

JsonObject = dict[str, Any]

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


def scan_object(text: str, position: int = 0) -> list[Member]:
    """Return the members of the object that starts at `position`, in order, duplicates included.

    White space before the object is passed over.
    """
    position = _expect(text, skip_whitespace(text, position), "{")
    members: list[Member] = []
    if text[position : position + 1] == "}":
        return members
    while True:
        start = position
        if text[position : position + 1] != '"':
            raise ValueError(f"expected a key at character {position}")
        key, position = scanstring(text, position + 1, True)
        position = _expect(text, skip_whitespace(text, position), ":")
        value, end = scan_value(text, position)
        members.append(Member(key, start, position, end, value))
        position = skip_whitespace(text, end)
        if text[position : position + 1] == "}":
            return members
        position = _expect(text, position, ",")


def scan_elements(text: str, position: int) -> list[tuple[int, int]]:
    """Return (start, end) of every element of the array whose bracket is at `position`."""
    position = _expect(text, position, "[")
    spans: list[tuple[int, int]] = []
    if text[position : position + 1] == "]":
        return spans
    while True:
        _, end = scan_value(text, position)
        spans.append((position, end))
        position = skip_whitespace(text, end)
        if text[position : position + 1] == "]":
            return spans
        position = _expect(text, position, ",")


def find_member(members: Iterable[Member], key: str) -> Member | None:
    """Return the member called `key`, the last one as JSON parsers do, or None."""
    found = None
    for member in members:
        if member.key == key:
            found = member
    return found


def splice(text: str, edits: Iterable[Edit]) -> str:
    """Return `text` with non-overlapping `edits` made; everything between them stays as it is."""
    pieces: list[str] = []
    position = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if edit.start < position:
            raise ValueError(f"edits overlap at character {edit.start}")
        pieces += (text[position : edit.start], edit.text)
        position = edit.end
    pieces.append(text[position:])
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


def set_member(text: str, position: int, members: list[Member], key: str, literal: str) -> Edit:
    """Return the edit that gives `key` the JSON `literal` in the object whose brace is at `position`."""
    found = find_member(members, key)
    if found is not None:
        return Edit(found.value_start, found.end, literal)
    comma = "," if members else ""
    return Edit(position + 1, position + 1, f"{json.dumps(key)}:{literal}{comma}")


def _expect(text: str, position: int, character: str) -> int:
    if text[position : position + 1] != character:
        raise ValueError(f"expected {character!r} at character {position}")
    return skip_whitespace(text, position + 1)

"""JSON in and out of the embedded engine.

Law: what a caller sent as a document is never printed anew: `_source` is spliced in from its own bytes, filtered
or not, and laid out anew for `pretty` with every literal as it was. Duplicate keys are refused, as the real
engines do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from connectors.embedded.errors import ApiError
from connectors.json_bytes import JsonObject

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_LONGEST_INTEGER = 30
"""Digits that are still read as an integer; a longer one is out of every integer type's range, and slow."""


class DuplicateKey(ValueError):
    """An object has the same key twice."""


def parse(content: bytes | str) -> Any:
    """Return the value of JSON text.

    Raises:
        ValueError: it is not JSON (NaN and Infinity are not), not UTF-8, nested too deeply, or has a key twice.
    """
    try:
        text = content if isinstance(content, str) else content.decode("utf-8")
        return _decoder.decode(text)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


def parse_body(content: bytes) -> Any:
    """Return the value of a request's JSON body; `ApiError` 400 when it is none."""
    try:
        return parse(content)
    except ValueError as error:
        raise ApiError(400, "x_content_parse_exception", f"the body is not JSON: {error}") from None


def parse_object(content: bytes) -> JsonObject:
    """Return the JSON object of a request's body, {} for an empty body; `ApiError` 400 when it is none."""
    value = parse_body(content) if content.strip() else {}
    if not isinstance(value, dict):
        raise ApiError(400, "parsing_exception", f"Expected [START_OBJECT] but found {value!r:.40}")
    return value


def to_json(value: Any) -> str:
    """Return compact JSON text; a lone surrogate is written as an escape, so that it can be encoded."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if _is_encodable(text) else json.dumps(value, separators=(",", ":"))


def to_object(members: Iterable[tuple[str, str]]) -> str:
    """Return an object of keys and JSON literals, in order."""
    return "{" + ",".join(f"{json.dumps(key)}:{literal}" for key, literal in members) + "}"


def pretty(text: str) -> str:
    """Return JSON text laid out as `?pretty` does; strings and numbers keep their spelling."""
    out: list[str] = []
    depth = 0
    previous = ""
    for part in _TOKEN.findall(text):
        if part in "}]":
            depth -= 1
            out.append(" " if previous in ("{", "[") else "\n" + "  " * depth)
        elif previous in ("{", "[", ","):
            out.append("\n" + "  " * depth)
        out.append(" : " if part == ":" else part)
        depth += part in ("{", "[")
        previous = part
    return "".join(out) + "\n"


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unique(pairs: list[tuple[str, Any]]) -> JsonObject:
    document = dict(pairs)
    if len(document) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise DuplicateKey(f"Duplicate field '{twice}'")
    return document


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"Non-standard token '{name}'")


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_int=_integer, parse_constant=_refuse_constant, strict=True)

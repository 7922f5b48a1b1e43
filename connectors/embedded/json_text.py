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

from connectors import json_bytes
from connectors.embedded.errors import ApiError, parsing_error, token_name
from connectors.json_bytes import JsonObject

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
MAX_DEPTH = 200
"""Objects and arrays inside each other: what reads JSON here calls itself for each. Elasticsearch: 1000."""

_LONGEST_INTEGER = 30
"""Digits that are still read as an integer; a longer one is out of every integer type's range, and slow."""


class DuplicateKey(ValueError):
    """An object has the same key twice."""


def parse(content: bytes | str) -> Any:
    """Return the value of JSON text.

    Raises:
        ValueError: it is not JSON (NaN and Infinity are not), not UTF-8, nested too deeply, or has a key twice.
    """
    text = content if isinstance(content, str) else content.decode("utf-8")
    if json_bytes.depth(text, MAX_DEPTH) > MAX_DEPTH:
        raise ValueError(f"Document nesting depth exceeds the maximum allowed ({MAX_DEPTH})")
    return _decoder.decode(text)


def parse_body(content: bytes) -> Any:
    """Return the value of a request's JSON body; `ApiError` 400 when it is none."""
    try:
        return parse(content)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            raise parsing_error("Unexpected token found after the main object.") from None
        is_cut_off = error.pos >= len(error.doc.rstrip())
        kind = "x_content_e_o_f_exception" if is_cut_off else "x_content_parse_exception"
        raise ApiError(400, kind, f"the body is not JSON: {error}") from None
    except ValueError as error:
        raise ApiError(400, "x_content_parse_exception", f"the body is not JSON: {error}") from None


def parse_object(content: bytes) -> JsonObject:
    """Return the JSON object of a request's body, {} for an empty body; `ApiError` 400 when it is none."""
    if content and not content.strip():
        raise parsing_error("Expected [START_OBJECT] but found [null]")
    value = parse_body(content) if content else {}
    if not isinstance(value, dict):
        raise parsing_error(f"Expected [START_OBJECT] but found [{token_name(value)}]")
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

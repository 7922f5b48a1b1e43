"""Readers of single fields, for all dialects.

Pure. Law: null is as good as absent; what is known and cannot be read is refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sidecar.rerank_api.calls import Document, Fields, InvalidRerankCall, RerankLimits


def read_object(body: bytes) -> Fields:
    """Return the object that `body` holds.

    Raises:
        InvalidRerankCall: it holds none.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRerankCall(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidRerankCall(f"the body is {kind(document)}, expected an object")
    return document


def read_query(value: object, limits: RerankLimits, name: str = "query") -> str:
    """Return a query: a string with something in it."""
    if not isinstance(value, str) or not value.strip():
        got = "an empty string" if isinstance(value, str) else kind(value)
        raise InvalidRerankCall(f"{name}: got {got}, expected a string that is not empty", param=name)
    return _short_enough(value, name, limits)


def read_documents(
    value: object, limits: RerankLimits, name: str = "documents", rank_fields: Sequence[str] = ()
) -> tuple[Document, ...]:
    """Return documents: strings, or objects whose text is `text`, or the `rank_fields` joined by spaces."""
    if not isinstance(value, list):
        raise InvalidRerankCall(f"{name}: got {kind(value)}, expected an array of strings", param=name)
    if len(value) > limits.max_documents:
        limit = f"at most {limits.max_documents} (the limit is api.max_documents)"
        raise InvalidRerankCall(f"{name}: got {len(value)}, expected {limit}", param=name, is_too_large=True)
    return tuple(_document(item, f"{name}[{index}]", limits, rank_fields) for index, item in enumerate(value))


def read_names(value: object, name: str) -> tuple[str, ...]:
    """Return a list of names, empty for null."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidRerankCall(f"{name}: got {kind(value)}, expected an array of strings or null", param=name)
    return tuple(value)


def read_count(value: object, name: str, *, none: str = "all") -> int | None:
    """Return a number of things; null and 0 mean None, as vLLM's and Cohere's clients write it."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        got = value if isinstance(value, int | float) and not isinstance(value, bool) else kind(value)
        raise InvalidRerankCall(f"{name}: got {got}, expected a whole number (0 or null = {none})", param=name)
    return value or None


def read_flag(value: object, name: str) -> bool | None:
    """Return a flag; null is None."""
    if value is None or isinstance(value, bool):
        return value
    raise InvalidRerankCall(f"{name}: got {kind(value)}, expected true, false or null", param=name)


def read_word(value: object, name: str, words: Sequence[str]) -> str | None:
    """Return one of some words in lower case; null is None."""
    if value is None:
        return None
    if isinstance(value, str) and value.lower() in words:
        return value.lower()
    got = json.dumps(value[:80]) if isinstance(value, str) else kind(value)
    raise InvalidRerankCall(f"{name}: got {got}, expected {' or '.join(map(json.dumps, words))}", param=name)


def kind(value: object) -> str:
    """Return what a JSON value is, in JSON's words."""
    match value:
        case None:
            return "null or nothing"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def _document(item: Any, name: str, limits: RerankLimits, rank_fields: Sequence[str]) -> Document:
    """Read a document; an empty one is scored like any other."""
    match item:
        case str(text):
            return Document(_short_enough(text, name, limits))
        case dict() if rank_fields:
            return Document(_short_enough(_joined(item, name, rank_fields), name, limits), item)
        case {"text": str(text)}:
            return Document(_short_enough(text, name, limits), item)
        case {**fields}:
            got = f"text as {kind(fields['text'])}" if "text" in fields else "an object without text"
        case _:
            got = kind(item)
    raise InvalidRerankCall(f'{name}: got {got}, expected a string or {{"text": string}}', param=name)


def _joined(item: Fields, name: str, rank_fields: Sequence[str]) -> str:
    values = {field: item[field] for field in rank_fields if item.get(field) is not None}
    if not values:
        got = "none of them" if item else "an empty object"
        fields = " or ".join(rank_fields)
        raise InvalidRerankCall(f"{name}: got {got}, expected {fields} (the rank_fields)", param=name)
    for field, value in values.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            message = f"{name}.{field}: got {kind(value)}, expected a string or a number"
            raise InvalidRerankCall(message, param=f"{name}.{field}")
    return " ".join(map(str, values.values()))


def _short_enough(text: str, name: str, limits: RerankLimits) -> str:
    if len(text) > limits.max_characters:
        limit = f"at most {limits.max_characters} characters (the limit is api.max_characters)"
        message = f"{name}: got {len(text)} characters, expected {limit}"
        raise InvalidRerankCall(message, param=name, is_too_large=True)
    return text

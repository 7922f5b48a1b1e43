"""Scores, results and errors as text.

Pure. Laws: scores are decimals with a point, never with an exponent, at most nine significant digits (a float32 has no
more), never NaN, so that the strictest parser takes them; everything else is ASCII JSON with escapes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Protocol


def decimal(number: float) -> str:
    """Return a finite number with at most nine significant digits, a decimal point and no exponent."""
    digits = format(Decimal(f"{number:.9g}"), "f")
    return digits if "." in digits else f"{digits}.0"


def text(value: object) -> str:
    """Return a value as JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))


def members(**values: str | None) -> str:
    """Return an object of members that are JSON already; None is left out."""
    return "{" + ",".join(f'"{name}":{value}' for name, value in values.items() if value is not None) + "}"


def array(values: Iterable[str]) -> str:
    """Return an array of values that are JSON already."""
    return "[" + ",".join(values) + "]"


class ErrorWriter(Protocol):
    """Writes an error before there is a call to read the dialect from."""

    def __call__(self, message: str, *, type: str, param: str | None, code: str | None) -> bytes:
        """Return the body."""
        ...


def error_for_everybody(message: str, *, type: str, param: str | None, code: str | None) -> bytes:
    """Return an error that every client but TEI's reads.

    Cohere's and Elasticsearch's read `message`, OpenAI's, vLLM's and Infinity's `error.message`, Jina's and Voyage's
    `detail`.
    """
    error: dict[str, Any] = {"message": message, "type": type, "param": param, "code": code}
    return text({"message": message, "detail": message, "error": error}).encode()


def tei_error(message: str, error_type: str) -> bytes:
    """Return an error as TEI writes it."""
    return text({"error": message, "error_type": error_type}).encode()


def error_for_tei(message: str, *, type: str, param: str | None, code: str | None) -> bytes:
    """Return the same for those who speak TEI, who look for words at `error`."""
    del param, code
    return tei_error(message, type)

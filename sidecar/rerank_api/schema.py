"""The body of `POST /v1/rerank` and its answers, in the shape that Cohere's and Jina's clients share.

Pure: bytes in, values out, and back. Laws: fields that we do not know are ignored, since clients of many dialects call
with theirs; what we do know and cannot read is refused by name; scores are written as decimals with a point, never
with an exponent, at most nine significant digits, never NaN.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sidecar.errors import BadRerankRequest
from sidecar.scoring.base import ModelFacts, probability


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankLimits:
    """What one call may ask for."""

    max_documents: int = 1000
    #: of the query and of every document, each
    max_characters: int = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankCall:
    """A call as it is understood. `top_n` None = all; the model is whatever is loaded, so `model` is not kept."""

    query: str
    documents: tuple[str, ...]
    top_n: int | None
    raw_scores: bool
    return_documents: bool


class InvalidRerankCall(BadRerankRequest):
    """The body cannot be used. `param` is the field to blame, None for the body as a whole."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        """Keep the field's name beside the message."""
        super().__init__(message)
        self.param = param


def read_call(body: bytes, limits: RerankLimits) -> RerankCall:
    """Return the call that `body` holds.

    Raises:
        InvalidRerankCall: with the field, what it holds and what would be right.
    """
    fields = _object(body)
    return RerankCall(
        query=_query(fields.get("query"), limits),
        documents=_documents(fields.get("documents"), limits),
        top_n=_top_n(fields.get("top_n")),
        raw_scores=_flag(fields, "raw_scores"),
        return_documents=_flag(fields, "return_documents"),
    )


def write_results(id: str, call: RerankCall, scores: Sequence[float], facts: ModelFacts) -> bytes:
    """Return the answer: the best `top_n` documents by score, equal scores in the order of the documents.

    `scores` are raw and aligned with `call.documents`; `relevance_score` is a probability unless raw scores are
    asked for.
    """
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    results = (_result(index, scores[index], call, facts) for index in order[: call.top_n])
    return f'{{"id":{json.dumps(id)},"model":{json.dumps(facts.name)},"results":[{",".join(results)}]}}'.encode()


def write_error(message: str, *, type: str, param: str | None = None, code: str | None = None) -> bytes:
    """Return an error body that Cohere's clients (`message`) and OpenAI's (`error.message`) read."""
    error = {"message": message, "type": type, "param": param, "code": code}
    return json.dumps({"message": message, "error": error}).encode()


def decimal(number: float) -> str:
    """Return a finite number with at most nine significant digits, a decimal point and no exponent."""
    digits = format(Decimal(f"{number:.9g}"), "f")
    return digits if "." in digits else f"{digits}.0"


def _result(index: int, score: float, call: RerankCall, facts: ModelFacts) -> str:
    value = decimal(score if call.raw_scores else probability(score, facts.kind))
    document = f',"document":{{"text":{json.dumps(call.documents[index])}}}' if call.return_documents else ""
    return f'{{"index":{index},"relevance_score":{value}{document}}}'


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRerankCall(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidRerankCall(f"the body is {_kind(document)}, expected an object")
    return document


def _query(value: object, limits: RerankLimits) -> str:
    if not isinstance(value, str) or not value.strip():
        got = "an empty string" if isinstance(value, str) else _kind(value)
        raise InvalidRerankCall(f"query: got {got}, expected a string that is not empty", param="query")
    return _short_enough(value, "query", limits)


def _documents(value: object, limits: RerankLimits) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise InvalidRerankCall(f"documents: got {_kind(value)}, expected an array of strings", param="documents")
    if len(value) > limits.max_documents:
        limit = f"at most {limits.max_documents} (the limit is max_documents)"
        raise InvalidRerankCall(f"documents: got {len(value)}, expected {limit}", param="documents")
    return tuple(_text(item, f"documents[{index}]", limits) for index, item in enumerate(value))


def _text(item: object, name: str, limits: RerankLimits) -> str:
    """Read a document: a string, or an object with its text; an empty one is scored like any other."""
    match item:
        case str(text) | {"text": str(text)}:
            return _short_enough(text, name, limits)
        case {**fields}:
            got = f"text as {_kind(fields['text'])}" if "text" in fields else "an object without text"
        case _:
            got = _kind(item)
    raise InvalidRerankCall(f'{name}: got {got}, expected a string or {{"text": string}}', param=name)


def _short_enough(text: str, name: str, limits: RerankLimits) -> str:
    if len(text) > limits.max_characters:
        limit = f"at most {limits.max_characters} characters (the limit is max_characters)"
        raise InvalidRerankCall(f"{name}: got {len(text)} characters, expected {limit}", param=name)
    return text


def _top_n(value: object) -> int | None:
    """Read `top_n`; null and 0 mean all, as vLLM's and Cohere's clients write them."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        got = value if isinstance(value, int | float) and not isinstance(value, bool) else _kind(value)
        raise InvalidRerankCall(f"top_n: got {got}, expected a whole number (0 or null = all)", param="top_n")
    return value or None


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidRerankCall(f"{name}: got {_kind(value)}, expected true, false or null", param=name)
    return bool(value)


def _kind(value: object) -> str:
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

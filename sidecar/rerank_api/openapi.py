"""The rerank API as an OpenAPI document.

Pure. Law: what is said here is what the dialects read; a test holds every field against them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from sidecar.rerank_api import dialects

Schema = Mapping[str, Any]

QUERY: Final = "capital of France"
TEXTS: Final = ["Paris is the capital of France.", "Bananas are yellow."]

_STRING: Final[Schema] = {"type": "string"}
_FLAG: Final[Schema] = {"type": ["boolean", "null"]}
_COUNT: Final[Schema] = {"type": ["integer", "null"], "minimum": 0}
_SIDE: Final[Schema] = {"type": ["string", "null"], "enum": ["right", "Right", None]}
_STRINGS: Final[Schema] = {"type": "array", "items": _STRING}
_STRING_OR_STRINGS: Final[Schema] = {"anyOf": [_STRING, _STRINGS]}
_DOCUMENTS: Final[Schema] = {"type": "array", "items": {"anyOf": [_STRING, {"type": "object"}]}}
_ANY: Final[Schema] = {}
_WITHOUT_EFFECT: Final = "Accepted, without effect."


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a request. One without effect is not read at all."""

    schema: Schema
    says: str
    example: Any


def _field(schema: Schema, example: Any, says: str = _WITHOUT_EFFECT) -> Field:
    return Field(schema=schema, says=says, example=example)


_MODEL: Final = _field(_STRING, "cross-encoder/ms-marco-MiniLM-L6-v2", "A label; the answer names the model used.")
_QUERY: Final = _field(_STRING, QUERY, "Not empty.")
_TOP: Final = _field(_COUNT, 1, "Results at most; 0 or null: all.")
_RAW: Final = _field(_FLAG, True, "The model's own numbers in place of probabilities.")
_SORT: Final = _field(
    {"type": ["string", "null"], "enum": ["score", "input", None]}, "input", "`input`: in the order of the documents."
)
_TRUNCATE: Final = _field(_FLAG, True, "false: a text that is too long for the model is refused, not cut.")
_RETURN: Final = _field(_FLAG, True, "Results carry their documents.")

_COMMON: Final[Mapping[str, Field]] = {"model": _MODEL, "raw_scores": _RAW, "sort": _SORT}

_COHERE: Final[Mapping[str, Field]] = {
    "query": _QUERY,
    "documents": _field(
        _DOCUMENTS, [TEXTS[0], {"text": TEXTS[1]}], "Strings, or objects with `text` or `rank_fields`."
    ),
    **_COMMON,
    "top_n": _TOP,
    "return_documents": _RETURN,
    "rank_fields": _field(
        {"type": ["array", "null"], "items": _STRING}, ["text"], "Fields of the objects whose values are scored."
    ),
    "max_chunks_per_doc": _field(
        _COUNT, 4, "Passages of a long document that are scored; the best one counts. Default: one, its beginning."
    ),
    "use_activation": _field(_FLAG, False, "false: as `raw_scores` true."),
    "truncation_side": _field(_SIDE, "right", "Texts are cut at their end."),
    "max_tokens_per_doc": _field(_COUNT, 4096),
    "max_tokens_per_query": _field(_COUNT, 64),
    "truncate_prompt_tokens": _field(_ANY, -1),
    "priority": _field(_ANY, 0),
    "instruction": _field(_ANY, "rank"),
    "user": _field(_ANY, "somebody"),
}
_VOYAGE: Final[Mapping[str, Field]] = {
    "query": _QUERY,
    "documents": _field(_DOCUMENTS, TEXTS, "Strings, or objects with `text`."),
    **_COMMON,
    "top_k": _TOP,
    "top_n": _TOP,
    "return_documents": _RETURN,
    "use_activation": _COHERE["use_activation"],
    "truncation": _TRUNCATE,
}
_TEI: Final[Mapping[str, Field]] = {
    "query": _QUERY,
    "texts": _field(_DOCUMENTS, TEXTS, "Strings, or objects with `text`."),
    **_COMMON,
    "top_n": _TOP,
    "return_text": _field(_FLAG, True, "Results carry their texts."),
    "truncate": _TRUNCATE,
    "truncation_direction": _field(_SIDE, "Right", "Texts are cut at their end."),
}
_SIMILARITY_INPUTS: Final[Schema] = {
    "type": "object",
    "properties": {"source_sentence": _STRING, "sentences": _STRINGS},
    "required": ["source_sentence", "sentences"],
}
_RANKING_INPUTS: Final[Schema] = {
    "type": "object",
    "properties": {"query": _STRING, "texts": _STRINGS},
    "required": ["query", "texts"],
}
_SCORE: Final[Mapping[str, Field]] = {
    "text_1": _field(_STRING_OR_STRINGS, QUERY, "One query, or as many as texts. Also `queries`, `data_1`."),
    "text_2": _field(_STRING_OR_STRINGS, TEXTS, "The texts. Also `documents` or `items`, `data_2`."),
    "model": _MODEL,
    "raw_scores": _RAW,
    "use_activation": _COHERE["use_activation"],
    "truncation_side": _COHERE["truncation_side"],
    "truncate_prompt_tokens": _COHERE["truncate_prompt_tokens"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The body of a call in one dialect."""

    dialect: dialects.Dialect
    says: str
    fields: Mapping[str, Field]
    required: Sequence[str]

    @property
    def example(self) -> dict[str, Any]:
        """The smallest body."""
        return {name: self.fields[name].example for name in self.required}

    @property
    def schema(self) -> Schema:
        """The body's schema."""
        properties = {
            name: {**field.schema, "description": field.says, "examples": [field.example]}
            for name, field in self.fields.items()
        }
        return {
            "title": self.dialect.name,
            "description": self.says,
            "type": "object",
            "properties": properties,
            "required": list(self.required),
            "examples": [self.example],
        }


REQUESTS: Final = (
    Request(
        dialect=dialects.COHERE,
        says="Cohere, Jina, vLLM, Infinity and OpenAI-style servers.",
        fields=_COHERE,
        required=("query", "documents"),
    ),
    Request(
        dialect=dialects.VOYAGE,
        says="Voyage: told by `top_k` or `truncation`.",
        fields=_VOYAGE,
        required=("query", "documents", "top_k"),
    ),
    Request(
        dialect=dialects.TEI,
        says="Text Embeddings Inference: told by `texts`.",
        fields=_TEI,
        required=("query", "texts"),
    ),
    Request(
        dialect=dialects.TEXT_RANKING,
        says="Hugging Face's task text-ranking: TEI's fields in `inputs`.",
        fields={"inputs": _field(_RANKING_INPUTS, {"query": QUERY, "texts": TEXTS}, "The fields of TEI.")},
        required=("inputs",),
    ),
    Request(
        dialect=dialects.SIMILARITY,
        says="Hugging Face's task sentence-similarity.",
        fields={
            "inputs": _field(
                _SIMILARITY_INPUTS, {"source_sentence": QUERY, "sentences": TEXTS}, "The query and the texts."
            )
        },
        required=("inputs",),
    ),
    Request(
        dialect=dialects.SCORE,
        says="vLLM's scores: one number per text, in the order of the texts.",
        fields=_SCORE,
        required=("text_1", "text_2"),
    ),
)

_NUMBER: Final[Schema] = {"type": "number"}
_INDEX: Final[Schema] = {"type": "integer", "minimum": 0}


def _object(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required)}


_USAGE: Final = _object({"total_tokens": _INDEX}, {"prompt_tokens": _INDEX})
_RESULT: Final = _object({"index": _INDEX, "relevance_score": _NUMBER}, {"document": {"type": ["object", "string"]}})
ANSWERS: Final[Mapping[str, Schema]] = {
    "cohere": _object(
        {"id": _STRING, "model": _STRING, "results": {"type": "array", "items": _RESULT}, "usage": _USAGE},
        {"meta": {"type": "object"}, "object": _STRING, "created": _INDEX},
    ),
    "voyage": _object(
        {"object": _STRING, "data": {"type": "array", "items": _RESULT}, "model": _STRING, "usage": _USAGE}
    ),
    "tei": {"type": "array", "items": _object({"index": _INDEX, "score": _NUMBER}, {"text": _STRING})},
    "sentence-similarity": {"type": "array", "items": _NUMBER},
    "score": _object(
        {
            "id": _STRING,
            "object": _STRING,
            "created": _INDEX,
            "model": _STRING,
            "data": {"type": "array", "items": _object({"index": _INDEX, "object": _STRING, "score": _NUMBER})},
            "usage": _USAGE,
        }
    ),
}
ERROR: Final[Schema] = {
    "description": "`message` and `error` as an object; to callers in TEI's dialect `error` is a string.",
    "anyOf": [
        _object({"message": _STRING, "detail": _STRING, "error": _object({"message": _STRING, "type": _STRING})}),
        _object({"error": _STRING, "error_type": _STRING}),
    ],
}
STATUSES: Final[Mapping[int, str]] = {
    400: "The call cannot be used; `param` is the field to blame.",
    401: "The API key is missing or wrong.",
    413: "A limit is passed (TEI's dialect; 400 in the others).",
    415: "The body is compressed.",
    422: "The call cannot be used (TEI's dialect).",
    424: "The model failed (TEI's dialect).",
    429: "Too much is waiting; come again.",
    503: "There is no model, or it failed.",
    504: "The deadline of the API passed.",
}


@cache
def document_bytes() -> bytes:
    """Return the document as JSON."""
    return json.dumps(document()).encode()


def document() -> dict[str, Any]:
    """Return the document."""
    rerank = _operation("Rank documents by their relevance to a query", REQUESTS, ANSWERS)
    score = _operation("Score texts against a query", REQUESTS[-1:], ("score",))
    named = {**rerank, "parameters": [_DIALECT_PARAMETER]}
    return {
        "openapi": "3.1.0",
        "info": {"title": "rerank-sidecar: rerank API", "version": "1", "license": {"name": "Apache-2.0"}},
        "paths": {
            **{path: {"post": rerank} for path in ("/rerank", "/v1/rerank", "/v2/rerank")},
            **{path: {"post": score} for path in ("/score", "/v1/score")},
            **{f"/_rerank/{{dialect}}{path}": {"post": named} for path in ("/rerank", "/v1/rerank", "/v2/rerank")},
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                **{f"{request.dialect.name}-request": request.schema for request in REQUESTS},
                **{f"{name}-answer": schema for name, schema in ANSWERS.items()},
                "error": ERROR,
            },
            "responses": {
                str(status): {"description": says, "content": _json({"schema": _schema("error")})}
                for status, says in STATUSES.items()
            },
        },
    }


_DIALECT_PARAMETER: Final = {
    "name": "dialect",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "enum": list(dialects.BY_PATH)},
}


def _operation(summary: str, requests: Sequence[Request], answers: Iterable[str]) -> dict[str, Any]:
    bodies = [_schema(f"{request.dialect.name}-request") for request in requests]
    examples = {request.dialect.name: {"value": request.example} for request in requests}
    ranked = {"schema": {"anyOf": [_schema(f"{name}-answer") for name in answers]}}
    return {
        "summary": summary,
        "security": [{"key": []}, {}],
        "requestBody": {"required": True, "content": _json({"schema": {"anyOf": bodies}, "examples": examples})},
        "responses": {
            "200": {"description": "The results.", "content": _json(ranked)},
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in STATUSES},
        },
    }


def _schema(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(media_type: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": dict(media_type)}

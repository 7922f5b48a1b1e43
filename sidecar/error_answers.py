"""Errors that we originate, in the engine's dialect, so that the official clients can read them."""

from __future__ import annotations

import json
from typing import Final

from connectors.base import SearchResponse
from connectors.errors import EngineError, EngineTimeout, RequestTooLarge
from sidecar.errors import BadRerankRequest, RerankUnavailable, SidecarError

STRICT_FAILURE_STATUS: Final = 500
"""Answer to a failed second stage under `on_failure = "error"`: neither official client sends such a request again."""


def error_text(status: int, kind: str, reason: str) -> str:
    """Return the JSON of an error as Elasticsearch and OpenSearch write theirs."""
    cause = {"type": kind, "reason": reason.encode("utf-8", "replace").decode()}  # a caller's key may be no text
    return json.dumps({"error": {"root_cause": [cause], **cause}, "status": status}, ensure_ascii=False)


def error_answer(status: int, kind: str, reason: str) -> SearchResponse:
    """Return that error as an answer."""
    body = error_text(status, kind, reason).encode()
    headers = (("Content-Type", "application/json"), ("Content-Length", str(len(body))))
    return SearchResponse(status=status, headers=headers, body=body)


def describe(error: SidecarError | EngineError) -> tuple[int, str, str]:
    """Return status, type and reason of an error of ours."""
    match error:
        case BadRerankRequest():
            return 400, "illegal_argument_exception", str(error)
        case RerankUnavailable():
            return STRICT_FAILURE_STATUS, "rerank_unavailable", f"{error.reason}: {error}"
        case RequestTooLarge():
            return 413, "content_too_long_exception", str(error)
        case EngineTimeout():
            return 504, "engine_timeout", str(error)
        case EngineError():
            return 502, "engine_unavailable", str(error)
        case _:
            return 500, "internal_error", str(error)

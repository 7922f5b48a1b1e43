"""What can go wrong between us and an engine.

Law: an HTTP answer of the engine, 4xx and 5xx included, is a value and no error. Only the absence of an
answer is an error, until somebody asks for one with `SearchResponse.raise_for_status()`.

    EngineError
    ├── EngineUnavailable   no connection, TLS failure, or the connection broke before the answer was complete
    ├── EngineTimeout       no answer in time
    ├── AnswerTooLarge      the answer is longer than what may be buffered
    ├── RequestTooLarge     the request is longer than what may be signed
    ├── EngineStatusError   raise_for_status() on a 4xx or 5xx
    └── UnknownEngine       somebody answers there, but it is neither Elasticsearch nor OpenSearch
"""

from __future__ import annotations


class EngineError(Exception):
    """The engine gave no usable answer."""


class EngineUnavailable(EngineError):
    """The engine cannot be reached, or the connection broke before its answer was complete."""


class EngineTimeout(EngineError):
    """The engine did not answer in time."""


class AnswerTooLarge(EngineError):
    """The engine's answer is longer than what may be held in memory; it was not read to its end."""


class RequestTooLarge(EngineError):
    """The request is longer than what may be held in memory to be signed; it was not sent."""


class EngineStatusError(EngineError):
    """The engine answered with an HTTP error status and `raise_for_status()` was asked.

    `status` is the HTTP status, `body` the engine's answer as it came.
    """

    def __init__(self, message: str, *, status: int, body: bytes) -> None:
        """Keep status and body beside the message."""
        super().__init__(message)
        self.status = status
        self.body = body


class UnknownEngine(EngineError):
    """Somebody answers at the address, but it is neither Elasticsearch nor OpenSearch."""

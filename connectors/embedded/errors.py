"""How the embedded engine says no: in Elasticsearch's own error shape.

Law: whatever the engine does not know is refused with a status and a reason, never guessed at. An `ApiError`
is an answer: only `rest.py` catches it, and turns it into status and body.

*Source:* the bodies were compared with those of Elasticsearch 9.5.3.
"""

from __future__ import annotations

from collections.abc import Sequence

from connectors.json_bytes import JsonObject

ENGINE = "the embedded engine"


class ApiError(Exception):
    """A refusal. `status` is the HTTP status; `cause` is what the body says under `error.root_cause`."""

    def __init__(self, status: int, kind: str, reason: str, **details: object) -> None:
        """Keep Elasticsearch's name of the error (`kind`), its reason, and further members of the cause."""
        super().__init__(reason)
        self.status = status
        self.cause: JsonObject = {"type": kind, "reason": reason, **details}

    def error(self) -> JsonObject:
        """Return the member `error` of the answer."""
        return {"root_cause": [self.cause], **self.cause}

    def item(self) -> JsonObject:
        """Return the error as one item of a `_bulk` answer tells it."""
        return self.cause

    def body(self) -> JsonObject:
        """Return the whole answer."""
        return {"error": self.error(), "status": self.status}


class ShardError(ApiError):
    """A refusal that Elasticsearch finds only where the data is: it says that all shards failed, and why."""

    def __init__(self, kind: str, reason: str, *, index: str) -> None:
        """Keep the index whose one shard refused."""
        super().__init__(400, kind, reason)
        self.index = index

    def failure(self) -> JsonObject:
        """Return the failed shard, as `_shards.failures` and `failed_shards` tell of it."""
        return {"shard": 0, "index": self.index, "node": NODE_ID, "reason": self.cause}

    def error(self) -> JsonObject:
        """Return the member `error`, with the failed shard."""
        return _all_shards_failed([self])


class AllShardsFailed(ApiError):
    """Every index that a search asked refuses."""

    def __init__(self, failures: Sequence[ShardError]) -> None:
        """Keep the refusals, of which there is at least one."""
        super().__init__(400, str(failures[0].cause["type"]), str(failures[0]))
        self._failures = failures

    def error(self) -> JsonObject:
        """Return the member `error`, with all failed shards."""
        return _all_shards_failed(self._failures)


def _all_shards_failed(failures: Sequence[ShardError]) -> JsonObject:
    return {
        "root_cause": [failure.cause for failure in failures],
        "type": "search_phase_execution_exception",
        "reason": "all shards failed",
        "phase": "query",
        "grouped": True,
        "failed_shards": [failure.failure() for failure in failures],
    }


class PlainError(ApiError):
    """A refusal whose `error` is a bare sentence, as Elasticsearch writes those of HTTP itself."""

    def __init__(self, status: int, reason: str, *, says_status: bool = True) -> None:
        """Keep the sentence, and whether the body repeats the status."""
        super().__init__(status, "", reason)
        self._says_status = says_status

    def body(self) -> JsonObject:
        """Return the whole answer."""
        return {"error": self.cause["reason"], **({"status": self.status} if self._says_status else {})}


NODE_ID = "embedded-engine-node-0"


def illegal_argument(reason: str) -> ApiError:
    """Return the error for a value that cannot be used."""
    return ApiError(400, "illegal_argument_exception", reason)


def parsing_error(reason: str) -> ApiError:
    """Return the error for a body that is JSON but not what was expected."""
    return ApiError(400, "parsing_exception", reason)


def number_format_error(value: object) -> ApiError:
    """Return the error for a value that should be a number."""
    return ApiError(400, "number_format_exception", f'For input string: "{value}"')


def unexpected(key: str, value: object) -> ApiError:
    """Return the error for a key that is not known, or not with such a value."""
    return parsing_error(f"Unknown key for a {token_name(value)} in [{key}].")


def token_name(value: object) -> str:
    """Return what Elasticsearch's errors call a JSON value."""
    match value:
        case None:
            return "VALUE_NULL"
        case bool():
            return "VALUE_BOOLEAN"
        case int() | float():
            return "VALUE_NUMBER"
        case str():
            return "VALUE_STRING"
        case list():
            return "START_ARRAY"
        case _:
            return "START_OBJECT"


def unsupported(what: str) -> ApiError:
    """Return the error for something that Elasticsearch has and the embedded engine has not."""
    return ApiError(400, "parsing_exception", f"{what} is not supported by {ENGINE}")


def query_shard_error(reason: str, *, index: str, uuid: str) -> ShardError:
    """Return the error for a query that an index cannot answer."""
    error = ShardError("query_shard_exception", reason, index=index)
    error.cause |= {"index_uuid": uuid, "index": index}
    return error


def index_not_found(name: str) -> ApiError:
    """Return the error for an index that does not exist."""
    return ApiError(
        404,
        "index_not_found_exception",
        f"no such index [{name}]",
        **{"resource.type": "index_or_alias", "resource.id": name, "index_uuid": "_na_", "index": name},
    )


def document_error(reason: str, *, cause: str | None = None) -> ApiError:
    """Return the error for a document that cannot be indexed."""
    if cause is None:
        return ApiError(400, "document_parsing_exception", reason)
    caused_by = {"type": "illegal_argument_exception", "reason": cause}
    return ApiError(400, "document_parsing_exception", reason, caused_by=caused_by)


def mapping_error(reason: str) -> ApiError:
    """Return the error for a mapping that cannot be made."""
    return ApiError(400, "mapper_parsing_exception", reason)

"""A corpus into an engine: one index, its text fields under one analyzer, everything else kept and not searched.

Law: an index that is there already is left alone and the command refused; what an engine refuses is said in its words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from connectors.base import Connector, RelayRequest
from connectors.json_bytes import JsonObject
from sidecar.errors import SidecarError

BATCH_BYTES: Final = 4 * 1024 * 1024
"""A bulk request is about as long."""

_JSON: Final = (("Content-Type", "application/json"),)
_NDJSON: Final = (("Content-Type", "application/x-ndjson"),)


class IndexingFailed(SidecarError):
    """The engine did not take the index or a document."""


async def index_corpus(
    engine: Connector,
    index: str,
    documents: Iterable[tuple[str, JsonObject]],
    *,
    fields: Sequence[str],
    analyzer: str,
    advance: Callable[[int], None] = lambda _: None,
) -> int:
    """Make `index` with `documents` in it and return how many they are; `advance` hears of each batch.

    Raises:
        IndexingFailed: the engine refuses the index or a document.
        EngineError: it gives no answer.
    """
    await _ask(engine, "PUT", f"/{index}", json.dumps(_index_body(fields, analyzer)).encode(), _JSON)
    count = 0
    for lines in _batches(documents):
        answer = await _ask(engine, "POST", f"/{index}/_bulk", b"".join(lines), _NDJSON)
        if answer.get("errors"):
            errors = [each.get("error") for item in answer["items"] for each in item.values() if "error" in each]
            raise IndexingFailed(f"{engine.name} refused a document: {json.dumps(errors[0])[:500]}")
        count += len(lines)
        advance(len(lines))
    await _ask(engine, "POST", f"/{index}/_refresh", b"", ())
    return count


def _index_body(fields: Sequence[str], analyzer: str) -> JsonObject:
    """Return mapping and settings; one shard, so that term statistics are the whole corpus's."""
    text = {"type": "text", "analyzer": analyzer}
    return {
        "settings": {"number_of_shards": 1, "number_of_replicas": 0},
        "mappings": {"dynamic": False, "properties": dict.fromkeys(fields, text)},
    }


def _batches(documents: Iterable[tuple[str, JsonObject]]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for id, document in documents:
        lines = f"{json.dumps({'index': {'_id': id}})}\n{json.dumps(document)}\n".encode()
        batch.append(lines)
        size += len(lines)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def _ask(
    engine: Connector, method: str, target: str, body: bytes, headers: tuple[tuple[str, str], ...]
) -> dict[str, Any]:
    length = (("Content-Length", str(len(body))),) if body else ()
    request = RelayRequest(method=method, target=target, headers=(*headers, *length), body=body or None)
    async with engine.relay(request) as answer:
        content = b"".join([chunk async for chunk in answer.chunks])
    if answer.status >= 400:
        words = content[:500].decode("utf-8", "replace")
        raise IndexingFailed(f"{engine.name} answered {answer.status} to {method} {target}: {words}")
    found: dict[str, Any] = json.loads(content)
    return found

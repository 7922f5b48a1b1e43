"""The embedded engine as a Connector."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, Self

from connectors import json_bytes
from connectors.base import RelayRequest, RelayResponse, SearchRequest, SearchResponse
from connectors.embedded.errors import ApiError
from connectors.embedded.rest import RestEngine
from connectors.relay import stream_buffered

_TEXT: Final = {
    "type": "text",
    "fields": {"keyword": {"type": "keyword", "ignore_above": 256}, "english": {"type": "text", "analyzer": "english"}},
}


class EmbeddedConnector:
    """A search engine in this process, over tantivy: an honest subset of Elasticsearch's API, with Lucene's scores.

    Documents live in memory. What it does not know it refuses with status 400 in Elasticsearch's error shape. One event
    loop may use it.
    """

    def __init__(self) -> None:
        """Start without indices; a write or `PUT /{index}` makes one."""
        self._engine = RestEngine()

    @classmethod
    def from_file(cls, path: str | Path, *, index: str = "documents") -> Self:
        """Return an engine with one index, filled from a file with one JSON object a line. Blocking.

        A member `_id` names the document and is not stored with it. Strings are text under the standard analyzer; the
        sub-field `.english` has the English one, `.keyword` the whole string.

        Raises:
            OSError: the file cannot be read.
            ValueError: a line is no document; the message names it.
        """
        connector = cls()
        lines = list(_documents(Path(path)))
        names = dict.fromkeys(
            key for _, _, document in lines for key, value in document.items() if isinstance(value, str)
        )
        mappings = {"properties": dict.fromkeys(names, _TEXT)}
        filled = connector._engine.catalog.create(index, {"mappings": mappings})
        for number, (document_id, source, _) in enumerate(lines, start=1):
            try:
                filled.put(document_id or str(number), source)
            except ApiError as error:
                raise ValueError(f"{path}, document {number}: {error}") from error
        return connector

    @property
    def name(self) -> str:
        """ "embedded engine"."""
        return "embedded engine"

    async def search(self, request: SearchRequest) -> SearchResponse:
        """Answer one `_search` request."""
        return await self._engine.answer(request)

    async def msearch(self, request: SearchRequest) -> SearchResponse:
        """Answer one `_msearch` request."""
        return await self._engine.answer(request)

    def relay(self, request: RelayRequest) -> AbstractAsyncContextManager[RelayResponse]:
        """Answer any request; bodies are held in memory."""
        return stream_buffered(self._engine.answer, request)

    async def ping(self) -> None:
        """Return: what is in this process is there."""

    async def aclose(self) -> None:
        """Do nothing: the documents go with this object."""

    async def __aenter__(self) -> Self:
        """Return self."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.aclose()


def _documents(path: Path) -> Iterator[tuple[str | None, bytes, dict[str, Any]]]:
    """Yield id, source without `_id`, and the parsed document of every line that is not empty."""
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            text = json_bytes.decode(line)
            document = json.loads(text)
            if not isinstance(document, dict):
                raise ValueError("not a JSON object")
            members = json_bytes.scan_object(text)
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        id_member = json_bytes.find_member(members, "_id")
        if id_member is not None:
            text = json_bytes.splice(text, [json_bytes.remove_member(text, members, id_member)])
        document_id = document.pop("_id", None)
        yield None if document_id is None else str(document_id), text.strip().encode(), document

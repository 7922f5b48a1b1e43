"""The embedded engine as a Connector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from connectors import json_bytes
from connectors.base import RelayRequest, RelayResponse, SearchRequest, SearchResponse
from connectors.embedded import json_text
from connectors.embedded.errors import ApiError
from connectors.embedded.field_types import to_text
from connectors.embedded.rest import RestEngine
from connectors.json_bytes import JsonObject
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

        A member `_id` names the document and is not stored with it; without one, the line's number does. Strings are
        text under the standard analyzer; the sub-field `.english` has the English one, `.keyword` the whole string.

        Raises:
            OSError: the file cannot be read.
            ValueError: a line is no document, or has the id of another; the message names it.
        """
        connector = cls()
        lines = list(_lines(Path(path)))
        names = dict.fromkeys(key for line in lines for key, value in line.document.items() if _is_text(value))
        mappings = {"properties": dict.fromkeys(names, _TEXT)}
        filled = connector._engine.catalog.create(index, {"mappings": mappings})
        for line in lines:
            try:
                filled.put(line.id, line.source, must_be_new=True)
            except ApiError as error:
                raise ValueError(f"{path}, line {line.number}: {error}") from error
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One document of a file: `source` is its text without `_id`, `document` the same parsed."""

    number: int
    id: str
    source: bytes
    document: JsonObject


def _lines(path: Path) -> Iterator[_Line]:
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            yield _line(number, json_bytes.decode(line))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error


def _line(number: int, text: str) -> _Line:
    document = json_text.parse(text)
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    members = json_bytes.scan_object(text)
    member = json_bytes.find_member(members, "_id")
    if member is not None:
        text = json_bytes.splice(text, [json_bytes.remove_member(text, members, member)])
    given = document.pop("_id", None)
    return _Line(
        number=number,
        id=str(number) if given is None else to_text(given),
        source=text.strip().encode(),
        document=document,
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and bool(value) and isinstance(value[0], str))

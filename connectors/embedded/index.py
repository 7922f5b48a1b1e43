"""One index: its documents, its mapping, and the view that searches read.

Law: a write is visible to every search that begins after it (stricter than Elasticsearch, whose writes wait for a
refresh). Searches read a `Reader`, which never changes. Statistics are those of the living documents, as in an
Elasticsearch shard that was merged: an update or a delete makes the inverted indexes anew, an addition extends
them.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from connectors.embedded import json_text, mapping
from connectors.embedded.analysis import ANALYZERS, Analyzer
from connectors.embedded.errors import ApiError, document_error, illegal_argument
from connectors.embedded.field_types import Value
from connectors.embedded.mapping import Field, Node, Values
from connectors.embedded.text_index import TextIndex, TextReader
from connectors.json_bytes import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A stored document. `source` is its JSON text as it was given, `version` counts from 1, `sequence` from 0."""

    id: str
    source: str
    values: Values
    #: values that were too long for their field, by its path
    ignored: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    version: int
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a write did: "created", "updated", "deleted", "noop" or "not_found", and the version it left."""

    result: str
    version: int
    sequence: int


class Reader:
    """A frozen view of an index. A document's number is its place in `documents`, the order of writing."""

    def __init__(
        self, *, index: str, uuid: str, root: Node, documents: Sequence[Document], text: Mapping[str, TextReader]
    ) -> None:
        """Keep the documents in order and one reader per text field that any of them fills."""
        self.index = index
        self.uuid = uuid
        self.root = root
        self.documents = documents
        self._text = text
        self._postings: dict[str, dict[Value, list[int]]] = {}

    @cached_property
    def fields(self) -> dict[str, Field]:
        """The fields of the mapping by path."""
        return {found.path: found for found in mapping.fields_of(self.root)}

    def text(self, path: str) -> TextReader | None:
        """Return the inverted index of a text field, or None when no document fills it."""
        return self._text.get(path)

    def postings(self, path: str) -> Mapping[Value, Sequence[int]]:
        """Return the numbers of the documents that hold each value of a field, in order."""
        if path not in self._postings:
            postings: dict[Value, list[int]] = defaultdict(list)
            for number, document in enumerate(self.documents):
                for value in dict.fromkeys(document.values.get(path, ())):
                    postings[value].append(number)
            self._postings[path] = dict(postings)
        return self._postings[path]

    def entries(self, path: str) -> int:
        """Return how many different values the documents have in a field, counted per document."""
        return sum(map(len, self.postings(path).values()))

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Document numbers by id."""
        return {document.id: number for number, document in enumerate(self.documents)}

    def filled(self, path: str) -> list[int]:
        """Return the numbers of the documents that have a value in a field."""
        return [number for number, document in enumerate(self.documents) if document.values.get(path)]


@dataclass(slots=True)
class _View:
    """The inverted indexes as they were last made: of the first `size` documents of the epoch's order."""

    epoch: int
    size: int = 0
    text: dict[str, TextIndex] = field(default_factory=dict)


class Index:
    """An index by name. Methods that write are called on the event loop, one at a time."""

    def __init__(
        self,
        name: str,
        *,
        root: Node | None = None,
        settings: JsonObject | None = None,
        analyzers: Mapping[str, Analyzer] = ANALYZERS,
    ) -> None:
        """Start without documents."""
        self.name = name
        self.root = root or Node()
        self.settings = settings or {}
        self.analyzers = analyzers
        self.uuid = secrets.token_urlsafe(16)
        self.created_ms = time.time_ns() // 1_000_000
        self._documents: dict[str, Document] = {}
        self._sequence = 0
        self._epoch = 0
        self._writes = 0
        self._view = _View(epoch=0)
        self._reader: tuple[int, Reader] | None = None
        self._building = asyncio.Lock()
        self._inverting = threading.Lock()

    def __len__(self) -> int:
        """Return how many documents there are."""
        return len(self._documents)

    def get(self, document_id: str) -> Document | None:
        """Return a document by id."""
        return self._documents.get(document_id)

    def documents(self) -> Iterable[Document]:
        """Return all documents in the order of writing."""
        return self._documents.values()

    def extend_mapping(self, added: Node) -> None:
        """Add fields to the mapping; documents that are here already are not read again."""
        self.root = mapping.merge(self.root, added)
        self._writes += 1

    def put(self, document_id: str, source: bytes, *, must_be_new: bool = False) -> Written:
        """Store a document under an id, over the one that is there.

        Raises:
            ApiError: 400 when it is no document, 409 when it must be new and is not.
        """
        old = self._documents.get(document_id)
        if must_be_new and old is not None:
            raise self._conflict(document_id, old)
        text, parsed = _read_source(source)
        read = mapping.read_document(self.root, parsed, document_id=document_id, analyzers=self.analyzers)
        self.root = read.root
        version = old.version + 1 if old else 1
        document = Document(
            id=document_id,
            source=text,
            values=read.values,
            ignored=read.ignored,
            version=version,
            sequence=self._next_sequence(),
        )
        self._store(document, replaces=old is not None)
        return Written(result="updated" if old else "created", version=version, sequence=document.sequence)

    def delete(self, document_id: str) -> Written:
        """Remove a document; "not_found" when there is none."""
        old = self._documents.pop(document_id, None)
        if old is None:
            return Written(result="not_found", version=1, sequence=self._next_sequence())
        self._epoch += 1
        self._writes += 1
        return Written(result="deleted", version=old.version + 1, sequence=self._next_sequence())

    async def reader(self) -> Reader:
        """Return a view of everything that was written so far."""
        async with self._building:
            if self._reader is None or self._reader[0] != self._writes:
                writes, epoch, root = self._writes, self._epoch, self.root
                documents = tuple(self._documents.values())
                text = await asyncio.to_thread(self._invert, epoch, root, documents)
                reader = Reader(index=self.name, uuid=self.uuid, root=root, documents=documents, text=text)
                self._reader = (writes, reader)
            return self._reader[1]

    def _invert(self, epoch: int, root: Node, documents: Sequence[Document]) -> dict[str, TextReader]:
        with self._inverting:  # a caller who gave up leaves this thread running
            view, self._view = self._view, _View(epoch=-1)  # so that a failure half-way leaves nothing behind
            if view.epoch != epoch:
                view = _View(epoch=epoch)
            added = list(enumerate(documents))[view.size :]
            for found in mapping.fields_of(root):
                if found.kind == "text" and found.is_indexed:
                    _extend(view.text, found, added)
            view.size = max(view.size, len(documents))
            self._view = view
            return {path: index.reader() for path, index in view.text.items()}

    def _store(self, document: Document, *, replaces: bool) -> None:
        if replaces:
            del self._documents[document.id]  # an updated document moves to the end, as in Lucene
            self._epoch += 1
        self._documents[document.id] = document
        self._writes += 1

    def _next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence - 1

    def _conflict(self, document_id: str, old: Document) -> ApiError:
        reason = f"[{document_id}]: version conflict, document already exists (current version [{old.version}])"
        details = {"index_uuid": self.uuid, "shard": "0", "index": self.name}
        return ApiError(409, "version_conflict_engine_exception", reason, **details)


def _extend(text: dict[str, TextIndex], found: Field, added: Iterable[tuple[int, Document]]) -> None:
    filling = [(number, document.values[found.path]) for number, document in added if found.path in document.values]
    if filling:
        text.setdefault(found.path, TextIndex(found.analyzer)).add(filling)


def _read_source(source: bytes) -> tuple[str, JsonObject]:
    if not source.strip():
        raise document_error("failed to parse, document is empty")
    try:
        text = source.decode("utf-8")
        parsed = json_text.parse(text)
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            raise illegal_argument("Malformed content, found extra data after parsing") from None
        raise document_error(f"failed to parse: {error}", cause=str(error)) from None
    if not isinstance(parsed, dict):
        raise document_error("Malformed content, must start with an object")
    return text, parsed

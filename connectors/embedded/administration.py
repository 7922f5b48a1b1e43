"""The actions on indices and on the engine: info, create, delete, mappings, refresh, `_field_caps`, `_cat`, health.

*Source:* Elasticsearch 9.5's index and cluster APIs.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from connectors.embedded import mapping
from connectors.embedded.calls import PLAIN_TEXT, Call, Reply
from connectors.embedded.catalog import Catalog
from connectors.embedded.errors import ENGINE, ApiError, illegal_argument
from connectors.embedded.index import Index
from connectors.embedded.json_text import parse_object, to_json
from connectors.embedded.parameters import refuse_without_body
from connectors.embedded.patterns import matches
from connectors.json_bytes import JsonObject

DIALECT: Final = "9.5.3"
"""The version of Elasticsearch whose answers these are modelled on, and that `GET /` states for clients that look."""

_CAT_INDICES: Final = (
    "health",
    "status",
    "index",
    "uuid",
    "pri",
    "rep",
    "docs.count",
    "docs.deleted",
    "store.size",
    "pri.store.size",
    "dataset.size",
)
_NUMBERS: Final = frozenset(
    {"pri", "rep", "docs.count", "docs.deleted", "store.size", "pri.store.size", "dataset.size"}
)
_METADATA: Final = {"_id": False, "_index": True, "_source": False}
"""Metadata fields of `_field_caps`, and whether each can be aggregated."""


class Administration:
    """The actions on indices and on the engine."""

    def __init__(self, catalog: Catalog) -> None:
        """Work on the indices of `catalog`."""
        self._catalog = catalog
        self._uuid = secrets.token_urlsafe(16)

    async def info(self, _: Call) -> Reply:
        """`GET /`."""
        version = {
            "number": DIALECT,
            "build_flavor": "embedded",
            "minimum_wire_compatibility_version": "8.19.0",
            "minimum_index_compatibility_version": "8.0.0",
        }
        body = {
            "name": ENGINE,
            "cluster_name": ENGINE,
            "cluster_uuid": self._uuid,
            "version": version,
            "tagline": "the embedded engine of rerank-sidecar: a subset of Elasticsearch's API over tantivy",
        }
        return Reply(text=to_json(body))

    async def create(self, call: Call) -> Reply:
        """`PUT /{index}`."""
        name = call.names["new_index"]
        self._catalog.create(name, parse_object(call.content))
        return Reply(text=to_json({"acknowledged": True, "shards_acknowledged": True, "index": name}))

    async def delete(self, call: Call) -> Reply:
        """`DELETE /{index}`."""
        self._catalog.delete(call.index)
        return _acknowledged()

    async def get(self, call: Call) -> Reply:
        """`GET|HEAD /{index}`."""
        return self._by_index(
            call, lambda index: {"aliases": {}, "mappings": index.root.to_json_root(), "settings": _settings(index)}
        )

    async def mappings(self, call: Call) -> Reply:
        """`GET [/{index}]/_mapping`."""
        return self._by_index(call, lambda index: {"mappings": index.root.to_json_root()})

    async def settings(self, call: Call) -> Reply:
        """`GET [/{index}]/_settings`."""
        return self._by_index(call, lambda index: {"settings": _settings(index)})

    async def put_mapping(self, call: Call) -> Reply:
        """`PUT|POST /{index}/_mapping`."""
        refuse_without_body(not call.content.strip())
        body = parse_object(call.content)
        for index in self._catalog.resolve(call.index):
            index.extend_mapping(mapping.read_mapping(body, index.analyzers))
        return _acknowledged()

    async def refresh(self, call: Call) -> Reply:
        """`POST [/{index}]/_refresh`, `_flush`, `_forcemerge`: nothing to do, as writes can be searched at once."""
        count = len(self._catalog.resolve(call.index, call.parameters))
        return Reply(text=to_json({"_shards": {"total": count, "successful": count, "failed": 0}}))

    async def field_caps(self, call: Call) -> Reply:
        """`GET|POST [/{index}]/_field_caps`."""
        body = parse_object(call.content)
        asked = call.parameters.names("fields") or body.get("fields") or []
        patterns = [asked] if isinstance(asked, str) else list(asked)
        if not patterns:
            raise ApiError(400, "action_request_validation_exception", "Validation Failed: 1: no fields specified;")
        indices = self._catalog.resolve(call.index, call.parameters)
        capabilities: dict[str, dict[str, dict[str, object]]] = {}
        homes: dict[str, dict[str, list[str]]] = {}
        for index in indices:
            for path, kind, is_searchable, is_aggregatable in _capabilities(index, patterns):
                capabilities.setdefault(path, {})[kind] = {
                    "type": kind,
                    "metadata_field": path in _METADATA,
                    "searchable": is_searchable,
                    "aggregatable": is_aggregatable,
                    "inference": False,
                }
                homes.setdefault(path, {}).setdefault(kind, []).append(index.name)
        for path, by_kind in homes.items():
            if len(by_kind) > 1:
                for kind, names in by_kind.items():
                    capabilities[path][kind]["indices"] = names
        return Reply(text=to_json({"indices": [index.name for index in indices], "fields": capabilities}))

    async def health(self, _: Call) -> Reply:
        """`GET /_cluster/health`."""
        count = len(list(self._catalog))
        body = {
            "cluster_name": ENGINE,
            "status": "green",
            "timed_out": False,
            "number_of_nodes": 1,
            "number_of_data_nodes": 1,
            "active_primary_shards": count,
            "active_shards": count,
            "relocating_shards": 0,
            "initializing_shards": 0,
            "unassigned_shards": 0,
            "delayed_unassigned_shards": 0,
            "number_of_pending_tasks": 0,
            "number_of_in_flight_fetch": 0,
            "task_max_waiting_in_queue_millis": 0,
            "active_shards_percent_as_number": 100.0,
        }
        return Reply(text=to_json(body))

    async def cat_indices(self, call: Call) -> Reply:
        """`GET /_cat/indices[/{index}]`."""
        rows = [_cat_row(index) for index in self._catalog.resolve(call.index, call.parameters)]
        return _cat(call, _CAT_INDICES, rows)

    async def cat_count(self, call: Call) -> Reply:
        """`GET /_cat/count[/{index}]`."""
        count = sum(len(index) for index in self._catalog.resolve(call.index, call.parameters))
        return _cat(call, ("count",), [{"count": str(count)}])

    def _by_index(self, call: Call, show: Callable[[Index], JsonObject]) -> Reply:
        found = {index.name: show(index) for index in self._catalog.resolve(call.index, call.parameters)}
        return Reply(text=to_json(found))


def _acknowledged() -> Reply:
    return Reply(text=to_json({"acknowledged": True}))


def _settings(index: Index) -> JsonObject:
    nested: JsonObject = {"number_of_shards": "1", "number_of_replicas": "0"}
    for key, value in index.settings.items():
        *parents, name = key.split(".")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = value
    about = {
        "creation_date": str(index.created_ms),
        "uuid": index.uuid,
        "provided_name": index.name,
    }
    return {"index": {**nested, **about}}


def _capabilities(index: Index, patterns: Sequence[str]) -> Iterable[tuple[str, str, bool, bool]]:
    """Yield path, type, searchable and aggregatable of the fields asked for, and of the objects that they are in."""

    def is_asked(path: str) -> bool:
        return any(matches(pattern, path) for pattern in patterns)

    for path, is_aggregatable in _METADATA.items():
        if is_asked(path):
            yield path, path, path != "_source", is_aggregatable
    fields = [field for field in mapping.fields_of(index.root) if is_asked(field.path)]
    for path in mapping.objects_of(index.root):
        if any(field.path.startswith(f"{path}.") for field in fields):
            yield path, "object", False, False
    for field in fields:
        yield field.path, field.kind, field.is_indexed, field.kind != "text"


def _cat_row(index: Index) -> dict[str, str]:
    size = str(sum(len(document.source) for document in index.documents()))
    return {
        "health": "green",
        "status": "open",
        "index": index.name,
        "uuid": index.uuid,
        "pri": "1",
        "rep": "0",
        "docs.count": str(len(index)),
        "docs.deleted": "0",
        "store.size": f"{size}b",
        "pri.store.size": f"{size}b",
        "dataset.size": f"{size}b",
    }


def _cat(call: Call, known: Sequence[str], rows: Sequence[Mapping[str, str]]) -> Reply:
    columns = call.parameters.names("h") or list(known)
    with_names = call.parameters.flag("v")
    unknown = [column for column in columns if column not in known]
    if unknown:
        raise illegal_argument(f"the embedded engine has no column {unknown}; it has {list(known)}")
    if call.wants_json:
        return Reply(text=json.dumps([{column: row[column] for column in columns} for row in rows]))
    table = [list(columns)] if with_names else []
    table += [[row[column] for column in columns] for row in rows]
    widths = [max(len(line[place]) for line in table) for place in range(len(columns))] if table else []
    lines = [
        " ".join(
            cell.rjust(width) if column in _NUMBERS else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        )
        for line in table
    ]
    return Reply(text="".join(f"{line.rstrip()}\n" for line in lines), media_type=PLAIN_TEXT)

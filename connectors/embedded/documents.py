"""Documents by id: index, create, get, delete, `_mget`, `_bulk`.

Law: what was sent as a document is what is stored. An item of a bulk that fails changes nothing and stops no other.

*Source:* Elasticsearch 9.5's document APIs.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from connectors.embedded.calls import Call, Reply
from connectors.embedded.catalog import Catalog
from connectors.embedded.errors import ApiError, illegal_argument, parsing_error, token_name, unsupported
from connectors.embedded.field_types import to_text
from connectors.embedded.index import Document, Written
from connectors.embedded.json_filter import SourceSelection
from connectors.embedded.json_text import parse_body, parse_object, to_json, to_object
from connectors.embedded.parameters import refuse_without_body
from connectors.embedded.search import source_json
from connectors.embedded.search_body import read_source, read_source_parameters
from connectors.json_bytes import JsonObject

_SHARDS = {"total": 1, "successful": 1, "failed": 0}
_ACTIONS = ("index", "create", "delete")
_LONGEST_ID_BYTES = 512
_ITEMS_AT_A_TIME = 200
"""Items of a bulk after which other calls have their turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """One action of a bulk."""

    action: str
    index: str
    id: str
    source: bytes


class Documents:
    """The actions on documents."""

    def __init__(self, catalog: Catalog) -> None:
        """Work on the indices of `catalog`."""
        self._catalog = catalog

    async def put(self, call: Call) -> Reply:
        """`PUT|POST /{index}/_doc/{id}` and `POST /{index}/_doc`."""
        operation = call.parameters.text("op_type") or "index"
        if operation not in ("create", "index"):
            raise illegal_argument(f"opType must be 'create' or 'index', found: [{operation}]")
        return self._put(call, call.names.get("id"), must_be_new=operation == "create")

    async def create(self, call: Call) -> Reply:
        """`PUT|POST /{index}/_create/{id}`."""
        return self._put(call, call.names["id"], must_be_new=True)

    async def get(self, call: Call) -> Reply:
        """`GET /{index}/_doc/{id}`."""
        index = self._catalog.get(call.index)
        selection = read_source_parameters(call.parameters, SourceSelection())
        return _found(index.name, call.names["id"], index.get(call.names["id"]), selection)

    async def source(self, call: Call) -> Reply:
        """`GET /{index}/_source/{id}`."""
        index, document_id = self._catalog.get(call.index), call.names["id"]
        selection = read_source_parameters(call.parameters, SourceSelection())
        document = index.get(document_id)
        if document is None:
            raise ApiError(404, "resource_not_found_exception", f"Document not found [{index.name}]/[{document_id}]")
        return Reply(text=source_json(document, selection or SourceSelection()))

    async def delete(self, call: Call) -> Reply:
        """`DELETE /{index}/_doc/{id}`."""
        written = self._catalog.get(call.index).delete(call.names["id"])
        status = 404 if written.result == "not_found" else 200
        body = _written(call.index, call.names["id"], written, is_forced=_forces_refresh(call))
        return Reply(status=status, text=to_json(body))

    async def mget(self, call: Call) -> Reply:
        """`GET|POST [/{index}]/_mget`."""
        refuse_without_body(not call.content.strip(), "request body or source parameter")
        body = parse_object(call.content)
        default = read_source_parameters(call.parameters, SourceSelection())
        for key, value in body.items():
            if key not in ("ids", "docs") or not isinstance(value, list):
                raise parsing_error(f"unknown key [{key}] for a {token_name(value)}, expected [docs] or [ids]")
        wanted = [{"_id": one} for one in body.get("ids", ())] + body.get("docs", [])
        if not wanted:
            raise ApiError(400, "action_request_validation_exception", "Validation Failed: 1: no documents to get;")
        return Reply(
            text=to_object([("docs", f"[{','.join(self._one_of_many(call, one, default) for one in wanted)}]")])
        )

    async def bulk(self, call: Call) -> Reply:
        """`POST|PUT [/{index}]/_bulk`."""
        started = time.monotonic()
        refuse_without_body(not call.content)
        if not call.content.endswith(b"\n"):
            raise illegal_argument("The bulk request must be terminated by a newline [\\n]")
        items: list[JsonObject] = []
        is_forced = _forces_refresh(call)
        wanted = list(_read_bulk(call.content, call.index))  # what is ill-formed is refused before anything changes
        if not wanted:
            raise ApiError(400, "action_request_validation_exception", "Validation Failed: 1: no requests added;")
        for item in wanted:
            items.append({item.action: self._run(item, is_forced=is_forced)})
            if len(items) % _ITEMS_AT_A_TIME == 0:
                await asyncio.sleep(0)
        has_errors = any("error" in result for item in items for result in item.values())
        took = round(1000 * (time.monotonic() - started))
        return Reply(text=to_json({"errors": has_errors, "took": took, "items": items}))

    def _put(self, call: Call, document_id: str | None, *, must_be_new: bool) -> Reply:
        refuse_without_body(not call.content.strip())
        document_id = document_id or _new_id()
        _check_length(document_id)
        index = self._catalog.for_writing(call.index)
        written = index.put(document_id, call.content, must_be_new=must_be_new)
        body = _written(index.name, document_id, written, is_forced=_forces_refresh(call))
        return Reply(status=201 if written.result == "created" else 200, text=to_json(body))

    def _run(self, item: _Item, *, is_forced: bool) -> JsonObject:
        try:
            if item.action == "delete":
                written = self._catalog.get(item.index).delete(item.id)
                status = 404 if written.result == "not_found" else 200
            else:
                if not item.id:
                    raise illegal_argument("if _id is specified it must not be empty")
                index = self._catalog.for_writing(item.index)
                written = index.put(item.id, item.source, must_be_new=item.action == "create")
                status = 201 if written.result == "created" else 200
        except ApiError as error:
            return {"_index": item.index, "_id": item.id, "status": error.status, "error": error.item()}
        return {**_written(item.index, item.id, written, is_forced=is_forced), "status": status}

    def _one_of_many(self, call: Call, wanted: Any, default: SourceSelection | None) -> str:
        if not isinstance(wanted, dict):
            raise illegal_argument("docs array element should include an object")
        unknown = set(wanted) - {"_index", "_id", "_source", "routing"}
        if unknown:
            reason = f"failed to parse multi get request. unknown field [{min(unknown)}]"
            raise ApiError(400, "parse_exception", reason)
        name = wanted.get("_index", call.index)
        document_id = str(wanted.get("_id", ""))
        if not name or not document_id:
            missing = "index is missing for doc 0" if not name else "id is missing for doc 0"
            raise ApiError(400, "action_request_validation_exception", f"Validation Failed: 1: {missing};")
        try:
            index = self._catalog.get(name)
        except ApiError as error:
            return to_json({"_index": name, "_id": document_id, "error": error.error()})
        selection = read_source(wanted["_source"]) if "_source" in wanted else default
        return _found(name, document_id, index.get(document_id), selection).text


def _found(index: str, document_id: str, document: Document | None, selection: SourceSelection | None) -> Reply:
    if document is None:
        return Reply(status=404, text=to_json({"_index": index, "_id": document_id, "found": False}))
    members = [
        ("_index", to_json(index)),
        ("_id", to_json(document_id)),
        ("_version", str(document.version)),
        ("_seq_no", str(document.sequence)),
        ("_primary_term", "1"),
        *([("_ignored", to_json(list(document.ignored)))] if document.ignored else []),
        ("found", "true"),
    ]
    if selection is not None:
        members.append(("_source", source_json(document, selection)))
    return Reply(text=to_object(members))


def _forces_refresh(call: Call) -> bool:
    return call.parameters.text("refresh") in ("", "true")


def _written(index: str, document_id: str, written: Written, *, is_forced: bool) -> JsonObject:
    return {
        "_index": index,
        "_id": document_id,
        "_version": written.version,
        "result": written.result,
        **({"forced_refresh": True} if is_forced else {}),
        "_shards": _SHARDS,
        "_seq_no": written.sequence,
        "_primary_term": 1,
    }


def _read_bulk(content: bytes, default_index: str) -> Iterator[_Item]:
    lines = content.split(b"\n")
    place = 0
    while place < len(lines) - 1:
        line = lines[place]
        place += 1
        if not line.strip():
            continue
        action, details = _read_action(line, place)
        source = b""
        if action != "delete":
            if place >= len(lines) - 1:
                raise illegal_argument(f"The bulk request has no document for the action in line [{place}]")
            source = lines[place]
            place += 1
        yield _item(action, details, source, default_index)


def _read_action(line: bytes, number: int) -> tuple[str, JsonObject]:
    parsed = parse_body(line)
    if not isinstance(parsed, dict):
        raise _malformed(number, "START_OBJECT", token_name(parsed))
    if not parsed:
        raise _malformed(number, "FIELD_NAME", "END_OBJECT")
    (action, details), *others = parsed.items()
    if action == "update":
        raise unsupported("[update] in a bulk")
    if action not in _ACTIONS:
        raise _malformed(number, "field [create], [delete], [index] or [update]", action)
    if not isinstance(details, dict):
        raise _malformed(number, "START_OBJECT or END_OBJECT", token_name(details))
    if others:
        raise _malformed(number, "END_OBJECT", "FIELD_NAME")
    unknown = set(details) - {"_index", "_id", "routing", "require_alias", "dynamic_templates", "_type"}
    if unknown:
        raise illegal_argument(f"Action/metadata line [{number}] contains an unknown parameter [{min(unknown)}]")
    return action, details


def _malformed(number: int, expected: str, found: str) -> ApiError:
    return illegal_argument(f"Malformed action/metadata line [{number}], expected {expected} but found [{found}]")


def _item(action: str, details: JsonObject, source: bytes, default_index: str) -> _Item:
    index = str(details.get("_index") or default_index)
    given = details.get("_id")
    document_id = None if given is None else to_text(given)
    if not index:
        raise ApiError(400, "action_request_validation_exception", "Validation Failed: 1: index is missing;")
    if document_id is None and action == "delete":
        raise ApiError(400, "action_request_validation_exception", "Validation Failed: 1: id is missing;")
    if document_id is None:
        document_id = _new_id()
    _check_length(document_id)
    return _Item(action=action, index=index, id=document_id, source=source)


def _check_length(document_id: str) -> None:
    size = len(document_id.encode("utf-8", "surrogatepass"))
    if size > _LONGEST_ID_BYTES:
        reason = f"id [{document_id}] is too long, must be no longer than {_LONGEST_ID_BYTES} bytes but was: {size}"
        raise ApiError(400, "action_request_validation_exception", f"Validation Failed: 1: {reason};")


def _new_id() -> str:
    return secrets.token_urlsafe(15)

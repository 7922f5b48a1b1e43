"""The mapping of an index: which fields there are, and how a document is read into them.

Law: a mapping only grows. Reading a document either gives values for every field it fills, together with the
fields that it adds, or raises and changes nothing.

*Source:* Elasticsearch 9.5, explicit and dynamic mapping (strings as text with a keyword sub-field, or as dates).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from connectors.embedded import field_types
from connectors.embedded.analysis import ANALYZERS, STANDARD, Analyzer
from connectors.embedded.errors import (
    ENGINE,
    ApiError,
    document_error,
    illegal_argument,
    mapping_error,
    token_name,
    unsupported,
)
from connectors.embedded.field_types import Value, to_text
from connectors.json_bytes import JsonObject

Dynamic = Literal["true", "false", "strict"]
Values = dict[str, tuple[Value, ...]]
"""The values of one document by field path, sub-fields included."""

_IGNORE_ABOVE = 256
"""Longest string, in characters, that dynamic mapping keeps in a `.keyword` sub-field."""

MAX_DEPTH = 20
MAX_FIELDS = 1000
"""Elasticsearch's defaults of `index.mapping.depth.limit` and `index.mapping.total_fields.limit`."""

_METADATA = frozenset(["_field_names", "_id", "_ignored", "_index", "_routing", "_seq_no", "_source", "_version"])
"""Names that a document cannot use for its own fields."""

_SAME_FOR_ALL = frozenset({"type", "fields", "copy_to", "index", "meta", "store", "doc_values"})
_BY_TYPE: Mapping[str, frozenset[str]] = {
    "text": frozenset({"analyzer", "search_analyzer", "norms"}),
    "keyword": frozenset({"ignore_above"}),
    "date": frozenset({"format", "ignore_malformed"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field that holds values. `path` is its full name, `title.english` for a sub-field."""

    path: str
    kind: str
    analyzer: Analyzer = STANDARD
    ignore_above: int | None = None
    is_indexed: bool = True
    copy_to: tuple[str, ...] = ()
    #: this field's part of the mapping as the caller wrote it, without sub-fields
    definition: JsonObject = dataclasses.field(default_factory=dict)

    def value(self, raw: Any) -> Value | None:
        """Return a JSON scalar as this field's value, None where the field ignores it; `ValueError` if it cannot."""
        value = field_types.parser(self.kind)(raw)
        too_long = self.ignore_above is not None and isinstance(value, str) and len(value) > self.ignore_above
        return None if too_long else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One name in the mapping: an object with properties, or a field with its sub-fields, or both as the root."""

    field: Field | None = None
    properties: Mapping[str, Node] = dataclasses.field(default_factory=dict)
    sub_fields: Mapping[str, Field] = dataclasses.field(default_factory=dict)
    dynamic: Dynamic | None = None
    is_enabled: bool = True

    def to_json(self) -> JsonObject:
        """Return this node as `GET _mapping` shows it."""
        if self.field is not None:
            shown = dict(self.field.definition)
            if self.sub_fields:
                shown["fields"] = {name: dict(sub.definition) for name, sub in sorted(self.sub_fields.items())}
            return shown
        shown = {} if self.dynamic is None else {"dynamic": self.dynamic}
        if not self.is_enabled:
            return {**shown, "type": "object", "enabled": False}
        if self.properties:
            shown["properties"] = {name: node.to_json() for name, node in sorted(self.properties.items())}
        return shown or {"type": "object"}

    def to_json_root(self) -> JsonObject:
        """Return the whole mapping, of which this node is the root, as `GET _mapping` shows it."""
        shown = self.to_json()
        return {} if shown == {"type": "object"} else shown


def read_mapping(body: Any, analyzers: Mapping[str, Analyzer] = ANALYZERS) -> Node:
    """Return the root of the mapping that a request's `mappings` describes; `ApiError` 400 if it cannot."""
    if not isinstance(body, dict):
        raise mapping_error(f"Expected map for [mappings] but got {token_name(body)}")
    unknown = set(body) - {"properties", "dynamic", "_meta", "date_detection", "numeric_detection"}
    if unknown:
        listed = ", ".join(f"[{name} : {body[name]}]" for name in sorted(unknown))
        raise mapping_error(f"Root mapping definition has unsupported parameters:  {listed} (by {ENGINE})")
    for name, standard in (("date_detection", True), ("numeric_detection", False)):
        if body.get(name, standard) is not standard:
            raise unsupported(f"[{name}: {body[name]}]")
    return _read_object("", {key: body[key] for key in ("properties", "dynamic") if key in body}, analyzers)


def merge(old: Node, new: Node, path: str = "") -> Node:
    """Return `old` with what `new` adds; `ApiError` 400 where they contradict each other."""
    if (old.field is None) != (new.field is None):
        raise illegal_argument(f"can't merge a non object mapping [{path}] with an object mapping")
    if old.field is not None and new.field is not None:
        return _merge_fields(old, new, old.field, new.field)
    properties = dict(old.properties)
    for name, node in new.properties.items():
        child = f"{path}.{name}" if path else name
        properties[name] = merge(properties[name], node, child) if name in properties else node
    return replace(old, properties=properties, dynamic=new.dynamic or old.dynamic)


def fields_of(node: Node) -> Iterator[Field]:
    """Yield every field under `node`, sub-fields after their parent."""
    if node.field is not None:
        yield node.field
    yield from node.sub_fields.values()
    for child in node.properties.values():
        yield from fields_of(child)


def objects_of(node: Node, path: str = "") -> Iterator[str]:
    """Yield the path of every object under `node`."""
    for name, child in node.properties.items():
        child_path = f"{path}.{name}" if path else name
        if child.field is None:
            yield child_path
            yield from objects_of(child, child_path)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDocument:
    """A document's values, those that were too long for their field, and the mapping with the fields that it adds."""

    root: Node
    values: Values
    ignored: Mapping[str, Sequence[Any]]


def read_document(
    root: Node, document: JsonObject, *, document_id: str, analyzers: Mapping[str, Analyzer] = ANALYZERS
) -> ReadDocument:
    """Read a document into the fields of a mapping. `analyzers`: those for the fields that it adds.

    Raises:
        ApiError: 400, when a value does not fit its field, a strict mapping knows no such field, or there are too many.
    """
    reading = _Reading(document_id=document_id, analyzers=analyzers)
    before = root
    root = reading.object(root, document, "", root.dynamic or "true")
    for path, raw in tuple(reading.copies):  # a copy is not copied on
        root = reading.copy(root, path, raw)
    if root is not before and sum(1 for _ in fields_of(root)) + sum(1 for _ in objects_of(root)) > MAX_FIELDS:
        raise document_error(f"failed to parse: Limit of total fields [{MAX_FIELDS}] has been exceeded")
    values = {path: tuple(values) for path, values in reading.values.items()}
    return ReadDocument(root=root, values=values, ignored=dict(sorted(reading.ignored.items())))


@dataclass(slots=True, kw_only=True)
class _Reading:
    """One document on its way into the fields."""

    document_id: str
    analyzers: Mapping[str, Analyzer]
    values: dict[str, list[Value]] = dataclasses.field(default_factory=dict)
    copies: list[tuple[str, Any]] = dataclasses.field(default_factory=list)
    ignored: dict[str, list[Any]] = dataclasses.field(default_factory=dict)

    def object(self, node: Node, document: JsonObject, path: str, dynamic: Dynamic) -> Node:
        if not node.is_enabled:
            return node
        dynamic = node.dynamic or dynamic
        for name, value in document.items():
            node = self.member(node, name, value, path, dynamic)
        return node

    def member(self, node: Node, name: str, value: Any, path: str, dynamic: Dynamic) -> Node:
        name = name.rstrip(".") if "." in name else name
        first, _, rest = name.partition(".")
        if not first.strip():
            raise document_error(f"field name cannot be an empty string or contain only whitespace: [{name}]")
        if not path and first in _METADATA:
            raise document_error(
                f"Field [{first}] is a metadata field and cannot be added inside a document. Use the index API request "
                "parameters."
            )
        if rest:
            return self.member(node, first, {rest: value}, path, dynamic)
        child = node.properties.get(name)
        child_path = f"{path}.{name}" if path else name
        if child is None:
            child = self.new_node(value, child_path, dynamic)
        if child is None:
            return node
        read = self.value(child, value, child_path, dynamic)
        if node.properties.get(name) is read:
            return node
        return replace(node, properties={**node.properties, name: read})

    def new_node(self, value: Any, path: str, dynamic: Dynamic) -> Node | None:
        """Return the node that dynamic mapping makes for a value, None for none."""
        first = _first_scalar_or_object(value)
        if first is None or dynamic == "false":
            return None
        if isinstance(first, dict) and path.count(".") + 1 >= MAX_DEPTH:
            raise document_error(
                f"failed to parse: Limit of mapping depth [{MAX_DEPTH}] has been exceeded due to object field [{path}]"
            )
        if dynamic == "strict":
            reason = f"mapping set to strict, dynamic introduction of [{path}] within [_doc] is not allowed"
            raise ApiError(400, "strict_dynamic_mapping_exception", reason)
        return Node() if isinstance(first, dict) else dynamic_node(path, first, self.analyzers)

    def value(self, node: Node, value: Any, path: str, dynamic: Dynamic) -> Node:
        match value:
            case None:
                return node
            case list():
                for element in value:
                    node = self.value(node, element, path, dynamic)
                return node
            case dict() if node.field is None:
                return self.object(node, value, path, dynamic)
        if node.field is None:
            if not node.is_enabled:
                return node
            reason = f"object mapping for [{path}] tried to parse field [{path}] as object, but found a concrete value"
            raise document_error(reason)
        for target in (node.field, *node.sub_fields.values()):
            self.scalar(target, value)
        self.copies += ((target, value) for target in node.field.copy_to)
        return node

    def scalar(self, target: Field, raw: Any) -> None:
        try:
            if isinstance(raw, dict | list):
                raise ValueError("Expected text but found START_OBJECT")
            value = target.value(raw)
        except ValueError as error:
            raise document_error(
                f"failed to parse field [{target.path}] of type [{target.kind}] in document with id "
                f"'{self.document_id}'. Preview of field's value: '{_preview(raw)}'",
                cause=str(error),
            ) from None
        if value is None:
            self.ignored.setdefault(target.path, []).append(raw)
        else:
            self.values.setdefault(target.path, []).append(value)

    def copy(self, root: Node, path: str, raw: Any) -> Node:
        *parents, name = path.split(".")
        nested: Any = {name: raw}
        for parent in reversed(parents):
            nested = {parent: nested}
        return self.object(root, nested, "", root.dynamic or "true")


def dynamic_node(path: str, value: Any, analyzers: Mapping[str, Analyzer]) -> Node:
    """Return the field that dynamic mapping makes for a scalar."""
    match value:
        case bool():
            kind = "boolean"
        case int():
            kind = "long"
        case float():
            kind = "float"
        case str() if field_types.is_date(value):
            kind = "date"
        case _:
            keyword = {"type": "keyword", "ignore_above": _IGNORE_ABOVE}
            return _read_field(path, {"type": "text", "fields": {"keyword": keyword}}, analyzers)
    return _read_field(path, {"type": kind}, analyzers)


def _read_object(path: str, body: JsonObject, analyzers: Mapping[str, Analyzer]) -> Node:
    unknown = set(body) - {"type", "properties", "dynamic", "enabled"}
    if unknown:
        raise mapping_error(f"Mapping definition for [{path}] has unsupported parameters: {sorted(unknown)}")
    properties = _expect_object(path, "properties", body.get("properties", {}))
    return Node(
        properties=_read_properties(path, properties, analyzers),
        dynamic=_read_dynamic(body["dynamic"]) if "dynamic" in body else None,
        is_enabled=_read_boolean(path, "enabled", body.get("enabled", True)),
    )


def _read_properties(path: str, body: JsonObject, analyzers: Mapping[str, Analyzer]) -> dict[str, Node]:
    """Return the nodes by name; a name with dots is an object in an object."""
    nodes: dict[str, Node] = {}
    for name, definition in body.items():
        first, _, rest = name.partition(".")
        if not first.strip():
            raise mapping_error("field name cannot be an empty string")
        child = f"{path}.{first}" if path else first
        if rest:
            node = Node(properties=_read_properties(child, {rest: definition}, analyzers))
        else:
            node = _read_property(child, _expect_object(child, "mapping", definition), analyzers)
        nodes[first] = merge(nodes[first], node, child) if first in nodes else node
    return nodes


def _read_property(path: str, body: JsonObject, analyzers: Mapping[str, Analyzer]) -> Node:
    if body.get("type", "object" if "properties" in body or "enabled" in body else None) == "object":
        return _read_object(path, body, analyzers)
    return _read_field(path, body, analyzers)


def _read_field(path: str, body: JsonObject, analyzers: Mapping[str, Analyzer]) -> Node:
    sub_fields = _expect_object(path, "fields", body.get("fields", {}))
    return Node(
        field=_read_leaf(path, body, analyzers),
        sub_fields={name: _read_sub_field(path, name, sub, analyzers) for name, sub in sub_fields.items()},
    )


def _read_sub_field(path: str, name: str, body: Any, analyzers: Mapping[str, Analyzer]) -> Field:
    body = _expect_object(f"{path}.{name}", "mapping", body)
    if "fields" in body or "copy_to" in body:
        raise mapping_error(f"[fields] and [copy_to] cannot be inside the multi-field [{path}.{name}]")
    return _read_leaf(f"{path}.{name}", body, analyzers)


def _read_leaf(path: str, body: JsonObject, analyzers: Mapping[str, Analyzer]) -> Field:
    kind = body.get("type")
    if kind is None:
        raise mapping_error(f"No type specified for field [{path.rpartition('.')[2]}]")
    if not isinstance(kind, str) or kind not in field_types.TYPES:
        raise mapping_error(f"The field type [{kind}] of [{path}] is not supported by the embedded engine")
    allowed = _SAME_FOR_ALL | _BY_TYPE.get(kind, frozenset())
    unknown = {key: value for key, value in body.items() if key not in allowed}
    if unknown:
        raise mapping_error(f"unsupported parameter on mapper [{path}] of type [{kind}]: {unknown}")
    _refuse_what_is_not_done(path, body)
    copy_to = _read_names(path, body.get("copy_to", []))
    definition = {key: value for key, value in body.items() if key != "fields"}
    return Field(
        path=path,
        kind=kind,
        analyzer=_read_analyzer(path, body.get("analyzer", "default"), analyzers),
        ignore_above=_read_length(path, body.get("ignore_above")),
        is_indexed=_read_boolean(path, "index", body.get("index", True)),
        copy_to=copy_to,
        definition=definition | ({"copy_to": list(copy_to)} if copy_to else {}),
    )


def _refuse_what_is_not_done(path: str, body: JsonObject) -> None:
    if body.get("search_analyzer", body.get("analyzer")) != body.get("analyzer"):
        raise mapping_error(f"a [search_analyzer] of its own on [{path}] is not supported by the embedded engine")
    for key, standard in (("norms", True), ("ignore_malformed", False), ("doc_values", True)):
        if body.get(key, standard) is not standard:
            raise mapping_error(f"[{key}: {body[key]}] on [{path}] is not supported by the embedded engine")
    known = (
        "strict_date_optional_time",
        "date_optional_time",
        "strict_date_optional_time||epoch_millis",
    )
    if body.get("format", known[0]) not in known:
        raise mapping_error(f"the date format [{body['format']}] is not supported by the embedded engine")


def _read_analyzer(path: str, name: Any, analyzers: Mapping[str, Analyzer]) -> Analyzer:
    if name == "default":
        return analyzers.get("default", STANDARD)
    if not isinstance(name, str) or name not in analyzers:
        raise mapping_error(
            f"Failed to parse mapping: analyzer [{name}] has not been configured in mappings "
            f"(field [{path}]; the embedded engine has {sorted(set(analyzers) - {'default'})})"
        )
    return analyzers[name]


def _merge_fields(old: Node, new: Node, before: Field, after: Field) -> Node:
    _check_same(before, after)
    for name, field in new.sub_fields.items():
        if name in old.sub_fields:
            _check_same(old.sub_fields[name], field)
    return replace(old, field=after, sub_fields={**old.sub_fields, **new.sub_fields})


def _check_same(before: Field, after: Field) -> None:
    """Raise `ApiError` 400 where documents that are here already would have to be read again."""
    if before.kind != after.kind:
        raise illegal_argument(f"mapper [{before.path}] cannot be changed from type [{before.kind}] to [{after.kind}]")
    for name, old, new in (
        ("analyzer", before.analyzer.name, after.analyzer.name),
        ("index", before.is_indexed, after.is_indexed),
    ):
        if old != new:
            raise illegal_argument(
                f"Mapper for [{before.path}] conflicts with existing mapper:\n\tCannot update parameter [{name}] "
                f"from [{to_text(old)}] to [{to_text(new)}]"
            )


def _read_dynamic(value: Any) -> Dynamic:
    match value:
        case True | "true":
            return "true"
        case False | "false":
            return "false"
        case "strict":
            return "strict"
        case _:
            raise mapping_error(f"[dynamic: {value}] is not supported by the embedded engine")


def _read_length(path: str, value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise mapping_error(f"[ignore_above] on [{path}] must be a number of at least 0, not [{value}]")
    return value


def _read_names(path: str, value: Any) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip(".") for name in names):
        raise mapping_error(f"[copy_to] on [{path}] must be the name of a field, or an array of them, not [{value}]")
    return tuple(names)


def _read_boolean(path: str, name: str, value: Any) -> bool:
    if value in (True, "true"):
        return True
    if value in (False, "false"):
        return False
    raise mapping_error(f"[{name}] of [{path}] must be true or false, not [{value}]")


def _expect_object(path: str, what: str, value: Any) -> JsonObject:
    if not isinstance(value, dict):
        raise mapping_error(f"Expected map for [{what}] on field [{path}] but got {value!r:.40}")
    return value


def _first_scalar_or_object(value: Any) -> Any:
    """Return what decides the type of a new field: the first value that is not null, inside arrays."""
    if isinstance(value, list):
        return next((first for first in map(_first_scalar_or_object, value) if first is not None), None)
    return value


def _preview(raw: Any) -> str:
    return (str(raw).lower() if isinstance(raw, bool) else str(raw))[:100]

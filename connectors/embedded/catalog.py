"""The indices by name, and what an index expression stands for.

*Source:* Elasticsearch's rules for index names and multi-target syntax (`a,b*,-bc`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connectors.embedded import mapping
from connectors.embedded.analysis import ANALYZERS, Analyzer
from connectors.embedded.errors import ApiError, index_not_found, unsupported
from connectors.embedded.index import Index
from connectors.embedded.parameters import Parameters
from connectors.embedded.patterns import matches
from connectors.json_bytes import JsonObject

_ALL = ("", "_all", "*")
_FORBIDDEN = frozenset(' "*\\<|,>/?')
_LONGEST_NAME = 255


class Catalog:
    """All indices. Names are unique; there are no aliases and no data streams."""

    def __init__(self) -> None:
        """Start without indices."""
        self._indices: dict[str, Index] = {}

    def __iter__(self) -> Iterator[Index]:
        """Yield the indices in the order of their names."""
        return iter(sorted(self._indices.values(), key=lambda index: index.name))

    def create(self, name: str, body: JsonObject) -> Index:
        """Make an index from the `mappings` and `settings` of a request; `ApiError` 400 if that cannot be done."""
        _check_name(name)
        if name in self._indices:
            uuid = self._indices[name].uuid
            reason = f"index [{name}/{uuid}] already exists"
            raise ApiError(400, "resource_already_exists_exception", reason, index_uuid=uuid, index=name)
        unknown = set(body) - {"mappings", "settings", "aliases"}
        if unknown:
            raise ApiError(400, "parse_exception", f"unknown key [{min(unknown)}] for create index")
        if body.get("aliases"):
            raise unsupported("[aliases]")
        settings, analyzers = _read_settings(body.get("settings", {}))
        root = mapping.read_mapping(body.get("mappings", {}), analyzers)
        index = self._indices[name] = Index(name, root=root, settings=settings, analyzers=analyzers)
        return index

    def for_writing(self, name: str) -> Index:
        """Return the index of this name, made now if it does not exist."""
        return self._indices[name] if name in self._indices else self.create(name, {})

    def get(self, name: str) -> Index:
        """Return the index of this name; `ApiError` 404 when there is none."""
        if name not in self._indices:
            raise index_not_found(name)
        return self._indices[name]

    def delete(self, expression: str) -> None:
        """Remove the indices of an expression; `ApiError` 404 for a name that does not exist."""
        if any("*" in part for part in expression.split(",")) or expression in _ALL:
            raise ApiError(400, "illegal_argument_exception", "Wildcard expressions or all indices are not allowed")
        for index in self.resolve(expression):
            del self._indices[index.name]

    def resolve(self, expression: str, parameters: Parameters | None = None) -> list[Index]:
        """Return the indices that an expression names, each once, in the order of their names.

        `ignore_unavailable` and `allow_no_indices` are read from `parameters`. `ApiError` 404 for a missing index.
        """
        may_be_missing = parameters is not None and parameters.flag("ignore_unavailable")
        may_be_none = parameters is None or parameters.flag("allow_no_indices", True)
        found: set[str] = set()
        for part in ["*"] if expression in _ALL else expression.split(","):
            if part.startswith("-") and found:
                found -= {name for name in found if matches(part[1:], name)}
                continue
            named = {name for name in self._indices if matches("*" if part == "_all" else part, name)}
            if not named and not (may_be_missing if "*" not in part else may_be_none):
                raise index_not_found(part)
            found |= named
        return [index for index in self if index.name in found]


def _check_name(name: str) -> None:
    problem = None
    if name != name.lower():
        problem = "must be lowercase"
    elif _FORBIDDEN & set(name):
        shown = ",".join(f"'{character}'" for character in sorted(_FORBIDDEN))
        problem = f"must not contain the following characters [{shown}]"
    elif "#" in name or ":" in name:
        problem = f"must not contain '{'#' if '#' in name else ':'}'"
    elif not name or name[0] in "_-+":
        problem = "must not start with '_', '-', or '+'"
    elif name in (".", ".."):
        problem = "must not be '.' or '..'"
    elif len(name.encode()) > _LONGEST_NAME:
        problem = f"index name is too long, ({len(name.encode())} > {_LONGEST_NAME})"
    if problem is not None:
        reason = f"Invalid index name [{name}], {problem}"
        raise ApiError(400, "invalid_index_name_exception", reason, index_uuid="_na_", index=name)


def _read_settings(body: Any) -> tuple[JsonObject, dict[str, Analyzer]]:
    """Return the settings to show, and the analyzers: the built-in ones, and perhaps another default."""
    if not isinstance(body, dict):
        raise ApiError(400, "parse_exception", "key [settings] must be an object")
    flat = dict(_flatten(body))
    shown: JsonObject = {}
    analyzers = dict(ANALYZERS)
    for key, value in flat.items():
        name = key.removeprefix("index.")
        if name == "analysis.analyzer.default.type" and str(value) in ANALYZERS:
            analyzers["default"] = ANALYZERS[str(value)]
        elif name.startswith(("analysis.", "similarity.", "sort.")):
            raise unsupported(f"the index setting [{key}: {value}]")
        shown[name] = value if isinstance(value, list) else _text(value)
    return shown, analyzers


def _flatten(body: JsonObject, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in body.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

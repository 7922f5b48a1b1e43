"""Which fields hold the text, where the query does not say, and where the engine keeps them.

Three things cannot be read from a search: what `*` or a missing field list stands for (the index's text fields, asked
once with `_field_caps` under the caller's own rights), whether a field is in `_source` (a `copy_to` target is not), and
from which fields such a target has its text (in the mapping). They are learned and forgotten after a while.

Law: what is learned under one caller's credentials is used for these credentials alone.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import Any, Final

from cachetools import TTLCache

from connectors.base import Connector, Headers, SearchRequest, header, without_headers
from connectors.errors import EngineError
from sidecar.plan import Plan, title_first

FORGET_AFTER: Final = 300.0
"""Seconds that something learned about fields is believed."""

_REMEMBERED: Final = 10_000
_TEXT_TYPES: Final = frozenset({"text", "match_only_text"})
_CONTAINERS: Final = frozenset({"object", "nested"})


class TextFields:
    """What is known of the fields of one engine."""

    def __init__(self, engine: Connector) -> None:
        """Ask `engine` when something has to be learned."""
        self._engine = engine
        self._names: TTLCache[tuple[str, ...], tuple[str, ...]] = TTLCache(_REMEMBERED, FORGET_AFTER)
        self._copied: TTLCache[tuple[str, str, str], tuple[str, ...]] = TTLCache(_REMEMBERED, FORGET_AFTER)
        self._outside_source: TTLCache[tuple[str, str, str], bool] = TTLCache(_REMEMBERED, FORGET_AFTER)
        self._refused: TTLCache[tuple[str, str], None] = TTLCache(_REMEMBERED, FORGET_AFTER)

    async def resolve(self, plan: Plan) -> tuple[str, ...]:
        """Return the plan's fields: patterns as the text fields that they match, copies as what they are made of."""
        fields = await self._matching(plan)
        return tuple(
            dict.fromkeys(each for field in fields for each in self._copied.get(self._key(plan, field)) or (field,))
        )

    async def copied_from(self, plan: Plan, fields: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the fields from which the mapping copies text to each of `fields`; others are left out."""
        unknown = [field for field in fields if self._key(plan, field) not in self._copied]
        if unknown:
            copied = await self._copies(plan)
            for field in unknown:
                self._copied[self._key(plan, field)] = copied.get(field, ())
        found = {field: self._copied.get(self._key(plan, field), ()) for field in fields}
        return {field: sources for field, sources in found.items() if sources}

    async def _matching(self, plan: Plan) -> tuple[str, ...]:
        if not any("*" in field for field in plan.fields):
            return plan.fields
        key = (_caller(plan), plan.call.index, *plan.fields)
        found = self._names.get(key)
        if found is None:
            known = await self._text_fields(plan)
            found = _match(plan.fields, known)
            if known:
                self._names[key] = found
        return found

    def to_ask_for(self, plan: Plan, fields: Sequence[str]) -> tuple[str, ...]:
        """Return which of `fields` must be asked for under `fields`, because `_source` will not have them."""
        if not self.can_ask(plan):
            return ()
        asked = plan.own_fields
        wanted = [
            field
            for field in fields
            if field not in plan.shown_fields and not any(fnmatchcase(field, pattern) for pattern in asked)
        ]
        if plan.has_whole_source:
            wanted = [field for field in wanted if self._outside_source.get(self._key(plan, field))]
        return tuple(wanted)

    def values_to_ask_for(self, plan: Plan) -> tuple[str, ...]:
        """Return which fields that the ranking needs beside texts must be asked for: those that the caller has not."""
        if not self.can_ask(plan):
            return ()
        asked = plan.own_fields
        return tuple(name for name in plan.value_fields if not any(fnmatchcase(name, pattern) for pattern in asked))

    def missing(self, plan: Plan, empty: Sequence[str]) -> tuple[str, ...]:
        """Return which of the fields that no hit's `_source` had should be asked for under `fields`, once."""
        if not plan.has_whole_source or not self.can_ask(plan):
            return ()
        return tuple(field for field in empty if self._key(plan, field) not in self._outside_source)

    def can_ask(self, plan: Plan) -> bool:
        """Return whether more `fields` can be asked for."""
        return plan.takes_fields and (_caller(plan), plan.call.index) not in self._refused

    def refuse(self, plan: Plan) -> None:
        """Remember that the engine gives no `fields` of the plan's indices."""
        self._refused[_caller(plan), plan.call.index] = None

    def learn(self, plan: Plan, field: str, *, is_outside_source: bool) -> None:
        """Remember what asking for a missing field under `fields` has shown."""
        self._outside_source[self._key(plan, field)] = is_outside_source

    def _key(self, plan: Plan, field: str) -> tuple[str, str, str]:
        return (_caller(plan), plan.call.index, field)

    async def _text_fields(self, plan: Plan) -> tuple[str, ...]:
        try:
            answer = await self._engine.search(_question(plan, "_field_caps?fields=*"))
            caps = answer.json["fields"] if answer.status == 200 else {}
        except (EngineError, ValueError, TypeError, KeyError):
            return ()
        return _parents_of_text(caps) if isinstance(caps, dict) else ()

    async def _copies(self, plan: Plan) -> dict[str, tuple[str, ...]]:
        try:
            answer = await self._engine.search(_question(plan, "_mapping"))
            indices = answer.json.values() if answer.status == 200 else ()
            return _copies([index["mappings"] for index in indices])
        except (EngineError, ValueError, TypeError, KeyError, AttributeError):
            return {}


def _question(plan: Plan, api: str) -> SearchRequest:
    """Return a request about the plan's indices, under the caller's own rights."""
    index = urllib.parse.quote(plan.call.index, safe=",*")
    return SearchRequest(
        method="GET", target=f"/{index}/{api}" if index else f"/{api}", headers=_own_headers(plan.call.headers)
    )


def _copies(mappings: Sequence[Mapping[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Return the sources of every `copy_to` target of some mappings."""
    found: dict[str, list[str]] = {}
    for mapping in mappings:
        for path, definition in _properties(mapping.get("properties"), ""):
            targets = definition.get("copy_to") or ()
            for target in [targets] if isinstance(targets, str) else targets:
                found.setdefault(target, []).append(path)
    return {target: title_first(tuple(dict.fromkeys(sources))) for target, sources in found.items()}


def _properties(properties: Any, prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, definition in (properties or {}).items():
        yield f"{prefix}{name}", definition
        yield from _properties(definition.get("properties"), f"{prefix}{name}.")


def _own_headers(headers: Headers) -> Headers:
    """Return a caller's headers without those that describe its body and the answer it wants."""
    return without_headers(
        headers, "Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding", "Accept", "Accept-Encoding"
    )


def _parents_of_text(caps: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of text fields, multi-fields as their parents, in alphabetical order: engines have none."""
    names = [_parent(name, caps) for name, types in sorted(caps.items()) if _TEXT_TYPES & set(types)]
    return tuple(dict.fromkeys(name for name in names if not name.startswith("_")))


def _parent(name: str, caps: Mapping[str, Any]) -> str:
    head, dot, _ = name.rpartition(".")
    is_sub_field = bool(dot) and head in caps and not _CONTAINERS & set(caps[head])
    return head if is_sub_field else name


def _match(patterns: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    found = [
        name
        for pattern in patterns
        for name in (known if "*" in pattern else (pattern,))
        if fnmatchcase(name, pattern) or (pattern.endswith(".*") and name == pattern[:-2])
    ]
    return title_first(tuple(found))


def _caller(plan: Plan) -> str:
    authorization = header(plan.call.headers, "Authorization") or ""
    run_as = header(plan.call.headers, "es-security-runas-user") or ""
    cookie = header(plan.call.headers, "Cookie") or ""
    credentials = f"{authorization}\0{run_as}\0{cookie}".encode("utf-8", "surrogateescape")
    return blake2b(credentials, digest_size=16).hexdigest()

"""One search as its caller wrote it: where each setting stands, and how to write it anew.

A search has its settings in the body, in the URL's `source` parameter, and in URL parameters, which win over the
body (*Source:* RestSearchAction of Elasticsearch 9.5, OpenSearch 3.8). An item of `_msearch` has a header line in
place of the URL.

Law: what is not changed keeps its bytes, in the body and in the URL. No I/O, no decisions.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from connectors import json_bytes
from connectors.base import Headers, SearchRequest, compress, header, without_headers
from connectors.json_bytes import Edit, Member

MAX_DEPTH: Final = 64
"""Nesting of a request body up to which we read it; deeper ones are the engine's business."""


MAX_MEMBERS: Final = 20_000
"""Members of all objects of a search up to which we read it: reading takes microseconds for each, and nothing else runs
meanwhile."""


class NotJson(ValueError):
    """The request's content is in another format (YAML, CBOR, SMILE), or wants its answer in one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCall:
    """One search: its index expression, URL parameters, headers and body."""

    index: str
    headers: Headers
    #: decoded URL parameters in order (of an `_msearch` item: those of its header line)
    params: tuple[tuple[str, str], ...]
    #: the body's JSON text, "" when there is none
    text: str
    #: the members of the body's object, with their places in `text`
    members: tuple[Member, ...] = ()
    #: whether it is one of an `_msearch`
    is_item: bool = False

    def param(self, name: str) -> str | None:
        """Return the last value of a URL parameter, or None."""
        return next((value for key, value in reversed(self.params) if key == name), None)

    def has_param(self, *names: str) -> bool:
        """Return whether one of the URL parameters `names` is there."""
        return any(key in names for key, _ in self.params)

    def body(self, key: str) -> Any:
        """Return the parsed value of a member of the body, or None. Integers come as float."""
        member = json_bytes.find_member(self.members, key)
        return None if member is None else member.value

    def has_body(self, *keys: str) -> bool:
        """Return whether the body has one of the members `keys`, other than null."""
        return any(self.body(key) is not None for key in keys)

    def setting(self, name: str) -> Any:
        """Return a setting that may stand in the URL or in the body; the URL wins."""
        value = self.param(name)
        return self.body(name) if value is None else value

    def with_text(self, text: str) -> SearchCall:
        """Return this call with another body. Raises ValueError when `text` is no JSON object."""
        return replace(self, text=text, members=_members(text))

    def without_rerank_ext(self) -> SearchCall:
        """Return this call without `ext.rerank`, and without `ext` when nothing else was in it."""
        ext = json_bytes.find_member(self.members, "ext")
        if ext is None or not isinstance(ext.value, dict) or "rerank" not in ext.value:
            return self
        if len(ext.value) == 1:
            return self._edited([json_bytes.remove_member(self.text, list(self.members), ext)])
        inner = json_bytes.scan_object(self.text, ext.value_start)
        rerank = json_bytes.find_member(inner, "rerank")
        assert rerank is not None
        return self._edited([json_bytes.remove_member(self.text, inner, rerank)])

    def with_settings(self, literals: Mapping[str, Any]) -> SearchCall:
        """Return this call with settings of other values: in the URL where they stand there, else in the body."""
        params = tuple((key, _as_param(literals[key]) if key in literals else value) for key, value in self.params)
        in_url = {key for key, _ in self.params}
        in_body = {key: json.dumps(value) for key, value in literals.items() if key not in in_url}
        text = self.text if self.text.strip() else "{}"
        brace = json_bytes.skip_whitespace(text, 0)
        edits = json_bytes.set_members(brace, list(self.members), in_body)
        return (
            replace(self, params=params).with_text(json_bytes.splice(text, edits))
            if edits
            else replace(self, params=params)
        )

    def _edited(self, edits: list[Edit]) -> SearchCall:
        return self.with_text(json_bytes.splice(self.text, edits))


def parse(request: SearchRequest, *, for_any_answer: bool = False) -> SearchCall:
    """Return the call of a `_search` request.

    Raises:
        NotJson: content or wanted answer (but `for_any_answer`) are in another format.
        ValueError: the body cannot be read: damaged, nested too deeply, no object, not UTF-8.
    """
    if (wants_other_format(request) and not for_any_answer) or not _is_json(request):
        raise NotJson
    source = None if request.content else request.param("source")
    text = json_bytes.decode(request.content) if source is None else source
    if (text or source is not None) and not text.strip():
        raise ValueError("a body of white space alone, or a `source` of nothing, which the engines refuse")
    return SearchCall(
        index=request.index,
        headers=request.headers,
        params=request.params,
        text=text,
        members=_members(text),
    )


def write(call: SearchCall, *, original: SearchCall, request: SearchRequest) -> SearchRequest:
    """Return `request`, of which `original` was read, as `call` has it; the same object when nothing differs."""
    target = replace_params(request.target, dict(_changed(original.params, call.params)))
    body, headers = request.body, call.headers
    if call.text != original.text:
        if request.content or request.param("source") is None:
            encoding = header(headers, "Content-Encoding")
            body = compress(call.text.encode(), encoding)
            headers = _headers_of_body(headers, len(body), is_new=not request.content)
        else:
            target = replace_params(target, {"source": call.text})
    if (target, headers, body) == (request.target, request.headers, request.body):
        return request
    return replace(request, target=target, headers=headers, body=body)


def _headers_of_body(headers: Headers, length: int, *, is_new: bool) -> Headers:
    kept = without_headers(headers, "Content-Length", "Transfer-Encoding")
    if is_new and header(kept, "Content-Type") is None:  # who sends a body without a type is refused by the engine
        accept = header(kept, "Accept") or ""
        # Elasticsearch wants one version of its API in both headers, when one of them names a version
        kept += (("Content-Type", accept if "compatible-with" in accept else "application/json"),)
    return (*kept, ("Content-Length", str(length)))


def replace_params(target: str, values: Mapping[str, str]) -> str:
    """Return a raw request target with other values for parameters that it has; the rest keeps its bytes."""
    if not values:
        return target
    path, mark, query = target.partition("?")
    pieces = [_with_value(piece, values) for piece in query.split("&")]
    return path + mark + "&".join(pieces)


def _with_value(piece: str, values: Mapping[str, str]) -> str:
    name, _, _ = piece.partition("=")
    value = values.get(urllib.parse.unquote_plus(name))
    return piece if value is None else f"{name}={urllib.parse.quote(value, safe='')}"


def _changed(before: tuple[tuple[str, str], ...], after: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    return [new for old, new in zip(before, after, strict=True) if old != new]


def _members(text: str) -> tuple[Member, ...]:
    if not text.strip():
        return ()
    if json_bytes.depth(text, MAX_DEPTH) > MAX_DEPTH:
        raise ValueError(f"the body is nested more than {MAX_DEPTH} levels deep")
    if text.count(":") > MAX_MEMBERS:  # in texts, too: counting exactly would cost as much as reading
        raise ValueError(f"the body has more than {MAX_MEMBERS} members")
    members, end = json_bytes.scan_members(text, json_bytes.skip_whitespace(text, 0))
    if json_bytes.skip_whitespace(text, end) != len(text):
        raise ValueError("something follows the body's object")
    return tuple(members)


def _as_param(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _is_json(request: SearchRequest) -> bool:
    content_type = header(request.headers, "Content-Type")
    return not request.body or content_type is None or "json" in content_type.lower()


def wants_other_format(request: SearchRequest) -> bool:
    """Return whether the caller wants the answer as something else than JSON."""
    wanted = (request.param("format") or "").lower()
    accept = (header(request.headers, "Accept") or "").lower()
    takes_json = "json" in accept or "*/*" in accept  # axios: application/json, text/plain, */*
    is_other = any(word in accept for word in ("yaml", "cbor", "smile", "text/plain"))
    return wanted not in {"", "json"} or (is_other and not takes_json)

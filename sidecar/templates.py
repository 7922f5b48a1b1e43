"""Search templates: the engine renders them, and what they stand for is read like any other search.

Law: the rendered body is the engine's, byte for byte. What cannot be rendered is left alone, as it came.

*Source:* `_search/template`, `_msearch/template` and `_render/template` of Elasticsearch 9.5 and OpenSearch 3.8.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from connectors import json_bytes
from connectors.base import Connector, SearchRequest, SearchResponse, header, without_headers
from connectors.json_bytes import find_member
from sidecar.requests.filter_path import FilterPath
from sidecar.types import Operation

MAX_TEMPLATES: Final = 100
"""Templates of one request that are rendered: each costs the engine a request."""

_SUFFIX: Final = "/template"
_OF_THE_SOURCE: Final = frozenset(
    [
        "q",
        "df",
        "analyzer",
        "analyze_wildcard",
        "default_operator",
        "lenient",
        "from",
        "size",
        "sort",
        "explain",
        "version",
        "seq_no_primary_term",
        "timeout",
        "terminate_after",
        "stored_fields",
        "docvalue_fields",
        "stats",
        "_source",
        "_source_includes",
        "_source_excludes",
        "_source_exclude_vectors",
        "track_scores",
        "track_total_hits",
        "suggest_field",
        "suggest_mode",
        "suggest_size",
        "suggest_text",
    ]
)
"""URL parameters that make a search's source: on a template the engines pass over them, or refuse them."""

_FLAGS: Final = ("explain", "profile")
"""Members beside the template that belong to the search."""


async def render(engine: Connector, operation: Operation, request: SearchRequest) -> SearchRequest | None:
    """Return the `_search` or `_msearch` that a templated request stands for, None where that cannot be told.

    Raises:
        EngineError: the engine does not answer.
    """
    if any(name in _OF_THE_SOURCE for name, _ in request.params):
        return None
    try:
        content = json_bytes.decode(request.content)
        if operation is Operation.SEARCH:
            body = await _rendered(engine, request, content)
        else:
            body = await _rendered_lines(engine, request, content)
    except ValueError:
        return None
    path, mark, query = request.target.partition("?")
    encoded = body.encode()
    headers = without_headers(request.headers, "Content-Length", "Transfer-Encoding", "Content-Encoding")
    return replace(
        request,
        method="POST",
        target=path.rstrip("/").removesuffix(_SUFFIX) + mark + query,
        headers=(*headers, ("Content-Length", str(len(encoded)))),
        body=encoded,
    )


def as_template_answer(operation: Operation, request: SearchRequest, answer: SearchResponse) -> SearchResponse:
    """Return the answer to the search that a template stands for as the answer to the template.

    OpenSearch, which Elasticsearch's header is not on, adds the member `status`, unless `filter_path` hides it.
    """
    if operation is not Operation.SEARCH or answer.status != 200 or header(answer.headers, "X-Elastic-Product"):
        return answer
    shown = FilterPath.parse(request.param("filter_path"))
    if shown is not None and not shown.shows("status"):
        return answer
    try:
        text = json_bytes.decode(answer.content)
        members = json_bytes.scan_object(text)
    except ValueError:
        return answer
    if not members or find_member(members, "status") is not None:
        return answer
    end = members[-1].end
    is_pretty = "\n" in text[end:].partition("}")[0]
    added = ',\n  "status" : 200' if is_pretty else ',"status":200'
    return answer.with_content((text[:end] + added + text[end:]).encode())


async def _rendered_lines(engine: Connector, request: SearchRequest, content: str) -> str:
    if content.count("\n") > 2 * MAX_TEMPLATES:
        raise ValueError(f"more than {MAX_TEMPLATES} templates")
    lines = content.removesuffix("\n").split("\n")
    if not content.endswith("\n") or len(lines) % 2:
        raise ValueError("header and template lines come in pairs, each with its line end")
    bodies = await asyncio.gather(*(_rendered(engine, request, template) for template in lines[1::2]))
    pairs = zip(lines[::2], bodies, strict=True)
    return "".join(f"{head}\n{body.replace(chr(10), ' ')}\n" for head, body in pairs)


async def _rendered(engine: Connector, request: SearchRequest, template: str) -> str:
    """Return the body that a template stands for. Raises ValueError when the engine cannot say."""
    members = json_bytes.scan_object(template)
    answer = await engine.search(_render_request(request, template))
    if answer.status != 200:
        raise ValueError(f"the engine answered {answer.status}")
    text = json_bytes.decode(answer.content)
    output = find_member(json_bytes.scan_object(text), "template_output")
    if output is None or not isinstance(output.value, dict):
        raise ValueError("no template_output")
    body = text[output.value_start : output.end]
    literals: dict[str, str] = {}
    for name in _FLAGS:
        given = find_member(members, name)
        if given is not None or name in output.value:  # a source has no say in this
            literals[name] = "false" if given is None else template[given.value_start : given.end]
    return json_bytes.splice(body, json_bytes.set_members(0, json_bytes.scan_object(body), literals))


def _render_request(request: SearchRequest, template: str) -> SearchRequest:
    body = template.encode()
    headers = without_headers(
        request.headers, "Content-Length", "Transfer-Encoding", "Content-Encoding", "Accept-Encoding", "Content-Type"
    )
    kind = (header(request.headers, "Content-Type") or "application/json").replace("x-ndjson", "json")
    added = (("Content-Type", kind), ("Content-Length", str(len(body))))
    return SearchRequest(method="POST", target="/_render/template", headers=(*headers, *added), body=body)

"""Search templates: what they stand for, as the engine renders it."""

import json
from typing import Any

import pytest

from connectors.base import SearchRequest, SearchResponse
from sidecar.templates import as_template_answer, render
from sidecar.types import Operation
from tests.unit.doubles import JSON, NDJSON, ScriptedEngine, answer_with, error_with

RENDERED = '{ "query":{"match":{"text":"blue sky"}},"size":1E+1 }'


def rendering(answer: SearchResponse | None = None) -> ScriptedEngine:
    """Return an engine that renders every template to the same search."""
    given = answer or answer_with(f'{{"template_output":{RENDERED}}}')
    return ScriptedEngine(override=lambda request, body: given if "/_render/template" in request.target else None)


def template(body: Any, target: str = "/books/_search/template?routing=a", **request: Any) -> SearchRequest:
    """Return a templated search."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = (*JSON, ("Content-Length", str(len(content))), ("Authorization", "ApiKey abc"))
    return SearchRequest(method="GET", target=target, headers=headers, body=content, **request)


async def test_a_template_becomes_the_search_that_it_stands_for() -> None:
    """Its body in the engine's bytes, its URL parameters and headers the caller's."""
    engine = rendering()
    asked = template({"id": "mine", "params": {"q": "blue sky"}})
    found = await render(engine, Operation.SEARCH, asked)
    assert found is not None
    assert ("/books/_search?routing=a", "POST", RENDERED.encode()) == (found.target, found.method, found.body)
    assert {"Authorization": "ApiKey abc", "Content-Type": "application/json"}.items() <= dict(found.headers).items()
    assert str(len(RENDERED)) == dict(found.headers)["Content-Length"]
    (rendered,) = engine.searches
    assert ("/_render/template", json.loads(asked.body)) == (rendered.target, json.loads(rendered.body))
    assert "ApiKey abc" == dict(rendered.headers)["Authorization"]


async def test_flags_beside_a_template_belong_to_the_search() -> None:
    """`explain` and `profile`; in the source they say nothing."""
    found = await render(rendering(), Operation.SEARCH, template({"id": "mine", "explain": True}))
    assert found is not None
    assert {**json.loads(RENDERED), "explain": True} == json.loads(found.body)
    engine = rendering(answer_with('{"template_output":{"profile":true}}'))
    found = await render(engine, Operation.SEARCH, template({"id": "mine"}))
    assert found is not None
    assert {"profile": False} == json.loads(found.body)


@pytest.mark.parametrize("parameter", ["size=3", "q=tea", "_source=false", "sort=n", "_source_exclude_vectors=true"])
async def test_parameters_of_the_source_are_the_engines_business(parameter: str) -> None:
    """It passes over them, or refuses them; in a `_search` they would count."""
    engine = rendering()
    asked = template({"id": "mine"}, f"/books/_search/template?routing=a&{parameter}")
    assert await render(engine, Operation.SEARCH, asked) is None
    assert not engine.searches


async def test_each_line_of_a_multi_search_is_rendered() -> None:
    """Header lines are the caller's."""
    body = b'{"index":"books" }\n{"id":"a"}\n{}\n{"id":"b"}\n'
    request = SearchRequest(method="POST", target="/_msearch/template", headers=NDJSON, body=body)
    found = await render(rendering(), Operation.MSEARCH, request)
    assert found is not None
    assert ("/_msearch", f'{{"index":"books" }}\n{RENDERED}\n{{}}\n{RENDERED}\n'.encode()) == (found.target, found.body)


@pytest.mark.parametrize(
    "answer",
    [error_with(404), error_with(400), answer_with("{}"), answer_with('{"template_output":"x"}'), answer_with("no")],
)
async def test_what_cannot_be_rendered_is_left_alone(answer: SearchResponse) -> None:
    """The engine will say why."""
    assert await render(rendering(answer), Operation.SEARCH, template({"id": "missing"})) is None


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b"\xff"])
async def test_a_body_that_is_no_template_is_left_alone(body: bytes) -> None:
    """Without asking anybody."""
    engine = rendering()
    assert await render(engine, Operation.SEARCH, template(body)) is None
    assert not engine.searches


async def test_lines_that_do_not_come_in_pairs_are_left_alone() -> None:
    """As in any multi search."""
    request = SearchRequest(method="POST", target="/_msearch/template", headers=NDJSON, body=b"{}\n")
    assert await render(rendering(), Operation.MSEARCH, request) is None


@pytest.mark.parametrize(
    ("operation", "text", "expected"),
    [
        (Operation.SEARCH, '{"took":1,"hits":{}}', '{"took":1,"hits":{},"status":200}'),
        (Operation.SEARCH, '{\n  "took" : 1\n}\n', '{\n  "took" : 1,\n  "status" : 200\n}\n'),
        (Operation.SEARCH, '{"took":1,"status":200}', '{"took":1,"status":200}'),
        (Operation.MSEARCH, '{"took":1}', '{"took":1}'),
        (Operation.SEARCH, "no JSON", "no JSON"),
    ],
)
def test_opensearch_adds_a_status(operation: Operation, text: str, expected: str) -> None:
    """To the answer of a templated search; Elasticsearch does not."""
    asked = template({})
    assert expected.encode() == as_template_answer(operation, asked, answer_with(text, headers=JSON)).body
    assert text.encode() == as_template_answer(operation, asked, answer_with(text)).body


@pytest.mark.parametrize(
    ("filter_path", "is_shown"),
    [("hits.hits", False), ("hits,-status", False), ("hits,status", True), ("-took", True), ("", True)],
)
def test_a_filter_may_hide_the_status(filter_path: str, is_shown: bool) -> None:
    """Like any other member."""
    asked = template({}, f"/books/_search?filter_path={filter_path}")
    found = as_template_answer(Operation.SEARCH, asked, answer_with('{"hits":{}}', headers=JSON))
    assert is_shown == ("status" in found.json)

"""Tests of writing requests."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.parity.calls import BadCall, Descriptions, OfficialClient

SEARCH = {"search": {"url": {"paths": [
    {"path": "/_search", "methods": ["GET", "POST"]},
    {"path": "/{index}/_search", "methods": ["GET", "POST"], "parts": {"index": {}}},
]}, "params": {"size": {}}, "body": {}}}  # fmt: skip
CREATE = {"create": {"url": {"paths": [
    {"path": "/{index}/_create/{id}", "methods": ["PUT", "POST"], "parts": {"id": {}, "index": {}}},
]}, "body": {"required": True}}}  # fmt: skip
BULK = {"bulk": {"url": {"paths": [{"path": "/_bulk", "methods": ["POST", "PUT"]}]}, "body": {"serialize": "bulk"}}}


@pytest.fixture
def descriptions(tmp_path: Path) -> Descriptions:
    """Descriptions of three APIs."""
    for said in (SEARCH, CREATE, BULK):
        [name] = said
        (tmp_path / f"{name}.json").write_text(json.dumps(said))
    return Descriptions(tmp_path)


@pytest.mark.parametrize(
    ("api", "arguments", "line", "body"),
    [
        ("search", {}, "GET /_search", None),
        ("search", {"index": "a b,c*", "size": 3}, "GET /a%20b,c*/_search?size=3", None),
        ("search", {"index": ["a", "b"], "body": {"size": 1}}, "POST /a,b/_search", b'{"size": 1}'),
        ("search", {"lenient": True, "body": '{"size" : 1}'}, "POST /_search?lenient=true", b'{"size" : 1}'),
        ("create", {"index": "a", "id": "x/y", "body": {"t": "ö"}}, "PUT /a/_create/x%2Fy", '{"t": "ö"}'.encode()),
        ("bulk", {"body": [{"index": {}}, {"t": 1}]}, "POST /_bulk", b'{"index": {}}\n{"t": 1}\n'),
        ("bulk", {"body": '{"index":{}}\n{"t":1}\n'}, "POST /_bulk", b'{"index":{}}\n{"t":1}\n'),
    ],
)
def test_a_description_says_path_method_and_body(
    descriptions: Descriptions, api: str, arguments: dict[str, Any], line: str, body: bytes | None
) -> None:
    """The longest path that can be filled; POST where there is a body; the rest of the arguments in the query."""
    request = descriptions.write(api, arguments, {})
    assert (f"{request.method} {request.target}", request.body) == (line, body)


def test_a_body_has_its_content_type(descriptions: Descriptions) -> None:
    """Unless the test says another."""
    assert descriptions.write("search", {}, {}).headers == ()
    assert dict(descriptions.write("search", {"body": {}}, {}).headers) == {"Content-Type": "application/json"}
    assert dict(descriptions.write("bulk", {"body": []}, {}).headers) == {"Content-Type": "application/x-ndjson"}
    said = {"content-type": "application/yaml", "Accept": "application/yaml"}
    assert dict(descriptions.write("search", {"body": {}}, said).headers) == said


@pytest.mark.parametrize(("api", "arguments"), [("create", {"index": "a"}), ("unheard_of", {})])
def test_what_cannot_be_written_is_a_bad_call(descriptions: Descriptions, api: str, arguments: dict[str, Any]) -> None:
    """A part of every path is missing, or the API is not described."""
    with pytest.raises(BadCall, match=api):
        descriptions.write(api, arguments, {})


def test_the_official_client_writes_requests() -> None:
    """Path, method, body and its own media types."""
    client = OfficialClient()
    request = client.write("indices.create", {"index": "a", "body": {"settings": {}}}, {"X-Case": "1"})
    assert (request.method, request.target, request.body) == ("PUT", "/a", b'{"settings":{}}')
    headers = {name.lower(): value for name, value in request.headers}
    assert headers["x-case"] == "1"
    assert headers["accept"].startswith("application/vnd.elasticsearch+json")


@pytest.mark.parametrize("api", ["unheard_of", "indices.create"])
def test_what_the_official_client_refuses_is_a_bad_call(api: str) -> None:
    """A method that it has not, or arguments that it does not take."""
    with pytest.raises(BadCall, match=api):
        OfficialClient().write(api, {"surprise": 1}, {})

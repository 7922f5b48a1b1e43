"""The OpenAPI document says what the code does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from sidecar.rerank_api import openapi
from sidecar.rerank_api.api import RerankApi, RerankLimits
from sidecar.rerank_api.api_key import ApiKey
from sidecar.rerank_api.calls import InvalidRerankCall
from sidecar.rerank_api.endpoints import endpoints
from sidecar.rerank_api.openapi import REQUESTS, STATUSES, Request
from sidecar.scoring.scripted import parse

LIMITS = RerankLimits()
DOCUMENT = openapi.document()
REGISTRY: Registry[Any] = Registry().with_resource("urn:api", Resource(contents=DOCUMENT, specification=DRAFT202012))
FIELDS = [(request, name) for request in REQUESTS for name in request.fields]


class Recorded(Mapping[str, Any]):
    """Fields that note which of them are looked at."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        """Nothing was looked at."""
        self._fields = fields
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.names.add(name)
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


def validator(name: str) -> Draft202012Validator:
    """Return the validator of one of the document's schemas."""
    return within("components", "schemas", name)


def within(*keys: str) -> Draft202012Validator:
    """Return the validator of what stands at a place in the document."""
    pointer = "/".join(key.replace("/", "~1") for key in keys)
    return Draft202012Validator({"$ref": f"urn:api#/{pointer}"}, registry=REGISTRY)


def looked_at(request: Request) -> set[str]:
    """Return the fields that the code reads of a call."""
    fields = Recorded(request.example)
    request.dialect.read(fields, LIMITS)
    return fields.names


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_every_schema_is_one(name: str) -> None:
    """JSON Schema, draft 2020-12, as OpenAPI 3.1 takes it."""
    Draft202012Validator.check_schema(DOCUMENT["components"]["schemas"][name])


def test_every_reference_leads_somewhere() -> None:
    """Within the document."""
    text = json.dumps(DOCUMENT)
    for reference in {part.split('"')[0] for part in text.split('"$ref": "#/')[1:]}:
        place: Any = DOCUMENT
        for key in reference.split("/"):
            place = place[key]
        assert place


@pytest.mark.parametrize(
    ("request_", "name"), FIELDS, ids=lambda value: value if isinstance(value, str) else value.dialect.name
)
def test_every_documented_field_is_accepted(request_: Request, name: str) -> None:
    """With its example, which fits its schema, by the parser of its dialect."""
    body = {**request_.example, name: request_.fields[name].example}
    validator(f"{request_.dialect.name}-request").validate(body)
    request_.dialect.read(body, LIMITS)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.dialect.name)
def test_a_field_has_an_effect_unless_the_document_says_otherwise(request_: Request) -> None:
    """And no field has one without being documented; the other names of the score dialect stand in the words."""
    documented = {
        name for name, field in request_.fields.items() if "without effect" not in field.says and name != "model"
    }
    others = {"queries", "documents", "items", "data_1", "data_2"} if request_.dialect.name == "score" else set()
    assert documented == looked_at(request_) - others


@pytest.mark.parametrize(
    ("request_", "name"), FIELDS, ids=lambda value: value if isinstance(value, str) else value.dialect.name
)
def test_what_the_schema_refuses_the_parser_refuses(request_: Request, name: str) -> None:
    """A value of a wrong type, by the name of its field."""
    if name not in looked_at(request_):
        return
    for wrong in (3.5, {}, "wrong", [1]):
        body = {**request_.example, name: wrong}
        if validator(f"{request_.dialect.name}-request").is_valid(body):
            continue
        with pytest.raises(InvalidRerankCall) as caught:
            request_.dialect.read(body, LIMITS)
        assert (caught.value.param or "").startswith(name)


async def test_every_documented_path_answers_its_examples() -> None:
    """With bodies that fit a documented answer; and every path of the code is documented."""
    found = endpoints(RerankApi(parse("test:identity")), ApiKey(None))
    real = {path for method, path in found if method == "POST"}
    for path, item in DOCUMENT["paths"].items():
        media = item["post"]["requestBody"]["content"]["application/json"]
        answers = within("paths", path, "post", "responses", "200", "content", "application/json", "schema")
        names = item["post"].get("parameters", [{"schema": {"enum": ["-"]}}])[0]["schema"]["enum"]
        for name in names:
            called = path.replace("{dialect}", name)
            real.remove(called)
            if name == "-":
                for example in media["examples"].values():
                    reply = await RerankApi(parse("test:identity")).rerank(json.dumps(example["value"]).encode())
                    assert 200 == reply.status
                    answers.validate(json.loads(reply.body))
    assert set() == real


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.dialect.name)
async def test_errors_are_as_documented(request_: Request) -> None:
    """A refusal fits the error schema, and its status is listed."""
    reply = request_.dialect.refuse(InvalidRerankCall("no", param="query"))
    validator("error").validate(json.loads(reply.body))
    assert reply.status in STATUSES

"""The paths of the rerank API, who may use them, and which dialect they speak."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.base import Headers
from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse
from sidecar.rerank_api.api import RerankApi
from sidecar.rerank_api.api_key import ApiKey
from sidecar.rerank_api.endpoints import endpoints
from sidecar.scoring.scripted import parse

COHERES = {"query": "q", "documents": ["a", "b"], "return_documents": True}
TEIS = {"query": "q", "texts": ["a", "b"]}


async def asked(
    path: str, body: Any, *, method: str = "POST", headers: Headers = (), key: str | None = None
) -> EndpointResponse:
    """Ask an API over a scorer that keeps the order."""
    found = endpoints(RerankApi(parse("test:identity")), ApiKey(key))
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await found[method, path](EndpointRequest(method=method, path=path, headers=headers, body=content))


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
async def test_a_body_chooses_its_dialect_on_every_path(path: str) -> None:
    """Cohere's objects, TEI's array, Voyage's data, Hugging Face's numbers, vLLM's scores."""
    assert [0, 1] == [result["index"] for result in json.loads((await asked(path, COHERES)).body)["results"]]
    assert [0, 1] == [result["index"] for result in json.loads((await asked(path, TEIS)).body)]
    assert 1 == len(json.loads((await asked(path, {**COHERES, "top_k": 1})).body)["data"])
    similar = {"inputs": {"source_sentence": "q", "sentences": ["a", "b"]}}
    assert [0.5, 0.497500021] == json.loads((await asked(path, similar)).body)
    assert 2 == len(json.loads((await asked(path, {"text_1": "q", "text_2": ["a", "b"]})).body)["data"])


async def test_the_version_is_the_paths() -> None:
    """As Cohere's answers say it."""
    for path, version in (("/rerank", "1"), ("/v1/rerank", "1"), ("/v2/rerank", "2")):
        answer = json.loads((await asked(path, COHERES)).body)
        assert {"api_version": {"version": version}} == answer["meta"]


@pytest.mark.parametrize("path", ["/score", "/v1/score"])
async def test_scores_have_their_own_path(path: str) -> None:
    """Where another body is refused in the words of this dialect."""
    assert 200 == (await asked(path, {"queries": "q", "documents": ["a"]})).status
    refused = await asked(path, TEIS)
    assert (400, "text_2") == (refused.status, json.loads(refused.body)["error"]["param"])


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
async def test_a_path_can_say_the_dialect(path: str) -> None:
    """Where the same body means different things."""
    infinitys = json.loads((await asked(f"/_rerank/infinity{path}", COHERES)).body)
    assert "a" == infinitys["results"][0]["document"]
    assert "a" == json.loads((await asked(f"/_rerank/voyage{path}", COHERES)).body)["data"][0]["document"]
    silent = {"query": "q", "documents": ["a"]}
    for name in ("jina", "vllm"):
        answer = json.loads((await asked(f"/_rerank/{name}{path}", silent)).body)
        assert {"text": "a"} == answer["results"][0]["document"]
    refused = await asked(f"/_rerank/tei{path}", b"{")
    assert (422, "Validation") == (refused.status, json.loads(refused.body)["error_type"])


async def test_the_key_is_asked_for_before_the_body_is_read() -> None:
    """On every path of the API."""
    for path in ("/v1/rerank", "/score", "/_rerank/voyage/v1/rerank"):
        assert 401 == (await asked(path, b"{", key="k")).status
    headers = (("Authorization", "Bearer k"),)
    assert 200 == (await asked("/v1/rerank", COHERES, key="k", headers=headers)).status


async def test_everybody_may_read_the_document() -> None:
    """It says how to show the key."""
    answer = await asked("/_rerank/openapi.json", b"", method="GET", key="k")
    assert (200, "application/json") == (answer.status, answer.content_type)
    assert "3.1.0" == json.loads(answer.body)["openapi"]


async def test_a_compressed_body_is_refused() -> None:
    """By its encoding."""
    answer = await asked("/v1/rerank", COHERES, headers=(("Content-Encoding", "gzip"),))
    assert 415 == answer.status
    assert "got 'gzip'" in json.loads(answer.body)["message"]
    assert 200 == (await asked("/v1/rerank", COHERES, headers=(("Content-Encoding", "identity"),))).status

"""What makes an engine's own reranker call this program: the requests that set it up, to print and not to send.

Elasticsearch reaches a reranker through `_inference`, OpenSearch through an ml-commons connector and the `rerank`
processor of a search pipeline. Both are optional: the proxy needs neither.

Sources: elastic/elasticsearch-specification `specification/inference/_types/CommonTypes.ts`; OpenSearch 3.8
documentation, "Rerank processor" and the tutorial on Cohere's reranker; opensearch-project/ml-commons.
"""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from dataclasses import dataclass
from typing import Any, Final, Literal, assert_never

from sidecar.errors import ConfigError

Service = Literal["custom", "hugging_face"]
"""The services of `_inference` that can call a URL of ours."""

Form = Literal["console", "curl", "json"]

NAME: Final = "rerank-sidecar"
"""What everything that is made is called."""

CONNECTOR_ID: Final = "<connector_id>"
MODEL_ID: Final = "<model_id>"
NO_KEY: Final = "no-key-needed"
"""Stands where the engine insists on a key and ours asks for none."""

OVERSAMPLE: Final = 10
"""OpenSearch reranks `size` times this many hits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """How the engine calls this program."""

    #: without a slash at its end, e.g. "http://reranker:9280"
    url: str
    #: what the rerank API asks for (`api.key`), None for nothing
    key: str | None
    #: what the engine reports as the model's name
    model: str

    def __post_init__(self) -> None:
        """Refuse what no engine can call.

        Raises:
            ConfigError: the URL is none, or has more than scheme, host, port and path.
        """
        if not re.fullmatch(r"https?://[^\s/?#@]+(?:/[^\s?#@]*)?", self.url):
            raise ConfigError(f"--url: got {self.url!r}, expected http(s)://host:port as the engine sees this program")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRequest:
    """One request to the engine."""

    #: what it is for, in whole sentences
    purpose: str
    method: str
    #: without a slash in front, as Kibana's and Dashboards' consoles have it
    path: str
    body: Any
    #: the member of the answer that a later request needs, and what stands for it there
    gives: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSetup:
    """Requests in the order in which they are sent."""

    #: what must be there: versions, plugins, licences
    needs: tuple[str, ...]
    requests: tuple[EngineRequest, ...]


def elastic(address: Address, service: Service) -> EngineSetup:
    """Return the setup for Elasticsearch: an inference endpoint, and searches that use it."""
    endpoint = f"_inference/rerank/{NAME}"
    settings = _custom(address) if service == "custom" else _hugging_face(address)
    return EngineSetup(
        needs=(
            "Elasticsearch 8.19, or 9.1 and newer.",
            "An Enterprise licence, or a trial: `_inference` needs it, and so does the retriever "
            "`text_similarity_reranker`. The search proxy needs neither, and answers this retriever itself where the "
            "engine refuses it.",
            f"The nodes must reach {address.url}.",
        ),
        requests=(
            EngineRequest(
                purpose="The inference endpoint.",
                method="PUT",
                path=endpoint,
                body={"service": service, "service_settings": settings},
            ),
            EngineRequest(
                purpose="Try it.",
                method="POST",
                path=endpoint,
                body={
                    "query": "capital of France",
                    "input": ["Bananas are yellow.", "Paris is the capital of France."],
                },
            ),
            EngineRequest(
                purpose="A search. Scores of the model between 0 and 1 come back between 1 and 2.",
                method="POST",
                path="my-index/_search",
                body={
                    "retriever": {
                        "text_similarity_reranker": {
                            "retriever": {"standard": {"query": {"match": {"body": "capital of France"}}}},
                            "field": "body",
                            "inference_id": NAME,
                            "inference_text": "capital of France",
                            "rank_window_size": 100,
                        }
                    }
                },
            ),
        ),
    )


def opensearch(address: Address) -> EngineSetup:
    """Return the setup for OpenSearch: a connector, a model over it, and a search pipeline that reranks with it."""
    return EngineSetup(
        needs=(
            "OpenSearch 2.12 or newer with the plugins ml-commons and neural-search, which its distribution has. "
            "All of it is Apache-2.0: no licence is needed.",
            f"The nodes must reach {address.url}.",
        ),
        requests=(
            EngineRequest(
                purpose="Let ml-commons call this address. The setting is a list: what it holds already must be in it, "
                "too. The second one is needed for private addresses only.",
                method="PUT",
                path="_cluster/settings",
                body={
                    "persistent": {
                        "plugins.ml_commons.trusted_connector_endpoints_regex": [f"^{re.escape(address.url)}/.*$"],
                        "plugins.ml_commons.connector.private_ip_enabled": True,
                    }
                },
            ),
            EngineRequest(
                purpose=f"The connector. Its answer has the {CONNECTOR_ID}.",
                method="POST",
                path="_plugins/_ml/connectors/_create",
                body=_connector(address),
                gives=("connector_id", CONNECTOR_ID),
            ),
            EngineRequest(
                purpose=f"The model. Its answer has the {MODEL_ID}.",
                method="POST",
                path="_plugins/_ml/models/_register?deploy=true",
                body={"name": NAME, "function_name": "remote", "connector_id": CONNECTOR_ID},
                gives=("model_id", MODEL_ID),
            ),
            EngineRequest(
                purpose=f"The search pipeline: fetch {OVERSAMPLE} times as many hits, rerank them, give back as many "
                "as were asked for. It covers the first page: `from` is not reranked. With `ignore_failure`, a search "
                "whose reranking fails comes back in the engine's own order.",
                method="PUT",
                path=f"_search/pipeline/{NAME}",
                body={
                    "request_processors": [{"oversample": {"sample_factor": OVERSAMPLE}}],
                    "response_processors": [
                        {
                            "rerank": {
                                "ml_opensearch": {"model_id": MODEL_ID},
                                "context": {"document_fields": ["title", "body"]},
                                "ignore_failure": True,
                            }
                        },
                        {"truncate_hits": {}},
                    ],
                },
            ),
            EngineRequest(
                purpose="A search.",
                method="POST",
                path=f"my-index/_search?search_pipeline={NAME}",
                body={
                    "query": {"match": {"body": {"query": "capital of France"}}},
                    "ext": {"rerank": {"query_context": {"query_text_path": "query.match.body.query"}}},
                },
            ),
        ),
    )


def printed(setup: EngineSetup, form: Form) -> str:
    """Return a setup as text to paste, to run, or to read with a program."""
    match form:
        case "console":
            return _console(setup)
        case "curl":
            return _shell(setup)
        case "json":
            return _json(setup)
        case _:
            assert_never(form)


def _console(setup: EngineSetup) -> str:
    """Return a setup as text for the consoles of Kibana and OpenSearch Dashboards."""
    parts = [_comment(need) for need in setup.needs]
    for request in setup.requests:
        body = json.dumps(request.body, indent=2)
        parts.append(f"\n{_comment(request.purpose)}\n{request.method} {request.path}\n{body}")
    return "\n".join(parts)


def _shell(setup: EngineSetup) -> str:
    """Return a setup as a shell script of curl and jq, for the engine at $ENGINE_URL."""
    parts = [
        "#!/bin/sh",
        *(_comment(need) for need in setup.needs),
        "set -eu",
        ': "${ENGINE_URL:?the URL of the engine}"',
    ]
    parts += [f"\n{_comment(request.purpose)}\n{_curl(request)}" for request in setup.requests]
    return "\n".join(parts)


def _json(setup: EngineSetup) -> str:
    """Return a setup as JSON: an array of `method`, `path` and `body`."""
    requests = [{"method": each.method, "path": each.path, "body": each.body} for each in setup.requests]
    return json.dumps(requests, indent=2)


def _custom(address: Address) -> dict[str, Any]:
    """Return the settings of the service `custom`, in whose templates no quotes stand around `${…}`."""
    model = json.dumps(address.model)
    return {
        "secret_parameters": {"api_key": address.key or NO_KEY},
        "url": f"{address.url}/v1/rerank",
        "headers": {"Authorization": "Bearer ${api_key}", "Content-Type": "application/json"},
        "request": f'{{"model": {model}, "query": ${{query}}, "documents": ${{input}}, "sort": "input"}}',
        "response": {
            "json_parser": {
                "reranked_index": "$.results[*].index",
                "relevance_score": "$.results[*].relevance_score",
            },
            "error_parser": {"path": "$.message"},
        },
    }


def _hugging_face(address: Address) -> dict[str, Any]:
    return {"api_key": address.key or NO_KEY, "url": f"{address.url}/_rerank/tei/rerank"}


def _connector(address: Address) -> dict[str, Any]:
    return {
        "name": NAME,
        "description": "Reranks with rerank-sidecar.",
        "version": "1",
        "protocol": "http",
        "credential": {"key": address.key or NO_KEY},
        "parameters": {"model": address.model},
        "actions": [
            {
                "action_type": "predict",
                "method": "POST",
                "url": f"{address.url}/v1/rerank",
                "headers": {"Authorization": "Bearer ${credential.key}"},
                "request_body": '{ "documents": ${parameters.documents}, "query": "${parameters.query}", '
                '"model": "${parameters.model}", "top_n": ${parameters.top_n} }',
                "pre_process_function": "connector.pre_process.cohere.rerank",
                "post_process_function": "connector.post_process.cohere.rerank",
            }
        ],
    }


def _curl(request: EngineRequest) -> str:
    body = shlex.quote(json.dumps(request.body, indent=2))
    for placeholder in (CONNECTOR_ID, MODEL_ID):
        body = body.replace(placeholder, f"'\"${_variable(placeholder)}\"'")
    call = (
        f'curl --fail-with-body -sS -X {request.method} "$ENGINE_URL/{request.path}" '
        f"-H 'Content-Type: application/json' -d {body}"
    )
    if request.gives is None:
        return call
    member, placeholder = request.gives
    return f"{_variable(placeholder)}=$({call} | jq -er .{member})"


def _variable(placeholder: str) -> str:
    return placeholder.strip("<>").upper()


def _comment(text: str) -> str:
    return textwrap.fill(text, 100, initial_indent="# ", subsequent_indent="# ")

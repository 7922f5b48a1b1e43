"""The rerank API on the paths that its clients know.

Law: a path says the dialect where the body does not: `/v2/rerank` is Cohere's, `/score` vLLM's, and
`/_rerank/NAME/…` that of NAME, whatever the body looks like.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from connectors.base import Headers, header
from sidecar.proxy.endpoints import Endpoint, EndpointRequest, EndpointResponse, Endpoints, Guarded
from sidecar.rerank_api import dialects, openapi
from sidecar.rerank_api.api import Choose, RerankApi
from sidecar.rerank_api.api_key import ApiKey
from sidecar.rerank_api.dialects import Dialect
from sidecar.rerank_api.reply import Reply
from sidecar.rerank_api.writing import ErrorWriter, error_for_everybody

RERANK_PATHS: Final = ("/rerank", "/v1/rerank", "/v2/rerank")
SCORE_PATHS: Final = ("/score", "/v1/score")
OPENAPI_PATH: Final = "/_rerank/openapi.json"
PLAIN_ENCODINGS: Final = (None, "", "identity")


def endpoints(api: RerankApi, key: ApiKey) -> Endpoints:
    """Return the rerank API, for those who have the key, and its OpenAPI document, for everybody."""
    found: dict[tuple[str, str], Endpoint] = {("GET", OPENAPI_PATH): _document}
    for (method, path), choose in routes().items():
        found[method, path] = guarded(partial(api.rerank, choose=choose), key, choose({}).write_error)
    return found


def routes() -> dict[tuple[str, str], Choose]:
    """Return how a dialect is chosen, by method and path."""
    chosen: dict[str, Choose] = dict.fromkeys(RERANK_PATHS, dialects.of_body)
    chosen["/v2/rerank"] = partial(dialects.of_body, default=dialects.COHERE_V2)
    chosen |= {path: _always(dialects.SCORE) for path in SCORE_PATHS}
    for name, dialect in dialects.BY_PATH.items():
        chosen |= {f"/_rerank/{name}{path}": _always(dialect) for path in RERANK_PATHS}
    return {("POST", path): choose for path, choose in chosen.items()}


def guarded(
    answer: Callable[[bytes], Awaitable[Reply]], key: ApiKey, write_error: ErrorWriter = error_for_everybody
) -> Endpoint:
    """Return an endpoint that answers with what `answer` makes of the body, to those who have the key."""

    def refusal(headers: Headers) -> EndpointResponse | None:
        refused = key.refusal(headers, write_error) or _refuse_encoded(headers, write_error)
        return None if refused is None else _response(refused)

    async def endpoint(request: EndpointRequest) -> EndpointResponse:
        return _response(await answer(request.body))

    return Guarded(refusal, endpoint)


def _response(reply: Reply) -> EndpointResponse:
    return EndpointResponse(status=reply.status, body=reply.body, headers=reply.headers)


def _always(dialect: Dialect) -> Choose:
    return lambda fields: dialect


def _refuse_encoded(headers: Headers, write_error: ErrorWriter) -> Reply | None:
    encoding = header(headers, "content-encoding")
    if encoding in PLAIN_ENCODINGS:
        return None
    message = f"Content-Encoding: got {encoding[:40]!r}, expected a body as it is"
    body = write_error(message, type="invalid_request_error", param=None, code="content_encoding")
    return Reply(status=415, body=body)


async def _document(request: EndpointRequest) -> EndpointResponse:
    del request
    return EndpointResponse(body=openapi.document_bytes())

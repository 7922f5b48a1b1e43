"""connect(url): ask the engine who it is and return its connector.

Law: the answer to `GET /` decides, or the caller's own word (`elasticsearch+http://…`). Nothing is guessed from
ports or names, and no client library is imported.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from connectors import elasticsearch, opensearch
from connectors.base import SearchRequest, SearchResponse
from connectors.errors import EngineError, UnknownEngine
from connectors.relay import CHUNK_BYTES, EngineFacts, EngineOptions, Relay, RelayConnector

logger = logging.getLogger(__name__)

_CONNECTORS: Final[dict[str, type[RelayConnector]]] = {
    "elasticsearch": elasticsearch.ElasticsearchConnector,
    "opensearch": opensearch.OpenSearchConnector,
}


async def connect(
    urls: str | Sequence[str],
    *,
    api_key: str | tuple[str, str] | None = None,
    basic_auth: tuple[str, str] | None = None,
    ca_certs: str | None = None,
    verify_certs: bool = True,
    client_cert: str | None = None,
    client_key: str | None = None,
) -> RelayConnector:
    """Return a connector for the engine at `urls` (several URLs: nodes of one cluster).

    A prefix `elasticsearch+` or `opensearch+` says which engine it is; the engine is then not asked.
    The keywords are those of the official clients.

    Raises:
        ValueError: a URL or a combination of settings makes no sense.
        EngineError: the engine cannot be reached.
        UnknownEngine: what answers there is neither Elasticsearch nor OpenSearch.
    """
    options = EngineOptions(
        api_key=api_key,
        basic_auth=basic_auth,
        ca_certs=ca_certs,
        verify_certs=verify_certs,
        client_cert=client_cert,
        client_key=client_key,
    )
    return await connect_with(options, urls)


async def connect_with(
    options: EngineOptions,
    urls: str | Sequence[str],
    *,
    may_be_down: bool = False,
    max_answer_bytes: int | None = None,
) -> RelayConnector:
    """Do what `connect` does with ready options.

    `may_be_down`: an engine that does not answer now is "unknown" instead of an error, so that a proxy can
    start before its engine. `max_answer_bytes` bounds what a buffered search may hold.
    """
    products, plain = zip(*map(_split_product, [urls] if isinstance(urls, str) else urls), strict=True)
    if len(set(products)) > 1:
        raise ValueError(f"the nodes of one engine must be of one kind, not {', '.join(map(str, products))}")
    relay = Relay(plain, options)
    try:
        facts = EngineFacts(product=products[0]) if products[0] else await _ask(relay, may_be_down=may_be_down)
    except BaseException:
        await relay.aclose()
        raise
    connector = _CONNECTORS.get(facts.product, RelayConnector)
    return connector(relay, facts, max_answer_bytes=max_answer_bytes)


def _split_product(url: str) -> tuple[str | None, str]:
    product, plus, rest = url.partition("+")
    if not plus or "://" in product:
        return None, url
    if product not in _CONNECTORS:
        raise ValueError(f"engine kind {product!r} in {url!r} is not one of {', '.join(_CONNECTORS)}")
    return product, rest


async def _ask(relay: Relay, *, may_be_down: bool) -> EngineFacts:
    try:
        answer = await relay.fetch(SearchRequest(method="GET", target="/"), max_bytes=CHUNK_BYTES)
    except EngineError as error:
        if not may_be_down:
            raise
        logger.warning("engine_unreachable at_start=true error=%s", error)
        return EngineFacts(product="unknown")
    facts = _recognise(answer)
    if facts is not None:
        return facts
    if answer.status in {401, 403} and may_be_down:
        return EngineFacts(product="unknown")
    raise UnknownEngine(
        f"{relay.urls[0]} answers {answer.status} to GET / and is not known as Elasticsearch or OpenSearch; "
        f"give credentials, or say which it is: elasticsearch+{relay.urls[0]} or opensearch+{relay.urls[0]}"
    )


def _recognise(answer: SearchResponse) -> EngineFacts | None:
    try:
        info: Any = answer.json
    except ValueError:
        info = None
    document = info if isinstance(info, dict) else {}
    return opensearch.recognise(answer.headers, document) or elasticsearch.recognise(answer.headers, document)

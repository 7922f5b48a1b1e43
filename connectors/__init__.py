"""The engines: Elasticsearch, OpenSearch, and one embedded in this process.

    from connectors import connect

    async with await connect("http://localhost:9200") as engine:
        answer = await engine.search(SearchRequest.build(index="books", body={"query": …}))

Inside this repository import `connectors.base` and its siblings instead: names here are loaded when asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connectors.base import Connector as Connector
    from connectors.base import Hit as Hit
    from connectors.base import RelayRequest as RelayRequest
    from connectors.base import RelayResponse as RelayResponse
    from connectors.base import SearchRequest as SearchRequest
    from connectors.base import SearchResponse as SearchResponse
    from connectors.detect import connect as connect
    from connectors.elasticsearch import ElasticsearchConnector as ElasticsearchConnector
    from connectors.embedded import EmbeddedConnector as EmbeddedConnector
    from connectors.errors import EngineError as EngineError
    from connectors.errors import EngineStatusError as EngineStatusError
    from connectors.errors import EngineTimeout as EngineTimeout
    from connectors.errors import EngineUnavailable as EngineUnavailable
    from connectors.errors import UnknownEngine as UnknownEngine
    from connectors.opensearch import OpenSearchConnector as OpenSearchConnector

_HOMES = {
    "Connector": "base",
    "ElasticsearchConnector": "elasticsearch",
    "EmbeddedConnector": "embedded",
    "EngineError": "errors",
    "EngineStatusError": "errors",
    "EngineTimeout": "errors",
    "EngineUnavailable": "errors",
    "Hit": "base",
    "OpenSearchConnector": "opensearch",
    "RelayRequest": "base",
    "RelayResponse": "base",
    "SearchRequest": "base",
    "SearchResponse": "base",
    "UnknownEngine": "errors",
    "connect": "detect",
}

__all__ = sorted(_HOMES)  # one list of names


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'connectors' has no attribute {name!r}")
    return getattr(importlib.import_module(f"connectors.{_HOMES[name]}"), name)

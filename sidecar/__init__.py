"""Rerank the hits of Elasticsearch and OpenSearch with a cross-encoder. Read `sidecar/pipeline.py` first.

The public names are loaded when they are asked for, so that importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sidecar.errors import BadRerankRequest as BadRerankRequest
    from sidecar.errors import RerankUnavailable as RerankUnavailable
    from sidecar.integrations.client import AsyncReranker as AsyncReranker
    from sidecar.integrations.client import Reranker as Reranker
    from sidecar.integrations.settings import RerankSettings as RerankSettings
    from sidecar.pipeline import RerankingConnector as RerankingConnector
    from sidecar.policy import IndexPolicy as IndexPolicy
    from sidecar.policy import Policy as Policy
    from sidecar.scoring.base import ModelFacts as ModelFacts
    from sidecar.scoring.base import Scorer as Scorer
    from sidecar.scoring.loading import load_scorer as load_scorer
    from sidecar.types import RerankOptions as RerankOptions
    from sidecar.types import Signal as Signal

_HOMES = {
    "AsyncReranker": "sidecar.integrations.client",
    "BadRerankRequest": "sidecar.errors",
    "IndexPolicy": "sidecar.policy",
    "ModelFacts": "sidecar.scoring.base",
    "Policy": "sidecar.policy",
    "RerankOptions": "sidecar.types",
    "RerankSettings": "sidecar.integrations.settings",
    "RerankUnavailable": "sidecar.errors",
    "Reranker": "sidecar.integrations.client",
    "RerankingConnector": "sidecar.pipeline",
    "Scorer": "sidecar.scoring.base",
    "Signal": "sidecar.types",
    "load_scorer": "sidecar.scoring.loading",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sidecar' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)

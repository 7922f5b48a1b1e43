"""Which requests are searches. An exact list: everything else is the engine's, byte for byte."""

from __future__ import annotations

import re
from typing import Final

from sidecar.types import Operation

_ROUTE: Final = re.compile(r"(?:/(?:_all|[^/?_][^/?]*))?/(?P<operation>_search|_msearch)/?")
_METHODS: Final = frozenset({"GET", "POST"})


def operation(method: str, target: str) -> Operation | None:
    """Return what a request asks for, or None when it is no search.

    `target` is the raw request target; an index expression is not decoded.
    """
    match = _ROUTE.fullmatch(target.partition("?")[0])
    if match is None or method not in _METHODS:
        return None
    return Operation.SEARCH if match["operation"] == "_search" else Operation.MSEARCH

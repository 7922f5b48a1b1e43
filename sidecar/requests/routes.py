"""Which requests are searches. An exact list: everything else is the engine's, byte for byte."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sidecar.types import Operation

_INDEX: Final = r"(?:/(?:_all|[^/?_][^/?]*))?"
_ROUTE: Final = re.compile(rf"{_INDEX}/(?P<operation>_search|_msearch)(?P<template>/template)?/?")
_ASYNC: Final = re.compile(
    rf"{_INDEX}/_async_search/?|/_async_search/[^/]+/?"
    rf"|{_INDEX}/_plugins/_asynchronous_search/?|/_plugins/_asynchronous_search/[^/]+/?"
)
_METHODS: Final = frozenset({"GET", "POST"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What a request asks for."""

    operation: Operation
    #: the body names a template that stands for the search
    is_template: bool = False
    #: the answer comes in parts, later
    is_async: bool = False


def route(method: str, target: str) -> Route | None:
    """Return what a request asks for, or None when it is no search.

    `target` is the raw request target; an index expression is not decoded.
    """
    path = target.partition("?")[0]
    if method not in _METHODS:
        return None
    match = _ROUTE.fullmatch(path)
    if match is not None:
        operation = Operation.SEARCH if match["operation"] == "_search" else Operation.MSEARCH
        return Route(operation=operation, is_template=match["template"] is not None)
    return Route(operation=Operation.SEARCH, is_async=True) if _ASYNC.fullmatch(path) else None

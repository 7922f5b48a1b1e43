"""Which requests are searches: an exact list."""

import pytest

from sidecar.requests.routes import Route, route
from sidecar.types import Operation

SEARCH, MSEARCH = Route(operation=Operation.SEARCH), Route(operation=Operation.MSEARCH)
SEARCH_TEMPLATE = Route(operation=Operation.SEARCH, is_template=True)
MSEARCH_TEMPLATE = Route(operation=Operation.MSEARCH, is_template=True)
ASYNC = Route(operation=Operation.SEARCH, is_async=True)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/_search", SEARCH),
        ("/books/_search", SEARCH),
        ("/books/_search/", SEARCH),
        ("/books,films*,-old/_search?size=1", SEARCH),
        ("/%3Clogs-%7Bnow%2Fd%7D%3E/_search", SEARCH),
        ("/remote:books/_search?q=a/b", SEARCH),
        ("/_all/_search", SEARCH),
        ("/_msearch", MSEARCH),
        ("/books/_msearch?pretty", MSEARCH),
        ("/_all/_msearch", MSEARCH),
        ("/", None),
        ("/books", None),
        ("/_search/template", SEARCH_TEMPLATE),
        ("/books/_search/template?pretty", SEARCH_TEMPLATE),
        ("/_msearch/template", MSEARCH_TEMPLATE),
        ("/books/_async_search?size=3", ASYNC),
        ("/_async_search/FmRldE8zREVEUzA2ZVpUeGs2ejJFUFEaMkZ5QTVrSTZSaVN3WlNFVmtlWHJsdzoxMDc=", ASYNC),
        ("/_async_search/status/abc", None),
        ("/books/_plugins/_asynchronous_search", ASYNC),
        ("/_plugins/_asynchronous_search/abc", ASYNC),
        ("/_render/template", None),
        ("/_search/scroll", None),
        ("/books/_search/point_in_time", None),
        ("/books/_msearch/template", MSEARCH_TEMPLATE),
        ("/books/_count", None),
        ("/books/_searches", None),
        ("/books/x_search", None),
        ("/a/b/_search", None),
        ("//_search", None),
        ("//books/_search", None),
        ("/_scripts/_search", None),
        ("/books/_doc/_search", None),
        ("/books/%5Fsearch", None),
        ("/_rank_eval", None),
        ("/x?/_search", None),
    ],
)
def test_only_exact_paths_are_searches(target: str, expected: Route | None) -> None:
    """Everything else is the engine's, byte for byte."""
    assert expected == route("POST", target)


@pytest.mark.parametrize(
    ("method", "expected"), [("GET", SEARCH), ("POST", SEARCH), ("HEAD", None), ("PUT", None), ("OPTIONS", None)]
)
def test_only_get_and_post_search(method: str, expected: Route | None) -> None:
    """A HEAD has no page to rerank."""
    assert expected == route(method, "/books/_search")

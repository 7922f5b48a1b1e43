"""Which requests are searches: an exact list."""

import pytest

from sidecar.routes import operation
from sidecar.types import Operation

SEARCH, MSEARCH = Operation.SEARCH, Operation.MSEARCH


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
        ("/_search/template", None),
        ("/_search/scroll", None),
        ("/books/_search/point_in_time", None),
        ("/books/_msearch/template", None),
        ("/books/_async_search", None),
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
def test_only_exact_paths_are_searches(target: str, expected: Operation | None) -> None:
    """Everything else is the engine's, byte for byte."""
    assert expected is operation("POST", target)


@pytest.mark.parametrize(
    ("method", "expected"), [("GET", SEARCH), ("POST", SEARCH), ("HEAD", None), ("PUT", None), ("OPTIONS", None)]
)
def test_only_get_and_post_search(method: str, expected: Operation | None) -> None:
    """A HEAD has no page to rerank."""
    assert expected is operation(method, "/books/_search")

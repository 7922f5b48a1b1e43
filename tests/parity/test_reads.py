"""Tests of telling reads and searches from the rest."""

import pytest

from tests.parity.calls import Request
from tests.parity.reads import is_search, only_reads


@pytest.mark.parametrize(
    ("method", "target", "reads", "searches"),
    [
        ("GET", "/_cat/indices", True, False),
        ("HEAD", "/a", True, False),
        ("GET", "/_search", True, True),
        ("POST", "/a,b/_search?size=1", True, True),
        ("POST", "/_all/_msearch", True, True),
        ("GET", "/a/_search/", True, True),
        ("POST", "/a/_count", True, False),
        ("POST", "/a/_explain/1", True, False),
        ("POST", "/_search/template", True, True),
        ("POST", "/_render/template", True, False),
        ("POST", "/a/_async_search?q=x", False, True),
        ("GET", "/_async_search/abc=", True, True),
        ("GET", "/_async_search/status/abc", True, False),
        ("GET", "/_search/scroll", False, False),
        ("POST", "/_search/scroll", False, False),
        ("POST", "/a/_search/point_in_time?keep_alive=1m", False, False),
        ("PUT", "/a/_search", False, False),
        ("POST", "/a/_doc", False, False),
        ("POST", "/_bulk", False, False),
        ("POST", "/a/_update/_search", False, False),
        ("DELETE", "/a", False, False),
    ],
)
def test_reads_and_searches(method: str, target: str, reads: bool, searches: bool) -> None:
    """What moves a scroll on or opens something is no read."""
    request = Request(method=method, target=target)
    assert (only_reads(request), is_search(request)) == (reads, searches)

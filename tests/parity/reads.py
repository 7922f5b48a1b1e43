"""Which requests only read, so that asking again changes nothing; and which are searches."""

import re

from tests.parity.calls import Request

_INDEX = r"(?:/(?:_all|[^/_?][^/?]*))?"
_END = r"/?(?:\?|$)"
_SEARCH = re.compile(
    rf"{_INDEX}/_m?search(?:/template)?{_END}|{_INDEX}/_async_search{_END}|/_async_search/[^/?]+{_END}"
)
_WRITING_GETS = re.compile(r"/_search/scroll")  # every call moves it on
_READING_POSTS = re.compile(
    rf"{_INDEX}/_(?:m?search|count|mget|m?termvectors|field_caps|analyze|search_shards|rank_eval){_END}"
    rf"|{_INDEX}/_(?:explain|termvectors)/[^/]+{_END}|{_INDEX}/_validate/query|{_INDEX}/_(?:m?search|render)/template"
    r"|/_index_template/_simulate|/_cluster/allocation/explain"
)


def is_search(request: Request) -> bool:
    """Return whether a request is one of those that a reranking proxy answers."""
    return request.method in ("GET", "POST") and _SEARCH.match(request.target) is not None


def only_reads(request: Request) -> bool:
    """Return whether asking again is harmless."""
    if _WRITING_GETS.match(request.target):
        return False
    if request.method in ("GET", "HEAD"):
        return True
    return request.method == "POST" and _READING_POSTS.match(request.target) is not None

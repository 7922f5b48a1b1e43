"""What elasticsearch-py has of its own: keywords that are members of the body."""

from sidecar.integrations import elasticsearch


def test_settings_among_keywords() -> None:
    """`ext` is one of them."""
    assert {"index": "books", "query": {}, "ext": {"mine": 1, "rerank": {"window": 9}}} == elasticsearch.with_ext(
        {"index": "books", "query": {}, "ext": {"mine": 1}}, {"window": 9}
    )


def test_settings_in_a_body() -> None:
    """Where the body is given as a whole; what it says itself wins."""
    arguments = {"index": "books", "body": {"query": {}, "ext": {"rerank": {"window": 3}}}}
    assert {
        "index": "books",
        "body": {"query": {}, "ext": {"rerank": {"window": 3, "explain": True}}},
    } == elasticsearch.with_ext(arguments, {"window": 9, "explain": True})

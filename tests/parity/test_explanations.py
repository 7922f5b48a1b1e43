"""Tests of the explained differences."""

import pytest

from tests.parity.explanations import EXPLANATIONS, explain


@pytest.mark.parametrize(
    ("mode", "call", "paths", "names"),
    [
        ("B", "GET /a/_search", ["body.hits.hits.0._score", "body.hits.max_score"], {"_score"}),
        ("B", "GET /_msearch", ["body.responses.0.hits.max_score"], {"_score"}),
        ("B", "GET /a/_search", ["body.hits.hits.0._score", "body.hits.hits.0._id"], None),
        ("B", "GET /a/_search", ["body.hits.hits.0._source.my_score"], None),
        ("B", "GET /a/_doc/1", ["body._score"], None),
        ("A", "GET /a/_search", ["body.hits.hits.0._score"], None),
        ("C", "GET /a/_search", ["body.hits.hits.0._score"], None),
        ("D", "GET /a/_search?x", ["body.profile.shards.0.fetch.0.type"], {"profile"}),
        ("A", "GET /a/_search", ["body.profile.shards.0.fetch.0.type"], None),
        ("A", "GET /a/_search", ["body.profile.shards.0.searches.0.query.0.breakdown.score"], {"times in a profile"}),
        ("A", "GET /_stats", ["body._all.total.search.query_time_in_millis"], {"measured"}),
        ("A", "GET /_stats", ["body._all.total.search.query_total"], None),
        ("B", "GET /_stats", ["body._all.total.search.query_total"], {"searches counted"}),
        ("A", "GET /_nodes/stats", ["body.nodes.n.thread_pool.management.active"], {"busy threads"}),
        ("A", "GET /_cat/indices", ["body.3"], None),
        ("A", "GET /a/_search", ["body.aggregations.time"], None),
        ("A", "GET /a/_mapping", ["bytes"], {"order of names"}),
        ("A", "POST /a*/_close", ["bytes"], {"order of names"}),
        ("A", "POST /a*/_close", ["body.acknowledged"], None),
        ("A", "GET /a/_search", ["bytes"], None),
        ("A", "GET /_bulk", ["body.items.3.index._seq_no"], {"documents without ids"}),
        ("A", "GET /_bulk", ["body.items.3.index.status"], None),
        ("A", 'POST /a/_search {"sort": "_shard_doc"}', ["body.hits.hits.0.sort.0"], {"order of shards"}),
        ("A", 'POST /a/_search {"sort": "price"}', ["body.hits.hits.0.sort.0"], None),
        ("A", 'GET /a/_mapping {"x": "/_stats"}', ["body.time"], None),
    ],
)
def test_an_explanation_holds_where_it_says_and_nowhere_else(
    mode: str, call: str, paths: list[str], names: set[str] | None
) -> None:
    """One difference without an explanation leaves the whole answer unexplained."""
    assert explain(mode, call, paths) == names


def test_every_explanation_has_a_reason() -> None:
    """And a name of its own."""
    assert all(each.reason for each in EXPLANATIONS)
    assert len({each.name for each in EXPLANATIONS}) == len(EXPLANATIONS)

"""Lines of the engines' logs: the formats that they have had."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from sidecar.replay import slow_logs
from sidecar.replay.recorded import NO_INDEX, NO_SEARCH, NOT_JSON, Found, Unreplayable

BODY = '{"size":10,"query":{"match":{"text":{"query":"tea ], id[7], and \\"more\\"","boost":1.0}}}}'
TIME = datetime(2026, 3, 13, 1, 1, 57, 391000, tzinfo=UTC)
COMMON = f"total_hits[3 hits], stats[], search_type[QUERY_THEN_FETCH], total_shards[1], source[{BODY}]"
PLAIN = {
    "elasticsearch 6": "[2026-03-13T01:01:57,391][INFO ][index.search.slowlog.query] [node] [books][0] took[4.5ms], "
    f"took_millis[4], total_hits[3], types[], stats[], search_type[X], total_shards[1], source[{BODY}],",
    "no node": f"[2026-03-13T01:01:57,391][WARN ][i.s.s.fetch] [books][0] took[4ms], took_millis[4], {COMMON}, id[], ",
    "opensearch": "[2026-03-13T01:01:57,391][WARN ][index.search.slowlog.query] [node] [books][0] took[4.5ms], "
    f"took_millis[4], {COMMON}, id[mine], ",
    "opensearch 3": f"[2026-03-13T01:01:57,391][WARN ][i.s.s.query] [books][0] took[4.5ms], took_millis[4], {COMMON}, "
    "id[mine], request_id[a-b], ",
    "elasticsearch 9": '[2026-03-13T01:01:57,391][WARN ][i.s.s.query] elasticsearch.slowlog.id="mine" '
    'elasticsearch.slowlog.message="[books][0]" elasticsearch.slowlog.search_type="QUERY_THEN_FETCH" '
    f'elasticsearch.slowlog.source={json.dumps(BODY)} elasticsearch.slowlog.took_millis="4"',
}
OLD_JSON = {
    "type": "index_search_slowlog",
    "timestamp": "2026-03-13T01:01:57,391Z",
    "level": "WARN",
    "component": "i.s.s.query",
    "message": "[books][0]",
    "took": "4.5ms",
    "took_millis": "4",
    "search_type": "QUERY_THEN_FETCH",
    "source": BODY,
    "id": "mine",
}
ECS = {
    "@timestamp": "2026-03-13T01:01:57.391Z",
    "elasticsearch.slowlog.id": "mine",
    "elasticsearch.slowlog.message": "[books][0]",
    "elasticsearch.slowlog.search_type": "QUERY_THEN_FETCH",
    "elasticsearch.slowlog.source": BODY,
    "elasticsearch.slowlog.took_millis": 4,
    "event.dataset": "elasticsearch.index_search_slowlog",
    "log.logger": "index.search.slowlog.query",
}
QUERY_LOG = {
    "@timestamp": "2026-03-13T01:01:57.391Z",
    "elasticsearch.querylog.indices": ["books"],
    "elasticsearch.querylog.query": BODY,
    "elasticsearch.querylog.took_millis": 4,
    "elasticsearch.querylog.type": "dsl",
    "http.request.headers.x_opaque_id": "mine",
    "event.dataset": "elasticsearch.querylog",
}
SHIPPED = {
    "@timestamp": "2026-03-13T01:01:57.391Z",
    "message": "[books][0]",
    "log.logger": "index.search.slowlog.query",
    "elasticsearch": {
        "slowlog": {"message": "[books][0]", "search_type": "X", "source": BODY, "took_millis": 4, "id": "mine"}
    },
}
OBJECTS: dict[str, dict[str, Any]] = {
    "elasticsearch 7, opensearch": OLD_JSON,
    "elasticsearch 8": ECS,
    "escaped once more": {**ECS, "elasticsearch.slowlog.source": json.dumps(BODY)[1:-1]},
    "query log": QUERY_LOG,
    "from a shipper": SHIPPED,
}


def check(found: Found, id: str | None = "mine") -> None:
    """Check that it is the search of all these lines."""
    assert "/books/_search" == found.request.target
    assert json.loads(BODY) == json.loads(found.request.body)
    assert (id, 0.004, TIME) == (found.id, found.seconds, found.time)


@pytest.mark.parametrize("name", PLAIN)
def test_lines_of_text(name: str) -> None:
    """With and without the node's name and the caller's own."""
    assert slow_logs.is_text(PLAIN[name])
    check(
        slow_logs.of_text(PLAIN[name]), id="mine" if name in ("opensearch", "opensearch 3", "elasticsearch 9") else None
    )


@pytest.mark.parametrize("name", OBJECTS)
def test_lines_of_json(name: str) -> None:
    """Of every version, and as shippers rewrite them."""
    assert slow_logs.is_object(OBJECTS[name])
    check(slow_logs.of_object(OBJECTS[name]))


def test_a_line_says_which_part_of_a_search_it_is_about() -> None:
    """A shard and a phase; the query log has one line for a search."""
    assert "0 index.search.slowlog.query" == slow_logs.of_text(PLAIN["opensearch"]).part
    assert "0 index.search.slowlog.query" == slow_logs.of_object(ECS).part
    assert "" == slow_logs.of_object(QUERY_LOG).part


def test_a_slow_request_of_opensearch_does_not_name_its_index() -> None:
    """So that it has to be said."""
    line = (
        "[2026-03-13T01:01:57,391][WARN ][cluster.search.request.slowlog] [node] took[4.5ms], took_millis[4], "
        f"phase_took_millis[{{query=3}}], total_hits[3], search_type[X], shards[{{total:1}}], source[{BODY}], id[mine]"
    )
    with pytest.raises(Unreplayable, match=NO_INDEX):
        slow_logs.of_text(line)
    check(slow_logs.of_text(line, "books"))


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({**QUERY_LOG, "elasticsearch.querylog.type": "esql"}, NO_SEARCH),
        ({name: value for name, value in OLD_JSON.items() if name != "search_type"}, NO_SEARCH),
        ({name: value for name, value in ECS.items() if not name.endswith("search_type")}, NO_SEARCH),
        ({**ECS, "elasticsearch.slowlog.source": BODY[:20]}, NOT_JSON),
        ({"type": "index_search_slowlog", "message": "started"}, NO_SEARCH),
    ],
)
def test_other_lines_are_refused(value: dict[str, Any], why: str) -> None:
    """Writes above all."""
    with pytest.raises(Unreplayable, match=why):
        slow_logs.of_object(value)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (
            "[2026][WARN ][index.indexing.slowlog.index] [n] [books/x] took[1s], took_millis[9], id[1], source[{}]",
            NO_SEARCH,
        ),
        (PLAIN["opensearch"].partition('"match"')[0], NOT_JSON),
    ],
)
def test_other_text_is_refused(line: str, why: str) -> None:
    """A line that was cut off, too."""
    with pytest.raises(Unreplayable, match=why):
        slow_logs.of_text(line)

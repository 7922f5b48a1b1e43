"""elasticsearch-py on a real Elasticsearch: the client is the published one, and only its URL is another.

Every call is made twice, at the engine itself and through the proxy, by `Elasticsearch` and by `AsyncElasticsearch`.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from elasticsearch import AsyncElasticsearch, helpers

from tests.integration import clients
from tests.integration.books import BOOKS, book
from tests.integration.clients import Call, Client, Steps, comparable, shortest_first
from tests.integration.proxies import ShortestFirst, proxied

COMPRESSED = pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
CLIENTS = pytest.mark.parametrize("client", clients.ELASTICSEARCH, ids=["sync", "async"])
pytestmark = pytest.mark.parametrize("engine_url", ["elasticsearch"], indirect=True)

TEA: dict[str, Any] = {"match": {"body": "tea"}}
VERSION_8 = dict.fromkeys(("accept", "content-type"), "application/vnd.elasticsearch+json; compatible-with=8")
BY_NUMBER = [{"n": "asc"}]
SHELVES = {"shelves": {"terms": {"field": "shelf"}, "aggs": {"price": {"avg": {"field": "price"}}}}}
NEW_INDEX: dict[str, Any] = {
    "settings": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "20ms"},
    "mappings": {"properties": {"title": {"type": "text"}, "n": {"type": "integer"}}},
}


def bulk(client: Any, actions: Any, **options: Any) -> Any:
    """Call the helper `bulk` of this kind of client."""
    ask: Any = helpers.async_bulk if isinstance(client, AsyncElasticsearch) else helpers.bulk
    return ask(client, actions, **options)


def streaming_bulk(client: Any, actions: Any, **options: Any) -> Any:
    """Call the helper `streaming_bulk` of this kind of client."""
    ask: Any = helpers.async_streaming_bulk if isinstance(client, AsyncElasticsearch) else helpers.streaming_bulk
    return ask(client, actions, **options)


def scan(client: Any, **options: Any) -> Any:
    """Call the helper `scan` of this kind of client."""
    ask: Any = helpers.async_scan if isinstance(client, AsyncElasticsearch) else helpers.scan
    return ask(client, **options)


# --- searches that are reranked -----------------------------------------------------------------------------

BODY_ORDER = shortest_first("body")

RERANKED: dict[str, tuple[Call, list[str]]] = {
    "match": (lambda c, i: c.search(index=i, query=TEA, size=BOOKS), BODY_ORDER),
    "body=": (lambda c, i: c.search(index=i, body={"query": TEA, "size": BOOKS}), BODY_ORDER),
    "bool with a filter": (
        lambda c, i: c.search(
            index=i, query={"bool": {"must": [TEA], "filter": [{"range": {"n": {"lt": 20}}}]}}, size=BOOKS
        ),
        shortest_first("body", among=range(20)),
    ),
    "multi_match": (
        lambda c, i: c.search(
            index=i, query={"multi_match": {"query": "tea", "fields": ["title^2", "body"]}}, size=BOOKS
        ),
        shortest_first("title", "body"),
    ),
    "q": (lambda c, i: c.search(index=i, q="tea", df="body", size=BOOKS), BODY_ORDER),
    "several indices": (lambda c, i: c.search(index=[i, f"{i}*"], query=TEA, size=BOOKS), BODY_ORDER),
    "aggregations": (lambda c, i: c.search(index=i, query=TEA, size=BOOKS, aggs=SHELVES), BODY_ORDER),
    "suggest": (
        lambda c, i: c.search(
            index=i, query=TEA, size=BOOKS, suggest={"near": {"text": "taa", "term": {"field": "title"}}}
        ),
        BODY_ORDER,
    ),
    "post_filter": (
        lambda c, i: c.search(index=i, query=TEA, size=BOOKS, post_filter={"term": {"shelf": "shelf-1"}}),
        shortest_first("body", among=range(1, BOOKS, 3)),
    ),
    "sort by _score": (lambda c, i: c.search(index=i, query=TEA, size=BOOKS, sort=["_score"]), BODY_ORDER),
    "highlight": (
        lambda c, i: c.search(index=i, query=TEA, size=BOOKS, highlight={"fields": {"body": {}}}),
        BODY_ORDER,
    ),
    "source": (lambda c, i: c.search(index=i, query=TEA, size=BOOKS, source=["title", "n"]), BODY_ORDER),
    "no source": (lambda c, i: c.search(index=i, query=TEA, size=BOOKS, source=False), BODY_ORDER),
    "source excludes": (lambda c, i: c.search(index=i, query=TEA, size=BOOKS, source_excludes=["body"]), BODY_ORDER),
    "fields": (lambda c, i: c.search(index=i, query=TEA, size=BOOKS, fields=["title", "n"], source=False), BODY_ORDER),
    "stored fields": (lambda c, i: c.search(index=i, query=TEA, size=BOOKS, stored_fields=["note"]), BODY_ORDER),
    "docvalue fields": (lambda c, i: c.search(index=i, query=TEA, size=BOOKS, docvalue_fields=["n"]), BODY_ORDER),
    "explain and version": (
        lambda c, i: c.search(index=i, query=TEA, size=BOOKS, explain=True, version=True, seq_no_primary_term=True),
        BODY_ORDER,
    ),
    "filter_path": (
        lambda c, i: c.search(
            index=i, query=TEA, size=BOOKS, filter_path=["hits.max_score", "hits.hits._id", "hits.hits._score"]
        ),
        BODY_ORDER,
    ),
    "exact total": (lambda c, i: c.search(index=i, query=TEA, size=BOOKS, track_total_hits=True), BODY_ORDER),
    "total as a number": (
        lambda c, i: c.search(index=i, query=TEA, size=BOOKS, rest_total_hits_as_int=True),
        BODY_ORDER,
    ),
    "no total": (lambda c, i: c.search(index=i, query=TEA, size=BOOKS, track_total_hits=False), BODY_ORDER),
    "parameters": (
        lambda c, i: c.search(
            index=i, query=TEA, size=BOOKS, preference="_local", routing="1", request_cache=False, typed_keys=True
        ),
        BODY_ORDER,
    ),
    "pretty": (lambda c, i: c.search(index=i, query=TEA, size=BOOKS, pretty=True, human=True), BODY_ORDER),
    "retriever": (lambda c, i: c.search(index=i, retriever={"standard": {"query": TEA}}, size=BOOKS), BODY_ORDER),
    "options": (lambda c, i: c.options(opaque_id="a").search(index=i, query=TEA, size=BOOKS), BODY_ORDER),
    "an older client's version of the API": (
        lambda c, i: c.options(headers=VERSION_8).search(index=i, query=TEA, size=BOOKS),
        BODY_ORDER,
    ),
    "perform_request": (
        lambda c, i: c.perform_request(
            "POST",
            f"/{i}/_search",
            params={"size": BOOKS},
            headers={"accept": "application/json", "content-type": "application/json"},
            body={"query": TEA},
        ),
        BODY_ORDER,
    ),
}


@CLIENTS
@COMPRESSED
@pytest.mark.parametrize("name", RERANKED)
async def test_a_search_is_reranked(engine_url: str, library: str, client: Client, compressed: bool, name: str) -> None:
    """The hits come in the scorer's order; they, the total and the aggregations are the engine's, and the headers."""
    ask, expected = RERANKED[name]
    direct = await clients.answer(client, engine_url, ask, library, http_compress=compressed)
    async with proxied(engine_url, ShortestFirst(), deadline=0) as url:
        given = await clients.answer(client, url, ask, library, http_compress=compressed)
    clients.assert_reranked(direct["body"], given["body"], expected)
    assert given["headers"].pop("x-rerank").startswith("applied")
    assert comparable([direct["status"], direct["headers"]]) == comparable([given["status"], given["headers"]])


@CLIENTS
async def test_pages_are_cut_from_one_ranking(engine_url: str, library: str, client: Client) -> None:
    """Pages by `from` and `size` put together are the scorer's ranking."""

    def page_by_page(c: Any, i: str) -> Steps:
        for offset in range(0, 35, 7):
            yield c.search(index=i, query=TEA, from_=offset, size=7)

    async with proxied(engine_url, ShortestFirst(), deadline=0) as url:
        pages = [page["body"] for page in await clients.answers(client, url, page_by_page, library)]
    assert BODY_ORDER == [name for page in pages for name in clients.ids(page)]
    assert [BOOKS] * 5 == [page["hits"]["total"]["value"] for page in pages]


@CLIENTS
async def test_a_caller_can_say_no(engine_url: str, library: str, client: Client) -> None:
    """Reranking can be switched off for one call, by a header or in `ext`; the answer is then the engine's."""
    calls: list[Call] = [
        lambda c, i: c.search(index=i, query=TEA),
        lambda c, i: c.options(headers={"X-Rerank": "off"}).search(index=i, query=TEA),
        lambda c, i: c.search(index=i, query=TEA, ext={"rerank": {"enabled": False}}),
    ]
    direct = await clients.answer(client, engine_url, calls[0], library)
    async with proxied(engine_url, ShortestFirst(), deadline=0) as url:
        given = [await clients.answer(client, url, ask, library) for ask in calls]
    assert BODY_ORDER[:10] == clients.ids(given[0]["body"])
    assert [comparable(direct)] * 2 == [comparable(answer) for answer in given[1:]]


@CLIENTS
@COMPRESSED
async def test_each_search_of_a_multi_search_is_reranked(
    engine_url: str, library: str, client: Client, compressed: bool
) -> None:
    """Searches for words are reranked; what is no such search, or an error, is in its place as the engine has it."""

    def ask(c: Any, i: str) -> Any:
        return c.msearch(
            index=i,
            searches=[
                {},
                {"query": TEA, "size": BOOKS, "aggs": SHELVES},
                {"index": i},
                {"query": {"match_all": {}}, "sort": BY_NUMBER},
                {},
                {"query": {"bool": {"must": TEA, "filter": {"range": {"n": {"lt": "no number"}}}}}},
                {"index": "no-such-index"},
                {"query": TEA},
                {"index": i},
                {"query": TEA, "from": 3, "size": 4},
            ],
        )

    direct = await clients.answer(client, engine_url, ask, library, http_compress=compressed)
    async with proxied(engine_url, ShortestFirst(), deadline=0) as url:
        given = await clients.answer(client, url, ask, library, http_compress=compressed)
    wanted, found = direct["body"]["responses"], given["body"]["responses"]
    clients.assert_reranked(wanted[0], found[0], BODY_ORDER)
    assert comparable(wanted[1:4]) == comparable(found[1:4])
    assert [200, 200, 400, 404, 200] == [item["status"] for item in found]
    assert BODY_ORDER[3:7] == clients.ids(found[4])


# --- everything else ----------------------------------------------------------------------------------------


def scroll(c: Any, i: str) -> Steps:
    """Read the library by scrolling, best first."""
    page = yield c.search(index=i, query=TEA, size=8, scroll="1m")
    while page["hits"]["hits"]:
        page = yield c.scroll(scroll_id=page["_scroll_id"], scroll="1m")
    yield c.clear_scroll(scroll_id=page["_scroll_id"])


def read_point_in_time(c: Any, i: str, sort: Any) -> Steps:
    """Read the library from a point in time, page after page."""
    opened = yield c.open_point_in_time(index=i, keep_alive="1m")
    search: dict[str, Any] = {
        "pit": {"id": opened["id"], "keep_alive": "1m"},
        "query": TEA,
        "size": 8,
        "sort": sort,
    }
    page = yield c.search(**search)
    while page["hits"]["hits"]:
        page = yield c.search(**search, search_after=page["hits"]["hits"][-1]["sort"])
    yield c.close_point_in_time(id=page["pit_id"])


def point_in_time(c: Any, i: str) -> Steps:
    """Read the library from a point in time by number."""
    yield from read_point_in_time(c, i, BY_NUMBER)


def point_in_time_by_score_and_number(c: Any, i: str) -> Steps:
    """Read the library from a point in time, best first."""
    yield from read_point_in_time(c, i, [{"_score": "desc"}, {"n": "asc"}])


SAME: dict[str, Call] = {
    "info": lambda c, _: c.info(),
    "ping": lambda c, _: c.ping(),
    "cluster health": lambda c, i: c.cluster.health(index=i, filter_path=["status", "number_of_nodes"]),
    "cat.indices as text": lambda c, i: c.cat.indices(index=i, h=["index", "health", "docs.count"], v=True),
    "cat.indices as JSON": lambda c, i: c.cat.indices(index=i, h=["index", "docs.count"], format="json"),
    "cat.help": lambda c, _: c.cat.help(),
    "count": lambda c, i: c.count(index=i, query=TEA),
    "count all": lambda c, i: c.count(index=i),
    "get": lambda c, i: c.get(index=i, id="3"),
    "get some of it": lambda c, i: c.get(index=i, id="3", source_includes=["title", "exotic"], realtime=False),
    "get_source": lambda c, i: c.get_source(index=i, id="3"),
    "exists": lambda c, i: c.exists(index=i, id="3"),
    "exists not": lambda c, i: c.exists(index=i, id="no-such-id"),
    "exists_source": lambda c, i: c.exists_source(index=i, id="3"),
    "mget": lambda c, i: c.mget(index=i, ids=["3", "no-such-id", "5"]),
    "indices.exists": lambda c, i: c.indices.exists(index=i),
    "indices.exists not": lambda c, _: c.indices.exists(index="no-such-index"),
    "indices.get": lambda c, i: c.indices.get(index=i),
    "indices.get_mapping": lambda c, i: c.indices.get_mapping(index=i),
    "indices.get_settings": lambda c, i: c.indices.get_settings(index=i, flat_settings=True),
    "indices.analyze": lambda c, i: c.indices.analyze(index=i, field="title", text="Black Tea"),
    "field_caps": lambda c, i: c.field_caps(index=i, fields="*"),
    "explain": lambda c, i: c.explain(index=i, id="3", query=TEA),
    "termvectors": lambda c, i: c.termvectors(index=i, id="3", fields=["title"]),
    "validate_query": lambda c, i: c.indices.validate_query(index=i, query=TEA, explain=True),
    "search: all": lambda c, i: c.search(index=i),
    "search: sorted": lambda c, i: c.search(index=i, query=TEA, sort=BY_NUMBER, size=BOOKS),
    "search: sorted in the URL": lambda c, i: c.search(index=i, q="tea", sort="n:desc", pretty=True),
    "search: no hits wanted": lambda c, i: c.search(index=i, query=TEA, size=0, aggs=SHELVES),
    "search: no hits": lambda c, i: c.search(index=i, query={"match": {"body": "coffee"}}),
    "search: a filter": lambda c, i: c.search(index=i, query={"term": {"shelf": "shelf-1"}}, size=BOOKS),
    "search: collapsed": lambda c, i: c.search(index=i, query=TEA, collapse={"field": "shelf"}),
    "search: filter_path without hits": lambda c, i: c.search(index=i, query=TEA, filter_path=["hits.total"]),
    "search: scroll": scroll,
    "search: point in time": point_in_time,
    "search: point in time by score": point_in_time_by_score_and_number,
    "scan": lambda c, i: scan(c, index=i, query={"query": TEA}, size=7, preserve_order=True),
    "perform_request": lambda c, i: c.perform_request("GET", f"/{i}/_doc/3", headers={"accept": "application/json"}),
    "error_trace": lambda c, i: c.count(index=i, query=TEA, error_trace=True, pretty=True, human=True),
}


@CLIENTS
@COMPRESSED
@pytest.mark.parametrize("name", SAME)
async def test_an_answer_is_the_same(
    engine_url: str, library: str, client: Client, compressed: bool, name: str
) -> None:
    """What is no search for words comes back as the engine gave it, and no model is asked."""
    direct = await clients.answers(client, engine_url, SAME[name], library, http_compress=compressed)
    scorer = ShortestFirst()
    async with proxied(engine_url, scorer, deadline=0) as url:
        given = await clients.answers(client, url, SAME[name], library, http_compress=compressed)
    assert comparable(direct) == comparable(given)
    assert not scorer.queries


@CLIENTS
async def test_scan_gives_every_document_once(engine_url: str, library: str, client: Client) -> None:
    """The helper that exports an index misses nothing, in whatever order."""
    async with proxied(engine_url, ShortestFirst(), deadline=0) as url:
        found = await clients.answer(client, url, lambda c, i: scan(c, index=i, query={"query": TEA}, size=4), library)
    assert sorted(BODY_ORDER) == sorted(hit["_id"] for hit in found)
    assert [json.loads(book(int(hit["_id"])))["title"] for hit in found] == [hit["_source"]["title"] for hit in found]


@CLIENTS
async def test_a_point_in_time_read_by_score_gives_every_document_once(
    engine_url: str, library: str, client: Client
) -> None:
    """Who pages with `search_after` from the last hit's `sort` misses nothing and sees nothing twice."""

    def by_score(c: Any, i: str) -> Steps:
        yield from read_point_in_time(c, i, [{"_score": "desc"}])  # Elasticsearch adds `_shard_doc`

    async with proxied(engine_url, ShortestFirst(), deadline=0) as url:
        for address in (engine_url, url):
            _, *pages, _ = await clients.answers(client, address, by_score, library)
            assert sorted(BODY_ORDER) == sorted(name for page in pages for name in clients.ids(page["body"]))


# --- writing ------------------------------------------------------------------------------------------------


def a_life(c: Any, i: str) -> Steps:
    """Create an index, write, change and delete documents, and delete it."""
    yield c.indices.create(index=i, **NEW_INDEX)
    yield c.index(index=i, id="1", document={"title": "green tea", "n": 1}, refresh=True)
    yield c.index(index=i, id="1", document={"title": "black tea — schwarz ☕", "n": 1}, refresh="wait_for")
    yield c.create(index=i, id="2", document={"title": "white tea", "n": 2})
    yield c.index(index=i, id="a/b c%2F", document={"title": "an odd name"})
    yield c.get(index=i, id="a/b c%2F")
    yield c.update(index=i, id="2", doc={"n": 20}, source=True)
    yield c.update(index=i, id="3", doc={"n": 3}, doc_as_upsert=True)
    yield c.get(index=i, id="2")
    yield c.indices.refresh(index=i)
    yield c.search(index=i, query={"match_all": {}}, sort=BY_NUMBER)
    yield c.delete(index=i, id="1", refresh=True)
    yield c.options(ignore_status=404).delete(index=i, id="1")
    yield c.exists(index=i, id="1")
    yield c.indices.put_mapping(index=i, properties={"late": {"type": "keyword"}})
    yield c.indices.get_mapping(index=i)
    yield c.indices.put_alias(index=i, name=f"{i}-alias")
    yield c.indices.exists_alias(name=f"{i}-alias")
    yield c.count(index=f"{i}-alias")
    yield c.indices.delete(index=i)
    yield c.indices.exists(index=i)


def bulk_of_lines(c: Any, i: str) -> Steps:
    """Write with one request that has every kind of line, one of them wrong."""
    yield c.indices.create(index=i, **NEW_INDEX)
    yield c.bulk(
        operations=[
            {"index": {"_index": i, "_id": "1"}},
            {"title": "green tea", "n": 1},
            {"create": {"_index": i, "_id": "2"}},
            {"title": "black tea", "n": "not a number"},
            {"update": {"_index": i, "_id": "1"}},
            {"doc": {"n": 11}},
            {"delete": {"_index": i, "_id": "3"}},
        ],
        refresh=True,
    )
    yield c.search(index=i)
    yield c.indices.delete(index=i)


def bulk_helper(c: Any, i: str) -> Steps:
    """Write with the helpers, in many small requests."""
    yield c.indices.create(index=i, **NEW_INDEX)
    actions = [{"_index": i, "_id": str(n), "title": f"tea {n}", "n": n} for n in range(50)]
    yield bulk(c, actions, chunk_size=7, refresh=True)
    yield c.count(index=i)
    yield streaming_bulk(c, ({"_op_type": "delete", "_index": i, "_id": str(n)} for n in range(0, 50, 2)), refresh=True)
    yield bulk(
        c, [{"_index": i, "_id": "x", "n": "no"}, {"_index": i, "_id": "y", "n": 5}], raise_on_error=False, refresh=True
    )
    yield c.search(index=i, sort=BY_NUMBER, size=50)
    yield c.indices.delete(index=i)


@CLIENTS
@COMPRESSED
@pytest.mark.parametrize("ask", [a_life, bulk_of_lines, bulk_helper], ids=lambda ask: ask.__name__)
async def test_writing_is_the_same(
    engine_url: str, new_index_name: Callable[[], str], client: Client, compressed: bool, ask: Call
) -> None:
    """The same writes, direct to one index and through the proxy to another, have the same answers."""
    first, second = new_index_name(), new_index_name()
    direct = await clients.answers(client, engine_url, ask, first, http_compress=compressed)
    async with proxied(engine_url, ShortestFirst(), deadline=0) as url:
        given = await clients.answers(client, url, ask, second, http_compress=compressed)
    assert comparable(direct, first) == comparable(given, second)


# --- errors -------------------------------------------------------------------------------------------------

ERRORS: dict[str, tuple[Call, int]] = {
    "get missing": (lambda c, i: c.get(index=i, id="no-such-id"), 404),
    "msearch": (lambda c, i: c.msearch(searches=[{"index": i}, {"query": {"no_such_query": {}}}]), 400),
    "get_source missing": (lambda c, i: c.get_source(index=i, id="no-such-id"), 404),
    "unknown query": (lambda c, i: c.search(index=i, query={"no_such_query": {}}), 400),
    "bad match": (
        lambda c, i: c.search(index=i, query={"match": {"body": {"query": "tea", "no_such_option": 1}}}),
        400,
    ),
    "bad filter beside words": (
        lambda c, i: c.search(index=i, query={"bool": {"must": [TEA], "filter": [{"range": {"n": {"lt": "x"}}}]}}),
        400,
    ),
    "unknown key": (lambda c, i: c.search(index=i, body={"query": TEA, "sizee": 3}), 400),
    "negative size": (lambda c, i: c.search(index=i, query=TEA, size=-1), 400),
    "too far": (lambda c, i: c.search(index=i, query=TEA, from_=9_999, size=2), 400),
    "unknown parameter": (
        lambda c, i: c.perform_request("GET", f"/{i}/_search?sizee=1", headers={"accept": "application/json"}),
        400,
    ),
    "unknown index": (lambda c, _: c.search(index="no-such-index", query=TEA), 404),
    "unknown index, to write": (lambda c, _: c.indices.get_mapping(index="no-such-index"), 404),
    "pretty": (lambda c, i: c.search(index=i, query={"no_such_query": {}}, pretty=True), 400),
    "stack trace": (lambda c, i: c.search(index=i, query={"no_such_query": {}}, error_trace=True), 400),
    "count": (lambda c, i: c.count(index=i, query={"no_such_query": {}}), 400),
    "conflict": (lambda c, i: c.create(index=i, id="3", document={"n": 3}), 409),
    "index exists": (lambda c, i: c.indices.create(index=i), 400),
    "bad name": (lambda c, _: c.indices.create(index="Capitals"), 400),
    "strict mapping": (lambda c, i: c.index(index=i, id="new", document={"unknown": 1}), 400),
    "unknown scroll": (lambda c, _: c.scroll(scroll_id="no-such-scroll"), 400),
    "wrong method": (
        lambda c, i: c.perform_request("PATCH", f"/{i}/_search", headers={"accept": "application/json"}),
        405,
    ),
}


@CLIENTS
@pytest.mark.parametrize("name", ERRORS)
async def test_an_error_is_the_same(engine_url: str, library: str, client: Client, name: str) -> None:
    """The client raises the same error with the same words, status, headers and body."""
    ask, status = ERRORS[name]
    direct = await clients.failure(client, engine_url, ask, library)
    async with proxied(engine_url, ShortestFirst(), deadline=0) as url:
        given = await clients.failure(client, url, ask, library)
    assert comparable(direct) == comparable(given)
    assert status == given["status"]


MAY_BE_MISSING: dict[str, Call] = {
    "search_template": lambda c, i: c.search_template(index=i, source={"query": TEA, "size": "{{n}}"}, params={"n": 3}),
    "render_search_template": lambda c, _: c.render_search_template(source={"size": "{{n}}"}, params={"n": 3}),
    "delete_by_query": lambda c, i: c.delete_by_query(index=i, query={"term": {"n": -1}}),
    "update_by_query": lambda c, i: c.update_by_query(index=i, query={"term": {"n": -1}}),
    "rank_eval": lambda c, i: c.rank_eval(
        index=i,
        requests=[{"id": "tea", "request": {"query": TEA}, "ratings": [{"_index": i, "_id": "3", "rating": 1}]}],
        metric={"precision": {"k": 5}},
    ),
    "script_fields": lambda c, i: c.search(
        index=i, query={"match_all": {}}, script_fields={"double": {"script": {"source": "doc['n'].value * 2"}}}
    ),
    "esql": lambda c, i: c.esql.query(query=f"FROM {i} | LIMIT 1"),
    "rrf": lambda c, i: c.search(index=i, retriever={"rrf": {"retrievers": [{"standard": {"query": TEA}}]}}),
    "a path that is none": lambda c, _: c.perform_request("GET", "/_no/such", headers={"accept": "application/json"}),
}


@CLIENTS
@pytest.mark.parametrize("name", MAY_BE_MISSING)
async def test_what_this_engine_may_lack_is_the_same(engine_url: str, library: str, client: Client, name: str) -> None:
    """A call of a module is answered alike, be it by the module or by the engine that lacks it."""
    direct = await clients.outcome(client, engine_url, MAY_BE_MISSING[name], library)
    async with proxied(engine_url, ShortestFirst(), deadline=0) as url:
        given = await clients.outcome(client, url, MAY_BE_MISSING[name], library)
    assert comparable(direct) == comparable(given)

"""The engines' own rerankers on nodes that have none: the same requests are answered by us."""

import json
from typing import Any

import pytest

from tests.integration.books import BOOKS, call, put_documents
from tests.integration.proxies import ShortestFirst, proxied
from tests.integration.wire import NDJSON, same_but_time, send

TEA: dict[str, Any] = {"match": {"body": "tea"}}
STANDARD: dict[str, Any] = {"standard": {"query": TEA}}


def reranker(inner: Any = None, **settings: Any) -> dict[str, Any]:
    """Return a search with Elastic's reranker as its documentation writes it."""
    given = {
        "retriever": inner or STANDARD,
        "field": "body",
        "inference_id": "my-elastic-rerank",
        "inference_text": "how to make tea",
        **settings,
    }
    return {"retriever": {"text_similarity_reranker": given}}


RETRIEVERS: dict[str, dict[str, Any]] = {
    "a query": reranker(),
    "the default endpoint": {
        "retriever": {
            "text_similarity_reranker": {
                "retriever": STANDARD,
                "field": "body",
                "inference_text": "how to make tea",
            }
        }
    },
    "that names us": reranker(inference_id="rerank-sidecar"),
    "a window": reranker(rank_window_size=30),
    "from and size": {**reranker(rank_window_size=100), "from": 2, "size": 5},
    "a filter": reranker(filter={"term": {"shelf": "shelf-1"}}),
    "a filter inside": reranker({"standard": {"query": TEA, "filter": [{"range": {"n": {"lt": 20}}}]}}),
    "a semantic highlighter's companions": {**reranker(), "_source": ["title"], "aggs": {"n": {"max": {"field": "n"}}}},
    "chunks": reranker(chunk_rescorer={"size": 1}),
}


@pytest.mark.parametrize("name", RETRIEVERS)
async def test_elastics_reranker_is_answered(engine_url: str, library: str, name: str) -> None:
    """On both engines, although neither node has it: the texts are scored against `inference_text`."""
    body, scorer = RETRIEVERS[name], ShortestFirst()
    settings = body["retriever"]["text_similarity_reranker"]
    async with proxied(engine_url, scorer, deadline=0) as proxy:
        got = await send(proxy, "POST", f"/{library}/_search", body=body)
    assert (200, "applied") == (got.status, got.outcome), got.body
    assert {"how to make tea"} == set(scorer.queries)
    assert settings.get("rank_window_size", 10) >= len(scorer.texts) > 1
    assert f"window={settings.get('rank_window_size', 10)};" in got.marker


@pytest.mark.parametrize("settings", [{"query_text": "how to make tea"}, {"query_text_path": "query.match.body.query"}])
async def test_opensearchs_query_context_is_answered(engine_url: str, library: str, settings: dict[str, str]) -> None:
    """On both engines, in every form that its documentation has."""
    scorer = ShortestFirst()
    body = {"query": TEA, "size": BOOKS, "ext": {"rerank": {"query_context": settings}}}
    async with proxied(engine_url, scorer, deadline=0) as proxy:
        got = await send(proxy, "POST", f"/{library}/_search", body=body)
        lines = [{"index": library}, body, {"index": library}, body]
        content = "".join(json.dumps(line) + "\n" for line in lines).encode()
        many = await send(proxy, "POST", "/_msearch", body=content, headers=NDJSON)
    assert (200, "applied", BOOKS) == (got.status, got.outcome, len(got.hits))
    assert {settings.get("query_text", "tea")} == set(scorer.queries)
    assert 2 == many.marker.count("applied")
    assert [got.ids] * 2 == [[hit["_id"] for hit in item["hits"]["hits"]] for item in many.json["responses"]]


async def test_a_reranker_beside_other_searches_is_answered(engine_url: str, library: str) -> None:
    """Although the engine refuses the whole `_msearch` for it."""
    searches = [{"query": TEA}, reranker(), {"query": {"match_all": {}}}]
    content = "".join(f"{{}}\n{json.dumps(each)}\n" for each in searches).encode()
    scorer = ShortestFirst()
    async with proxied(engine_url, scorer, deadline=0) as proxy:
        got = await send(proxy, "POST", f"/{library}/_msearch", body=content, headers=NDJSON)
        alone = await send(proxy, "POST", f"/{library}/_search", body=reranker())
    assert ["applied", "applied", "skipped"] == [entry.partition(";")[0] for entry in got.marker.split(", ")]
    assert {"tea", "how to make tea"} == set(scorer.queries)
    assert alone.ids == [hit["_id"] for hit in got.json["responses"][1]["hits"]["hits"]]


async def test_an_error_inside_a_reranker_is_the_engines(engine_url: str, library: str) -> None:
    """What cannot be run without a reranker cannot be run with one."""
    inner = {"standard": {"query": {"no_such_query": {}}}}
    async with proxied(engine_url, ShortestFirst(), deadline=0) as proxy:
        got = await send(proxy, "POST", f"/{library}/_search", body=reranker(inner))
        direct = await send(engine_url, "POST", f"/{library}/_search", body={"query": {"no_such_query": {}}})
    assert (direct.status, "engine_error") == (got.status, got.reason)
    assert direct.json["error"]["type"] == got.json["error"]["type"]


# --- first stages of vectors (Elasticsearch) ----------------------------------------------------------------


@pytest.fixture
def vectors(elasticsearch_url: str, index_name: str) -> str:
    """An index of texts with vectors of two dimensions, from one axis to the other."""
    properties = {
        "body": {"type": "text"},
        "v": {"type": "dense_vector", "dims": 2, "similarity": "cosine", "index_options": {"type": "hnsw"}},
    }
    documents = [{"body": "tea " * (n % 7 + 1) + f"word{n}", "v": [10 - n, n + 1]} for n in range(10)]
    put_documents(elasticsearch_url, index_name, documents, {"mappings": {"properties": properties}})
    return index_name


KNN = {"field": "v", "query_vector": [1, 0], "k": 5, "num_candidates": 10}


@pytest.mark.parametrize(
    "body",
    [
        {"query": TEA, "knn": KNN, "size": 5},
        {"retriever": {"knn": KNN}, "size": 5, "ext": {"rerank": {"query_text": "how to make tea"}}},
        {"query": {"bool": {"should": [TEA, {"knn": KNN}]}}, "size": 5},
        {**reranker({"knn": KNN}, rank_window_size=5), "size": 5},
        {
            "retriever": {"rescorer": {"retriever": STANDARD, "rescore": {"query": {"rescore_query": TEA}}}},
            "size": 5,
            "ext": {"rerank": {}},
        },
    ],
    ids=["query and knn", "knn retriever", "knn clause", "reranked knn", "rescorer"],
)
async def test_a_ranking_by_vectors_is_reranked_within_its_page(
    elasticsearch_url: str, vectors: str, body: dict[str, Any]
) -> None:
    """The hits are those of the caller's own search, in the model's order."""
    plain = {key: value for key, value in body.items() if key != "ext"}
    settings = plain.get("retriever", {}).get("text_similarity_reranker")
    direct = {**plain, "retriever": settings["retriever"]} if settings else plain
    async with proxied(elasticsearch_url, ShortestFirst(), deadline=0) as proxy:
        got = await send(proxy, "POST", f"/{vectors}/_search", body=body)
        own = await send(elasticsearch_url, "POST", f"/{vectors}/_search", body=direct)
        later = await send(proxy, "POST", f"/{vectors}/_search", body={**body, "from": 1})
    assert (200, "applied") == (got.status, got.outcome), got.body
    assert sorted(own.ids) == sorted(got.ids)
    lengths = [len(hit["_source"]["body"]) for hit in got.hits]
    assert sorted(lengths) == lengths
    if settings:  # its window, not the page, says what is ranked
        assert ("applied", got.ids[1:]) == (later.outcome, later.ids)
    else:
        assert "size_dependent" == later.reason


# --- templates (OpenSearch) ---------------------------------------------------------------------------------

GOOD = '{"source":{"query":{"match":{"body":"tea"}}}}'
BAD = '{"source":{"query":{"no_such_query":{"body":"tea"}}}}'
REFUSED_TEMPLATES = (
    ("an error", "/%s/_search/template", BAD.encode()),
    ("no pipeline to be verbose about", "/%s/_search/template?verbose_pipeline=true", GOOD.encode()),
    ("one bad search", "/%s/_msearch/template", f"{{}}\n{GOOD}\n{{}}\n{BAD}\n".encode()),
    ("an unknown setting", "/%s/_search/template", b'{"source":{"query":{"match":{"body":"tea"}},"nonsense":1}}'),
)
"""Templates that the engine answers in other words, or at all, than the searches that they stand for."""


async def test_templates_are_reranked_as_what_they_stand_for(opensearch_url: str, index_name: str) -> None:
    """Stored and inline, alone and many at once; the answers have the shape of a template's."""
    put_documents(opensearch_url, index_name, [{"body": "tea " * (9 - n)} for n in range(9)])
    source = {"query": {"match": {"body": "{{words}}"}}, "size": "{{size}}"}
    call(opensearch_url, "PUT", "/_scripts/find-tea", {"script": {"lang": "mustache", "source": source}})
    stored = {"id": "find-tea", "params": {"words": "tea", "size": 4}}
    inline = {"source": source, "params": {"words": "tea", "size": 4}, "explain": True}
    async with proxied(opensearch_url, ShortestFirst(), deadline=0) as proxy:
        for template in (stored, inline):
            got, own = [
                await send(url, "POST", f"/{index_name}/_search/template", body=template)
                for url in (proxy, opensearch_url)
            ]
            assert "applied; candidates=9; window=100; model=shortest-first" == got.marker
            assert list(own.json) == list(got.json)
            assert ["8", "7", "6", "5"] == got.ids
            assert [set(hit) for hit in own.hits] == [set(hit) for hit in got.hits]
        lines = [{"index": index_name}, stored, {"index": index_name}, inline]
        content = "".join(json.dumps(line) + "\n" for line in lines).encode()
        many = await send(proxy, "POST", "/_msearch/template", body=content, headers=NDJSON)
        for filter_path in ("hits.hits._id", "hits.hits._id,status", "-took"):
            target = f"/{index_name}/_search/template?filter_path={filter_path}"
            got, own = [await send(url, "POST", target, body=inline) for url in (proxy, opensearch_url)]
            assert ("applied", list(own.json)) == (got.outcome, list(got.json))
            assert ["8", "7", "6", "5"] == got.ids
        for kind, target, content in REFUSED_TEMPLATES:
            got, own = [
                await send(url, "POST", target % index_name, body=content, headers=NDJSON)
                for url in (proxy, opensearch_url)
            ]
            assert same_but_time(own) == same_but_time(got), kind
            assert got.marker.startswith("skipped; reason="), kind
    assert 2 == many.marker.count("applied")
    assert [["8", "7", "6", "5"]] * 2 == [
        [hit["_id"] for hit in item["hits"]["hits"]] for item in many.json["responses"]
    ]

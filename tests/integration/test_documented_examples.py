"""The search examples of both engines' reranking documentation, in their shape, over documents of our own.

Here are those whose first stage the bare nodes can run: they are asked for on a real node, which has no reranker, and
come back reranked by us. The others are in tests/integration/test_documented_answers.py.

*Source:* Elasticsearch 9.5, "Text similarity re-ranker retriever", "Retrievers examples", "Semantic reranking";
OpenSearch 3.8, "Rerank processor", "Reranking by a cross-encoder model", "Using a search pipeline", and the tutorials
under "Reranking search results".
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.books import call, put_documents
from tests.integration.proxies import ShortestFirst, proxied
from tests.integration.talks import PROPERTIES, TALKS, TEXTS, VECTOR, length, talks
from tests.integration.wire import NDJSON, ndjson, send

Body = dict[str, Any]

MOON = "How often does the moon hide the sun?"
LIMIT = 200
"""Characters up to which a text is probably relevant, for the model of these tests."""


class ShortIsLikely(ShortestFirst):
    """The shorter a text, the better, and with a probability above one half up to LIMIT characters."""

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        """Return a hundredth of what is missing to LIMIT."""
        await super().score(query, texts, deadline=deadline)
        return [(LIMIT - len(text)) / 100 for text in texts]


@dataclass(frozen=True, kw_only=True)
class Example:
    """A documented search, and what it asks for."""

    body: Body
    #: what the engine is asked to find: a search without a reranker
    first_stage: Body
    #: what the texts are scored against
    words: str
    #: the fields that are read
    fields: Sequence[str]
    #: how many hits are scored at most
    window: int = 100
    min_score: float = 0.0
    parameters: str = ""

    def expected(self, first_stage: Sequence[str]) -> list[str]:
        """Return the `_id`s of the page for those that the first stage has found."""
        ranked = sorted(first_stage[: self.window], key=lambda identifier: length(identifier, self.fields))
        likely = [each for each in ranked if self.min_score == 0 or length(each, self.fields) <= LIMIT]
        offset = self.body.get("from", 0)
        return likely[offset : offset + self.body.get("size", 10)]


# --- Elasticsearch: text_similarity_reranker ----------------------------------------------------------------


def reranked(inner: Body, **settings: Any) -> Body:
    """Return the retriever around another one, with the settings that every documented one has."""
    given = {"retriever": inner, "field": "text", "inference_id": "my-elastic-rerank", "inference_text": MOON}
    return {"text_similarity_reranker": {**given, **settings}}


MATCH: Body = {"match": {"text": MOON}}
STANDARD: Body = {"standard": {"query": MATCH}}
KNN: Body = {"knn": {"field": "vector", "query_vector": [0.23, 0.67, 0.89], "k": 9, "num_candidates": 20}}
SENTENCES = {"strategy": "sentence", "max_chunk_size": 300, "sentence_overlap": 0}


def elastic(inner: Body, first_stage: Body, *, more: Body | None = None, **settings: Any) -> Example:
    """Return an example of a reranker around `inner`."""
    return Example(
        body={"retriever": reranked(inner, **settings), **(more or {})},
        first_stage=first_stage,
        words=settings.get("inference_text", MOON),
        fields=(settings.get("field", "text"),),
        window=settings.get("rank_window_size", 10),
        min_score=settings.get("min_score", 0.0),
    )


PHRASE: Body = {"match_phrase": {"text": "hides the sun"}}
GENRE: Body = {"match": {"genre": "drama"}}
FILTERED: Body = {"bool": {"must": MATCH, "filter": [{"range": {"year": {"gt": 2003}}}, {"term": {"topic": "ai"}}]}}
ON_BOTH: Mapping[str, Example] = {
    "Elastic Rerank": elastic(STANDARD, {"query": MATCH}, rank_window_size=100, min_score=0.5),
    "Cohere Rerank, a phrase": elastic(
        {"standard": {"query": PHRASE}},
        {"query": PHRASE},
        inference_id="my-cohere-rerank-model",
        inference_text="Most famous moon of the sky",
        rank_window_size=100,
        min_score=0.5,
    ),
    "a Hugging Face model, another field": elastic(
        {"standard": {"query": GENRE}},
        {"query": GENRE},
        field="plot",
        inference_id="my-msmarco-minilm-model",
        inference_text="films that explore psychological depths",
    ),
    "the preconfigured endpoint": Example(
        body={
            "retriever": {"text_similarity_reranker": {"retriever": STANDARD, "field": "text", "inference_text": MOON}}
        },
        first_stage={"query": MATCH},
        words=MOON,
        fields=("text",),
        window=10,
    ),
    "a term that filters": elastic(
        {"standard": {"query": {"term": {"topic": "ai"}}}}, {"query": {"term": {"topic": "ai"}}}
    ),
    "filters in both places": elastic(
        {"standard": {"query": MATCH, "filter": [{"range": {"year": {"gt": 2003}}}]}},
        {"query": FILTERED},
        filter={"term": {"topic": "ai"}},
        rank_window_size=50,
    ),
    "the best chunk, by default": elastic(
        STANDARD, {"query": MATCH}, chunk_rescorer={}, rank_window_size=100, min_score=0.5
    ),
    "the best chunk of sentences": elastic(
        STANDARD, {"query": MATCH}, chunk_rescorer={"size": 1, "chunking_settings": SENTENCES}
    ),
    "failures allowed": elastic(STANDARD, {"query": MATCH}, allow_rerank_failures=True),
    "a page": elastic(STANDARD, {"query": MATCH}, rank_window_size=20, more={"from": 5, "size": 5}),
    "without the source": elastic(STANDARD, {"query": MATCH}, more={"_source": False}),
    "highlights and aggregations": elastic(
        STANDARD,
        {"query": MATCH},
        more={
            "highlight": {"fields": {"text": {"fragment_size": 150, "number_of_fragments": 3}}},
            "aggs": {"topics": {"terms": {"field": "topic"}}},
            "_source": False,
        },
    ),
}
RESCORE: Body = {"window_size": 50, "query": {"rescore_query": {"match": {"title": "moon talk"}}}}
ON_ELASTICSEARCH: Mapping[str, Example] = {
    "vectors": elastic(KNN, {"retriever": KNN}, more={"size": 9}),
    "vectors and a filter": elastic(
        KNN,
        {"retriever": KNN, "post_filter": {"term": {"topic": "ai"}}},
        filter={"term": {"topic": "ai"}},
        more={"size": 9},
    ),
    "a rescorer": elastic(
        {"rescorer": {"retriever": STANDARD, "rescore": RESCORE}},
        {"retriever": {"rescorer": {"retriever": STANDARD, "rescore": RESCORE}}},
        more={"size": 10},
    ),
    "a chain of rerankers": elastic(
        reranked(KNN, rank_window_size=100),
        {"retriever": KNN},
        rank_window_size=10,
        inference_id="my-other-more-expensive-rerank-model",
        inference_text="What people see of the moon",
        more={"size": 9},
    ),
}

# --- OpenSearch: ext.rerank.query_context -------------------------------------------------------------------


def context(**settings: str) -> Body:
    """Return the part of a search that says what is scored."""
    return {"ext": {"rerank": {"query_context": settings}}}


PASSAGE: Body = {"match": {"passage_text": "the capital of the moon"}}
STRONG: Body = {
    "highlight": {"pre_tags": ["<strong>"], "post_tags": ["</strong>"], "fields": {"passage_text": {}}},
    "_source": False,
    "fields": ["passage_text"],
}
AREAS: Body = {"multi_match": {"query": "artists creative community", "fields": ["description", "facts"]}}


def opensearch(query: Body, words: str, fields: Sequence[str], *, more: Body, parameters: str = "") -> Example:
    """Return an example of a query context around a query."""
    return Example(
        body={"query": query, **more}, first_stage={"query": query}, words=words, fields=fields, parameters=parameters
    )


LONG: Body = {"match": {"text": {"query": MOON}}}
CAPITAL = "What is the capital of the moon?"
CONTEXTS: Mapping[str, Example] = {
    "query_text": opensearch(MATCH, MOON, ["text"], more=context(query_text=MOON)),
    "query_text_path": opensearch(LONG, MOON, ["text"], more=context(query_text_path="query.match.text.query")),
    "query_text_path of a short form": opensearch(
        PASSAGE,
        "the capital of the moon",
        ["passage_text"],
        more={**context(query_text_path="query.match.passage_text.query"), **STRONG},
    ),
    "highlights and fields": opensearch(
        PASSAGE, CAPITAL, ["passage_text"], more={**context(query_text=CAPITAL), **STRONG}
    ),
    "all documents": opensearch({"match_all": {}}, CAPITAL, TEXTS, more={"size": 4, **context(query_text=CAPITAL)}),
    "top_n": opensearch({"match_all": {}}, CAPITAL, TEXTS, more={"size": 5, **context(query_text=CAPITAL, top_n="10")}),
    "multi_match": opensearch(
        AREAS,
        "artists creative community",
        ["description", "facts"],
        more=context(query_text_path="query.multi_match.query"),
    ),
    "bool": opensearch(
        {"bool": {"must": [MATCH], "filter": {"term": {"topic": "ai"}}}},
        MOON,
        ["text"],
        more=context(query_text_path="query.bool.must.0.match.text.query"),
    ),
}


@pytest.fixture(scope="session")
def index_of_talks(engine_url: str, new_index_name: Callable[[], str]) -> Iterator[str]:
    """Name of the index with the talks; nobody writes to it."""
    name = f"talks-{new_index_name()}"
    is_elastic = call(engine_url, "GET", "/")["version"].get("distribution") != "opensearch"
    vector = VECTOR if is_elastic else {"type": "object", "enabled": False}
    settings = {"number_of_shards": 1, "number_of_replicas": 0}
    mapping = {"settings": settings, "mappings": {"properties": {**PROPERTIES, "vector": vector}}}
    put_documents(engine_url, name, talks(), mapping)
    yield name
    call(engine_url, "DELETE", f"/{name}")


VIEWS = {"aggs": "aggregations", "highlight": "highlight", "fields": "fields"}
"""What an answer has for a setting."""


async def check(engine_url: str, index: str, example: Example) -> None:
    """Ask for an example twice, the second time knowing that the engine has no reranker; judge both answers."""
    plain = {**example.first_stage, "size": min(example.window, TALKS), "_source": False}
    if "retriever" in plain:
        plain["size"] = example.body["size"]
    found = await send(engine_url, "POST", f"/{index}/_search", body=plain)
    scorer = ShortIsLikely()
    async with proxied(engine_url, scorer, deadline=0) as proxy:
        for _ in range(2):
            got = await send(proxy, "POST", f"/{index}/_search{example.parameters}", body=example.body)
            assert (200, "applied") == (got.status, got.outcome), (got.marker, got.body[:1000])
            assert example.expected(found.ids) == got.ids
            assert found.ids != got.ids
            assert all("_source" not in hit for hit in got.hits) == (example.body.get("_source") is False)
            shown = {*got.json, *(name for hit in got.hits for name in hit)}
            assert {VIEWS[setting] for setting in example.body if setting in VIEWS} <= shown
    assert {example.words} == set(scorer.queries)
    assert 1 < len(scorer.texts) <= 2 * min(example.window, TALKS)


@pytest.mark.parametrize("name", ON_BOTH)
async def test_elastics_examples_are_answered_on_both_engines(engine_url: str, index_of_talks: str, name: str) -> None:
    """The inner search finds, `inference_text` and `field` decide about the order, the window about how many."""
    await check(engine_url, index_of_talks, ON_BOTH[name])


@pytest.mark.parametrize("engine_url", ["elasticsearch"], indirect=True)
@pytest.mark.parametrize("name", ON_ELASTICSEARCH)
async def test_elastics_examples_around_other_retrievers(engine_url: str, index_of_talks: str, name: str) -> None:
    """Their page is the engine's own, in the model's order."""
    await check(engine_url, index_of_talks, ON_ELASTICSEARCH[name])


@pytest.mark.parametrize("name", CONTEXTS)
async def test_opensearchs_examples_are_answered_on_both_engines(
    engine_url: str, index_of_talks: str, name: str
) -> None:
    """`query_text`, or what stands at `query_text_path`, decides; the fields are those that the query searches."""
    await check(engine_url, index_of_talks, CONTEXTS[name])


async def test_an_example_without_an_index(engine_url: str, index_of_talks: str) -> None:
    """`POST _search`, as the documentation has it; which index is meant is a filter here."""
    example = elastic(STANDARD, {"query": MATCH}, filter={"term": {"_index": index_of_talks}}, rank_window_size=100)
    plain = {**example.first_stage, "size": TALKS, "_source": False}
    found = await send(engine_url, "POST", f"/{index_of_talks}/_search", body=plain)
    async with proxied(engine_url, ShortIsLikely(), deadline=0) as proxy:
        got = await send(proxy, "POST", "/_search", body=example.body)
    assert (200, "applied", example.expected(found.ids)) == (got.status, got.outcome, got.ids), got.body[:1000]


# --- search pipelines (OpenSearch) --------------------------------------------------------------------------

PIPELINE = "rerank_pipeline"
"""Here it has no `rerank` processor: a node without the plugin does not take one."""

WITH_PIPELINE: Mapping[str, tuple[str, Body]] = {
    "named in the URL": (f"?search_pipeline={PIPELINE}", {"query": MATCH, **context(query_text=MOON)}),
    "named in the body": ("", {"query": MATCH, "search_pipeline": PIPELINE, **context(query_text=MOON)}),
    "with the path to the words": (
        f"?search_pipeline={PIPELINE}",
        {"query": LONG, **context(query_text_path="query.match.text.query")},
    ),
    "for all documents": (
        f"?search_pipeline={PIPELINE}",
        {"query": {"match_all": {}}, "size": 8, **context(query_text=MOON)},
    ),
    "written in the body": (
        "",
        {
            "query": MATCH,
            "search_pipeline": {"request_processors": [{"filter_query": {"query": {"term": {"topic": "ai"}}}}]},
            **context(query_text=MOON),
        },
    ),
}


@pytest.fixture(scope="module")
def pipeline(opensearch_url: str) -> Iterator[str]:
    """Name of a search pipeline that asks for twice as many hits and cuts them off again."""
    processors = {
        "request_processors": [{"oversample": {"sample_factor": 2}}],
        "response_processors": [{"truncate_hits": {}}],
    }
    call(opensearch_url, "PUT", f"/_search/pipeline/{PIPELINE}", processors)
    yield PIPELINE
    call(opensearch_url, "DELETE", f"/_search/pipeline/{PIPELINE}")


@pytest.mark.parametrize("engine_url", ["opensearch"], indirect=True)
@pytest.mark.parametrize("name", WITH_PIPELINE)
async def test_a_page_that_a_pipeline_gives_is_reranked(
    engine_url: str, index_of_talks: str, pipeline: str, name: str
) -> None:
    """Within itself, as OpenSearch's own processor does it; in an `_msearch`, too."""
    parameters, body = WITH_PIPELINE[name]
    target = f"/{index_of_talks}/_search{parameters}"
    fields = ["text"] if "match" in body["query"] else TEXTS
    own = await send(engine_url, "POST", target, body={key: value for key, value in body.items() if key != "ext"})
    async with proxied(engine_url, ShortIsLikely(), deadline=0) as proxy:
        got = await send(proxy, "POST", target, body=body)
        lines = ndjson({"index": index_of_talks}, {**body, "search_pipeline": body.get("search_pipeline", pipeline)})
        many = await send(proxy, "POST", "/_msearch", body=lines, headers=NDJSON)
    expected = sorted(own.ids, key=lambda identifier: length(identifier, fields))
    assert expected != own.ids
    assert (200, "applied", expected) == (got.status, got.outcome, got.ids), got.body[:1000]
    (answer,) = many.json["responses"]
    assert expected == [hit["_id"] for hit in answer["hits"]["hits"]], many.body[:1000]


async def test_an_index_with_a_pipeline_of_its_own_is_reranked(
    opensearch_url: str, index_name: str, pipeline: str
) -> None:
    """`index.search.default_pipeline` is named in no request; the words come from the query context."""
    properties = {"properties": {"text": {"type": "text"}}}
    put_documents(
        opensearch_url,
        index_name,
        [{"text": talk["text"]} for talk in talks()],
        {"settings": {"index.search.default_pipeline": pipeline, "number_of_shards": 1}, "mappings": properties},
    )
    body = {"query": MATCH, **context(query_text=MOON)}
    async with proxied(opensearch_url, ShortIsLikely(), deadline=0) as proxy:
        got = await send(proxy, "POST", f"/{index_name}/_search", body=body)
    everything = sorted(map(str, range(TALKS)), key=lambda identifier: length(identifier, ["text"]))
    assert ("applied", everything[:10]) == (got.outcome, got.ids)


async def test_what_the_engine_says_of_a_pipeline_stands(opensearch_url: str, index_name: str) -> None:
    """One that is not there, or that needs a missing plugin, is an error of the first stage."""
    put_documents(opensearch_url, index_name, talks())
    processor = {"rerank": {"ml_opensearch": {"model_id": "model"}, "context": {"document_fields": ["text"]}}}
    cases: list[tuple[str, Body, str]] = [
        ("?search_pipeline=missing", {}, "Pipeline missing is not defined"),
        ("", {"search_pipeline": {"response_processors": [processor]}}, "Invalid processor type rerank"),
    ]
    async with proxied(opensearch_url, ShortIsLikely(), deadline=0) as proxy:
        for parameters, more, reason in cases:
            body = {"query": MATCH, **more, **context(query_text=MOON)}
            got = await send(proxy, "POST", f"/{index_name}/_search{parameters}", body=body)
            assert (400, "engine_error", reason) == (got.status, got.reason, got.json["error"]["reason"])

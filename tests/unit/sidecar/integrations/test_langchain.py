"""LangChain's own package with our components."""

import asyncio
import copy
from typing import Any

import pytest

from sidecar.errors import SchedulerFull
from sidecar.integrations.client import AsyncReranker, Reranker
from sidecar.scoring.base import sigmoid
from tests.unit.doubles import FailingScorer, ScriptedEngine, ScriptedScorer, document
from tests.unit.sidecar.integrations.frameworks import needs
from tests.unit.sidecar.integrations.scripted_clients import KINDS, Cluster, Kind

needs("langchain_core", "langchain-core")

from langchain_core.callbacks import BaseCallbackHandler  # noqa: E402
from langchain_core.documents import Document  # noqa: E402
from langchain_core.retrievers import BaseRetriever  # noqa: E402
from pydantic import ValidationError  # noqa: E402

from sidecar.integrations.langchain import SidecarRerank, SidecarRetriever  # noqa: E402

TWICE = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
BOTH = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def documents(*texts: str) -> list[Document]:
    """Return documents with their places as metadata."""
    return [Document(id=f"id{n}", page_content=text, metadata={"n": n}) for n, text in enumerate(texts)]


async def compressed(compressor: SidecarRerank, given: list[Document], query: str = "q", *, is_async: bool) -> Any:
    """Rerank documents, of which the synchronous way blocks its thread."""
    if is_async:
        return await compressor.acompress_documents(given, query)
    return await asyncio.to_thread(compressor.compress_documents, given, query)


# --- documents ----------------------------------------------------------------------------------------------


@TWICE
async def test_documents_by_score(is_async: bool) -> None:
    """Copies with the score; duplicates are kept apart, and what was given is not changed."""
    given = documents("ccc", "a", "bb", "a")
    before = copy.deepcopy(given)
    found = await compressed(SidecarRerank(model=ScriptedScorer()), given, is_async=is_async)
    assert [1, 3, 2, 0] == [each.metadata["n"] for each in found]
    assert ["id1", "id3", "id2", "id0"] == [each.id for each in found]
    assert [sigmoid(-0.01), sigmoid(-0.01), sigmoid(-0.02), sigmoid(-0.03)] == [
        each.metadata["relevance_score"] for each in found
    ]
    assert before == given


@TWICE
async def test_the_best_ones(is_async: bool) -> None:
    """`top_n` of them; none of none."""
    compressor = SidecarRerank(model=ScriptedScorer(), top_n=2)
    assert ["a", "bb"] == [
        each.page_content for each in await compressed(compressor, documents("ccc", "a", "bb"), is_async=is_async)
    ]
    assert [] == await compressed(compressor, [], is_async=is_async)


def test_title_and_metadata_in_the_text() -> None:
    """By a template, or as fields."""
    scorer = ScriptedScorer()
    given = [Document(page_content="text", metadata={"title": "Title", "year": 1999})]
    SidecarRerank(model=scorer, template="{title} ({year}): {page_content}").compress_documents(given, "q")
    SidecarRerank(model=scorer, fields=["title", "page_content"]).compress_documents(given, "q")
    assert ["Title (1999): text", "Title text"] == scorer.texts


def test_the_best_passage_as_metadata() -> None:
    """On request, of a text in passages."""
    text = "one two three four five six"
    compressor = SidecarRerank(
        model=ScriptedScorer({"one two three": 1.0, "four five six": 2.0}), passage_tokens=4, passage_return=True
    )
    (found,) = compressor.compress_documents([Document(page_content=text)], "q")
    assert (text, "four five six") == (found.page_content, found.metadata["rerank_passage"])


def test_a_failing_second_stage_costs_nothing() -> None:
    """The retriever's order, without scores; "error" raises."""
    scorer = FailingScorer(SchedulerFull("busy"))
    given = documents("bb", "a")
    assert given == SidecarRerank(model=scorer).compress_documents(given, "q")
    with pytest.raises(SchedulerFull):
        SidecarRerank(model=scorer, on_failure="error").compress_documents(given, "q")


def test_fields_can_be_changed() -> None:
    """They are looked at by every call."""
    compressor = SidecarRerank(model=ScriptedScorer())
    compressor.top_n = 1
    assert 1 == len(compressor.compress_documents(documents("bb", "a"), "q"))


def test_what_cannot_be_is_refused() -> None:
    """By pydantic."""
    with pytest.raises(ValidationError, match="top_n"):
        SidecarRerank(model="offline", top_n=0)
    with pytest.raises(ValidationError, match="no_such_field"):
        SidecarRerank(model="offline", no_such_field=1)
    with pytest.raises(ValidationError, match="min_score"):
        SidecarRerank(model="offline", min_score=2)


def test_what_it_says_of_itself() -> None:
    """Everything but the key; a copy is as good."""
    compressor = SidecarRerank(model="http://127.0.0.1:9", api_key="secret", top_n=3)
    assert {"model": "http://127.0.0.1:9", "top_n": 3} == compressor.model_dump(exclude_defaults=True)
    assert "secret" not in repr(compressor)
    assert compressor.model_dump() == copy.deepcopy(compressor).model_dump()
    assert "string" == SidecarRerank.model_json_schema()["properties"]["model"]["type"]
    shared = SidecarRerank(model=compressor.scorer)
    assert compressor.scorer is shared.scorer
    assert "http://127.0.0.1:9" == shared.model_dump()["model"]


class Fixed(BaseRetriever):
    """A retriever that finds the same documents for everybody."""

    found: list[Document]

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return self.found


@TWICE
async def test_in_a_compression_retriever(is_async: bool) -> None:
    """LangChain's own way to rerank."""
    needs("langchain_classic", "langchain-classic")
    from langchain_classic.retrievers import ContextualCompressionRetriever

    compressor = SidecarRerank(model=ScriptedScorer(), top_n=2)
    retriever = ContextualCompressionRetriever(
        base_compressor=compressor, base_retriever=Fixed(found=documents("ccc", "a", "bb"))
    )
    found = await (retriever.ainvoke("q") if is_async else asyncio.to_thread(retriever.invoke, "q"))
    assert ["a", "bb"] == [each.page_content for each in found]


# --- an index -----------------------------------------------------------------------------------------------

BOOKS = (document("a long text on tea", title="Long", n=1), document("tea", title="Short", n=2))


async def retrieved(kind: Kind, reranker: Any = None, settings: Any = None, **fields: Any) -> tuple[Any, Cluster]:
    """Return what a retriever around such a client finds, and the cluster."""
    cluster = Cluster(ScriptedEngine(*BOOKS))
    client = kind.client(cluster)
    around = kind.around(client, reranker or ScriptedScorer(), **(settings or {}))
    retriever = SidecarRetriever(reranker=around, **{"index_name": "books", "content_field": "text", **fields})
    found = await (retriever.ainvoke("tea") if kind.is_async else asyncio.to_thread(retriever.invoke, "tea"))
    await kind.ask(client.close)
    return found, cluster


@BOTH
async def test_hits_become_documents(kind: Kind) -> None:
    """Reranked, with the other fields as metadata."""
    found, _ = await retrieved(kind)
    assert ["tea", "a long text on tea"] == [each.page_content for each in found]
    assert "2" == found[0].id
    assert {"title": "Short", "n": 2, "_index": "books", "_id": "2"} == {
        key: value for key, value in found[0].metadata.items() if key != "_score"
    }
    assert found[0].metadata["_score"] > found[1].metadata["_score"] > 1


@BOTH
async def test_what_is_searched(kind: Kind) -> None:
    """Words in fields, or whatever body a function makes of them."""
    _, cluster = await retrieved(kind, settings={"enabled": False}, search_fields=["title^2", "text"], k=7)
    assert [{"size": 7, "query": {"multi_match": {"query": "tea", "fields": ["title^2", "text"]}}}] == cluster.bodies
    body = {"query": {"match": {"text": "tea"}}, "size": 1}
    found, cluster = await retrieved(kind, settings={"enabled": False}, body_func=lambda words: body)
    assert [body] == cluster.bodies
    assert 1 == len(found)


@BOTH
async def test_documents_of_ones_own(kind: Kind) -> None:
    """A function of the hit."""
    found, _ = await retrieved(kind, document_mapper=lambda hit: Document(page_content=hit["_source"]["title"]))
    assert [Document(page_content="Short"), Document(page_content="Long")] == found


@BOTH
async def test_the_best_passage_of_a_hit(kind: Kind) -> None:
    """As metadata, where the reranker's settings ask for it."""
    found, _ = await retrieved(kind, settings={"passage_return": True})
    assert ["tea", "a long text on tea"] == [each.metadata["rerank_passage"] for each in found]


@BOTH
async def test_who_listens_is_told(kind: Kind) -> None:
    """LangChain's callbacks."""
    told: list[Any] = []

    class Listener(BaseCallbackHandler):
        def on_retriever_start(self, serialized: Any, query: str, **kwargs: Any) -> None:
            told.append(query)

        def on_retriever_end(self, documents: Any, **kwargs: Any) -> None:
            told.append(len(documents))

    cluster = Cluster(ScriptedEngine(*BOOKS))
    client = kind.client(cluster)
    retriever = SidecarRetriever(
        reranker=kind.around(client, ScriptedScorer()), index_name=["books"], content_field="text"
    )
    config: Any = {"callbacks": [Listener()]}
    await (retriever.ainvoke("tea", config) if kind.is_async else asyncio.to_thread(retriever.invoke, "tea", config))
    assert ["tea", 2] == told
    await kind.ask(client.close)


async def test_a_synchronous_reranker_serves_asynchronous_callers() -> None:
    """In a thread; the other way round is refused."""
    client = KINDS["Elasticsearch"].client(Cluster(ScriptedEngine(*BOOKS)))
    fields: Any = {"index_name": "books", "content_field": "text"}
    retriever = SidecarRetriever(reranker=Reranker(client, ScriptedScorer()), **fields)
    assert ["tea", "a long text on tea"] == [each.page_content for each in await retriever.ainvoke("tea")]
    client.close()
    client = KINDS["AsyncElasticsearch"].client(Cluster(ScriptedEngine(*BOOKS)))
    retriever = SidecarRetriever(reranker=AsyncReranker(client, ScriptedScorer()), **fields)
    with pytest.raises(NotImplementedError, match="ainvoke"):
        retriever.invoke("tea")
    await client.close()

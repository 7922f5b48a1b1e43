"""A corpus into an engine, through the API that real engines have."""

import pytest

from connectors.base import SearchRequest
from connectors.embedded import EmbeddedConnector
from sidecar.evaluation import indexing
from sidecar.evaluation.indexing import IndexingFailed, index_corpus

DOCUMENTS = [
    ("a", {"title": "Skies", "text": "The sky is blue.", "metadata": {"url": "u"}}),
    ("b", {"text": "Seas are deep."}),
]
FIELDS = ("title", "text")


async def found(engine: EmbeddedConnector, text: str) -> list[str | None]:
    """Return the ids of the hits for some words."""
    body = {"query": {"multi_match": {"query": text, "fields": list(FIELDS)}}}
    return [hit.id for hit in (await engine.search(SearchRequest.build(index="corpus", body=body))).hits]


async def test_documents_can_be_searched_and_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """By their text fields under the analyzer, in as many batches as it takes; each of them is told."""
    monkeypatch.setattr(indexing, "BATCH_BYTES", 1)
    steps: list[int] = []
    async with EmbeddedConnector() as engine:
        count = await index_corpus(engine, "corpus", DOCUMENTS, fields=FIELDS, analyzer="english", advance=steps.append)
        assert (2, [1, 1]) == (count, steps)
        assert ["a"] == await found(engine, "sky") == await found(engine, "skies")
        answer = await engine.search(SearchRequest.build(index="corpus", body={"query": {"match_all": {}}}))
        assert [document for _, document in DOCUMENTS] == [hit.source for hit in answer.hits]


async def test_the_analyzer_is_the_callers() -> None:
    """Under `standard` words are not brought to their stems."""
    async with EmbeddedConnector() as engine:
        await index_corpus(engine, "corpus", DOCUMENTS, fields=FIELDS, analyzer="standard")
        assert ["a"] == await found(engine, "sky")
        assert [] == await found(engine, "sea")


async def test_an_index_that_is_there_is_left_alone() -> None:
    """And the engine's words are told."""
    async with EmbeddedConnector() as engine:
        await index_corpus(engine, "corpus", DOCUMENTS, fields=FIELDS, analyzer="english")
        with pytest.raises(IndexingFailed, match=r"answered 400 to PUT /corpus: .*already exists"):
            await index_corpus(engine, "corpus", [("c", {"text": "new"})], fields=FIELDS, analyzer="english")
        assert [] == await found(engine, "new")


async def test_a_document_that_is_refused_ends_it() -> None:
    """An evaluation on half a corpus would be none."""
    async with EmbeddedConnector() as engine:
        with pytest.raises(IndexingFailed, match=r"embedded engine refused a document: .*document_parsing_exception"):
            await index_corpus(
                engine, "corpus", [("a", {"text": {"no": "text"}})], fields=("text",), analyzer="english"
            )

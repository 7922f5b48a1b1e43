"""LangChain: documents reranked on their way from any retriever, and a retriever over an index that is reranked.

Needs `langchain-core` (extra `langchain`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
    Callbacks,
)
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.retrievers import BaseRetriever
from pydantic import Field, SkipValidation

from connectors.base import Hit
from sidecar.candidates import field_text
from sidecar.integrations.client import AsyncReranker, Reranker
from sidecar.integrations.fields import PASSAGE_KEY, RankerFields
from sidecar.integrations.texts import RankedText

TEXT = "page_content"
SCORE_KEY = "relevance_score"


class SidecarRerank(RankerFields, BaseDocumentCompressor):
    """Reranks documents of any retriever.

        retriever = ContextualCompressionRetriever(
            base_compressor=SidecarRerank(model="http://scorer:9281", top_n=3, template="{title}. {page_content}"),
            base_retriever=vectors.as_retriever(search_kwargs={"k": 50}),
        )

    Fields are the keys of a document's metadata and `page_content`. Documents come back as copies, in the model's
    order, with their score, 0 to 1, as metadata `relevance_score`.
    """

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Return the documents in the model's order, `top_n` at most."""
        return self._in_order(documents, self._ranked(query, _contents(documents), TEXT))

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Return the documents in the model's order, `top_n` at most."""
        return self._in_order(documents, await self._aranked(query, _contents(documents), TEXT))

    def _in_order(self, documents: Sequence[Document], ranked: Sequence[RankedText]) -> list[Document]:
        return [self._copy(documents[each.index], each) for each in ranked]

    def _copy(self, document: Document, ranked: RankedText) -> Document:
        score = {} if ranked.score is None else {SCORE_KEY: ranked.score}
        metadata = {**document.metadata, **score, **self._passage(ranked)}
        return document.model_copy(update={"metadata": metadata})


class SidecarRetriever(BaseRetriever):
    """Retrieves the hits of a search that is reranked.

        reranker = Reranker(es, "offline")
        retriever = SidecarRetriever(
            reranker=reranker, index_name="books", search_fields=["title^2", "body"], content_field="body"
        )

    With an `AsyncReranker` it serves asynchronous callers alone, with a `Reranker` both. It closes neither.
    """

    reranker: SkipValidation[Reranker[Any] | AsyncReranker[Any]] = Field(description="whose client searches")
    index_name: str | list[str] = Field(description="a name, a pattern, or several of them")
    content_field: str = Field(description="the field that becomes `page_content`; the others become metadata")
    search_fields: list[str] | None = Field(default=None, description="fields to search; None = `content_field`")
    body_func: Callable[[str], dict[str, Any]] | None = Field(
        default=None, description="the search body for a query, in place of a `multi_match` over `search_fields`"
    )
    document_mapper: Callable[[Mapping[str, Any]], Document] | None = Field(
        default=None, description="a document from a hit, in place of `content_field` and metadata"
    )
    k: int = Field(default=10, ge=1, description="hits, unless `body_func` gives a size")

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        if isinstance(self.reranker, AsyncReranker):
            raise NotImplementedError("an AsyncReranker searches asynchronously: use ainvoke, or give a Reranker")
        return self._documents(self.reranker.search(index=self.index_name, body=self._body(query)))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        if not isinstance(self.reranker, AsyncReranker):
            return await super()._aget_relevant_documents(query, run_manager=run_manager)
        return self._documents(await self.reranker.search(index=self.index_name, body=self._body(query)))

    def _body(self, query: str) -> dict[str, Any]:
        if self.body_func is not None:
            return {"size": self.k, **self.body_func(query)}
        fields = self.search_fields or [self.content_field]
        return {"size": self.k, "query": {"multi_match": {"query": query, "fields": fields}}}

    def _documents(self, answer: Any) -> list[Document]:
        return [(self.document_mapper or self._document)(hit) for hit in answer["hits"]["hits"]]

    def _document(self, hit: Mapping[str, Any]) -> Document:
        found = Hit(rank=1, value=dict(hit))
        source = {key: value for key, value in (found.source or {}).items() if key != self.content_field}
        metadata = {**source, "_index": found.index, "_id": found.id, "_score": found.score}
        if PASSAGE_KEY in found.highlight:
            metadata[PASSAGE_KEY] = found.highlight[PASSAGE_KEY][0]
        return Document(id=found.id, page_content=field_text(found, self.content_field), metadata=metadata)


def _contents(documents: Sequence[Document]) -> list[dict[str, Any]]:
    return [{**document.metadata, TEXT: document.page_content} for document in documents]

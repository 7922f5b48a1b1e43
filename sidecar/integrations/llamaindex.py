"""LlamaIndex: nodes reranked on their way from any retriever.

Needs `llama-index-core` (extra `llamaindex`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llama_index.core.callbacks import CBEventType, EventPayload
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from pydantic import Field

from sidecar.integrations.fields import RankerFields
from sidecar.integrations.texts import RankedText

TEXT = "text"
RETRIEVAL_SCORE_KEY = "retrieval_score"

dispatcher = get_dispatcher(__name__)


class SidecarRerank(RankerFields, BaseNodePostprocessor):
    """Reranks the nodes of any retriever.

        engine = index.as_query_engine(
            similarity_top_k=50, node_postprocessors=[SidecarRerank(model="http://scorer:9281", top_n=5)]
        )

    What is scored is a node's text with its metadata, as it is embedded; with `fields` or `template`, those keys of its
    metadata and `text`. Nodes are not changed: those that get metadata are copies.
    """

    keep_retrieval_score: bool = Field(
        default=False, description=f"the retriever's score as metadata, {RETRIEVAL_SCORE_KEY!r}"
    )

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which LlamaIndex stores this."""
        return "SidecarRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _query(query_bundle)
        with self._told(query, nodes) as told:
            return told(self._in_order(nodes, self._ranked(query, self._contents(nodes), TEXT)))

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _query(query_bundle)
        with self._told(query, nodes) as told:
            return told(self._in_order(nodes, await self._aranked(query, self._contents(nodes), TEXT)))

    @contextmanager
    def _told(
        self, query: str, nodes: list[NodeWithScore]
    ) -> Iterator[Callable[[list[NodeWithScore]], list[NodeWithScore]]]:
        """Tell LlamaIndex's observers of the beginning, and of what the block hands over, its end."""
        name, limit = self._model_name(self.model), self.top_n or len(nodes)
        dispatcher.event(ReRankStartEvent(query=query, nodes=nodes, top_n=limit, model_name=name))
        payload = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: name,
            EventPayload.QUERY_STR: query,
            EventPayload.TOP_K: limit,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:

            def told(reranked: list[NodeWithScore]) -> list[NodeWithScore]:
                event.on_end(payload={EventPayload.NODES: reranked})
                dispatcher.event(ReRankEndEvent(nodes=reranked))
                return reranked

            yield told

    def _contents(self, nodes: Sequence[NodeWithScore]) -> list[dict[str, Any]]:
        if self.fields is None and self.template is None:
            return [{TEXT: each.node.get_content(metadata_mode=MetadataMode.EMBED)} for each in nodes]
        return [{**each.node.metadata, TEXT: each.node.get_content(metadata_mode=MetadataMode.NONE)} for each in nodes]

    def _in_order(self, nodes: Sequence[NodeWithScore], ranked: Sequence[RankedText]) -> list[NodeWithScore]:
        if all(each.score is None for each in ranked):  # no scores: the retriever's stand
            return [nodes[each.index] for each in ranked]
        return [self._scored(nodes[each.index], each) for each in ranked]

    def _scored(self, node: NodeWithScore, ranked: RankedText) -> NodeWithScore:
        kept = {RETRIEVAL_SCORE_KEY: node.score} if self.keep_retrieval_score else {}
        added = {**kept, **self._passage(ranked)}
        return NodeWithScore(node=_with_metadata(node.node, added) if added else node.node, score=ranked.score)


def _with_metadata(node: Any, added: dict[str, Any]) -> Any:
    """Return a copy of a node with more metadata, which neither embeddings nor prompts are to see."""
    return node.model_copy(
        update={
            "metadata": {**node.metadata, **added},
            "excluded_embed_metadata_keys": [*node.excluded_embed_metadata_keys, *added],
            "excluded_llm_metadata_keys": [*node.excluded_llm_metadata_keys, *added],
        }
    )


def _query(bundle: QueryBundle | None) -> str:
    if bundle is None:
        raise ValueError("no query: give query_bundle or query_str")
    return bundle.query_str

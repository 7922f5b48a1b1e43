"""LlamaIndex's own package with our postprocessor."""

import asyncio
from typing import Any

import pytest

from sidecar.errors import SchedulerFull
from sidecar.scoring.base import sigmoid
from tests.unit.doubles import FailingScorer, ScriptedScorer
from tests.unit.sidecar.integrations.frameworks import needs

needs("llama_index.core", "llama-index-core")

from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, LlamaDebugHandler  # noqa: E402
from llama_index.core.instrumentation import get_dispatcher  # noqa: E402
from llama_index.core.instrumentation.event_handlers import BaseEventHandler  # noqa: E402
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent  # noqa: E402
from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode  # noqa: E402

from sidecar.integrations.llamaindex import SidecarRerank  # noqa: E402

TWICE = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


def nodes(*texts: str, **metadata: Any) -> list[NodeWithScore]:
    """Return nodes as a retriever gives them."""
    return [
        NodeWithScore(node=TextNode(id_=f"id{n}", text=text, metadata=dict(metadata)), score=0.5)
        for n, text in enumerate(texts)
    ]


async def processed(processor: SidecarRerank, given: list[NodeWithScore], *, is_async: bool) -> list[NodeWithScore]:
    """Rerank nodes, of which the synchronous way blocks its thread."""
    if is_async:
        found: list[NodeWithScore] = await processor.apostprocess_nodes(given, query_str="q")
        return found
    return await asyncio.to_thread(processor.postprocess_nodes, given, query_str="q")


@TWICE
async def test_nodes_by_score(is_async: bool) -> None:
    """The same nodes; duplicates are kept apart, and what was given is not changed."""
    given = nodes("ccc", "a", "bb", "a")
    found = await processed(SidecarRerank(model=ScriptedScorer(), top_n=3), given, is_async=is_async)
    assert ["id1", "id3", "id2"] == [each.node.node_id for each in found]
    assert [sigmoid(-0.01), sigmoid(-0.01), sigmoid(-0.02)] == [each.score for each in found]
    assert found[0].node is given[1].node
    assert [0.5] * 4 == [each.score for each in given]
    assert [] == await processed(SidecarRerank(model=ScriptedScorer()), [], is_async=is_async)


def test_metadata_in_the_text() -> None:
    """As it is embedded; or by a template, or as fields."""
    scorer = ScriptedScorer()
    given = nodes("text", title="Title", year=1999)
    for settings in ({}, {"template": "{title} ({year}): {text}"}, {"fields": ["title", "text"]}):
        SidecarRerank(model=scorer, **settings).postprocess_nodes(given, query_str="q")
    assert [
        given[0].node.get_content(metadata_mode=MetadataMode.EMBED),
        "Title (1999): text",
        "Title text",
    ] == scorer.texts
    assert "title: Title" in scorer.texts[0]


def test_passage_and_retrieval_score_as_metadata() -> None:
    """On request; of copies, and hidden from prompts and embeddings."""
    given = nodes("one two three four five six", title="T")
    processor = SidecarRerank(
        model=ScriptedScorer({"one two three": 1.0, "four five six": 2.0}),
        fields=["text"],
        passage_tokens=4,
        passage_return=True,
        keep_retrieval_score=True,
    )
    (found,) = processor.postprocess_nodes(given, query_str="q")
    assert {"title": "T", "retrieval_score": 0.5, "rerank_passage": "four five six"} == found.node.metadata
    assert {"title": "T"} == given[0].node.metadata
    assert found.node.node_id == given[0].node.node_id
    for mode in (MetadataMode.EMBED, MetadataMode.LLM):
        assert given[0].node.get_content(metadata_mode=mode) == found.node.get_content(metadata_mode=mode)


def test_a_failing_second_stage_costs_nothing() -> None:
    """The retriever's nodes and scores; "error" raises."""
    scorer = FailingScorer(SchedulerFull("busy"))
    given = nodes("bb", "a")
    assert given[:1] == SidecarRerank(model=scorer, top_n=1).postprocess_nodes(given, query_str="q")
    with pytest.raises(SchedulerFull):
        SidecarRerank(model=scorer, on_failure="error").postprocess_nodes(given, query_str="q")


def test_a_query_is_needed() -> None:
    """Or an error says what is missing."""
    with pytest.raises(ValueError, match="no query: give query_bundle or query_str"):
        SidecarRerank(model=ScriptedScorer()).postprocess_nodes(nodes("a"))


def test_it_can_be_stored() -> None:
    """As LlamaIndex stores its components; the key is not."""
    processor = SidecarRerank(model="http://127.0.0.1:9", api_key="secret", top_n=3, template="{title}. {text}")
    stored = processor.to_dict()
    assert "SidecarRerank" == stored["class_name"] == SidecarRerank.class_name()
    assert "secret" not in processor.to_json()
    again = SidecarRerank.from_dict(stored)
    assert ("http://127.0.0.1:9", 3, "{title}. {text}") == (again.model, again.top_n, again.template)
    assert stored == SidecarRerank.from_json(processor.to_json()).to_dict()
    assert "string" == SidecarRerank.model_json_schema()["properties"]["model"]["type"]


@TWICE
async def test_who_listens_is_told(is_async: bool) -> None:
    """LlamaIndex's callbacks and its events."""
    events: list[Any] = []

    class Listener(BaseEventHandler):
        def handle(self, event: Any, **kwargs: Any) -> None:
            if isinstance(event, ReRankStartEvent | ReRankEndEvent):
                events.append(event)

    root, listener = get_dispatcher(), Listener()
    root.add_event_handler(listener)
    handler = LlamaDebugHandler(print_trace_on_end=False)
    processor = SidecarRerank(model=ScriptedScorer(), top_n=1, callback_manager=CallbackManager([handler]))
    try:
        await processed(processor, nodes("bb", "a"), is_async=is_async)
    finally:
        root.event_handlers.remove(listener)
    began, ended = events
    assert ("q", 1, "ScriptedScorer", 2) == (began.query, began.top_n, began.model_name, len(began.nodes))
    assert ["a"] == [each.node.text for each in ended.nodes]
    ((start, end),) = handler.get_event_pairs(CBEventType.RERANKING)
    assert ("q", 1) == (start.payload[EventPayload.QUERY_STR], start.payload[EventPayload.TOP_K])
    assert 1 == len(end.payload[EventPayload.NODES])

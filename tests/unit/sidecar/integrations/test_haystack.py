"""Haystack's own package with our ranker."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import ModelFailed, SchedulerFull
from sidecar.scoring.base import sigmoid
from tests.scoring_server import serving
from tests.unit.doubles import FailingScorer, ScriptedScorer
from tests.unit.sidecar.integrations.frameworks import needs

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # read at import
needs("haystack", "haystack-ai")

from haystack import Document, Pipeline  # noqa: E402
from haystack.utils import Secret  # noqa: E402

from sidecar.integrations.haystack import SidecarRanker  # noqa: E402

TWICE = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


def documents(*texts: str, **meta: Any) -> list[Document]:
    """Return documents as a retriever gives them."""
    return [Document(id=f"id{n}", content=text, meta=dict(meta), score=0.5) for n, text in enumerate(texts)]


async def ranked(ranker: SidecarRanker, given: list[Document], *, is_async: bool, **settings: Any) -> list[Document]:
    """Rerank documents, of which the synchronous way blocks its thread."""
    if is_async:
        found: dict[str, list[Document]] = await ranker.run_async("q", given, **settings)
    else:
        found = await asyncio.to_thread(ranker.run, "q", given, **settings)
    assert ["documents"] == list(found)
    return found["documents"]


@TWICE
async def test_documents_by_score(is_async: bool) -> None:
    """Copies with the score; duplicates are kept apart, and what was given is not changed."""
    given = documents("ccc", "a", "bb", "a")
    found = await ranked(SidecarRanker(ScriptedScorer()), given, is_async=is_async)
    assert ["id1", "id3", "id2", "id0"] == [each.id for each in found]
    assert [sigmoid(-0.01), sigmoid(-0.01), sigmoid(-0.02), sigmoid(-0.03)] == [each.score for each in found]
    assert [0.5] * 4 == [each.score for each in given]
    assert [] == await ranked(SidecarRanker(ScriptedScorer()), [], is_async=is_async)


@TWICE
async def test_the_best_ones(is_async: bool) -> None:
    """`top_k` of the component, or of the run."""
    ranker = SidecarRanker(ScriptedScorer(), top_k=1)
    given = documents("ccc", "a", "bb")
    assert 1 == len(await ranked(ranker, given, is_async=is_async))
    assert 2 == len(await ranked(ranker, given, is_async=is_async, top_k=2))
    with pytest.raises(ValueError, match="top_k must be at least 1, not 0"):
        await ranked(ranker, given, is_async=is_async, top_k=0)


def test_title_and_metadata_in_the_text() -> None:
    """By a template, or as fields."""
    scorer = ScriptedScorer()
    given = documents("text", title="Title", year=1999)
    SidecarRanker(scorer, template="{title} ({year}): {content}").run("q", given)
    SidecarRanker(scorer, fields=["title", "content"]).run("q", given)
    assert ["Title (1999): text", "Title text"] == scorer.texts


def test_the_best_passage_in_meta() -> None:
    """On request, of a text in passages."""
    scorer = ScriptedScorer({"one two three": 1.0, "four five six": 2.0})
    ranker = SidecarRanker(scorer, passage_tokens=4, passage_return=True)
    (found,) = ranker.run("q", documents("one two three four five six", title="T"))["documents"]
    assert {"title": "T", "rerank_passage": "four five six"} == found.meta


def test_a_document_without_text() -> None:
    """Comes last, without a score."""
    given = [Document(id="empty", content=None, score=0.5), Document(id="full", content="a")]
    found = SidecarRanker(ScriptedScorer()).run("q", given)["documents"]
    assert [("full", True), ("empty", False)] == [(each.id, each.score is not None) for each in found]


def test_a_failing_second_stage_costs_nothing() -> None:
    """The retriever's documents and scores; "error" raises."""
    scorer = FailingScorer(SchedulerFull("busy"))
    given = documents("bb", "a")
    assert given == SidecarRanker(scorer).run("q", given)["documents"]
    with pytest.raises(SchedulerFull):
        SidecarRanker(scorer, on_failure="error").run("q", given)


def test_what_cannot_be_is_refused() -> None:
    """When the component is made."""
    with pytest.raises(ValueError, match="min_score must be a probability from 0 to 1"):
        SidecarRanker("offline", min_score=2)
    with pytest.raises(ValueError, match="top_k must be at least 1"):
        SidecarRanker("offline", top_k=0)


async def test_a_model_is_loaded_when_the_pipeline_warms_up(tmp_path: Path) -> None:
    """Or found; closing closes what was opened."""
    async with serving(ScriptedScorer(), tmp_path / "scorer") as url:
        ranker = SidecarRanker(url)
        await ranker.warm_up_async()
        assert "scripted" == ranker.scorer.describe().name
        await asyncio.to_thread(ranker.warm_up)
        await asyncio.to_thread(ranker.close)
        assert documents("bb", "a") == (await ranker.run_async("q", documents("bb", "a")))["documents"]


async def test_a_model_that_cannot_be_had(tmp_path: Path) -> None:
    """Stops a pipeline that wants it, and no other."""
    await SidecarRanker(str(tmp_path / "nothing")).warm_up_async()
    with pytest.raises(ModelFailed):
        await SidecarRanker(str(tmp_path / "nothing"), on_failure="error").warm_up_async()


def test_it_is_serialized(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that it was made with, the key by the name of its variable."""
    monkeypatch.setenv("SCORER_KEY", "secret")
    ranker = SidecarRanker(
        "http://127.0.0.1:9",
        top_k=3,
        template="{title}. {content}",
        passage_tokens=100,
        api_key=Secret.from_env_var("SCORER_KEY"),
    )
    data = ranker.to_dict()
    assert "sidecar.integrations.haystack.SidecarRanker" == data["type"]
    assert "secret" not in str(data)
    again = SidecarRanker.from_dict(data)
    assert data == again.to_dict()
    assert "secret" == again.scorer.source.api_key
    with pytest.raises(ValueError, match="a Scorer cannot be serialized"):
        SidecarRanker(ScriptedScorer()).to_dict()


@TWICE
async def test_in_a_pipeline(is_async: bool) -> None:
    """Between others, and after it was written down and read again."""
    pipeline = Pipeline()
    pipeline.add_component("ranker", SidecarRanker(ScriptedScorer(), top_k=2))
    data = {"ranker": {"query": "q", "documents": documents("ccc", "a", "bb")}}
    if is_async:
        found = await pipeline.run_async(data)
    else:
        found = await asyncio.to_thread(pipeline.run, data)
    assert ["a", "bb"] == [each.content for each in found["ranker"]["documents"]]


def test_a_pipeline_that_is_written_down() -> None:
    """Is read again by whoever trusts this package."""
    pipeline = Pipeline()
    pipeline.add_component("ranker", SidecarRanker("offline", top_k=2))
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=["sidecar.*"])
    assert pipeline.to_dict() == again.to_dict()

"""What the first stage gives, in the words that a model would read."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from connectors.base import SearchRequest, SearchResponse
from connectors.errors import EngineUnavailable
from sidecar.errors import ConfigError
from sidecar.evaluation import measures
from sidecar.evaluation.datasets import Dataset
from sidecar.evaluation.request import question
from sidecar.evaluation.runs import ScoredId
from sidecar.evaluation.sources import Source
from sidecar.evaluation.stored_run import StoredRun
from sidecar.finetuning import mining
from sidecar.finetuning.mining import Mined, mine
from sidecar.types import RerankOptions

DOCUMENTS = {
    "a": {"title": "Sky", "text": "<b>blue</b>"},
    "b": {"title": "Sea", "text": "deep"},
    "c": {"title": "", "text": ""},
    "d": {"title": "Tree", "text": "old"},
}
RUN = {"q": [ScoredId("a", 9.0), ScoredId("c", 8.0), ScoredId("b", 7.0)], "r": [ScoredId("b", 3.0)]}


def source(folder: Path) -> Source:
    """Return a stored run over a corpus that has one document more."""
    lines = [
        f'{{"_id": "{id}", "title": "{each["title"]}", "text": "{each["text"]}"}}' for id, each in DOCUMENTS.items()
    ]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    dataset = Dataset(
        name="small",
        queries={"q": "blue sky", "r": "old tree"},
        qrels={"q": {"a": 1}, "r": {"d": 2, "z": 1}},
        corpus=folder / "corpus.jsonl",
    )
    return Source(
        engine=StoredRun("r.trec", RUN, DOCUMENTS),
        dataset=dataset,
        question=question("run", ("title", "text"), None, 100),
        fields=("title", "text"),
    )


async def mined(folder: Path, window: int = 10, **settings: Any) -> Mined:
    """Return what is mined under some settings."""
    return await mine(source(folder), RerankOptions(**settings), window)


async def test_texts_are_those_of_serving(tmp_path: Path) -> None:
    """In the template and without HTML, also of a judged document that is no hit; what has no text is left out."""
    found = await mined(tmp_path, template="{title}: {text}", strip_html=True)
    assert {"a": "Sky: blue", "b": "Sea: deep", "d": "Tree: old"} == found.texts
    assert ["a", "b"] == [scored.id for scored in found.rankings["q"]]
    assert [9.0, 7.0] == [scored.score for scored in found.rankings["q"]]


async def test_the_window_is_kept(tmp_path: Path) -> None:
    """What is below is neither ranked nor read."""
    found = await mined(tmp_path, window=2)
    assert ["a"] == [scored.id for scored in found.rankings["q"]]


async def test_a_single_hit_is_kept(tmp_path: Path) -> None:
    """Though one hit alone is not reranked."""
    found = await mined(tmp_path)
    assert ["b"] == [scored.id for scored in found.rankings["r"]]


async def test_what_was_mined_can_be_evaluated(tmp_path: Path) -> None:
    """The queries held out alone, and their first stage as it was."""
    found = mining.as_source(source(tmp_path).dataset, await mined(tmp_path), {"q"})
    assert {"q": "blue sky"} == found.dataset.queries
    answer = await found.engine.search(found.question.request("q", "blue sky"))
    assert ["a", "b"] == [hit.id for hit in answer.hits]
    assert [{"text": "Sky <b>blue</b>"}, {"text": "Sea deep"}] == [hit.source for hit in answer.hits]
    values = measures.per_query(measures.parse(("RR@10",)), found.dataset.qrels or {}, {"q": ["a"]})
    assert {"RR@10": {"q": 1.0}} == values


async def test_a_search_that_fails_ends_it(tmp_path: Path) -> None:
    """With its own error, whichever of those that were asked at once it was."""

    class Gone(StoredRun):
        async def search(self, request: SearchRequest) -> SearchResponse:
            raise EngineUnavailable("gone")

    with pytest.raises(EngineUnavailable, match="gone"):
        await mine(dataclasses.replace(source(tmp_path), engine=Gone("r.trec", RUN, DOCUMENTS)), RerankOptions(), 10)


def test_nothing_to_read_is_refused() -> None:
    """With what can be done."""
    with pytest.raises(ConfigError, match="--fields"):
        mining.check(Mined(rankings={}, texts={}))


async def test_what_was_mined_is_kept(tmp_path: Path) -> None:
    """For a training that goes on; half a file is named."""
    found = await mined(tmp_path)
    path = tmp_path / "first-stage.json.gz"
    mining.save(path, found)
    assert found == mining.load(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ConfigError, match="first stage is asked again"):
        mining.load(path)

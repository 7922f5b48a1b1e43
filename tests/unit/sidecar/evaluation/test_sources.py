"""Where the first stage comes from, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import ConfigError
from sidecar.evaluation import datasets
from sidecar.evaluation.request import EvaluationRequest
from sidecar.evaluation.sources import Source, open_source
from sidecar.program.config import load as load_settings
from sidecar.program.parts import Options

CORPUS = [{"_id": "a", "title": "Skies", "text": "They are blue."}, {"_id": "b", "text": "Seas are deep."}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset of two documents and two judged queries, and a run of one of them."""
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(each) + "\n" for each in CORPUS))
    queries = [{"_id": "q1", "text": "blue sky"}, {"_id": "q2", "text": "deep sea"}]
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(each) + "\n" for each in queries))
    (tmp_path / "qrels.trec").write_text("q1 0 a 1\nq2 0 b 1\n")
    (tmp_path / "run.trec").write_text("q1 Q0 b 1 2.0 t\nq1 Q0 a 2 1.0 t\nq1 Q0 lost 3 0.5 t\nq9 Q0 a 1 1 t\n")
    return tmp_path


async def first_hits(source: Source, query: str) -> list[str | None]:
    """Return the ids that a source finds for one of the dataset's queries."""
    answer = await source.engine.search(source.question.request(query, source.dataset.queries[query]))
    return [hit.id for hit in answer.raise_for_status().hits]


def options(engine: str) -> Options:
    """Return settings with an engine."""
    return Options(settings=load_settings(None, {"engine.url": engine}))


async def test_the_embedded_engine_searches_the_corpus(folder: Path) -> None:
    """Under an analyzer that is said, with a query that is said, in the corpus's text fields."""
    request = EvaluationRequest(dataset=str(folder), depth=7)
    async with open_source(options("embedded"), request, datasets.load(str(folder))) as source:
        assert ["a"] == await first_hits(source, "q1")
        assert "embedded engine, index corpus, analyzer english" == str(source)
        assert ("title", "text") == source.fields
        assert source.query is not None
        assert {"multi_match": {"query": "%SearchText%", "fields": ["title", "text"]}} == json.loads(source.query)[
            "query"
        ]


async def test_a_stored_run_answers_in_its_order(folder: Path) -> None:
    """A judged query that it lacks counts and is said, and so is a document without a text."""
    request = EvaluationRequest(run=folder / "run.trec")
    async with open_source(options("embedded"), request, datasets.load(str(folder))) as source:
        assert ["b", "a", "lost"] == await first_hits(source, "q1")
        assert [] == await first_hits(source, "q2")
        assert ("stored run run.trec", None) == (str(source), source.query)
        assert (
            "1 judged queries are not in the run: they count 0",
            "1 documents of the run have no text: not scored",
        ) == source.dataset.notes


async def test_without_judgments_a_run_says_which_queries_there_are(folder: Path) -> None:
    """Those that it has and that have a text."""
    (folder / "qrels.trec").unlink()
    request = EvaluationRequest(run=folder / "run.trec")
    async with open_source(options("embedded"), request, datasets.load(str(folder))) as source:
        assert ["q1"] == list(source.dataset.queries)


async def test_an_engine_of_ones_own_is_searched_as_it_is(folder: Path) -> None:
    """Here the embedded one over a file: its index needs no name, and fields are those that one says."""
    engine = options(f"embedded:{folder / 'corpus.jsonl'}")
    request = EvaluationRequest(fields=("title",))
    async with open_source(engine, request, datasets.load(str(folder))) as source:
        assert [] == await first_hits(source, "q2")
        assert "embedded engine, index documents" == str(source)


@pytest.mark.parametrize(
    ("engine", "settings", "missing", "complaint"),
    [
        ("http://127.0.0.1:9", {}, "", r"--index: say which index of http://127\.0\.0\.1:9 is searched"),
        ("embedded", {}, "corpus.jsonl", r"--dataset: .* has no corpus\.jsonl"),
        ("embedded", {"run": "run.trec"}, "corpus.jsonl", r"--dataset: .* has no corpus\.jsonl"),
        ("embedded", {"run": "other.trec"}, "", r"--run: no query of .*other\.trec is in the dataset"),
        ("embedded", {"run": "strange.trec"}, "", r"--run: no document of .*strange\.trec is in .*corpus\.jsonl"),
        ("embedded", {"body": "{}"}, "", r"--body: expected a search body"),
    ],
)
async def test_what_cannot_be_had_is_refused(
    folder: Path, engine: str, settings: dict[str, Any], missing: str, complaint: str
) -> None:
    """With the option that is wrong."""
    (folder / "other.trec").write_text("q9 Q0 a 1 1 t\n")
    (folder / "strange.trec").write_text("q1 Q0 nowhere 1 1 t\n")
    if missing:
        (folder / missing).unlink()
    if "run" in settings:
        settings = {"run": folder / settings["run"]}
    request = EvaluationRequest(**settings)
    with pytest.raises(ConfigError, match=complaint):
        async with open_source(options(engine), request, datasets.load(str(folder))):
            pass

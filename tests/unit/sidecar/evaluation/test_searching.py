"""Every query to every system: the real pipeline over scripted engines and scorers."""

import json
from typing import Any

import pytest

from connectors.base import SearchRequest, SearchResponse
from connectors.errors import EngineStatusError
from sidecar.errors import ModelFailed
from sidecar.evaluation.once import AskedOnce, ScoredOnce
from sidecar.evaluation.request import FusionChoice, question
from sidecar.evaluation.runs import ScoredId
from sidecar.evaluation.searching import EXCERPT, Answers, SearchFailed, System, search_all
from sidecar.evaluation.stored_run import StoredRun
from sidecar.scoring.base import Scorer
from sidecar.types import RerankOptions
from tests.unit.doubles import FailingScorer, ScriptedEngine, ScriptedScorer, error_with

DOCUMENTS = {id: {"text": f"text {id}"} for id in "abcd"}
RUN = {"q1": [ScoredId(id, score) for id, score in zip("abcd", (9.0, 3.0, 2.0, 1.0), strict=True)], "q2": []}
QUERIES = {"q1": "blue sky", "q2": "deep sea"}
SCORES = {"text a": 0.0, "text b": 1.0, "text c": 3.0, "text d": 2.0}


def systems(engine: AskedOnce, scorer: Scorer, **named: tuple[int, str]) -> dict[str, System]:
    """Return systems by name, each a window and a fusion, over one scorer."""
    once = ScoredOnce(scorer)
    return {
        name: System(engine, once, RerankOptions(), window, FusionChoice.parse(fusion))
        for name, (window, fusion) in named.items()
    }


async def answered(engine: Any, scorer: Scorer, queries: dict[str, str] = QUERIES, **named: tuple[int, str]) -> Answers:
    """Return what everybody answers."""
    asked = AskedOnce(engine)
    return await search_all(
        asked, systems(asked, scorer, **named), queries, question("run", ("text",), None, 100), ("text",)
    )


async def test_rankings_before_and_after() -> None:
    """The run's order, and the model's within the window; the ranks tell where a hit came from."""
    scorer = ScriptedScorer(SCORES)
    answers = await answered(StoredRun("r", RUN, DOCUMENTS), scorer, all=(10, "auto"), two=(2, "auto"))
    assert ["a", "b", "c", "d"] == answers.first_stage.ids("q1")
    assert ["c", "d", "b", "a"] == answers.by_system["all"].ids("q1")
    assert ["b", "a", "c", "d"] == answers.by_system["two"].ids("q1")
    assert [(1, 3, 3.0), (2, 4, 2.0), (3, 2, 1.0), (4, 1, 0.0)] == [
        (hit.rank, hit.first_stage_rank, hit.model_score) for hit in answers.by_system["all"].hits["q1"]
    ]
    assert [9.0, 3.0, 2.0, 1.0] == [hit.score for hit in answers.first_stage.hits["q1"]]
    scores = [hit.score for hit in answers.by_system["two"].hits["q1"]]
    assert scores == sorted(scores, reverse=True)
    assert {"q1": 4, "q2": 0} == answers.by_system["all"].scored
    assert {"q1": 2, "q2": 0} == answers.by_system["two"].scored
    assert sorted(SCORES) == sorted(scorer.texts)


async def test_fusion_uses_the_runs_scores() -> None:
    """The document that is far ahead in the first stage stays first where that counts most."""
    answers = await answered(
        StoredRun("r", RUN, DOCUMENTS), ScriptedScorer(SCORES), model=(10, "linear=1"), run=(10, "linear=0.2")
    )
    assert ["c", "d", "b", "a"] == answers.by_system["model"].ids("q1")
    assert "a" == answers.by_system["run"].ids("q1")[0]


async def test_what_is_not_reranked_keeps_its_order_and_is_counted() -> None:
    """A query without hits, and one whose hits have no text."""
    run = {"q1": RUN["q1"], "q2": []}
    answers = await answered(StoredRun("r", run, {}), ScriptedScorer(SCORES), all=(10, "auto"))
    assert {"no_text_field": 1, "few_hits": 1} == dict(answers.by_system["all"].skipped)
    assert ["a", "b", "c", "d"] == answers.by_system["all"].ids("q1")
    assert {"q1": 0.0, "q2": 0.0} == answers.by_system["all"].seconds


async def test_the_engine_is_asked_once_for_a_query() -> None:
    """However many systems there are; and every system sees the same hits."""
    engine = ScriptedEngine("long text", "text", "a longer text")
    answers = await answered(engine, ScriptedScorer(), a=(2, "auto"), b=(3, "rrf"), c=(3, "model_only"))
    assert ["blue sky", "deep sea"] == [body["query"]["multi_match"]["query"] for body in engine.bodies]
    assert all(["1", "2", "3"] == answers.first_stage.ids(query) for query in QUERIES)
    assert ["2", "1", "3"] == answers.by_system["c"].ids("q1")


async def test_texts_near_the_top_are_kept_in_short() -> None:
    """As the model saw them, in one line."""
    engine = ScriptedEngine("two\nlines", "word " * 100, *(f"text {n}" for n in range(20)))
    answers = await answered(engine, ScriptedScorer(), {"q": "sky"}, a=(2, "auto"))
    kept = answers.excerpts["q"]
    assert "two lines" == kept["1"]
    assert EXCERPT == len(kept["2"])
    assert kept["2"].endswith("…")
    assert "22" not in kept


async def test_a_failing_second_stage_ends_the_evaluation() -> None:
    """With the query and the reason: first-stage figures under a model's name would be a lie."""
    with pytest.raises(SearchFailed, match=r"query q1, all: not reranked, model: .*broken"):
        await answered(StoredRun("r", RUN, DOCUMENTS), FailingScorer(ModelFailed("broken")), all=(10, "auto"))


async def test_a_failing_first_stage_ends_it_as_well() -> None:
    """In the engine's words."""
    engine = ScriptedEngine("text", override=lambda request, body: error_with(503))
    with pytest.raises(EngineStatusError, match="answered 503"):
        await answered(engine, ScriptedScorer(), a=(2, "auto"))


async def test_a_document_counts_once() -> None:
    """The same id in another index comes later and is passed over; a missing score is the rank."""
    hits = [{"_index": index, "_id": id, "_score": None, "_source": {"text": id}} for index, id in ("ia", "ib", "ja")]
    body = json.dumps({"hits": {"max_score": None, "hits": hits}}).encode()

    class TwoIndices(ScriptedEngine):
        async def search(self, request: SearchRequest) -> SearchResponse:
            return SearchResponse(status=200, headers=(("Content-Type", "application/json"),), body=body)

    answers = await answered(TwoIndices(), ScriptedScorer(), {"q": "sky"})
    assert [("a", -1.0), ("b", -2.0)] == [(hit.id, hit.score) for hit in answers.first_stage.hits["q"]]


@pytest.mark.parametrize(
    ("fusion", "words"),
    [("auto", "linear=0.6"), ("linear=0.25", "linear=0.25"), ("rrf", "rrf"), ("model_only", "model_only")],
)
def test_a_fusion_is_said_as_what_it_is(fusion: str, words: str) -> None:
    """What a model recommends is `auto`."""
    scorer = ScriptedScorer(recommended_fusion="linear", recommended_weight=0.6)
    (system,) = systems(AskedOnce(ScriptedEngine()), scorer, a=(10, fusion)).values()
    assert words == system.fusion


def test_neither_deadline_nor_budget_nor_another_model() -> None:
    """What else the settings say stands."""
    options = RerankOptions(deadline=0.1, token_budget=5, model="other", enabled=False, template="{a}", min_score=0.2)
    system = System(AskedOnce(ScriptedEngine()), ScoredOnce(ScriptedScorer()), options, 7, FusionChoice())
    freed = system.options
    assert (0.0, 0, None, True, "error") == (
        freed.deadline,
        freed.token_budget,
        freed.model,
        freed.enabled,
        freed.on_failure,
    )
    assert (7, "{a}", 0.2) == (freed.window, freed.template, freed.min_score)


async def test_a_cascade_is_a_system_like_any_other() -> None:
    """What the pruner keeps is in the model's order, the rest in the pruner's; nobody is asked about a text twice."""
    engine = AskedOnce(StoredRun("r", RUN, DOCUMENTS))
    model, cheap = (
        ScriptedScorer(SCORES),
        ScriptedScorer({text: -score for text, score in SCORES.items()}, name="cheap"),
    )
    once, pruner = ScoredOnce(model), ScoredOnce(cheap)
    systems = {
        f"keep={keep}": System(engine, once, RerankOptions(), 10, FusionChoice(), pruner=pruner, keep=keep)
        for keep in (2, 3)
    }
    systems["all"] = System(engine, once, RerankOptions(), 10, FusionChoice())
    answers = await search_all(engine, systems, QUERIES, question("run", ("text",), None, 100), ("text",))
    assert ["b", "a", "d", "c"] == answers.by_system["keep=2"].ids("q1")
    assert ["d", "b", "a", "c"] == answers.by_system["keep=3"].ids("q1")
    assert ["c", "d", "b", "a"] == answers.by_system["all"].ids("q1")
    assert [2, 3, 4] == [answers.by_system[label].scored["q1"] for label in systems]
    assert sorted(SCORES) == sorted(model.texts) == sorted(cheap.texts)
    assert ["keep=2", "keep=3", ""] == [system.cascade for system in systems.values()]
    assert [hit.model_score for hit in answers.by_system["keep=2"].hits["q1"]] == [1.0, 0.0, None, None]


async def test_a_pruner_that_fails_ends_the_evaluation() -> None:
    """A window that the first stage has pruned is not what was asked for."""
    engine = AskedOnce(StoredRun("r", RUN, DOCUMENTS))
    pruner = ScoredOnce(FailingScorer(ModelFailed("broken")))
    system = System(
        engine, ScoredOnce(ScriptedScorer(SCORES)), RerankOptions(), 10, FusionChoice(), pruner=pruner, keep=2
    )
    with pytest.raises(SearchFailed, match="pruner"):
        await search_all(engine, {"s": system}, QUERIES, question("run", ("text",), None, 100), ("text",))

"""Signals, pins and diversity in a whole search: what the caller gets, and what is said of it."""

from typing import Any

import pytest

from connectors.base import SearchResponse
from sidecar.pipeline import RerankingConnector
from sidecar.policy import Policy
from sidecar.types import RerankOptions, Signal
from tests.unit.doubles import ScriptedEngine, ScriptedScorer, document, marker_of, match, search, texts

LIKES = Signal(field="likes", function="saturation", pivot=10, weight=4.0)
EXPLAINED = (("X-Rerank-Explain", "true"),)
LIKED = (document("dddd", likes=0), document("ccc", likes=90), document("bb"), document("a", likes=10))
"""The scorer likes short texts best."""


async def found(
    *documents: Any, body: dict[str, Any] | None = None, headers: Any = (), **options: Any
) -> tuple[SearchResponse, ScriptedEngine, ScriptedScorer]:
    """Return the answer to a search for these documents, its engine and its scorer."""
    engine, scorer = ScriptedEngine(*documents), ScriptedScorer()
    policy = Policy(defaults=RerankOptions(**{"fetch": "once", **options}))
    answer = await RerankingConnector(engine, scorer, policy).search(search(body or match(), headers=headers))
    return answer, engine, scorer


# --- signals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fetch", ["once", "twice"])
async def test_a_signal_moves_hits(fetch: Any) -> None:
    """What most people like comes first, though the model likes others better."""
    answer, _, _ = await found(*LIKED, signals=(LIKES,), fetch=fetch)
    assert ("applied", ["ccc", "a", "bb", "dddd"]) == (marker_of(answer).partition(";")[0], texts(answer))
    assert not any("fields" in hit.value for hit in answer.hits)


async def test_an_explanation_has_every_term() -> None:
    """Raw, value, weight and contribution, and what is missing as null."""
    answer, _, _ = await found(*LIKED, headers=EXPLAINED, signals=(LIKES,))
    said = {hit.source["text"]: hit.value["_rerank"] for hit in answer.hits if hit.source}
    names = ["model", "first_stage", "likes"]
    assert [names] * 4 == [[term["name"] for term in each["terms"]] for each in said.values()]
    last = said["ccc"]["terms"][-1]
    assert {"name": "likes", "function": "saturation", "raw": 90.0, "value": 0.9, "weight": 4.0} == {
        key: last[key] for key in ("name", "function", "raw", "value", "weight")
    }
    assert pytest.approx(3.6) == last["contribution"]
    assert (None, 0.0) == (said["bb"]["terms"][-1]["raw"], said["bb"]["terms"][-1]["value"])


async def test_fields_of_signals_are_asked_for_with_the_text() -> None:
    """In the first search, and only where nobody has asked for them."""
    _, engine, _ = await found(*LIKED, signals=(LIKES,))
    assert ["likes"] == engine.bodies[0]["fields"]
    _, engine, _ = await found(*LIKED, signals=(LIKES,), body=match(fields=["li*"]))
    assert ["li*"] == engine.bodies[0]["fields"]


# --- pins ---------------------------------------------------------------------------------------------------


async def test_a_pinned_hit_stays_first() -> None:
    """Before all that the model likes better; nothing of it is scored, so that it bears on no other's score."""
    answer, _, scorer = await found(*LIKED, headers=EXPLAINED, pin_ids=("1",))
    assert ["dddd", "a", "bb", "ccc"] == texts(answer)
    assert "dddd" not in scorer.texts
    said = [hit.value["_rerank"] for hit in answer.hits]
    assert ([1, 2, 3, 4], [True, None, None, None]) == (
        [each["rank"] for each in said],
        [each.get("pinned") for each in said],
    )
    scores = [hit.score or 0.0 for hit in answer.hits]
    assert 3 > scores[0] > 2 > scores[1] > scores[2] > scores[3]
    assert scores[0] == answer.json["hits"]["max_score"]


async def test_no_score_drops_a_pinned_hit() -> None:
    """`min_score` is about what the model thinks."""
    answer, _, _ = await found(*LIKED, pin_ids=("1",), min_score=0.1)
    assert "dddd" == texts(answer)[0]


async def test_pages_of_pinned_hits_fit_together() -> None:
    """They are cut from one ranking."""
    whole, _, _ = await found(*LIKED, pin_ids=("3",))
    pages = [(await found(*LIKED, pin_ids=("3",), body=match(size=2, **{"from": start})))[0] for start in (0, 2)]
    assert texts(whole) == [text for page in pages for text in texts(page)]


async def test_a_request_may_say_what_is_pinned() -> None:
    """In the place of its policy's ids."""
    body = {**match(), "ext": {"rerank": {"pin_ids": ["2"]}}}
    answer, _, _ = await found(*LIKED, pin_ids=("1",), body=body)
    assert "ccc" == texts(answer)[0]


# --- diversity ----------------------------------------------------------------------------------------------


async def test_diversity_keeps_a_kind_from_filling_the_page() -> None:
    """The best of each kind first, the others after; scores never rise."""
    documents = [document("x" * length, brand=brand) for length, brand in ((6, "u"), (5, "v"), (4, "v"), (3, "v"))]
    answer, _, _ = await found(*documents, diversify_by="brand", diversify_most=1, diversify_within=2)
    assert ["xxx", "xxxxxx", "xxxx", "xxxxx"] == texts(answer)
    scores = [hit.score or 0.0 for hit in answer.hits]
    assert sorted(scores, reverse=True) == scores

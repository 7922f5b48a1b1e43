"""Given documents, ranked by the pipeline's own steps."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from sidecar.errors import ModelFailed, SchedulerFull, ScoringTimeout
from sidecar.integrations.texts import RankedText, rank
from sidecar.scoring.base import sigmoid
from sidecar.types import RerankOptions
from tests.unit.doubles import FailingScorer, FirstCallOnly, ScriptedScorer


async def ranked(
    scorer: Any,
    documents: Sequence[Mapping[str, Any] | str],
    top_n: int | None = None,
    *,
    query: str = "q",
    **options: Any,
) -> list[RankedText]:
    """Rank documents, of which a string is a text alone."""
    given = [{"text": document} if isinstance(document, str) else document for document in documents]
    settings = RerankOptions(**{"deadline": 0, **options})
    return await rank(scorer, query, given, settings, text_field="text", top_n=top_n)


def places(found: Sequence[RankedText]) -> list[int]:
    """Return the places of ranked documents."""
    return [each.index for each in found]


async def test_best_first_by_place() -> None:
    """With the score as a probability."""
    found = await ranked(ScriptedScorer(), ["ccc", "a", "bb"])
    assert [1, 2, 0] == places(found)
    assert [sigmoid(-0.01), sigmoid(-0.02), sigmoid(-0.03)] == [each.score for each in found]
    assert [1, 2] == places(await ranked(ScriptedScorer(), ["ccc", "a", "bb"], 2))


async def test_equal_documents_keep_apart() -> None:
    """And in the order in which they were given."""
    assert [1, 3, 0, 2] == places(await ranked(ScriptedScorer(), ["bb", "a", "bb", "a"]))


async def test_cosines_become_probabilities() -> None:
    """As everywhere in the program."""
    scorer = ScriptedScorer({"a": -1.0, "b": 0.5}, kind="cosine")
    assert [(1, 0.75), (0, 0.0)] == [(each.index, each.score) for each in await ranked(scorer, ["a", "b"])]


async def test_nothing_to_rank() -> None:
    """Neither no documents, nor no words, ask the scorer."""
    scorer = ScriptedScorer()
    assert [] == await ranked(scorer, [])
    assert [0, 1] == places(await ranked(scorer, ["bb", "a"], query=" "))
    assert [0, 1] == places(await ranked(scorer, ["", " "]))
    assert [] == scorer.calls


async def test_documents_without_text_come_last() -> None:
    """In the given order, without a score."""
    found = await ranked(ScriptedScorer(), ["", "bb", {"title": "x"}, {"text": None}, "a"])
    assert [4, 1, 0, 2, 3] == places(found)
    assert [True, True, False, False, False] == [each.score is not None for each in found]


async def test_a_template_of_text_and_metadata() -> None:
    """Numbers are words, too; what is missing is nothing."""
    scorer = ScriptedScorer()
    documents = [{"title": "T", "year": 1999, "text": "b"}, {"text": "b", "title": None, "done": True}]
    await ranked(scorer, documents, template="{title} ({year}). {text}{done}")
    assert ["T (1999). b", "(). b"] == sorted(scorer.texts, reverse=True)


async def test_fields_joined() -> None:
    """In their order, of dotted paths, too."""
    scorer = ScriptedScorer()
    documents = [{"book": {"title": "T"}, "tags": ["x", "y"], "text": "b"}]
    await ranked(scorer, documents, fields=("book.title", "tags", "text"))
    assert ["T x y b"] == scorer.texts


async def test_without_html() -> None:
    """As in a search."""
    scorer = ScriptedScorer()
    await ranked(scorer, ["<p>a &amp; b</p>"], strip_html=True)
    assert ["a & b"] == scorer.texts


async def test_the_best_passage() -> None:
    """Of a long text; its score is the document's."""
    text = " ".join(f"word{n}" for n in range(12))
    scores = {"word0 word1 word2": 0.0, "word3 word4 word5": 5.0, "word6 word7 word8": 1.0, "word9 word10 word11": 2.0}
    found = await ranked(ScriptedScorer({**scores, "short": 3.0}), ["short", text], passage_tokens=4)
    assert [(1, sigmoid(5.0), "word3 word4 word5"), (0, sigmoid(3.0), "short")] == [
        (each.index, each.score, each.passage) for each in found
    ]


async def test_a_threshold() -> None:
    """Of the probability; what has no score does not pass."""
    scorer = ScriptedScorer({"a": 2.0, "b": -2.0})
    assert [1] == places(await ranked(scorer, ["b", "a", ""], min_score=0.5))
    assert [] == places(await ranked(scorer, ["b"], min_score=0.5))


async def test_what_the_deadline_leaves_out_comes_last() -> None:
    """In the given order."""
    documents = [f"{'x' * (20 - number)}" for number in range(12)]
    scorer = FirstCallOnly()
    found = await ranked(scorer, documents, deadline=0.2)
    assert [7, 6, 5, 4, 3, 2, 1, 0, 8, 9, 10, 11] == places(found)
    assert [True] * 8 + [False] * 4 == [each.score is not None for each in found]


async def test_passages_that_are_late_cost_nothing() -> None:
    """The given order stands."""

    class Stalled(ScriptedScorer):
        async def split(self, *args: Any, **kwargs: Any) -> Any:
            await asyncio.Event().wait()

    assert [0, 1] == places(await ranked(Stalled(), ["bb", "a"], passage_tokens=5, deadline=0.01))
    with pytest.raises(ScoringTimeout):
        await ranked(Stalled(), ["bb", "a"], passage_tokens=5, deadline=0.01, on_failure="error")


@pytest.mark.parametrize("is_known_before", [False, True])
async def test_a_failing_scorer_costs_nothing(is_known_before: bool) -> None:
    """The given order stands, without scores, and without a threshold on them; "error" raises."""
    scorer = FailingScorer(SchedulerFull("busy"), is_known_before=is_known_before)
    expected = [RankedText(index=0), RankedText(index=1)]
    assert expected == await ranked(scorer, ["bb", "a", "c"], 2, min_score=0.9)
    with pytest.raises(SchedulerFull):
        await ranked(scorer, ["bb", "a"], on_failure="error")


async def test_a_scorer_of_somebodys_own_may_raise_anything(caplog: pytest.LogCaptureFixture) -> None:
    """Which is a failure like any other, and logged."""

    class Broken(ScriptedScorer):
        async def score(self, *args: Any, **kwargs: Any) -> list[float]:
            raise KeyError("mine")

    assert [0, 1] == places(await ranked(Broken(), ["bb", "a"]))
    assert "rerank_failed" in caplog.text
    with pytest.raises(ModelFailed, match="KeyError"):
        await ranked(Broken(), ["bb", "a"], on_failure="error")

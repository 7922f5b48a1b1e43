"""Examples are drawn from judgments and rankings."""

from typing import Any

from sidecar.evaluation.runs import ScoredId
from sidecar.finetuning.examples import Example, draw
from sidecar.finetuning.mining import Mined

TEXTS = {id: f"text {id}" for id in "abcdefghij"}
RANKING = [ScoredId(id, 10.0 - place) for place, id in enumerate("abcdef")]
MINED = Mined(rankings={"q": RANKING, "other": []}, texts=TEXTS)
QRELS = {"q": {"a": 1, "j": 2, "i": 1, "z": 2, "b": 0}}


def drawn(qrels: Any = QRELS, **changes: Any) -> list[Example]:
    """Return the examples of one query."""
    settings = {"relevant_from": 1, "per_query": 3, "negatives": 2, "seed": 1, **changes}
    return draw(["q"], qrels, MINED, **settings)


def test_each_relevant_text_has_an_example() -> None:
    """The best grades first, then what the first stage found; what has no text has none."""
    assert {"j", "a", "i"} == {example.positive for example in drawn()}
    assert {"j", "a"} == {example.positive for example in drawn(per_query=2)}
    assert {"j"} == {example.positive for example in drawn(relevant_from=2)}


def test_negatives_are_judged_ones_first_and_never_relevant() -> None:
    """Then hits that nobody judged."""
    for example in drawn():
        assert "b" in example.negatives
        assert set(example.negatives) <= set("bcdef")
        assert 2 == len(set(example.negatives))


def test_where_hits_are_few_other_texts_are_negatives() -> None:
    """As many as there are."""
    qrels = {"q": dict.fromkeys("abcde", 1)}
    (example, *_) = drawn(qrels, negatives=4)
    assert 4 == len(set(example.negatives))
    assert set("fghi") | {"j"} >= set(example.negatives)
    (example, *_) = drawn(qrels, negatives=9)
    assert set("fghij") == set(example.negatives)


def test_one_seed_one_set_of_examples() -> None:
    """And the next seed another."""
    assert drawn(seed=5) == drawn(seed=5)
    assert drawn(seed=5) != drawn(seed=6)


def test_a_query_without_a_relevant_text_has_none() -> None:
    """It is passed over."""
    assert [] == drawn({"q": {"z": 1}})
    assert [] == draw(["other"], {}, MINED, relevant_from=1, per_query=3, negatives=2, seed=1)

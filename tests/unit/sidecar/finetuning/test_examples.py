"""Examples are drawn from judgments and rankings."""

from typing import Any

from sidecar.evaluation.runs import ScoredId
from sidecar.finetuning.examples import Example, TextExample, draw, draw_texts
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


TOPICS = {"q": {"a": 1, "b": 2, "c": 0}, "p": {"a": 1}, "other": {"a": 1, "z": 1}}
ASKED = Mined(rankings={"q": RANKING, "p": RANKING, "other": []}, texts=TEXTS)


def drawn_texts(**changes: Any) -> list[list[TextExample]]:
    """Return rounds of the texts of three queries."""
    settings = {"relevant_from": 1, "per_query": None, "per_text": 2, "negatives": 1, "rounds": 20, "seed": 1}
    return draw_texts(list(TOPICS), TOPICS, ASKED, **{**settings, **changes})


def test_every_round_has_each_text_once_with_queries_that_it_answers() -> None:
    """Other ones and in another order from round to round, in the end all."""
    rounds = drawn_texts()
    seen = set()
    for examples in rounds:
        assert ["a", "b"] == sorted(example.text for example in examples)
        for example in examples:
            seen |= {(example.text, query) for query in example.queries}
            assert len(example.queries) == len(set(example.queries)) <= 2
    assert {("a", "q"), ("a", "p"), ("a", "other"), ("b", "q")} == seen
    assert 1 < len({tuple(example.text for example in examples) for examples in rounds})
    assert rounds == drawn_texts()
    assert rounds != drawn_texts(seed=2)


def test_negatives_of_a_text_do_not_answer_its_first_query() -> None:
    """What was judged comes first."""
    for example in (example for examples in drawn_texts() for example in examples):
        (negative,) = example.negatives
        assert TOPICS[example.queries[0]].get(negative, 0) == 0
        assert "q" != example.queries[0] or "c" == negative
    assert all(example.negatives == () for examples in drawn_texts(negatives=0) for example in examples)

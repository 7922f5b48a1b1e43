"""What a query needs to know of its words; the scores are those of Elasticsearch 9.5.3."""

import pytest

from connectors.embedded.query import required
from tests.unit.connectors.embedded.asking import Asker


@pytest.mark.parametrize(
    ("spec", "clauses", "expected"),
    [
        ("2", 5, 2),
        ("7", 5, 7),
        ("-1", 5, 4),
        ("-7", 5, 0),
        ("75%", 4, 3),
        ("75%", 5, 3),
        ("-25%", 5, 4),
        ("-0%", 5, 5),
        ("100%", 3, 3),
        ("2<-25%", 2, 2),
        ("2<-25%", 4, 3),
        ("2<-25% 9<-3", 9, 7),
        ("2<-25% 9<-3", 10, 7),
        ("3<1", 3, 3),
        ("0", 5, 0),
    ],
)
def test_how_many_clauses_are_required(spec: str, clauses: int, expected: int) -> None:
    """Numbers, percentages, and conditions, as Elasticsearch documents `minimum_should_match`."""
    assert expected == required(spec, clauses)


@pytest.mark.parametrize("spec", ["", "many", "2<", "%", "<2", "1.5"])
def test_what_is_no_number_of_clauses(spec: str) -> None:
    """`ValueError`, which the reader of queries turns into a refusal."""
    with pytest.raises(ValueError, match=r"."):
        required(spec, 3)


async def test_a_keyword_scores_by_its_rarity_and_length(engine: Asker) -> None:
    """idf times 2.2 / (1 + 1.2 (0.25 + 0.75 / average number of values)): Elasticsearch's BM25 without norms."""
    await engine.json("PUT", "/books", {"mappings": {"properties": {"tag": {"type": "keyword"}}}})
    await engine.put([{"tag": "a"}, {"tag": ["a", "b", "c"]}, {"tag": ["b", "b"]}, {"n": 1}])
    scores = await engine.scores({"term": {"tag": "a"}})
    assert pytest.approx({"1": 0.5619608, "2": 0.5619608}, rel=1e-5) == scores
    assert pytest.approx({"2": 1.1727304}, rel=1e-5) == await engine.scores({"term": {"tag": "c"}})


async def test_a_word_scores_as_in_elasticsearch(engine: Asker) -> None:
    """BM25 with the factor k1 + 1, which Elasticsearch keeps."""
    await engine.put([{"title": "tea"}, {"title": "tea and water"}, {"title": "water"}])
    expected = {"1": 0.5619608, "2": 0.35411233}
    assert pytest.approx(expected, rel=1e-5) == await engine.scores({"match": {"title": "tea"}})

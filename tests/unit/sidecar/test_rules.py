"""Places that no score overrules."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from connectors.base import Hit
from sidecar import rules
from sidecar.response import Placed, tail_score
from sidecar.types import Candidate, RerankOptions


def a_hit(rank: int, id: str | None = None, score: float = 1.0, **source: Any) -> Hit:
    """Return a hit."""
    return Hit(rank=rank, value={"_id": id or str(rank), "_score": score, "_source": source})


def ranking(*ranks: int) -> list[Placed]:
    """Return a ranking of hits with these first-stage ranks."""
    return [Placed(rank=rank, score=2.0 - position / 100) for position, rank in enumerate(ranks)]


# --- pins ---------------------------------------------------------------------------------------------------


def test_pins_are_the_engines_those_by_id_and_those_by_a_field() -> None:
    """In this order, each once; ids in the order in which they are given, the others in the engine's."""
    hits = [
        a_hit(1, "a", 1.7014122e38),
        a_hit(2, "b", 1.7014120e38),
        a_hit(3, "c", promoted=True),
        a_hit(4, "d"),
        a_hit(5, "e", promoted="true"),
        a_hit(6, "f", promoted=False),
        a_hit(7, "g", promoted=[False, True]),
    ]
    options = RerankOptions(pin_ids=("e", "nobody", "d", "a"), pin_field="promoted")
    assert [1, 2, 5, 4, 3, 7] == rules.pins(hits, options)
    assert [1, 2] == rules.pins(hits, RerankOptions())


def test_organic_hits_are_no_pins() -> None:
    """However high they score; nor are hits without a score."""
    assert [] == rules.pins([a_hit(1, score=1e38), Hit(rank=2, value={"_id": "x", "_score": None})], RerankOptions())


def test_pins_behind_the_window_are_none() -> None:
    """So that every page has the same ones."""
    hits = [a_hit(rank) for rank in range(1, 6)]
    assert [2] == rules.pins(hits, RerankOptions(window=3, pin_ids=("4", "2")))


def test_an_id_of_two_indices_is_pinned_twice() -> None:
    """In the engine's order."""
    assert [1, 3] == rules.pins([a_hit(1, "a"), a_hit(2, "b"), a_hit(3, "a")], RerankOptions(pin_ids=("a",)))


def test_a_pinned_hit_is_not_read() -> None:
    """Its text and its passages go; others stay what they are."""
    candidates = [Candidate(rank=rank, score=None, text="x", passages=("x",)) for rank in (1, 2)]
    found = rules.unread(candidates, [2])
    assert [("x", ("x",)), ("", ())] == [(each.text, each.passages) for each in found]


def test_pinned_hits_come_first_with_scores_above_all_others() -> None:
    """Which fall; the order of the others stays."""
    placed = rules.pinned_first(ranking(3, 1, 4, 2), [4, 1])
    assert [4, 1, 3, 2] == [place.rank for place in placed]
    assert [True, True, False, False] == [place.is_pinned for place in placed]
    assert 3 > placed[0].score > placed[1].score > 2
    assert ranking(3, 1) == rules.pinned_first(ranking(3, 1), [])


# --- diversity ----------------------------------------------------------------------------------------------


def brands(names: str) -> list[Hit]:
    """Return hits of the brands that these letters are; a point is a hit without one."""
    return [a_hit(rank, **({} if name == "." else {"brand": name})) for rank, name in enumerate(names, start=1)]


def spread(names: str, most: int = 1, within: int = 3, window: int = 100) -> str:
    """Return the brands of a ranking in the engine's order, made diverse."""
    options = RerankOptions(diversify_by="brand", diversify_most=most, diversify_within=within, window=window)
    placed = rules.diversified(ranking(*range(1, len(names) + 1)), brands(names), options)
    return "".join(names[place.rank - 1] for place in placed)


def test_no_run_has_too_many_of_a_kind() -> None:
    """The rest comes after, in its order."""
    assert "abcaba" == spread("aababc")
    assert "aabaabbcc" == spread("aaaabbbcc", most=2)


def test_when_too_few_fit_the_others_follow() -> None:
    """Nothing is lost."""
    assert "abaaa" == spread("aaaab")


def test_hits_without_a_kind_always_fit() -> None:
    """Nobody says that they are alike."""
    assert "a..." == spread("a...")


def test_what_is_behind_the_window_stays() -> None:
    """It was not looked at on the first page either."""
    assert "abaaac" == spread("aaabac", within=2, window=4)


def test_pins_count_and_stay() -> None:
    """An editor may well have put two of a kind first."""
    options = RerankOptions(diversify_by="brand", diversify_most=1, diversify_within=3)
    placed = rules.diversified(rules.pinned_first(ranking(1, 2, 3, 4), [1, 2]), brands("aaab"), options)
    assert [1, 2, 4, 3] == [place.rank for place in placed]


@given(st.text("abc.", max_size=30), st.integers(1, 3), st.integers(2, 6), st.integers(1, 40))
def test_diversity_is_a_permutation_with_falling_scores(names: str, most: int, within: int, window: int) -> None:
    """Whatever the kinds are."""
    options = RerankOptions(diversify_by="brand", diversify_most=most, diversify_within=within, window=window)
    before = [*ranking(*range(1, len(names) + 1))]
    before = [Placed(rank=p.rank, score=p.score if p.rank <= window else tail_score(p.rank)) for p in before]
    placed = rules.diversified(before, brands(names), options)
    assert sorted(place.rank for place in placed) == list(range(1, len(names) + 1))
    scores = [place.score for place in placed]
    assert sorted(scores, reverse=True) == scores
    assert [p.rank for p in placed][min(window, len(names)) :] == list(range(window + 1, len(names) + 1))

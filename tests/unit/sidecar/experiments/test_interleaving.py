"""Two rankings as one page: what holds for every pair of rankings, and what is known of both methods."""

from collections import Counter
from collections.abc import Iterator
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.experiments import interleaving
from sidecar.experiments.interleaving import Slot, coins, interleave
from sidecar.types import InterleaveMethod, Team

METHODS: tuple[InterleaveMethod, ...] = ("team_draft", "balanced")
rankings = st.integers(1, 12).flatmap(lambda count: st.permutations(range(1, count + 1)))
pairs = st.integers(0, 12).flatmap(lambda count: st.lists(st.permutations(range(1, count + 1)), min_size=2, max_size=2))
methods = st.sampled_from(METHODS)
seeds = st.binary(max_size=8)
SEEDS = [str(number).encode() for number in range(2000)]


@given(pairs, methods, seeds)
def test_every_hit_is_shown_once(pair: list[list[int]], method: InterleaveMethod, seed: bytes) -> None:
    """Whatever the rankings are, so that no page of them shows one twice."""
    first, reranked = pair
    slots = interleave(first, reranked, method, seed)
    assert sorted(reranked) == sorted(slot.hit for slot in slots)


@given(rankings, methods, seeds)
def test_the_same_seed_gives_the_same_page(reranked: list[int], method: InterleaveMethod, seed: bytes) -> None:
    """On every front, and after every restart."""
    first = sorted(reranked)
    assert interleave(first, reranked, method, seed) == interleave(first, reranked, method, seed)


@given(rankings, methods, seeds)
def test_what_both_rankings_place_alike_stays_and_is_nobodys(
    reranked: list[int], method: InterleaveMethod, seed: bytes
) -> None:
    """A hit without text, a pinned one, all beyond the window."""
    first = sorted(reranked)
    for place, slot in enumerate(interleave(first, reranked, method, seed)):
        if first[place] == reranked[place]:
            assert Slot(first[place]) == slot


@pytest.mark.parametrize("method", METHODS)
def test_rankings_that_agree_have_no_teams(method: InterleaveMethod) -> None:
    """So that no click can tell what is not there."""
    assert [Slot(1), Slot(2), Slot(3)] == interleave([1, 2, 3], [1, 2, 3], method, b"")


@given(rankings, methods, st.lists(st.booleans(), min_size=24, max_size=24))
def test_swapped_rankings_and_turned_coins_swap_the_teams(
    reranked: list[int], method: InterleaveMethod, tossed: list[bool]
) -> None:
    """Neither side has an advantage that is not the coins'."""
    first = sorted(reranked)
    one = _interleaved(first, reranked, method, tossed)
    other = _interleaved(reranked, first, method, [not coin for coin in tossed])
    assert [slot.hit for slot in one] == [slot.hit for slot in other]
    assert [slot.team for slot in one] == [_SWAPPED[slot.team] for slot in other]
    assert [slot.ranks for slot in one] == [slot.ranks and slot.ranks[::-1] for slot in other]


_SWAPPED = {Team.RERANK: Team.FIRST_STAGE, Team.FIRST_STAGE: Team.RERANK, None: None}


def _interleaved(first: list[int], reranked: list[int], method: InterleaveMethod, tossed: list[bool]) -> list[Slot]:
    """Interleave with these coins."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(interleaving, "coins", lambda seed: iter(tossed))
        return interleave(first, reranked, method, b"")


def test_a_draft_is_one_of_those_that_coins_allow() -> None:
    """In each round both pick their best hit that is left, and a coin says who first."""
    found = {
        tuple((slot.hit, slot.team) for slot in interleave([1, 2, 3, 4], [3, 4, 1, 2], "team_draft", seed))
        for seed in SEEDS[:100]
    }
    first, reranked = Team.FIRST_STAGE, Team.RERANK
    rounds = [[(1, first), (3, reranked)], [(2, first), (4, reranked)]]
    expected = {(*one, *two) for one in permutations(rounds[0]) for two in permutations(rounds[1])}
    assert expected == found


def test_what_both_would_pick_next_is_nobodys() -> None:
    """After 1 and 3 both have 2 on top."""
    for seed in SEEDS[:20]:
        slots = interleave([1, 2, 3], [3, 1, 2], "team_draft", seed)
        assert Slot(2) == slots[2]
        assert {1: Team.FIRST_STAGE, 3: Team.RERANK} == {slot.hit: slot.team for slot in slots[:2]}


def test_balanced_pages_hold_as_many_of_the_first_of_both() -> None:
    """Every prefix is the first k of one ranking and the first k, or k - 1, of the other."""
    first, reranked = [1, 2, 3, 4, 5, 6], [4, 6, 1, 2, 3, 5]
    for seed in SEEDS[:20]:
        slots = interleave(first, reranked, "balanced", seed)
        for length in range(1, len(slots) + 1):
            shown = {slot.hit for slot in slots[:length]}
            depths = [max(k for k in range(7) if set(order[:k]) <= shown) for order in (first, reranked)]
            assert any(
                shown == set(first[:one]) | set(reranked[:other])
                for one in range(depths[0] + 1)
                for other in range(depths[1] + 1)
                if abs(one - other) <= 1
            )


@pytest.mark.parametrize("method", METHODS)
def test_either_side_begins_as_often(method: InterleaveMethod) -> None:
    """Within four standard deviations."""
    begun = Counter(interleave([1, 2], [2, 1], method, seed)[0].team for seed in SEEDS)
    assert abs(begun[Team.RERANK] - 1000) < 4 * 22.4


def test_coins_last_for_the_widest_window_and_fall_on_both_sides() -> None:
    """A thousand and more, independent of each other as far as their number tells."""
    tossed = list(coins(b"seed"))
    assert 1024 == len(tossed)
    assert 400 < sum(tossed) < 624


@pytest.mark.parametrize(("first", "reranked"), [([1, 2], [1, 3]), ([1, 2], [1]), ([1, 1], [1, 1])])
def test_other_hits_are_refused(first: list[int], reranked: list[int]) -> None:
    """They would be shown twice, or not at all."""
    with pytest.raises(ValueError, match="the same hits"):
        interleave(first, reranked, "team_draft", b"")


def outcomes(method: InterleaveMethod, first: list[int], reranked: list[int], clicked: set[int]) -> Iterator[int]:
    """Yield the credit of the reranked order less the other's, for each draw, when exactly these hits are clicked."""
    for seed in SEEDS[:400]:
        slots = [slot for slot in interleave(first, reranked, method, seed) if slot.hit in clicked]
        if method == "team_draft":
            yield sum({Team.RERANK: 1, Team.FIRST_STAGE: -1, None: 0}[slot.team] for slot in slots)
            continue
        ranked = [slot.ranks for slot in slots if slot.ranks]
        depth = min(ranked[-1]) if ranked else 0
        yield sum((other <= depth) - (one <= depth) for one, other in ranked)


def share_of_wins(method: InterleaveMethod, first: list[int], reranked: list[int]) -> float:
    """Return how often somebody prefers the reranked order who clicks one hit by chance, ties left out."""
    found = [each for hit in first for each in outcomes(method, first, reranked, {hit}) if each]
    return sum(each > 0 for each in found) / len(found)


def test_balanced_prefers_one_by_chance_where_the_other_is_it_shifted() -> None:
    """The known flaw: (a, b, c) and (b, c, a). Team draft has none, since each side has a hit in every round."""
    assert 2 / 3 == pytest.approx(share_of_wins("balanced", [1, 2, 3], [2, 3, 1]), abs=0.02)
    assert 1 / 2 == pytest.approx(share_of_wins("team_draft", [1, 2, 3], [2, 3, 1]), abs=0.05)


def test_team_draft_does_not_see_what_moves_up_behind_the_others() -> None:
    """The known blind spot: of (a, b, c) and (b, c, a) with c alone worth a click, neither wins; balanced sees it."""
    assert {0} == set(outcomes("team_draft", [1, 2, 3], [2, 3, 1], {3}))
    assert {1} == set(outcomes("balanced", [1, 2, 3], [2, 3, 1], {3}))

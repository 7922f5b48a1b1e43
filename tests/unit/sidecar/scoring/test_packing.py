"""Texts end to end: their tokens in order, their positions from zero, their types from their parts."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.scoring.packing import batches, joined, pack, pack_parts, room, split

TEXTS = [[5, 6, 7], [8], [9, 10]]
OVER = [0] * 10


def test_tokens_keep_their_order_and_positions_begin_anew() -> None:
    """Types are those of each token."""
    packed = pack(TEXTS, [[0, 0, 1], [1], [0, 1]])
    assert packed.ids.tolist() == [5, 6, 7, 8, 9, 10, *OVER]
    assert packed.positions.tolist() == [0, 1, 2, 0, 0, 1, *OVER]
    assert packed.types.tolist() == [0, 0, 1, 1, 0, 1, *OVER]
    assert packed.lengths == (3, 1, 2)
    assert packed.firsts.tolist() == [0, 3, 4, *[0] * 13]
    assert [rows.tolist() for rows in split(packed.ids[:6], packed)] == TEXTS


def test_rooms_are_few_and_little_larger_than_what_they_hold() -> None:
    """Eight to a doubling, so an eighth too large at most; small ones are multiples of sixteen."""
    assert [room(count) for count in (0, 1, 16, 17, 128, 129, 256, 257, 1000, 4096, 4097)] == [
        16, 16, 16, 32, 128, 144, 256, 288, 1024, 4096, 4608
    ]  # fmt: skip
    for count in range(1, 5000):
        assert count <= room(count) < count + max(16, count / 8)
        assert room(room(count)) == room(count)
    assert len({room(count) for count in range(1, 4097)}) == 48


def test_types_are_zero_unless_given() -> None:
    """A single text has one type."""
    assert pack(TEXTS).types.tolist() == [0] * 16


def test_parts_are_joined_to_texts() -> None:
    """Each part has its type; a part may be empty."""
    packed = pack_parts([(2, 7, 3), (8, 9), (3,), (2, 7, 3), (), (3,)], 3, (0, 1, 1))
    assert packed.ids.tolist() == [2, 7, 3, 8, 9, 3, 2, 7, 3, 3, *[0] * 6]
    assert packed.types.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 1, *[0] * 6]
    assert packed.positions.tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, *[0] * 6]
    assert packed.lengths == (6, 4)


@pytest.mark.parametrize("kinds", ["HHH", "iii", "HiH", "tiH", "ttt"])
def test_any_kind_of_row_is_joined(kinds: str) -> None:
    """Two bytes a token, four, a tuple, and all of them mixed."""
    rows = [tuple(row) if kind == "t" else array(kind, row) for kind, row in zip(kinds, TEXTS, strict=True)]
    assert joined(rows).tolist() == [5, 6, 7, 8, 9, 10]


def test_nothing_is_packed_to_nothing() -> None:
    """No texts, no tokens."""
    packed = pack([])
    assert (packed.ids.tolist(), packed.lengths) == ([0] * 16, ())


def test_what_is_packed_can_be_changed() -> None:
    """It is a copy: the rows, which a cache may own, are not touched."""
    row = array("H", [1, 2])
    packed = pack([row])
    packed.ids.add_(1)
    assert row.tolist() == [1, 2]


@given(st.lists(st.integers(1, 600), max_size=50), st.integers(1, 2000))
def test_batches_hold_every_text_once_within_budget(lengths: list[int], budget: int) -> None:
    """Only a single text may exceed the budget, or the last batch by an eighth; like lengths are neighbours."""
    found = list(batches(lengths, budget=budget))
    assert sorted(place for batch in found for place in batch) == list(range(len(lengths)))
    sizes = [sum(lengths[place] for place in batch) for batch in found]
    assert all(size <= budget or len(batch) == 1 for size, batch in zip(sizes[:-1], found[:-1], strict=True))
    assert not sizes or sizes[-1] <= budget * 9 / 8 or len(found[-1]) == 1
    order = [lengths[place] for batch in found for place in batch]
    assert order == sorted(lengths)


@pytest.mark.parametrize(("lengths", "expected"), [([10] * 8 + [9], 1), ([10] * 8 + [11], 2), ([5, 90], 2), ([90], 1)])
def test_a_small_rest_joins_the_last_batch(lengths: list[int], expected: int) -> None:
    """Up to an eighth of the budget, here 80."""
    assert len(list(batches(lengths, budget=80))) == expected

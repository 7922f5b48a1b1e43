"""Which recorded size a batch uses."""

from __future__ import annotations

import itertools

import pytest

from sidecar.scoring.cuda.rooms import FINE_FROM, LARGEST, SMALLEST, Room, Rooms, sizes, standard_rooms


def room(tokens: int, *, texts: int = 8, longest: int = 512, matches: int = 0) -> Room:
    """Return a room, long and with few texts unless told otherwise."""
    return Room(tokens=tokens, texts=texts, longest=longest, matches=matches)


def test_sizes_waste_little() -> None:
    """A quarter at most, an eighth in large rooms; both bounds are among them."""
    found = sizes()
    assert (found[0], found[-1]) == (SMALLEST, LARGEST)
    for smaller, larger in itertools.pairwise(found):
        assert 0 < larger / smaller - 1 <= (0.125 if smaller >= FINE_FROM else 0.25)


def test_the_smallest_that_holds_a_batch_is_chosen() -> None:
    """By tokens first; too many texts, too long a text or too many matches need a larger one."""
    rooms = Rooms([room(512, texts=32), room(256), room(1024, texts=64, matches=64)])
    assert rooms.smallest(room(200)) == room(256)
    assert rooms.smallest(room(256)) == room(256)
    assert rooms.smallest(room(257)) == room(512, texts=32)
    assert rooms.smallest(room(200, texts=9)) == room(512, texts=32)
    assert rooms.smallest(room(200, matches=1)) == room(1024, texts=64, matches=64)
    assert rooms.smallest(room(200, longest=513)) is None
    assert rooms.smallest(room(1025)) is None


def test_shorter_texts_use_the_tighter_of_two_rooms() -> None:
    """Where rooms of the same tokens differ in the longest text."""
    rooms = Rooms([room(512, longest=512), room(512, longest=128)])
    assert rooms.smallest(room(400, longest=100)) == room(512, longest=128)
    assert rooms.smallest(room(400, longest=200)) == room(512, longest=512)


def test_no_rooms_hold_nothing() -> None:
    """Before anything is recorded."""
    assert Rooms([]).smallest(room(1)) is None
    assert len(Rooms([])) == 0


def test_the_largest_comes_first() -> None:
    """Graphs that share a pool then fit into the memory of the first."""
    tokens = [room.tokens for room in standard_rooms(512, has_matches=False, by_length=True)]
    assert tokens == sorted(tokens, reverse=True)


@pytest.mark.parametrize("max_length", [64, 256, 512])
@pytest.mark.parametrize("by_length", [True, False])
def test_standard_rooms(max_length: int, by_length: bool) -> None:
    """Every batch of texts that the model reads has a room, whatever its longest text."""
    rooms = standard_rooms(max_length, has_matches=True, by_length=by_length)
    assert len(set(rooms)) == len(rooms)
    for tokens in (1, 255, 256, 3000, LARGEST):
        chosen = rooms.smallest(room(tokens, longest=min(tokens, max_length), texts=1, matches=1))
        assert chosen is not None
        assert chosen.longest <= max_length
    short = rooms.smallest(room(3000, longest=min(100, max_length), texts=1))
    assert short is not None
    assert short.longest == (min(128, max_length) if by_length else max_length)

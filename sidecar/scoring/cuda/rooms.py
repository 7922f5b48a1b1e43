"""Batches of fixed sizes: a CUDA graph is recorded once for each, and a batch uses the smallest that holds it.

Pure: numbers in, numbers out. Law: a batch never has more tokens than its room, and a room wastes at most an eighth of
its tokens where large rooms are concerned.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

LARGEST: Final = 32_768
"""Tokens of the largest room: what the scheduler gives a GPU at most."""

SMALLEST: Final = 256

FINE_FROM: Final = 4096
"""From here on a room is an eighth of its octave larger than the one before, below a quarter: there the fixed cost of
a pass is more than what its empty places cost."""

TOKENS_PER_TEXT: Final = 24
"""A room has places for so many texts as fill it at this length; shorter ones take a larger room."""

LENGTHS: Final = (128, 256)
"""Longest texts for which a room of their own is worth recording where the attention works in steps of that size."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Room:
    """How much a batch may hold."""

    tokens: int
    #: tokens of the longest text
    longest: int
    texts: int
    #: comparisons between texts; 0 where every text is scored alone
    matches: int = 0

    def holds(self, other: Room) -> bool:
        """Whether a batch that fills `other` fits."""
        return (
            other.tokens <= self.tokens
            and other.longest <= self.longest
            and other.texts <= self.texts
            and other.matches <= self.matches
        )


class Rooms:
    """The rooms of a model, to choose from."""

    def __init__(self, rooms: Iterable[Room]) -> None:
        """Keep them in order of size."""
        self._rooms = sorted(rooms)
        self._tokens = [room.tokens for room in self._rooms]

    def __iter__(self) -> Iterator[Room]:
        """Yield them, the largest first: so recorded graphs share the memory of the first."""
        return reversed(self._rooms)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._rooms)

    def smallest(self, needed: Room) -> Room | None:
        """Return the smallest room that holds what is `needed`, None where none does."""
        first = bisect_left(self._tokens, needed.tokens)
        return next((room for room in self._rooms[first:] if room.holds(needed)), None)


def sizes(smallest: int = SMALLEST, largest: int = LARGEST) -> list[int]:
    """Return the tokens of all rooms, ascending; both bounds are powers of two."""
    found = [smallest]
    while found[-1] < largest:
        octave = 1 << (found[-1].bit_length() - 1)
        found.append(found[-1] + octave // (8 if octave >= FINE_FROM else 4))
    return found


def standard_rooms(
    max_length: int, *, has_matches: bool, by_length: bool, tokens: Sequence[int] | None = None
) -> Rooms:
    """Return the rooms for a model that reads texts up to `max_length`; with `by_length`, several lengths of each."""
    lengths = [length for length in LENGTHS if by_length and length < max_length] + [max_length]
    return Rooms(
        Room(tokens=size, longest=longest, texts=texts, matches=texts if has_matches else 0)
        for size in (sizes() if tokens is None else tokens)
        for texts in (max(8, size // TOKENS_PER_TEXT),)
        for longest in {min(length, size) for length in lengths}
    )

"""A search answer as text with the places of what we model: `hits.hits`, `hits.max_score`, and each hit's members.

Law: the answer is walked once and never printed; every other byte is carried. A text in which these places cannot
be found is ValueError, and is left alone by whoever asked. No I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from connectors import json_bytes
from connectors.base import Hit
from connectors.json_bytes import Array, JsonObject, Member, find_member

_HIT = json_bytes.object_scanner()
_HITS = json_bytes.object_scanner({"hits": json_bytes.array_scanner(_HIT)})
_ANSWER: Final = {"hits": _HITS}
_MULTI_ANSWER: Final = {"responses": json_bytes.array_scanner(json_bytes.scan_value)}


@dataclass(frozen=True, slots=True)
class Reply:
    """The engine's answer to one search: its own status and text."""

    status: int
    text: str


@dataclass(frozen=True)
class HitText:
    """One hit: its first-stage rank (from 1), its span in the answer, and the members of its object."""

    rank: int
    start: int
    end: int
    members: list[Member]

    @cached_property
    def hit(self) -> Hit:
        """The hit with parsed values."""
        return Hit(rank=self.rank, value={member.key: member.value for member in self.members})


@dataclass(frozen=True)
class Answer:
    """A successful search answer."""

    text: str
    members: list[Member]
    hits_members: list[Member]
    array: Array
    hits: tuple[HitText, ...]

    @property
    def max_score(self) -> Member | None:
        """The member `hits.max_score`."""
        return find_member(self.hits_members, "max_score")

    @property
    def shards(self) -> JsonObject:
        """What the answer says about shards; empty where it says nothing."""
        member = find_member(self.members, "_shards")
        return member.value if member is not None and isinstance(member.value, dict) else {}

    @property
    def has_failures(self) -> bool:
        """Whether some shard failed or the search ran into its time limit."""
        failed = self.shards.get("failed")
        timed_out = find_member(self.members, "timed_out")
        return bool(failed) or (timed_out is not None and timed_out.value is True)


def parse(text: str) -> Answer:
    """Read a search answer.

    Raises:
        ValueError: `text` is no JSON object with an array `hits.hits` of objects.
    """
    members = json_bytes.scan_object(text, 0, _ANSWER)
    hits = find_member(members, "hits")
    if hits is None or not isinstance(hits.value, list):
        raise ValueError("the answer has no hits")
    array = find_member(hits.value, "hits")
    if array is None or not isinstance(array.value, Array):
        raise ValueError("the answer has no hits.hits")
    found = tuple(
        HitText(rank, element.start, element.end, element.value)
        for rank, element in enumerate(array.value.elements, start=1)
    )
    return Answer(text, members, hits.value, array.value, found)


@dataclass(frozen=True, slots=True)
class Item:
    """One answer within an `_msearch` answer: its span and its parsed value."""

    start: int
    end: int
    value: JsonObject

    @property
    def status(self) -> int:
        """The item's own HTTP status."""
        status = self.value.get("status", 200)
        return int(status) if isinstance(status, int | float) else 200


def parse_items(text: str) -> Sequence[Item]:
    """Return the items of an `_msearch` answer in order. Raises ValueError when it has no `responses`."""
    responses = find_member(json_bytes.scan_object(text, 0, _MULTI_ANSWER), "responses")
    if responses is None or not isinstance(responses.value, Array):
        raise ValueError("the answer has no responses")
    return [
        Item(element.start, element.end, element.value if isinstance(element.value, dict) else {})
        for element in responses.value.elements
    ]

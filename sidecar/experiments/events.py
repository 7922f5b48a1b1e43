"""What callers tell of clicks: events of our own shape, and those of OpenSearch's User Behavior Insights (UBI).

    {"token": "rs1.…", "object_id": "42"}                     and, if wanted, "id", "position", "action"
    {"action_name": "click", "query_id": "rs1.…", "event_attributes": {"object": {"object_id": "42"}}}

Laws: what an event says is believed only as far as its token goes. An event has one id, its own or a digest of itself,
so that sending it again changes nothing. What is no click, and what comes from a page that was not interleaved, is
passed over and not refused: an application may send all that it records. No I/O.

*Source:* UBI's event schema 1.3 (`ubi_events`) and its collector `ubi.js`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sidecar.experiments.click_token import PREFIX, BadToken, ClickTokens, Place, ShownPage
from sidecar.types import Arm, Team

CLICK: Final = "click"
MOST_EVENTS: Final = 1000
"""Events of one request."""

MOST_CHARACTERS: Final = 512
"""Of an event's id, and of an object's."""

_UBIS_OBJECT: Final = "event_attributes.object.object_id (an _id) or event_attributes.position.ordinal"
_KNOWN: Final = ("id", "token", "object_id", "position", "action")


class BadEvent(ValueError):
    """An event that cannot be counted; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """A click on a hit of an interleaved page, as it is kept."""

    event_id: str
    #: seconds since 1970
    received: float
    policy: str
    version: str
    method: str
    arm: Arm | None
    search: str
    position: int
    hit: str
    team: Team | None
    #: ranks of the hit in both rankings; balanced only
    first_rank: int | None = None
    rerank_rank: int | None = None


def split(body: bytes) -> list[Any]:
    """Return the events of a request: one, an array, or an array under `events`.

    Raises:
        BadEvent: it is none of these, or there are too many.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadEvent(f"the body is no JSON: {error}") from error
    if isinstance(value, dict) and "events" in value:
        value = value["events"]
    found = value if isinstance(value, list) else [value]
    if not found or len(found) > MOST_EVENTS:
        raise BadEvent(f"got {len(found)} events, expected 1 to {MOST_EVENTS}")
    return found


def read(event: Any, tokens: ClickTokens, actions: Collection[str], received: float) -> Click | None:
    """Return the click that an event tells of, None where it is none that is counted.

    Raises:
        BadEvent: it makes no sense, or its token is not ours.
    """
    if not isinstance(event, dict):
        raise BadEvent("expected an object")
    is_of_ubi = "action_name" in event
    told = _of_ubi(event) if is_of_ubi else _of_ours(event)
    if told is None or told.action not in actions:
        return None
    if not told.token:
        raise BadEvent("token: expected the token of X-Rerank")
    if told.object_id is None and told.position is None:
        raise BadEvent(f"expected {_UBIS_OBJECT if is_of_ubi else 'object_id or position'}")
    try:
        page = tokens.read(told.token)
        place = tokens.place(page, told.object_id, told.position)
    except BadToken as error:
        raise BadEvent(str(error)) from error
    return _click(told.event_id or _digest(event), received, page, place)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """An event, whatever its shape."""

    token: str
    action: str
    object_id: str | None
    position: int | None
    event_id: str | None


def _of_ours(event: Mapping[str, Any]) -> _Told:
    if unknown := [name for name in event if name not in _KNOWN]:
        raise BadEvent(f"{str(unknown[0])[:80]} is not known; known are {', '.join(_KNOWN)}, and those of UBI")
    return _Told(
        token=_text(event, "token") or "",
        action=_text(event, "action") or CLICK,
        object_id=_text(event, "object_id"),
        position=_whole_number(event, "position"),
        event_id=_text(event, "id"),
    )


def _of_ubi(event: Mapping[str, Any]) -> _Told | None:
    """Return what an event of UBI tells, None where it is of no page of ours.

    The object is known by its `_id` alone, as `internal_id` or `object_id`; where `object_id` is of another field, its
    place counts.
    """
    attributes = _object(event, "event_attributes")
    own = _text(attributes, "rerank_token")
    token = own or _text(event, "query_id") or ""
    if own is None and not token.startswith(PREFIX):
        return None
    thing = _object(attributes, "object")
    is_other_field = (_text(thing, "object_id_field") or "_id") != "_id"
    return _Told(
        token=token,
        action=_text(event, "action_name") or "",
        object_id=_text(thing, "internal_id") or (None if is_other_field else _text(thing, "object_id")),
        position=_whole_number(_object(attributes, "position"), "ordinal"),
        event_id=None,
    )


def _click(event_id: str, received: float, page: ShownPage, place: Place) -> Click:
    first_rank, rerank_rank = place.ranks or (None, None)
    return Click(
        event_id=event_id,
        received=received,
        policy=page.policy,
        version=page.version,
        method=page.method,
        arm=page.arm,
        search=page.search,
        position=place.position,
        hit=place.hit,
        team=place.team,
        first_rank=first_rank,
        rerank_rank=rerank_rank,
    )


def _digest(event: Mapping[str, Any]) -> str:
    """Return what tells an event without an id apart: all that it says."""
    return hashlib.blake2b(json.dumps(event, sort_keys=True).encode(), digest_size=16).hexdigest()


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):  # ids are often numbers
        value = str(value)
    if not isinstance(value, str):
        raise BadEvent(f"{name}: expected a string")
    if len(value) > MOST_CHARACTERS and name not in ("token", "query_id", "rerank_token"):
        raise BadEvent(f"{name}: got {len(value)} characters, expected at most {MOST_CHARACTERS}")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise BadEvent(f"{name}: expected text, and got half of a surrogate pair")
    return value


def _whole_number(fields: Mapping[str, Any], name: str) -> int | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 1:
        raise BadEvent(f"{name}: expected a place in the whole ranking, from 1")
    return int(value)


def _object(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadEvent(f"{name}: expected an object")
    return value

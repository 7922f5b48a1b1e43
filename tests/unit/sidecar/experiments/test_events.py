"""Events of both shapes: which are clicks, which are nothing to us, and which are mistakes."""

from typing import Any

import pytest

from sidecar.experiments.events import MOST_EVENTS, BadEvent, Click, read, split
from sidecar.types import Team
from tests.unit.sidecar.experiments.clicks import NOW, a_token, tokens

TOKEN = a_token()
SESSION = {"client_id": "c", "user_id": "u", "session_id": "s", "timestamp": "2026-11-26T10:00:00Z", "message": "m"}


def ubi(thing: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return an event as UBI's collector sends it."""
    attributes: dict[str, Any] = {
        "object": {"object_id": "three", "object_id_field": "_id"} if thing is None else thing
    }
    return {
        "application": "shop",
        "action_name": "click",
        "query_id": TOKEN,
        "event_attributes": {**attributes, **changes.pop("attributes", {})},
        **SESSION,
        **changes,
    }


def told(event: Any, actions: tuple[str, ...] = ("click",)) -> Click | None:
    """Return what is read from an event."""
    return read(event, tokens(), actions, NOW)


def test_our_own_shape() -> None:
    """Token and id of the hit; the event's own id, where it has one."""
    click = told({"id": "e1", "token": TOKEN, "object_id": "three"})
    assert click is not None
    assert ("e1", NOW, "shop", "a1", "team_draft", None, 12, Team.RERANK) == (
        click.event_id,
        click.received,
        click.policy,
        click.version,
        click.method,
        click.arm,
        click.position,
        click.team,
    )


def test_ubis_shape_says_the_same() -> None:
    """The token as query_id, or beside the object; the object by its internal id, its id, or its place."""
    clicks = [
        told(event)
        for event in (
            ubi(),
            ubi(query_id="their own", attributes={"rerank_token": TOKEN}),
            ubi({"internal_id": "three", "object_id": "978-3", "object_id_field": "isbn"}),
            ubi({"object_id": "978-3", "object_id_field": "isbn"}, attributes={"position": {"ordinal": 12}}),
            ubi({}, attributes={"position": {"ordinal": 12}}),
            ubi({"object_id": "three"}),
        )
    ]
    assert [(12, Team.RERANK)] * 6 == [(click.position, click.team) for click in clicks if click]


def test_an_event_without_an_id_is_known_by_all_that_it_says() -> None:
    """So that sending it again is the same event, and another one is not."""
    first, again, later = told(ubi()), told(ubi()), told(ubi(timestamp="2026-11-26T10:00:01Z"))
    assert first
    assert again
    assert later
    assert first.event_id == again.event_id != later.event_id


@pytest.mark.parametrize(
    "event",
    [
        ubi(action_name="view"),
        ubi(action_name=""),
        ubi(query_id="1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"),
        {"action_name": "login"},
        {"action_name": "view", "query_id": TOKEN},
        {"token": TOKEN, "object_id": "three", "action": "hover"},
    ],
)
def test_what_is_nothing_to_us_is_passed_over(event: dict[str, Any]) -> None:
    """No click, or of no page of ours: an application may send all that it records."""
    assert told(event) is None


def test_which_actions_count_is_the_operators_choice() -> None:
    """Such as add_to_cart."""
    assert told(ubi(action_name="add_to_cart"), ("click", "add_to_cart"))
    assert told(ubi(), ("add_to_cart",)) is None


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ("click", "expected an object"),
        ({"token": TOKEN}, "expected object_id or position"),
        ({"object_id": "three"}, "token: expected the token of X-Rerank"),
        ({"token": TOKEN, "object": "three"}, "object is not known; known are id, token, "),
        ({"token": TOKEN, "object_id": ["three"]}, "object_id: expected a string"),
        ({"token": TOKEN, "object_id": "x" * 600}, "object_id: got 600 characters"),
        ({"token": TOKEN, "object_id": "\ud800"}, "object_id: expected text"),
        ({"token": TOKEN, "position": 0}, "position: expected a place in the whole ranking, from 1"),
        ({"token": TOKEN, "position": 1.5}, "position: expected a place"),
        ({"token": TOKEN, "position": True}, "position: expected a place"),
        ({"token": TOKEN, "position": 99}, "token: it is of places 11 to 13"),
        ({"token": TOKEN[:-2], "object_id": "three"}, "token: its signature is not ours"),
        (ubi(event_attributes=[]), "event_attributes: expected an object"),
        (ubi({}), "expected event_attributes.object.object_id"),
        (ubi({"object_id": "978-3", "object_id_field": "isbn"}), "expected event_attributes.object.object_id"),
        (ubi({"object_id": "nowhere"}), "token: it is of places 11 to 13"),
        (ubi(query_id=TOKEN + "x"), "token: its signature is not ours"),
    ],
)
def test_mistakes_are_said(event: Any, reason: str) -> None:
    """With the member that is wrong."""
    with pytest.raises(BadEvent) as refused:
        told(event)
    assert str(refused.value).startswith(reason)


def test_a_number_is_an_id_like_any_other() -> None:
    """Ids often are numbers."""
    token = a_token(ids=["1", "2", "3"])
    click = told({"token": token, "object_id": 2})
    assert click is not None
    assert 12 == click.position


@pytest.mark.parametrize(
    ("body", "count"), [(b'{"token": "t"}', 1), (b'[{"token": "t"}, {}]', 2), (b'{"events": [{}, {}, {}]}', 3)]
)
def test_one_event_or_many(body: bytes, count: int) -> None:
    """An object, an array, or an array under `events`."""
    assert count == len(split(body))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"events": []}', b"\xff", b"[" * 100_000, b"[" + b"1," * MOST_EVENTS + b"1]"]
)
def test_what_holds_no_events_is_refused(body: bytes) -> None:
    """Or too many."""
    with pytest.raises(BadEvent):
        split(body)

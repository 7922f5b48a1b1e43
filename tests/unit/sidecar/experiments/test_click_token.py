"""What a page says of its teams, and who is believed."""

import base64
import json

import pytest

from sidecar.experiments.click_token import MOST_PLACES, PREFIX, BadToken, ClickTokens, Place
from sidecar.experiments.interleaving import Slot
from sidecar.types import Arm, Team
from tests.unit.sidecar.experiments.clicks import IDS, NOW, SLOTS, a_token, tokens


def test_a_token_gives_back_what_was_put_in() -> None:
    """Policy, version, method, arm, and each hit's place and team."""
    page = tokens().read(a_token(arm=Arm.RERANK))
    assert ("shop", "a1", "team_draft", Arm.RERANK) == (page.policy, page.version, page.method, page.arm)
    assert [(11, None), (12, Team.RERANK), (13, Team.FIRST_STAGE)] == [
        (place.position, place.team) for place in page.places
    ]
    assert 3 == len({place.hit for place in page.places})


def test_a_balanced_page_has_ranks() -> None:
    """Of the hits on which both rankings differ."""
    slots = [Slot(1), Slot(3, Team.RERANK, (3, 1)), Slot(2, Team.FIRST_STAGE, (2, 3))]
    page = tokens().read(a_token(slots=slots, method="balanced"))
    assert [None, (3, 1), (2, 3)] == [place.ranks for place in page.places]


def test_nothing_in_it_is_personal() -> None:
    """Neither the user nor the words nor an id can be read from it, only whose pick is where."""
    text = a_token().removeprefix(PREFIX).partition(".")[0]
    read = json.loads(base64.urlsafe_b64decode(text + "=="))
    assert ["shop", "a1", "team_draft", "", read[4], NOW + 24 * 3600, 11, "-rf", 0, read[9]] == read
    assert not any(word in json.dumps(read) for word in ("user", "sky", "three"))


def test_a_header_can_hold_it() -> None:
    """And no character of it ends a value there."""
    token = a_token(slots=[Slot(n, Team.RERANK, (n, n + 1)) for n in range(200)], ids=["x"] * 200, method="balanced")
    assert len(token) < 4096
    assert not set(token) & set(',;" \t')
    assert MOST_PLACES == len(tokens().read(token).places)


def test_pages_of_one_search_are_one_search() -> None:
    """Whatever page; another user's, or other words, are another."""
    first, second = (tokens().read(a_token(first_position=place)) for place in (1, 11))
    assert first.search == second.search
    assert first.search != tokens().read(a_token(draw=b"user 8, blue sky")).search


def test_another_key_is_not_believed() -> None:
    """Nor a random one of another start, nor a signature that was changed, nor a payload."""
    token = a_token()
    text, _, signature = token.removeprefix(PREFIX).partition(".")
    other = a_token(policy="other").removeprefix(PREFIX).partition(".")[0]
    for forged in (
        a_token(tokens("another key of sixteen")),
        a_token(tokens(None)),
        f"{PREFIX}{other}.{signature}",
        f"{PREFIX}{text}.{signature[:-1]}",
        f"{PREFIX}{text}.",
        f"{PREFIX}{text}.é",
    ):
        with pytest.raises(BadToken, match=r"not ours.*events\.signing_key"):
            tokens().read(forged)
    assert tokens().read(token)


def test_a_random_key_is_one_object_s() -> None:
    """Which believes itself and no other."""
    one, other = ClickTokens(), ClickTokens()
    token = a_token(one)
    assert one.read(token)
    with pytest.raises(BadToken):
        other.read(token)


@pytest.mark.parametrize("token", ["", "rs1.", "rs1.abc", "rs2.a.b", "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed"])
def test_what_is_no_token_is_refused(token: str) -> None:
    """With what one looks like."""
    with pytest.raises(BadToken, match=r"X-Rerank.*rs1"):
        tokens().read(token)


def test_a_token_expires() -> None:
    """At the hour that was set, and the message names the setting."""
    token = a_token(tokens(hours=2))
    assert tokens(now=lambda: NOW + 7199).read(token)
    with pytest.raises(BadToken, match=r"events\.token_hours"):
        tokens(now=lambda: NOW + 7201).read(token)


def test_a_hit_is_found_by_its_id() -> None:
    """Or by its place in the whole ranking."""
    page = tokens().read(a_token())
    assert page.places[1] == tokens().place(page, "three", None) == tokens().place(page, None, 12)
    assert page.places[1] == tokens().place(page, "three", 13)  # the id is sure, a place may be counted otherwise


def test_of_two_hits_with_one_id_the_place_decides() -> None:
    """As of a search in several indices."""
    page = tokens().read(a_token(ids=["same", "same", "two"]))
    assert [11, 12, 11] == [tokens().place(page, "same", place).position for place in (None, 12, 99)]


@pytest.mark.parametrize(("object_id", "position"), [("four", None), ("four", 12), (None, 10), (None, 14)])
def test_what_was_not_on_the_page_is_refused(object_id: str | None, position: int | None) -> None:
    """And nothing of the id is repeated."""
    with pytest.raises(BadToken, match="of places 11 to 13") as refused:
        tokens().place(tokens().read(a_token()), object_id, position)
    assert "four" not in str(refused.value)


def test_a_place_is_a_value() -> None:
    """With its digest of four bytes."""
    place = tokens().read(a_token(slots=SLOTS[:1], ids=IDS[:1])).places[0]
    assert Place(position=11, hit=place.hit, team=None) == place
    assert 8 == len(place.hit)

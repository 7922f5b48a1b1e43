"""Clicks and tokens to test with."""

from dataclasses import replace
from typing import Any

from sidecar.experiments.click_token import ClickTokens
from sidecar.experiments.events import Click
from sidecar.experiments.interleaving import Slot
from sidecar.types import Team

KEY = "sixteen characters"
NOW = 1_800_000_000.0

A_CLICK = Click(
    event_id="e1",
    received=NOW,
    policy="shop",
    version="a1",
    method="team_draft",
    arm=None,
    search="s1",
    position=1,
    hit="00000001",
    team=Team.RERANK,
)


def a_click(**changes: Any) -> Click:
    """Return a click that differs in these fields."""
    return replace(A_CLICK, **changes)


def tokens(key: str | None = KEY, **settings: Any) -> ClickTokens:
    """Return what signs with a fixed key at a fixed time."""
    return ClickTokens(key, **{"now": lambda: NOW, **settings})


SLOTS = [Slot(1), Slot(3, Team.RERANK), Slot(2, Team.FIRST_STAGE)]
IDS = ["one", "three", "two"]


def a_token(made_by: ClickTokens | None = None, **changes: Any) -> str:
    """Return the token of a page with the hits one, three and two, at the places 11 to 13."""
    given: dict[str, Any] = {
        "draw": b"user 7, blue sky",
        "first_position": 11,
        "policy": "shop",
        "version": "a1",
        "method": "team_draft",
        "arm": None,
        **changes,
    }
    return (made_by or tokens()).make(given.pop("slots", SLOTS), given.pop("ids", IDS), **given)

"""Who is in which arm."""

import math
from dataclasses import replace

import pytest

from connectors.base import Headers
from sidecar.experiments import experiment
from sidecar.marker import Marker
from sidecar.plan import Plan
from sidecar.policy import Experiment
from sidecar.types import Arm, Outcome, RerankOptions
from tests.unit.doubles import a_plan

USERS = 4000


def planned(percent: float, *headers: tuple[str, str], policy: str = "books", query: str = "blue sky") -> Plan:
    """Return the plan of a search with these headers, where so many percent of the users are reranked."""
    made = a_plan(query, options=RerankOptions(percent=percent, drawn_with=policy))
    return replace(made, call=replace(made.call, headers=(*made.call.headers, *headers)))


def arm(percent: float, *headers: tuple[str, str], policy: str = "books", query: str = "blue sky") -> Arm | None:
    """Return the arm of such a search."""
    return experiment.arm(planned(percent, *headers, policy=policy, query=query), Experiment())


def users(percent: float, policy: str = "books") -> set[int]:
    """Return the users that are reranked."""
    return {user for user in range(USERS) if arm(percent, ("X-User-Id", f"u{user}"), policy=policy) is Arm.RERANK}


def test_everybody_is_in_no_experiment() -> None:
    """There is no other arm to be told apart from."""
    assert arm(100) is None
    assert Marker(outcome=Outcome.APPLIED) == experiment.marked(Marker(outcome=Outcome.APPLIED), None)


@pytest.mark.parametrize("percent", [1, 5, 50, 99])
def test_shares_are_within_the_binomial_interval(percent: float) -> None:
    """Within four standard deviations, which chance leaves once in 16,000 draws; this one is always the same."""
    share = percent / 100
    deviation = math.sqrt(share * (1 - share) * USERS)
    assert abs(len(users(percent)) - share * USERS) < 4 * deviation


def test_nobody_at_zero() -> None:
    """Switched off."""
    assert set() == users(0)


def test_a_larger_share_keeps_who_was_in() -> None:
    """A user who saw the new ranking sees it on."""
    assert users(5) < users(20) < users(90)


def test_another_policy_draws_anew() -> None:
    """So that the same users are not in all experiments: half of those in one are in the other."""
    both = len(users(50) & users(50, policy="films"))
    assert abs(both - USERS / 4) < 4 * math.sqrt(USERS * 3 / 16)


@pytest.mark.parametrize(
    "headers",
    [
        (("x-user-id", "7"), ("X-Session-Id", "a")),
        (("X-Session-Id", "7"),),
        (("X-User-Id", ""), ("X-Session-Id", "7")),
        (("X-User-Id", "\udcff not UTF-8"),),
    ],
)
def test_a_user_has_one_arm_whatever_is_searched(headers: Headers) -> None:
    """By the user's header, else the session's; names in any case."""
    arms = {arm(50, *headers, query=f"words {number}") for number in range(30)}
    assert 1 == len(arms)


def test_without_a_user_the_words_decide() -> None:
    """All pages of one search agree, and other words are drawn anew."""
    assert 1 == len({arm(50) for _ in range(30)})
    assert {Arm.RERANK, Arm.CONTROL} == {arm(50, query=f"words {number}") for number in range(30)}


def test_the_headers_can_be_others() -> None:
    """As the configuration names them."""
    told = Experiment(user_header="Authorization")
    plans = [planned(50, ("authorization", "Bearer a"), query=f"words {number}") for number in range(30)]
    assert 1 == len({experiment.arm(plan, told) for plan in plans})


def test_a_session_is_no_user() -> None:
    """Of the same value: they are drawn apart."""
    pairs = [(arm(50, ("X-User-Id", f"{n}")), arm(50, ("X-Session-Id", f"{n}"))) for n in range(50)]
    assert any(user is not session for user, session in pairs)


def test_the_marker_tells_the_arm() -> None:
    """After outcome and reason."""
    assert "skipped; reason=control; arm=control" == str(experiment.control())
    assert "applied; arm=rerank" == str(experiment.marked(Marker(outcome=Outcome.APPLIED), Arm.RERANK))

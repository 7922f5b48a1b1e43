"""Which options hold for which index."""

import pytest

from sidecar.policy import IndexPolicy, Policy
from sidecar.types import RerankOptions

POLICY = Policy(
    defaults=RerankOptions(window=10, explain=True),
    policies=(
        IndexPolicy(indices=("books", "books-*"), overrides={"window": 20}),
        IndexPolicy(indices=("b*",), name="named", overrides={"enabled": False}),
        IndexPolicy(indices=("*-?",), overrides={"model": "offline"}),
    ),
)

FIRST = {"policy": "policies.0", "drawn_with": "books,books-*"}
SECOND = {"policy": "named", "drawn_with": "named"}
THIRD = {"policy": "policies.2", "drawn_with": "*-?"}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("books", {"window": 20, **FIRST}),
        ("books-2024,books", {"window": 20, **FIRST}),
        ("books,-books-old", {"window": 20, **FIRST}),
        ("bikes", {"enabled": False, **SECOND}),
        ("books,bikes", {"enabled": False, **SECOND}),
        ("logs-1", {"model": "offline", **THIRD}),
        ("logs-12", {}),
        ("books,films", {}),
        ("Books", {}),
        ("-books", {}),
        ("", {}),
        ("_all", {}),
    ],
)
def test_the_first_policy_that_matches_every_name_holds(expression: str, expected: dict[str, object]) -> None:
    """Else the defaults; what a policy does not say is the default, too, but for what it is called."""
    assert RerankOptions(**{"window": 10, "explain": True, **expected}) == POLICY.options(expression)  # type: ignore[arg-type]


@pytest.mark.parametrize("expression", ["", "_all", "a,b"])
def test_a_star_is_for_everything(expression: str) -> None:
    """Also for requests that name no index, such as those with a point in time."""
    policy = Policy(policies=(IndexPolicy(indices=("*",), overrides={"window": 5}),))
    assert 5 == policy.options(expression).window


def test_no_policy_is_the_defaults() -> None:
    """Out of the box everything is reranked."""
    assert RerankOptions() == Policy().options("books")

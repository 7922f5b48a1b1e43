"""The controls as keywords."""

import pytest

from sidecar.integrations.settings import RerankSettings, options_of, plain, with_rerank
from sidecar.requests.controls import CONTROLS
from sidecar.types import RerankOptions


def test_the_words_are_those_of_the_body() -> None:
    """All of them, in the order of the code that reads them."""
    keys = [control.key for control in CONTROLS if control.key]
    assert sorted(keys) == sorted(RerankSettings.__annotations__)


def test_settings_become_options() -> None:
    """In the program's units; a default insists on nothing."""
    options = options_of({"fields": ("title", "text"), "deadline_ms": 250, "enabled": True})
    assert RerankOptions(fields=("title", "text"), deadline=0.25) == options


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"window": 0}, "window must be a whole number from 1 to 1000, not '0'"),
        ({"no_such": 1}, "no_such is not known; known are enabled, window"),
    ],
)
def test_what_cannot_be_is_refused(settings: RerankSettings, words: str) -> None:
    """In the words of the program."""
    with pytest.raises(ValueError, match=f"^{words}"):
        options_of(settings)


def test_settings_of_one_search() -> None:
    """A word for on and off, and none."""
    assert ({"enabled": False}, {}, {"window": 5}) == (plain(False), plain(None), plain({"window": 5}))


def test_settings_in_a_body() -> None:
    """What is there stays, and wins."""
    assert {"ext": {"rerank": {"window": 5}}} == with_rerank(None, {"window": 5})
    body = {"query": {}, "ext": {"other": 1, "rerank": {"window": 3}}}
    assert {"query": {}, "ext": {"other": 1, "rerank": {"window": 3, "explain": True}}} == with_rerank(
        body, {"window": 5, "explain": True}
    )

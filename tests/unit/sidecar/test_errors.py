"""The tree of our own errors."""

import pytest

from connectors.errors import EngineError
from sidecar import errors
from sidecar.errors import RerankUnavailable, SidecarError


def leaves(error: type[Exception]) -> list[type[Exception]]:
    """Return the error classes below one, and itself."""
    return [error, *(leaf for below in error.__subclasses__() for leaf in leaves(below))]


def test_every_error_is_ours() -> None:
    """None of them is an engine's."""
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert set(found) <= set(leaves(SidecarError))
    assert not any(issubclass(error, EngineError) for error in found)


FAILURES = [error for error in leaves(RerankUnavailable) if error.__module__ == errors.__name__]
"""Those of the marker; a module may have finer ones under them, which keep their parent's word."""


@pytest.mark.parametrize("error", FAILURES)
def test_every_failure_has_a_word_of_its_own(error: type[RerankUnavailable]) -> None:
    """It is what stands in the marker."""
    words = [one.reason for one in FAILURES]
    assert 1 == words.count(error.reason)
    assert error.reason.replace("_", "").isalpha()

"""The second stage's own values."""

import dataclasses

import pytest

from sidecar import types
from sidecar.types import RerankOptions, SkipReason

VALUES = [value for value in vars(types).values() if isinstance(value, type) and dataclasses.is_dataclass(value)]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__name__)
def test_values_are_frozen_and_slotted(value: type) -> None:
    """Nothing changes behind anybody's back."""
    assert value.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert hasattr(value, "__slots__")


def test_words_of_reasons_are_those_of_their_names() -> None:
    """So that whoever reads a marker finds the reason in the code."""
    assert [reason.name.lower() for reason in SkipReason] == [reason.value for reason in SkipReason]


def test_defaults_are_those_that_are_documented() -> None:
    """Architecture, contract of the running program."""
    options = RerankOptions()
    assert (True, 100, None, 0.5, "first_stage", "auto", False, False) == (
        options.enabled,
        options.window,
        options.token_budget,
        options.deadline,
        options.on_failure,
        options.fusion,
        options.explain,
        options.insist,
    )

"""A front reranks so many searches at a time; those beyond are passed on as they are, at once."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.admission import Admission
from sidecar.errors import Overloaded


def test_without_a_bound_all_are_let_in() -> None:
    """As for programs that call the connector themselves: only a front has callers that it does not know."""
    admission = Admission(None)
    with admission.held():
        assert admission.failure() is None


def test_so_many_are_let_in() -> None:
    """And another one as soon as one of them has ended, whatever ended it."""
    admission = Admission(2)
    with admission.held():
        assert admission.failure() is None
        with admission.held():
            assert isinstance(admission.failure(), Overloaded)
        with pytest.raises(KeyError), admission.held():
            raise KeyError
        assert admission.failure() is None


async def test_what_is_in_hand_can_be_waited_for() -> None:
    """What begins meanwhile is not."""
    admission = Admission(None)
    first, second = admission.held(), admission.held()
    first.__enter__()
    passed = asyncio.ensure_future(admission.passed())
    await asyncio.sleep(0)
    second.__enter__()
    assert not passed.done()
    first.__exit__(None, None, None)
    await passed
    second.__exit__(None, None, None)
    await admission.passed()

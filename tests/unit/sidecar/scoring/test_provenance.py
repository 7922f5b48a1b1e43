"""Which model gave scores: told, heard, and sent as a header."""

from __future__ import annotations

from dataclasses import replace

import pytest
from multidict import CIMultiDict

from sidecar import tasks
from sidecar.errors import ModelsDisagree
from sidecar.scoring import provenance
from sidecar.scoring.base import ModelFacts
from tests.unit.sidecar.scoring.doubles import FACTS

OTHER = replace(FACTS, revision="another")


async def test_what_is_told_is_heard() -> None:
    """In tasks, too, and by the innermost listener only; where nobody listens it is gone."""
    provenance.tell(FACTS)

    async def tell(model: ModelFacts | None) -> None:
        provenance.tell(model)

    with provenance.listening() as outer:
        with provenance.listening() as inner:
            await tasks.start(tell(FACTS), name="tell")
            await tell(None)
        await tell(OTHER)
    assert ([FACTS], [OTHER]) == (inner, outer)


def test_models_agree_where_scores_are_equal() -> None:
    """Speed and name are no matter; weights, length, kind, device and precision are."""
    assert not provenance.are_several([])
    assert not provenance.are_several([FACTS, replace(FACTS, name="a folder", tokens_per_second=5.0)])
    for change in (
        {"revision": "x"},
        {"dtype": "bf16"},
        {"device": "cuda"},
        {"max_length": 7},
        {"kind": "cosine"},
    ):
        assert provenance.are_several([FACTS, replace(FACTS, **change)]), change  # type: ignore[arg-type]


def test_the_one_model() -> None:
    """None where nobody told; two are refused, by name."""
    assert provenance.the_one([]) is None
    assert FACTS == provenance.the_one([FACTS, FACTS])
    with pytest.raises(ModelsDisagree, match="another"):
        provenance.the_one([FACTS, OTHER])


def test_a_header_brings_the_facts() -> None:
    """All of them, in ASCII and on one line; what is none says nothing."""
    odd = replace(FACTS, name="tänk\r\nSet-Cookie: x", tokens_per_second=1234.5)
    ((name, value),) = provenance.write(odd)
    assert value.isascii()
    assert value.isprintable()
    assert odd == provenance.read(CIMultiDict({name.lower(): value}))
    for other in ("", "{}", "[]", "x", '{"name": "n"}'):
        assert provenance.read({name: other}) is None
    assert provenance.read({}) is None

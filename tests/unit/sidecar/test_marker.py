"""What an answer says about its reranking."""

import pytest

from sidecar import errors, marker
from sidecar.marker import MAX_ENTRIES, MAX_TOKEN_CHARACTERS, Marker, header_value, server_timing
from sidecar.types import Outcome, SkipReason

APPLIED = Marker(outcome=Outcome.APPLIED, candidates=3, window=100, model="m")


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (APPLIED, "applied; candidates=3; window=100; model=m"),
        (Marker(outcome=Outcome.APPLIED, candidates=0), "applied; candidates=0"),
        (
            Marker(outcome=Outcome.PARTIAL, reason="deadline", candidates=1, token_budget=9, dropped=2),
            "partial; reason=deadline; candidates=1; token_budget=9; dropped=2",
        ),
        (marker.skipped(SkipReason.NO_FREE_TEXT), "skipped; reason=no_free_text"),
        (marker.degraded(errors.SchedulerFull()), "degraded; reason=scheduler_full"),
        (marker.refused(), "skipped; reason=bad_request"),
    ],
)
def test_a_marker_is_a_word_and_pairs(found: Marker, expected: str) -> None:
    """What is not known is not said."""
    assert expected == str(found)


@pytest.mark.parametrize(
    ("model", "shown"),
    [("a/b-c_d.e", "a/b-c_d.e"), ('a;b,"c', "a_b__c"), ("a\r\nX-Evil: 1", "a__X-Evil: 1"), ("モデル", "モデル")],
)
def test_a_value_cannot_end_its_place(model: str, shown: str) -> None:
    """Neither another pair nor another header can be made of a model's name."""
    assert f"applied; model={shown}" == str(Marker(outcome=Outcome.APPLIED, model=model))


def test_an_msearch_has_one_entry_per_item_in_order() -> None:
    """Separated by commas."""
    assert "applied; candidates=3; window=100; model=m, skipped; reason=off" == header_value(
        [APPLIED, marker.skipped(SkipReason.OFF)]
    )
    assert MAX_ENTRIES == header_value([APPLIED] * MAX_ENTRIES).count("applied")


def test_a_long_msearch_has_counts() -> None:
    """Clients bound the length of a header."""
    markers = [APPLIED] * 20 + [marker.skipped(SkipReason.OFF)] * 13
    assert "mixed; applied=20; skipped=13" == header_value(markers)


def test_an_interleaved_page_has_its_token_last() -> None:
    """And who writes down what was done can leave it out."""
    found = str(Marker(outcome=Outcome.APPLIED, interleaved="balanced", policy="shop", model="m", token="rs1.a-_.b"))
    assert "applied; interleaved=balanced; model=m; token=rs1.a-_.b" == found
    assert "applied; interleaved=balanced; model=m, skipped; reason=off" == marker.without_tokens(
        f"{found}, skipped; reason=off"
    )


def test_tokens_take_so_much_of_a_header_and_no_more() -> None:
    """Those that fit, in order."""
    lengths = (MAX_TOKEN_CHARACTERS - 10, 11, 10, 1)
    told = header_value(
        [Marker(outcome=Outcome.APPLIED, token=letter * n) for letter, n in zip("abcd", lengths, strict=True)]
    )
    assert [True, False, True, False] == [f"token={letter}" in told for letter in "abcd"]
    assert 4 == told.count("applied")


def test_server_timing_is_in_milliseconds() -> None:
    """Steps that did not run are not there."""
    assert "first_stage;dur=12.3, rerank;dur=0.0" == server_timing(first_stage=0.01234, rerank=0.0, other=None)
    assert "" == server_timing(rerank=None)

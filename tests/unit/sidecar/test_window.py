"""The effective window: a first-stage prefix that fits, whatever the load."""

import pytest

from sidecar.types import Candidate, RerankOptions, SkipReason
from sidecar.window import BUDGET_SHARE, effective_window, token_budget
from tests.unit.doubles import a_plan, facts


def candidates(*texts: str) -> list[Candidate]:
    """Return candidates with these texts."""
    return [Candidate(rank=rank, score=None, text=text) for rank, text in enumerate(texts, start=1)]


# --- the budget ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "speed", "expected"),
    [
        (RerankOptions(), None, None),
        (RerankOptions(), 1000.0, int(1000 * 0.5 * BUDGET_SHARE)),
        (RerankOptions(deadline=2), 1000.0, int(1000 * 2 * BUDGET_SHARE)),
        (RerankOptions(deadline=0), 1000.0, None),
        (RerankOptions(), 0.001, 1),
        (RerankOptions(token_budget=77), 1000.0, 77),
        (RerankOptions(token_budget=77), None, 77),
        (RerankOptions(token_budget=77, deadline=0), 1000.0, 77),
        (RerankOptions(token_budget=0), 1000.0, None),
    ],
    ids=[
        "nobody measured",
        "half the deadline",
        "a longer deadline",
        "no deadline",
        "a very slow device",
        "configured",
        "configured, nobody measured",
        "configured, no deadline",
        "no bound",
    ],
)
def test_the_budget_is_fixed_by_configuration_and_device(
    options: RerankOptions, speed: float | None, expected: int | None
) -> None:
    """Nothing of the load is in it, so that pages agree."""
    assert expected == token_budget(options, facts(tokens_per_second=speed))


# --- the window ---------------------------------------------------------------------------------------------


def test_the_window_is_a_prefix_without_empty_texts() -> None:
    """At most `window` hits; those without text are in it and are not scored."""
    window = effective_window(
        a_plan(options=RerankOptions(window=3)), candidates("a", "", "c", "d"), facts(max_length=512)
    )
    assert (4, 3, ["a", "c"], 3, None) == (
        window.fetched,
        window.length,
        window.texts,
        window.limit,
        window.token_budget,
    )


def test_the_budget_cuts_the_window_and_says_so() -> None:
    """The marker shows the budget only where it cut."""
    found = candidates(*["x" * 40] * 4)
    cut = effective_window(a_plan("abc", options=RerankOptions(token_budget=30)), found, facts())
    assert (2, 2, 30) == (cut.length, len(cut.texts), cut.token_budget)
    whole = effective_window(a_plan("abc", options=RerankOptions(token_budget=3000)), found, facts())
    assert (4, None) == (whole.length, whole.token_budget)


@pytest.mark.parametrize(
    ("texts", "min_score", "expected"),
    [
        ((), None, SkipReason.FEW_HITS),
        ((), 0.5, SkipReason.FEW_HITS),
        (("a",), None, SkipReason.FEW_HITS),
        (("a",), 0.5, None),
        (("", ""), None, SkipReason.NO_TEXT_FIELD),
        (("", "b"), None, None),
        (("a", "b"), None, None),
    ],
)
def test_when_scoring_would_change_nothing(
    texts: tuple[str, ...], min_score: float | None, expected: SkipReason | None
) -> None:
    """One hit has one order; a threshold must be judged all the same; no text, no score."""
    options = RerankOptions(min_score=min_score)
    assert expected is effective_window(a_plan(), candidates(*texts), facts()).reason_not_to_score(options)


@pytest.mark.parametrize(("scored", "expected"), [(1, 2), (2, 3), (3, 6)])
def test_what_a_number_of_scores_covers(scored: int, expected: int) -> None:
    """Up to the last scored hit; all of the window when nothing is missing."""
    window = effective_window(a_plan(), candidates("", "b", "c", "", "e", ""), facts())
    assert expected == window.considered(scored)


def test_the_marker_tells_whole_from_partial() -> None:
    """Fewer scores than candidates mean that the deadline cut."""
    window = effective_window(a_plan(), candidates("a", "b", "c"), facts(name="m"))
    whole = window.marker([1.0, 2.0, 3.0], facts(name="m"), dropped=0)
    assert "applied; candidates=3; window=100; model=m" == str(whole)
    partial = window.marker([1.0], facts(name="m"), dropped=2)
    assert "partial; reason=deadline; candidates=1; window=100; dropped=2; model=m" == str(partial)

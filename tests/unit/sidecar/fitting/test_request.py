"""What `fit-weights` is asked for: what cannot be is refused before the long work begins."""

from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import ConfigError
from sidecar.fitting.request import FitRequest

QRELS, OTHER, RUN = Path("train.tsv"), Path("dev.tsv"), Path("run.trec")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"run": RUN, "test_qrels": OTHER}, "--test-run: "),
        ({"held_out": 5, "test_qrels": OTHER}, "--held-out and --test-qrels: "),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], message: str) -> None:
    """By its option."""
    with pytest.raises(ConfigError, match=message):
        FitRequest(qrels=QRELS, **settings)


def test_a_quarter_is_held_out_unless_somebody_says_otherwise() -> None:
    """But never all, nor none."""
    assert 25 == FitRequest(qrels=QRELS).held_out_of(100)
    assert 1 == FitRequest(qrels=QRELS).held_out_of(2)
    assert 7 == FitRequest(qrels=QRELS, held_out=7).held_out_of(100)
    for count, queries in ((None, 1), (5, 5)):
        with pytest.raises(ConfigError, match="--held-out: "):
            FitRequest(qrels=QRELS, held_out=count).held_out_of(queries)


def test_both_sides_are_searched_alike() -> None:
    """Each with its judgments and its stored run; the corpus is indexed once."""
    request = FitRequest(qrels=QRELS, test_qrels=OTHER, run=RUN, test_run=OTHER, index="books", index_corpus=True)
    searched, tested = request.searched(), request.tested()
    assert tested is not None
    assert (QRELS, RUN, True) == (searched.qrels, searched.run, searched.index_corpus)
    assert (OTHER, OTHER, False) == (tested.qrels, tested.run, tested.index_corpus)
    assert "books" == searched.index == tested.index
    assert FitRequest(qrels=QRELS).tested() is None

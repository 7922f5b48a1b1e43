"""What `bulk` is asked for: outputs by their names, and what cannot be."""

from pathlib import Path
from typing import Any

import pytest

from sidecar.bulk.request import BulkRequest, RayRequest
from sidecar.errors import ConfigError

RUN, TABLE = Path("out/run.trec"), Path("out/rows.parquet")


def test_the_name_says_what_is_written() -> None:
    """The journal is beside the first."""
    request = BulkRequest(outputs=(RUN, TABLE), window=20)
    assert ([RUN], [TABLE], Path("out/run.trec.journal")) == (request.runs, request.tables, request.journal)
    assert (20, (20,), 20) == (
        request.as_evaluation().depth,
        request.as_evaluation().windows,
        request.as_evaluation().ranked,
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"outputs": ()}, "say what is written"),
        ({"outputs": (RUN, RUN)}, "named twice"),
        ({"is_served": True, "run": Path("first.trec")}, "--served and --run"),
        ({"is_served": True, "ray": RayRequest(address="local")}, "--served and --ray"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], words: str) -> None:
    """In words that name it."""
    with pytest.raises(ConfigError, match=words):
        BulkRequest(**{"outputs": (RUN,), **given})

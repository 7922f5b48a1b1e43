"""The results on the terminal."""

import re

import pytest

from sidecar.evaluation.table import heading, show
from tests.unit.sidecar.evaluation.evaluated import results


async def test_figures_and_the_hurt_queries_are_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line for the first stage and one for every system in both tables; then the queries of the best system."""
    monkeypatch.setenv("COLUMNS", "160")
    show(await results())
    said = capsys.readouterr().out
    assert "dataset      small & odd, 3 queries" in said
    assert "note         a note" in said
    assert re.search(r"first stage +0\.4444 +0\.0667", said)
    assert re.search(r"model window=4 +0\.4167 +0\.0667", said)
    assert re.search(r"model window=4 +-0\.0278 +-0\.7500 … \+0\.6667 +[01]\.\d{4} +1/1/1", said)
    assert "Queries hurt most on RR@10 by model window=4" in said
    assert "“deep <sea>” (down)  1.0000 → 0.2500" in said
    assert re.search(r"4 +1 +1 +a +text a", said)


async def test_without_judgments_agreement_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the queries that changed most."""
    monkeypatch.setenv("COLUMNS", "160")
    show(await results(qrels=None))
    said = capsys.readouterr().out
    assert "Jaccard@10" in said
    assert "interval" not in said
    assert "Queries changed most by model window=2" in said


async def test_searches_that_were_not_reranked_are_said() -> None:
    """By system and reason."""
    found = await results()
    found.systems[0].rankings.skipped["few_hits"] += 2
    expected = "model window=2: 2 queries were not reranked (few_hits); the first stage's order counts"
    assert ("note", expected) in heading(found)


@pytest.mark.parametrize("columns", [None, "80"])
async def test_figures_are_whole_however_narrow_the_terminal(
    columns: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of systems are broken instead; a file has lines that are long enough."""
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    show(await results(names=("nDCG@10", "RR@10", "AP", "P@10", "R@10", "R@100", "Judged@10")))
    lines = capsys.readouterr().out.partition("Queries hurt")[0].splitlines()
    assert not any("…" in line.replace(" … ", "") for line in lines)
    assert max(map(len, lines)) <= int(columns or 140)
    assert 3 == sum(line.split()[:2] == ["model", "window=2"] for line in lines) + (columns is not None)

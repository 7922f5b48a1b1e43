"""`compare`: what clicks prefer, as a table and as JSON."""

import asyncio
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import ConfigError
from sidecar.experiments.event_log import connect, insert
from sidecar.program.comparing import CannotCompare, compare
from sidecar.program.config import Settings
from sidecar.types import Team
from tests.unit.sidecar.experiments.clicks import a_click


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log in which the shop's users prefer the reranked order, ninety to thirty; of the wiki's there are few."""
    path = tmp_path / "clicks.sqlite"
    with closing(connect(path)) as database:
        for search in range(120):
            team = Team.RERANK if search % 4 else Team.FIRST_STAGE
            insert(database, [a_click(event_id=f"s{search}", search=str(search), team=team, received=float(search))])
        insert(database, [a_click(event_id="b", policy="wiki", method="balanced", team=None, received=1e9)])
    return path


def said(path: Path | None, **options: Any) -> list[str]:
    """Return what is announced."""
    lines: list[str] = []
    given: dict[str, Any] = {"policy": None, "since": None, "as_json": False, **options}
    settings = Settings(**({"events": {"log": str(path)}} if path else {}))  # type: ignore[arg-type]  # as a file has it
    asyncio.run(compare(settings, announce=lines.append, **given))
    return lines


def test_the_table_has_a_line_for_each_policy(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the verdict in words."""
    said(path)
    lines = [[cell.strip() for cell in line.split("│")] for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert [
        ["shop", "a1", "team_draft", "120", "90", "30", "0", "0.750", "0.666–0.819", "4e-08", "2e-06", "reranked"],
        ["wiki", "a1", "balanced", "1", "0", "0", "1", "", "", "1.000", "1.000", "open"],
    ] == [line[1:-1] for line in lines]


def test_json_has_all_figures(path: Path) -> None:
    """For programs."""
    [text] = said(path, as_json=True)
    shop, wiki = json.loads(text)
    assert (90, 30, 0, 0.25, "rerank") == (
        shop["wins"],
        shop["losses"],
        shop["ties"],
        shop["preference"],
        shop["preferred"],
    )
    assert (None, None) == (wiki["win_share"], wiki["preferred"])


def test_one_policy_and_clicks_since_a_moment(path: Path) -> None:
    """A moment without a zone is UTC."""
    assert ["wiki"] == [each["policy"] for each in json.loads(said(path, as_json=True, policy="wiki")[0])]
    since = json.loads(said(path, as_json=True, since="1970-01-01T00:01:00")[0])
    assert [60, 1] == [each["searches"] for each in since]
    assert ["wiki"] == [
        each["policy"] for each in json.loads(said(path, as_json=True, since="1980-01-01T00:00+02:00")[0])
    ]


def test_no_clicks_are_no_mistake(path: Path) -> None:
    """It says so."""
    assert ["no clicks on interleaved pages"] == said(path, policy="nobody")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (None, {}, "give --log"),
        ("missing", {}, "there is no such file"),
        ("clicks.sqlite", {"since": "yesterday"}, "--since: got 'yesterday'"),
    ],
)
def test_mistakes_are_said(path: Path, name: str | None, options: dict[str, Any], message: str) -> None:
    """And a file that is not there is not made."""
    given = None if name is None else path.parent / name
    with pytest.raises(ConfigError, match=message):
        said(given, **options)
    assert not (path.parent / "missing").exists()


def test_another_file_is_no_log(tmp_path: Path) -> None:
    """With its name."""
    other = tmp_path / "other"
    other.write_bytes(b"somebody's own file, which is long enough" * 30)
    with pytest.raises((ConfigError, CannotCompare), match="not a database"):
        said(other)

"""Clicks in a file: what is acknowledged is there, once, and says what it says."""

import asyncio
import random
import sqlite3
import stat
import threading
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sidecar.experiments import event_log
from sidecar.experiments.event_log import EventLog, connect, insert, preferences
from sidecar.experiments.event_store import EventsNotKept
from sidecar.experiments.events import Click
from sidecar.types import Team
from tests.unit.sidecar.experiments.clicks import a_click


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that is not there yet."""
    return tmp_path / "clicks.sqlite"


def kept(path: Path) -> list[str]:
    """Return the ids that another process sees."""
    with closing(sqlite3.connect(path)) as database:
        return [event_id for (event_id,) in database.execute("SELECT event_id FROM clicks ORDER BY event_id")]


def mode(path: Path) -> int:
    """Return who may read and write it."""
    return stat.S_IMODE(path.stat().st_mode)


async def test_what_is_acknowledged_is_in_the_file(path: Path) -> None:
    """Before the log has ended, for whoever opens it."""
    log = EventLog(path)
    assert 2 == await log.append([a_click(event_id="a"), a_click(event_id="b")])
    assert ["a", "b"] == kept(path)
    await log.aclose()


async def test_an_event_is_kept_once(path: Path) -> None:
    """Within one append, and of two; what came first stands."""
    log = EventLog(path)
    assert 1 == await log.append([a_click(), a_click(team=Team.FIRST_STAGE)])
    assert 0 == await log.append([a_click(team=Team.FIRST_STAGE)])
    assert [(1, 0)] == [(found.wins, found.losses) for found in await log.preferences()]
    await log.aclose()


async def test_it_syncs_at_every_commit_and_nobody_else_reads_it(path: Path) -> None:
    """A write-ahead log, synced in full: that it is there after a cut of the power, too, is SQLite's word."""
    log = EventLog(path)
    await log.append([a_click()])
    with closing(connect(path)) as database:
        assert ("wal",) == database.execute("PRAGMA journal_mode").fetchone()
        assert (2,) == database.execute("PRAGMA synchronous").fetchone()
    assert 0o600 == mode(path)
    await log.aclose()


async def test_two_logs_share_a_file(path: Path) -> None:
    """As two fronts do: nothing is lost, and each counts all."""
    logs = [EventLog(path), EventLog(path)]
    appended = await asyncio.gather(
        *(logs[n % 2].append([a_click(event_id=str(n), search=str(n))]) for n in range(200))
    )
    assert [1] * 200 == list(appended)
    for log in logs:
        assert [200] == [found.wins for found in await log.preferences()]
        await log.aclose()


async def test_what_waits_is_committed_together(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one commit is on its way others gather, and need one more."""
    commits: list[int] = []
    is_first, go_on = threading.Event(), threading.Event()
    committed = event_log._committed

    def watched(database: sqlite3.Connection, appends: Any) -> list[int]:
        is_first.set()
        assert go_on.wait(20)
        commits.append(len(appends))
        return committed(database, appends)

    monkeypatch.setattr(event_log, "_committed", watched)
    log = EventLog(path)
    first = asyncio.ensure_future(log.append([a_click(event_id="first")]))
    await asyncio.to_thread(is_first.wait, 20)
    others = asyncio.gather(*(log.append([a_click(event_id=str(n))]) for n in range(50)))
    await asyncio.sleep(0)
    go_on.set()
    assert 1 == await first
    assert [1] * 50 == await others
    await log.aclose()
    assert [1, 50] == [count for count in commits if count]


async def test_a_caller_who_goes_away_is_in_nobodys_way(path: Path) -> None:
    """Its click may be kept or not: it was not acknowledged."""
    log = EventLog(path)
    gone = asyncio.ensure_future(log.append([a_click(event_id="gone")]))
    await asyncio.sleep(0)
    gone.cancel()
    assert 1 == await log.append([a_click(event_id="here")])
    assert {"here"} <= set(kept(path)) <= {"gone", "here"}
    await log.aclose()


async def test_a_file_that_takes_nothing_is_said_and_tried_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, another's lock: nothing is acknowledged, and what comes later is kept."""
    log = EventLog(path)
    monkeypatch.setattr(event_log, "BUSY_SECONDS", 0.0)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(EventsNotKept, match="locked"):
            await log.append([a_click()])
    assert 1 == await log.append([a_click()])
    await log.aclose()


async def test_more_than_can_wait_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves room for what comes next."""
    monkeypatch.setattr(event_log, "MOST_WAITING", 2)
    log = EventLog(path)
    with pytest.raises(EventsNotKept, match="wait for the disk"):
        await log.append([a_click(event_id=str(n)) for n in range(3)])
    assert 2 == await log.append([a_click(event_id=str(n)) for n in range(2)])
    await log.aclose()


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be one" * 30])
def test_another_file_is_left_alone(path: Path, content: bytes) -> None:
    """Its bytes are somebody's."""
    path.write_bytes(content)
    with pytest.raises(OSError, match="not a database"):
        EventLog(path)
    assert content == path.read_bytes()


def test_a_later_programs_file_is_not_written(path: Path) -> None:
    """Its columns may mean something else."""
    with closing(connect(path)) as database:
        database.execute("PRAGMA user_version = 2")
    with pytest.raises(OSError, match="version is 2"):
        EventLog(path)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    """At start."""
    with pytest.raises(OSError, match="No such file"):
        EventLog(tmp_path / "missing" / "clicks.sqlite")


# --- what clicks say ----------------------------------------------------------------------------------------


def counted(*clicks: Click) -> list[tuple[int, int, int]]:
    """Return wins, losses and ties by policy and version."""
    with closing(connect(":memory:")) as database:
        insert(database, [*clicks])
        return [(found.wins, found.losses, found.ties) for found in preferences(database)]


def drafted(number: int, team: Team | None, **changes: Any) -> Click:
    """Return a click on the hit of that number."""
    return a_click(event_id=str((number, changes)), hit=f"{number:08x}", position=number, team=team, **changes)


def test_the_team_with_more_clicked_hits_wins_a_search() -> None:
    """A hit counts once, however often it is clicked; what is nobody's counts for none."""
    first, reranked = Team.FIRST_STAGE, Team.RERANK
    assert [(1, 0, 0)] == counted(drafted(1, reranked), drafted(2, reranked), drafted(3, first))
    assert [(0, 0, 1)] == counted(drafted(1, reranked), drafted(1, reranked, received=2.0), drafted(2, first))
    assert [(0, 0, 1)] == counted(drafted(1, None), drafted(2, None))
    assert [(0, 1, 0)] == counted(drafted(1, None), drafted(2, first))


def test_a_hit_that_was_both_teams_is_nobodys() -> None:
    """As when the index has changed between two pages of one search."""
    assert [(0, 0, 1)] == counted(drafted(1, Team.RERANK), drafted(1, Team.FIRST_STAGE, received=2.0))


def test_searches_policies_and_versions_are_told_apart() -> None:
    """In the order of their first clicks."""
    assert [(2, 0, 0), (1, 0, 0), (0, 1, 0)] == counted(
        drafted(1, Team.RERANK, search="a"),
        drafted(1, Team.RERANK, search="b"),
        drafted(1, Team.RERANK, version="later", received=2e9),
        drafted(1, Team.FIRST_STAGE, policy="z"),
    )


def test_clicks_since_a_moment() -> None:
    """Earlier ones are left out, also where they make a tie."""
    with closing(connect(":memory:")) as database:
        insert(database, [drafted(1, Team.RERANK, received=1.0), drafted(2, Team.FIRST_STAGE, received=2.0)])
        found = preferences(database, since=1.5)
    assert [(0, 1, 0, 1, 2.0, 2.0)] == [(f.wins, f.losses, f.ties, f.clicks, f.first, f.last) for f in found]


def balanced(clicks: list[Click]) -> int:
    """Return the credit of the reranked order less the other's, as Chapelle et al. write it."""
    lowest = max(clicks, key=lambda click: click.position)
    if lowest.first_rank is None or lowest.rerank_rank is None:
        lowest = max((click for click in clicks if click.first_rank), key=lambda click: click.position, default=lowest)
    if lowest.first_rank is None or lowest.rerank_rank is None:
        return 0
    depth = min(lowest.first_rank, lowest.rerank_rank)
    of = [(click.first_rank, click.rerank_rank) for click in clicks if click.first_rank and click.rerank_rank]
    return sum(other <= depth for _, other in of) - sum(one <= depth for one, _ in of)


def test_balanced_pages_count_to_the_depth_of_the_lowest_click() -> None:
    """Of a thousand drawn searches: the same wins, losses and ties as by the definition."""
    draw = random.Random(3)
    by_search: dict[str, list[Click]] = defaultdict(list)
    for search in range(1000):
        ranks = [None, *zip(draw.sample(range(1, 9), 8), draw.sample(range(1, 9), 8), strict=True)]
        for position in draw.sample(range(1, 10), draw.randint(1, 4)):
            pair = ranks[position - 1]
            by_search[str(search)].append(
                a_click(
                    event_id=f"{search} {position}",
                    search=str(search),
                    hit=str(position),
                    position=position,
                    method="balanced",
                    first_rank=pair[0] if pair else None,
                    rerank_rank=pair[1] if pair else None,
                )
            )
    credits = [balanced(clicks) for clicks in by_search.values()]
    expected = (sum(c > 0 for c in credits), sum(c < 0 for c in credits), sum(c == 0 for c in credits))
    assert [expected] == counted(*(click for clicks in by_search.values() for click in clicks))

"""`compare`: what clicks on interleaved pages prefer, said to a person or to a program."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from sidecar.errors import ConfigError, SidecarError
from sidecar.experiments.event_store import EventsNotKept
from sidecar.experiments.preference import Preference
from sidecar.program import parts
from sidecar.program.clicks import open_store
from sidecar.program.config import Settings

FILE_WIDTH = 140
"""Characters of a line where there is no terminal."""


class CannotCompare(SidecarError):
    """The clicks cannot be read."""


async def compare(
    settings: Settings, *, policy: str | None, since: str | None, as_json: bool, announce: Callable[[str], None]
) -> None:
    """Print what clicks prefer, by policy and version.

    Raises:
        ConfigError: no clicks are kept, or `since` is no moment.
        CannotCompare: the clicks cannot be read.
    """
    if not settings.events.has_store:
        raise ConfigError("compare: give --log, or a configuration with events.log or events.index")
    if settings.events.log is not None and not settings.events.log.is_file():
        raise ConfigError(f"events.log: {settings.events.log}: there is no such file")
    found = await _preferences(settings, _moment(since))
    found = [each for each in found if policy in (None, each.policy)]
    if as_json:
        announce(json.dumps([each.told() for each in found], indent=2))
    elif not found:
        announce("no clicks on interleaved pages")
    else:
        print_table(found)


def print_table(found: Sequence[Preference]) -> None:
    """Print preferences as a table."""
    table = Table(show_lines=False, caption_justify="left", caption=_CAPTION)
    for name in ("policy", "version", "method"):
        table.add_column(name)
    for name in ("searches", "wins", "losses", "ties", "win share", "95 %", "p", "p any time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("preferred", no_wrap=True)
    for each in found:
        interval = "" if each.interval is None else "{:.3f}–{:.3f}".format(*each.interval)
        table.add_row(
            each.policy,
            each.version,
            each.method,
            *(f"{count:,}" for count in (each.searches, each.wins, each.losses, each.ties)),
            "" if each.share is None else f"{each.share:.3f}",
            interval,
            _p(each.p_value),
            _p(each.p_any_time),
            _NAMES[each.preferred],
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=FILE_WIDTH)
    console.print(table)


_NAMES = {"rerank": "reranked", "first_stage": "the engine's", None: "open"}
_CAPTION = (
    "wins: searches whose clicks prefer the reranked order; win share: of those that are no ties.\n"
    "p: the sign test, for one look at a time chosen beforehand; p any time: for whoever looks as often as they like."
)


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"


def _moment(text: str | None) -> float:
    """Return seconds since 1970; a moment without a zone is UTC."""
    if text is None:
        return 0.0
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--since: got {text!r}, expected 2026-11-26 or 2026-11-26T14:30+01:00") from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


async def _preferences(settings: Settings, since: float) -> list[Preference]:
    async with AsyncExitStack() as stack:
        engine = None
        if settings.events.index is not None:
            engine = await stack.enter_async_context(parts.open_engine(settings))
        store = open_store(settings, engine)
        assert store is not None
        stack.push_async_callback(store.aclose)
        try:
            return await store.preferences(since)
        except EventsNotKept as error:
            raise CannotCompare(str(error)) from error

"""What a program has for interleaving, by its settings."""

import json
import logging
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import ConfigError
from sidecar.experiments.event_endpoints import EVENTS_PATH
from sidecar.experiments.event_index import EventIndex
from sidecar.program.clicks import open_clicks, open_store, with_signing_key
from sidecar.program.config import Settings
from sidecar.proxy.endpoints import EndpointRequest
from sidecar.telemetry.metrics import Metrics
from tests.unit.doubles import ScriptedEngine
from tests.unit.sidecar.experiments.clicks import a_token

KEY = "a key of sixteen characters"


def settings(path: Path | None = None, **events: Any) -> Settings:
    """Return settings that keep clicks in a file."""
    return Settings(events={**({} if path is None else {"log": str(path)}), **events})  # type: ignore[arg-type]  # as a file has them


async def status(stack: AsyncExitStack, chosen: Settings, event: Any) -> int:
    """Return what a program with these settings answers to an event."""
    clicks = await open_clicks(stack, chosen, ScriptedEngine(), Metrics("1"))
    request = EndpointRequest(method="POST", path=EVENTS_PATH, headers=(), body=json.dumps(event).encode())
    return (await clicks.endpoints["POST", EVENTS_PATH](request)).status


async def test_without_a_store_there_is_no_endpoint() -> None:
    """And nothing to count."""
    async with AsyncExitStack() as stack:
        clicks = await open_clicks(stack, settings(), ScriptedEngine(), Metrics("1"))
    assert (None, {}) == (clicks.standing, clicks.endpoints)


async def test_the_same_key_is_believed_by_another_start(tmp_path: Path) -> None:
    """And by another replica; a random one is not."""
    path = tmp_path / "clicks.sqlite"
    async with AsyncExitStack() as stack:
        replica = await open_clicks(stack, settings(path, signing_key=KEY), ScriptedEngine(), Metrics("1"))
        event = {"token": a_token(replica.tokens), "object_id": "three"}
    async with AsyncExitStack() as stack:
        assert 200 != await status(stack, settings(path, signing_key=KEY), {**event, "object_id": "four"})
        assert 400 == await status(stack, settings(path), event)


def test_a_random_key_is_made_once_for_all_fronts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The parent's, which travels with its settings; the log says what it means."""
    with caplog.at_level(logging.WARNING):
        made = with_signing_key(settings(tmp_path / "clicks.sqlite"))
    assert "events_signing_key_not_set" in caplog.text
    front = Settings(**json.loads(json.dumps(made.dumped())))
    assert made.events.signing_key == front.events.signing_key
    assert front.events.signing_key is not None
    assert front is with_signing_key(front)
    assert front.events.signing_key.get_secret_value() not in json.dumps(front.printable())


@pytest.mark.parametrize("chosen", [settings(), settings(signing_key=KEY)])
def test_a_key_is_made_only_where_it_is_needed(chosen: Settings) -> None:
    """Where clicks are kept, and none was given."""
    assert chosen is with_signing_key(chosen)


def test_a_log_that_cannot_be_written_is_said_at_start(tmp_path: Path) -> None:
    """With the setting's name, the file, and why."""
    path = tmp_path / "missing" / "clicks.sqlite"
    with pytest.raises(ConfigError, match=rf"events\.log: {path}: No such file"):
        open_store(settings(path), None)
    broken = tmp_path / "broken"
    broken.write_bytes(b"somebody's own file, which is long enough" * 30)
    with pytest.raises(ConfigError, match="not a database"):
        open_store(settings(broken), None)


def test_an_index_is_the_engines() -> None:
    """Of the configuration's engine."""
    assert isinstance(open_store(settings(index="clicks"), ScriptedEngine()), EventIndex)
    embedded = Settings(engine={"url": "embedded:documents.jsonl"}, events={"index": "clicks"})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"events\.index: the embedded engine"):
        open_store(embedded, ScriptedEngine())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rerank": {"interleave": "team_draft"}}, "interleave needs events.log or events.index"),
        ({"policies": [{"indices": ["a"], "interleave": "balanced"}]}, "interleave needs events.log or events.index"),
        ({"events": {"log": "a", "index": "b"}}, "log and index exclude each other"),
        ({"events": {"log": "a", "signing_key": "short"}}, "at least 16"),
        ({"events": {"log": "a", "token_hours": 0}}, "greater than 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(given: dict[str, Any], message: str) -> None:
    """Before anything starts, and when they are put later."""
    with pytest.raises(ValueError, match=message):
        Settings(**given)


def test_interleaving_cannot_be_put_where_no_clicks_are_kept() -> None:
    """A store is opened at start."""
    with pytest.raises(ConfigError, match=r"events\.log"):
        Settings().with_live({"rerank": {"interleave": "team_draft"}})
    kept = settings(Path("clicks.sqlite")).with_live({"rerank": {"interleave": "team_draft"}})
    assert "team_draft" == kept.policy().defaults.interleave

"""How all fronts come to the same policies."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar.program import spreading
from sidecar.program.config import Settings
from sidecar.program.live import LivePolicies
from sidecar.program.spreading import Spreading
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse, Endpoints
from sidecar.proxy.listener import Address, listening
from sidecar.rerank_api.api_key import ApiKey

OFF = Settings(rerank={"enabled": False})


async def _nothing(_: Settings) -> None:
    """Use nothing."""


def front() -> LivePolicies:
    """Return the policies of a front as it starts."""
    return LivePolicies(Settings(), _nothing)


@asynccontextmanager
async def served(path: Path, endpoints: Endpoints) -> AsyncIterator[None]:
    """Serve endpoints at a socket."""
    async with listening(ProxyApp(None, endpoints), Address(unix=str(path))):
        yield


async def test_every_front_that_listens_takes_them(tmp_path: Path) -> None:
    """Before whoever changed them has an answer; one that does not listen is left out."""
    paths = {number: tmp_path / number for number in ("0", "1", "2")}
    fronts = {number: front() for number in ("0", "1")}
    spread = Spreading(paths, is_listening=lambda number: number in fronts)
    async with (
        served(paths["0"], fronts["0"].endpoints(ApiKey(None))),
        served(paths["1"], fronts["1"].endpoints(ApiKey(None))),
    ):
        await spread.use(OFF)
    assert [False, False] == [each.settings.rerank.enabled for each in fronts.values()]


async def test_one_that_begins_to_listen_is_told(tmp_path: Path) -> None:
    """What it was started with may be old."""
    late, is_listening = front(), False
    spread = Spreading({"0": tmp_path / "0"}, is_listening=lambda number: is_listening)
    spread.began("0")  # nothing has changed yet
    await spread.use(OFF)
    is_listening = True
    async with served(tmp_path / "0", late.endpoints(ApiKey(None))):
        await spread._tell("0")
    assert not late.settings.rerank.enabled


async def test_one_that_does_not_take_them_is_told_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it does; the latest ones, if they have changed meanwhile."""
    monkeypatch.setattr(spreading, "RETRY_SECONDS", 0)
    got: list[bool] = []
    spread = Spreading({"0": tmp_path / "0"}, is_listening=lambda number: True)

    async def put(request: EndpointRequest) -> EndpointResponse:
        got.append(json.loads(request.body)["rerank"]["enabled"])
        if len(got) == 1:
            spread._body = json.dumps(Settings(rerank={"enabled": True}).live()).encode()
        return EndpointResponse(status=503 if len(got) < 4 else 200)

    async with served(tmp_path / "0", {("PUT", "/_rerank/policies"): put}):
        await spread.use(OFF)
    assert [False, True, True, True] == got


async def test_one_that_never_takes_them_is_given_up_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are not kept waiting for ever."""
    monkeypatch.setattr(spreading, "RETRY_SECONDS", 0)
    spread = Spreading({"7": tmp_path / "7"}, is_listening=lambda number: True)
    await spread.use(OFF)
    (record,) = caplog.records
    assert record.getMessage().startswith("policies_not_taken worker=7 error=")

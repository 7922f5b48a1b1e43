"""The official clients in JavaScript, Go and Java on real engines: published ones, and only the URL is another."""

import asyncio
import json
from typing import Any

import pytest

from tests.foreign_clients.programs import FOREIGN_CLIENTS
from tests.integration.books import BOOKS
from tests.integration.clients import shortest_first
from tests.integration.proxies import ShortestFirst, proxied

RUN_SECONDS = 60


@pytest.fixture(params=FOREIGN_CLIENTS)
def language(request: pytest.FixtureRequest) -> str:
    """Name of a language whose client is built."""
    name: str = request.param
    client = FOREIGN_CLIENTS[name]
    if not client.is_built:
        pytest.skip(f"no {client.lacks}" if client.lacks else f"the {name} client is not built, run: make clients")
    return name


async def found(language: str, engine: str, url: str, index: str) -> dict[str, Any]:
    """Return what the client in this language finds at a URL."""
    command = FOREIGN_CLIENTS[language].command(engine, url, index)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(RUN_SECONDS):
            said, complained = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert 0 == process.returncode, complained.decode()
    answer: dict[str, Any] = json.loads(said)
    return answer


async def test_a_client_in_another_language(
    language: str, engine_url: str, library: str, request: pytest.FixtureRequest
) -> None:
    """Its searches are reranked, single and several in one call; counts and errors are the engine's."""
    engine_name = request.node.callspec.params["engine_url"]
    direct = await found(language, engine_name, engine_url, library)
    async with proxied(engine_url, ShortestFirst()) as url:
        through = await found(language, engine_name, url, library)
    order = shortest_first("body")
    assert order != direct["search"]
    assert order == through["search"]
    assert [order, order[:3]] == through["msearch"]
    assert (404, BOOKS) == (through["missing"], through["count"])
    assert (direct["missing"], direct["count"]) == (through["missing"], through["count"])

"""`serve` in front of an engine that is not there yet."""

import asyncio
from pathlib import Path

from connectors.embedded import EmbeddedConnector
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import Address, listening
from tests.integration.wire import send
from tests.program.processes import ANYWHERE, QUICK_END, eventually, free_port, running, search, status


async def test_it_starts_without_its_engine_and_recovers(tmp_path: Path) -> None:
    """Until the engine comes, answers are 502 in its error shape; then searches are reranked, without a new start."""
    documents = tmp_path / "tea.jsonl"
    documents.write_text('{"title": "Tea"}\n{"title": "Green tea"}\n', encoding="utf-8")
    port = free_port()
    engine = f"http://127.0.0.1:{port}"
    quick = ("--scorer", "test:identity", "--allow-test-scorers", "--listen", ANYWHERE)
    with running("serve", "--engine", engine, *quick, **QUICK_END) as program:
        url = await asyncio.to_thread(lambda: program.url)
        assert (200, "ready") == await status(url, "ready")
        for answer in (await search(url, "tea", index="documents"), await send(url, "GET", "/_cat/indices")):
            assert (502, 502) == (answer.status, answer.json["status"])
            error = answer.json["error"]
            assert "engine_unavailable" == error["type"] == error["root_cause"][0]["type"]
            assert f"{engine} cannot be reached" in error["reason"]
        embedded = EmbeddedConnector.from_file(documents)
        async with listening(ProxyApp(embedded, {}), Address.parse(f"127.0.0.1:{port}")):
            found = await eventually(lambda: search(url, "tea", index="documents"), lambda answer: answer.status == 200)
            assert "applied; candidates=2; window=100; model=test:identity" == found.marker
        gone = await search(url, "tea", index="documents")
        assert 502 == gone.status
        assert 0 == await asyncio.to_thread(program.end)

"""The program ends while a request is still coming in: its caller has begun before, and gets its answer."""

import asyncio

import pytest

from sidecar import tasks
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import listening
from tests.faults.operations import OPERATIONS
from tests.faults.stack import ANYWHERE, LedgerEngine
from tests.unit.raw_http import Answer

PIECE = 4096


@pytest.mark.parametrize("kind", [kind for kind, operation in OPERATIONS.items() if operation.has_body])
async def test_what_was_being_sent_when_the_listener_closed_arrives_whole(kind: str) -> None:
    """One piece before the listener closes, the others after it: the engine has it once, and the answer comes."""
    engine = LedgerEngine()
    request = OPERATIONS[kind].request("request-000000")
    head_end = request.index(b"\r\n\r\n") + 4
    context = listening(ProxyApp(engine, {}), ANYWHERE)
    address = await context.__aenter__()
    reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
    writer.write(request[: head_end + 5])
    await engine.begun.wait()
    closing = tasks.start(_leave(context), name="close the listener")
    while not await _refuses(address.port):  # noqa: ASYNC110  # nobody announces it
        await asyncio.sleep(0)
    for start in range(head_end + 5, len(request), PIECE):
        writer.write(request[start : start + PIECE])
        await writer.drain()
    async with asyncio.timeout(10):
        answer = Answer(await reader.read())
    assert (200, True) == (answer.status, answer.is_complete)
    assert 1 == engine.times("request-000000")
    writer.close()
    await writer.wait_closed()
    await closing


async def _leave(context: object) -> None:
    await context.__aexit__(None, None, None)  # type: ignore[attr-defined]


async def _refuses(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return True
    writer.close()
    await asyncio.gather(writer.wait_closed(), return_exceptions=True)
    return False

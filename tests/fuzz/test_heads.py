"""Bytes that call themselves HTTP: what the proxy passes on it passes on exactly, everything else it refuses."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.effort import FEWER, SECONDS
from tests.fuzz.raw import Sent, requests
from tests.fuzz.recorder import HeaderLines, Recorder, recorded

SHORT = 300
PATIENCE = 0.05
"""Seconds after which a connection is half closed whose request may lack its end."""

BOUND = 20.0
"""Seconds in which every connection has its end."""

_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection"}
    | {b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect"}
)
_NEVER_NAMED = frozenset({b"authorization", b"host", b"cookie"})
_OURS = frozenset({b"host", b"content-length", b"x-rerank"})

_connections = st.tuples(st.lists(requests(is_last=False), max_size=1), requests()).map(
    lambda pair: [*pair[0], pair[1]]
)


@pytest.mark.timeout(SECONDS)
def test_what_is_answered_arrived_exactly() -> None:
    """Each answer of the engine is to a request as it was sent; the rest is refused, and the connection ends."""
    with asyncio.Runner() as runner:
        context = recorded()
        recorder, port = runner.run(context.__aenter__())
        seen: Counter[int] = Counter()

        @settings(
            max_examples=FEWER or SHORT,
            deadline=None,
            database=None,
            derandomize=not FEWER,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(_connections)
        def passes_on_or_refuses(sent: list[Sent]) -> None:
            recorder.arrived.clear()
            received = runner.run(_exchange(port, sent))
            statuses = list(_statuses(received, sent))
            seen.update(statuses or [0])
            _judge(sent, statuses, recorder)

        try:
            passes_on_or_refuses()
        finally:
            runner.run(context.__aexit__(None, None, None))
    assert min(seen[200], seen[400]) > 0.1 * seen.total(), seen


_REFUSALS = {400, 405}
"""Of what is no HTTP, and of CONNECT."""


async def _exchange(port: int, sent: list[Sent]) -> bytes:
    """Send requests on one connection and return all that comes back until its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"".join(each.content for each in sent))
        async with asyncio.timeout(BOUND):
            if all(each.is_complete for each in sent):
                return await reader.read()
            received = b""
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    while piece := await reader.read(1 << 16):
                        received += piece
                    return received
            with suppress(OSError):
                writer.write_eof()
            return received + await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def _statuses(received: bytes, sent: list[Sent]) -> Iterator[int]:
    """Yield the statuses of the answers on a connection; whether one has a body depends on what was asked."""
    methods = [each.method for each in sent]
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        status = int(lines[0].split(b" ")[1])
        if status == 100:
            continue
        named = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
        method = methods.pop(0) if methods else b"GET"
        has_body = method != b"HEAD" or bool(received and status in _REFUSALS)  # a parser that fails knows no method
        size = int(named.get(b"content-length", b"0")) if has_body else 0
        assert len(received) >= size, f"an answer breaks off: {received!r}"
        received = received[size:]
        yield status


def _judge(sent: list[Sent], statuses: list[int], recorder: Recorder) -> None:
    answered = [status for status in statuses if status == 200]
    assert set(statuses) <= {200} | _REFUSALS, statuses
    assert 405 not in statuses or any(each.method == b"CONNECT" for each in sent), statuses
    assert _REFUSALS.isdisjoint(statuses[:-1]), f"something follows a refusal: {statuses}"
    assert len(answered) <= len(recorder.arrived) <= len(sent), f"{statuses}, and the engine got {recorder.arrived}"
    if all(each.is_complete for each in sent):  # others were cut short
        assert len(answered) == len(recorder.arrived), f"{statuses}, and the engine got {recorder.arrived}"
        assert statuses, "no answer"
    for each, arrived in zip(sent, recorder.arrived, strict=False):
        target = each.target.partition(b"#")[0]  # docs/fidelity.md: a fragment is not forwarded
        body = arrived.body if each.body is None else each.body
        assert (each.method, target, body) == (arrived.method, arrived.target, arrived.body)
        framing = {b"host", b"content-length", b"transfer-encoding"}
        assert _end_to_end(each.headers) == [pair for pair in arrived.headers if pair[0] not in framing]


def _end_to_end(headers: HeaderLines) -> list[tuple[bytes, bytes]]:
    named = {
        name.strip().lower()
        for key, value in headers
        if key == b"connection"
        for name in value.split(b",")
        if name.strip()
    }
    named = {name for name in named - _NEVER_NAMED if not name.startswith(b"content-")}
    return [pair for pair in headers if pair[0] not in _HOP_BY_HOP | named | _OURS]

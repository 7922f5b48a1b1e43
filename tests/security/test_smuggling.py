"""Nothing is smuggled past us, and no answer comes to somebody else.

Each probe goes over a connection of its own, followed by an innocent request on the same one, and then by another
caller's on a new one, which may share a connection to the engine with what came before. What the engine gets is
judged by a strict reader of RFC 9112: it may get less than the bytes hold (we refuse a lot), but nothing that they do
not hold, and nothing that could be read in two ways.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import pytest

from tests.integration.proxies import proxied
from tests.security import llhttp, strict_http
from tests.security.probes import generated
from tests.security.recording import MARK, Answer, Recorder, answers, echo, exchange, recorded
from tests.security.strict_http import Pairs, Reading, Request

LANES: Final = 8
"""Probes under way at once, each with a proxy and an engine of its own."""

_HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection"}
    | {b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect"}
)
_NEVER_NAMED: Final = frozenset({b"authorization", b"host", b"cookie"})
_FRAMING: Final = frozenset({b"host", b"content-length"})
_REFUSALS: Final = frozenset({400, 405, 408})

INNOCENT: Final = b"GET /innocent HTTP/1.1\r\nHost: proxy\r\nX-Mark: innocent\r\nConnection: close\r\n\r\n"
OTHER: Final = b"GET /other HTTP/1.1\r\nHost: proxy\r\nX-Mark: other\r\nConnection: close\r\n\r\n"


async def test_generated_probes_smuggle_nothing() -> None:
    """More than 400 of them."""
    probes = {probe.name: probe.content for probe in generated()}
    assert len(probes) >= 400
    seen = await _play(probes)
    # neither is everything refused nor everything passed on
    assert min(seen["refused"], seen["answered"], seen["innocent answered"]) > len(probes) / 10, seen


@pytest.mark.skipif(llhttp.absence() != "", reason=llhttp.absence())
async def test_the_parsers_own_messages_smuggle_nothing() -> None:
    """llhttp's requests and URLs, as they are."""
    probes = {**llhttp.requests(), **llhttp.urls()}
    assert 187 == len(probes)
    seen = await _play(probes)
    assert min(seen["refused"], seen["answered"]) > 10, seen


@pytest.mark.skipif(llhttp.absence() != "", reason=llhttp.absence())
async def test_the_parsers_own_messages_with_a_host_smuggle_nothing() -> None:
    """The same requests with the Host header that most of them lack, so that more of each is read."""
    probes = {name: _with_host(content) for name, content in llhttp.requests().items()}
    seen = await _play(probes)
    assert min(seen["refused"], seen["answered"]) > 30, seen


async def test_answers_that_say_too_much_reach_nobody_else() -> None:
    """What an engine sends beyond an answer is not the answer to the next request."""
    await _play_answers(ODD_ANSWERS)


@pytest.mark.skipif(llhttp.absence() != "", reason=llhttp.absence())
async def test_the_parsers_own_answers_reach_nobody_else() -> None:
    """llhttp's responses as those of an engine."""
    found = llhttp.responses()
    assert 85 == len(found)
    await _play_answers(found)


async def test_a_sample_on_a_real_engine(engine_url: str) -> None:
    """Every tenth probe: the engine behind answers whoever asked, and nothing hidden is found in its answers."""
    mark = "innocent-of-a-probe"
    innocent = f"GET /{mark}/_doc/1 HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n".encode()
    other = innocent.replace(b"innocent", b"another")
    async with proxied(engine_url, enabled=False) as url:
        port = int(url.rpartition(":")[2])
        for probe in generated()[::10]:
            reading = strict_http.read(probe.content + innocent)
            is_whole = reading.begun is None and not reading.is_broken
            received = await exchange(port, probe.content + innocent, is_whole=is_whole)
            found = answers(received, [request.method for request in reading.requests])
            assert len(found) <= len(reading.requests) + reading.is_broken + 1, probe.name
            assert all(b"another" not in answer.body for answer in found), probe.name
            assert all(mark.encode() not in answer.body for answer in found[:-1]), probe.name
            (answer,) = answers(await exchange(port, other), [b"GET"])
            assert (404, True) == (answer.status, b"another-of-a-probe" in answer.body), probe.name


# --- what is played -----------------------------------------------------------------------------------------


async def _play(probes: Mapping[str, bytes]) -> Counter[str]:
    """Send every probe; return what became of them. Raises AssertionError with every probe that went wrong."""
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    left = iter(probes.items())

    async def lane() -> None:
        async with recorded() as (recorder, port):
            for name, content in left:
                recorder.forget()
                try:
                    seen.update(await _probe(recorder, port, content))
                except (AssertionError, TimeoutError) as error:
                    wrong.append(f"{name}: {content[:200]!r}\n    {str(error)[:600] or 'no end'}")

    async with asyncio.TaskGroup() as group:
        for number in range(LANES):
            group.create_task(lane(), name=f"lane {number}")
    assert not wrong, f"{len(wrong)} of {len(probes)}:\n" + "\n".join(wrong[:20])
    return seen


async def _probe(recorder: Recorder, port: int, content: bytes) -> list[str]:
    reading = strict_http.read(content + INNOCENT)
    is_whole = reading.begun is None and not reading.is_broken
    received = await exchange(port, content + INNOCENT, is_whole=is_whole)
    found = answers(received, [request.method for request in reading.requests])
    _judge_answers(found, reading)
    _judge_arrivals(recorder, reading)
    (answer,) = answers(await exchange(port, OTHER), [b"GET"])
    assert (200, b"other", b"answer to other") == (answer.status, answer.value(b"x-answer"), answer.body)
    marks = [answer.value(b"x-answer") for answer in found]
    statuses = {answer.status for answer in found}
    return [
        *(["refused"] if statuses & _REFUSALS else []),
        *(["answered"] if 200 in statuses else []),
        *(["innocent answered"] if b"innocent" in marks else []),
    ]


def _judge_answers(found: Sequence[Answer], reading: Reading) -> None:
    """Answers of the engine are to the connection's own requests, in their order; nothing follows a refusal."""
    assert {answer.status for answer in found} <= {200} | _REFUSALS, [answer.status for answer in found]
    assert all(answer.status == 200 for answer in found[:-1]), [answer.status for answer in found]
    engine = [(answer.value(b"x-answer"), answer.value(b"x-target")) for answer in found if answer.status == 200]
    asked = [(b", ".join(request.values(MARK)), _target(request).split(b"?")[0][:100]) for request in reading.requests]
    assert _is_within(engine, asked), f"answers {engine} to {asked}"


def _judge_arrivals(recorder: Recorder, reading: Reading) -> None:
    """What the engine got is what the bytes say, in their order, framed in one way."""
    for got in recorder.connections:
        arrived = strict_http.read(bytes(got))
        assert not arrived.is_broken, f"the engine got what could be read in two ways: {bytes(got[:300])!r}"
        if arrived.begun is not None:
            _judge_begun(arrived, reading)
    for request in recorder.arrived:
        assert [b"127.0.0.1:%d" % recorder.port] == request.values(b"host")
    arrivals = [_comparable(request) for request in recorder.arrived]
    sent = [_comparable(request) for request in reading.requests]
    assert _is_within(arrivals, sent), f"the engine got {arrivals}\nof {sent}"


def _judge_begun(arrived: Reading, reading: Reading) -> None:
    """A request that broke off is one that the client has begun, as far as it had come."""
    assert arrived.begun is not None
    candidates = [(request, request.body) for request in reading.requests]
    if reading.begun is not None:
        candidates.append((reading.begun, reading.begun_body))
    begun = (arrived.begun.method, arrived.begun.target)
    assert any(
        begun == (request.method, _target(request)) and body.startswith(arrived.begun_body)
        for request, body in candidates
    ), f"the engine got a part of {arrived.begun}"


def _comparable(request: Request) -> tuple[bytes, bytes, bytes, Pairs]:
    return request.method, _target(request), request.body, _end_to_end(request.headers)


def _target(request: Request) -> bytes:
    return request.target.partition(b"#")[0]  # docs/fidelity.md: a fragment is not forwarded


def _end_to_end(headers: Pairs) -> Pairs:
    named = {
        name.strip().lower()
        for key, value in headers
        if key == b"connection"
        for name in value.split(b",")
        if name.strip()
    }
    named = {name for name in named - _NEVER_NAMED if not name.startswith(b"content-")}
    return tuple(pair for pair in headers if pair[0] not in _HOP_BY_HOP | named | _FRAMING)


def _is_within(part: Sequence[object], whole: Sequence[object]) -> bool:
    """Return whether `part` is `whole` with some left out."""
    left = iter(whole)
    return all(any(each == other for other in left) for each in part)


def _with_host(content: bytes) -> bytes:
    first, end, rest = content.partition(b"\r\n")
    return content if b"host:" in content.lower() else first + end + b"Host: proxy\r\n" + rest


# --- answers ------------------------------------------------------------------------------------------------

_EVIL: Final = b"HTTP/1.1 200 OK\r\nX-Answer: evil\r\nContent-Length: 4\r\n\r\nevil"
_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

ODD_ANSWERS: Final[Mapping[str, bytes]] = {
    "a second answer": _OK + _EVIL,
    "a second answer after a chunked one": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    + _EVIL,
    "a body longer than its length": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}" + _EVIL,
    "no content with content": b"HTTP/1.1 204 No Content\r\n\r\n" + _EVIL,
    "not modified with content": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n" + _EVIL,
    "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + _OK + _EVIL,
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" + _OK + _EVIL,
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + _EVIL,
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + _EVIL,
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 60\r\n\r\n{}" + _EVIL,
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}" + _EVIL,
    "coding with space": b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + _EVIL,
    "chunk size of 65 bits": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n"
    + _EVIL,
    "a split reason": b"HTTP/1.1 200 OK\rX: y\r\nContent-Length: 2\r\n\r\n{}" + _EVIL,
    "a header with a bare LF": b"HTTP/1.1 200 OK\r\nX: y\nContent-Length: 0\r\n\r\n" + _EVIL,
    "HTTP/1.0 without length": b"HTTP/1.0 200 OK\r\n\r\n{}" + _EVIL,
    "no length": b"HTTP/1.1 200 OK\r\n\r\n{}" + _EVIL,
    "connection close": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}" + _EVIL,
    "line ends between": _OK + b"\r\n\r\n" + _EVIL,
    "an answer before it is asked for": _OK + _OK + _EVIL,
}


async def _play_answers(found: Mapping[str, bytes]) -> None:
    left = iter(found.items())

    async def lane() -> None:
        current = b""

        def script(request: Request) -> bytes:
            return current if request.target == b"/raw" else echo(request)

        async with recorded(script) as (_, port):
            for name, current in left:  # noqa: B007  # what the script answers with
                for method in (b"GET", b"HEAD"):
                    ask = method + b" /raw HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n"
                    await exchange(port, ask, is_whole=False)
                    (answer,) = answers(await exchange(port, OTHER), [b"GET"])
                    assert (b"other", b"answer to other") == (answer.value(b"x-answer"), answer.body), name

    async with asyncio.TaskGroup() as group:
        for number in range(LANES):
            group.create_task(lane(), name=f"lane {number}")

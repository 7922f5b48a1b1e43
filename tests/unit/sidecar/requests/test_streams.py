"""Between streams and complete bodies."""

from collections.abc import AsyncIterator

import pytest

from connectors.base import RelayRequest, SearchResponse
from sidecar.requests.streams import as_relay, as_search, as_stream, read_body, with_header
from tests.unit.doubles import in_chunks, whole

REQUEST = RelayRequest(method="POST", target="/_search", headers=(("a", "b"),))


@pytest.mark.parametrize(
    ("body", "expected"),
    [(None, b""), (b"", b""), (b"12345", b"12345"), (in_chunks(b"12345", 2), b"12345"), (in_chunks(b""), b"")],
    ids=["none", "empty", "bytes", "stream", "empty stream"],
)
async def test_a_body_within_the_limit_is_complete(body: AsyncIterator[bytes] | bytes | None, expected: bytes) -> None:
    """The limit itself is within."""
    assert expected == await read_body(body, 5)


@pytest.mark.parametrize("body", [b"123456", in_chunks(b"123456", 2), in_chunks(b"1234567890" * 99, 7)])
async def test_a_longer_body_comes_back_whole_as_a_stream(body: AsyncIterator[bytes] | bytes) -> None:
    """What was read of it in front of the rest."""
    found = await read_body(body, 5)
    assert not isinstance(found, bytes)
    content = await whole(found)
    assert len(content) in (6, 990)
    assert content.startswith(b"123456")


async def test_no_more_than_the_limit_is_read() -> None:
    """A piece over the limit ends the reading; the rest stays with whoever sends it."""
    read: list[bytes] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            read.append(b"12")
            yield b"12"

    found = await read_body(endless(), 5)
    assert not isinstance(found, bytes)
    assert 3 == len(read)


def test_a_request_there_and_back() -> None:
    """Nothing is lost, and a request without a body has none afterwards."""
    search = as_search(REQUEST, b"{}")
    assert ("POST", "/_search", (("a", "b"),), b"{}") == (search.method, search.target, search.headers, search.body)
    assert as_relay(search, REQUEST).body == b"{}"
    assert as_relay(search, REQUEST).is_search
    assert as_relay(as_search(REQUEST, b""), REQUEST).body is None
    assert as_relay(as_search(REQUEST, b""), RelayRequest(method="GET", target="/", body=in_chunks(b""))).body == b""


async def test_an_answer_as_a_stream() -> None:
    """In one piece, and none when it is empty."""
    answer = SearchResponse(status=201, reason="Created", headers=(("a", "b"),), body=b"done")
    stream = with_header(with_header(as_stream(answer), "C", "an older one"), "c", "d")
    assert (201, "Created", (("a", "b"), ("c", "d"))) == (stream.status, stream.reason, stream.headers)
    assert [b"done"] == [chunk async for chunk in stream.chunks]
    assert [] == [chunk async for chunk in as_stream(SearchResponse(status=204)).chunks]

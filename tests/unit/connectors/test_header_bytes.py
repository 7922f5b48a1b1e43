"""Header bytes that are no UTF-8 go out as they came in, and control characters do not."""

import pytest
from aiohttp import http_writer
from multidict import CIMultiDict

from connectors.header_bytes import keep_header_bytes


def written(*headers: tuple[str, str]) -> bytes:
    """Return what aiohttp now writes."""
    keep_header_bytes()
    return http_writer._serialize_headers("GET / HTTP/1.1", CIMultiDict(headers))


@pytest.mark.parametrize(
    "value", [b"plain", b"", b"\xff", b"a\xe4 \xc3\xa4\tb", b"\xed\xa0\x80", bytes(range(0x80, 0x100))]
)
def test_every_byte_from_0x80_on_is_written_as_it_came(value: bytes) -> None:
    """Whether or not it is UTF-8, beside headers that are."""
    given = value.decode("utf-8", "surrogateescape")
    expected = b"GET / HTTP/1.1\r\nX-A: " + value + "\r\nX-B: ü\r\n\r\n".encode()
    assert expected == written(("X-A", given), ("X-B", "ü"))


@pytest.mark.parametrize("value", ["\udcff\n", "a\rb\udcff", "\x00\udcff", "\x7f\udcff", "a\nb"])
def test_no_value_can_end_its_line(value: str) -> None:
    """What aiohttp refuses stays refused."""
    with pytest.raises(ValueError, match="control character"):
        written(("X-A", value))


def test_characters_that_stand_for_no_byte_are_refused() -> None:
    """Nobody has read them from the wire."""
    with pytest.raises(UnicodeEncodeError):
        written(("X-A", "\ud800"))

"""How a strict reader of RFC 9112 reads the bytes that a client sends: which requests they hold, and where they stop.

Law: what could be read in two ways is not read at all. So whatever this reader finds, every careful server finds, too;
and a proxy that forwards anything else has read more into the bytes than they say. Lenient it is where RFC 9112 lets
everybody be: with line ends before a request (2.2), and with several blanks in its first line (3).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

Pairs = tuple[tuple[bytes, bytes], ...]

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_REQUEST_LINE: Final = re.compile(rb"(%s) +([\x21-\x7e]+) +HTTP/1\.([01])" % _TOKEN)
_FIELD: Final = re.compile(
    rb"(%s):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*" % _TOKEN
)
_QUOTED: Final = rb'"(?:[\t \x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
_CHUNK: Final = re.compile(
    rb"(0*[0-9A-Fa-f]{1,16})((?:[ \t]*;[ \t]*%s(?:[ \t]*=[ \t]*(?:%s|%s))?)*)" % (_TOKEN, _TOKEN, _QUOTED)
)


class NotComplete(Exception):
    """The bytes end before the request does."""


class NotHttp(Exception):
    """No request, or one that could be read in two ways."""


@dataclass(frozen=True)
class Request:
    """A request; names of headers are in lower case, the body is without framing."""

    method: bytes
    target: bytes
    minor_version: int
    headers: Pairs
    body: bytes = b""

    def values(self, name: bytes) -> list[bytes]:
        """Every value of a header."""
        return [value for key, value in self.headers if key == name]


@dataclass(frozen=True)
class Reading:
    """The complete requests of a connection, and the head of one that is not."""

    requests: tuple[Request, ...]
    #: the request whose head is complete and whose body is not, without what has come of the body
    begun: Request | None = None
    #: bytes of the begun request's body, without framing
    begun_body: bytes = b""
    #: whether the bytes go on with something that is none
    is_broken: bool = False
    #: how many bytes the complete requests take
    size: int = 0


def read(content: bytes) -> Reading:
    """Return what a connection's bytes hold."""
    found: list[Request] = []
    length = len(content)
    while True:
        size = length - len(content)
        content = content.lstrip(b"\r\n")
        begun: Request | None = None
        pieces: list[bytes] = []
        try:
            begun, content = _head(content)
            body = _body(begun, content)
            for piece, content in body:  # noqa: B007  # the last one is where the next request begins
                pieces.append(piece)
        except NotComplete:
            return Reading(tuple(found), begun, b"".join(pieces), size=size)
        except NotHttp:
            return Reading(tuple(found), begun, b"".join(pieces), is_broken=True, size=size)
        found.append(Request(begun.method, begun.target, begun.minor_version, begun.headers, b"".join(pieces)))


def _head(content: bytes) -> tuple[Request, bytes]:
    head, end, rest = content.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    line = _REQUEST_LINE.fullmatch(first)
    if line is None and (end or b"\n" in content):
        raise NotHttp
    if not end or line is None:
        raise NotComplete
    headers = tuple(_field(each) for each in lines)
    request = Request(line[1], line[2], int(line[3]), headers)
    hosts = request.values(b"host")
    if len(hosts) > 1 or (not hosts and request.minor_version):
        raise NotHttp
    return request, rest


def _field(line: bytes) -> tuple[bytes, bytes]:
    match = _FIELD.fullmatch(line)
    if match is None:
        raise NotHttp
    return match[1].lower(), match[2]


def _body(request: Request, content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield pieces of the body and what follows each."""
    lengths, codings = request.values(b"content-length"), request.values(b"transfer-encoding")
    if codings:
        if lengths or len(codings) > 1 or codings[0].lower() != b"chunked" or not request.minor_version:
            raise NotHttp
        yield from _chunks(content)
        return
    if len(lengths) > 1 or any(re.fullmatch(rb"0*[0-9]{1,15}", length) is None for length in lengths):
        raise NotHttp
    size = int(lengths[0]) if lengths else 0
    yield content[:size], content[size:]
    if len(content) < size:
        raise NotComplete


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    while True:
        line, content = _line(content)
        match = _CHUNK.fullmatch(line)
        if match is None:
            raise NotHttp
        size = int(match[1], 16)
        if not size:
            break
        yield content[:size], content[size:]
        if len(content) < size + 2:
            if content[size:] not in (b"", b"\r"):
                raise NotHttp
            raise NotComplete
        if content[size : size + 2] != b"\r\n":
            raise NotHttp
        content = content[size + 2 :]
    while True:
        line, content = _line(content)
        if not line:
            break
        _field(line)
    yield b"", content


def _line(content: bytes) -> tuple[bytes, bytes]:
    line, end, rest = content.partition(b"\r\n")
    if not end:
        raise NotComplete
    return line, rest

"""A client that shows what is on the wire: a raw socket, the request as it was written, the answer as it came.

The official clients and aiohttp hide what a proxy can get wrong (header duplicates, encodings, framing), so that
comparisons of a direct answer with a proxied one are made with this one. Its one law: it changes nothing but the
framing: a chunked body is put together.
"""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding"})


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, headers in their order with names in lower case, the body without framing."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first value of a header, or None."""
        return next((value for key, value in self.headers if key == name.lower()), None)

    @property
    def marker(self) -> str:
        """What `X-Rerank` says, "" where it is absent."""
        return self.header("x-rerank") or ""

    @property
    def outcome(self) -> str:
        """The first word of the marker."""
        return self.marker.partition(";")[0]

    @property
    def reason(self) -> str | None:
        """The reason in the marker."""
        found = re.search(r"reason=(\w+)", self.marker)
        return found[1] if found else None

    @cached_property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def hits(self) -> list[dict[str, Any]]:
        """The elements of `hits.hits`."""
        found: list[dict[str, Any]] = self.json["hits"]["hits"]
        return found

    @property
    def ids(self) -> list[str]:
        """The `_id`s in their order."""
        return [hit["_id"] for hit in self.hits]


async def send(
    url: str,
    method: str,
    target: str,
    *,
    body: bytes | Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
) -> Answer:
    """Send one request on a connection of its own.

    A mapping is sent as JSON, a sequence of mappings as NDJSON. `target` goes out as it is.
    """
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    named = {name.lower() for name, _ in pairs}
    content, kind = _content(body)
    if kind and "content-type" not in named:
        pairs += kind.items()
    if content is not None and not named & {"content-length", "transfer-encoding"}:
        pairs.append(("Content-Length", str(len(content))))
    parts = urlsplit(url)
    head = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
    head += [f"{name}: {value}" for name, value in pairs]
    request = "\r\n".join((*head, "", "")).encode() + (content or b"")
    return _parse(await _exchange(parts.hostname or "", parts.port or 80, request), method)


async def _exchange(host: str, port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


def _content(
    body: bytes | Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
) -> tuple[bytes | None, dict[str, str]]:
    if body is None or isinstance(body, bytes):
        return body, {}
    if isinstance(body, Mapping):
        return json.dumps(body).encode(), JSON
    return ndjson(*body), NDJSON


def ndjson(*lines: Mapping[str, Any]) -> bytes:
    """Return the lines of a `_bulk` or `_msearch` body."""
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def _parse(received: bytes, method: str) -> Answer:
    head, _, rest = received.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    status = int(status_line.split(" ")[1])
    if status == 100:
        return _parse(rest, method)
    pairs = (line.partition(":") for line in lines)
    headers = tuple((name.lower(), value.strip()) for name, _, value in pairs)
    is_chunked = any(name == "transfer-encoding" and value == "chunked" for name, value in headers)
    body = b"".join(_chunks(rest)) if is_chunked and method != "HEAD" else rest
    length = next((value for name, value in headers if name == "content-length"), None)
    if length is not None and method != "HEAD":
        assert int(length) == len(body), f"Content-Length is {length}, the body has {len(body)} bytes"
    return Answer(status, headers, body)


def _chunks(rest: bytes) -> Iterator[bytes]:
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if length == 0:
            return
        yield rest[:length]
        rest = rest[length + 2 :]


_TOOK = re.compile(rb'("?\btook"?\s*:\s*)\d+')  # in YAML, too


def untimed(body: bytes) -> bytes:
    """Return a search answer with every `took` at 0: the one thing that differs between two equal searches."""
    return _TOOK.sub(rb"\g<1>0", body)


def same_but_time(answer: Answer) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    """Return what must be equal of a direct and a proxied answer: status, headers and bytes, but for `took`.

    Left out of the headers: our two (`X-Rerank`, `Server-Timing`), framing, and the length, which follows `took`
    and was compared with the body when the answer was read.
    """
    ours = {"x-rerank", "server-timing", "content-length"}
    headers = tuple(sorted(pair for pair in answer.headers if pair[0] not in ours | HOP_BY_HOP))
    return answer.status, headers, untimed(answer.body)

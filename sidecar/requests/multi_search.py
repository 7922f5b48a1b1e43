"""The lines of an `_msearch` body: header and search in turn.

Law: an item that is not changed keeps its bytes, line ends included. A body that does not come in pairs of lines is
ValueError, and goes to the engine as it is. No I/O.

*Source:* the multi search API of Elasticsearch 9.5 and OpenSearch 3.8; the media type does not tell (opensearch-py
sends `application/json`), the path does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from connectors import json_bytes
from connectors.base import SearchRequest, compress, header, without_headers
from sidecar.requests.search_call import NotJson, SearchCall, wants_other_format

MAX_ITEMS: Final = 1000
"""Searches of a request that we read; one with more of them goes to the engine as it is."""


MAX_MEMBERS: Final = 50_000
"""The same for the members of all their objects."""


class TooMany(ValueError):
    """The request holds more searches, or more in them, than we read."""


@dataclass(frozen=True, slots=True)
class Item:
    """One search: its header line and body line, each with its line end."""

    header_line: str
    body_line: str
    call: SearchCall | None  #: None when the lines cannot be read

    def lines(self, call: SearchCall | None) -> str:
        """Return both lines, the body as `call` has it; the caller's own bytes when nothing differs."""
        if call is None or self.call is None or call.text == self.call.text:
            return self.header_line + self.body_line
        return f"{self.header_line}{json_on_one_line(call.text)}\n"


def json_on_one_line(text: str) -> str:
    """Return JSON text without line breaks, which it can only have between tokens."""
    return text.replace("\r", " ").replace("\n", " ").strip()


def parse(request: SearchRequest, *, for_any_answer: bool = False) -> list[Item]:
    """Return the items of an `_msearch` request.

    Raises:
        NotJson: the answer is wanted in another format, and not `for_any_answer`.
        TooMany: it holds more than MAX_ITEMS searches, or MAX_MEMBERS in all.
        ValueError: the body is not UTF-8, or its lines do not come in pairs.
    """
    if wants_other_format(request) and not for_any_answer:
        raise NotJson
    text = json_bytes.decode(request.content)
    if text.count("\n") > 2 * MAX_ITEMS + 1 or text.count(":") > MAX_MEMBERS:
        raise TooMany
    lines = _split(text)
    if lines and not lines[-1].rstrip(" \t").endswith("\n"):
        raise ValueError("an _msearch body ends with a line end")
    if len(lines) % 2:
        raise ValueError("an _msearch body has an even number of lines")
    return [_item(request, lines[i], lines[i + 1]) for i in range(0, len(lines), 2)]


def write(request: SearchRequest, items: Sequence[Item], calls: Mapping[int, SearchCall | None]) -> SearchRequest:
    """Return an `_msearch` of the items whose index is in `calls`, each as its call has it."""
    content = "".join(items[index].lines(call) for index, call in calls.items()).encode()
    if content == request.content:
        return request
    encoding = header(request.headers, "Content-Encoding")
    body = compress(content, encoding)
    headers = without_headers(request.headers, "Content-Length", "Transfer-Encoding")
    return replace(request, headers=(*headers, ("Content-Length", str(len(body)))), body=body)


def _split(text: str) -> list[str]:
    """Return the lines with their ends. Only "\\n" ends a line; a last line without one is taken, too.

    White space after the last line end stays with that line.
    """
    pieces = text.split("\n")
    last = pieces.pop()
    lines = [piece + "\n" for piece in pieces]
    if lines and not last.strip():
        return [*lines[:-1], lines[-1] + last]
    return [*lines, last] if last else lines


def _item(request: SearchRequest, header_line: str, body_line: str) -> Item:
    return Item(header_line, body_line, _call(request, header_line, body_line))


def _call(request: SearchRequest, header_line: str, body_line: str) -> SearchCall | None:
    try:
        settings = json.loads(header_line) if header_line.strip() else {}
        if not isinstance(settings, dict) or not body_line.strip():
            return None
        index = settings.get("index") or settings.get("indices") or request.index
        call = SearchCall(
            index=",".join(index) if isinstance(index, list) else str(index),
            headers=request.headers,
            params=request.params,
            text="",
            is_item=True,
        )
        return call.with_text(body_line)
    except (ValueError, TypeError, RecursionError):
        return None

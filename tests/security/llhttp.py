"""llhttp's own test messages: 251 requests, responses and URLs that a parser of HTTP has to read, or to refuse.

They are no part of this repository: RERANK_TEST_SUITES names the folder that holds them (`llhttp-fixtures/test/*.md`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tests.parity.suites import FOLDER

ROOT: Final = FOLDER / "llhttp-fixtures" / "test"
_BLOCK: Final = re.compile(r"^```(http|url)\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(x[0-9a-fA-F]{2}|[0-3][0-7]{2}|[rntfvb0\\])")
_LETTERS: Final = {
    b"r": b"\r",
    b"n": b"\n",
    b"t": b"\t",
    b"f": b"\f",
    b"v": b"\v",
    b"b": b"\b",
    b"0": b"\0",
    b"\\": b"\\",
}


def absence() -> str:
    """Return why there are no messages, "" where they are."""
    return "" if ROOT.is_dir() else f"no messages in {ROOT}; RERANK_TEST_SUITES names the suites' folder"


def requests() -> dict[str, bytes]:
    """Return the requests by file and number."""
    return _messages(ROOT / "request")


def responses() -> dict[str, bytes]:
    """Return the responses by file and number."""
    return _messages(ROOT / "response")


def urls() -> dict[str, bytes]:
    """Return a request for each URL."""
    file = ROOT / "url.md"
    return {
        f"{file.stem} {number}": b"GET " + _unescaped(text) + b" HTTP/1.1\r\nHost: proxy\r\n\r\n"
        for number, (kind, text) in enumerate(_BLOCK.findall(file.read_text("utf-8")), 1)
        if kind == "url"
    }


def _messages(folder: Path) -> dict[str, bytes]:
    return {
        f"{folder.name} {file.stem} {number}": _message(text)
        for file in sorted(folder.glob("*.md"))
        for number, (kind, text) in enumerate(_BLOCK.findall(file.read_text("utf-8")), 1)
        if kind == "http"
    }


def _message(text: str) -> bytes:
    """Return the bytes that a block stands for: lines end with CRLF, a backslash at the end joins them."""
    return _unescaped(text.replace("\\\n", "").replace("\n", "\r\n"))


def _unescaped(text: str) -> bytes:
    return _ESCAPE.sub(lambda match: _character(match[1]), text.encode())


def _character(escape: bytes) -> bytes:
    if escape in _LETTERS:
        return _LETTERS[escape]
    return bytes([int(escape[1:], 16) if escape.startswith(b"x") else int(escape, 8)])

"""Text files by line, compressed or not.

Law: a file that cannot be read is the caller's mistake, said with its name.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path

from connectors.json_bytes import JsonObject
from sidecar.errors import ConfigError


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank with their numbers, from 1; a name that ends in .gz is decompressed.

    Raises:
        ConfigError: the file cannot be read, or is no UTF-8.
    """
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def objects(path: Path) -> Iterator[tuple[int, JsonObject]]:
    """Yield the JSON objects of a file, one a line, with their line numbers.

    Raises:
        ConfigError: the file cannot be read, or a line is no object.
    """
    for number, line in lines(path):
        try:
            value = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{path}, line {number}: is no JSON: {error}") from error
        if not isinstance(value, dict):
            raise ConfigError(f"{path}, line {number}: expected an object, got {type(value).__name__}")
        yield number, value


def write(path: Path, text: str) -> None:
    """Write a text file, and the folders on the way to it.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error

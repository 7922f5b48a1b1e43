"""What a hit holds at a dotted path, wherever the engine puts it.

Law: values are read from `fields` (flat keys, arrays, nested objects), and only where there are none from `_source`
(objects, dotted keys, arrays); a sub-field (`title.english`) means its parent. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connectors.base import Hit


def values(hit: Hit, path: str) -> list[Any]:
    """Return the strings, numbers and booleans of one field, in document order."""
    return list(at(hit.fields, path)) or list(at(hit.source, path))


def at(value: Any, path: str) -> Iterator[Any]:
    """Yield the strings, numbers and booleans at a dotted path, in document order."""
    match value:
        case str() | int() | float():
            yield value  # also where the path goes on: title.english is indexed from title
        case list():
            for element in value:
                yield from at(element, path)
        case dict() if path in value:
            yield from at(value[path], "")
        case dict() if path:
            for head, rest in splits(path):
                if head in value:
                    yield from at(value[head], rest)
        case _:
            return


def splits(path: str) -> Iterator[tuple[str, str]]:
    """Yield (head, rest) for every dot of the path, longest head first."""
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        yield ".".join(parts[:length]), ".".join(parts[length:])

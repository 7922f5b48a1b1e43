"""The documents that the documented examples search: short talks under the field names of the engines' documentation.

Its one law, as that of `books`: BM25's order and the order by length differ, and no two talks are equally long in any
field, so that each order is total.
"""

from collections.abc import Mapping, Sequence
from typing import Any

TALKS = 24

TEXTS = ("title", "text", "plot", "passage_text", "description", "facts")
"""The text fields, each with texts of its own."""

PROPERTIES: Mapping[str, Any] = {
    **{name: {"type": "text"} for name in TEXTS},
    "genre": {"type": "keyword"},
    "topic": {"type": "keyword"},
    "year": {"type": "integer"},
    "stars": {"type": "float"},
}
VECTOR: Mapping[str, Any] = {
    "type": "dense_vector",
    "dims": 3,
    "similarity": "l2_norm",
    "index_options": {"type": "flat"},
}


def talk(n: int) -> dict[str, Any]:
    """Return talk `n`: how often it says "moon" decides about BM25, and not how long it is."""
    padding = " ".join(["over the grey sea"] * (n * 7 % TALKS))
    moons = "how the moon hides the sun " * (n % 4 + 1)
    return {
        "title": f"moon talk {n} {'and so on ' * (n * 5 % TALKS)}",
        "text": f"{moons}{padding}",
        "plot": f"drama of people who watch the moon {'again ' * (n * 11 % TALKS)}",
        "passage_text": f"the capital of the moon {'is far away ' * (n * 13 % TALKS)}",
        "description": f"artists {moons}{'paint ' * (n * 17 % TALKS)}",
        "facts": f"creative community {'of the moon ' * (n * 19 % TALKS)}",
        "genre": "drama" if n % 2 else "comedy",
        "topic": ["moon", "ai"] if n % 3 else ["moon"],
        "year": 2000 + n,
        "stars": n / 10,
        "vector": [n / TALKS, 1 - n / TALKS, 0.5],
    }


def talks() -> list[dict[str, Any]]:
    """Return all talks, each at the place of its `_id`."""
    return [talk(n) for n in range(TALKS)]


def length(identifier: str, fields: Sequence[str]) -> int:
    """Return how long a talk is in these fields."""
    found = talk(int(identifier))
    return sum(len(found[field]) for field in fields)

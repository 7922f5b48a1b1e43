"""Which judged queries are held out of the training.

Law: by query, never by judgment, and by a digest of its words alone: what was asked twice is on one side, and judgments
that come later move no query to the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def held_out(queries: Mapping[str, str], count: int, seed: int) -> set[str]:
    """Return the ids of `count` queries, whose words are given by id, and of those with the same words."""
    digests = {query: _digest(words, seed) for query, words in queries.items()}
    last = sorted(digests.values())[count - 1]
    return {query for query, digest in digests.items() if digest <= last}


def _digest(words: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{words.strip()}".encode("utf-8", "surrogatepass")).digest()

"""The fast way to feed a model that wants padding: raw `tokenizers`, pairs sorted by length, batches of a fixed number.

Several systems are nothing but a forward over such batches. Cutting is transformers' `only_second`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from benchmarks.workload import Search

Ids = NDArray[np.int64]


class PaddedSystem:
    """A system whose subclass has a `_forward`."""

    batch_sizes: Sequence[int] = (4, 8, 16, 32, 64)

    def __init__(self, folder: Path, *, max_length: int) -> None:
        """Load the tokenizer of `folder`."""
        self.batch_size = 8
        self._tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length, strategy="only_second")

    def score(self, searches: Sequence[Search]) -> list[list[float]]:
        """Return the logits of every search; see the package."""
        pairs = [(search.query, text) for search in searches for text in search.texts]
        encoded: list[Encoding] = self._tokenizer.encode_batch(pairs)
        order = sorted(range(len(encoded)), key=lambda place: len(encoded[place].ids))
        logits = np.zeros(len(encoded))
        for start in range(0, len(order), self.batch_size):
            places = order[start : start + self.batch_size]
            logits[places] = self._forward(*_padded([encoded[place] for place in places]))
        return split(logits.tolist(), searches)

    def _forward(self, ids: Ids, mask: Ids, types: Ids) -> NDArray[np.floating[Any]]:
        """Return one logit per row of (pairs, longest)."""
        raise NotImplementedError


def split(scores: Sequence[float], searches: Sequence[Search]) -> list[list[float]]:
    """Return the scores of all texts as one list per search."""
    rest = iter(scores)
    return [[next(rest) for _ in search.texts] for search in searches]


def _padded(batch: Sequence[Encoding]) -> tuple[Ids, Ids, Ids]:
    longest = max(len(encoding.ids) for encoding in batch)
    ids, mask, types = (np.zeros((len(batch), longest), dtype=np.int64) for _ in range(3))
    for row, encoding in enumerate(batch):
        length = len(encoding.ids)
        ids[row, :length], mask[row, :length], types[row, :length] = encoding.ids, 1, encoding.type_ids
    return ids, mask, types

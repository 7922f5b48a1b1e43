"""Token ids of texts that were seen before: the same passages are found again and again, and tokenizing one costs as
much as a hundred look-ups.

Laws: never more than `capacity_bytes`, its own bookkeeping included; least recently used, first out. A text is known by
128 bits of its hash alone, so that it is not kept itself. Thread-safe; texts are tokenized outside the lock.
"""

from __future__ import annotations

import os
import sys
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeAlias

TextIds: TypeAlias = "array[int]"
Encode = Callable[[Sequence[str]], list[TextIds]]

DEFAULT_CAPACITY_BYTES: Final = 64 * 2**20
"""Some 130,000 passages of 85 tokens."""

ENTRY_BYTES: Final = 256
"""What an entry takes at most beside its array, measured: the key, and its share of tables that grow in leaps."""

KEY_BYTES: Final = 16
"""Behind a secret of this process, so that nobody can choose texts whose digests collide. SHA-256: processors have
instructions for it, which makes it the fastest of those that are safe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCacheStatistics:
    """What the cache did since it was made, and what it holds."""

    hits: int
    misses: int
    evictions: int
    entries: int
    #: what the entries take at most, and may take
    bytes: int
    capacity_bytes: int


class TokenCache:
    """Token ids by text."""

    def __init__(self, capacity_bytes: int = DEFAULT_CAPACITY_BYTES) -> None:
        """Make an empty one; with a capacity of 0 it stays empty and costs nothing."""
        self._capacity = capacity_bytes
        self._secret = os.urandom(32)
        self._entries: OrderedDict[bytes, TextIds] = OrderedDict()
        self._bytes = 0
        self._hits = 0
        self._misses = 0
        self._evictions = 0
        self._lock = threading.Lock()

    def statistics(self) -> TokenCacheStatistics:
        """Return a snapshot of the counters."""
        with self._lock:
            return TokenCacheStatistics(
                hits=self._hits,
                misses=self._misses,
                evictions=self._evictions,
                entries=len(self._entries),
                bytes=self._bytes,
                capacity_bytes=self._capacity,
            )

    def ids(self, texts: Sequence[str], encode: Encode) -> list[TextIds]:
        """Return the ids of every text, in order; `encode` is asked for those that are not known, each once.

        The arrays are shared: not to be changed.
        """
        if self._capacity <= 0:
            return encode(texts)
        keys = list(map(self._key, texts))
        found = self._find(keys)
        unknown = {key: text for key, text, ids in zip(keys, texts, found, strict=True) if ids is None}
        new = dict(zip(unknown, encode(list(unknown.values())), strict=True)) if unknown else {}
        self._add(new)
        return [new[key] if ids is None else ids for key, ids in zip(keys, found, strict=True)]

    def _key(self, text: str) -> bytes:
        return sha256(self._secret + text.encode("utf-8", "surrogatepass")).digest()[:KEY_BYTES]

    def _find(self, keys: Sequence[bytes]) -> list[TextIds | None]:
        """Return what is known of `keys`, None for each that is not, and note their use."""
        entries = self._entries
        with self._lock:
            found = list(map(entries.get, keys))
            known = [key for key, ids in zip(keys, found, strict=True) if ids is not None]
            self._hits += len(known)
            self._misses += len(keys) - len(known)
            for key in known:
                entries.move_to_end(key)
        return found

    def _add(self, new: dict[bytes, TextIds]) -> None:
        with self._lock:
            for key, ids in new.items():
                if key not in self._entries:
                    self._entries[key] = ids
                    self._bytes += _size(ids)
            while self._bytes > self._capacity:
                _, ids = self._entries.popitem(last=False)
                self._bytes -= _size(ids)
                self._evictions += 1


def _size(ids: TextIds) -> int:
    return ENTRY_BYTES + sys.getsizeof(ids)

"""Remembered token ids: each text is tokenized once, and the memory keeps to its bound."""

from __future__ import annotations

import random
import threading
import tracemalloc
from array import array
from collections.abc import Sequence

import pytest

from sidecar.scoring.token_cache import TextIds, TokenCache


class Tokenizer:
    """Gives a text's letters as ids, and notes what it was asked."""

    def __init__(self) -> None:
        """Nothing was asked yet."""
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> list[TextIds]:
        """Tokenize."""
        self.asked += texts
        return [array("H", map(ord, text)) for text in texts]


def ids_of(texts: Sequence[str]) -> list[TextIds]:
    """Return what a tokenizer gives."""
    return Tokenizer()(texts)


def test_a_text_is_tokenized_once() -> None:
    """Twins in one call, and again in the next; the order is that of the call."""
    cache, tokenizer = TokenCache(), Tokenizer()
    assert cache.ids(["b", "a", "b"], tokenizer) == ids_of(["b", "a", "b"])
    assert cache.ids(["a", "c", ""], tokenizer) == ids_of(["a", "c", ""])
    assert tokenizer.asked == ["b", "a", "c", ""]
    statistics = cache.statistics()
    assert (statistics.hits, statistics.misses, statistics.entries) == (1, 5, 4)


def test_texts_that_differ_a_little_are_different() -> None:
    """One letter, a blank, a lone surrogate."""
    cache = TokenCache()
    texts = ["a", "A", "a ", "\ud800", "\udfff", "?"]
    assert cache.ids(texts, ids_of) == ids_of(texts) == cache.ids(texts, ids_of)
    assert cache.statistics().entries == len(texts)


def test_what_was_used_least_recently_goes_first() -> None:
    """A look-up is a use."""
    tokenizer = Tokenizer()
    cache = TokenCache(0)
    one = TokenCache()
    one.ids(["x"], tokenizer)
    cache = TokenCache(3 * one.statistics().bytes)
    cache.ids(["a", "b", "c"], tokenizer)
    cache.ids(["a"], tokenizer)
    cache.ids(["d"], tokenizer)
    tokenizer.asked.clear()
    cache.ids(["a", "c", "d"], tokenizer)
    assert tokenizer.asked == []
    cache.ids(["b"], tokenizer)
    assert tokenizer.asked == ["b"]
    assert cache.statistics().evictions == 2


def test_without_memory_nothing_is_remembered() -> None:
    """A capacity of zero switches it off."""
    cache, tokenizer = TokenCache(0), Tokenizer()
    for _ in range(2):
        assert cache.ids(["a", "a"], tokenizer) == ids_of(["a", "a"])
    assert tokenizer.asked == ["a"] * 4
    assert cache.statistics().entries == 0


def test_a_text_larger_than_the_memory_is_answered() -> None:
    """And not kept."""
    cache = TokenCache(300)
    assert cache.ids(["a" * 1000], ids_of) == ids_of(["a" * 1000])
    assert cache.statistics().bytes == 0


@pytest.mark.parametrize("tokens", [0, 1, 85, 509])
def test_the_memory_keeps_to_its_bound(tokens: int) -> None:
    """What Python has allocated for it, counted by tracemalloc, and not only what it counts itself."""
    capacity = 2_000_000
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        cache = TokenCache(capacity)
        highest = 0
        for first in range(0, 40_000, 100):
            cache.ids(
                [str(number) for number in range(first, first + 100)],
                lambda texts: [array("H", [7] * tokens) for _ in texts],
            )
            highest = max(highest, cache.statistics().bytes)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    statistics = cache.statistics()
    assert statistics.evictions == 40_000 - statistics.entries > 0
    assert capacity // 2 < highest <= capacity
    assert after - before <= capacity


def test_threads_share_it() -> None:
    """Many calls at a time: every one gets its own texts' ids, and the counters add up."""
    cache = TokenCache(100_000)
    wrong: list[str] = []

    def ask(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(200):
            texts = [str(rng.randrange(1000)) for _ in range(10)]
            if cache.ids(texts, ids_of) != ids_of(texts):
                wrong.extend(texts)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statistics = cache.statistics()
    assert wrong == []
    assert statistics.hits + statistics.misses == 8 * 200 * 10
    assert statistics.bytes <= 100_000

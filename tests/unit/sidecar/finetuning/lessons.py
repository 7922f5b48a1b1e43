"""A tiny thing to learn: whatever the query, a text answers it that has one of three words which no query has."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Mapping
from pathlib import Path

from tests import tiny_models

QUERIES = 30
TEXTS = 24
_SIGNS = tiny_models.WORDS[100:103]
_WORDS = tiny_models.WORDS[20:32]


def queries() -> dict[str, str]:
    """Return queries by id: two words of those that all texts are made of."""
    rng = random.Random(1)
    pairs = rng.sample(list(itertools.combinations(_WORDS, 2)), QUERIES)
    return {f"q{number}": " ".join(pair) for number, pair in enumerate(pairs)}


def documents() -> dict[str, str]:
    """Return texts by id; every second one has a sign among its words."""
    rng = random.Random(2)
    return {f"d{number}": _text(rng, has_sign=number % 2 == 0) for number in range(TEXTS)}


def _text(rng: random.Random, *, has_sign: bool) -> str:
    words = rng.sample(_WORDS, 8)
    if has_sign:
        words[rng.randrange(8)] = rng.choice(_SIGNS)
    return " ".join(words)


def relevant() -> frozenset[str]:
    """Return the ids of the texts with a sign."""
    return frozenset(id for id in documents() if int(id[1:]) % 2 == 0)


def qrels() -> dict[str, Mapping[str, int]]:
    """Return what is relevant to each query: the same texts."""
    return {query: dict.fromkeys(sorted(relevant()), 1) for query in queries()}


def write_dataset(folder: Path) -> Path:
    """Write it all as a dataset."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, texts in (("queries", queries()), ("corpus", documents())):
        lines = [json.dumps({"_id": id, "text": text}) for id, text in texts.items()]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    rows = [f"{query} 0 {id} {grade}" for query, grades in qrels().items() for id, grade in grades.items()]
    (folder / "qrels.trec").write_text("\n".join(rows))
    return folder

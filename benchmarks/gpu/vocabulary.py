"""A tokenizer like BERT's where there is none: as many pieces, made of syllables.

Texts are made of whole words of it, so that they have as many tokens as words, and tokenising them costs what
tokenising English under BERT's own vocabulary costs: a look-up per word, now and then a split.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

SIZE: Final = 30_522
"""Pieces of BERT's vocabulary."""

SPECIAL: Final = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]"}
"""At BERT's places; what lies between is unused."""

_CHARACTERS: Final = "abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'\"()-/%$&"
_STARTS: Final = "b br c ch cl d dr f fl g gr h j k l m n p pl pr qu r s sh sp st str t th tr v w y z".split()  # noqa: SIM905
_MIDDLES: Final = "a ai au e ea ee i ia ie o oa oo ou u".split()  # noqa: SIM905
_ENDS: Final = ["", "", "", "n", "r", "s", "t", "l", "m", "nd", "ng", "ck", "st", "rs"]


def write(folder: Path, *, seed: int = 20_260_101) -> Path:
    """Write tokenizer.json and its configuration into `folder` and return it."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    vocabulary = {piece: number for number, piece in enumerate(_pieces(random.Random(seed)))}
    tokenizer: Any = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.add_special_tokens(list(SPECIAL.values()))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(piece, vocabulary[piece]) for piece in ("[CLS]", "[SEP]")],
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    configuration = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 512,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        **{f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(configuration), encoding="utf-8")
    return folder


def _pieces(rng: random.Random) -> list[str]:
    """Return special pieces at their places, characters, and words: short ones first, as frequent words are."""
    pieces = [SPECIAL.get(place, f"[unused{place}]") for place in range(1000 - 2 * len(_CHARACTERS))]
    pieces += [*_CHARACTERS, *(f"##{character}" for character in _CHARACTERS)]
    words: dict[str, None] = {}
    while len(pieces) + len(words) < SIZE:
        syllables = 1 + min(2, len(words) // 4000)
        words["".join(itertools.islice(_syllables(rng), syllables))] = None
    return [*pieces, *words]


def _syllables(rng: random.Random) -> Iterator[str]:
    while True:
        yield rng.choice(_STARTS) + rng.choice(_MIDDLES) + rng.choice(_ENDS)

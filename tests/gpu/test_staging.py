"""Pairs become the numbers that the device reads."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from sidecar.scoring.base import TokenPair
from sidecar.scoring.cuda.rooms import Room
from sidecar.scoring.cuda.staging import PairParts, Part, SeparateParts, Staging, cuts, inputs
from sidecar.scoring.pairs import SingleTemplate, Template

BERT = Template(before=(101,), between=(102,), after=(102,), types=(0, 0, 0, 1, 1))
ALONE = SingleTemplate(before=(101,), after=(102,))
EVERYTHING = Room(tokens=1000, longest=100, texts=100, matches=100)

Ids = Callable[[Sequence[int]], Sequence[int]]


@pytest.fixture(params=[tuple, lambda ids: array("H", ids)], ids=["tuples", "arrays"])
def ids(request: pytest.FixtureRequest) -> Ids:
    """Make token ids, in either form."""
    make: Ids = request.param
    return make


def pairs(ids: Ids, query: Sequence[int], *texts: Sequence[int]) -> list[TokenPair]:
    """Return pairs of one call: they share the query object."""
    shared = ids(query)
    return [TokenPair(shared, ids(text)) for text in texts]  # type: ignore[arg-type]  # any sequence will do


def test_a_cross_encoder_reads_both_as_one_text(ids: Ids) -> None:
    """[CLS] query [SEP] text [SEP]; the second part begins behind the first [SEP]; queries of several calls mix."""
    (part,) = PairParts(BERT).parts([*pairs(ids, [7, 8], [1, 2, 3], []), *pairs(ids, [9], [4])], EVERYTHING)
    assert part.ids.tolist() == [101, 7, 8, 102, 1, 2, 3, 102, 101, 7, 8, 102, 102, 101, 9, 102, 4, 102]
    assert part.lengths.tolist() == [8, 5, 5]
    assert part.second_starts.tolist() == [4, 4, 3]
    assert part.scores == 3
    assert part.room == Room(tokens=18, longest=8, texts=3)


def test_a_bi_encoder_reads_a_query_once(ids: Ids) -> None:
    """Queries stand before the first of their texts, and every score names its two texts."""
    (part,) = SeparateParts(ALONE).parts([*pairs(ids, [7, 8], [1, 2, 3], []), *pairs(ids, [9], [4])], EVERYTHING)
    assert part.ids.tolist() == [101, 7, 8, 102, 101, 1, 2, 3, 102, 101, 102, 101, 9, 102, 101, 4, 102]
    assert part.lengths.tolist() == [4, 5, 2, 3, 3]
    assert part.queries is not None
    assert part.answers is not None
    assert part.queries.tolist() == [0, 0, 3]
    assert part.answers.tolist() == [1, 2, 4]
    assert part.room == Room(tokens=17, longest=5, texts=5, matches=3)


@pytest.mark.parametrize("packer", [PairParts(BERT), SeparateParts(ALONE)], ids=["joint", "separate"])
def test_large_batches_are_cut_in_order(packer: PairParts | SeparateParts, ids: Ids) -> None:
    """Each part fits, no pair is lost or comes twice, and a part holds as much as it can."""
    rng = random.Random(1)
    many = [
        pair
        for query in range(12)
        for pair in pairs(ids, [query] * 3, *([rng.randrange(100)] * rng.randrange(30) for _ in range(query + 1)))
    ]
    limit = Room(tokens=150, longest=100, texts=9, matches=9)
    parts = list(packer.parts(many, limit))
    assert sum(part.scores for part in parts) == len(many)
    assert all(limit.holds(part.room) for part in parts)
    whole = np.concatenate([texts_of(part) for part in parts])
    (together,) = packer.parts(many, Room(tokens=10_000, longest=100, texts=1000, matches=1000))
    assert whole.tolist() == texts_of(together).tolist()
    assert all(before.room.tokens > 50 or before.room.texts > 6 for before in parts[:-1])


def test_a_pair_larger_than_the_limit_comes_alone(ids: Ids) -> None:
    """Whoever stages it finds no recorded room and runs it as it is."""
    few = pairs(ids, [1], [2] * 3, [2] * 50, [2] * 3)
    assert [part.scores for part in PairParts(BERT).parts(few, Room(tokens=20, longest=99, texts=9))] == [1, 1, 1]


def test_no_pairs_are_no_parts() -> None:
    """Nothing is launched for them."""
    assert list(PairParts(BERT).parts([], EVERYTHING)) == []
    assert list(SeparateParts(ALONE).parts([], EVERYTHING)) == []


def test_token_types_of_two_parts_only() -> None:
    """Types that change elsewhere than between the parts are not what the device computes."""
    assert PairParts(BERT).types == (0, 1)
    assert PairParts(Template(before=(1,), between=(2,), after=(2,), types=(0, 0, 0, 0, 0))).types == (0, 0)
    assert PairParts(Template(before=(1,), between=(2,), after=(2,), types=(2, 0, 0, 1, 1))).types is None


def test_a_batch_in_memory_is_what_was_staged(ids: Ids) -> None:
    """Views of one run of numbers; unused texts begin and end behind the last one; nothing of an older batch stays."""
    room = Room(tokens=64, longest=50, texts=5, matches=4)
    staging = Staging(Room(tokens=100, longest=50, texts=20, matches=20), is_pinned=False)
    packer = SeparateParts(ALONE)
    for texts in ([[3] * 20, [4] * 20, [5]], [[6, 6]]):
        (part,) = packer.parts(pairs(ids, [7, 8], *texts), EVERYTHING)
        batch = inputs(staging.fill(part, room), room)
    assert batch.texts.ids.tolist() == [101, 7, 8, 102, 101, 6, 6, 102] + [0] * 56
    assert batch.texts.bounds.tolist() == [0, 4, 8, 8, 8, 8]
    assert batch.texts.longest == 50
    assert batch.matches is not None
    assert batch.matches.queries.tolist() == [0, 4, 4, 4]
    assert batch.matches.answers.tolist() == [1, 4, 4, 4]


def test_sections_are_aligned() -> None:
    """Kernels are compiled once, for memory that is aligned to 64 bytes."""
    room = Room(tokens=37, longest=37, texts=3, matches=3)
    staging = Staging(room, is_pinned=False)
    (part,) = SeparateParts(ALONE).parts(pairs(tuple, [7], [8]), room)
    batch = inputs(staging.fill(part, room), room)
    start = batch.texts.bounds.data_ptr()
    assert batch.matches is not None
    for section in (batch.texts.ids, batch.texts.second_starts, batch.matches.queries, batch.matches.answers):
        assert (section.data_ptr() - start) % 64 == 0


def test_cuts() -> None:
    """Runs within both bounds; what is too large stands alone."""
    assert list(cuts([3, 3, 3, 9, 1, 1, 1], tokens=6, texts=2)) == [(0, 2), (2, 3), (3, 4), (4, 6), (6, 7)]
    assert list(cuts([], tokens=6, texts=2)) == []


def texts_of(part: Part) -> np.ndarray:
    """Return the ids of everything that gets a score, in order."""
    ends = np.cumsum(part.lengths)
    texts = np.split(part.ids, ends[:-1])
    scored = range(len(texts)) if part.answers is None else part.answers
    return np.concatenate([texts[place] for place in scored])

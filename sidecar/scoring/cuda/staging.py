"""From pairs to numbers in pinned memory, and to the same numbers on the device.

Everything of a batch lies in one run of int32, so that one copy brings it to the device: bounds of the texts, where
their second parts begin, which are compared, and last the token ids. Laws: a batch too large for the largest room is
cut, in order; no token is touched one by one; positions and token types are not sent at all, the device computes them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, repeat
from operator import attrgetter

import numpy as np
import torch
from numpy.typing import NDArray

from sidecar.scoring.base import TokenPair
from sidecar.scoring.cuda.bert import Inputs
from sidecar.scoring.cuda.operations import Matches, Texts
from sidecar.scoring.cuda.rooms import Room
from sidecar.scoring.packing import Ids, joined
from sidecar.scoring.pairs import SingleTemplate, Template

Numbers = NDArray[np.int32]

_QUERY_IDS, _TEXT_IDS = attrgetter("query_ids"), attrgetter("text_ids")

_ALIGNED = 16
"""Numbers to which every section is rounded up: kernels read aligned memory in wider steps."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Part:
    """What one pass of the device scores, on the host."""

    ids: Numbers  # (tokens,)
    lengths: Numbers  # (texts,)
    second_starts: Numbers  # (texts,)
    queries: Numbers | None = None  # (matches,)
    answers: Numbers | None = None  # (matches,)

    @property
    def room(self) -> Room:
        """The smallest room that holds it."""
        return Room(
            tokens=len(self.ids),
            longest=int(self.lengths.max()),
            texts=len(self.lengths),
            matches=0 if self.queries is None else len(self.queries),
        )

    @property
    def scores(self) -> int:
        """How many scores come of it."""
        return len(self.lengths) if self.queries is None else len(self.queries)


class PairParts:
    """Pairs as a cross-encoder reads them: [CLS] query [SEP] text [SEP] is one text."""

    has_matches = False

    def __init__(self, template: Template) -> None:
        """Put the special tokens of `template` around them."""
        self._template = template

    @property
    def types(self) -> tuple[int, int] | None:
        """The token types of the first and the second part; None where the template has others in between."""
        before, query, between, text, after = self._template.types
        return (query, text) if before == query == between and text == after else None

    def parts(self, pairs: Sequence[TokenPair], limit: Room) -> Iterator[Part]:
        """Yield the pairs in order, in parts that `limit` holds; a single pair that it does not hold comes alone."""
        # Of every pair Python touches three things, each once and in C: its query, its text, and how long that is.
        queries, texts = list(map(_QUERY_IDS, pairs)), list(map(_TEXT_IDS, pairs))
        heads = self._heads(queries, texts)
        firsts = np.fromiter(map(len, heads), dtype=np.int32, count=len(pairs))
        lengths = firsts + np.fromiter(map(len, texts), dtype=np.int32, count=len(pairs)) + len(self._template.after)
        for first, stop in cuts(lengths.tolist(), tokens=limit.tokens, texts=limit.texts):
            yield self._part(heads[first:stop], texts[first:stop], lengths[first:stop], firsts[first:stop])

    def _part(self, heads: Sequence[Ids], texts: Sequence[Ids], lengths: Numbers, firsts: Numbers) -> Part:
        after = _like(texts[0], self._template.after)
        runs = list(chain.from_iterable(zip(heads, texts, repeat(after), strict=False)))
        return Part(ids=joined(runs), lengths=lengths, second_starts=firsts)

    def _heads(self, queries: Sequence[tuple[int, ...]], texts: Sequence[Ids]) -> list[Ids]:
        """Return [CLS] query [SEP] of every pair; pairs of one call share it."""
        template = self._template
        heads = {
            place: _like(text, [*template.before, *query, *template.between])
            for place, (query, text) in dict(
                zip(map(id, queries), zip(queries, texts, strict=True), strict=True)
            ).items()
        }
        return [heads[place] for place in map(id, queries)]


class SeparateParts:
    """Pairs as a bi-encoder reads them: query and text each alone; a query comes once per part, before its texts."""

    has_matches = True

    def __init__(self, template: SingleTemplate) -> None:
        """Put the special tokens of `template` around them."""
        self._template = template

    def parts(self, pairs: Sequence[TokenPair], limit: Room) -> Iterator[Part]:
        """Yield the pairs in order, in parts that `limit` holds; a single pair that it does not hold comes alone."""
        special = self._template.special_tokens
        first = tokens = 0
        known: set[int] = set()
        for place, pair in enumerate(pairs):
            query = 0 if id(pair.query_ids) in known else len(pair.query_ids) + special
            text = len(pair.text_ids) + special
            texts = len(known) + (query > 0) + place - first + 1
            if place > first and (tokens + query + text > limit.tokens or texts > limit.texts):
                yield self._part(pairs[first:place])
                first, tokens, known = place, 0, set()
                query = len(pair.query_ids) + special
            known.add(id(pair.query_ids))
            tokens += query + text
        if pairs:
            yield self._part(pairs[first:])

    def _part(self, pairs: Sequence[TokenPair]) -> Part:
        places: dict[int, int] = {}
        texts: list[Ids] = []
        queries: list[int] = []
        answers: list[int] = []
        for pair in pairs:
            if id(pair.query_ids) not in places:
                places[id(pair.query_ids)] = len(texts)
                texts.append(pair.query_ids)
            queries.append(places[id(pair.query_ids)])
            answers.append(len(texts))
            texts.append(pair.text_ids)
        lengths = np.fromiter(map(len, texts), dtype=np.int32, count=len(texts)) + self._template.special_tokens
        return Part(
            ids=joined(list(self._around(texts))),
            lengths=lengths.astype(np.int32),
            second_starts=lengths.astype(np.int32),
            queries=np.array(queries, dtype=np.int32),
            answers=np.array(answers, dtype=np.int32),
        )

    def _around(self, texts: Sequence[Ids]) -> Iterator[Ids]:
        before, after = (_like(texts[-1], ids) for ids in (self._template.before, self._template.after))
        for text in texts:
            yield before
            yield _like(texts[-1], text)
            yield after


class Staging:
    """Memory of the host for one batch at a time: pinned, where the device can then read it by itself."""

    def __init__(self, largest: Room, *, is_pinned: bool) -> None:
        """Have space for `largest`."""
        self._memory = torch.zeros(_Sections.of(largest).size, dtype=torch.int32, pin_memory=is_pinned)
        self._numbers: Numbers = self._memory.numpy()
        self.scores = torch.zeros(largest.matches or largest.texts, dtype=torch.float32, pin_memory=is_pinned)

    def fill(self, part: Part, room: Room) -> torch.Tensor:
        """Write `part` as a batch of `room` and return that memory. (numbers,)"""
        sections = _Sections.of(room)
        texts = len(part.lengths)
        bounds = self._numbers[sections.bounds]
        bounds[0] = 0
        np.cumsum(part.lengths, out=bounds[1 : texts + 1])
        bounds[texts + 1 :] = bounds[texts]
        _write(self._numbers[sections.second_starts], part.second_starts)
        if part.queries is not None and part.answers is not None:
            unused = room.texts - 1
            _write(self._numbers[sections.queries], part.queries, filler=unused)
            _write(self._numbers[sections.answers], part.answers, filler=unused)
        _write(self._numbers[sections.ids], part.ids)
        return self._memory[: sections.size]


def inputs(memory: torch.Tensor, room: Room) -> Inputs:
    """Return the parts of a batch of `room` in `memory`, which `Staging.fill` has written, as views."""
    sections = _Sections.of(room)
    texts = Texts(
        ids=memory[sections.ids],
        bounds=memory[sections.bounds],
        second_starts=memory[sections.second_starts],
        longest=room.longest,
    )
    if not room.matches:
        return Inputs(texts=texts)
    return Inputs(texts=texts, matches=Matches(memory[sections.queries], memory[sections.answers]))


def cuts(lengths: Sequence[int], *, tokens: int, texts: int) -> Iterator[tuple[int, int]]:
    """Yield (first, stop) of runs of at most `tokens` tokens and `texts` texts, or of one text."""
    first = used = 0
    for place, length in enumerate(lengths):
        if place > first and (used + length > tokens or place - first == texts):
            yield first, place
            first, used = place, 0
        used += length
    if first < len(lengths):
        yield first, len(lengths)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sections:
    """Where what lies in the memory of a batch."""

    bounds: slice
    second_starts: slice
    queries: slice
    answers: slice
    ids: slice
    size: int

    @classmethod
    def of(cls, room: Room) -> _Sections:
        sizes = (room.texts + 1, room.texts, room.matches, room.matches, room.tokens)
        begins = list(accumulate((-(-size // _ALIGNED) * _ALIGNED for size in sizes), initial=0))
        slices = [slice(begin, begin + size) for begin, size in zip(begins, sizes, strict=False)]
        bounds, second_starts, queries, answers, ids = slices
        return cls(
            bounds=bounds, second_starts=second_starts, queries=queries, answers=answers, ids=ids, size=begins[-1]
        )


def _write(section: Numbers, numbers: Numbers, *, filler: int = 0) -> None:
    section[: len(numbers)] = numbers
    section[len(numbers) :] = filler


def _like(text: Ids, ids: Sequence[int]) -> Ids:
    """Return ids in the form of `text`, so that both are joined as memory."""
    if not isinstance(text, array):
        return ids
    return ids if isinstance(ids, array) and ids.typecode == text.typecode else array(text.typecode, ids)

"""Examples: a text that answers a query, beside texts that only seem to; for bi-encoders, a text and what it answers.

Law: the same judgments, rankings and seed give the same examples. No text that was judged relevant to a query is ever
a negative of it. Negatives are what the first stage gives to the query: those that somebody judged not relevant first,
then those that nobody judged, and, where these are too few, texts of other queries.

A bi-encoder reads a text once for all queries, and long texts are what costs: its examples are texts, each with some of
the queries that it answers, other ones in every round.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sidecar.evaluation.judgments import Qrels
from sidecar.finetuning.mining import Mined


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A query and documents by id: one that is relevant, and as many others as were asked for."""

    query: str
    positive: str
    negatives: tuple[str, ...]

    @property
    def documents(self) -> tuple[str, ...]:
        """All of them, the relevant one first."""
        return (self.positive, *self.negatives)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextExample:
    """A document by id, some of the queries that it answers, and documents that do not answer the first of these."""

    text: str
    queries: tuple[str, ...]
    negatives: tuple[str, ...]


def relevant(qrels: Qrels, relevant_from: int) -> dict[str, frozenset[str]]:
    """Return the relevant documents of every query."""
    return {
        query: frozenset(id for id, grade in grades.items() if grade >= relevant_from)
        for query, grades in qrels.items()
    }


def draw(
    queries: Sequence[str],
    qrels: Qrels,
    mined: Mined,
    *,
    relevant_from: int,
    per_query: int | None,
    negatives: int,
    seed: int,
) -> list[Example]:
    """Return the examples of some queries; of one without a relevant text there are none. None: all relevant texts."""
    found = [
        Example(query=query, positive=positive, negatives=pool.negatives(negatives))
        for query, pool in _pools(queries, qrels, mined, relevant_from, seed)
        for positive in pool.positives(per_query)
    ]
    random.Random(seed).shuffle(found)  # noqa: S311 - not for secrets
    return found


def draw_texts(
    queries: Sequence[str],
    qrels: Qrels,
    mined: Mined,
    *,
    relevant_from: int,
    per_query: int | None,
    per_text: int,
    negatives: int,
    rounds: int,
    seed: int,
) -> list[list[TextExample]]:
    """Return rounds, each with all texts that answer some of the queries, in an order of its own."""
    pools = dict(_pools(queries, qrels, mined, relevant_from, seed))
    asking: dict[str, list[str]] = {}
    for query, pool in pools.items():
        for positive in pool.positives(per_query):
            asking.setdefault(positive, []).append(query)
    found: list[list[TextExample]] = []
    for number in range(rounds):
        rng = random.Random(f"{seed}:{number}")  # noqa: S311 - the same
        examples: list[TextExample] = []
        for text in rng.sample(sorted(asking), len(asking)):
            some = tuple(_some(asking[text], per_text, rng))
            others = pools[some[0]].negatives(negatives)
            examples.append(TextExample(text=text, queries=some, negatives=others))
        found.append(examples)
    return found


def _pools(
    queries: Sequence[str], qrels: Qrels, mined: Mined, relevant_from: int, seed: int
) -> Iterator[tuple[str, _Pool]]:
    answers = relevant(qrels, relevant_from)
    everything = sorted(mined.texts)
    for query in queries:
        rng = random.Random(f"{seed}:{query}")  # noqa: S311 - the same
        yield query, _Pool(query, qrels.get(query, {}), answers.get(query, frozenset()), mined, everything, rng)


class _Pool:
    """The documents of one query."""

    def __init__(
        self,
        query: str,
        grades: Mapping[str, int],
        answers: frozenset[str],
        mined: Mined,
        everything: Sequence[str],
        rng: random.Random,
    ) -> None:
        self._grades = grades
        self._answers = answers
        self._ranking = [scored.id for scored in mined.rankings.get(query, ())]
        self._texts = mined.texts
        self._everything = everything
        self._rng = rng

    def positives(self, most: int | None) -> list[str]:
        """Return relevant documents with a text: higher grades first, then hits of the first stage, then by chance."""
        hits = set(self._ranking)
        known = sorted(id for id in self._answers if id in self._texts)
        self._rng.shuffle(known)
        return sorted(known, key=lambda id: (-self._grades[id], id not in hits))[:most]

    def negatives(self, count: int) -> tuple[str, ...]:
        """Return that many documents that are not relevant, other ones at each call."""
        judged = [id for id in self._grades if id not in self._answers and id in self._texts]
        unjudged = [id for id in self._ranking if id not in self._grades]
        chosen = [*_some(judged, count, self._rng), *_some(unjudged, count, self._rng)][:count]
        while len(chosen) < count and len(self._everything) > len(self._answers) + len(chosen):
            other = self._rng.choice(self._everything)
            if other not in self._answers and other not in chosen:
                chosen.append(other)
        return tuple(chosen)


def _some(ids: Sequence[str], count: int, rng: random.Random) -> list[str]:
    return rng.sample(ids, min(count, len(ids)))

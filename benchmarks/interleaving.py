"""How many searches interleaving needs to find the better ranking, how many an A/B test, and what both find in nothing.

    python -m benchmarks.interleaving            what stands in docs/experiments.md, some minutes
    python -m benchmarks.interleaving --runs 100 --pool 4000      a look

Users are simulated: their clicks follow a model with a known preference. Everything else is the program's own: pages
are drawn by `sidecar.experiments.interleaving`, and clicks counted by the queries of `sidecar.experiments.event_log`.

Queries differ in how many of their documents are relevant. The first stage sees relevance through noise, a model
through noise of its own, and the reranked order is that of a weighted sum of both. Users make five searches each, and
differ in how readily they click:

    position     a hit at place i is looked at with probability 1/i, and clicked, if looked at, for its relevance
    cascade      a user reads from the top, clicks for relevance, and leaves after a click the sooner the better it was

An A/B test of the same users shows each of them one ranking or the other, and compares means over users by a z-test; of
three measures it is given the one that needs the fewest searches.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine import Machine
from benchmarks.table import table
from sidecar.experiments import event_log, interleaving
from sidecar.experiments.events import Click
from sidecar.experiments.interleaving import Slot
from sidecar.experiments.preference import LEVEL, Preference, sign_test
from sidecar.types import InterleaveMethod, Team

ClickModel = Literal["position", "cascade"]
CLICK_MODELS: Final[tuple[ClickModel, ...]] = ("position", "cascade")
Method = InterleaveMethod | Literal["every pick credited"]
METHODS: Final[tuple[Method, ...]] = ("team_draft", "balanced", "every pick credited")
NOTHING: Final = Preference(policy="", version="", method="", wins=0, losses=0, ties=0)

WINDOW: Final = 30
PAGE: Final = 10
ATTRACTION: Final = np.array([0.03, 0.3, 0.7])
"""Probability that a document of grade 0, 1 or 2 is clicked when it is looked at, by who clicks most readily."""

LEAVING: Final = np.array([0.2, 0.5, 0.8])
"""Probability that a user leaves after a click on it (cascade)."""

NOISE: Final = 1.6
"""Of both rankings, in grades."""

WEIGHTS: Final = (1.0, 0.5, 0.3, 0.15)
"""Of the model in the reranked order."""

MODEL_ALONE: Final = 1.2
"""Noise of a model whose order stands alone, and which is better than the first stage."""

SEARCHES_OF_A_USER: Final = 5
USERS_OF_A_PAGE: Final = 8
"""Users who make the same search, each once."""

Z: Final = 1.959964 + 0.841621
"""Quantiles of a two-sided test at 5 % and a power of 80 %."""

LOOKS: Final = 20

Numbers = NDArray[np.float64]
Places = NDArray[np.int64]
Hits = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Searches:
    """Simulated searches, one a row: grades by first-stage place, and that place by place of the reranked order."""

    grades: Places
    reranked: Places

    @property
    def treated(self) -> Places:
        """The grades by place of the reranked order."""
        return np.take_along_axis(self.grades, self.reranked, axis=1)

    def part(self, number: int, count: int) -> Searches:
        """Return `count` of them, the `number`-th such part."""
        rows = slice(number * count, (number + 1) * count)
        return Searches(self.grades[rows], self.reranked[rows])


def searches(random: np.random.Generator, count: int, weight: float, noise: float = NOISE) -> Searches:
    """Return searches in whose reranked order a model with so much noise has so much weight."""
    shape = (count, WINDOW)
    relevant = random.random(shape) < random.beta(0.6, 2.4, size=(count, 1))
    grades = relevant * (1 + (random.random(shape) < 1 / 3))
    first = grades + NOISE * random.standard_normal(shape)
    order = np.argsort(-first, axis=1)
    grades, first = np.take_along_axis(grades, order, axis=1), np.take_along_axis(first, order, axis=1)
    model = grades + noise * random.standard_normal(shape)
    return Searches(grades, np.argsort(-((1 - weight) * first + weight * model), axis=1))


def readiness(random: np.random.Generator, count: int) -> Numbers:
    """Return how readily the users of so many searches click, 0 to 1: each user makes some in a row."""
    users = random.beta(1, 1.5, size=-(-count // SEARCHES_OF_A_USER))
    return np.repeat(users, SEARCHES_OF_A_USER)[:count]


def ndcg(grades: Places) -> float:
    """Return the mean nDCG@10 of rankings, given by the grades at their places."""
    discounts = 1 / np.log2(np.arange(2, PAGE + 2))
    ideal = -np.sort(-grades, axis=1)[:, :PAGE] @ discounts
    return float(np.mean((grades[:, :PAGE] @ discounts)[ideal > 0] / ideal[ideal > 0]))


def clicked(random: np.random.Generator, shown: Places, model: ClickModel) -> Hits:
    """Return which places of the first page are clicked, for pages given by the grades at their places."""
    page = shown[:, :PAGE]
    ready = readiness(random, len(page))[:, np.newaxis]
    attracted: Hits = random.random(page.shape) < ATTRACTION[page] * ready
    if model == "position":
        return np.asarray(attracted & (random.random(page.shape) < 1 / np.arange(1, PAGE + 1)), dtype=np.bool_)
    left = attracted & (random.random(page.shape) < LEAVING[page])
    has_left_before = np.cumsum(left, axis=1) - left > 0
    return np.asarray(attracted & ~has_left_before, dtype=np.bool_)


Page = Sequence[Slot]


def drawn(found: Searches, method: Method, label: str) -> list[Page]:
    """Return the interleaved page of each search."""
    ranks = range(1, WINDOW + 1)
    orders = [[int(place) + 1 for place in order] for order in found.reranked]
    seeds = [f"{label} {number}".encode() for number in range(len(orders))]
    if method == "every pick credited":
        return [_every_pick(order, interleaving.coins(seed))[:PAGE] for order, seed in zip(orders, seeds, strict=True)]
    return [
        interleaving.interleave(ranks, order, method, seed)[:PAGE] for order, seed in zip(orders, seeds, strict=True)
    ]


def _every_pick(reranked: Sequence[int], coins: Iterator[bool]) -> list[Slot]:
    """Draft as published: in every round both pick, and what both would pick is the pick of whose turn it is."""
    slots: dict[int, Slot] = {}
    while len(slots) < PAGE:
        rankings = [(Team.RERANK, reranked), (Team.FIRST_STAGE, range(1, WINDOW + 1))]
        for team, ranking in rankings if next(coins) else reversed(rankings):
            hit = next(hit for hit in ranking if hit not in slots)
            slots[hit] = Slot(hit, team)
    return list(slots.values())


def clicks(
    random: np.random.Generator, found: Searches, pages: Sequence[Page], method: Method, model: ClickModel, label: str
) -> Iterator[Click]:
    """Yield the clicks on these pages of these searches, as they are kept; `label` tells other users' apart."""
    shown = np.array([[slot.hit - 1 for slot in page] for page in pages])
    hits = clicked(random, np.take_along_axis(found.grades, shown, axis=1), model)
    for number, place in zip(*np.nonzero(hits), strict=True):
        slot = pages[number][place]
        first_rank, rerank_rank = slot.ranks or (None, None)
        yield Click(
            event_id=f"{label} {number} {place}",
            received=float(number),
            policy="simulated",
            version="",
            method="balanced" if method == "balanced" else "team_draft",
            arm=None,
            search=f"{label} {number}",
            position=int(place) + 1,
            hit=str(slot.hit),
            team=slot.team,
            first_rank=first_rank,
            rerank_rank=rerank_rank,
        )


def counted(found: Iterable[Click]) -> Preference:
    """Return what the program makes of clicks."""
    with closing(event_log.connect(":memory:")) as database:
        event_log.insert(database, found)
        preferences = event_log.preferences(database)
    return preferences[0] if preferences else NOTHING


# --- how many searches are needed ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interleaved:
    """What interleaving sees: the probabilities of a win and of a loss of the reranked order in one search."""

    win: float
    loss: float

    @property
    def needed(self) -> float:
        """Searches for a power of 80 %, with the continuity correction that an exact test wants."""
        decided = self.win + self.loss
        share = self.win / decided
        root = 1.959964 * 0.5 + 0.841621 * math.sqrt(share * (1 - share))
        trials = (root / (share - 0.5)) ** 2
        corrected = trials / 4 * (1 + math.sqrt(1 + 2 / (trials * abs(share - 0.5)))) ** 2
        return corrected / decided

    def found(self, random: np.random.Generator, count: int, runs: int) -> float:
        """Return the share of runs of so many searches that prefer the reranked order at 5 %."""
        draws = random.multinomial(count, [self.win, self.loss, 1 - self.win - self.loss], size=runs)
        return float(np.mean([won > lost and sign_test(int(won), int(lost)) < LEVEL for won, lost, _ in draws]))


@dataclass(frozen=True, slots=True)
class Split:
    """What an A/B test sees: a measure's means over the searches of each user, in both arms."""

    measure: str
    control: Numbers
    treatment: Numbers

    @property
    def needed(self) -> float:
        """Searches of both arms together for a power of 80 %."""
        variance = (self.control.var() + self.treatment.var()) / 2
        users = 4 * variance * Z**2 / (self.treatment.mean() - self.control.mean()) ** 2
        return float(users * SEARCHES_OF_A_USER)

    def found(self, random: np.random.Generator, count: int, runs: int) -> float:
        """Return the share of runs of so many searches in which the treatment is better at 5 %."""
        half = max(2, count // SEARCHES_OF_A_USER // 2)
        better = 0
        for _ in range(runs):
            one, other = (random.choice(values, half) for values in (self.control, self.treatment))
            error = math.sqrt((one.var(ddof=1) + other.var(ddof=1)) / half)
            better += error > 0 and (other.mean() - one.mean()) / error > 1.959964
        return better / runs


def _first_click(hits: Hits) -> Numbers:
    return np.asarray(np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0.0), dtype=np.float64)


MEASURES: Final[dict[str, Callable[[Hits], Numbers]]] = {
    "clicks": lambda hits: np.asarray(hits.sum(axis=1), dtype=np.float64),
    "searches with a click": lambda hits: np.asarray(hits.any(axis=1), dtype=np.float64),
    "1 / place of the first click": _first_click,
}


def split(random: np.random.Generator, found: Searches, model: ClickModel) -> Split:
    """Return the A/B test that needs the fewest searches."""
    arms = [clicked(random, shown, model) for shown in (found.grades, found.treated)]
    means = {
        name: [of(hits).reshape(-1, SEARCHES_OF_A_USER).mean(axis=1) for hits in arms] for name, of in MEASURES.items()
    }
    return min((Split(name, *both) for name, both in means.items()), key=lambda each: each.needed)


def needed(random: np.random.Generator, pool: int, runs: int) -> Iterator[list[str]]:
    """Yield a line of the table for each weight, click model and method."""
    for weight in WEIGHTS:
        noise = MODEL_ALONE if weight == 1 else NOISE
        many = searches(random, 4 * pool, weight, noise)
        found = many.part(0, pool // USERS_OF_A_PAGE)
        tests = {model: split(random, many, model) for model in CLICK_MODELS}
        for method in METHODS:
            pages = drawn(found, method, str(weight))
            for model, test in tests.items():
                preference = counted(
                    click
                    for user in range(USERS_OF_A_PAGE)
                    for click in clicks(random, found, pages, method, model, str(user))
                )
                total = len(pages) * USERS_OF_A_PAGE
                seen = Interleaved(preference.wins / total, preference.losses / total)
                count = math.ceil(seen.needed)
                yield [
                    f"{weight:g}",
                    f"{ndcg(many.grades):.3f} → {ndcg(many.treated):.3f}",
                    model,
                    method,
                    f"{count:,}",
                    f"{seen.found(random, count, runs):.0%}",
                    f"{test.needed:,.0f}",
                    f"{test.found(random, math.ceil(test.needed), runs):.0%}",
                    f"{test.needed / count:.1f}",
                    f"{test.found(random, count, runs):.0%}",
                ]


# --- how often something is found where there is nothing ----------------------------------------------------


def falsely(random: np.random.Generator, runs: int, count: int) -> Iterator[list[str]]:
    """Yield a line for each click model and method: runs with two rankings that are equally good, and different."""
    for model in CLICK_MODELS:
        for method in METHODS[:2]:
            found = searches(random, runs * count, 1.0)
            planned = at_a_look = 0
            for run in range(runs):
                some = found.part(run, count)
                kept = list(clicks(random, some, drawn(some, method, f"{model} {run}"), method, model, str(run)))
                planned += counted(kept).p_value < LEVEL
                at_a_look += _is_ever_preferred(kept, count)
            yield [model, method, f"{runs:,}", f"{count:,}", f"{planned / runs:.1%}", f"{at_a_look / runs:.1%}"]


def _is_ever_preferred(kept: Sequence[Click], count: int) -> bool:
    """Return whether somebody who looks again and again sees a preference once; clicks come in the searches' order."""
    with closing(event_log.connect(":memory:")) as database:
        for look in range(LOOKS):
            come = range(look * count // LOOKS, (look + 1) * count // LOOKS)
            event_log.insert(database, [click for click in kept if int(click.received) in come])
            if any(found.preferred for found in event_log.preferences(database)):
                return True
    return False


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interleaving")
    parser.add_argument("--part", choices=("both", "needed", "nothing"), default="both", help="which table")
    parser.add_argument("--pool", type=int, default=80_000, help="searches from which probabilities are estimated")
    parser.add_argument("--runs", type=int, default=1000, help="experiments of each kind")
    parser.add_argument("--searches", type=int, default=200, help="searches of an experiment without a preference")
    parser.add_argument("--seed", type=int, default=2012)
    options = parser.parse_args(arguments)
    random = np.random.default_rng(options.seed)
    print(Machine.here().line(), file=sys.stderr)
    if options.part != "nothing":
        heads = ["weight", "nDCG@10", "clicks", "method", "searches", "power", "A/B", "power", "times", "A/B, as few"]
        print(table(heads, list(needed(random, options.pool, options.runs))) + "\n", flush=True)
    if options.part != "needed":
        heads = ["clicks", "method", "runs", "searches each", "found, one look", f"found at one of {LOOKS} looks"]
        print(table(heads, list(falsely(random, options.runs, options.searches))))


if __name__ == "__main__":
    main()

"""Which pairs form the next batch: each once, within budget, the urgent first, nobody forgotten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sidecar.scoring.batching import TURN_PAIRS, Slice, Waiting, choose

NOW = 100.0


@st.composite
def waiting_work(draw: st.DrawFn) -> list[Waiting]:
    """Return requests of up to a hundred pairs; some begun, some late."""
    requests = []
    for arrival in range(draw(st.integers(0, 6))):
        tokens = draw(st.lists(st.integers(3, 512), max_size=100))
        requests.append(
            Waiting(
                arrival=arrival,
                tokens=tokens,
                first=draw(st.integers(0, len(tokens))),
                deadline=draw(st.sampled_from((NOW - 1, NOW, NOW + 1, NOW + 2, math.inf))),
                joined=draw(st.integers(0, 3)),
            )
        )
    return requests


def is_alive(request: Waiting) -> bool:
    """Whether anybody still wants the request's scores."""
    return request.deadline > NOW


def drain(waiting: Sequence[Waiting], budget: int) -> list[tuple[Slice, ...]]:
    """Run batches until nothing is left."""
    requests = {request.arrival: request for request in waiting}
    done = []
    while batch := choose(requests.values(), budget=budget, now=NOW):
        done.append(batch)
        for piece in batch:
            requests[piece.arrival] = replace(requests[piece.arrival], first=piece.stop)
    return done


@given(waiting_work(), st.integers(1, 4000))
def test_every_living_pair_is_in_exactly_one_batch_and_in_order(waiting: list[Waiting], budget: int) -> None:
    """Batch after batch covers each request from where it stands to its end, without gap or overlap."""
    covered = {request.arrival: request.first for request in waiting}
    for batch in drain(waiting, budget):
        for piece in batch:
            assert piece.start == covered[piece.arrival]
            assert piece.start < piece.stop
            covered[piece.arrival] = piece.stop
    expected = {request.arrival: len(request.tokens) if is_alive(request) else request.first for request in waiting}
    assert covered == expected


@given(waiting_work(), st.integers(1, 4000))
def test_a_batch_stays_within_budget_unless_one_pair_exceeds_it(waiting: list[Waiting], budget: int) -> None:
    """Only a single pair may cost more than the budget, and then it is alone."""
    tokens = {request.arrival: request.tokens for request in waiting}
    for batch in drain(waiting, budget):
        cost = sum(sum(tokens[piece.arrival][piece.start : piece.stop]) for piece in batch)
        pairs = sum(piece.stop - piece.start for piece in batch)
        assert cost <= budget or pairs == 1


@given(waiting_work(), st.integers(1, 4000))
def test_late_work_is_never_launched(waiting: list[Waiting], budget: int) -> None:
    """Requests whose deadline is now or past are left out."""
    launched = {piece.arrival for batch in drain(waiting, budget) for piece in batch}
    assert launched <= {request.arrival for request in waiting if is_alive(request)}


@given(waiting_work(), st.integers(1, 4000))
def test_the_most_urgent_pair_is_in_the_next_batch(waiting: list[Waiting], budget: int) -> None:
    """Whoever has the earliest deadline is served in every batch until nothing of it is left."""
    living = [request for request in waiting if is_alive(request) and request.first < len(request.tokens)]
    batch = choose(waiting, budget=budget, now=NOW)
    if living:
        first = min(living, key=lambda request: request.priority(request.first))
        assert batch[0] == Slice(first.arrival, first.first, batch[0].stop)
    else:
        assert batch == ()


@given(waiting_work(), st.integers(1, 4000))
def test_nothing_is_held_back(waiting: list[Waiting], budget: int) -> None:
    """What a batch leaves behind would not have fitted: the next pair in order costs more than there was left."""
    requests = {request.arrival: request for request in waiting}
    batch = choose(waiting, budget=budget, now=NOW)
    for piece in batch:
        requests[piece.arrival] = replace(requests[piece.arrival], first=piece.stop)
    left = [request for request in requests.values() if is_alive(request) and request.first < len(request.tokens)]
    if left:
        cost = sum(sum(requests[piece.arrival].tokens[piece.start : piece.stop]) for piece in batch)
        following = min(left, key=lambda request: request.priority(request.first))
        assert cost + following.tokens[following.first] > budget


def test_the_earlier_deadline_goes_first() -> None:
    """Arrival does not matter when deadlines differ."""
    late = Waiting(arrival=1, tokens=[10] * 4, deadline=NOW + 9)
    soon = Waiting(arrival=2, tokens=[10] * 4, deadline=NOW + 1)
    assert choose([late, soon], budget=60, now=NOW) == (Slice(2, 0, 4), Slice(1, 0, 2))


def test_requests_without_a_deadline_take_turns() -> None:
    """A large request places one turn, then the small one, then the large one again."""
    large = Waiting(arrival=1, tokens=[1] * (3 * TURN_PAIRS))
    small = Waiting(arrival=2, tokens=[1] * 5)
    batch = choose([large, small], budget=TURN_PAIRS + 5, now=NOW)
    assert batch == (Slice(1, 0, TURN_PAIRS), Slice(2, 0, 5))
    assert choose([large, small], budget=2 * TURN_PAIRS + 5, now=NOW) == (Slice(1, 0, 2 * TURN_PAIRS), Slice(2, 0, 5))


def test_chunks_of_one_search_finish_one_after_the_other() -> None:
    """Calls with one deadline are served in order of arrival, however large, so that a prefix is complete."""
    large = [Waiting(arrival=number, tokens=[1] * 100, deadline=NOW + 1) for number in range(3)]
    assert choose(large, budget=150, now=NOW) == (Slice(0, 0, 100), Slice(1, 0, 50))
    chunks = [Waiting(arrival=number, tokens=[10] * 16, deadline=NOW + 1) for number in range(4)]
    batches = drain(chunks, 200)
    assert [piece for batch in batches for piece in batch] == [
        *(Slice(0, 0, 16), Slice(1, 0, 4), Slice(1, 4, 16), Slice(2, 0, 8)),
        *(Slice(2, 8, 16), Slice(3, 0, 12), Slice(3, 12, 16)),
    ]


def test_who_comes_later_does_not_overtake_for_ever() -> None:
    """A newcomer that joined the current round waits its turn behind a request that has had many."""
    old = Waiting(arrival=1, tokens=[1] * 1000, first=10 * TURN_PAIRS)
    new = Waiting(arrival=2, tokens=[1] * 1000, joined=10)
    assert choose([new, old], budget=TURN_PAIRS, now=NOW) == (Slice(1, 10 * TURN_PAIRS, 11 * TURN_PAIRS),)


def test_a_pair_over_the_budget_goes_alone() -> None:
    """It is launched by itself, and what follows waits."""
    request = Waiting(arrival=1, tokens=[500, 3])
    assert choose([request], budget=100, now=NOW) == (Slice(1, 0, 1),)

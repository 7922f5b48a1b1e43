"""Which queries are held out."""

from sidecar.finetuning.split import held_out

QUERIES = {f"q{number}": f"words {number}" for number in range(50)}


def test_as_many_as_were_asked_for_and_the_same_ones_each_time() -> None:
    """Whatever order they come in; other ones by another seed."""
    found = held_out(QUERIES, 10, 1)
    assert 10 == len(found)
    assert found == held_out(dict(reversed(QUERIES.items())), 10, 1)
    assert found != held_out(QUERIES, 10, 2)


def test_a_query_that_comes_later_moves_none_into_the_training() -> None:
    """But for the one whose place it takes."""
    before = held_out(QUERIES, 10, 1)
    after = held_out({**QUERIES, "new": "other words"}, 10, 1)
    assert len(before - after) <= 1


def test_what_was_asked_twice_is_on_one_side() -> None:
    """Under whatever id."""
    twice = {**QUERIES, **{f"again {query}": f" {words}" for query, words in QUERIES.items()}}
    found = held_out(twice, 10, 1)
    assert 10 == len(found)
    assert {query.removeprefix("again ") for query in found if query.startswith("again ")} == found & QUERIES.keys()

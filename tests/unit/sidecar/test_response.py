"""Step 7: the page, cut by splicing. Bytes that nobody means to change do not change."""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar import answer
from sidecar.response import (
    HIGHEST_SCORE,
    Placed,
    above,
    explanation,
    first_stage_page,
    lay_out,
    reranked_page,
    tail_page,
    tail_score,
    window_score,
)
from sidecar.types import Candidate, RerankOptions, ScoredCandidate
from tests.unit import json_texts
from tests.unit.doubles import Document, ScriptedEngine, a_plan

ODD_SOURCE = (
    '{"n":12345678901234567890, "e" : 1E+2,"z":-0.0,"s":"\\ud800\\/\\u0041","d":1.10, "k":1,"k":2,'
    '"ä" :"\u2028" ,\t"x":{ } }'
)
"""What engines can return and a parser would not keep."""


def scored(rank: int, fused: float, *, model: float = 0.0, text: str = "text") -> ScoredCandidate:
    """Return a scored candidate."""
    candidate = Candidate(rank=rank, score=float(10 - rank), text=text)
    return ScoredCandidate(candidate=candidate, model_score=model, fused_score=fused)


def text_of(*hits: str, max_score: str = "9.5") -> str:
    """Return a compact answer with these hits."""
    return f'{{"took":1,"hits":{{"total":7,"max_score":{max_score},"hits":[{",".join(hits)}]}}}}'


def page(text: str, ranks: Sequence[int], **settings: Any) -> str:
    """Return the reranked page of all hits of `text` in the order of `ranks`, with falling scores."""
    placed = [Placed(rank=rank, score=2 - place / 8) for place, rank in enumerate(ranks, start=1)]
    return reranked_page(answer.parse(text), a_plan(**settings), placed, ())


# --- the whole ranking --------------------------------------------------------------------------------------


def test_scored_hits_share_out_their_places() -> None:
    """The best first; after the window comes the first stage's order, below every scored hit."""
    placed = lay_out(5, 3, [scored(3, 0.9), scored(1, 0.5), scored(2, 0.1)])
    assert [3, 1, 2, 4, 5] == [place.rank for place in placed]
    assert [1.9, 1.5, 1.1, tail_score(4), tail_score(5)] == [place.score for place in placed]


def test_a_hit_without_text_keeps_its_place() -> None:
    """With the score of its neighbour above, or the best one when it stands first."""
    placed = lay_out(4, 4, [scored(4, 0.9), scored(2, 0.5)])
    assert [(1, 1.9), (4, 1.9), (3, 1.9), (2, 1.5)] == [(place.rank, place.score) for place in placed]
    assert [None, 4, None, 2] == [place.scored and place.scored.candidate.rank for place in placed]


def test_what_a_cascade_has_pruned_scores_as_if_it_lay_behind_the_window() -> None:
    """Below every hit that the model scored, above every hit after it, a hit without text as its neighbour."""
    pruned = [
        ScoredCandidate(candidate=Candidate(rank=rank, score=None, text="text"), model_score=None, fused_score=None)
        for rank in (4, 1)
    ]
    placed = lay_out(6, 5, [scored(3, 0.0), scored(5, 0.0), *pruned])
    assert [3, 2, 5, 4, 1, 6] == [place.rank for place in placed]
    assert [1.0, 1.0, 1.0, tail_score(4), tail_score(5), tail_score(6)] == [place.score for place in placed]
    assert [3, 2, 5] == [place.rank for place in above(placed, 0.5, "cross-encoder")]


def test_without_scores_the_order_is_the_first_stage_s() -> None:
    """A window of nothing changes nothing."""
    assert [1, 2, 3] == [place.rank for place in lay_out(3, 0, [])]
    assert [] == lay_out(0, 0, [])


def test_tail_scores_fall_and_stay_below_the_window() -> None:
    """Comparable over all pages of the result window."""
    scores = [tail_score(rank) for rank in range(1, 10_001)]
    assert all(high > low for high, low in pairwise(scores))
    assert 0 < scores[-1] < scores[0] < window_score(0.0)
    assert 0.0 == tail_score(10**9)


@given(st.permutations(range(1, 9)), st.integers(0, 8), st.integers(0, 12), st.sets(st.integers(1, 8)))
def test_the_layout_is_a_permutation(ranks: list[int], considered: int, more: int, empty: set[int]) -> None:
    """Every fetched hit is there once, scores never rise, and the tail is as it was."""
    in_window = [rank for rank in ranks if rank <= considered and rank not in empty]
    ranking = [scored(rank, 1 - place / 10) for place, rank in enumerate(in_window)]
    placed = lay_out(considered + more, considered, ranking)
    assert list(range(1, considered + more + 1)) == sorted(place.rank for place in placed)
    assert [place.score for place in placed] == sorted((place.score for place in placed), reverse=True)
    assert [place.rank for place in placed[considered:]] == list(range(considered + 1, considered + more + 1))


# --- min_score ----------------------------------------------------------------------------------------------


def test_no_threshold_keeps_all() -> None:
    """And nothing is left out behind the window."""
    placed = lay_out(3, 2, [scored(2, 0.9), scored(1, 0.5)])
    assert placed == above(placed, None, "cross-encoder")


def test_a_threshold_is_a_probability_of_the_model() -> None:
    """Not of the fused score; what was not scored cannot be judged and goes."""
    ranking = [scored(4, 0.9, model=3), scored(1, 0.8, model=-3), scored(3, 0.7, model=0)]
    placed = lay_out(8, 6, ranking)
    assert [4, 2, 3] == [place.rank for place in above(placed, 0.5, "cross-encoder")]
    assert [4, 2] == [place.rank for place in above(placed, 0.6, "cross-encoder")]
    assert [4, 2, 3] == [place.rank for place in above(placed, 0.5, "cosine")]
    assert [2] == [place.rank for place in above(placed, 1.0, "cross-encoder")]
    assert [] == above(lay_out(3, 0, []), 0.0, "cross-encoder")


# --- bytes --------------------------------------------------------------------------------------------------


def test_hits_keep_their_bytes_but_for_the_score() -> None:
    """Long integers, exponents, minus zero, lone surrogates, duplicate keys and odd spacing are carried."""
    first = f'{{"_id":"a", "_score" : 9.5 ,"_source":{ODD_SOURCE}}}'
    second = '{"_id":"b","_score":8}'
    expected = text_of(
        '{"_id":"b","_score":1.875}', f'{{"_id":"a", "_score" : 1.75 ,"_source":{ODD_SOURCE}}}', max_score="1.875"
    )
    assert expected == page(text_of(first, second), [2, 1])


def test_white_space_between_hits_stays_between_hits() -> None:
    """Places of separators do not move with the hits."""
    text = '{"hits":{"hits":[ {"_id":"a"}  ,\n{"_id":"b"},{"_id":"c"}\t]},"x":1}\n'
    assert '{"hits":{"hits":[ {"_id":"c"}  ,\n{"_id":"a"},{"_id":"b"}\t]},"x":1}\n' == page(text, [3, 1, 2])
    assert '{"hits":{"hits":[ {"_id":"c"}  ,\n{"_id":"a"}\t]},"x":1}\n' == page(text, [3, 1, 2], size=2)
    assert '{"hits":{"hits":[ {"_id":"a"}\t]},"x":1}\n' == page(text, [3, 1, 2], size=1, **{"from": 1})


def test_null_scores_are_written() -> None:
    """A sort without `track_scores` gives null for all; ours are numbers."""
    text = text_of('{"_id":"a","_score":null}', '{"_id":"b","_score":null}', max_score="null")
    assert text_of('{"_id":"b","_score":1.875}', '{"_id":"a","_score":1.75}', max_score="1.875") == page(text, [2, 1])


def test_what_is_not_there_is_not_added() -> None:
    """No `_score`, no `max_score`: none is made up."""
    text = '{"hits":{"hits":[{"_id":"a"},{"_id":"b"}]}}'
    assert '{"hits":{"hits":[{"_id":"b"},{"_id":"a"}]}}' == page(text, [2, 1])


def test_the_last_of_duplicate_scores_is_written() -> None:
    """It is the one that parsers read."""
    assert '{"_score":7,"_score":1.875}' in page(text_of('{"_score":7,"_score":8}'), [1])


def test_max_score_is_that_of_the_whole_ranking() -> None:
    """On every page; null when the threshold leaves nothing."""
    text = text_of('{"_id":"a","_score":2}', '{"_id":"b","_score":1}')
    assert 1.875 == json.loads(page(text, [2, 1], size=1, **{"from": 1}))["hits"]["max_score"]
    empty = json.loads(page(text, []))
    assert (None, []) == (empty["hits"]["max_score"], empty["hits"]["hits"])


@pytest.mark.parametrize(
    ("array", "expected"),
    [("[]", "[]"), ("[ ]", "[ ]"), ('[{"_id":"a"}]', "[]"), ('[\n  {"_id":"a"}\n]', "[ ]")],
    ids=["empty", "empty, spaced", "compact", "pretty"],
)
def test_an_empty_page_looks_as_the_engine_would_print_it(array: str, expected: str) -> None:
    """`[ ]` when the engine prints prettily."""
    text = f'{{"hits":{{"hits":{array}}}}}'
    assert f'{{"hits":{{"hits":{expected}}}}}' == page(text, [], **{"from": 50})


def test_an_explanation_stands_at_the_end_of_a_hit() -> None:
    """Ranks from 1, scores, and the text that the model saw; nothing else in the hit moves."""
    text = text_of('{"_id":"a","_score":9.5}', '{"_id":"b", "_score":8.5 }')
    placed = lay_out(2, 2, [scored(2, 0.5, model=1.5, text='bl"ue \ud800'), scored(1, 0.25)])
    found = reranked_page(answer.parse(text), a_plan(options=RerankOptions(explain=True)), placed, ())
    first, second = json.loads(found)["hits"]["hits"]
    assert {
        "rank": 1,
        "first_stage_rank": 2,
        "first_stage_score": 8.0,
        "model_score": 1.5,
        "fused_score": 0.5,
        "text": 'bl"ue \ud800',
    } == first["_rerank"]
    assert (2, 1) == (second["_rerank"]["rank"], second["_rerank"]["first_stage_rank"])
    assert found.startswith(text_of('{"_id":"b", "_score":1.5 ,"_rerank":', max_score="1.5")[:-4])
    assert found.isprintable()


def test_an_explanation_of_an_unscored_hit_says_its_ranks() -> None:
    """No scores are made up."""
    found = explanation(Placed(rank=7, score=0.9), 9)
    assert (9, 7, None, None) == (found["rank"], found["first_stage_rank"], found["model_score"], found["text"])


# --- fields that were added ---------------------------------------------------------------------------------

FIELDS = {
    # what we asked for, what the caller asked for, the hit, what is left of it
    "ours alone": ("text", [], '{"_id":"a","fields":{"text":["x"]}}', '{"_id":"a"}'),
    "ours in the middle": ("text", [], '{"_id":"a", "fields" : {"text":["x"]} ,"sort":[1]}', '{"_id":"a" ,"sort":[1]}'),
    "ours beside the caller's": (
        "text",
        ["date"],
        '{"fields":{"text":["x"], "date":["2024"]},"_id":"a"}',
        '{"fields":{"date":["2024"]},"_id":"a"}',
    ),
    "the caller's first": (
        "text",
        ["date"],
        '{"_id":"a","fields":{ "date":["2024"] , "text":["x"] }}',
        '{"_id":"a","fields":{ "date":["2024"] }}',
    ),
    "the caller's has no value": ("text", ["date"], '{"_id":"a","fields":{"text":["x"]}}', '{"_id":"a"}'),
    "ours has no value": ("text", ["date"], '{"_id":"a","fields":{"date":[1]}}', '{"_id":"a","fields":{"date":[1]}}'),
    "no fields at all": ("text", ["date"], '{"_id":"a"}', '{"_id":"a"}'),
    "nested, ours alone": (
        "c.text",
        ["date"],
        '{"_id":"a","fields":{"c":[{"text":["x"]},{"text":["y"]}],"date":[1]}}',
        '{"_id":"a","fields":{"date":[1]}}',
    ),
    "nested, beside the caller's": (
        "c.text",
        ["c.author"],
        '{"_id":"a","fields":{"c":[{"author":["x"], "text":["y"]}, {"text":["z"]}, {"author":["u"]}]}}',
        '{"_id":"a","fields":{"c":[{"author":["x"]}, {"author":["u"]}]}}',
    ),
    "nested in nested": (
        "a.b.text",
        ["a.b.n", "a.m"],
        '{"fields":{"a":[{"b":[{"text":["x"]}],"m":[1]},{"b":[{"n":[2],"text":["y"]}]}]},"_id":"a"}',
        '{"fields":{"a":[{"m":[1]},{"b":[{"n":[2]}]}]},"_id":"a"}',
    ),
    "dotted, not nested": (
        "doc.text",
        ["doc"],
        '{"_id":"a","fields":{"doc":["flat"],"doc.text":["x"]}}',
        '{"_id":"a","fields":{"doc":["flat"]}}',
    ),
    "ignored values": (
        "text",
        [],
        '{"_id":"a","fields":{"text":["x"]},"ignored_field_values":{"text":["too long"]}}',
        '{"_id":"a"}',
    ),
    "ignored values of both": (
        "text",
        ["date"],
        '{"_id":"a","ignored_field_values":{"text":["long"],"date":["x"]}}',
        '{"_id":"a","ignored_field_values":{"date":["x"]}}',
    ),
}


@pytest.mark.parametrize(("extra", "own", "before", "after"), FIELDS.values(), ids=FIELDS)
def test_fields_that_we_asked_for_are_taken_out(extra: str, own: list[str], before: str, after: str) -> None:
    """What is left is what the caller's own request would have given, to the byte."""
    plan = a_plan(fields=own) if own else a_plan()
    assert text_of(after) == first_stage_page(answer.parse(text_of(before)), plan, (extra,))


# --- the other pages ----------------------------------------------------------------------------------------


def test_a_page_after_the_window_has_tail_scores() -> None:
    """The engine's own hits of that page, with scores that go on from the pages before."""
    text = text_of('{"_id":"k","_score":3}', '{"_id":"l","_score":2}')
    found = json.loads(tail_page(answer.parse(text), a_plan(size=2, **{"from": 100})))
    assert [("k", tail_score(101)), ("l", tail_score(102))] == [(h["_id"], h["_score"]) for h in found["hits"]["hits"]]
    assert HIGHEST_SCORE == found["hits"]["max_score"]


def test_a_page_after_the_window_of_nothing_keeps_null() -> None:
    """No hit at all has no best score."""
    text = text_of(max_score="null")
    assert text == tail_page(answer.parse(text), a_plan(**{"from": 100}))


def test_a_threshold_empties_a_page_after_the_window() -> None:
    """Nothing on it was scored."""
    plan = a_plan(options=RerankOptions(min_score=0.1), **{"from": 100})
    assert [] == json.loads(tail_page(answer.parse(text_of('{"_score":3}')), plan))["hits"]["hits"]


# --- properties ---------------------------------------------------------------------------------------------


@given(json_texts.search_answers())
def test_the_first_stage_page_of_everything_is_the_answer(text: str) -> None:
    """Cutting nothing off changes no byte, whatever the answer looks like."""
    assert text == first_stage_page(answer.parse(text), a_plan(), ())


@given(json_texts.search_answers(), st.randoms(use_true_random=False))
def test_reordering_twice_gives_the_answer_back(text: str, random: Any) -> None:
    """Hits carry their bytes with them: the inverse permutation restores all but the scores."""
    found = answer.parse(text)
    ranks = [hit.rank for hit in found.hits]
    random.shuffle(ranks)
    once = page(text, ranks)
    inverse = [ranks.index(rank) + 1 for rank in range(1, len(ranks) + 1)]
    twice = page(once, inverse)

    def without_scores(of: str) -> str:
        parsed = answer.parse(of)
        members = [m for hit in parsed.hits for m in hit.members if m.key == "_score"]
        members += [parsed.max_score] if parsed.max_score else []
        for member in sorted(members, key=lambda m: -m.start):
            of = of[: member.value_start] + "0" + of[member.end :]
        return of

    assert without_scores(text) == without_scores(twice)


documents = st.lists(json_texts.objects.filter(lambda text: '"' in text), max_size=6)


@given(
    documents,
    st.integers(0, 4),
    st.integers(1, 4),
    st.integers(1, 7),
    st.booleans(),
    st.sampled_from([{}, {"_source": False}, {"fields": ["own"]}, {"fields": ["again", "own"], "_source": False}]),
)
def test_a_first_stage_page_is_the_unwidened_answer(
    sources: list[str], offset: int, size: int, window: int, is_pretty: bool, more: dict[str, Any]
) -> None:
    """Byte for byte what the same engine says to the caller's own request, odd or pretty ones, too."""
    engine = ScriptedEngine(*(Document(source=text, outside={"own": [1]}) for text in sources), is_pretty=is_pretty)
    plan = a_plan(options=RerankOptions(window=window), size=size, **{"from": offset}, **more)
    asked = more.get("fields", [])
    extra = tuple({"again", ""} - set(asked))
    wide = engine.render({**more, "from": 0, "size": plan.fetched, "fields": [*asked, *extra]})
    expected = engine.render({**more, "from": offset, "size": size})
    assert expected == first_stage_page(answer.parse(wide), plan, extra)

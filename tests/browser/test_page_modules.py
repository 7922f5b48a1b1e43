"""The page's modules by themselves, against what Python and ir-measures make of the same values."""

import ast
import json
import random
import shlex
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ir_measures
import pytest
from ir_measures import Qrel, ScoredDoc, nDCG

from sidecar.playground import page_files
from sidecar.scoring.base import probability

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGE = Path(page_files.__file__).parent / "page"

Call = Callable[..., Any]


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that says nothing."""

    def log_message(self, format: str, *args: Any) -> None:
        """Do not."""


@pytest.fixture(scope="module")
def call(browser: "Browser") -> Iterator[Call]:
    """Give a function that calls an exported function of a module: call("state.js", "read", "#q=a")."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(PAGE)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.server_port}/icon.svg")

    def called(module: str, name: str, *arguments: Any) -> Any:
        script = "async ([module, name, given]) => (await import(`/${module}`))[name](...given)"
        return page.evaluate(script, [module, name, list(arguments)])

    yield called
    page.close()
    server.shutdown()
    server.server_close()
    thread.join()


# --- measures -----------------------------------------------------------------------------------------------


def test_ndcg_is_that_of_trec_eval(call: Call, browser: "Browser") -> None:
    """For random grades and orders, with documents that nobody judged and judged ones that were not found."""
    rng = random.Random(7)
    script = """async (cases) => {
        const { ndcg } = await import("/judgments.js");
        return cases.map(([order, grades]) => ndcg(order, new Map(Object.entries(grades))));
    }"""
    cases = []
    for _ in range(30):
        known = [f"d{number}" for number in range(30)]
        grades = {id: rng.choice([0, 0, 1, 2, 3]) for id in rng.sample(known, rng.randint(1, 20))}
        cases.append((rng.sample(known, rng.randint(0, 20)), grades))
    found = browser.contexts[0].pages[0].evaluate(script, cases)
    for (order, grades), value in zip(cases, found, strict=True):
        if not any(grades.values()):
            assert None is value
            continue
        run = [ScoredDoc("q", id, -float(rank)) for rank, id in enumerate(order)]
        qrels = [Qrel("q", id, grade) for id, grade in grades.items()]
        expected = ir_measures.calc_aggregate([nDCG @ 10], qrels, run)[nDCG @ 10] if order else 0.0
        assert expected == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("kind", ["cross-encoder", "cosine", "late-interaction"])
@pytest.mark.parametrize("score", [-8.0, -1.5, -0.3, 0.0, 0.7, 1.2, 9.5])
def test_bars_have_the_scale_of_the_rerank_api(call: Call, kind: Any, score: float) -> None:
    """One definition of a probability, in both languages."""
    assert probability(score, kind) == pytest.approx(call("ranking.js", "probability", score, kind))


def test_percentiles_are_those_of_the_buckets(call: Call) -> None:
    """What so many searches take at most."""
    buckets = [[40, 1], [10, 5], [20, 4]]
    assert [1.05**10, 1.05**20, 1.05**40] == pytest.approx(
        [call("live.js", "quantile", buckets, share, 1.05) for share in (0.5, 0.9, 0.99)]
    )
    assert None is call("live.js", "quantile", [], 0.5, 1.05)


# --- texts --------------------------------------------------------------------------------------------------


def pieces(call: Call, text: str, said: dict[str, Any] | None, words: str = "") -> list[tuple[str, bool, list[str]]]:
    """Return the pieces of a text: what they say, whether they were read, the words that they answer."""
    found = call("passage.js", "pieces", text, said, words)
    return [(each["text"], each["isRead"], (each["match"] or {}).get("queries", [])) for each in found]


def test_positions_count_characters_and_not_units(call: Call) -> None:
    """Python's positions in a text with characters beyond the first plane."""
    text = "😀 why 😀 sky is 😀 blue, after all"
    start = text.index("sky")
    match = {"query_word": "heaven", "word": "sky", "start": start, "end": start + 3, "similarity": 0.9}
    said = {"read_characters": text.index(","), "matches": [match]}
    assert [
        ("😀 why 😀 ", True, []),
        ("sky", True, ["heaven"]),
        (" is 😀 blue", True, []),
        (", after all", False, []),
    ] == pieces(call, text, said)


def test_a_word_that_answers_several_is_marked_once(call: Call) -> None:
    """By the best of them; punctuation is not marked."""
    matches = [
        {"query_word": "b", "word": "sky", "start": 4, "end": 7, "similarity": 0.5},
        {"query_word": "c", "word": "sky", "start": 4, "end": 7, "similarity": 0.8},
        {"query_word": "d", "word": ".", "start": 7, "end": 8, "similarity": 0.9},
    ]
    found = pieces(call, "the sky.", {"read_characters": 8, "matches": matches})
    assert [("the ", True, []), ("sky", True, ["b", "c"]), (".", True, [])] == found


def test_without_matches_the_words_of_the_query_are_marked(call: Call) -> None:
    """Whole words, whatever their case."""
    found = pieces(call, "😀 Skyline, SKY, sky!", {"read_characters": 21}, "the sky")
    assert ["SKY", "sky"] == [text for text, _, queries in found if queries == ["sky"]]


def test_no_piece_is_lost(call: Call) -> None:
    """For any marks and any place to stop."""
    rng = random.Random(11)
    for _ in range(50):
        text = "".join(rng.choice("ab 😀京.") for _ in range(rng.randint(0, 40)))
        spans = [sorted((rng.randint(0, len(text)), rng.randint(0, len(text)))) for _ in range(rng.randint(0, 5))]
        matches = [
            {"query_word": "q", "word": "a", "start": start, "end": end, "similarity": 0.5} for start, end in spans
        ]
        stop = rng.randint(0, len(text))
        found = pieces(call, text, {"read_characters": stop, "matches": matches})
        assert text == "".join(piece for piece, _, _ in found)


# --- requests -----------------------------------------------------------------------------------------------

ODD_BODY = {
    "query": {"match": {"text": 'it\'s "odd" \\ $& `x` \u2028 😀 \n'}},
    "size": 10,
    "flags": [True, False, None, 1.5, [], {}],
    "deep": {"a long key " * 6: {"another long key " * 6: ["value " * 20]}},
}


def test_python_reads_what_is_written_for_it(call: Call) -> None:
    """Every JSON value, in lines that are not too long where they can be broken."""
    written = call("snippets.js", "literal", ODD_BODY)
    assert ODD_BODY == ast.literal_eval(written)
    assert written.count("\n") > 3


def test_a_shell_reads_what_is_written_for_it(call: Call) -> None:
    """Quotes and all."""
    command = call("snippets.js", "curl", "my index", ODD_BODY, {"X-Rerank-Window": "5"}, False)
    argv = shlex.split(command.replace("\\\n", "", 4))
    assert ODD_BODY == json.loads(argv[-1])
    assert argv[2].endswith("/my%20index/_search?pretty")
    assert "X-Rerank-Window: 5" in argv


def test_words_stand_where_the_placeholder_was(call: Call) -> None:
    """As they are: neither JSON nor a replacement's patterns are seen in them."""
    words = 'a "b" $& \\ %SearchText%'
    body = '{"query": {"match": {"%SearchText%": "x %SearchText%"}}, "n": [1, "%SearchText%"]}'
    found = call("query.js", "filled", body, words)
    assert {"query": {"match": {"%SearchText%": f"x {words}"}}, "n": [1, words]} == found


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"query": {"match": {"a": "b"}}}, 100),
        ({"query": {"match": {"a": "b"}}, "size": 3}, 100),
        ({"knn": {}, "query": {"match": {"a": "b"}}}, 10),
        ({"knn": {}, "size": 3}, 3),
        ({"query": {"hybrid": {}}}, 10),
        ({"retriever": {"rrf": {}}}, 10),
    ],
)
def test_the_window_is_asked_for_where_size_changes_nothing(call: Call, body: Any, expected: int) -> None:
    """Where the ranking depends on size, the user's own is kept."""
    assert expected == call("query.js", "depth", body, 10, 100)
    assert 200 == call("query.js", "depth", {"query": {"match": {}}}, 10, 1000)


def test_state_goes_into_the_address_and_back(call: Call) -> None:
    """Defaults stay out of it."""
    state = call("state.js", "read", "#q=a%26b&window=7")
    assert ("a&b", "7", "search") == (state["words"], state["window"], state["tab"])
    assert "#q=a%26b&window=7" == call("state.js", "write", state)


def test_headers_are_read(call: Call) -> None:
    """The marker with its pairs, the timing with what it names, and nothing from what is none."""
    marker = call("outcome.js", "readMarker", "partial; reason=deadline; candidates=3; window=9; model=a=b")
    assert {"word": "partial", "reason": "deadline", "candidates": "3", "window": "9", "model": "a=b"} == marker
    assert {"word": ""} == call("outcome.js", "readMarker", "")
    timing = call("outcome.js", "readTiming", 'cache;desc="a", first_stage;dur=1.5, queue; dur=2,model;dur=x')
    assert [("first_stage", 1.5), ("queue", 2)] == [(each["name"], each["milliseconds"]) for each in timing]


def test_the_waterfall_adds_up(call: Call) -> None:
    """Queue and model are parts of the second stage, the total is none, and what is left is the way's."""
    timing = "first_stage;dur=3, rerank;dur=10, queue;dur=2, model;dur=7, total;dur=13"
    found = call("outcome.js", "waterfall", {"timing": timing, "milliseconds": 20})
    assert [("first_stage", 3), ("rerank", 1), ("queue", 2), ("model", 7), ("rest", 7)] == [
        (each["name"], each["milliseconds"]) for each in found
    ]
    unsplit = call("outcome.js", "waterfall", {"timing": "first_stage;dur=3, rerank;dur=10", "milliseconds": 20})
    assert ["first stage", "second stage", "way and browser"] == [each["label"] for each in unsplit]


def test_documents_without_ids_are_known_by_their_first_stage_rank(call: Call) -> None:
    """As the pipeline knows them."""
    before = [{"_score": 3}, {"_score": 2}, {"_score": 1}]
    after = [{"_rerank": {"first_stage_rank": 3}}, {"_rerank": {"first_stage_rank": 1}}]
    found = call("ranking.js", "compare", before, after)
    assert [(1, 2), (2, None), (3, 1)] == [(each["before"], each["after"]) for each in found]

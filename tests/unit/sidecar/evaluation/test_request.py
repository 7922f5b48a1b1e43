"""What is asked for: fusions by name, and how a query's words become a search."""

import json

import pytest

from sidecar.errors import ConfigError
from sidecar.evaluation.request import EvaluationRequest, FusionChoice, question


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("auto", FusionChoice()),
        ("rrf", FusionChoice(name="rrf")),
        ("model_only", FusionChoice(name="model_only")),
        ("linear", FusionChoice(name="linear")),
        ("linear=0.75", FusionChoice(name="linear", weight=0.75)),
        ("linear=0", FusionChoice(name="linear", weight=0.0)),
    ],
)
def test_fusions(text: str, choice: FusionChoice) -> None:
    """By name; the linear one takes the model's share."""
    assert choice == FusionChoice.parse(text)


@pytest.mark.parametrize("text", ["", "sum", "rrf=0.5", "auto=1", "linear=", "linear=2", "linear=-1", "linear=much"])
def test_other_fusions_are_refused(text: str) -> None:
    """With what is expected."""
    with pytest.raises(ConfigError, match=r"--fusion: got .*expected auto, model_only, rrf, linear or linear=WEIGHT"):
        FusionChoice.parse(text)


@pytest.mark.parametrize(
    ("settings", "ranked"),
    [({}, 100), ({"windows": (20, 200)}, 200), ({"depth": 1000}, 1000), ({"depth": 10, "windows": (50,)}, 50)],
)
def test_a_ranking_is_never_shorter_than_a_window(settings: dict[str, object], ranked: int) -> None:
    """All systems are compared at one depth."""
    assert ranked == EvaluationRequest(**settings).ranked  # type: ignore[arg-type]


def test_words_are_searched_in_the_fields() -> None:
    """Under the query's id, which headers can hold whatever it is."""
    request = question("corpus", ("title", "text"), None, 50).request("q 1", 'say "hi" %SearchText%')
    body = {"query": {"multi_match": {"query": 'say "hi" %SearchText%', "fields": ["title", "text"]}}, "size": 50}
    assert body == json.loads(request.content)
    assert "/corpus/_search" == request.target
    assert ("X-Opaque-Id", "q%201") in request.headers


def test_without_fields_all_are_searched() -> None:
    """As the engine sees fit."""
    assert {"multi_match": {"query": "sky"}} == json.loads(question("i", (), None, 9).request("q", "sky").content)[
        "query"
    ]


def test_a_body_of_the_callers_own() -> None:
    """Wherever the words stand in it; the page is the evaluation's."""
    body = '{"query": {"bool": {"should": [{"match": {"a": "%SearchText%"}}], "boost": 2}}, "from": 10, "size": 3}'
    asked = question("i", (), body, 100)
    expected = {"query": {"bool": {"should": [{"match": {"a": "big sky"}}], "boost": 2}}, "size": 100}
    assert expected == json.loads(asked.request("q", "big sky").content)
    assert "%SearchText%" in str(asked)


@pytest.mark.parametrize("body", ['{"query": ', '["%SearchText%"]', '{"query": {"match_all": {}}}'])
def test_a_body_without_a_place_for_words_is_refused(body: str) -> None:
    """And what is no JSON object."""
    with pytest.raises(ConfigError, match="--body: "):
        question("i", (), body, 100)

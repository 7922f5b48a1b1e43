"""Which searches are in a language that the model does not know: only what is clear."""

import json
from typing import Any

import pytest

from sidecar import languages, sample
from sidecar.pipeline import RerankingConnector
from sidecar.policy import Policy
from sidecar.types import Observation, RerankOptions
from tests.unit.doubles import ScriptedEngine, ScriptedScorer, marker_of, match, search, texts

detected = pytest.mark.skipif(not languages.has_detector(), reason="py3langid (the extra `languages`) is not installed")


@pytest.fixture
def scripts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no library."""
    monkeypatch.setattr(languages, "_detector", lambda: None)


@pytest.mark.usefixtures("scripts_alone")
@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("почему небо голубое", ("en",), "ru"),
        ("почему небо голубое", ("en", "uk"), None),
        ("空はなぜ青いのか", ("en",), "ja"),
        ("空はなぜ青いのか", ("zh",), "ja"),
        ("天空为什么是蓝色的", ("en",), "zh"),
        ("天空为什么是蓝色的", ("ja",), None),
        ("하늘은 왜 파란가", ("en",), "ko"),
        ("لماذا السماء زرقاء", ("en", "de"), "ar"),
        ("γιατί ο ουρανός είναι μπλε", ("en",), "el"),
        ("आसमान नीला क्यों है", ("en",), "hi"),
        ("לָמָּה הַשָּׁמַיִם כְּחֻלִּים", ("en",), "he"),
        ("iphone 保護", ("en",), None),
        ("вода H2O", ("en",), "ru"),
        ("5 µm Ω resistor", ("en",), None),
        ("why is the sky blue", ("ja",), None),
        ("warum ist der Himmel blau", ("en",), None),
        ("", ("en",), None),
        ("123-45", ("en",), None),
    ],
)
def test_scripts_are_certain_without_any_library(text: str, known: tuple[str, ...], expected: str | None) -> None:
    """Where most letters are of a script that no language of the model has."""
    assert expected == languages.other(text, known)


@detected
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("warum ist der himmel blau", "de"),
        ("pourquoi le ciel est bleu", "fr"),
        ("dlaczego niebo jest niebieskie", "pl"),
        ("gökyüzü neden mavi", "tr"),
        ("why is the sky blue", None),
        ("tea", None),
        ("iphone 15 pro max", None),
        ("café", None),
        ("angela merkel", None),
    ],
)
def test_languages_of_one_script_are_told_apart_where_that_is_clear(text: str, expected: str | None) -> None:
    """A word or a name could be anything."""
    assert expected == languages.other(text, ("en",))


@detected
def test_hardly_an_english_query_is_taken_for_another() -> None:
    """None of the sample's, however short."""
    lines = (sample.documents_path().parent / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    queries = [json.loads(line)["text"] for line in lines]
    assert {None} == {languages.other(query, ("en",)) for query in queries}


def test_what_is_asked_for_is_ranked_whatever_its_language() -> None:
    """And so is everything where no policy names languages."""
    for options in (RerankOptions(languages=("en",), insist=True), RerankOptions()):
        assert options is languages.query_options("почему небо голубое", options)
        assert options is languages.text_options(["почему небо голубое"], options)


def test_a_language_has_its_model() -> None:
    """Whose language it is from then on; a model for every other one may know any; and nobody prunes for it."""
    options = RerankOptions(
        languages=("en",), language_models={"ru": "russian", "*": "many"}, model="english", prune_model="small"
    )
    russian = languages.query_options("почему небо голубое", options)
    korean = languages.query_options("하늘은 왜 파란가", options)
    assert russian is not None
    assert korean is not None
    assert ("russian", ("ru",), None) == (russian.model, russian.languages, russian.prune_model)
    assert ("many", ()) == (korean.model, korean.languages)
    assert options is languages.query_options("why is the sky blue", options)


def test_texts_are_in_the_language_of_most_of_the_first() -> None:
    """Empty ones are no texts; a few in another language are none of our business."""
    options = RerankOptions(languages=("en",))
    russian, english = "почему небо голубое", "why the sky is blue"
    assert languages.text_options(["", russian, english, russian, "", russian], options) is None
    assert options is languages.text_options([russian, english, english, russian], options)
    assert options is languages.text_options([english] * 5 + [russian] * 50, options)
    assert options is languages.text_options([], options)


# --- a search -----------------------------------------------------------------------------------------------


def connector(*documents: str, **options: Any) -> tuple[RerankingConnector, ScriptedScorer, ScriptedScorer]:
    """Return an engine with an English model and another one."""
    english, many = ScriptedScorer(), ScriptedScorer()
    chosen = RerankOptions(**{"fetch": "once", "languages": ("en",), **options})
    engine = ScriptedEngine(*documents)
    return RerankingConnector(engine, english, Policy(defaults=chosen), models={"many": many}), english, many


RUSSIAN = ("почему небо такое голубое", "небо голубое", "небо")
ENGLISH = ("why the sky is so blue today", "the sky is blue", "sky")


@pytest.mark.parametrize(("query", "documents"), [("голубое небо", ENGLISH), ("blue sky", RUSSIAN)])
async def test_a_search_in_another_language_is_left_in_the_engine_s_order(
    query: str, documents: tuple[str, ...]
) -> None:
    """Whether its words are or the texts, and the marker says so."""
    reranking, english, _ = connector(*documents)
    answer = await reranking.search(search(match(query)))
    assert ("skipped; reason=language", list(documents)) == (marker_of(answer), texts(answer))
    assert [] == english.texts


@pytest.mark.parametrize(("query", "documents"), [("голубое небо", RUSSIAN), ("blue sky", RUSSIAN)])
async def test_or_goes_to_the_model_that_the_policy_names(query: str, documents: tuple[str, ...]) -> None:
    """Loaded beside the main one."""
    reranking, english, many = connector(*documents, language_models={"ru": "many"})
    answer = await reranking.search(search(match(query)))
    assert ("applied", list(reversed(documents))) == (marker_of(answer).partition(";")[0], texts(answer))
    assert ([], 3) == (english.texts, len(many.texts))


async def test_what_is_in_its_language_goes_to_the_model() -> None:
    """As ever."""
    reranking, english, many = connector(*ENGLISH, language_models={"*": "many"})
    answer = await reranking.search(search(match("blue sky")))
    assert list(reversed(ENGLISH)) == texts(answer)
    assert (3, []) == (len(english.texts), many.texts)


async def test_a_language_is_seen_before_the_arms_are_drawn() -> None:
    """So that both arms of an experiment are of the same searches; nor is there anything to observe."""
    reranking, _, _ = connector(*RUSSIAN, percent=0)
    assert "skipped; reason=language" == marker_of(await reranking.search(search(match("голубое небо"))))
    observed: list[Observation] = []
    options = RerankOptions(languages=("en",), mode="observe")
    observing = RerankingConnector(
        ScriptedEngine(*RUSSIAN), ScriptedScorer(), Policy(defaults=options), compare=observed.append
    )
    assert "skipped; reason=language" == marker_of(await observing.search(search(match("голубое небо"))))
    await observing.aclose()
    assert [] == observed

"""Which server is it: told by what it says, or by its user."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from sidecar.errors import ConfigError, ModelFailed, RerankUnavailable, ScorerLost, ScorerStarting
from sidecar.scoring import wire
from sidecar.scoring.finding import KINDS, Finder, Get
from sidecar.scoring.foreign import Cohere, Infinity, Tei, Vllm
from sidecar.scoring.speech import OwnSpeech
from tests.foreign_servers import INFINITY_MODELS, MODEL, TEI_INFO, VLLM_MODELS
from tests.unit.sidecar.scoring.doubles import FACTS

GATEWAY = {"data": [{"id": "one", "owned_by": "openai"}]}
TWO = {"data": [{"id": "one"}, {"id": "two"}]}


class Server:
    """Answers by path, 404 elsewhere; notes what is asked."""

    def __init__(self, answers: Mapping[str, Any], *, otherwise: int = 404) -> None:
        """Answer with a value as JSON, with bytes as they are, or with a status and bytes."""
        self.answers = answers
        self.otherwise = otherwise
        self.asked: list[str] = []

    async def get(self, path: str) -> tuple[int, bytes]:
        """Answer."""
        self.asked.append(path)
        value = self.answers.get(path, (self.otherwise, b"no"))
        if isinstance(value, tuple):
            return value
        return 200, value if isinstance(value, bytes) else json.dumps(value).encode()


def server(answers: Mapping[str, Any], *, otherwise: int = 404) -> Get:
    """Return what asks such a server."""
    return Server(answers, otherwise=otherwise).get


OURS = {"/_rerank/model": wire.write_facts(FACTS)}


async def test_ours_is_found_at_once() -> None:
    """By its facts, and nothing else is asked."""
    ours = Server(OURS)
    found = await Finder().find(ours.get)
    assert ("sidecar", FACTS) == (found.kind, found.facts)
    assert isinstance(found.speech, OwnSpeech)
    assert ["/_rerank/model"] == ours.asked


async def test_tei_is_told_by_its_info() -> None:
    """With its limits."""
    found = await Finder().find(server({"/info": TEI_INFO}))
    facts = found.facts
    assert ("tei", MODEL, TEI_INFO["model_sha"]) == (found.kind, facts.name, facts.revision)
    assert (512, "remote", "fp16", "cross-encoder") == (facts.max_length, facts.device, facts.dtype, facts.kind)
    assert Tei(max_texts=32, max_characters=512 * 32) == found.speech


async def test_an_older_tei() -> None:
    """Its model type is a word, and it may say less."""
    info = {"model_id": "m", "model_type": "Reranker", "max_client_batch_size": True}
    found = await Finder().find(server({"/info": info}))
    assert ("unknown", 512, "unknown") == (found.facts.revision, found.facts.max_length, found.facts.dtype)
    assert Tei(max_texts=32, max_characters=512 * 32) == found.speech


@pytest.mark.parametrize("kind", ["classifier", "embedding"])
async def test_a_tei_without_a_reranker_is_no_scorer(kind: str) -> None:
    """And says what it is."""
    with pytest.raises(ModelFailed, match=f"{MODEL} is no reranker there: its model_type is {kind}"):
        await Finder().find(server({"/info": {**TEI_INFO, "model_type": {kind: {}}}}))


async def test_vllm_is_told_by_its_models() -> None:
    """With the length of its context."""
    found = await Finder().find(server({"/v1/models": VLLM_MODELS}))
    assert ("vllm", MODEL, 8192) == (found.kind, found.facts.name, found.facts.max_length)
    assert Vllm(model=MODEL, path="/v1/score", max_characters=8192 * 32) == found.speech


async def test_infinity_is_told_by_capabilities() -> None:
    """The first model that can rerank; below its prefix, if it has one."""
    expected = Infinity(model=MODEL, path="/rerank", max_texts=2048, max_characters=122_880)
    found = await Finder().find(server({"/models": INFINITY_MODELS}))
    assert ("infinity", MODEL, "fp16") == (found.kind, found.facts.name, found.facts.dtype)
    assert expected == found.speech
    found = await Finder().find(server({"/v1/models": INFINITY_MODELS}))
    assert replace(expected, path="/v1/rerank") == found.speech


async def test_an_infinity_without_a_reranker_is_no_scorer() -> None:
    """And says what it has."""
    models = {"data": INFINITY_MODELS["data"][:1]}
    with pytest.raises(ModelFailed, match=r"no reranker there, but BAAI/bge-small-en-v1\.5"):
        await Finder().find(server({"/models": models}))


async def test_a_gateway_is_told_by_any_list_of_models() -> None:
    """It speaks like Cohere, and is looked at seldom."""
    found = await Finder().find(server({"/v1/models": GATEWAY}))
    assert ("cohere", "one", False) == (found.kind, found.facts.name, found.is_local)
    assert Cohere(model="one") == found.speech


async def test_of_several_models_the_user_says_one() -> None:
    """Which a gateway may call by another name."""
    with pytest.raises(ModelFailed, match=r"say one in scorer\.model: one, two"):
        await Finder().find(server({"/v1/models": TWO}))
    found = await Finder(model="alias").find(server({"/v1/models": TWO}))
    assert ("alias", Cohere(model="alias")) == (found.facts.name, found.speech)


@pytest.mark.parametrize("answers", [{"/v1/models": VLLM_MODELS}, {"/models": INFINITY_MODELS}])
async def test_a_model_that_is_not_there_is_an_error(answers: dict[str, Any]) -> None:
    """With those that are."""
    found = await Finder(model=MODEL).find(server(answers))
    assert MODEL == found.facts.name
    with pytest.raises(ModelFailed, match=f"there is no model 'other' there, but {MODEL}"):
        await Finder(model="other").find(server(answers))


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"/_rerank/model": b"<html>", "/info": b"<html>", "/models": b"[]", "/v1/models": b"{}"},
        {"/info": {"model_id": 1}, "/v1/models": {"data": [1, {}]}},
        {"/_rerank/model": {"name": "x"}},
    ],
)
async def test_a_stranger_is_not_guessed_at(answers: dict[str, Any]) -> None:
    """The message says how to name it."""
    with pytest.raises(ScorerLost, match=r"say it: tei\+http://…, vllm\+http://…, infinity"):
        await Finder().find(server(answers))


@pytest.mark.parametrize(
    ("kind", "url", "expected"),
    [
        ("tei", "http://h", Tei()),
        ("tei", "http://h/rerank/", Tei(path="")),
        ("vllm", "http://h", Vllm(model="m", path="/v1/score")),
        ("vllm", "http://h/v1", Vllm(model="m", path="/score")),
        ("infinity", "http://h", Infinity(model="m")),
        ("cohere", "http://h", Cohere(model="m")),
        ("cohere", "https://h/v1/", Cohere(model="m", path="/rerank")),
        ("cohere", "https://h/v2", Cohere(model="m", path="/rerank")),
        ("cohere", "https://h/v1/reranking", Cohere(model="m", path="")),
    ],
)
async def test_who_is_named_need_not_tell_anything(kind: str, url: str, expected: Any) -> None:
    """A gateway may show one path only; the URL's end is not said twice."""
    found = await Finder(kind, "m", url=url).find(server({}))
    assert (kind, "m", expected, False) == (found.kind, found.facts.name, found.speech, found.is_local)


async def test_who_is_named_and_tells_is_believed() -> None:
    """Limits and names are the server's."""
    found = await Finder("tei").find(server({"/info": TEI_INFO}))
    assert Tei(max_texts=32, max_characters=512 * 32) == found.speech


async def test_one_of_ours_that_is_named_must_tell() -> None:
    """There is nothing to assume."""
    with pytest.raises(ScorerLost):
        await Finder("sidecar").find(server({"/info": TEI_INFO}))


@pytest.mark.parametrize("kind", [None, *KINDS])
@pytest.mark.parametrize("status", [401, 403])
async def test_a_server_that_wants_another_key_says_so(kind: str | None, status: int) -> None:
    """Naming the setting."""
    with pytest.raises(ScorerLost, match=r"it wants an API key \(the setting scorer\.api_key\)"):
        await Finder(kind).find(server({}, otherwise=status))


@pytest.mark.parametrize("kind", [None, *KINDS])
async def test_a_server_that_is_down_is_lost(kind: str | None) -> None:
    """A balancer with nobody behind it is no stranger."""
    with pytest.raises(ScorerLost, match="the scorer answered 503"):
        await Finder(kind).find(server({}, otherwise=503))


@pytest.mark.parametrize("error", [ScorerStarting("loading"), ModelFailed("no weights")])
async def test_ours_without_a_model_is_ours(error: RerankUnavailable) -> None:
    """With its own words."""
    with pytest.raises(type(error), match=str(error)):
        await Finder().find(server({"/_rerank/model": (503, wire.write_error(error))}))


async def test_who_is_known_is_asked_first_and_may_change() -> None:
    """One look then costs one request."""
    finder = Finder()
    assert "tei" == (await finder.find(server({"/info": TEI_INFO}))).kind
    again = Server({"/info": TEI_INFO})
    assert "tei" == (await finder.find(again.get)).kind
    assert ["/info"] == again.asked
    assert "sidecar" == (await finder.find(server(OURS))).kind


def test_a_kind_that_nobody_knows_is_refused() -> None:
    """With those that are known."""
    with pytest.raises(ConfigError, match="got kind 'jina', expected one of sidecar, tei, vllm, infinity, cohere"):
        Finder("jina")

"""A scorer over HTTP: what its answers mean, and what its silence costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar import tasks
from sidecar.errors import (
    ConfigError,
    ModelFailed,
    RerankUnavailable,
    SchedulerFull,
    ScorerLost,
    ScorerStarting,
    ScoringTimeout,
)
from sidecar.rerank_api.reply import Reply
from sidecar.scoring import provenance, wire
from sidecar.scoring.breaker import Breaker
from sidecar.scoring.pool import Pool
from sidecar.scoring.prefix import score_prefix
from sidecar.scoring.remote import RemoteOptions, RemoteScorer
from sidecar.scoring.scripted import parse
from sidecar.scoring.wire import FIGURES_PATH, MODEL_PATH, SCORE_PATH
from tests import foreign_servers
from tests.scoring_server import Answer, answering, serving
from tests.unit.sidecar.scoring.doubles import FACTS

QUICK = RemoteOptions(grace=0.02, impatient_poll=0.005, calm_poll=0.02, connect=0.5)


@pytest.fixture
def socket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a path short enough for a unix socket."""
    return tmp_path_factory.mktemp("s") / "s"


@asynccontextmanager
async def remote(url: str, options: RemoteOptions = QUICK, **settings: Any) -> AsyncIterator[RemoteScorer]:
    """Give a scorer at `url`."""
    scorer = RemoteScorer(url, options, **settings)
    try:
        yield scorer
    finally:
        await scorer.aclose()


async def outcome(scorer: RemoteScorer, *, texts: int = 1, seconds: float | None = None) -> object:
    """Return scores, or the type of the failure."""
    deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
    try:
        return await scorer.score("q", ["text"] * texts, deadline=deadline)
    except RerankUnavailable as error:
        return type(error)


async def until(scorer: RemoteScorer, expected: type[RerankUnavailable] | None) -> None:
    """Wait until the scorer describes itself, or fails to with `expected`."""
    async with asyncio.timeout(5):
        while described(scorer) is not expected:  # noqa: ASYNC110  # the scorer announces nothing
            await asyncio.sleep(0.002)


def described(scorer: RemoteScorer) -> type[RerankUnavailable] | None:
    """Return how the scorer fails to describe itself, None when it does."""
    try:
        scorer.describe()
    except RerankUnavailable as error:
        return type(error)
    return None


def answers(score: Reply | None, model: Reply | None = None) -> dict[tuple[str, str], Answer]:
    """Return endpoints with fixed answers; a score of None never comes."""

    async def facts(body: bytes) -> Reply:
        return model or Reply(status=200, body=wire.write_facts(FACTS))

    async def scores(body: bytes) -> Reply:
        if score is None:
            await asyncio.Event().wait()
        assert score is not None
        return score

    return {("GET", MODEL_PATH): facts, ("POST", SCORE_PATH): scores}


async def test_scores_and_facts_come_from_the_other_side(socket: Path) -> None:
    """Ask, and it is answered."""
    async with serving(parse("test:identity"), socket) as url, remote(url) as scorer:
        facts = await scorer.loaded()
        assert facts.name == "test:identity"
        assert facts == scorer.describe()
        assert await scorer.score("q\ud800", ["a", "b"]) == [0.0, -0.01]
        assert await scorer.score("q", []) == []


async def test_before_the_first_answer_it_is_starting(socket: Path) -> None:
    """Nobody has listened yet: a child that is being started looks like that."""
    async with remote(f"unix:{socket}") as scorer:
        assert described(scorer) is ScorerStarting
        await asyncio.sleep(0.02)
        assert described(scorer) is ScorerStarting
        async with serving(parse("test:identity"), socket):
            await until(scorer, None)


async def test_a_scorer_that_goes_away_is_lost_and_found_again(socket: Path) -> None:
    """The first call after its end fails at once, and the next life is noticed."""
    async with remote(f"unix:{socket}") as scorer:
        async with serving(parse("test:identity"), socket):
            await scorer.loaded()
        assert await outcome(scorer) is ScorerLost
        assert described(scorer) is ScorerLost
        async with serving(parse("test:identity"), socket):
            await until(scorer, None)
            assert await outcome(scorer) == [0.0]


async def test_a_connection_that_breaks_ends_the_call_at_once(socket: Path) -> None:
    """Killed while it works: the call does not wait for its deadline."""

    async def break_off(body: bytes) -> None:
        del body

    endpoints = {**answers(None), ("POST", SCORE_PATH): break_off}
    async with answering(endpoints, socket) as url, remote(url) as scorer:
        await scorer.loaded()
        assert await outcome(scorer, seconds=60) is ScorerLost


@pytest.mark.parametrize("kind", wire.ERRORS.values())
async def test_failures_come_back_as_themselves(socket: Path, kind: type[RerankUnavailable]) -> None:
    """Full, late, starting, lost or broken over there is that here."""
    error = kind("over there")
    reply = Reply(status=wire.status_of(error), body=wire.write_error(error))
    async with answering(answers(reply), socket) as url, remote(url) as scorer:
        await scorer.loaded()
        with pytest.raises(kind, match="over there"):
            await scorer.score("q", ["a"])
        assert described(scorer) is None


@pytest.mark.parametrize("body", [b'{"scores": [1.0]}', b'{"scores": [1.0, Infinity]}', b"{}"])
async def test_scores_that_are_none_are_the_models_failure(socket: Path, body: bytes) -> None:
    """Their number and finiteness are checked on this side, too."""
    async with answering(answers(Reply(status=200, body=body)), socket) as url, remote(url) as scorer:
        await scorer.loaded()
        assert await outcome(scorer, texts=2) is ModelFailed


async def test_a_model_that_cannot_be_had_is_said_so(socket: Path) -> None:
    """Waiting for it ends with the other side's words."""
    broken = Reply(status=503, body=wire.write_error(ModelFailed("no weights")))
    async with answering(answers(None, broken), socket) as url, remote(url) as scorer:
        with pytest.raises(ModelFailed, match="no weights"):
            await scorer.loaded()


async def test_silence_costs_the_deadline_and_then_nothing(socket: Path) -> None:
    """Two searches wait in vain; then calls fail at once and describe says so, until somebody answers."""
    breaker = Breaker(failures=2, open_seconds=30.0)
    async with answering(answers(None), socket) as url, remote(url, breaker=breaker) as scorer:
        await scorer.loaded()
        assert await outcome(scorer, seconds=0.01) is ScoringTimeout
        assert await outcome(scorer, seconds=0.01) is ScoringTimeout
        assert await outcome(scorer, seconds=60) is ScorerLost
        assert described(scorer) is ScorerLost


async def test_searches_given_up_at_their_deadline_open_the_breaker(socket: Path) -> None:
    """score_prefix cancels its calls a moment before they would time out themselves."""
    breaker = Breaker(failures=2, open_seconds=30.0)
    async with answering(answers(None), socket) as url, remote(url, breaker=breaker) as scorer:
        await scorer.loaded()
        for _ in range(2):
            deadline = asyncio.get_running_loop().time() + 0.01
            with pytest.raises(ScoringTimeout):
                await score_prefix(scorer, "q", ["text"] * 64, deadline=deadline)
        assert described(scorer) is ScorerLost


async def test_a_client_that_goes_away_says_nothing_about_the_scorer(socket: Path) -> None:
    """Cancelled before its deadline: no silence."""
    async with answering(answers(None), socket) as url, remote(url, breaker=Breaker(failures=1)) as scorer:
        await scorer.loaded()
        call = tasks.start(outcome(scorer, seconds=60), name="call")
        await asyncio.sleep(0.01)
        call.cancel()
        await asyncio.wait({call})
        assert described(scorer) is None


async def test_a_deadline_that_has_passed_is_not_sent(socket: Path) -> None:
    """The other side is not bothered."""
    async with serving(parse("test:identity"), socket) as url, remote(url) as scorer:
        await scorer.loaded()
        assert await outcome(scorer, seconds=-1) is ScoringTimeout


async def test_whoever_supervises_it_can_say_that_it_is_lost(socket: Path) -> None:
    """Calls fail at once with the reason, until it is found again."""
    async with serving(parse("test:identity"), socket) as url, remote(url) as scorer:
        await scorer.loaded()
        scorer.lost("killed by signal 9")
        with pytest.raises(ScorerLost, match="killed by signal 9"):
            scorer.describe()
        await until(scorer, None)


async def test_closing_ends_waiting_calls(socket: Path) -> None:
    """Calls and whoever waits for the model end with ScorerLost."""
    async with answering(answers(None), socket) as url:
        scorer = RemoteScorer(url, QUICK)
        await scorer.loaded()
        call = tasks.start(outcome(scorer), name="call")
        await asyncio.sleep(0.01)
        await scorer.aclose()
        assert await call is ScorerLost
        assert await outcome(scorer) is ScorerLost


async def test_a_refused_call_is_full(socket: Path) -> None:
    """429 without our words is still a lost scorer, with our words a full one."""
    reply = Reply(status=429, body=b"slow down")
    async with answering(answers(reply), socket) as url, remote(url) as scorer:
        await scorer.loaded()
        assert await outcome(scorer) in (SchedulerFull, ScorerLost)


@pytest.mark.parametrize("url", ["", "localhost:9281", "ftp://x", "unix:relative", "http:", "http://"])
async def test_addresses_that_make_no_sense_are_refused(url: str) -> None:
    """The message says what would be right."""
    with pytest.raises(ConfigError, match="expected http://HOST:PORT"):
        RemoteScorer(url)


@pytest.mark.parametrize(
    ("routes", "prefix", "kind"),
    [
        (foreign_servers.TEI, "", "tei"),
        (foreign_servers.VLLM, "", "vllm"),
        (foreign_servers.INFINITY, "", "infinity"),
        (foreign_servers.GATEWAY, "", "cohere"),
        (foreign_servers.COHERE, "cohere+", "cohere"),
    ],
)
async def test_other_peoples_servers_give_raw_scores(
    socket: Path, caplog: pytest.LogCaptureFixture, routes: foreign_servers.Routes, prefix: str, kind: str
) -> None:
    """In the order of the texts, more of them than the server takes at once, with its key."""
    texts = [chr(ord("a") + (7 * number) % 26) * 3 for number in range(100)]
    async with foreign_servers.serving(routes, socket, key="k") as url, remote(prefix + url, api_key="k") as scorer:
        with caplog.at_level("INFO"):
            await scorer.loaded()
        scores = await scorer.score("q", texts)
    assert [pytest.approx(foreign_servers.logit(text)) for text in texts] == scores
    assert f"kind={kind}" in caplog.text


async def test_a_key_that_is_missing_is_said_so(socket: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Once in the log."""
    async with (
        foreign_servers.serving(foreign_servers.TEI, socket, key="k") as url,
        remote(url, replace(QUICK, refused_poll=0.005)) as scorer,
    ):
        await until(scorer, ScorerLost)
        await asyncio.sleep(0.05)
        assert 1 == caplog.text.count("scorer cannot be used")
        with pytest.raises(ScorerLost, match=r"scorer\.api_key"):
            scorer.describe()


async def test_one_failed_portion_fails_the_call(socket: Path) -> None:
    """With its own error."""
    routes = {**foreign_servers.TEI, "POST /rerank": foreign_servers.always({"error": "Model is overloaded"}, 429)}
    async with foreign_servers.serving(routes, socket) as url, remote(url) as scorer:
        await scorer.loaded()
        with pytest.raises(SchedulerFull, match="Model is overloaded"):
            await scorer.score("q", ["a"] * 100)


async def test_other_peoples_servers_do_not_split_texts(socket: Path) -> None:
    """Which is helped out by an estimate."""
    async with foreign_servers.serving(foreign_servers.TEI, socket) as url, remote(url) as scorer:
        await scorer.loaded()
        with pytest.raises(ScorerLost, match="does not split texts"):
            await scorer.split(["a"], tokens=3, overlap=0)


async def test_another_kind_of_server_may_come_back(socket: Path) -> None:
    """It is found out again."""
    async with remote(f"unix:{socket}") as scorer:
        async with foreign_servers.serving(foreign_servers.TEI, socket):
            assert foreign_servers.MODEL == (await scorer.loaded()).name
        assert await outcome(scorer) is ScorerLost
        async with serving(parse("test:identity"), socket):
            await until(scorer, None)
            assert await outcome(scorer) == [0.0]


async def test_a_stranger_is_looked_at_seldom(socket: Path) -> None:
    """Once a second at most."""
    looks = 0

    async def model(body: bytes) -> Reply:
        nonlocal looks
        looks += 1
        return Reply(status=404, body=b"{}")

    async with answering({("GET", MODEL_PATH): model}, socket) as url, remote(url) as scorer:
        await until(scorer, ScorerLost)
        await asyncio.sleep(0.05)
        assert looks == 1


async def test_credentials_are_not_printed() -> None:
    """Those of a URL; and it has none beside a key."""
    async with remote("http://user:secret@127.0.0.1:1/") as scorer:
        with pytest.raises(ScorerStarting) as caught:
            scorer.describe()
        assert "secret" not in str(caught.value)
    with pytest.raises(ConfigError, match="credentials in it beside an API key") as refused:
        RemoteScorer("http://user:secret@127.0.0.1:1/", api_key="k")
    assert "secret" not in str(refused.value)


async def test_a_kind_that_nobody_knows_is_refused() -> None:
    """Before anything is opened."""
    with pytest.raises(ConfigError, match="expected one of sidecar, tei"):
        RemoteScorer("jina+http://127.0.0.1:1")


def test_time_is_cheap_when_nobody_is_there() -> None:
    """A hundred calls to a lost scorer take no time."""

    async def calls() -> float:
        async with remote("unix:/nonexistent/socket") as scorer:
            began = time.perf_counter()
            for _ in range(100):
                assert await outcome(scorer, seconds=60) is ScorerStarting
            return time.perf_counter() - began

    assert asyncio.run(calls()) < 1.0


async def test_what_the_scorer_counts_is_asked_for(socket: Path) -> None:
    """Once; a scorer that cannot be asked, or refuses, says so."""
    replies = [
        Reply(status=200, body=b'{"batches": 3}'),
        Reply(status=503, body=wire.write_error(ScorerStarting("not yet"))),
        None,
    ]

    async def figures(body: bytes) -> Reply | None:
        return replies.pop(0) if replies else None

    async def model(body: bytes) -> Reply:
        return Reply(status=200, body=wire.write_facts(FACTS))

    async with (
        answering({("GET", MODEL_PATH): model, ("GET", FIGURES_PATH): figures}, socket) as url,
        remote(url) as scorer,
    ):
        await scorer.loaded()
        assert await scorer.figures() == {"batches": 3.0}
        with pytest.raises(ScorerStarting, match="not yet"):
            await scorer.figures()
        with pytest.raises(ScorerLost, match="cannot be reached"):
            await scorer.figures()
    assert replies == []


async def test_other_peoples_servers_do_not_say_what_they_count(socket: Path) -> None:
    """They have metrics of their own."""
    async with foreign_servers.serving(foreign_servers.TEI, socket) as url, remote(url) as scorer:
        await scorer.loaded()
        with pytest.raises(ScorerLost, match="does not say what it counts"):
            await scorer.figures()


BALANCER = Reply(status=503, body=b"<html><body><h1>503 Service Unavailable</h1></body></html>")


def in_turn(*replies: Reply | None, **headers: str) -> dict[tuple[str, str], Answer]:
    """Return endpoints whose calls get these replies, then scores; None breaks the connection off."""
    left = list(replies)

    async def facts(body: bytes) -> Reply:
        return Reply(status=200, body=wire.write_facts(FACTS))

    async def scores(body: bytes) -> Reply | None:
        return left.pop(0) if left else Reply(status=200, body=b'{"scores": [0.5]}', headers=tuple(headers.items()))

    return {("GET", MODEL_PATH): facts, ("POST", SCORE_PATH): scores}


GONE = [
    pytest.param(None, id="its connection breaks"),
    pytest.param(BALANCER, id="a balancer has nobody"),
    pytest.param(Reply(status=502, body=b"Bad Gateway"), id="a balancer has lost it"),
    pytest.param(Reply(status=503, body=wire.write_error(ScorerStarting("not yet"))), id="it has no model yet"),
]


@pytest.mark.parametrize("gone", GONE)
async def test_a_replica_that_dies_costs_nothing(socket: Path, gone: Reply | None) -> None:
    """The request is sent once more, and the scorer is not lost."""
    async with answering(in_turn(gone), socket) as url, remote(url, pool=(pool := Pool())) as scorer:
        await scorer.loaded()
        assert await outcome(scorer, seconds=60) == [0.5]
        assert described(scorer) is None
        assert {"died": 1} == pool.resent


@pytest.mark.parametrize("gone", GONE)
async def test_who_is_alone_is_not_asked_twice(socket: Path, gone: Reply | None) -> None:
    """A child of ours that died, or says no, has said it."""
    async with answering(in_turn(gone), socket) as url, remote(url) as scorer:
        await scorer.loaded()
        assert await outcome(scorer, seconds=60) in (ScorerLost, ScorerStarting)


@pytest.mark.parametrize("kind", [ModelFailed, SchedulerFull, ScoringTimeout])
async def test_what_a_replica_says_itself_is_its_word(socket: Path, kind: type[RerankUnavailable]) -> None:
    """A full pool is not asked twice as much, and a broken model not again."""
    error = kind("over there")
    refused = Reply(status=wire.status_of(error), body=wire.write_error(error))
    async with answering(in_turn(refused), socket) as url, remote(url, pool=(pool := Pool())) as scorer:
        await scorer.loaded()
        assert await outcome(scorer, seconds=60) is kind
        assert {} == pool.resent


async def test_a_pool_that_is_away_is_lost_as_any_scorer_is(socket: Path) -> None:
    """After the second try; then calls fail at once, until it is found again."""
    async with remote(f"unix:{socket}", pool=Pool()) as scorer:
        async with serving(parse("test:identity"), socket):
            await scorer.loaded()
        assert await outcome(scorer) is ScorerLost
        assert described(scorer) is ScorerLost
        async with serving(parse("test:identity"), socket):
            await until(scorer, None)
            assert await outcome(scorer) == [0.0]


async def test_a_pool_without_a_replica_is_looked_at_again_at_once(socket: Path) -> None:
    """Its balancer says so twice; whoever comes next is not to wait for the next look."""
    endpoints = in_turn(BALANCER, BALANCER)
    looks = 0
    facts = endpoints["GET", MODEL_PATH]

    async def model(body: bytes) -> Reply | None:
        nonlocal looks
        looks += 1
        return BALANCER if looks > 1 else await facts(body)

    endpoints["GET", MODEL_PATH] = model
    patient = replace(QUICK, calm_poll=600.0)
    async with answering(endpoints, socket) as url, remote(url, patient, pool=Pool()) as scorer:
        await scorer.loaded()
        assert await outcome(scorer, seconds=60) is ScorerLost
        await until(scorer, ScorerLost)
        assert 3 <= looks  # the look that found it, and two that did not


async def test_one_look_in_vain_does_not_lose_a_pool(socket: Path) -> None:
    """The next replica is looked at."""
    endpoints = in_turn()
    looks = 0
    facts, again = endpoints["GET", MODEL_PATH], asyncio.Event()

    async def model(body: bytes) -> Reply | None:
        nonlocal looks
        looks += 1
        if looks >= 5:
            again.set()
        return await facts(body) if looks % 2 else BALANCER

    endpoints["GET", MODEL_PATH] = model
    async with answering(endpoints, socket) as url, remote(url, pool=Pool()) as scorer:
        await scorer.loaded()
        async with asyncio.timeout(5):
            while not again.is_set():
                assert described(scorer) is None
                await asyncio.sleep(0.002)


async def test_who_answers_is_known(socket: Path) -> None:
    """By the name that a replica gives itself; its model is told to whoever listens."""
    named = dict(provenance.write(FACTS)) | {wire.REPLICA_HEADER: "gpu-1:9281"}
    async with answering(in_turn(**named), socket) as url, remote(url, pool=(pool := Pool())) as scorer:
        await scorer.loaded()
        with provenance.listening() as told:
            await scorer.score("q", ["a"])
        assert [FACTS] == told
        assert {"answered": 1} == pool.replicas["gpu-1:9281"].outcomes
        assert not scorer.has_replicas
        pool.heard("gpu-2:9281", replace(FACTS, revision="2"))
        assert scorer.has_replicas
        assert scorer.whole_window


async def test_a_scorer_by_position_wants_a_window_whole(socket: Path) -> None:
    """It says so over HTTP, too."""
    async with serving(parse("test:identity"), socket) as url, remote(url) as scorer:
        await scorer.loaded()
        scores = await score_prefix(scorer, "q", ["text"] * 100, deadline=None)
    assert sorted(set(scores), reverse=True) == scores


async def test_waiting_for_a_turn_is_no_silence(socket: Path) -> None:
    """No more requests than allowed are in flight; whose turn does not come says nothing about the scorer."""
    breaker = Breaker(failures=1, open_seconds=30.0)
    async with (
        answering(answers(None), socket) as url,
        remote(url, breaker=breaker, pool=(pool := Pool(1))) as scorer,
    ):
        await scorer.loaded()
        async with pool.turn():
            assert await outcome(scorer, seconds=0.01) is ScoringTimeout
            assert described(scorer) is None
        assert await outcome(scorer, seconds=0.01) is ScoringTimeout
        assert described(scorer) is ScorerLost


async def test_the_second_try_has_what_is_left_of_the_deadline(socket: Path) -> None:
    """And the trace that the first one had."""
    asked: list[float] = []
    endpoints = in_turn()
    scores = endpoints["POST", SCORE_PATH]

    async def score(body: bytes) -> Reply | None:
        asked.append(wire.read_call(body).seconds_left or 0.0)
        if len(asked) > 1:
            return await scores(body)
        await asyncio.sleep(0.01)
        return None

    endpoints["POST", SCORE_PATH] = score
    async with answering(endpoints, socket) as url, remote(url, pool=Pool()) as scorer:
        await scorer.loaded()
        assert await outcome(scorer, seconds=60) == [0.5]
    first, second = asked
    assert 59 < second <= first - 0.009


async def test_a_pools_speed_is_the_one_first_told(socket: Path) -> None:
    """So that windows do not change with the replica that happens to be looked at."""
    speeds = iter(range(1000, 2000))
    looks = 0

    async def model(body: bytes) -> Reply:
        nonlocal looks
        looks += 1
        return Reply(status=200, body=wire.write_facts(replace(FACTS, tokens_per_second=float(next(speeds)))))

    async with answering({("GET", MODEL_PATH): model}, socket) as url, remote(url, pool=Pool()) as scorer:
        assert 1000.0 == (await scorer.loaded()).tokens_per_second
        async with asyncio.timeout(5):
            while looks < 3:  # noqa: ASYNC110  # the scorer announces nothing
                await asyncio.sleep(0.002)
        assert 1000.0 == scorer.describe().tokens_per_second

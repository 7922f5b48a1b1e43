"""The scoring protocol's answering side, without HTTP."""

from __future__ import annotations

import json

from sidecar.errors import ModelFailed, SchedulerFull, ScorerStarting
from sidecar.rerank_api.scoring_protocol import ScoringProtocol
from sidecar.scoring import provenance, wire
from sidecar.scoring.scripted import parse
from sidecar.scoring.wire import ScoreCall
from tests.unit.sidecar.rerank_api.test_api import Unavailable


def call(seconds: float | None = None) -> bytes:
    """Return the body of a call."""
    return wire.write_call(ScoreCall(query="q", texts=["a", "b"], seconds_left=seconds))


async def test_the_model_is_described() -> None:
    """200 with the facts."""
    reply = await ScoringProtocol(parse("test:identity")).model(b"")
    assert (reply.status, wire.read_facts(reply.body).name) == (200, "test:identity")


async def test_a_model_that_is_not_there_yet_is_503() -> None:
    """With the word that the other side turns back into the error."""
    for error in (ScorerStarting("loading"), ModelFailed("no weights")):
        reply = await ScoringProtocol(Unavailable(error, is_describable=False)).model()
        assert reply.status == 503
        assert json.loads(reply.body) == {"error": {"type": error.reason, "reason": str(error)}}


async def test_texts_are_scored() -> None:
    """200 with one score per text."""
    reply = await ScoringProtocol(parse("test:identity")).score(call())
    assert (reply.status, wire.read_scores(reply.body, 2)) == (200, [0.0, -0.01])


async def test_an_answer_says_whose_it_is() -> None:
    """The model that gave the scores and, in a pool, the replica, which a refusal names, too."""
    scorer = parse("test:identity")
    reply = await ScoringProtocol(scorer, replica="gpu-1:9281").score(call())
    headers = dict(reply.headers)
    assert scorer.describe() == provenance.read(headers)
    assert "gpu-1:9281" == headers["X-Rerank-Replica"]
    refused = await ScoringProtocol(Unavailable(SchedulerFull("busy")), replica="gpu-1:9281").score(call())
    assert "gpu-1:9281" == dict(refused.headers)["X-Rerank-Replica"]
    assert "X-Rerank-Replica" not in dict((await ScoringProtocol(scorer).score(call())).headers)


async def test_what_is_left_of_the_deadline_counts_from_now() -> None:
    """A stalled scorer is given up after 10 ms."""
    reply = await ScoringProtocol(parse("test:stalled")).score(call(0.01))
    assert (reply.status, json.loads(reply.body)["error"]["type"]) == (504, "deadline")


async def test_a_full_scorer_is_429_with_a_hint() -> None:
    """When to come again."""
    reply = await ScoringProtocol(Unavailable(SchedulerFull("busy"))).score(call())
    assert (reply.status, dict(reply.headers)) == (429, {"Retry-After": "1"})


async def test_a_call_that_makes_no_sense_is_400() -> None:
    """And says what would."""
    reply = await ScoringProtocol(parse("test:identity")).score(b"{}")
    assert reply.status == 400
    assert json.loads(reply.body)["error"]["type"] == "bad_request"


class Counting(Unavailable):
    """A scorer that counts, or cannot be asked."""

    async def figures(self) -> dict[str, float]:
        """Return a figure, or raise."""
        if isinstance(self.error, SchedulerFull):
            raise self.error
        return {"batches": 3.0}


async def test_figures_are_told() -> None:
    """Those of a scorer that counts; none of another one."""
    reply = await ScoringProtocol(Counting(ModelFailed("broken"))).figures()
    assert (reply.status, wire.read_figures(reply.body)) == (200, {"batches": 3.0})
    reply = await ScoringProtocol(parse("test:identity")).figures()
    assert (reply.status, wire.read_figures(reply.body)) == (200, {})
    assert (await ScoringProtocol(Counting(SchedulerFull("busy"))).figures()).status == 429

"""Figures of a replay that can be worked out by hand, and what the views make of them."""

import json
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from connectors.base import SearchRequest, SearchResponse
from sidecar.errors import ModelFailed, RerankUnavailable
from sidecar.experiments import overlap
from sidecar.replay import table
from sidecar.replay.document import document
from sidecar.replay.page import page
from sidecar.replay.playing import PageHit
from sidecar.replay.request import ReplayRequest
from sidecar.replay.results import FEW, ORDER, SAME, Results, Weighted, percentile
from sidecar.replay.words import WHY, in_short
from sidecar.types import SkipReason
from tests.unit.doubles import FailingScorer, ScriptedEngine, ScriptedScorer, error_with
from tests.unit.sidecar.replay.replays import SCORES, asked, results

TWICE = (asked("blue sky"), asked("blue sky"), asked("blue sky", size=1), asked(index="off"))


def ids(page: tuple[PageHit, ...]) -> list[str]:
    """Return the ids of a page."""
    return [hit.id for hit in page]


async def test_searches_count_as_often_as_they_were_sent() -> None:
    """One that was sent twice and gets another order, one that gets another hit, one that is left alone."""
    found = await results(*TWICE)
    assert (4, 3, 3) == (found.sent, found.different, found.sent_reranked)
    assert {ORDER: pytest.approx(2 / 3), FEW: pytest.approx(1 / 3)} == {
        words: share for words, share in found.changes.items() if share
    }
    assert 12 == found.pairs
    told = document(found)["reranked"]
    assert (3, 2, 1.0) == (told["searches"], told["different"], told["other_first_hit"])
    assert pytest.approx((1 + 1 + 0) / 3) == told["jaccard@10"]
    whole = overlap.rbo("1234", "3421")
    assert pytest.approx((whole + whole + overlap.rbo("1", "3")) / 3) == told["rbo"]


async def test_the_reasons_of_searches_that_keep_their_page() -> None:
    """With an example; failures are told apart."""
    found = await results(*TWICE, asked(index="off", size=5), asked(index="off", size=5), scorer=ScriptedScorer(SCORES))
    (reason,) = found.reasons
    assert ("off", 3, 2, False) == (reason.reason, reason.sent, reason.different, reason.has_failed)
    assert 2 == reason.example.recorded.count
    failed = await results(asked(), scorer=FailingScorer(ModelFailed("by order")))
    assert [("model", True)] == [(each.reason, each.has_failed) for each in failed.reasons]


async def test_figures_by_policy() -> None:
    """Also of one that reranks nothing."""
    found = await results(*TWICE)
    assert [("default", 3, 2), ("switched off", 1, 0)] == [
        (each.name, each.sent, len(each.reranked)) for each in found.policies
    ]


async def test_judgments_are_compared_search_by_search() -> None:
    """Each once, and once as often as it was sent; searches that nobody judged are left out."""
    qrels = {"blue sky": {"3": 1}, "old tree": {"1": 1}}
    depth = ReplayRequest(files=(Path("a"),), depth=4)
    searches = (asked("blue sky"), asked("blue sky"), asked("old  TREE"), asked("nobody"))
    found = await results(*searches, qrels=qrels, request=depth)
    quality = found.quality
    assert quality is not None
    assert 2 == len(quality.searches)
    before, after = (1 / 3 + 1) / 2, (1 + 1 / 4) / 2
    assert pytest.approx((before, after)) == (quality.before["RR@10"], quality.after["RR@10"])
    assert (1, 1) == (quality.comparison.wins, quality.comparison.losses)
    assert pytest.approx((2 * (1 - 1 / 3) + (1 / 4 - 1)) / 3) == quality.weighted_delta
    ((worst, delta),) = found.hurt_most()
    assert ("old TREE", pytest.approx(-3 / 4)) == (worst.replayed.query, delta)


async def test_the_most_changed_come_first() -> None:
    """Those that keep their page do not come at all."""
    found = await results(asked("a"), asked("a"), asked("b", size=1), asked("c"))
    assert ["b", "a", "c"] == [each.replayed.query for each in found.changed_most()]
    same = await results(asked(), scorer=ScriptedScorer({text: -place for place, text in enumerate(SCORES)}))
    assert {SAME: 1.0} == {words: share for words, share in same.changes.items() if share}
    assert [] == same.changed_most()


def test_percentiles_are_of_searches_as_they_were_sent() -> None:
    """By nearest rank: of 1, 1, 1, 5 the median is 1."""
    values = [Weighted(5.0, 1), Weighted(1.0, 3)]
    assert [1.0, 1.0, 5.0] == [percentile(values, percent) for percent in (50, 75, 76)]


def test_every_reason_has_its_meaning() -> None:
    """Those not to rerank, and those for which scores can fail."""

    def all_of(kind: type[RerankUnavailable]) -> set[str]:
        return {kind.reason}.union(*(all_of(each) for each in kind.__subclasses__()))

    assert {reason.value for reason in SkipReason} | all_of(RerankUnavailable) <= WHY.keys()


async def test_sentences_say_what_was_found() -> None:
    """With judgments, without, with failures, and where nothing was reranked."""
    said = " ".join(in_short(await results(*TWICE)))
    assert "75% of the searches are reranked: 3 of 4, 3 different ones." in said
    assert "100% have another first hit" in said
    assert "Nobody has judged" in said
    judged = " ".join(in_short(await results(asked("blue sky"), qrels={"blue sky": {"3": 1}})))
    assert "RR@10 of the 1 judged searches goes from 0.3333 to 1.0000" in judged
    assert "Nobody has judged" not in judged
    failed = " ".join(in_short(await results(asked(), scorer=FailingScorer(ModelFailed("by order")))))
    assert "1 searches failed" in failed


async def shown(found: Results, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the terminal gets."""
    table.show(found)
    return capsys.readouterr().out


async def test_every_view_has_the_same_figures(capsys: pytest.CaptureFixture[str]) -> None:
    """Sentences, judged means, reasons, refused lines, and the searches to look at."""
    found = await results(*TWICE, asked("old <tree>"), qrels={"blue sky": {"1": 1}, "old <tree>": {"3": 1}})
    printed, html, told = await shown(found, capsys), unescape(page(found)), document(found)
    for sentence in told["in_short"]:
        assert sentence in html
        assert sentence[:60] in printed
    for text in ("switched off", "it is <no> search", "a.log, line 9", "old <tree>", "RR@10", "scripted <model>"):
        assert text in html
        assert text in printed
    assert {"it is <no> search": {"lines": 1, "first": "a.log, line 9"}} == told["recording"]["not_replayed"]
    assert ["1", "2", "3", "4"] == [hit["id"] for hit in told["changed_most"][-1]["before"]]
    json.dumps(told)


async def test_the_page_needs_nothing_else_and_escapes_what_others_wrote() -> None:
    """No script, no address, no markup of a document's."""
    html = page(await results(asked("<script>alert(1)</script>"), asked("a", size=1)))
    assert html.startswith("<!doctype html>")
    assert "<script" not in html
    assert "http:" not in html
    assert "https:" not in html
    assert "text <c>" not in html
    assert "text &lt;c&gt;" in html
    assert "default-src 'none'" in html


async def test_the_page_says_where_hits_have_gone() -> None:
    """How far up or down, that one is new, and that one is gone."""
    html = page(await results(asked(), asked("other", size=1)))
    for words in ("▲ 2", "▼ 3", "→ 4", ">new<", ">gone<", "sent"):
        assert (words in html) is (words != "sent")


async def test_views_of_a_replay_that_reranked_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Say so, and have no figures."""

    def refuse(request: SearchRequest, body: Any) -> SearchResponse:
        return error_with(400)

    found = await results(asked(index="off"), asked(), on=ScriptedEngine(*SCORES, override=refuse))
    printed, html, told = await shown(found, capsys), page(found), document(found)
    assert "0% of the searches are reranked" in printed
    assert "Latency" not in html
    assert told["reranked"]["rbo"] is None
    assert {} == told["milliseconds"]

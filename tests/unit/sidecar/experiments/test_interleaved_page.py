"""Interleaved pages, end to end: the scripted engine in front of a scorer that likes short texts."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import SearchRequest, SearchResponse, header
from sidecar.errors import ScorerLost
from sidecar.experiments.click_token import ClickTokens, ShownPage
from sidecar.experiments.interleaved_page import with_token
from sidecar.experiments.interleaving import interleave
from sidecar.pipeline import RerankingConnector
from sidecar.policy import Policy
from sidecar.types import InterleaveMethod, RerankOptions, SearchRecord, Team
from tests.unit.doubles import FailingScorer, ScriptedEngine, ScriptedScorer, marker_of, match, msearch, search

TEXTS = [f"word{'x' * (17 * number % 23)}" for number in range(40)]
WINDOW = 20
METHODS: tuple[InterleaveMethod, ...] = ("team_draft", "balanced")
USER = ("X-User-Id", "7")


class Interleaving:
    """A connector that interleaves, and what it has recorded."""

    def __init__(self, scorer: Any = None, **options: Any) -> None:
        """Interleave with these options over the defaults."""
        self.tokens = ClickTokens()
        self.records: list[SearchRecord] = []
        given = {"interleave": "team_draft", "window": WINDOW, "deadline": 0.0, "policy": "shop", **options}
        self.engine = ScriptedEngine(*TEXTS)
        self.connector = RerankingConnector(
            self.engine,
            scorer or ScriptedScorer(),
            Policy(defaults=RerankOptions(**given)),
            tokens=self.tokens,
            observe=self.records.append,
        )

    async def page(self, offset: int = 0, size: int = 10, user: str = "7", **changes: Any) -> SearchResponse:
        """Return a page of a user's search."""
        headers = (("X-User-Id", user), *changes.pop("headers", ()))
        words = changes.pop("words", "blue sky")
        body = match(words, **{"from": offset, "size": size, **changes})
        return await self.connector.search(search(body, headers=headers))

    async def plain(self) -> list[int]:
        """Return the reranked order of all hits, of somebody who is in no experiment."""
        request: SearchRequest = search(match(size=len(TEXTS)), headers=(("X-Rerank", "on"),))
        return ids(await self.connector.search(request))

    def told(self, answer: SearchResponse) -> ShownPage:
        """Return what the token of a page tells."""
        return self.tokens.read(marker_of(answer).split("token=")[1])


def ids(answer: SearchResponse) -> list[int]:
    """Return the ids of the hits, which are their first-stage ranks."""
    return [int(str(hit.id)) for hit in answer.hits]


@pytest.mark.parametrize("method", METHODS)
async def test_pages_are_cut_from_one_draft(method: InterleaveMethod) -> None:
    """Of any sizes, within the window, across its end and behind it: every hit once, and in the same order."""
    shop = Interleaving(interleave=method)
    whole = ids(await shop.page(size=len(TEXTS)))
    assert list(range(1, len(TEXTS) + 1)) == sorted(whole)
    assert whole[WINDOW:] == list(range(WINDOW + 1, len(TEXTS) + 1))
    for size in (1, 3, 7, 10, 25):
        pages = [ids(await shop.page(offset, size)) for offset in range(0, len(TEXTS), size)]
        assert whole == list(itertools.chain.from_iterable(pages))


@given(st.integers(0, 10_000))
def test_no_user_sees_a_hit_twice(user: int) -> None:
    """Whatever the coins."""
    first, reranked = list(range(1, 21)), sorted(range(1, 21), key=lambda rank: len(TEXTS[rank - 1]))
    for method in METHODS:
        slots = interleave(first, reranked, method, str(user).encode())
        assert 20 == len({slot.hit for slot in slots})


async def test_the_token_tells_whose_pick_each_hit_is() -> None:
    """The place of each, and its team: what is at its place in both orders is nobody's."""
    shop = Interleaving()
    reranked = await shop.plain()
    for offset in (0, 10):
        answer = await shop.page(offset)
        told = shop.told(answer)
        assert ("shop", "team_draft", None) == (told.policy, told.method, told.arm)
        assert list(range(offset + 1, offset + 11)) == [place.position for place in told.places]
        for place, hit in zip(told.places, ids(answer), strict=True):
            assert place == shop.tokens.place(told, str(hit), None)
            if reranked.index(hit) == hit - 1:
                assert place.team is None


async def test_balanced_pages_tell_ranks() -> None:
    """Among the hits on which both differ."""
    shop = Interleaving(interleave="balanced")
    told = shop.told(await shop.page())
    assert all((place.ranks is None) == (place.team is None) for place in told.places)
    assert any(place.ranks for place in told.places)


async def test_a_draw_is_a_user_s_and_the_words() -> None:
    """The same again for the same; others draw otherwise, and count as other searches."""
    shop = Interleaving()
    first, again = await shop.page(), await shop.page()
    assert ids(first) == ids(again)
    assert shop.told(first).search == shop.told(again).search == shop.told(await shop.page(10)).search
    others = [await shop.page(user=str(user)) for user in range(20)]
    assert len({tuple(ids(answer)) for answer in others}) > 5
    assert 20 == len({shop.told(answer).search for answer in others})
    words = await shop.page(words="green sea")
    assert shop.told(words).search != shop.told(first).search


async def test_scores_fall_with_the_place() -> None:
    """So that who sorts by them again undoes nothing, and `max_score` is the best."""
    shop = Interleaving()
    answer = await shop.page(size=len(TEXTS))
    scores = [hit.score for hit in answer.hits]
    assert scores == sorted(scores, key=lambda score: -(score or 0.0))
    assert scores[0] == answer.json["hits"]["max_score"]


async def test_the_marker_says_how_and_the_record_where() -> None:
    """The word stays `applied`; the body has nothing more."""
    shop = Interleaving()
    answer = await shop.page()
    assert marker_of(answer).startswith("applied; interleaved=team_draft; candidates=20; window=20; model=")
    assert {"_index", "_id", "_score", "_source"} == set(answer.hits[0].value)
    assert [("team_draft", "shop")] == [(record.interleaved, record.policy) for record in shop.records]


async def test_explanations_name_the_team() -> None:
    """And the ranks and scores as ever."""
    shop = Interleaving()
    answer = await shop.page(headers=(("X-Rerank-Explain", "true"),))
    told = shop.told(answer)
    for position, (hit, place) in enumerate(zip(answer.hits, told.places, strict=True), start=1):
        said = hit.value["_rerank"]
        assert (position, hit.id) == (said["rank"], str(said["first_stage_rank"]))
        assert (place.team.value if place.team else None) == said.get("team")
        assert said["model_score"] is not None


@pytest.mark.parametrize("insists", [("X-Rerank", "on"), ("X-Rerank", "off")])
async def test_who_asks_for_an_order_gets_it(insists: tuple[str, str]) -> None:
    """Outside of any experiment."""
    shop = Interleaving()
    answer = await shop.page(size=20, headers=(insists,))
    assert "interleaved" not in marker_of(answer)
    assert ids(answer) == (list(range(1, 21)) if insists[1] == "off" else (await shop.plain())[:20])


async def test_a_share_of_the_users_is_interleaved_and_the_rest_is_control() -> None:
    """The arm stands in the token, too."""
    shop = Interleaving(percent=50.0)
    answers = [await shop.page(user=str(user)) for user in range(40)]
    markers = [marker_of(answer) for answer in answers]
    tried = [answer for answer in answers if "arm=rerank; interleaved=team_draft" in marker_of(answer)]
    assert 5 < len(tried) < 35
    assert len(markers) - len(tried) == markers.count("skipped; reason=control; arm=control")
    assert {"rerank"} == {shop.told(answer).arm for answer in tried}


async def test_without_scores_there_is_nothing_to_interleave() -> None:
    """The engine's page, and no token."""
    shop = Interleaving(FailingScorer(ScorerLost("gone")))
    answer = await shop.page()
    assert marker_of(answer).startswith("degraded")
    assert "token" not in marker_of(answer)
    assert list(range(1, 11)) == ids(answer)


async def test_a_page_without_teams_has_no_token() -> None:
    """Behind the window, and where both orders agree."""
    shop = Interleaving(window=5)
    assert "token" not in marker_of(await shop.page(5, 10))
    agreeing = Interleaving(ScriptedScorer(dict.fromkeys(TEXTS, 0.0)))
    assert marker_of(await agreeing.page()).endswith("model=scripted")
    assert list(range(1, 11)) == ids(await agreeing.page())


async def test_observing_is_not_interleaving() -> None:
    """Callers get the engine's answer."""
    shop = Interleaving(mode="observe")
    answer = await shop.page()
    assert "observed" == marker_of(answer)
    await shop.connector.aclose()


async def test_pinned_hits_come_first_and_are_nobodys() -> None:
    """In both orders."""
    shop = Interleaving(pin_ids=("9", "4"))
    answer = await shop.page()
    assert [9, 4] == ids(answer)[:2]
    assert [None, None] == [place.team for place in shop.told(answer).places[:2]]


async def test_what_a_threshold_drops_is_dropped_from_both() -> None:
    """No page shows what the policy wants nobody to see."""
    shop = Interleaving(min_score=0.47)  # sigmoid(-0.12): texts of twelve letters
    request = search(match(size=40), headers=(("X-Rerank", "on"),))
    kept = ids(await shop.connector.search(request))
    answer = await shop.page(size=40)
    assert 0 < len(kept) < 20
    assert sorted(kept) == sorted(ids(answer))


@pytest.mark.parametrize("fetch", ["once", "twice"])
async def test_heavy_hits_are_interleaved_like_any_other(fetch: str) -> None:
    """In one request or two."""
    light, shop = Interleaving(fetch="once"), Interleaving(fetch=fetch)
    shop.tokens = light.tokens
    for offset in (0, 10, 15):
        assert ids(await light.page(offset)) == ids(await shop.page(offset))


async def test_every_item_of_an_msearch_has_its_own_token() -> None:
    """As long as a header can hold them."""
    shop = Interleaving()
    lines = itertools.chain.from_iterable(({"index": "books"}, match(f"words {n}", size=10)) for n in range(3))
    answer = await shop.connector.msearch(msearch(*lines, headers=(USER,)))
    told = [shop.tokens.read(entry.split("token=")[1]) for entry in marker_of(answer).split(", ")]
    shown = [[hit["_id"] for hit in item["hits"]["hits"]] for item in json.loads(answer.content)["responses"]]
    assert 3 == len({page.search for page in told})
    for page, hits in zip(told, shown, strict=True):
        assert page.places[0] == shop.tokens.place(page, hits[0], None)


@pytest.mark.parametrize("asked", ["header", "body"])
async def test_a_client_without_headers_finds_the_token_in_the_body(asked: str) -> None:
    """Where it asks for it: under `ext`, as OpenSearch says what it adds; the rest of the answer is as ever."""
    shop = Interleaving()
    changes = {"headers": (("X-Rerank-Token", "true"),)} if asked == "header" else {"ext": {"rerank": {"token": True}}}
    answer, plain = await shop.page(**changes), await shop.page()
    body = answer.json
    token = body.pop("ext")["rerank"]["token"]
    assert token == marker_of(answer).split("token=")[1]
    assert plain.json == body
    assert len(answer.body) == int(header(answer.headers, "content-length") or 0)
    assert "ext" not in (await shop.page(headers=(*changes.get("headers", ()), ("X-Rerank", "on")))).json


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{ "hits" : {} }', '{ "hits" : {},"ext":{"rerank":{"token": "t"}} }'),
        (
            '{"ext":{"ubi":{"query_id":"q"}},"hits":{}}',
            '{"ext":{"rerank":{"token": "t"},"ubi":{"query_id":"q"}},"hits":{}}',
        ),
        ('{"hits":{},"ext":{}}', '{"hits":{},"ext":{"rerank":{"token": "t"}}}'),
        ("{}", '{"ext":{"rerank":{"token": "t"}}}'),
    ],
)
def test_the_token_goes_beside_what_is_there(text: str, expected: str) -> None:
    """As UBI's own id."""
    assert expected == with_token(text, "t")


async def test_settings_that_rank_otherwise_are_another_version() -> None:
    """A window, a fusion: their searches are counted apart; an explanation, a share, is the same ranking."""
    shop = Interleaving()
    version = shop.told(await shop.page()).version
    same_rankings = (("X-Rerank-Explain", "true"), ("X-Rerank-Query", "red sky"), ("X-Rerank-Deadline-Ms", "900"))
    for same in zip(same_rankings):
        assert version == shop.told(await shop.page(headers=same)).version
    other = Interleaving(percent=99.9)
    assert version == other.told(await other.page()).version
    for changed in ((("X-Rerank-Window", "15"),), (("X-Rerank-Fusion", "rrf"),)):
        assert version != shop.told(await shop.page(headers=changed)).version


async def test_teams_are_both_there() -> None:
    """On a page of ten of two orders that differ."""
    shop = Interleaving()
    teams = [place.team for place in shop.told(await shop.page()).places]
    assert {Team.FIRST_STAGE, Team.RERANK} <= set(teams)

"""The judges of the fuzz tests: each kind of difference is seen, and what may differ is not."""

import gzip
import json
from typing import Any

import pytest

from tests.fuzz.cases import Case, Request
from tests.fuzz.comparing import differences, is_same, marker_differences
from tests.fuzz.connection import NO_ANSWER
from tests.fuzz.explained import FAULTS, GAPS, explanation
from tests.parity.connection import Answer

CASE = Case(plain=Request(target="/books/_search"), is_search=True)
HITS = [{"_index": "books", "_id": str(n), "_score": 9.5 - n, "_source": {"n": n, "m": 1}} for n in range(3)]
APPLIED = ("X-Rerank", "applied; candidates=3; window=100")
DEGRADED = ("X-Rerank", "degraded; reason=model")


def page(hits: list[dict[str, Any]], *, took: int = 1, total: int = 3, best: float = 9.5) -> str:
    """Return a search answer as an engine prints it."""
    return json.dumps({"took": took, "hits": {"total": total, "max_score": best, "hits": hits}})


def answer(body: str | bytes, *headers: tuple[str, str], status: int = 200) -> Answer:
    """Return an answer of JSON."""
    content = body if isinstance(body, bytes) else body.encode()
    return Answer(status, (("content-type", "application/json"), *headers), content)


def kinds(direct: Answer, proxied: Answer, case: Case = CASE) -> list[str]:
    """Return the names of what differs."""
    return [found.kind for found in differences(case, direct, proxied)]


OWN = answer(page(HITS))
RESCORED = [{**hit, "_score": 1.5 - n / 10} for n, hit in enumerate(HITS)]
OTHER_SOURCE = [{**HITS[0], "_source": {"n": 0, "m": 2}}, *HITS[1:]]
OTHER_ORDER = [{**HITS[0], "_source": {"m": 1, "n": 0}}, *HITS[1:]]
EXPLAINED = [{**hit, "_rerank": {"rank": n}} for n, hit in enumerate(RESCORED, start=1)]


@pytest.mark.parametrize(
    ("proxied", "expected"),
    [
        pytest.param(answer(page(HITS, took=99), DEGRADED, ("Server-Timing", "x")), [], id="the same"),
        pytest.param(answer(page(HITS), DEGRADED, ("content-length", "7")), [], id="another length"),
        pytest.param(answer(page(RESCORED, best=1.5), APPLIED), [], id="reranked"),
        pytest.param(answer(page(EXPLAINED, best=1.5), APPLIED), [], id="reranked and explained"),
        pytest.param(
            answer(page(RESCORED, best=1.5), DEGRADED), ["max_score", "hit: bytes"], id="scores without a scorer"
        ),
        pytest.param(answer(page(RESCORED[::-1]), APPLIED), ["scores: not descending", "hits: order"], id="turned"),
        pytest.param(answer(page(HITS[:2]), APPLIED), ["around the hits: bytes", "hits: count"], id="a hit too few"),
        pytest.param(answer(page([*HITS[:2], {**HITS[2], "_id": "x"}]), APPLIED), ["hits: ids"], id="another hit"),
        pytest.param(answer(page(OTHER_SOURCE), APPLIED), ["hit: ._source.m"], id="another source"),
        pytest.param(answer(page(OTHER_ORDER), APPLIED), ["printed order"], id="members in another order"),
        pytest.param(answer(page(HITS, total=4), APPLIED), ["around the hits: .hits.total"], id="another total"),
        pytest.param(
            answer(page(HITS).replace(", ", ","), APPLIED), ["around the hits: bytes", "hit: bytes"], id="other spaces"
        ),
        pytest.param(answer(page(HITS), DEGRADED, ("Warning", "299")), ["header warning"], id="a header more"),
        pytest.param(answer("{}", DEGRADED), ["body: .took missing"], id="no page"),
        pytest.param(answer("no JSON", DEGRADED), ["body"], id="no JSON"),
        pytest.param(
            answer('{"error":{"type":"oops"}}', status=500), ["200 -> 500 oops"], id="an error in place of a page"
        ),
        pytest.param(NO_ANSWER, ["refused by the HTTP parser where the engine says 200"], id="no answer"),
    ],
)
def test_each_kind_of_difference_is_seen(proxied: Answer, expected: list[str]) -> None:
    """What reranking changes may differ where the marker says that it was done, and nothing else."""
    assert expected == kinds(OWN, proxied)


@pytest.mark.parametrize(
    ("own", "proxied", "expected"),
    [
        ('{"error":{"reason":"a"}}', '{"error":{"reason":"b"}}', "body of an error: .error.reason"),
        ("error: a", "error: b", "body of an error"),
    ],
)
def test_errors_have_kinds_of_their_own(own: str, proxied: str, expected: str) -> None:
    """What explains an error explains no page."""
    assert [expected] == kinds(answer(own, status=400), answer(proxied, DEGRADED, status=400))


def test_items_of_an_msearch_are_judged_by_their_own_markers() -> None:
    """Of two searches the second was degraded, so that its scores must be the engine's."""
    case = Case(plain=Request(target="/_msearch"), is_search=True)
    reranked = page(RESCORED, best=1.5)
    own = answer(f'{{"responses":[{page(HITS)},{page(HITS)}]}}')
    marks = ("X-Rerank", f"{APPLIED[1]}, {DEGRADED[1]}")
    assert [] == kinds(own, answer(f'{{"responses":[{reranked},{page(HITS)}]}}', marks), case)
    assert ["max_score", "hit: bytes"] == kinds(own, answer(f'{{"responses":[{reranked},{reranked}]}}', marks), case)
    assert ["responses: count"] == kinds(own, answer(f'{{"responses":[{reranked}]}}', marks), case)


def test_hits_may_be_dropped_where_a_threshold_was_asked_for() -> None:
    """With `min_score` later hits move up; those that are on both pages are the engine's."""
    case = Case(plain=Request(target="/books/_search"), may_drop=True)
    assert [] == kinds(OWN, answer(page(RESCORED[:2], best=1.5), APPLIED), case)
    assert [] == kinds(OWN, answer(page(RESCORED[1:], best=1.5), APPLIED), case)
    assert ["hits: count"] == kinds(OWN, answer(page(HITS[1:], best=9.5), DEGRADED), case)
    changed = [{**hit, "_source": {}} for hit in RESCORED[1:]]
    assert ["hit: ._source.n missing"] == kinds(OWN, answer(page(changed, best=1.5), APPLIED), case)


def test_compressed_answers_are_compared_by_what_they_hold() -> None:
    """Compression differs with `took`; damaged answers are no answers."""
    packed = ("Content-Encoding", "gzip")
    one, other = (answer(gzip.compress(page(HITS, took=took).encode()), packed) for took in (1, 222))
    assert is_same(one, other)
    assert not is_same(one, answer(page(HITS), packed))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"\xbfdtook\x00itimed_out\xf4", b"\xbfdtook\x02itimed_out\xf4"),
        (b"\xbfdtook\x18\x63itimed_out\xf4", b"\xbfdtook\x19\x01\x0aitimed_out\xf4"),
        (b":)\n\x05\xfa\x83took\xc2\x88timed_out\x22", b":)\n\x05\xfa\x83took\x24\x01\xb4\x88timed_out\x22"),
    ],
    ids=["CBOR", "long in CBOR", "SMILE"],
)
def test_durations_do_not_count_in_binary_answers(one: bytes, other: bytes) -> None:
    """As in JSON; everything else does."""
    first, second, longer = (answer(body) for body in (one, other, other + b"\x00"))
    assert is_same(first, second)
    assert not is_same(first, longer)


@pytest.mark.parametrize(
    ("mode", "marker", "expected"),
    [
        ("off", "skipped; reason=off", []),
        ("off", "applied; candidates=3", ["marker of a search that is off"]),
        ("failing", "degraded; reason=model", []),
        ("failing", "applied; candidates=0; window=5", []),
        ("stalled", "applied; candidates=3", ["marker of scores that nobody gave"]),
        ("identity", "", ["marker absent, status 200"]),
    ],
)
def test_markers_say_what_a_mode_can_do(mode: str, marker: str, expected: list[str]) -> None:
    """Each search route has a marker, and none boasts of scores that there cannot be."""
    marked = answer("{}", ("X-Rerank", marker)) if marker else answer("{}")
    assert expected == [found.kind for found in marker_differences(CASE, mode, marked)]


def test_an_explanation_explains_what_it_names_and_nothing_else() -> None:
    """Engine, mode, request and kind count."""
    name = "order of printed members"
    asked = "POST /_search?_source=n"
    assert name == explanation("elasticsearch", "identity", asked, "_search: printed order")
    assert explanation("opensearch", "identity", asked, "_search: printed order") is None
    assert explanation("elasticsearch", "off", asked, "_search: printed order") is None
    assert explanation("elasticsearch", "identity", "POST /_search", "_search: printed order") is None
    assert explanation("elasticsearch", "identity", asked, "_search: hits: order") is None
    assert all(each.reason and each.modes and each.engines for each in (*GAPS, *FAULTS))

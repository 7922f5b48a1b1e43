"""The playground as people use it: in a browser, on the embedded engine, with the offline model."""

import json
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import ir_measures
import pytest
from ir_measures import Qrel, ScoredDoc, nDCG

from sidecar import sample
from tests.browser.conftest import DOCUMENTS, NARROW
from tests.program.processes import Program

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = [pytest.mark.weights, pytest.mark.timeout(300)]

CRANE = "how do cranes get on top of skyscrapers"
FIELDS = ["title", "text"]


def search(url: str, words: str, *, index: str = sample.INDEX, **headers: str) -> list[str]:
    """Return the ids that the proxy gives to anybody."""
    body = {"query": {"multi_match": {"query": words, "fields": FIELDS}}, "size": 10}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    asked = Request(
        f"{url}/{index}/_search",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", **named},
        method="POST",
    )
    with urlopen(asked) as answer:
        return [hit["_id"] for hit in json.load(answer)["hits"]["hits"]]


def open_page(page: "Page", url: str, **state: str) -> None:
    """Open the playground in a state, and wait for its search where there is one."""
    fragment = "&".join(f"{key}={value}" for key, value in state.items())
    page.goto(f"{url}/_rerank/#{fragment}")
    if "q" in state or "body" in state:
        done(page)
    else:
        page.wait_for_selector(".tile" if "tab" in state else "#welcome:not([hidden])")


def done(page: "Page") -> None:
    """Wait until a search has been shown."""
    page.wait_for_selector("#report:not([hidden])")
    page.wait_for_selector("#board.is-waiting", state="detached")


def ids(page: "Page", side: str) -> list[str]:
    """Return the ids that are shown on a side."""
    found: list[str] = page.eval_on_selector_all(f"#{side} .hit", "hits => hits.map(hit => hit.dataset.id)")
    return found


def outcome(page: "Page") -> str:
    """Return what is said of the reranking."""
    return page.locator(".outcome").inner_text()


def body_of(value: dict[str, Any]) -> str:
    """Return a search body as it stands in the URL."""
    return json.dumps(value).replace("%", "%25").replace("&", "%26").replace("#", "%23")


# --- before and after ---------------------------------------------------------------------------------------


def test_an_example_shows_a_real_search_before_and_after(page: "Page", demo: str) -> None:
    """A newcomer presses a button: both orders, as the proxy gives them to anybody, and what moved where."""
    open_page(page, demo)
    example = page.locator("#welcome .chip").first
    words = example.inner_text()
    example.click()
    done(page)
    assert outcome(page).startswith("applied")
    before, after = ids(page, "before"), ids(page, "after")
    assert search(demo, words, X_Rerank="off") == before
    assert search(demo, words) == after
    assert before != after
    lines = page.locator("#lines .line")
    assert len({*before, *after}) == lines.count()
    assert page.locator("#after .bar.model").count() == page.locator("#after .bar.engine").count() == len(after)
    assert page.locator(".waterfall li").all_inner_texts()[0].startswith("first stage")
    assert {words} == set(parse_qs(urlsplit(page.url).fragment)["q"])


def test_an_address_brings_back_what_it_shows(page: "Page", demo: str) -> None:
    """Settings go into the fragment, which no server sees, and from there into the requests."""
    open_page(page, demo, q=CRANE, index=sample.INDEX, fields="title,text")
    page.click("#open-settings")
    with page.expect_request("**/_search") as asked:
        page.fill("#window", "12")
        page.press("#window", "Tab")
    assert "off" == asked.value.headers["x-rerank"]
    done(page)
    page.select_option("#fusion", "linear")
    done(page)
    with page.expect_request(lambda each: "x-rerank-explain" in each.headers) as explained:
        page.fill("#weight", "0.25")
        page.press("#weight", "Tab")
    assert ("12", "linear") == tuple(explained.value.headers[f"x-rerank-{name}"] for name in ("window", "fusion"))
    assert {"rerank": {"weight": 0.25}} == explained.value.post_data_json["ext"]
    done(page)
    order, address = ids(page, "after"), page.url
    assert "12 candidates scored" in outcome(page)
    page.goto("about:blank")
    page.goto(address)
    done(page)
    assert order == ids(page, "after")
    assert ("12", "linear", "0.25") == tuple(page.input_value(f"#{name}") for name in ("window", "fusion", "weight"))
    page.go_back()


def test_back_and_forward_go_between_searches(page: "Page", demo: str) -> None:
    """As on any page of results."""
    open_page(page, demo, q=CRANE, index=sample.INDEX, fields="title,text")
    first = ids(page, "after")
    page.fill("#words", "why is the sky blue")
    page.press("#words", "Enter")
    page.wait_for_selector(f"#after .hit:first-child:not([data-id='{first[0]}']):not(.skeleton)")
    done(page)
    page.go_back()
    page.wait_for_selector(f"#after .hit:first-child[data-id='{first[0]}']")
    assert CRANE == page.input_value("#words")


def test_fields_are_those_of_the_mapping(page: "Page", demo: str) -> None:
    """Titles first; choosing them writes the query body, and one's own body puts them aside."""
    open_page(page, demo, q=CRANE, index=sample.INDEX, fields="title,text")
    chips = page.locator("#fields .chip")
    assert ["all text", "title", "text", "topic"] == chips.all_inner_texts()
    page.click("#fields .chip:text-is('text')")
    done(page)
    page.click("#open-body")
    body = json.loads(page.input_value("#body"))
    assert {"query": {"multi_match": {"query": "%SearchText%", "fields": ["title"]}}} == body
    page.fill("#body", '{"query": {"match": {"text": "%SearchText%"}}}')
    assert 4 == page.locator("#fields .chip:disabled").count()
    page.fill("#body", '{"query": ')
    assert "no search body" in page.inner_text("#body-problem")
    page.click("#reset-body")
    assert body == json.loads(page.input_value("#body"))


def test_indices_are_those_of_the_engine(page: "Page", demo: str) -> None:
    """As `_cat/indices` lists them through the same proxy."""
    open_page(page, demo)
    assert [sample.INDEX] == page.eval_on_selector_all("#indices option", "all => all.map(each => each.value)")
    assert sample.INDEX == page.input_value("#index")


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        ({"query": {"match_all": {}}}, "no_free_text", "no words that somebody typed"),
        ({"query": {"match": {"text": "%SearchText%"}}, "sort": ["_doc"]}, "sort", "sorted by something else"),
    ],
)
def test_a_search_that_is_left_alone_says_why(
    page: "Page", demo: str, body: dict[str, Any], reason: str, words: str
) -> None:
    """In words, with the marker's reason beside them; both sides are the engine's order."""
    open_page(page, demo, q="sky", index=sample.INDEX, body=body_of(body))
    assert outcome(page).startswith("skipped")
    assert words in outcome(page)
    assert reason == page.inner_text(".outcome code")
    assert ids(page, "before") == ids(page, "after")
    assert 0 == page.locator(".bar.model").count()


def test_what_the_engine_refuses_is_shown(page: "Page", demo: str) -> None:
    """In the engine's own words."""
    open_page(page, demo, q="sky", index="nothing-here")
    assert "no such index [nothing-here]" in outcome(page)
    page.fill("#index", sample.INDEX)
    page.press("#index", "Enter")
    page.wait_for_selector("#after .hit")


# --- one document -------------------------------------------------------------------------------------------


def test_a_document_shows_what_the_model_read(page: "Page", served: str) -> None:
    """Up to the token where reading stopped, with the words that answered the query's."""
    open_page(page, served, q="why is the sky blue", index="documents")
    page.locator(".hit[data-id='long'] .title").first.click()
    read = page.locator("#detail .passage").first.inner_text()
    rest = page.locator("#detail .unread").inner_text()
    long = next(each for each in DOCUMENTS if each["_id"] == "long")
    whole = f"{long['title']} {long['text'].strip()}"
    assert whole == (read + rest).strip()
    assert len(rest) > len(read)
    assert re.search(r"the model stops here, after \d+ tokens", page.inner_text("#detail .stop"))
    answers = [row.split("\n") for row in page.locator("#detail .alignments li").all_inner_texts()]
    assert ["sky", "→", "sky"] in [row[:3] for row in answers]
    assert page.locator("#detail mark").count()
    page.keyboard.press("Escape")
    page.wait_for_selector("#detail", state="hidden")


def test_texts_are_never_markup(page: "Page", served: str) -> None:
    """A document with scripts in it is shown as it is written, emoji and all."""
    open_page(page, served, q="why is the sky blue", index="documents")
    markup = next(each for each in DOCUMENTS if each["_id"] == "markup")
    assert markup["title"] == page.locator("#after .hit[data-id='markup'] .title").inner_text()
    page.locator("#after .hit[data-id='markup'] .title").click()
    assert f"{markup['title']} {markup['text']}" == page.locator("#detail .passage").inner_text()
    marked = page.locator("#detail mark").all_inner_texts()
    assert {"sky", "blue"} <= set(marked)
    assert None is page.evaluate("window.hacked ?? null")
    assert 0 == page.locator("#detail img, #detail script, #board img, #board b").count()


# --- judging ------------------------------------------------------------------------------------------------


def measured(page: "Page") -> tuple[str, str]:
    """Return nDCG@10 before and after, as shown."""
    return page.inner_text("#ndcg-before"), page.inner_text("#ndcg-after")


def ndcg(order: list[str], grades: dict[str, int]) -> str:
    """Return nDCG@10 as ir-measures computes it."""
    run = [ScoredDoc("q", id, -float(rank)) for rank, id in enumerate(order)]
    qrels = [Qrel("q", id, grade) for id, grade in grades.items()]
    return f"{ir_measures.calc_aggregate([nDCG @ 10], qrels, run)[nDCG @ 10]:.3f}"


def test_sample_judgments_are_measured_at_once(page: "Page", demo: str) -> None:
    """As the measure that `evaluate` uses computes it."""
    open_page(page, demo, q=CRANE, index=sample.INDEX, fields="title,text")
    grades = sample.qrels()["crane"]
    assert (ndcg(ids(page, "before"), grades), ndcg(ids(page, "after"), grades)) == measured(page)


def test_hits_are_graded_by_keyboard(page: "Page", served: str) -> None:
    """Digits grade, x takes it back, the figures follow, and all is there after a reload, and in the exports."""
    open_page(page, served, q="sky land", index="documents")
    assert "Grade some hits" in page.inner_text(".worth")
    before, after = ids(page, "before"), ids(page, "after")
    page.locator("#after .title").nth(1).focus()
    page.keyboard.press("3")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("1")
    page.keyboard.press("j")
    page.keyboard.press("2")
    page.keyboard.press("x")
    page.keyboard.press("k")
    page.keyboard.press("k")
    page.keyboard.press("k")
    page.keyboard.press("0")
    grades = {after[0]: 0, after[1]: 3, after[2]: 1}
    assert (ndcg(before, grades), ndcg(after, grades)) == measured(page)
    page.reload()
    done(page)
    assert (ndcg(before, grades), ndcg(after, grades)) == measured(page)
    assert "3" == page.locator(f"#before .hit[data-id='{after[1]}'] input:checked").get_attribute("value")
    qrels = {tuple(line.split()) for line in exported(page, "TREC qrels").splitlines()}
    assert {("q1", "0", id, str(grade)) for id, grade in grades.items()} == qrels
    assert [{"_id": "q1", "text": "sky land"}] == [json.loads(each) for each in exported(page, "queries").splitlines()]
    assert exported(page, "CSV").startswith('query,docid,rating\n"sky land",')
    page.click("text=clear mine")
    assert "Grade some hits" in page.inner_text(".worth")


def exported(page: "Page", name: str) -> str:
    """Return the file that a button gives."""
    with page.expect_download() as download:
        page.click(f".exports button:text-is('{name}')")
    path = download.value.path()
    return path.read_text("utf-8")


def test_the_keyboard_goes_everywhere(page: "Page", demo: str) -> None:
    """To the search box, between hits and sides, into a document, through it, and out."""
    open_page(page, demo, q=CRANE, index=sample.INDEX, fields="title,text")
    focused = "document.activeElement.closest('.hit')?.dataset.id"
    after = ids(page, "after")
    both = next(place for place, id in enumerate(after) if place and id in ids(page, "before"))
    page.keyboard.press("j")
    assert after[0] == page.evaluate(focused)
    for _ in range(both):
        page.keyboard.press("ArrowDown")
    assert after[both] == page.evaluate(focused)
    page.keyboard.press("ArrowLeft")
    where = "document.activeElement.closest('ol').id"
    assert (after[both], "before") == (page.evaluate(focused), page.evaluate(where))
    page.keyboard.press("Enter")
    title = page.inner_text("#detail-title")
    page.keyboard.press("j")
    assert title != page.inner_text("#detail-title")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert "words" == page.evaluate("document.activeElement.id")
    page.keyboard.type("?")
    assert page.input_value("#words").endswith("?")


# --- the same request elsewhere -----------------------------------------------------------------------------


def snippet(page: "Page", language: str) -> str:
    """Return what is to be copied."""
    page.click(f"[data-language='{language}']")
    return page.inner_text("#snippet")


def test_the_request_can_be_taken_elsewhere(page: "Page", demo: str) -> None:
    """Both snippets give the order that the page shows, quotes in the query included."""
    words = """how's a "crane" get up?"""
    open_page(page, demo, q=words, index=sample.INDEX, fields="title,text", window="12", fusion="rrf")
    order = ids(page, "after")
    page.click("#open-copy")
    argv = shlex.split(snippet(page, "curl").replace("\\\n", " "))
    url, headers, body = argv[2], [argv[place + 1] for place, each in enumerate(argv) if each == "-H"], argv[-1]
    asked = Request(url, body.encode(), dict(each.split(": ", 1) for each in headers), method="POST")
    with urlopen(asked) as answer:
        assert order == [hit["_id"] for hit in json.load(answer)["hits"]["hits"]]
    ran = subprocess.run(
        [sys.executable, "-c", snippet(page, "python")], capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    assert order == [line.split(" ")[1] for line in ran.stdout.splitlines()], ran.stderr


# --- who may see what ---------------------------------------------------------------------------------------


def test_credentials_go_to_the_engine_and_nowhere_else(page: "Page", demo: str) -> None:
    """With every request, in no address, in no storage; and a reload has forgotten them."""
    open_page(page, demo, q=CRANE, index=sample.INDEX, fields="title,text")
    page.click("#open-sign-in")
    page.fill("#user", "olga")
    page.fill("#password", "pässword")
    with page.expect_request(lambda each: "x-rerank-explain" in each.headers) as asked:
        page.click("#credentials button[type=submit]")
    assert "Basic b2xnYTpww6Rzc3dvcmQ=" == asked.value.headers["authorization"]
    done(page)
    kept = page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])")
    assert not re.search("olga|pässword|b2xnY", kept)
    page.click("#open-copy")
    for language in ("curl", "python"):
        text = snippet(page, language)
        assert "AUTHORIZATION" in text
        assert "b2xnY" not in text
    page.keyboard.press("Escape")
    page.reload()
    with page.expect_request("**/_search") as again:
        done(page)
    assert "authorization" not in again.value.headers


def test_a_login_that_is_wanted_is_said(page: "Page", demo: str) -> None:
    """With the engine's status, and where to sign in."""

    def refuse(route: "Route") -> None:
        error = {"root_cause": [{"type": "security_exception", "reason": "missing authentication credentials"}]}
        route.fulfill(status=401, content_type="application/json", body=json.dumps({"error": error, "status": 401}))

    page.route("**/_search", refuse)
    open_page(page, demo, q=CRANE, index=sample.INDEX)
    assert "missing authentication credentials (status 401: sign in at the top)" in outcome(page)


# --- live ---------------------------------------------------------------------------------------------------


def test_live_counts_what_has_come_by(page: "Page", demo: str) -> None:
    """Outcomes with their reasons, times of both stages, the queue of this scorer."""
    search(demo, "why is the sky blue")
    search(demo, "why is the sky blue", X_Rerank="off")
    open_page(page, demo, tab="live")
    page.wait_for_selector("table.outcomes")
    rows = {tuple(row.split("\t")[:2]) for row in page.locator(".outcomes tbody tr").all_inner_texts()}
    assert {("applied", ""), ("skipped", "off")} <= rows
    tiles = dict(
        zip(page.locator(".tile dt").all_inner_texts(), page.locator(".tile dd").all_inner_texts(), strict=True)
    )
    assert re.match(r"[\d.,]+ m?s\n", tiles["median"])
    assert tiles["queue"].startswith("0\ncalls")
    assert "live" in page.url


# --- for everybody ------------------------------------------------------------------------------------------


SETTINGS = [(scheme, width) for scheme in ("light", "dark") for width in (1280, NARROW["width"])]


@pytest.mark.parametrize(("scheme", "width"), SETTINGS)
def test_it_is_accessible_in_both_colours_and_widths(browser: "Browser", demo: str, scheme: str, width: int) -> None:
    """axe finds nothing in any view, and nothing is wider than the screen."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe: install the group `browser`")
    context = browser.new_context(
        viewport={"width": width, "height": 812}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(30_000)

    def look(what: str) -> None:
        found = axe.Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]})
        assert 0 == found.violations_count, f"{what}: {found.generate_report()}"
        assert width >= page.evaluate("document.documentElement.scrollWidth"), what

    open_page(page, demo)
    look("welcome")
    page.locator("#welcome .chip").first.click()
    done(page)
    look("results")
    for side in ("before", "after"):
        if width == NARROW["width"]:
            page.click(f"[data-side='{side}']")
            look(f"the {side} side")
    page.locator("#after .title").first.click()
    look("a document")
    page.keyboard.press("Escape")
    page.click("#open-settings")
    page.click("#open-body")
    look("panels")
    for dialog in ("copy", "sign-in", "help"):
        page.click(f"#open-{dialog}")
        look(dialog)
        page.keyboard.press("Escape")
    page.click("#tab-live")
    page.wait_for_selector("table.outcomes")
    look("live")
    context.close()


def test_a_phone_shows_one_side_in_full(browser: "Browser", demo: str) -> None:
    """And the other as its ranks, with lines between them."""
    context = browser.new_context(viewport=NARROW, has_touch=True)
    page = context.new_page()
    page.set_default_timeout(30_000)
    open_page(page, demo, q=CRANE, index=sample.INDEX, fields="title,text")
    assert page.locator("#after .content").first.is_visible()
    assert not page.locator("#before .content").first.is_visible()
    assert page.locator("#lines .line").count() > 5
    page.click("[data-side='before']")
    assert page.locator("#before .content").first.is_visible()
    assert not page.locator("#after .content").first.is_visible()
    context.close()


def test_the_demo_names_the_address(demo_program: Program, demo: str) -> None:
    """Among its first lines."""
    assert f"{demo}/_rerank/" == demo_program.said(r"^playground: (\S+)$")[1]

"""Interleaving in the playground: what clicks prefer, and what is said of an interleaved page."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sidecar.experiments.event_log import connect, insert
from sidecar.types import Team
from tests.browser.conftest import DOCUMENTS, NARROW
from tests.browser.test_playground import SETTINGS, open_page, outcome
from tests.program.processes import ANYWHERE, QUICK_END, START_SECONDS, UNHURRIED, running
from tests.unit.sidecar.experiments.clicks import a_click

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.weights, pytest.mark.timeout(300)]

OUTCOMES = {"shop": (412, 289, 96), "help pages": (61, 48, 15), "news": (20, 71, 9), "a new one": (0, 0, 3)}
"""Wins, losses and ties by policy."""
VERSION = "54c7ea94"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a program that interleaves, whose log has clicks of some policies."""
    folder = tmp_path_factory.mktemp("clicks")
    file, log = folder / "odd.jsonl", folder / "clicks.sqlite"
    file.write_text("".join(json.dumps(each) + "\n" for each in DOCUMENTS), encoding="utf-8")
    with closing(connect(log)) as database:
        for policy, counts in OUTCOMES.items():
            teams = (Team.RERANK, Team.FIRST_STAGE, None)
            for team, count in zip(teams, counts, strict=True):
                searches = [f"{policy} {team} {number}" for number in range(count)]
                clicks = [
                    a_click(event_id=each, search=each, policy=policy, team=team, version=VERSION) for each in searches
                ]
                insert(database, clicks)
    settings = {
        **QUICK_END,
        **UNHURRIED,
        "RERANK_SIDECAR_RERANK__INTERLEAVE": "team_draft",
        "RERANK_SIDECAR_EVENTS__LOG": str(log),
    }
    arguments = ("serve", "--engine", f"embedded:{file}", "--listen", ANYWHERE, "--model", "offline")
    with running(*arguments, **settings) as program:
        program.said("^model: offline ", START_SECONDS)
        yield program.url


def test_live_shows_what_clicks_prefer(page: "Page", shop: str) -> None:
    """A row for each policy, with its verdict, and the interval in words for who does not see it."""
    open_page(page, shop, tab="live")
    page.wait_for_selector(".preferences table")
    rows = [row.split("\t") for row in page.locator(".preferences tbody tr").all_inner_texts()]
    cells = {row[0].removesuffix(f" {VERSION}"): row for row in rows}
    assert ["< 0.001", "797", "412", "289", "96", "team draft"] == cells["shop"][-6:]
    verdicts = {"shop": "reranked", "help pages": "open", "news": "the engine's", "a new one": "open"}
    assert verdicts == {policy: row[1] for policy, row in cells.items()}
    assert "no search is decided yet" in cells["a new one"][2]
    labels = [mark.get_attribute("aria-label") for mark in page.locator(".share svg").all()]
    assert "0.588, between 0.551 and 0.624" in labels


def test_a_page_says_that_it_is_interleaved(page: "Page", shop: str) -> None:
    """And how to see the reranked order alone."""
    open_page(page, shop, q="blue sky", index="documents")
    assert "both orders interleaved (team draft) to compare them by clicks" in outcome(page)
    page.click("#open-settings")
    page.check("#insist")
    page.keyboard.press("Enter")
    page.locator(".outcome", has_text="interleaved").wait_for(state="detached")


@pytest.mark.parametrize(("scheme", "width"), SETTINGS)
def test_the_panel_is_accessible(browser: "Browser", shop: str, scheme: str, width: int) -> None:
    """axe finds nothing, and the page is no wider than the screen."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe: install the group `browser`")
    context = browser.new_context(viewport={"width": width, "height": 812}, color_scheme=scheme)
    page = context.new_page()
    open_page(page, shop, tab="live")
    page.wait_for_selector(".preferences table")
    found = axe.Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]})
    assert 0 == found.violations_count, found.generate_report()
    assert width >= page.evaluate("document.documentElement.scrollWidth")
    assert NARROW["width"] <= width
    context.close()

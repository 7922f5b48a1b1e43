"""A headless Chromium and programs to look at. Where there is no browser the tests skip, and say what is missing.

A browser is Playwright's own (`playwright install chromium`), or any Chromium on the PATH, or what CHROMIUM names.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.program.processes import ANYWHERE, QUICK_END, START_SECONDS, UNHURRIED, Program, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NARROW = {"width": 375, "height": 812}
LONG_TEXT = "The sky is blue. " + "Clouds drift over hills and harbours all day long. " * 60
DOCUMENTS: tuple[dict[str, Any], ...] = (
    {"_id": "long", "title": "A long text about the sky", "text": LONG_TEXT},
    {
        "_id": "markup",
        "title": '<img src=x onerror="window.hacked=1"> sky',
        "text": "<script>window.hacked=1</script> <b>blue</b> sky 😀 sky <svg onload='window.hacked=1'>",
    },
    *(
        {"_id": f"sky-{number}", "title": f"Sky number {number}", "text": "A blue sky over " + "land and " * number}
        for number in range(6)
    ),
)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Give a browser; for one module, since Playwright's event loop would be in the way of asynchronous tests."""
    api = pytest.importorskip("playwright.sync_api", reason="no browser tests: install the group `browser`")
    with api.sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        path = os.environ.get("CHROMIUM") or (own if Path(own).exists() else _on_path())
        if path is None:
            pytest.skip(f"no browser tests: no Chromium at {own}, none of {', '.join(NAMES)} on the PATH")
        found = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


def _on_path() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Seen:
    """What a page did that no page of ours may do."""

    def __init__(self, page: "Page", origin: str) -> None:
        """Watch a page that may talk to `origin` only."""
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._hear)
        page.on("request", lambda asked: None if asked.url.startswith(origin) else self._note(asked.url))

    def _hear(self, said: "ConsoleMessage") -> None:
        """Note what a policy has refused, and the like; an answer that is an error is the page's to show."""
        if said.type == "error" and not said.text.startswith("Failed to load resource"):
            self.errors.append(said.text)

    def _note(self, url: str) -> None:
        if not url.startswith(("blob:", "data:")):
            self.elsewhere.append(url)


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    """Give a page in a fresh profile, and fail when it made an error or asked another origin."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    found = context.new_page()
    found.set_default_timeout(30_000)
    seen = Seen(found, "http://127.0.0.1:")
    yield found
    context.close()
    assert [] == seen.errors
    assert [] == seen.elsewhere


@pytest.fixture(scope="module")
def demo_program() -> Iterator[Program]:
    """The demo, with its sample articles and their judgments."""
    with running("demo", "--model", "offline", **UNHURRIED) as program:
        program.said("Stop with Ctrl-C", START_SECONDS)
        yield program


@pytest.fixture(scope="module")
def demo(demo_program: Program) -> str:
    """URL of the demo's proxy."""
    return demo_program.said(r"^reranked: +(http://\S+)$")[1]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of `serve` over odd documents, with its scorer in a child."""
    file = tmp_path_factory.mktemp("documents") / "odd.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in DOCUMENTS), encoding="utf-8")
    arguments = ("serve", "--engine", f"embedded:{file}", "--listen", ANYWHERE, "--model", "offline")
    with running(*arguments, **{**QUICK_END, **UNHURRIED}) as program:
        program.said("^model: offline ", START_SECONDS)
        yield program.url

"""The playground in front of real engines."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest

from tests.program.processes import ANYWHERE, QUICK_END, START_SECONDS, UNHURRIED, running

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.weights, pytest.mark.timeout(300)]

MAPPINGS: dict[str, Any] = {
    "properties": {
        "body": {"type": "text"},
        "title": {"type": "text"},
        "tag": {"type": "keyword"},
        "author": {"properties": {"about": {"type": "text"}, "age": {"type": "integer"}}},
        "chapters": {"type": "nested", "properties": {"heading": {"type": "text"}}},
    }
}
BOOKS = (
    {"title": "Sky blue", "body": "A pale shade of paint, the blue of the sky, said the sky blue label"},
    {
        "title": "Why it is so",
        "body": "Air scatters short waves of sunlight more than long ones, and that is why we see blue",
    },
    {"title": "Blue notes", "body": "Why is the blues so sad?"},
)


def ask(method: str, url: str, body: Any = None) -> Any:
    """Send JSON and return the answer's."""
    content = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, content, {"Content-Type": "application/json"}, method=method)) as answer:
        return json.load(answer)


@pytest.fixture
def index(engine_url: str, index_name: str) -> Iterator[str]:
    """Give an index with some books and an alias."""
    ask("PUT", f"{engine_url}/{index_name}", {"mappings": MAPPINGS, "aliases": {f"{index_name}-alias": {}}})
    for number, book in enumerate(BOOKS):
        ask("PUT", f"{engine_url}/{index_name}/_doc/{number}?refresh=true", book)
    yield index_name
    ask("DELETE", f"{engine_url}/{index_name}")


def test_it_searches_a_real_engine(page: "Page", engine_url: str, index: str) -> None:
    """Pickers, both orders, what the model read, and a snippet for the engine's own client."""
    arguments = ("serve", "--engine", engine_url, "--listen", ANYWHERE, "--model", "offline")
    with running(*arguments, **{**QUICK_END, **UNHURRIED}) as program:
        program.said("^model: offline ", START_SECONDS)
        page.goto(f"{program.url}/_rerank/#q=why+is+the+sky+blue&index={index}&fields=title,body")
        page.wait_for_selector("#after .hit[data-key]")
        assert ["all text", "title", "body", "author.about"] == page.locator("#fields .chip").all_inner_texts()
        names = page.eval_on_selector_all("#indices option", "all => all.map(each => each.value)")
        assert {index, f"{index}-alias"} <= set(names)
        assert page.inner_text(".outcome").startswith("applied")
        order = page.eval_on_selector_all("#after .hit", "hits => hits.map(hit => hit.dataset.id)")
        assert {"0", "1", "2"} == set(order)
        page.locator("#after .title").first.click()
        assert page.locator("#detail .alignments li").count()
        page.keyboard.press("Escape")
        page.click("#open-copy")
        page.click("[data-language='python']")
        snippet = page.inner_text("#snippet")
        ran = subprocess.run(
            [sys.executable, "-c", snippet], capture_output=True, encoding="utf-8", timeout=60, check=False
        )
        assert order == [line.split(" ")[1] for line in ran.stdout.splitlines()], ran.stderr
        kind = "opensearch" if "opensearch" in page.inner_text("#about").lower() else "elasticsearch"
        assert f"from {kind}" in snippet

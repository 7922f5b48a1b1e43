"""The HTML page: self-contained, well-formed, escaped."""

import re
from html.parser import HTMLParser

import pytest

from sidecar.evaluation.page import page
from tests.unit.sidecar.evaluation.evaluated import QRELS, results

VOID = {"meta", "line", "rect", "circle", "polyline"}


class Reader(HTMLParser):
    """Checks that every element is closed, and notes texts and elements."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> without a beginning"
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(text: str) -> Reader:
    """Return what a page holds."""
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert [] == reader.open
    return reader


async def test_the_page_is_well_formed_and_has_every_part() -> None:
    """Tables, plots, and the hurt queries of every system."""
    found = read(page(await results()))
    assert "Reranking small & odd" in found.texts
    captions = {text for text in found.texts if re.match(r"(RR@10|Milliseconds)", text)}
    assert {
        "RR@10, mean of 3 queries",
        "RR@10 by window",
        "RR@10 by query, after minus before",
        "Milliseconds for a search, p50 / p95 / p99",
    } <= captions
    assert 2 == sum(tag == "details" for tag, _ in found.elements)
    assert "“deep <sea>” " in found.texts
    assert "text <c>" in found.texts


async def test_the_page_needs_nothing_else() -> None:
    """No script, no link, no address; and the browser is told to load nothing."""
    text = page(await results())
    found = read(text)
    assert {"script", "link", "img", "iframe"}.isdisjoint(tag for tag, _ in found.elements)
    assert not re.search(r"https?://|url\(|@import|<script", text)
    assert {"src", "href"}.isdisjoint(name for _, attributes in found.elements for name in attributes)
    assert "default-src 'none'; style-src 'unsafe-inline'" in text


async def test_what_came_from_files_is_escaped() -> None:
    """Queries, texts, names."""
    text = page(await results())
    assert "<sea>" not in text
    assert "<c>" not in text
    assert "small & odd" not in text


async def test_without_judgments_there_are_no_figures_that_need_them() -> None:
    """But how far the rankings agree."""
    found = read(page(await results(qrels=None)))
    assert "RBO by query, the most changed first" in found.texts
    assert "Before and after" not in found.texts
    assert not any("interval" in text.lower() for text in found.texts)


@pytest.mark.parametrize("qrels", [QRELS, {query: {"z": 1} for query in QRELS}])
async def test_measures_that_are_all_zero_can_be_drawn(qrels: dict[str, dict[str, int]]) -> None:
    """And one that no query lost on."""
    text = page(await results(qrels=qrels))
    assert "nan" not in text.lower().replace("nance", "")
    assert ("No query lost." in text) is (qrels is not QRELS)

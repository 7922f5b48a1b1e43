"""The files of the page: complete, of this origin only, and never markup made of texts."""

import re
from pathlib import Path

import pytest

from connectors.base import header
from sidecar.playground import page_files
from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse, Endpoints
from sidecar.types import SkipReason

PAGE = Path(page_files.__file__).parent / "page"
SCRIPTS = sorted(PAGE.glob("*.js"))


async def get(path: str, found: Endpoints, method: str = "GET") -> EndpointResponse:
    """Return what is answered."""
    return await found[method, path](EndpointRequest(method=method, path=path, headers=(), body=b""))


async def test_the_page_and_everything_that_it_names_are_served() -> None:
    """Scripts, styles and pictures, by relative addresses, so that the page works under a prefix, too."""
    found = page_files.page_files()
    page = await get("/_rerank/", found)
    assert (200, "text/html; charset=utf-8") == (page.status, page.content_type)
    named = set(re.findall(r'(?:src|href)="([^"#]+)"', page.body.decode()))
    assert {"playground/main.js", "playground/style.css", "playground/icon.svg"} == named
    imported = {name for script in SCRIPTS for name in re.findall(r'from "\./([^"]+)"', script.read_text("utf-8"))}
    for name in (*named, *(f"playground/{each}" for each in imported)):
        assert 200 == (await get(f"/_rerank/{name}", found)).status
        assert ("HEAD", f"/_rerank/{name}") in found


async def test_every_file_forbids_what_the_page_does_not_need() -> None:
    """Scripts and styles of this origin only, none inside the page, no frame around it, no markup from strings."""
    found = page_files.page_files()
    for method, path in found:
        answer = await get(path, found, method)
        policy = header(answer.headers, "Content-Security-Policy") or ""
        directives = dict(each.split(" ", 1) for each in policy.split("; "))
        assert "'none'" == directives["default-src"] == directives["base-uri"] == directives["frame-ancestors"]
        assert "'self'" == directives["script-src"] == directives["style-src"] == directives["connect-src"]
        assert "'script'" == directives["require-trusted-types-for"]
        assert "unsafe" not in policy
        assert "nosniff" == header(answer.headers, "X-Content-Type-Options")
        assert "no-referrer" == header(answer.headers, "Referrer-Policy")


def test_nothing_is_written_inline() -> None:
    """The policy would stop it: no script, style or handler within the page."""
    page = (PAGE / "index.html").read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
    assert 1 == len(re.findall("<script", page))
    assert not re.search(r"https?://", page)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_texts_are_never_markup(script: Path) -> None:
    """None of the ways in which a string becomes elements or code is used; nothing comes from elsewhere."""
    text = script.read_text("utf-8")
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(|Function\(|srcdoc|createContextual"
    assert not re.search(ways, text)
    assert [] == [url for url in re.findall(r"https?://[^\"'` ]+", text) if url != "http://www.w3.org/2000/svg"]


def test_every_reason_not_to_rerank_has_its_words() -> None:
    """A newcomer reads why, not a code."""
    text = (PAGE / "outcome.js").read_text("utf-8")
    assert {reason.value for reason in SkipReason} <= set(re.findall(r"^  (\w+): \"", text, re.MULTILINE))

"""The snippets of docs/python.md and docs/integrations.md, run as they stand, but for addresses and models."""

import ast
import asyncio
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from connectors.embedded import EmbeddedConnector
from sidecar import sample
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import Address, listening
from tests.integration.proxies import ShortestFirst
from tests.scoring_server import serving

DOCS = Path(__file__).parents[2] / "docs"
ENGINE, SCORERS = "http://localhost:9200", ("http://scorer:9281", "cross-encoder/ms-marco-MiniLM-L6-v2")
PACKAGES = {"langchain_classic": "langchain-classic", "langchain_core": "langchain-core"} | {
    "llama_index.core": "llama-index-core",
    "haystack": "haystack-ai",
}
SAYS = {
    "python-1": r"applied; candidates=\d+; window=50; model=shortest-first\n(1\.\d+ .+\n){5}",
    "python-2": r"\['.+'(, '.+'){4}\]\n",
    "python-3": r"",
    "python-4": r"\['sky-\d+'(, 'sky-\d+'){9}\]\n",
    "integrations-1": r"0\.\d+ They are yellow and grow in bunches\.\n",
    "integrations-2": r"(1\.\d+ .+\n){3}",
    "integrations-3": r"0\.\d+ Bananas\n",
    "integrations-4": r"\[\(0\.\d+, 'Bananas'\)\]\n",
}
"""What a snippet prints. The shorter text wins here."""


def snippets() -> Iterator[Any]:
    """Yield the Python blocks by document and number."""
    for name in ("python", "integrations"):
        text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
        for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL), start=1):
            yield pytest.param(f"{name}-{number}", block, id=f"{name}-{number}")


@pytest.mark.weights
@pytest.mark.parametrize(("name", "snippet"), list(snippets()))
async def test_a_snippet_runs(
    name: str, snippet: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the embedded engine with the sample corpus, and prints what it is said to print."""
    monkeypatch.setenv("HAYSTACK_TELEMETRY_ENABLED", "False")
    for module, package in PACKAGES.items():
        ours = f"from sidecar.integrations.{package.partition('-')[0].replace('llama', 'llamaindex')}"
        if f"from {module}" in snippet or ours in snippet:
            pytest.importorskip(
                module, reason=f"{package} is not installed: it is in the dependency group integrations"
            )
    engine = EmbeddedConnector.from_file(sample.documents_path(), index="books")
    async with (
        listening(ProxyApp(engine, {}), Address.parse("127.0.0.1:0")) as address,
        serving(ShortestFirst(), tmp_path / "scorer") as scorer,
    ):
        text = snippet.replace(ENGINE, str(address))
        for model in SCORERS if "load_scorer" in text else (*SCORERS, "offline"):
            text = text.replace(model, scorer)
        await asyncio.to_thread(run, text.replace("deadline_ms=300", "deadline_ms=0"))
    printed = capsys.readouterr().out
    assert re.fullmatch(SAYS[name], printed), printed


def run(text: str) -> None:
    """Run a snippet in a thread, as a script, or in a loop where it awaits."""
    code: CodeType = compile(text, "<snippet>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    found = eval(code, {"__name__": "snippet"})
    if inspect.iscoroutine(found):
        asyncio.run(found)

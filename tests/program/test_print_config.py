"""`print-config`: what it prints makes an engine's own reranker work, by the rules of that engine."""

import json
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from shutil import which
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from sidecar.program.cli import app
from tests.integration.wire import send
from tests.native_parsers import Call, Refused, Send, inference_custom, inference_hugging_face, ml_commons
from tests.program.processes import ANYWHERE, QUICK_END, Program, running

KEY = "open-sesame"
QUERY = 'which "capital" \\ of\nFrance?'
TEXTS = ["Bananas are yellow.", "Paris is the capital of France.", ""]
RUNNER = CliRunner()


def printed(*arguments: str, key: str | None = None) -> str:
    """Run the command and return what it prints."""
    done = RUNNER.invoke(app, ["print-config", *arguments], env={"RERANK_SIDECAR_API__KEY": key or ""} if key else {})
    assert 0 == done.exit_code, done.output
    return done.stdout


def requests(*arguments: str, key: str | None = None) -> list[dict[str, Any]]:
    """Return the requests that it prints."""
    found: list[dict[str, Any]] = json.loads(printed(*arguments, "--format", "json", key=key))
    return found


def settings_of(way: str, url: str, key: str | None) -> dict[str, Any]:
    """Return what the engine is given to call `url`."""
    if way == "ml_commons":
        bodies = [each["body"] for each in requests("opensearch", "--url", url, key=key)]
        found: dict[str, Any] = next(body for body in bodies if "actions" in body)
        return found
    body = requests("elastic", "--url", url, "--service", way, key=key)[0]["body"]
    assert way == body["service"]
    settings: dict[str, Any] = body["service_settings"]
    return settings


Ask = Callable[[dict[str, Any], str, Sequence[str], Send], Awaitable[list[float]]]
WAYS: dict[str, Ask] = {
    "custom": inference_custom,
    "hugging_face": inference_hugging_face,
    "ml_commons": ml_commons,
}


async def over_the_wire(call: Call) -> tuple[int, Any]:
    """Send a call to the address that it names."""
    at = urlsplit(call.url)
    answer = await send(f"http://{at.netloc}", "POST", at.path, body=call.body.encode(), headers=call.headers)
    return answer.status, answer.json


@pytest.fixture(scope="module")
def keyed() -> Iterator[Program]:
    """A sidecar without a model, whose rerank API wants a key and takes three documents."""
    arguments = ("--engine", "embedded", "--listen", ANYWHERE, "--scorer", "test:identity", "--allow-test-scorers")
    limits = {"RERANK_SIDECAR_API__KEY": KEY, "RERANK_SIDECAR_API__MAX_DOCUMENTS": "3"}
    with running("serve", *arguments, **QUICK_END, **limits) as program:
        yield program


@pytest.mark.parametrize("way", WAYS)
async def test_an_engine_gets_its_scores(keyed: Program, way: str) -> None:
    """One for each text, in the order of the texts; quotes, line ends and empty texts come through."""
    scores = await WAYS[way](settings_of(way, keyed.url, KEY), QUERY, TEXTS, over_the_wire)
    assert len(TEXTS) == len(scores)
    assert sorted(scores, reverse=True) == scores, "test:identity scores by position"
    assert all(0 < score < 1 for score in scores)


@pytest.mark.parametrize("way", WAYS)
async def test_an_engine_reads_a_refusal(keyed: Program, way: str) -> None:
    """In our words, where the engine looks for them."""
    settings = settings_of(way, keyed.url, KEY)
    with pytest.raises(Refused, match=r"expected at most 3 \(the limit is api.max_documents\)"):
        await WAYS[way](settings, QUERY, ["a", "b", "c", "d"], over_the_wire)
    with pytest.raises(Refused, match="key"):
        await WAYS[way](settings_of(way, keyed.url, "wrong"), QUERY, TEXTS, over_the_wire)


@pytest.mark.weights
@pytest.mark.parametrize("way", WAYS)
async def test_a_model_puts_the_right_text_first(scorer: str, way: str) -> None:
    """With a real model, and no key."""
    scores = await WAYS[way](settings_of(way, scorer, None), "capital of France", TEXTS, over_the_wire)
    assert 1 == scores.index(max(scores))


@pytest.mark.parametrize("engine", ["elastic", "opensearch"])
def test_the_console_form_is_the_json_form(engine: str) -> None:
    """The same requests, with what they need and what they are for as comments."""
    text = printed(engine, key=KEY)
    blocks = [block.strip() for block in text.split("\n\n")]
    found = []
    for block in blocks[1:]:
        lines = [line for line in block.split("\n") if not line.startswith("#")]
        assert len(lines) < len(block.split("\n")), "each says what it is for"
        method, path = lines[0].split(" ")
        found.append({"method": method, "path": path, "body": json.loads("\n".join(lines[1:]))})
    assert requests(engine, key=KEY) == found
    assert "licence" in blocks[0]


@pytest.mark.parametrize("engine", ["elastic", "opensearch"])
def test_the_curl_form_sends_the_json_form(engine: str) -> None:
    """As a script that runs; ids that the engine gives are put in by themselves."""
    for tool in ("curl", "jq"):
        if which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    with recording_engine() as (url, seen):
        script = printed(engine, "--format", "curl", key=KEY)
        subprocess.run(["sh"], input=script, env={"ENGINE_URL": url, "PATH": "/usr/bin:/bin"}, text=True, check=True)
    expected = json.dumps(requests(engine, key=KEY)).replace("<connector_id>", "c-1").replace("<model_id>", "m-1")
    assert json.loads(expected) == seen


@pytest.mark.parametrize(
    "url", ["reranker:9280", "http://", "http://user:secret@host:1", "ftp://host", "http://h/?a=b"]
)
def test_an_address_that_no_engine_can_call(url: str) -> None:
    """Is refused, with what would be right."""
    done = RUNNER.invoke(app, ["print-config", "elastic", "--url", url])
    assert 2 == done.exit_code
    assert "expected http(s)://host:port" in done.output


def test_an_engine_that_is_none() -> None:
    """Names the two that are."""
    done = RUNNER.invoke(app, ["print-config", "solr"])
    assert 2 == done.exit_code
    assert "elastic" in done.output
    assert "opensearch" in done.output


@contextmanager
def recording_engine() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Give the URL of an engine that says yes to everything, and what it was asked."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append({"method": self.command, "path": self.path[1:], "body": json.loads(body)})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"connector_id": "c-1", "model_id": "m-1"}')

        def do_PUT(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: Any) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

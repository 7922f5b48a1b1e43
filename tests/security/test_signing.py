"""Signatures: what a caller has signed is not edited; what we sign is what arrives."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import pytest

from connectors.aws import AwsSigner
from connectors.errors import EngineUnavailable
from connectors.relay import EngineFacts, EngineOptions, Relay, RelayConnector
from sidecar.errors import ConfigError
from sidecar.pipeline import RerankingConnector
from sidecar.policy import Policy
from sidecar.program import parts
from sidecar.program.config import load
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import Address, listening
from sidecar.types import RerankOptions
from tests.security.sigv4 import SECRETS, Signed, verify
from tests.unit.doubles import ScriptedScorer, match
from tests.unit.raw_http import Answer, Received, Script, Upstream, exchange, reply, request, upstream

JSON: Final = "Content-Type: application/json"
SEARCH: Final = {**match(), "ext": {"rerank": {"window": 5}}, "size": 3}
AWS4: Final = (
    "AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/es/aws4_request, SignedHeaders=host;x-amz-date, Signature=0a1b"
)
HITS: Final = json.dumps(
    {
        "hits": {
            "total": {"value": 3, "relation": "eq"},
            "max_score": 3.0,
            "hits": [
                {"_index": "books", "_id": str(n), "_score": 3.0 - n, "_source": {"text": "blue sky " * (3 - n)}}
                for n in range(3)
            ],
        }
    }
).encode()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Let botocore's chain find the keys of AWS's own examples, and nothing of this machine's."""
    ((key_id, key),) = SECRETS.items()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "the/session+token==")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@asynccontextmanager
async def proxied(script: Script, *, service: str | None = None) -> AsyncIterator[tuple[int, Upstream]]:
    """Serve an upstream through a reranking proxy that signs for `service`, or does not sign."""
    signer = None if service is None else AwsSigner("eu-central-1", service)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(upstream(script))
        relay = Relay([engine.url], EngineOptions(signer=signer))
        connector = await stack.enter_async_context(RelayConnector(relay, EngineFacts(product="opensearch")))
        policy = Policy(defaults=RerankOptions(fetch="once"), resigns=signer is not None)
        app = ProxyApp(RerankingConnector(connector, ScriptedScorer(), policy), {})
        address = await stack.enter_async_context(listening(app, Address.parse("127.0.0.1:0")))
        yield address.port, engine


async def send(port: int, method: str, target: str, *headers: str, body: bytes = b"") -> Answer:
    """Send one request."""
    return await exchange(port, request(method, target, *headers, body=body))


# --- what a caller has signed -------------------------------------------------------------------------------

COVERED: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "SigV4": ("/books/_search", (f"Authorization: {AWS4}",)),
    "SigV4A": ("/books/_search", ("Authorization: AWS4-ECDSA-P256-SHA256 Credential=a, Signature=b",)),
    "SigV4 in small letters": ("/books/_search", (f"authorization: {AWS4.lower()}",)),
    "presigned": ("/books/_search?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0a", ()),
    "HTTP Message Signatures": ("/books/_search", ('Signature-Input: s=("content-digest")', "Signature: s=:YQ==:")),
    "Content-Digest": ("/books/_search", ("Content-Digest: sha-256=:YQ==:",)),
    "Digest": ("/books/_search", ("Digest: SHA-256=YQ==",)),
    "Content-MD5": ("/books/_search", ("Content-MD5: YQ==",)),
    "the draft's scheme": ("/books/_search", ('Authorization: Signature keyId="a",signature="b"',)),
}


@pytest.mark.parametrize(("target", "headers"), COVERED.values(), ids=COVERED)
@pytest.mark.parametrize("kind", ["search", "msearch", "template", "YAML"])
async def test_what_a_signature_covers_is_not_edited(target: str, headers: tuple[str, ...], kind: str) -> None:
    """Neither widened nor freed of `ext.rerank`, and no other request is made under it."""
    content = json.dumps(SEARCH, indent=1).encode()
    match kind:
        case "msearch":
            target, content = target.replace("_search", "_msearch"), b"{}\n" + json.dumps(SEARCH).encode() + b"\n"
        case "template":
            target = target.replace("_search", "_search/template")
        case "YAML":
            headers = (*headers, "Accept: application/yaml")
    async with proxied(reply(HITS)) as (port, engine):
        answer = await send(port, "POST", target, JSON, "X-Rerank-Window: 7", *headers, body=content)
    (received,) = engine.received
    reason = "not_json" if kind == "YAML" else "signed"
    assert [f"skipped; reason={reason}"] == answer.values("X-Rerank")
    assert (target, content) == (received.target, received.content)
    assert [] == received.values("X-Rerank-Window")
    for line in headers:
        name, _, value = line.partition(": ")
        assert [value] == received.values(name)
    assert HITS == answer.body


async def test_a_signed_search_is_off_where_reranking_is() -> None:
    """The operator's word comes first."""
    async with upstream(reply(HITS)) as engine:
        relay = RelayConnector(Relay([engine.url]), EngineFacts(product="opensearch"))
        async with relay as connector:
            off = RerankingConnector(connector, ScriptedScorer(), Policy(defaults=RerankOptions(enabled=False)))
            async with listening(ProxyApp(off, {}), Address.parse("127.0.0.1:0")) as address:
                answer = await send(address.port, "POST", "/books/_search", f"Authorization: {AWS4}", body=b"{}")
    assert ["skipped; reason=off"] == answer.values("X-Rerank")


# --- what we sign -------------------------------------------------------------------------------------------


def test_the_verifier_knows_the_specification() -> None:
    """AWS's own example `get-vanilla`, and one that was changed afterwards."""
    signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    headers = [
        ("Host", "example.amazonaws.com"),
        ("X-Amz-Date", "20150830T123600Z"),
        (
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
            f"SignedHeaders=host;x-amz-date, Signature={signature}",
        ),
    ]
    assert ["host", "x-amz-date"] == verify(Signed("GET", "/", headers), region="us-east-1", service="service")
    with pytest.raises(AssertionError):
        verify(Signed("GET", "/other", headers), region="us-east-1", service="service")
    with pytest.raises(AssertionError):
        verify(Signed("GET", "/", headers, b"x"), region="us-east-1", service="service")


def verified(received: Received, service: str) -> list[str]:
    """Return the headers that an upstream's request has signed."""
    signed = Signed(received.request_line.split(" ")[0], received.target, received.headers, received.content)
    return verify(signed, region="eu-central-1", service=service)


TARGETS: Final = (
    "/",
    "/books/_doc/1",
    "/a%2Cb,%3Clogs-%7Bnow%2Fd%7D%3E/_search?q=a+b%20c%2B&x=&y",
    "/books/_search?filter_path=hits.hits._id,took&size=1&_source_includes=b,a",
    "/books/_doc/100%25?routing=%C3%A4",
    "/books/_doc/a~b-c_d.e!$&'()*;=:@",
    "/books//_doc/1",
    "/books/../_cat/indices",
    "/_cat/indices/?v",
    "/?z=1&a=2&a=1",
)


@pytest.mark.parametrize("service", ["es", "aoss"])
@pytest.mark.parametrize("target", TARGETS)
async def test_what_is_sent_is_signed(service: str, target: str) -> None:
    """A verifier that has the request alone finds the same signature; every other byte stays."""
    headers = ("X-Opaque-Id: 7", "Cookie: a=b", "x-amz-meta-mine: 1", JSON)
    async with proxied(reply(), service=service) as (port, engine):
        await send(port, "PUT", target, *headers, body=b'{"a":1}')
        await send(port, "GET", target, "X-Opaque-Id: 7", "X-Rerank: off")
    put, get = engine.received
    for received in (put, get):
        assert target == received.target
        assert ["7"] == received.values("X-Opaque-Id")
        signed = verified(received, service)
        assert ["host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"] == signed
    assert (b'{"a":1}', ["a=b"], ["1"]) == (put.body, put.values("Cookie"), put.values("x-amz-meta-mine"))
    assert ["the/session+token=="] == put.values("x-amz-security-token")
    assert (b"", []) == (get.body, get.values("Content-Length"))


async def test_a_streamed_body_is_signed_whole() -> None:
    """A chunked bulk arrives with a length and the digest of all of it."""
    body = b"4\r\n{}\n{\r\n3\r\n}\n\n\r\n0\r\n\r\n"
    async with proxied(reply(), service="es") as (port, engine):
        await send(port, "POST", "/_bulk", "Transfer-Encoding: chunked", body=body)
    (received,) = engine.received
    verified(received, "es")
    assert (b"{}\n{}\n\n", ["7"]) == (received.body, received.values("Content-Length"))


async def test_a_reranked_search_is_signed_anew() -> None:
    """A caller's own AWS signature makes room for ours, and the search is reranked."""
    async with proxied(reply(HITS), service="aoss") as (port, engine):
        old = (f"Authorization: {AWS4}", "X-Amz-Date: 20150830T123600Z", "X-Amz-Security-Token: old")
        answer = await send(port, "POST", "/books/_search", JSON, *old, body=json.dumps(SEARCH).encode())
    assert answer.values("X-Rerank")[0].startswith("applied"), answer.head
    for received in engine.received:
        verified(received, "aoss")
        assert b"rerank" not in received.content
        assert "old" not in received.values("x-amz-security-token")
    assert ["2", "1", "0"] == [hit["_id"] for hit in json.loads(answer.body)["hits"]["hits"]]


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/books/_doc/1", ("Authorization: Basic dTpw",)),
        ("/books/_doc/1?X-Amz-Signature=0a&X-Amz-Date=1", ()),
    ],
    ids=["a credential of the engine's", "presigned"],
)
async def test_another_credential_of_the_callers_stays(target: str, headers: tuple[str, ...]) -> None:
    """It is nothing that we could renew."""
    async with proxied(reply(), service="es") as (port, engine):
        await send(port, "GET", target, *headers)
    (received,) = engine.received
    assert [line.partition(": ")[2] for line in headers] == received.values("Authorization")
    assert [] == received.values("X-Amz-Date")


async def test_too_long_a_body_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would have to be held in memory; the engine never hears of it."""
    monkeypatch.setattr("connectors.relay.MAX_SIGNED_BYTES", 5)
    async with proxied(reply(), service="es") as (port, engine):
        answer = await send(port, "POST", "/_bulk", body=b"123456")
    assert (413, "content_too_long_exception") == (answer.status, json.loads(answer.body)["error"]["type"])
    assert [] == engine.received


async def test_no_credentials_is_an_error_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found out when a request is to be signed: the chain may ask a network service."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    signer = AwsSigner("eu-central-1")
    with pytest.raises(EngineUnavailable, match="botocore finds no AWS credentials"):
        await signer.sign("GET", "http://127.0.0.1:1", "/", (), b"")


async def test_credentials_that_expire_are_renewed() -> None:
    """botocore is asked again, in a thread, when it says that they need it."""

    class Expiring:
        asked = 0

        def refresh_needed(self) -> bool:
            return True

        def get_frozen_credentials(self) -> Any:
            from botocore.credentials import ReadOnlyCredentials

            self.asked += 1
            return ReadOnlyCredentials("AKIDEXAMPLE", SECRETS["AKIDEXAMPLE"], f"token {self.asked}")

    class Session:
        credentials = Expiring()

        def get_credentials(self) -> Expiring:
            return self.credentials

    signer = AwsSigner("eu-central-1", session=Session())
    tokens = []
    for _ in range(2):
        headers = await signer.sign("GET", "http://127.0.0.1:1", "/", (("Host", "127.0.0.1:1"),), b"")
        verify(Signed("GET", "/", headers), region="eu-central-1", service="es")
        tokens.append(dict(headers)["X-Amz-Security-Token"])
    assert ["token 1", "token 2"] == tokens


async def test_the_program_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """By two settings, in the environment as in the file."""
    async with upstream(reply(b'{"version":{"distribution":"opensearch","number":"3.8.0"}}')) as engine:
        monkeypatch.setenv("RERANK_SIDECAR_ENGINE__AWS_REGION", "eu-central-1")
        monkeypatch.setenv("RERANK_SIDECAR_ENGINE__AWS_SERVICE", "aoss")
        settings = load(None, {"engine.url": engine.url})
        async with parts.open_engine(settings) as connector:
            await connector.ping()
    assert settings.policy().resigns
    assert len(engine.received) == 2
    for received in engine.received:
        verified(received, "aoss")


def test_signing_without_botocore_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    monkeypatch.setitem(__import__("sys").modules, "botocore.session", None)
    with pytest.raises(ConfigError, match=r'pip install "rerank-sidecar\[aws\]"'):
        load(None, {"engine.aws_region": "eu-central-1"}).engine.options()


@pytest.mark.parametrize("other", [{"engine.api_key": "k"}, {"engine.username": "u", "engine.password": "p"}])
def test_signing_leaves_no_room_for_another_credential(other: dict[str, str]) -> None:
    """Both would be the one Authorization header."""
    with pytest.raises(ConfigError, match="aws_region signs requests"):
        load(None, {"engine.aws_region": "eu-central-1", **other})

"""TLS on both sides: who is trusted, who must show a certificate, and whose name counts."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import trustme

from connectors.relay import EngineFacts, EngineOptions, Relay, RelayConnector
from sidecar.errors import ConfigError
from sidecar.program import parts
from sidecar.program.config import load
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse, Endpoints, json_response
from sidecar.proxy.listener import Address, listening, server_context
from tests.program.processes import ANYWHERE, QUICK_END, running
from tests.unit.doubles import ScriptedEngine
from tests.unit.raw_http import exchange, request

ANY_HOST: Final = Address(host="127.0.0.1", port=0)


@dataclass(frozen=True)
class Files:
    """Certificates in files."""

    folder: Path
    authority: trustme.CA = field(default_factory=trustme.CA)

    @property
    def ca(self) -> str:
        """The authority's certificate."""
        return self._written("ca.pem", self.authority.cert_pem.bytes())

    def server(self, *names: str) -> tuple[str, str]:
        """A certificate for a server, and its key."""
        issued = self.authority.issue_cert(*(names or ("localhost", "127.0.0.1")))
        return self._pair("server", issued)

    def client(self) -> tuple[str, str]:
        """A certificate for a client, and its key."""
        return self._pair("client", self.authority.issue_cert("someone@example.org"))

    def _pair(self, name: str, issued: trustme.LeafCert) -> tuple[str, str]:
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        return self._written(f"{name}.pem", chain), self._written(f"{name}.key", issued.private_key_pem.bytes())

    def _written(self, name: str, content: bytes) -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        path.write_bytes(content)
        return str(path)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Certificates that are trusted."""
    return Files(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Certificates of another authority."""
    return Files(tmp_path_factory.mktemp("theirs"))


async def hello(asked: EndpointRequest) -> EndpointResponse:
    """Answer."""
    return json_response({"path": asked.path})


HELLO: Final[Endpoints] = {("GET", "/hello"): hello}


def trusting(ca: str, pair: tuple[str, str] | None = None) -> ssl.SSLContext:
    """Return a client's context."""
    context = ssl.create_default_context(cafile=ca)
    if pair is not None:
        context.load_cert_chain(*pair)
    return context


async def get(url: str, context: ssl.SSLContext) -> int:
    """Return the status of a request."""
    async with aiohttp.ClientSession() as session, session.get(url, ssl=context) as answer:
        await answer.read()
        return answer.status


# --- in -----------------------------------------------------------------------------------------------------


async def test_the_listener_speaks_tls(ours: Files, theirs: Files) -> None:
    """With TLS 1.2 or later; whoever trusts somebody else gets no connection, and plain HTTP no answer."""
    context = server_context(*ours.server())
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    async with listening(ProxyApp(None, HELLO), ANY_HOST, context) as address:
        assert f"https://127.0.0.1:{address.port}" == str(address)
        assert 200 == await get(f"{address}/hello", trusting(ours.ca))
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await get(f"{address}/hello", trusting(theirs.ca))
        plain = await exchange(address.port, request("GET", "/hello"))
        assert b"HTTP/1.1 200" not in plain.content


async def test_callers_may_have_to_show_a_certificate(ours: Files, theirs: Files) -> None:
    """Of the authority that is named, and of no other."""
    context = server_context(*ours.server(), ours.ca)
    async with listening(ProxyApp(None, HELLO), ANY_HOST, context) as address:
        assert 200 == await get(f"{address}/hello", trusting(ours.ca, ours.client()))
        for stranger in (trusting(ours.ca), trusting(ours.ca, theirs.client())):
            with pytest.raises((aiohttp.ClientError, ConnectionError)):
                await get(f"{address}/hello", stranger)


def test_what_is_no_certificate_is_refused_at_the_start(ours: Files, theirs: Files, tmp_path: Path) -> None:
    """With the files that were named; nobody is asked for the password of a key."""
    from cryptography.hazmat.primitives import serialization

    cert, key = ours.server()
    locked = tmp_path / "locked.key"
    private = serialization.load_pem_private_key(Path(key).read_bytes(), None)
    form, how = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locked.write_bytes(private.private_bytes(form, how, serialization.BestAvailableEncryption(b"password")))
    for given in (
        (cert, theirs.server()[1], None),
        (cert, str(tmp_path / "none"), None),
        (cert, str(locked), None),
        (key, None, None),
        (cert, key, str(tmp_path / "none")),
        (cert, key, key),
    ):
        with pytest.raises(ConfigError, match=r"^tls: /"):
            server_context(*given)


@pytest.mark.parametrize("given", [{"tls.key": "k"}, {"tls.client_ca": "c"}])
def test_a_key_alone_is_a_mistake(given: dict[str, str]) -> None:
    """Whoever means TLS must not get plain HTTP."""
    with pytest.raises(ConfigError, match=r"^command line: tls|configuration: tls.*give cert"):
        load(None, given)


@pytest.mark.timeout(120)
async def test_the_program_speaks_tls(ours: Files) -> None:
    """By its settings; probes on the admin listener stay plain."""
    cert, key = ours.server()
    settings = {"RERANK_SIDECAR_TLS__CERT": cert, "RERANK_SIDECAR_TLS__KEY": key, **QUICK_END}
    scorer = ("--scorer", "test:identity", "--allow-test-scorers")
    with running("serve", "--engine", "embedded", "--listen", ANYWHERE, *scorer, **settings) as program:
        url = await asyncio.to_thread(lambda: program.said(r"^listening on (https://\S+)$")[1])
        assert 200 == await get(f"{url}/_rerank/live", trusting(ours.ca))
        assert 200 == await get(f"{url}/_cat/indices?format=json", trusting(ours.ca))
        admin = program.said(r"^probes and metrics on (http://\S+)/_rerank/metrics$")[1]
        async with aiohttp.ClientSession() as session, session.get(f"{admin}/_rerank/live") as answer:
            assert 200 == answer.status
        assert 0 == await asyncio.to_thread(program.end)


# --- out ----------------------------------------------------------------------------------------------------


@dataclass
class Heard:
    """What an engine with TLS saw of its clients."""

    names: list[str | None] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    certificates: list[Any] = field(default_factory=list)


@asynccontextmanager
async def secure_engine(context: ssl.SSLContext) -> AsyncIterator[tuple[int, Heard]]:
    """Serve an engine under TLS; gives its port."""
    heard = Heard()
    context.sni_callback = lambda _, name, __: heard.names.append(name)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            heard.hosts += [line[6:] for line in head.split("\r\n") if line.startswith("Host: ")]
            heard.certificates.append(writer.get_extra_info("peercert"))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            await writer.drain()
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], heard


async def through(url: str, *headers: str, **options: Any) -> tuple[int, str]:
    """Return status and text of a request through a proxy in front of `url`."""
    lines = "".join(f"{line}\r\n" for line in ("GET /a HTTP/1.1", *headers, "Connection: close", ""))
    async with (
        RelayConnector(Relay([url], EngineOptions(**options)), EngineFacts(product="unknown")) as connector,
        listening(ProxyApp(connector, {}), ANY_HOST) as address,
    ):
        answer = await exchange(address.port, lines.encode())
    return answer.status, answer.body.decode()


async def test_the_engine_s_own_name_counts(ours: Files) -> None:
    """Host and SNI are the engine's, whatever the caller says."""
    async with secure_engine(server_context(*ours.server("localhost"))) as (port, heard):
        headers = ("Host: evil.example", "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example")
        status, _ = await through(f"https://localhost:{port}", *headers, ca_certs=ours.ca)
    assert 200 == status
    assert (["localhost"], [f"localhost:{port}"]) == (heard.names, heard.hosts)


async def test_only_the_named_authority_is_trusted(ours: Files, theirs: Files, tmp_path: Path) -> None:
    """Not another one, not the system's, and not for another name; a folder of certificates will do, too."""
    hashed = tmp_path / "hashed"
    hashed.mkdir()
    async with secure_engine(server_context(*ours.server("localhost"))) as (port, _):
        url = f"https://localhost:{port}"
        for options in ({"ca_certs": theirs.ca}, {}, {"ca_certs": str(hashed)}):
            status, words = await through(url, "Host: a", **options)
            assert (502, True) == (status, "TLS failed" in words or "certificate" in words.lower()), words
        status, words = await through(f"https://127.0.0.1:{port}", "Host: a", ca_certs=ours.ca)
        assert (502, "engine_unavailable") == (status, json.loads(words)["error"]["type"])
        assert 200 == (await through(url, "Host: a", verify_certs=False))[0]


async def test_our_own_certificate_is_shown(ours: Files, theirs: Files) -> None:
    """To an engine that asks for one, also to one that is not verified."""
    context = server_context(*ours.server("localhost"), ours.ca)
    cert, key = ours.client()
    async with secure_engine(context) as (port, heard):
        url = f"https://localhost:{port}"
        assert 200 == (await through(url, "Host: a", ca_certs=ours.ca, client_cert=cert, client_key=key))[0]
        assert 200 == (await through(url, "Host: a", verify_certs=False, client_cert=cert, client_key=key))[0]
        assert all(certificate for certificate in heard.certificates)
        assert 502 == (await through(url, "Host: a", ca_certs=ours.ca))[0]
        other, other_key = theirs.client()
        refused = await through(url, "Host: a", ca_certs=ours.ca, client_cert=other, client_key=other_key)
        assert 502 == refused[0]


@pytest.mark.parametrize("section", ["engine", "scorer"])
async def test_certificates_that_cannot_be_read_stop_the_program(section: str, ours: Files, tmp_path: Path) -> None:
    """Before anything listens, with the file's name."""
    missing, (_, key) = str(tmp_path / "none.pem"), ours.client()
    (tmp_path / "text.pem").write_text("no certificate")
    for setting, path in (("ca_certs", missing), ("ca_certs", str(tmp_path / "text.pem")), ("client_cert", missing)):
        flags = {f"{section}.url": "https://localhost:1", f"{section}.{setting}": path, f"{section}.client_key": key}
        options = parts.Options(settings=load(None, flags))
        opened = parts.open_engine(options.settings) if section == "engine" else parts.open_scorer(options)
        with pytest.raises(ConfigError, match=f"^{section}.ca_certs.*{Path(path).name}"):
            await opened.__aenter__()


async def test_a_scorer_elsewhere_is_reached_over_tls(ours: Files) -> None:
    """With its own authority and our certificate."""
    from sidecar.rerank_api.api_key import ApiKey
    from sidecar.rerank_api.endpoints import guarded
    from sidecar.rerank_api.scoring_protocol import ScoringProtocol
    from sidecar.scoring.wire import MODEL_PATH, SCORE_PATH
    from tests.unit.doubles import ScriptedScorer

    protocol = ScoringProtocol(ScriptedScorer())
    key = ApiKey("k")
    served: Endpoints = {
        ("GET", MODEL_PATH): guarded(protocol.model, key),
        ("POST", SCORE_PATH): guarded(protocol.score, key),
    }
    context = server_context(*ours.server("localhost"), ours.ca)
    async with listening(ProxyApp(ScriptedEngine(), served), ANY_HOST, context) as address:
        cert, private = ours.client()
        flags = {
            "url": f"https://localhost:{address.port}",
            "ca_certs": ours.ca,
            "client_cert": cert,
            "client_key": private,
        }
        settings = load(None, {f"scorer.{name}": value for name, value in {**flags, "api_key": "k"}.items()})
        async with parts.open_scorer(parts.Options(settings=settings)) as scorer:
            await parts.await_facts(scorer)
            assert [-0.03] == await scorer.score("a", ["abc"])

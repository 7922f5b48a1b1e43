"""Listening, and stopping without losing a request."""

import asyncio
from pathlib import Path

import pytest

from sidecar.errors import ConfigError
from sidecar.proxy.app import ProxyApp
from sidecar.proxy.endpoints import EndpointRequest, EndpointResponse, json_response
from sidecar.proxy.listener import Address, bound, drain, listening
from tests.unit.raw_http import Answer, exchange, request

ANYWHERE = Address(host="127.0.0.1", port=0)


async def hello(_: EndpointRequest) -> EndpointResponse:
    """Answer at once."""
    return json_response("hello")


# --- addresses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address", "shown"),
    [
        ("127.0.0.1:9280", Address(host="127.0.0.1", port=9280), "http://127.0.0.1:9280"),
        ("[::1]:80", Address(host="::1", port=80), "http://[::1]:80"),
        (":9280", Address(host="0.0.0.0", port=9280), "http://0.0.0.0:9280"),
        ("localhost:0", Address(host="localhost", port=0), "http://localhost:0"),
        ("unix:/run/a b.sock", Address(unix="/run/a b.sock"), "unix:/run/a b.sock"),
    ],
)
def test_addresses(text: str, address: Address, shown: str) -> None:
    """As an operator writes them, and as people can use them."""
    assert address == Address.parse(text)
    assert shown == str(address)


@pytest.mark.parametrize(
    "text", ["", "localhost", "9280", "h:", "h:x", "h:-1", "h:65536", "127.0.0.1:80:1", "h:80/x", "http://h:80/"]
)
def test_other_texts_are_no_addresses(text: str) -> None:
    """The message shows two that would be right."""
    with pytest.raises(ConfigError, match=r"is not like 127\.0\.0\.1:9280 or unix:"):
        Address.parse(text)


# --- listening ----------------------------------------------------------------------------------------------


async def test_port_zero_is_any_free_port() -> None:
    """The address that was bound is given."""
    app = ProxyApp(None, {("GET", "/hello"): hello})
    async with listening(app, ANYWHERE) as address:
        assert address.port > 0
        assert b'"hello"\n' == (await exchange(address.port, request("GET", "/hello"))).body
    with pytest.raises(OSError, match=r"[Cc]onnect"):
        await exchange(address.port, request("GET", "/hello"))


async def test_a_port_that_is_taken_is_a_configuration_error() -> None:
    """It names the address."""
    async with listening(ProxyApp(None, {}), ANYWHERE) as taken:
        with pytest.raises(ConfigError, match=rf"cannot listen at http://127\.0\.0\.1:{taken.port}: "):
            async with listening(ProxyApp(None, {}), taken):
                pass


async def test_a_unix_socket_replaces_a_stale_one(tmp_path: Path) -> None:
    """A socket file that an earlier process left does no harm; another file is not touched."""
    path = tmp_path / "s.sock"
    app = ProxyApp(None, {("GET", "/hello"): hello})
    for _ in range(2):
        async with listening(app, Address(unix=str(path))) as address:
            assert f"unix:{path}" == str(address)
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(request("GET", "/hello"))
            assert b'"hello"\n' == Answer(await reader.read()).body
            writer.close()
            await writer.wait_closed()
    file = tmp_path / "file"
    file.write_text("precious")
    with pytest.raises(ConfigError):
        async with listening(app, Address(unix=str(file))):
            pass
    assert "precious" == file.read_text()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_several_may_take_connections_from_one_socket(tmp_path: Path, kind: str) -> None:
    """One that stops loses nothing: what comes is taken by the others, and whoever has bound it closes it last."""
    address = ANYWHERE if kind == "tcp" else Address(unix=str(tmp_path / "s.sock"))
    sockets = await bound(address)

    def app(name: str) -> ProxyApp:
        async def answer(_: EndpointRequest) -> EndpointResponse:
            return json_response(name)

        return ProxyApp(None, {("GET", "/name"): answer})

    async def ask(where: Address) -> bytes:
        opened = (
            asyncio.open_unix_connection(where.unix) if where.unix else asyncio.open_connection("127.0.0.1", where.port)
        )
        reader, writer = await opened
        writer.write(request("GET", "/name"))
        answer = Answer(await reader.read())
        writer.close()
        await writer.wait_closed()
        return answer.body

    copies = [[each.dup() for each in sockets] for _ in range(2)]
    first, second = (listening(app(name), address, None, shared) for name, shared in zip("ab", copies, strict=True))
    where = await first.__aenter__()
    assert where == await second.__aenter__()
    assert {b'"a"\n', b'"b"\n'} >= {await ask(where) for _ in range(20)}
    await first.__aexit__(None, None, None)
    assert [b'"b"\n'] * 20 == [await ask(where) for _ in range(20)]
    await second.__aexit__(None, None, None)
    waiting = asyncio.ensure_future(ask(where))  # nobody takes it, and nobody refuses it
    await asyncio.sleep(0.01)
    assert not waiting.done()
    for each in sockets:
        each.close()
    with pytest.raises(ConnectionError):
        await waiting


async def test_a_taken_port_cannot_be_bound() -> None:
    """As when it is listened on."""
    (taken,) = await bound(ANYWHERE)
    try:
        with pytest.raises(ConfigError, match=r"cannot listen at http://127\.0\.0\.1:"):
            await bound(Address(host="127.0.0.1", port=taken.getsockname()[1]))
    finally:
        taken.close()


# --- stopping -----------------------------------------------------------------------------------------------


async def test_draining_asks_clients_to_close() -> None:
    """Everything is still answered, with `Connection: close`."""
    app = ProxyApp(None, {("GET", "/hello"): hello})
    async with listening(app, ANYWHERE) as address:
        before = await exchange(address.port, request("GET", "/hello", is_last=True))
        draining = asyncio.ensure_future(drain([app], 0.01))
        await asyncio.sleep(0)
        reader, writer = await asyncio.open_connection("127.0.0.1", address.port)
        writer.write(request("GET", "/hello", is_last=False))
        during = Answer(await reader.read())  # the server closes
        writer.close()
        await writer.wait_closed()
        await draining
    assert (before.body, ["close"]) == (during.body, during.values("Connection"))


async def test_a_request_in_flight_is_finished() -> None:
    """Leaving the context waits for it."""
    entered, finish = asyncio.Event(), asyncio.Event()

    async def slow(_: EndpointRequest) -> EndpointResponse:
        entered.set()
        await finish.wait()
        return json_response("done")

    context = listening(ProxyApp(None, {("GET", "/slow"): slow}), ANYWHERE)
    address = await context.__aenter__()
    asking = asyncio.ensure_future(exchange(address.port, request("GET", "/slow")))
    await entered.wait()
    leaving = asyncio.ensure_future(context.__aexit__(None, None, None))
    await asyncio.sleep(0.005)
    finish.set()
    assert b'"done"\n' == (await asking).body
    await leaving

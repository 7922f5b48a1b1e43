"""Tests of the guard that keeps the tests off the network, and of the environment they run in."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from tests.loopback import NetworkForbidden, loopback_only

DOCUMENTATION_ADDRESS = "192.0.2.1"  # RFC 5737: nobody's


@pytest.mark.parametrize("connect", ["connect", "connect_ex"])
def test_another_machine_is_refused(connect: str) -> None:
    """A connection that would leave this machine fails the test."""
    with socket.socket() as client, pytest.raises(NetworkForbidden, match=DOCUMENTATION_ADDRESS):
        getattr(client, connect)((DOCUMENTATION_ADDRESS, 80))


async def test_asyncio_is_guarded_too() -> None:
    """The event loop connects through the same sockets."""
    with pytest.raises(NetworkForbidden, match=DOCUMENTATION_ADDRESS):
        await asyncio.open_connection(DOCUMENTATION_ADDRESS, 80)


def test_a_name_of_the_internet_is_not_looked_up() -> None:
    """A name server is another machine."""
    with pytest.raises(NetworkForbidden, match="example\\.org"):
        socket.create_connection(("example.org", 80))


def test_a_name_that_cannot_exist_is_unknown() -> None:
    """Tests of a wrong address get the error that a user would get."""
    with pytest.raises(socket.gaierror):
        socket.create_connection(("nowhere.invalid", 80))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_is_open(host: str) -> None:
    """Servers of the tests' own are reached by address and by name."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection((host, server.getsockname()[1])) as client,
    ):
        assert client.getpeername() == server.getsockname()


def test_unix_sockets_are_open(tmp_path: Path) -> None:
    """The scorer's socket is a file."""
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "socket"))
        server.listen()
        client.connect(str(tmp_path / "socket"))
        assert client.getpeername() == str(tmp_path / "socket")


def test_an_allowed_host_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that the environment names may be anywhere."""
    reached: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: reached.append(address))
    with loopback_only(allowed=frozenset({DOCUMENTATION_ADDRESS})), socket.socket() as client:
        client.connect((DOCUMENTATION_ADDRESS, 9200))
    assert reached == [(DOCUMENTATION_ADDRESS, 9200)]


def test_the_environment_is_clean() -> None:
    """No setting of the machine reaches a test, and no model hub does."""
    assert [name for name in os.environ if name.startswith("RERANK_SIDECAR_")] == []
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert Path(os.environ["HF_HOME"]).name.startswith("no-models-")

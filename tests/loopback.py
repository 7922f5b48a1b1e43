"""Keeps the tests off the network: this process connects to loopback addresses and unix sockets, and nowhere else.

Its one law: an attempt to go further fails the test that made it, instead of looking like a peer that is down. So the
refusal is no OSError, which the code under test may catch. Guarded is what Python's `socket` opens, not child
processes or libraries with a network stack of their own.
"""

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


class NetworkForbidden(RuntimeError):
    """A test tried to leave this machine."""


@contextmanager
def loopback_only(*, allowed: frozenset[str] = frozenset()) -> Iterator[None]:
    """Refuse to connect to, or to look up, anything but loopback and the allowed host names."""

    def check(host: object) -> None:
        if not (host in allowed or _is_local(host)):
            raise NetworkForbidden(f"tests reach loopback only, and this one tried {host!r}")

    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        check(_host(self, address))
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        check(_host(self, address))
        return connect_ex(self, address)

    def guarded_look_up(host: Any, *args: Any, **options: Any) -> Any:
        if isinstance(host, str) and host.endswith(".invalid"):  # RFC 6761: never exists, so no need to ask
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        check(host)
        return look_up(host, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_look_up)
        yield


def _host(opened: socket.socket, address: Any) -> object:
    """Return the host of an internet address; None for a socket of another family, which stays on this machine."""
    return address[0] if opened.family in (socket.AF_INET, socket.AF_INET6) else None


def _is_local(host: object) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if name is None or name == "localhost":
        return True
    try:
        return ipaddress.ip_address(str(name)).is_loopback
    except ValueError:
        return False

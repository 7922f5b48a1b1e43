"""Connections on the wire. Slow and long heads: tests/security/test_torture.py."""

import json
import logging

import pytest

from sidecar.proxy.app import ProxyApp
from sidecar.proxy.listener import Address, listening
from tests.unit.doubles import ScriptedEngine
from tests.unit.raw_http import exchange, request


async def test_what_is_no_http_is_refused_in_the_engine_s_shape(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the log nor the answer repeats it, and the log says it once."""
    caplog.set_level(logging.DEBUG)
    async with listening(ProxyApp(ScriptedEngine(), {}), Address(host="127.0.0.1")) as address:
        for _ in range(5):
            answer = await exchange(address.port, request("GET", "/", "Authorization : Basic canary"))
            assert 400 == answer.status
            assert "illegal_argument_exception" == json.loads(answer.body)["error"]["type"]
            assert b"canary" not in answer.content
    assert 1 == caplog.text.count("request_refused reason=")
    assert "canary" not in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
async def test_an_upgrade_is_not_done_and_ends_the_connection(protocol: str) -> None:
    """aiohttp would read no further request on it: the client has to know."""
    headers = ("Connection: Upgrade", f"Upgrade: {protocol}")
    async with listening(ProxyApp(ScriptedEngine(), {}), Address(host="127.0.0.1")) as address:
        answer = await exchange(address.port, request("POST", "/a/_doc", *headers, body=b"abc", is_last=False))
    assert (200, ["close"]) == (answer.status, answer.values("Connection"))
    assert b"POST /a/_doc 3" == answer.body

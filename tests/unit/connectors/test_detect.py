"""connect(url): the engine's own answer decides who it is."""

import json
import logging

import pytest

from connectors.detect import connect, connect_with
from connectors.elasticsearch import ElasticsearchConnector
from connectors.errors import EngineUnavailable, UnknownEngine
from connectors.opensearch import OpenSearchConnector
from connectors.relay import EngineOptions, RelayConnector
from tests.unit.raw_http import reply, upstream

ELASTICSEARCH = reply(
    json.dumps({"version": {"number": "9.5.3"}, "tagline": "You Know, for Search"}).encode(),
    headers=("X-Elastic-Product: Elasticsearch",),
)
OPENSEARCH = reply(json.dumps({"version": {"distribution": "opensearch", "number": "3.8.0"}}).encode())


async def test_elasticsearch_answers_for_itself() -> None:
    """One `GET /` with our credentials, and the connector has the version."""
    async with upstream(ELASTICSEARCH) as engine, await connect(engine.url, api_key="a2V5") as connector:
        assert isinstance(connector, ElasticsearchConnector)
        assert "elasticsearch 9.5.3" == connector.name
    (received,) = engine.received
    assert ("GET / HTTP/1.1", ["ApiKey a2V5"]) == (received.request_line, received.values("Authorization"))


async def test_opensearch_answers_for_itself() -> None:
    """The distribution in the answer decides."""
    async with upstream(OPENSEARCH) as engine, await connect([engine.url]) as connector:
        assert isinstance(connector, OpenSearchConnector)
        assert "opensearch 3.8.0" == connector.name


async def test_the_callers_word_is_taken() -> None:
    """With a prefix nobody is asked."""
    async with upstream(reply()) as engine:
        async with await connect(f"opensearch+{engine.url}") as connector:
            assert isinstance(connector, OpenSearchConnector)
        async with await connect([f"elasticsearch+{engine.url}", f"elasticsearch+{engine.url}/b"]) as connector:
            assert isinstance(connector, ElasticsearchConnector)
    assert [] == engine.received


@pytest.mark.parametrize(
    ("urls", "message"),
    [
        ("solr+http://h", "engine kind 'solr'"),
        (["elasticsearch+http://a", "opensearch+http://b"], "of one kind"),
        (["elasticsearch+http://a", "http://b"], "of one kind"),
        ("localhost:9200", "is not like"),
    ],
)
async def test_urls_that_make_no_sense(urls: str | list[str], message: str) -> None:
    """ValueError says what is wrong before anybody is asked."""
    with pytest.raises(ValueError, match=message):
        await connect(urls)


async def test_a_plus_in_a_password_is_no_prefix() -> None:
    """Only what stands before the scheme names an engine."""
    async with upstream(ELASTICSEARCH) as engine, await connect(f"http://u:a+b@127.0.0.1:{engine.port}"):
        pass
    assert ["Basic dTphK2I="] == engine.received[0].values("Authorization")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"version":"1"}'])
async def test_somebody_else_is_an_error_that_says_what_to_do(body: bytes) -> None:
    """Neither engine: the message names the prefixes."""
    async with upstream(reply(body)) as engine:
        with pytest.raises(UnknownEngine, match=r"say which it is: elasticsearch\+http"):
            await connect(engine.url)


async def test_an_engine_that_is_down_is_an_error() -> None:
    """Unless it may be down: then it is unknown, and a warning says why."""
    with pytest.raises(EngineUnavailable):
        await connect("http://127.0.0.1:9")


async def test_an_engine_may_be_down_at_start(caplog: pytest.LogCaptureFixture) -> None:
    """A proxy can start before its engine."""
    with caplog.at_level(logging.WARNING):
        async with await connect_with(EngineOptions(), "http://127.0.0.1:9", may_be_down=True) as connector:
            assert (RelayConnector, "unknown") == (type(connector), connector.name)
    assert "engine_unreachable" in caplog.text


async def test_a_secured_engine_may_hide_its_name() -> None:
    """401 without credentials of our own: unknown where that is allowed, an error where not."""
    async with upstream(reply(b'{"error":{}}', status="401 Unauthorized")) as engine:
        async with await connect_with(EngineOptions(), engine.url, may_be_down=True) as connector:
            assert "unknown" == connector.name
        with pytest.raises(UnknownEngine, match="answers 401"):
            await connect(engine.url)

"""Our own endpoints' answers."""

from sidecar.proxy.endpoints import EndpointResponse, json_response


def test_a_value_becomes_a_json_answer() -> None:
    """With a newline at its end, for people at a terminal."""
    expected = EndpointResponse(status=201, body=b'{"a": 1}\n', headers=(("b", "c"),))
    assert expected == json_response({"a": 1}, 201, (("b", "c"),))
    assert (200, "application/json", ()) == (
        json_response(None).status,
        json_response(None).content_type,
        json_response(None).headers,
    )

"""The tree of engine errors."""

from connectors import errors


def test_every_error_is_an_engine_error() -> None:
    """Whoever catches EngineError catches all of them."""
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert 7 == len(found)
    assert all(issubclass(error, errors.EngineError) for error in found)


def test_status_error_keeps_status_and_body() -> None:
    """The engine's own words stay at hand."""
    error = errors.EngineStatusError("refused", status=404, body=b"{}")
    assert (404, b"{}", "refused") == (error.status, error.body, str(error))

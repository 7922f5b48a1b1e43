"""One library per engine, filled once and searched by all integration tests. Tests that write have their own index."""

from collections.abc import Callable, Iterator

import pytest

from tests.integration.books import call, put_library


@pytest.fixture(scope="session")
def library(engine_url: str, new_index_name: Callable[[], str]) -> Iterator[str]:
    """Name of the index with the library; nobody writes to it."""
    name = f"library-{new_index_name()}"
    put_library(engine_url, name)
    yield name
    call(engine_url, "DELETE", f"/{name}")

"""An empty embedded engine for each test."""

import pytest

from tests.unit.connectors.embedded.asking import Asker


@pytest.fixture
def engine() -> Asker:
    """An engine without indices."""
    return Asker()

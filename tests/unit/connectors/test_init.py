"""The public names of the package, loaded when they are asked for."""

import subprocess
import sys

import pytest

import connectors


@pytest.mark.parametrize("name", connectors.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    """The list of names and their homes agree."""
    assert getattr(connectors, name).__name__ == name


def test_another_name_cannot() -> None:
    """With Python's own kind of error."""
    with pytest.raises(AttributeError, match="module 'connectors' has no attribute 'Nothing'"):
        _ = connectors.Nothing


def test_importing_costs_no_client_library() -> None:
    """Nor an HTTP library, nor anything of the second stage."""
    code = (
        "import sys, connectors;"
        "print({'aiohttp', 'elasticsearch', 'opensearchpy', 'tantivy', 'sidecar', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "set()" == done.stdout.strip()

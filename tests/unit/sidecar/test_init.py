"""The public names of the package, loaded when they are asked for."""

import subprocess
import sys

import pytest

import sidecar


@pytest.mark.parametrize("name", sidecar.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    """The list of names and their homes agree."""
    assert getattr(sidecar, name).__name__ == name


def test_another_name_cannot() -> None:
    """With Python's own kind of error."""
    with pytest.raises(AttributeError, match="module 'sidecar' has no attribute 'Nothing'"):
        _ = sidecar.Nothing


def test_importing_costs_nothing() -> None:
    """No HTTP library, no model."""
    code = "import sys, sidecar; print({'aiohttp', 'connectors', 'pydantic', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "set()" == done.stdout.strip()

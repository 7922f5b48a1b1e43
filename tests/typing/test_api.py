"""The types of the public API are what its users are promised."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.timeout(300)  # mypy reads torch's and the clients' types when nobody has before
def test_mypy_agrees() -> None:
    """With every line of `api.py`, strictly."""
    command = [sys.executable, "-m", "mypy", str(REPOSITORY / "tests" / "typing" / "api.py")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr), done.stdout

"""The scoring modules import on a GPU machine that has torch, transformers and aiohttp, and little else of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ALL = (
    "import pkgutil, sidecar.scoring as scoring; "
    "names = [module.name for module in pkgutil.walk_packages(scoring.__path__, 'sidecar.scoring.')]; "
    "names.remove('sidecar.scoring.ray_serve')"  # a program of its own, which Ray starts
)
SERVING = (
    "names = ['sidecar.scoring.' + name for name in ('loading', 'scheduler', 'models', 'any_model', 'cuda.models')]"
)


@pytest.mark.parametrize(
    ("names", "absent"),
    [
        (ALL, "pydantic pydantic_settings elasticsearch elastic_transport opensearchpy tantivy typer"),
        (SERVING, "pydantic pydantic_settings elasticsearch elastic_transport opensearchpy tantivy typer cachetools"),
    ],
    ids=["all of scoring", "what scores"],
)
def test_scoring_needs_no_more_than_its_models_do(names: str, absent: str) -> None:
    """Neither pydantic nor an engine's client; what a GPU machine runs needs no cache library either."""
    block = f"import sys; sys.modules.update(dict.fromkeys({absent.split()!r}))"  # None there makes an import fail
    code = f"{block}; {names}; import importlib; [importlib.import_module(name) for name in names]; print(len(names))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 5

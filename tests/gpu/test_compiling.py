"""The kernels compile for a Hopper chip, and fit into it, on a machine without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SHARED_MEMORY = 227 * 1024
"""What one block can have on compute capability 9.0."""

WITH_PRODUCTS = {"attend_kernel", "dense_gelu_kernel"}
ALL = WITH_PRODUCTS | {
    "embed_kernel",
    "add_norm_kernel",
    "bias_gelu_kernel",
    "attend_once_kernel",
    "max_similarity_kernel",
    "read_once_kernel",
}


@pytest.mark.timeout(300)
def test_every_kernel_fits_into_a_chip() -> None:
    """No register is spilled, shared memory suffices, and products of matrices run on the tensor cores."""
    pytest.importorskip("triton")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.gpu.compile_for_hopper", "float16"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kernels = {found["kernel"]: found for found in map(json.loads, done.stdout.splitlines())}
    assert set(kernels) == ALL
    for name, found in kernels.items():
        assert found["spilled"] == 0, found
        assert found["shared"] <= SHARED_MEMORY, found
        assert found["tensor_cores"] == (name in WITH_PRODUCTS), found

"""Compile every kernel for an H100 without having one, and print what it takes of the chip, a line of JSON for each.

Triton asks its driver for the device. Here the driver says "compute capability 9.0", and a launch ends after the
compiler.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from sidecar.scoring.cuda.operations import (
    DENSE_TILES,
    PLAIN,
    Dense,
    Embeddings,
    Likeness,
    Matches,
    Norm,
    Texts,
    triton_operations,
)

HIDDEN, HEADS, MIDDLE, TOKENS, TEXTS = 384, 12, 1536, 256, 8
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


class Hopper:
    """A driver for a device that is not there."""

    def get_current_target(self) -> GPUTarget:
        """Return what code is made for."""
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        """Return the only one."""
        return 0

    def get_current_stream(self, device: int) -> int:
        """Return the default one."""
        return 0


def compile_all(dtype: torch.dtype) -> None:
    """Call every operation as a model of MiniLM's shape would."""

    def weight(*shape: int) -> torch.Tensor:
        return torch.zeros(*shape, dtype=dtype)

    norm = Norm(weight(HIDDEN), weight(HIDDEN), 1e-12)
    up = Dense(weight(MIDDLE, HIDDEN), weight(MIDDLE))
    bounds = torch.arange(TEXTS + 1, dtype=torch.int32) * (TOKENS // TEXTS)
    texts = Texts(ids=torch.zeros(TOKENS, dtype=torch.int32), bounds=bounds, second_starts=bounds[1:], longest=512)
    x = weight(TOKENS, HIDDEN)
    operations = triton_operations()
    words = Embeddings(words=x, positions=x, types=x, norm=norm, second_type=1)
    operations.embed(texts, words)
    _, ranges = PLAIN.embed(texts, words)
    operations.add_norm(x, x, norm)
    operations.dense_gelu(x, up)
    q, k, v = weight(TOKENS, 3 * HIDDEN).view(TOKENS, 3, HEADS, -1).unbind(1)
    operations.attend(q, k, v, ranges)
    operations.attend_once(weight(TEXTS, HIDDEN).view(TEXTS, HEADS, -1), k, v, ranges)
    assert operations.read_once is not None
    operations.read_once(weight(TEXTS, HEADS, HIDDEN), x, ranges)
    matches = Matches(torch.arange(TEXTS, dtype=torch.int32), torch.arange(TEXTS, dtype=torch.int32))
    operations.match(x, texts, matches, Likeness(before=1, after=1, pooled_share=0.5, pools_mean=True))
    triton_operations(dense=DENSE_TILES).dense_gelu(x, up)


def report(kernel: Any) -> dict[str, object]:
    """Return what a compiled kernel takes: registers of a thread, spilled bytes, shared memory of a block."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(kernel.asm["cubin"])
        file.flush()
        tool = TOOLS / "cuobjdump"
        done = subprocess.run([tool, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True)
    found = re.search(r"REG:(\d+) STACK:(\d+)", done.stdout)
    assert found is not None
    return {
        "kernel": kernel.metadata.name,
        "registers": int(found[1]),
        "spilled": int(found[2]),
        "shared": kernel.metadata.shared,
        "tensor_cores": "wgmma" in kernel.asm["ptx"],
    }


def main() -> None:
    """Compile for the precision that is named, fp16 by default."""
    driver.set_active(Hopper())
    compile_only = JITFunction.run

    def run(self: Any, *arguments: Any, **options: Any) -> None:
        kernel = compile_only(self, *arguments, **options | {"warmup": True})
        sys.stdout.write(json.dumps(report(kernel)) + "\n")

    JITFunction.run = run
    compile_all(getattr(torch, sys.argv[1] if len(sys.argv) > 1 else "float16"))


if __name__ == "__main__":
    main()

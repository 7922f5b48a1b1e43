"""See the package: `python -m benchmarks.gpu --help`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

MINUTES: Final = 7.5


def main() -> int:
    """Run all sections; 0 when the scores were right and no section failed."""
    arguments = _arguments()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s", stream=sys.stdout)
    logging.getLogger("sidecar.scoring.cuda").setLevel(logging.DEBUG)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="benchmark-") as work:
        from benchmarks.gpu.program import Program

        return Program(arguments, Path(work)).run()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="How fast it is on a GPU.")
    parser.add_argument(
        "--out", type=Path, default=Path(os.environ.get("OUT", "gpu-results")), help="folder for results"
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: a rehearsal")
    parser.add_argument("--quick", action="store_true", help="as little of everything as shows that it runs")
    parser.add_argument(
        "--model", type=Path, help="a BERT cross-encoder's folder; default: random weights, MiniLM's shape"
    )
    parser.add_argument(
        "--kernels",
        choices=("auto", "triton", "torch", "plain"),
        default="auto",
        help="auto: what the program chooses; torch: FlashAttention and no kernels of ours; plain: not even that",
    )
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"for all of it; default {MINUTES}")
    parser.add_argument("--commit", default="", help="where the checkout cannot tell its commit")
    parser.set_defaults(usual_minutes=MINUTES)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

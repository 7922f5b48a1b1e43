"""`python -m sidecar` and the command `rerank-sidecar`."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line."""
    from sidecar.program.cli import app

    try:
        app()
    finally:
        _let_go_of_the_log()


def _let_go_of_the_log() -> None:
    """End as the command did, also where its last lines cannot be written: Python would end with 120."""
    import logging

    logging.shutdown()
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


if __name__ == "__main__":
    main()

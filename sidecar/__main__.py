"""`python -m sidecar` and the command `rerank-sidecar`."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from sidecar.program.cli import app

    app()


if __name__ == "__main__":
    main()

"""`python -m tests.foreign_clients`: builds what is not built yet; the last step of `make clients`."""

import sys

from tests.foreign_clients.programs import FOREIGN_CLIENTS, build


def main() -> int:
    """Build every client whose tools are here; return the exit code."""
    code = 0
    for name, client in FOREIGN_CLIENTS.items():
        if client.lacks is not None:
            _say(f"{name}: skipped, no {client.lacks}")
        elif client.is_built:
            _say(f"{name}: built")
        else:
            _say(f"{name}: building")
            if words := build(client):
                _say(f"{name}: not built\n{words}")
                code = 1
    return code


def _say(text: str) -> None:
    sys.stdout.write(f"clients: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

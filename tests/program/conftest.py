"""Programs that several tests share, with the offline model.

Loading it takes seconds. So all that the run will ask for start together when the first test begins, and each is waited
for where it is needed: what needs no model is tested meanwhile.
"""

import asyncio
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress

import pytest

from tests.program.processes import (
    ANYWHERE,
    QUICK_END,
    START_SECONDS,
    UNHURRIED,
    Program,
    eventually,
    free_port,
    running,
    status,
)

OFFLINE = ("--model", "offline")
NOBODY = f"http://127.0.0.1:{free_port()}"
SILENT_HUB = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": NOBODY}
PROGRAMS: Mapping[str, tuple[tuple[str, ...], Mapping[str, str]]] = {
    "demo": (("demo", *OFFLINE), UNHURRIED),
    "scorer": (("score", "--listen", ANYWHERE, *OFFLINE), {**QUICK_END, **UNHURRIED}),
    "served": (("serve", "--engine", "embedded", "--listen", ANYWHERE, *OFFLINE), {**QUICK_END, **UNHURRIED}),
    "demo_once": (("demo", "--once"), {**SILENT_HUB, **UNHURRIED, "COLUMNS": "160"}),
    "check_of_nobody": (("check", "--engine", NOBODY, "--scorer", NOBODY), {}),
}
"""Arguments and settings by the name of the fixture."""


@pytest.fixture(scope="session", autouse=True)
def started(request: pytest.FixtureRequest) -> Iterator[dict[str, Program]]:
    """Start the programs that tests of this run ask for. Port 9200, where demos begin to look, is taken."""
    wanted = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    with ExitStack() as stack:
        with suppress(OSError):  # taken by somebody else: taken all the same
            stack.enter_context(socket.create_server(("127.0.0.1", 9200)))
        yield {
            name: stack.enter_context(running(*arguments, **settings))
            for name, (arguments, settings) in PROGRAMS.items()
            if name in wanted
        }


@pytest.fixture(scope="session")
def demo(started: dict[str, Program]) -> Iterator[Program]:
    """The demo, ready to be searched. At the end Ctrl-C stops it, as it says itself."""
    program = started["demo"]
    program.said("Stop with Ctrl-C", START_SECONDS)
    yield program
    assert 0 == program.end(signal.SIGINT), program.output
    assert "Traceback" not in program.output


@pytest.fixture(scope="session")
def demo_once(started: dict[str, Program]) -> Program:
    """The demo that ends by itself, and has ended; it looked for its model on a hub that does not answer."""
    program = started["demo_once"]
    program.exit_code(START_SECONDS)
    return program


@pytest.fixture(scope="session")
def served(started: dict[str, Program]) -> Program:
    """`serve` with the embedded engine and a child that has loaded the offline model."""
    program = started["served"]
    program.said("^model: offline ", START_SECONDS)
    asyncio.run(eventually(lambda: status(program.url, "startup"), lambda answer: answer == (200, "started")))
    return program


@pytest.fixture(scope="session")
def scorer(started: dict[str, Program]) -> str:
    """URL of `score`, which has loaded its model."""
    program = started["scorer"]
    program.said("^model: offline ", START_SECONDS)
    return program.url


@pytest.fixture(scope="session")
def check_of_nobody(started: dict[str, Program]) -> Program:
    """`check` where neither engine nor scorer answer, which has ended."""
    program = started["check_of_nobody"]
    program.exit_code(START_SECONDS)
    return program

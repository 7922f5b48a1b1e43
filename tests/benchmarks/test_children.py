"""Processes that the benchmarks start: what they say when they fail, and that none is left."""

import sys
from pathlib import Path

import pytest

from benchmarks.child import Child, ChildFailed, System
from benchmarks.programs import ProgramFailed, Server, running, sink
from tests.program.processes import is_running


def test_a_system_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    """An interpreter that cannot even begin leaves its own message."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'no such wheel' >&2\nexit 3\n")
    python.chmod(0o755)
    child = Child(System(name="A", place="a:A", precision="fp32"), tmp_path, python=python, threads=1, max_length=8)
    try:
        with pytest.raises(ChildFailed, match="A: it has ended: no such wheel"):
            child.wait_until_loaded()
    finally:
        child.close()


def test_a_system_that_fails_to_load_says_why(tmp_path: Path) -> None:
    """The error's type and words come over."""
    system = System(name="A", place="nothing:Here", precision="fp32")
    child = Child(system, tmp_path, python=Path(sys.executable), threads=1, max_length=8)
    try:
        with pytest.raises(ChildFailed, match=r"A: ModuleNotFoundError: .*benchmarks\.systems\.nothing"):
            child.wait_until_loaded()
    finally:
        child.close()


async def test_a_server_is_ended_with_its_block() -> None:
    """Also when the block fails, whose error comes through as it is."""
    servers: list[Server] = []

    async def fail() -> None:
        async with sink() as server:
            servers.append(server)
            assert is_running(server.pid)
            assert server.resident_bytes > 1_000_000
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert not is_running(servers[0].pid)


async def test_a_program_that_does_not_start_is_told_in_its_words() -> None:
    """What it has printed stands in the error."""
    with pytest.raises(ProgramFailed, match="no port today"):
        async with running("-c", "print('no port today')"):
            pass

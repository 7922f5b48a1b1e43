"""The program as people run it: a process of its own, what it prints, and its end.

Laws: whatever is waited for is bounded, and a wait in vain fails with all that the process has said; every process is
ended by its id, with the children that it leaves.
"""

import asyncio
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import environ, kill
from pathlib import Path
from typing import IO, TypeVar

from tests.integration.wire import Answer, send

Value = TypeVar("Value")

REPOSITORY = Path(__file__).parents[2]
PROGRAM = (sys.executable, "-m", "sidecar")
PATIENCE_SECONDS = 50.0  # under the timeout of a test, so that it fails with what the process has said
START_SECONDS = 150.0  # in fixtures; loading a model takes four on an idle machine

ANYWHERE = "127.0.0.1:0"
QUICK_END = {"RERANK_SIDECAR_DRAIN_SECONDS": "0", "RERANK_SIDECAR_ADMIN__LISTEN": ANYWHERE}
"""Settings of programs that many tests start and end: no wait at the end, no fixed port."""

ONE_THREAD = {"OMP_NUM_THREADS": "1"}
"""Threads of several models on few cores would wait for each other, spinning."""

UNHURRIED = {
    "RERANK_SIDECAR_RERANK__DEADLINE_MS": "0",
    "RERANK_SIDECAR_RERANK__WINDOW": "15",
    "RERANK_SIDECAR_MODEL__DTYPE": "fp32",  # `auto` is measured at each start
}
"""Settings under which a busy machine changes no answer."""


@dataclass(frozen=True)
class Finished:
    """What a command that ends by itself has left."""

    code: int
    stdout: str
    stderr: str


class Program:
    """A running process and the lines that it has printed so far, standard output and error in one list."""

    def __init__(self, command: Sequence[str], settings: Mapping[str, str], *, takes_orders: bool = False) -> None:
        """Start `command` with more environment variables; `takes_orders`: on its standard input."""
        self._said: list[str] = []
        self._changed = threading.Condition()
        self._open_streams = 2
        self._process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**environ, **ONE_THREAD, **settings},
            stdin=subprocess.PIPE if takes_orders else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self._readers = [
            threading.Thread(target=self._read, args=(stream,), daemon=True)
            for stream in (self._process.stdout, self._process.stderr)
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def output(self) -> str:
        """All that was printed so far."""
        with self._changed:
            return "\n".join(self._said)

    @property
    def url(self) -> str:
        """Where it listens; waits until it does."""
        return self.said(r"^listening on (http://\S+)$")[1]

    @property
    def lines(self) -> list[str]:
        """The lines that were printed so far."""
        with self._changed:
            return list(self._said)

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def said(self, pattern: str, seconds: float = PATIENCE_SECONDS, *, after: int = 0) -> re.Match[str]:
        """Wait until a line matches, of those `after` so many, and return the match."""
        with self._changed:
            found = self._changed.wait_for(lambda: self._match(pattern, after) or not self._open_streams, seconds)
        match = self._match(pattern, after)
        assert match, f"{'ended' if found else 'waited'} without a line like {pattern!r}:\n{self.output}"
        return match

    def send(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.send(number)
        return self.exit_code()

    def exit_code(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Wait for the end; everything that was printed can be read then."""
        code = self._process.wait(seconds)
        for reader in self._readers:
            reader.join(PATIENCE_SECONDS)
        return code

    def close(self) -> None:
        """Make sure that it is gone."""
        left = children(self.pid)
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        for pid in left:
            if is_running(pid):
                kill(pid, signal.SIGKILL)
        self.exit_code()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            with self._changed:
                self._said.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._open_streams -= 1
            self._changed.notify_all()

    def _match(self, pattern: str, after: int = 0) -> re.Match[str] | None:
        with self._changed:
            return next((match for line in self._said[after:] if (match := re.search(pattern, line))), None)


@contextmanager
def running(*arguments: str, **settings: str) -> Iterator[Program]:
    """Give the program, started with these arguments and environment variables; end it at the end."""
    program = Program((*PROGRAM, *arguments), settings)
    try:
        yield program
    finally:
        program.close()


def finished(*arguments: str, **settings: str) -> Finished:
    """Run the program to its end."""
    return run((*PROGRAM, *arguments), settings)


def script(path: str, *arguments: str) -> Finished:
    """Run a Python script of the repository to its end; a warning is an error."""
    return run((sys.executable, "-W", "error", str(REPOSITORY / path), *arguments), {})


def run(command: Sequence[str], settings: Mapping[str, str]) -> Finished:
    """Run a command to its end."""
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={**environ, **ONE_THREAD, **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Finished(done.returncode, done.stdout, done.stderr)


def children(pid: int) -> list[int]:
    """Return the ids of the running children of a process."""
    return [child for child, (parent, state) in _processes() if parent == pid and state != "Z"]


def is_running(pid: int) -> bool:
    """Say whether a process is there and not merely waiting to be buried."""
    return any(each == pid and state != "Z" for each, (_, state) in _processes())


def _processes() -> Iterator[tuple[int, tuple[int, str]]]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text(encoding="utf-8", errors="replace")
        except OSError:  # ended meanwhile
            continue
        state, parent = text.rpartition(")")[2].split()[:2]  # the name, in brackets, may hold spaces
        yield int(stat.parent.name), (int(parent), state)


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def eventually(
    ask: Callable[[], Awaitable[Value]], is_right: Callable[[Value], bool], seconds: float = PATIENCE_SECONDS
) -> Value:
    """Ask again and again until the answer is right, and return it: for what another process does in its own time."""
    answer = None
    try:
        async with asyncio.timeout(seconds):
            while True:
                answer = await ask()
                if is_right(answer):
                    return answer
                await asyncio.sleep(0.03)
    except TimeoutError:
        raise AssertionError(f"it never became right; the last answer was {answer}") from None


def asynchronous(ask: Callable[[], Value]) -> Callable[[], Awaitable[Value]]:
    """Return what `eventually` can ask."""

    async def asked() -> Value:
        return ask()

    return asked


async def search(url: str, query: str, *, index: str = "articles", **headers: str) -> Answer:
    """Search title and text of the sample corpus; underscores in the names of headers stand for hyphens."""
    body = {"query": {"multi_match": {"query": query, "fields": ["title", "text"]}}, "size": 5}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await send(url, "POST", f"/{index}/_search", body=body, headers=named)


async def status(url: str, probe: str) -> tuple[int, str]:
    """Return status and word of a probe."""
    answer = await send(url, "GET", f"/_rerank/{probe}")
    return answer.status, answer.json["status"]

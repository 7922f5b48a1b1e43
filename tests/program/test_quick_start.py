"""The commands of docs/quick-start.md and the README as they stand, but for ports: up to a reranked answer."""

import asyncio
import re
import shlex
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.integration.books import call
from tests.program.processes import (
    QUICK_END,
    REPOSITORY,
    START_SECONDS,
    UNHURRIED,
    Finished,
    eventually,
    free_port,
    run,
    running,
    status,
)

QUICK_START = (REPOSITORY / "docs/quick-start.md").read_text(encoding="utf-8")
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
OFFLINE = {**QUICK_END, **UNHURRIED, "HF_HUB_OFFLINE": "1"}
PROGRAM = f"{sys.executable} -m sidecar"


@dataclass(frozen=True)
class Command:
    """A line after "$ ", with its continuation, and what the document shows below it."""

    line: str
    shows: str


def commands(text: str, heading: str) -> Iterator[Command]:
    """Give the commands of a section, in order."""
    match = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match, heading
    for block in re.findall(r"^```console\n(.*?)^```", match[1], re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            lines = part.split("\n")
            ends = next(n for n, line in enumerate(lines) if not line.endswith("\\") and not _goes_on(lines[: n + 1]))
            yield Command("\n".join(lines[: ends + 1]), "\n".join(lines[ends + 1 :]).strip())


def _goes_on(lines: list[str]) -> bool:
    """Whether a quotation is still open."""
    try:
        shlex.split("\n".join(lines))
    except ValueError:
        return True
    return False


def as_run_here(line: str, ports: dict[str, str]) -> str:
    """Return a command with this environment's Python, and addresses that are free or taken by what is meant."""
    line = re.sub(r"(?<!\S)\.venv/bin/rerank-sidecar", PROGRAM, line)
    line = re.sub(r"(?<!\S)\.venv/bin/python", sys.executable, line)
    for documented, here in ports.items():
        line = line.replace(documented, here)
    return line


async def shell(line: str) -> Finished:
    """Run a command line to its end."""
    return await asyncio.to_thread(run, ("bash", "-c", f"set -o pipefail; {line}"), OFFLINE)


@pytest.fixture
def programs() -> Iterator[ExitStack]:
    """What is started in a test ends with it."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
async def corpus_place(engine_url: str) -> AsyncIterator[str]:
    """Address of an engine without the index `articles`; it is gone again at the end."""
    yield engine_url
    call(engine_url, "DELETE", "/articles?ignore_unavailable=true")


DOCUMENTS = {
    "quick-start": (QUICK_START, "Elasticsearch"),
    "readme": (README, "In front of your own engine"),
}


@pytest.mark.weights
@pytest.mark.parametrize(
    ("engine_url", "document"),
    [("elasticsearch", "readme"), ("opensearch", "readme"), ("opensearch", "quick-start")],
    indirect=["engine_url"],
)
async def test_in_front_of_an_engine(document: str, corpus_place: str, programs: ExitStack) -> None:
    """Each command does what it is said to; what is shown below a command is what it prints."""
    serving, shown, here = False, [], f"127.0.0.1:{free_port()}"
    ports = {"http://localhost:9200": corpus_place, "localhost:9280": here, "127.0.0.1:9280": here}
    for command in commands(*DOCUMENTS[document]):
        line = as_run_here(command.line, ports)
        if command.line == "make setup":
            continue  # what these tests run in
        if " serve " in line:
            words = shlex.split(line.removeprefix(PROGRAM))
            more = () if "--listen" in words else ("--listen", here)
            program = programs.enter_context(running(*words, *more, **OFFLINE))
            await asyncio.to_thread(program.said, "^model: offline", START_SECONDS)
            url = f"http://{here}"
            await eventually(lambda: status(url, "ready"), lambda found: found[0] == 200)  # noqa: B023
            serving = True
            continue
        done = await shell(line)
        assert 0 == done.code, f"{line}\n{done.stdout}{done.stderr}"
        assert done.stdout.strip()
        shown.append(done.stdout)
        if command.shows:
            assert re.fullmatch(_pattern(command.shows), done.stdout.strip()), done.stdout
    assert serving
    assert len(shown) >= 2


def _pattern(shows: str) -> str:
    """Return what a shown line stands for: its numbers and the model's name depend on the machine."""
    pattern = re.sub(r"\d+", r"\\d+", re.escape(shows))
    return re.sub(r"model=\S+$", "model=offline", pattern)


def test_before_and_after_differ() -> None:
    """The quick start asks the same search of both ports."""
    lines = [command.line for command in commands(QUICK_START, "Elasticsearch")]
    direct = [line for line in lines if "9200/articles" in line]
    assert [line.replace("9200", "9280") for line in direct] == [
        line for line in lines if "9280" in line and "-si" not in line
    ]


@pytest.mark.parametrize("heading", ["Docker", "Kubernetes"])
def test_files_that_other_tools_are_given_exist(heading: str) -> None:
    """Where there is no Docker and no cluster, at least what is named is there."""
    [command] = commands(QUICK_START, heading)
    paths = [word for word in shlex.split(command.line) if "/" in word]
    assert paths
    assert all((REPOSITORY / path).exists() for path in paths)


@pytest.mark.weights
@pytest.mark.parametrize("engine_url", ["elasticsearch"], indirect=True)
async def test_the_example_of_a_framework(corpus_place: str) -> None:
    """It runs on a real engine once its package is installed."""
    pytest.importorskip("langchain_core", reason="langchain-core is not installed: it is in the group integrations")
    load, example = f"{sys.executable} docker/load.py {corpus_place}", None
    for command in commands(QUICK_START, "LangChain, LlamaIndex, Haystack"):
        if command.line.endswith(".py"):
            example = as_run_here(command.line, {})
    assert example is not None
    assert 0 == (await shell(load)).code
    done = await shell(f"{example} {corpus_place}")
    assert 0 == done.code, done.stderr
    assert len(done.stdout.splitlines()) >= 3

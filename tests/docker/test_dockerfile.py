"""Tests of the Dockerfile without Docker: the rules of hadolint that concern us, and what the image starts."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from sidecar.program.config import load
from tests.docker.dockerfile import ROOT, Instruction, environment, read_dockerfile, stages

INSTRUCTIONS = read_dockerfile()
LAST_STAGE = stages(INSTRUCTIONS)[-1]


def all_of(word: str, instructions: list[Instruction] = INSTRUCTIONS) -> list[Instruction]:
    """Return the instructions of one kind."""
    return [instruction for instruction in instructions if instruction.word == word]


def only(word: str) -> Instruction:
    """Return the one instruction of its kind in the stage that becomes the image."""
    [instruction] = all_of(word, LAST_STAGE)
    return instruction


def copied() -> set[str]:
    """Return what the Dockerfile takes from the repository."""
    return {
        source
        for instruction in all_of("COPY")
        if not any(flag.startswith("--from=") for flag in instruction.flags)
        for source in instruction.rest.split()[:-1]
    }


def test_both_stages_have_the_same_pinned_base() -> None:
    """A virtual environment works only where it finds the Python it was made with; `latest` is none in particular."""
    bases = {instruction.rest.partition(" ")[0] for instruction in all_of("FROM")}
    assert len(bases) == 1
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", bases.pop())


def test_the_program_does_not_run_as_root() -> None:
    """A number, so that Kubernetes can see that it is not root."""
    assert only("USER").rest == "10001:10001"


def test_nothing_is_added_from_elsewhere() -> None:
    """ADD unpacks and downloads; COPY does what it says."""
    assert all_of("ADD") == []


def test_no_package_lists_are_left_in_a_layer() -> None:
    """What apt-get install downloads about packages goes in the same instruction."""
    with_apt = [run.rest for run in all_of("RUN") if "apt-get install" in run.rest]
    assert [text for text in with_apt if "rm -rf /var/lib/apt/lists/*" not in text] == []


def test_the_program_gets_its_signals() -> None:
    """In exec form no shell stands between Docker's SIGTERM and the program."""
    assert (only("ENTRYPOINT").words(), only("CMD").words()) == (["rerank-sidecar"], ["serve"])


def test_a_change_of_the_code_keeps_the_layer_of_the_dependencies() -> None:
    """The code is copied after the dependencies are installed."""
    texts = [instruction.rest for instruction in INSTRUCTIONS]
    dependencies = next(i for i, text in enumerate(texts) if "--requirements pyproject.toml" in text)
    code = [i for i, instruction in enumerate(INSTRUCTIONS) if instruction.rest in ("sidecar sidecar", ". .")]
    assert [i for i in code if i < dependencies] == []


def test_no_weights_are_inside_by_default() -> None:
    """The extra with the offline model comes with a build argument, and models go to a volume."""
    assert environment(INSTRUCTIONS, "ARG") == {"TORCH_BACKEND": "cpu", "OFFLINE_MODEL": ""}
    assert environment(LAST_STAGE)["HF_HOME"] == only("VOLUME").rest == "/models"


def test_the_build_sees_what_it_copies_and_nothing_else() -> None:
    """.dockerignore lets through exactly the sources of COPY, and they exist."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert copied() == {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert [source for source in copied() if not (ROOT / source).exists()] == []


def test_the_image_listens_on_the_ports_it_exposes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its settings are settings of the program, and reach beyond the container's loopback."""
    for name, value in environment(LAST_STAGE).items():
        if name.startswith("RERANK_SIDECAR_"):
            monkeypatch.setenv(name, value)
    settings = load()
    assert [f"0.0.0.0:{port}" for port in only("EXPOSE").rest.split()] == [settings.listen, settings.admin.listen]


class Probe(BaseHTTPRequestHandler):
    """Answers every probe with the status of its server, and remembers the path."""

    server: "ProbedServer"

    def do_GET(self) -> None:
        """Answer one probe."""
        self.server.paths.append(self.path)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class ProbedServer(HTTPServer):
    """A server in the place of the program."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Probe)
        self.paths: list[str] = []


@pytest.fixture
def probed() -> Iterator[ProbedServer]:
    """A server that answers the health check."""
    with ProbedServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def check_health(port: int) -> int:
    """Run the command of HEALTHCHECK against another port; return its exit code."""
    word, rest = only("HEALTHCHECK").rest.split(maxsplit=1)
    assert word == "CMD"
    command = Instruction(word="CMD", flags=(), rest=rest.replace("9280", str(port))).words()
    assert command[0] == "python"
    return subprocess.run([sys.executable, *command[1:]], stderr=subprocess.DEVNULL, check=False).returncode


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_asks_whether_the_program_lives(probed: ProbedServer, status: int, code: int) -> None:
    """Docker wants 0 or 1 by the answer of the probe."""
    probed.status = status
    assert (check_health(probed.server_port), probed.paths) == (code, ["/_rerank/live"])


def test_the_health_check_fails_where_nothing_listens(probed: ProbedServer) -> None:
    """A program that has not started or has died is not healthy."""
    probed.server_close()
    assert check_health(probed.server_port) == 1

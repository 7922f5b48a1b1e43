"""Tests of the engine fixtures from outside: a small run of pytest, with a server in the place of both engines."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Root(BaseHTTPRequestHandler):
    """Answers as an engine's `GET /` does."""

    def do_GET(self) -> None:
        """Say the version."""
        body = json.dumps({"version": {"number": "1.2.3"}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def engine() -> Iterator[str]:
    """Address of a server that says it is an engine."""
    with HTTPServer(("127.0.0.1", 0), Root) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


SOME_TESTS = """
import pytest

def test_on_both(engine_url): pass
def test_on_both_again(engine_url): pass
def test_on_one(elasticsearch_url): assert elasticsearch_url == "{engine}"
def test_chosen_late(request): request.getfixturevalue("opensearch_url")
def test_skipped(opensearch_url): pytest.skip("not today")
def test_on_none(index_name): pass
"""


def run_pytest(folder: Path, engine: str, *arguments: str) -> str:
    """Run tests that use engines in every way there is, with this repository's fixtures; return the output."""
    settings = "[pytest]\nmarkers = engine\nasyncio_default_fixture_loop_scope = function\n"
    (folder / "pytest.ini").write_text(settings)
    (folder / "test_some.py").write_text(SOME_TESTS.format(engine=engine))
    urls = {"ELASTICSEARCH_URL": f"{engine}/", "OPENSEARCH_URL": engine}
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", str(folder / "pytest.ini"), str(folder)]
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, env=os.environ | urls, stdout=subprocess.PIPE, text=True, check=False
    )
    return done.stdout


def test_engines_named_by_the_environment_are_used_and_counted(engine: str, tmp_path: Path) -> None:
    """Every test that ran is counted for its engines, however it came to them; a skipped one ran on none."""
    output = run_pytest(tmp_path, engine)
    assert "real engines: elasticsearch 1.2.3 ran 3 tests, opensearch 1.2.3 ran 3 tests\n" in output
    assert " 7 passed, 1 skipped " in output


def test_the_marker_chooses_tests_without_engines(engine: str, tmp_path: Path) -> None:
    """Tests that name an engine's fixture are marked; a run that asks for no engine has no line about them."""
    output = run_pytest(tmp_path, engine, "-m", "not engine", "-k", "not late")
    assert " 1 passed, 7 deselected " in output
    assert "real engines" not in output

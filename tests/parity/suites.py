"""Which suites there are, where they lie, and what they run on.

RERANK_TEST_SUITES names the folder that holds them; they are no part of this repository.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.engines.nodes import ELASTICSEARCH, OPENSEARCH, Engine, Node, run_node
from tests.parity.calls import Descriptions, OfficialClient, Writer

FOLDER: Final = Path(os.environ.get("RERANK_TEST_SUITES", Path(__file__).parents[3] / "shared" / "suites"))
IN_MEMORY: Final = Path("/dev/shm")
"""Where nodes keep their data, if it exists: on a disk every test waits for a few dozen syncs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """YAML tests, and the engine that they are played on."""

    name: str
    words: str
    #: under FOLDER
    tests: str
    engine: Engine
    writer: Callable[[], Writer]
    #: of the engine
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The folder with the tests."""
        return FOLDER / self.tests

    def absence(self) -> str:
        """Return why the suite cannot be played, "" where its files are."""
        return "" if self.root.is_dir() else f"no tests in {self.root}; RERANK_TEST_SUITES names the suites' folder"

    @contextmanager
    def node(self) -> Iterator[Node]:
        """Run a node of the suite's engine, its data in memory where that is possible. Raises EngineUnavailable."""
        with ExitStack() as stack:
            with _temporary_files_in_memory():
                node = stack.enter_context(run_node(self.engine, heap="512m", settings=self.settings))
            yield node


@contextmanager
def _temporary_files_in_memory() -> Iterator[None]:
    before = tempfile.tempdir
    if os.access(IN_MEMORY, os.W_OK):
        tempfile.tempdir = str(IN_MEMORY)
    try:
        yield
    finally:
        tempfile.tempdir = before


def _descriptions() -> Writer:
    return Descriptions(FOLDER / "opensearch-rest-api-spec" / "api")


SUITES: Final = {
    suite.name: suite
    for suite in (
        Suite(
            name="opensearch",
            words="OpenSearch's own suite on OpenSearch",
            tests="opensearch-rest-api-spec/test",
            engine=OPENSEARCH,
            writer=_descriptions,
            settings={"node.attr.testattr": "test", "repositories.url.allowed_urls": "http://snapshot.*"},
        ),
        Suite(
            name="elasticsearch",
            words="the suite of Elasticsearch's clients, written by the official one, on Elasticsearch",
            tests="elasticsearch-clients-tests/8.15/tests",
            engine=ELASTICSEARCH,
            writer=OfficialClient,
        ),
        Suite(
            name="crossed",
            words="OpenSearch's suite on Elasticsearch, from which it came: many tests fail there, on both sides alike",
            tests="opensearch-rest-api-spec/test",
            engine=ELASTICSEARCH,
            writer=_descriptions,
            settings={"node.attr.testattr": "test"},
        ),
    )
}

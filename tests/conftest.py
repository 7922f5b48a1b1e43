"""What every test runs in: a clean environment, no network beyond loopback, fixed seeds; and real engines to ask for.

A test asks for `elasticsearch_url`, `opensearch_url` or, to run on both, `engine_url`. Each node starts once per run,
when the first test asks; ELASTICSEARCH_URL and OPENSEARCH_URL name running engines instead. Where none can be had such
tests skip, and the line at the end of the run says why.
"""

import itertools
import json
import os
import random
import sys
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from tests.engines.nodes import ELASTICSEARCH, ENGINES, OPENSEARCH, Engine, EngineUnavailable, Node, run_node
from tests.engines.tally import Tally
from tests.loopback import loopback_only

# Settings of this program and of the libraries under it, proxies, and what makes rich and typer colour their output.
UNWANTED_PREFIXES = ("RERANK_SIDECAR_", "HF_", "HUGGINGFACE_", "TRANSFORMERS_")
UNWANTED_NAMES = frozenset(
    {"http_proxy", "https_proxy", "all_proxy", "no_proxy", "force_color", "py_colors", "no_color", "github_actions"}
)
SEED = 20_260_101
FIXTURES = {f"{engine.name}_url": engine.name for engine in ENGINES}

TALLY = pytest.StashKey[Tally]()
REQUEST = pytest.StashKey[pytest.FixtureRequest]()


def pytest_configure(config: pytest.Config) -> None:
    """Clean the environment before any test module is imported: libraries read theirs at import."""
    config.stash[TALLY] = Tally()
    until_the_end = ExitStack()
    config.add_cleanup(until_the_end.close)
    patch = until_the_end.enter_context(pytest.MonkeyPatch.context())
    for name in list(os.environ):
        if name.startswith(UNWANTED_PREFIXES) or name.lower() in UNWANTED_NAMES:
            patch.delenv(name)
    no_models = until_the_end.enter_context(tempfile.TemporaryDirectory(prefix="no-models-"))
    patch.setenv("HF_HOME", no_models)  # what this machine happens to have cached changes no test
    patch.setenv("HF_HUB_OFFLINE", "1")
    until_the_end.enter_context(loopback_only(allowed=_override_hosts()))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use a real engine, so that `-m engine` and `-m 'not engine'` choose them."""
    for item in items:
        if not {"engine_url", *FIXTURES}.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.engine)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count a test for each engine that it used, also one reached through another fixture."""
    report = yield
    if call.when == "call" and not report.skipped:
        item.config.stash[TALLY].ran(_engines_of(item))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what the real engines did in this run."""
    if line := config.stash[TALLY].line():
        terminalreporter.write_line(line)


@pytest.fixture(autouse=True)
def _same_start(request: pytest.FixtureRequest) -> None:
    """Give each test the same random numbers, and remember its request for the count of engines."""
    request.node.stash[REQUEST] = request
    random.seed(SEED)
    if torch := sys.modules.get("torch"):  # only if a test has imported it: that takes seconds
        torch.manual_seed(SEED)


@pytest.fixture(scope="session")
def elasticsearch_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """Address of a real Elasticsearch."""
    with _answering(ELASTICSEARCH, pytestconfig.stash[TALLY]) as node:
        yield node.url


@pytest.fixture(scope="session")
def opensearch_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """Address of a real OpenSearch."""
    with _answering(OPENSEARCH, pytestconfig.stash[TALLY]) as node:
        yield node.url


@pytest.fixture(scope="session", params=[engine.name for engine in ENGINES])
def engine_url(request: pytest.FixtureRequest) -> str:
    """Address of each real engine in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture(scope="session")
def new_index_name() -> Callable[[], str]:
    """Return a function that returns an index name nobody has used, on an engine shared between runs, too."""
    run, counter = uuid.uuid4().hex[:8], itertools.count(1)
    return lambda: f"test-{run}-{next(counter)}"


@pytest.fixture
def index_name(new_index_name: Callable[[], str]) -> str:
    """Return an index name of this test's own."""
    return new_index_name()


def _engines_of(item: pytest.Item) -> set[str]:
    """Return the engines whose fixtures a finished test had, asked for by name or, with `engine_url`, by parameter."""
    request = item.stash.get(REQUEST, None)
    names = {FIXTURES[name] for name in request.fixturenames if name in FIXTURES} if request else set()
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return names | ({parameters["engine_url"]} if "engine_url" in parameters else set())


@contextmanager
def _answering(engine: Engine, tally: Tally) -> Iterator[Node]:
    """Yield the engine that the environment names, or one started here; skip the test where neither can be had."""
    if url := os.environ.get(engine.override):
        node = Node(url=url.rstrip("/"), version=_version(url))
        tally.started(engine.name, node.version)
        yield node
        return
    try:
        with run_node(engine) as node:
            tally.started(engine.name, node.version)
            yield node
    except EngineUnavailable as unavailable:
        tally.skipped(engine.name, str(unavailable))
        pytest.skip(f"{engine.name}: {unavailable}")


def _version(url: str) -> str:
    with urlopen(url) as answer:
        return str(json.load(answer)["version"]["number"])


def _override_hosts() -> frozenset[str]:
    urls = (os.environ.get(engine.override, "") for engine in ENGINES)
    return frozenset(host for url in urls if (host := urlsplit(url).hostname))

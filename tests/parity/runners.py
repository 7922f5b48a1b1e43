"""`python -m tests.parity.runners CLIENT CHECKOUT`: an official client's own test runner, direct and proxied.

What counts is that every test ends the same way. The checkout of the client is no part of this repository; its runner
gets the YAML suites that lie here (`offline/sitecustomize.py`). Exit code 1 when a test ends otherwise through a proxy.
"""

import argparse
import asyncio
import os
import shlex
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.parity.modes import MODES, serving
from tests.parity.suites import FOLDER, SUITES

Outcomes = Mapping[str, str]
"""By test: passed, skipped, failure or error."""

OFFLINE: Final = Path(__file__).parent / "offline"
REPEATED: Final = 3
"""How often tests that end otherwise through a proxy are run again on both sides: some are not sure of themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client with a test runner."""

    suite: str
    #: in the checkout
    tests: str
    #: the environment variable with the engine's address
    address: str
    environment: Mapping[str, str] = field(default_factory=dict)
    #: of pytest
    options: Sequence[str] = ()


CLIENTS: Final = {
    "opensearch-py": Client(suite="opensearch", tests="test_opensearchpy/test_server", address="OPENSEARCH_URL"),
    "elasticsearch-py": Client(
        suite="elasticsearch",
        tests="test_elasticsearch/test_server",
        address="ELASTICSEARCH_URL",
        environment={"ES_YAML_TESTS_BRANCH": "8.15"},
        options=("-p", "bare_node"),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """A client's runner in its checkout."""

    client: Client
    checkout: Path
    python: str
    options: Sequence[str]

    async def run(self, url: str, tests: Sequence[str] = ()) -> Outcomes:
        """Run the tests, all by default, on the engine or proxy at `url`."""
        environment = {
            **os.environ,
            **self.client.environment,
            self.client.address: url,
            "PYTHONPATH": str(OFFLINE),
            "RERANK_TEST_SUITES": str(FOLDER.resolve()),
        }
        with TemporaryDirectory(prefix="runner-") as folder:
            report = Path(folder, "report.xml")
            flags = ["-q", "-p", "no:cacheprovider", f"--junitxml={report}", "-o", "junit_family=xunit1"]
            flags += [*self.client.options, *self.options]
            process = await asyncio.create_subprocess_exec(
                *(self.python, "-m", "pytest", *(tests or [self.client.tests]), *flags),
                cwd=self.checkout,
                env=environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            output, _ = await process.communicate()
            return outcomes(report, output.decode(errors="replace"))


def outcomes(report: Path, output: str) -> Outcomes:
    """Return what a report says of every test. Raises RuntimeError with the end of `output` where there is none."""
    if not report.exists():
        raise RuntimeError(output[-3000:])
    return dict(_outcomes(report))


def _outcomes(report: Path) -> Iterator[tuple[str, str]]:
    for case in ET.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = next((kind for kind in ("error", "failure", "skipped") if kind in kinds), "passed")
        yield f"{case.get('file')}::{case.get('name')}", outcome


async def compare(runner: Runner, letters: Sequence[str]) -> dict[str, dict[str, tuple[str, str]]]:
    """Run everything direct and through a proxy in each mode; return by mode the tests that end otherwise."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    with SUITES[runner.client.suite].node() as node:
        direct = await runner.run(node.url)
        _say("direct", direct)
        for letter in letters:
            async with serving(MODES[letter], node.url) as proxy:
                proxied = await runner.run(proxy.url)
                _say(letter, proxied)
                differing = [name for name in {**direct, **proxied} if direct.get(name) != proxied.get(name)]
                for _ in range(REPEATED if differing else 0):
                    again = [await runner.run(url, differing) for url in (node.url, proxy.url)]
                    differing = [name for name in differing if again[0].get(name) != again[1].get(name)]
                    if not differing:
                        break
                found[letter] = {name: (direct.get(name, "absent"), proxied.get(name, "absent")) for name in differing}
                for error in proxy.errors():
                    sys.stdout.write(f"in the proxy's log: {error}\n")
    return found


def _say(name: str, outcomes: Outcomes) -> None:
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(Counter(outcomes.values()).items()))
    sys.stdout.write(f"{name}: {len(outcomes)} tests, {counts}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity.runners", description=__doc__)
    parser.add_argument("client", choices=CLIENTS)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--mode", default="A,B,C,D", help="Several with commas.")
    parser.add_argument("--python", default=sys.executable, help="The interpreter that has what the runner needs.")
    parser.add_argument("--pytest", default="", help="Further options of pytest, in one string.")
    options = parser.parse_args(arguments)
    runner = Runner(
        client=CLIENTS[options.client],
        checkout=options.checkout,
        python=options.python,
        options=shlex.split(options.pytest),
    )
    found = asyncio.run(compare(runner, options.mode.split(",")))
    for letter, tests in found.items():
        for name, (direct, proxied) in tests.items():
            sys.stdout.write(f"{letter} {name}: direct {direct}, proxied {proxied}\n")
    return 1 if any(found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m tests.parity`: third-party suites, direct and through the proxy; the recipe of `make parity`.

Exit code 1 when something differs without an explanation, 2 when no test has such a path and name.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.engines.nodes import EngineUnavailable
from tests.parity.modes import MODES, Mode
from tests.parity.run import run
from tests.parity.suites import SUITES, Suite
from tests.parity.table import as_json, lines
from tests.parity.yaml_tests import load

NONE_FOUND = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Play what the command line asks for; return the exit code."""
    options = _parser().parse_args(arguments)
    modes = [MODES[letter] for letter in options.mode.split(",")]
    codes = [_play(SUITES[name], modes, options) for name in options.suite.split(",")]
    found = [code for code in codes if code != NONE_FOUND]
    return max(found, default=NONE_FOUND)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description="Direct and proxied answers compared.")
    suites = "; ".join(f"{suite.name}: {suite.words}" for suite in SUITES.values())
    parser.add_argument("--suite", default="opensearch,elasticsearch", help=f"Several with commas. {suites}.")
    modes = "; ".join(f"{mode.letter}: {mode.words}" for mode in MODES.values())
    parser.add_argument("--mode", default=",".join(MODES), help=f"Several with commas. {modes}.")
    parser.add_argument("--path", action="append", help="File, folder or pattern under the suite's tests; repeatable.")
    parser.add_argument("--only", default="*", help="Pattern of the tests' names.")
    parser.add_argument("--lanes", type=int, default=2, help="Engines at once, each with its proxies.")
    parser.add_argument("--json", type=Path, help="Write the report to this file, too; {suite} stands for its name.")
    return parser


def _play(suite: Suite, modes: Sequence[Mode], options: argparse.Namespace) -> int:
    _say(f"== {suite.name}: {suite.words}")
    if absence := suite.absence():
        _say(f"skipped: {absence}")
        return 0
    cases = load(suite.root, options.path or ("*",), options.only)
    if not cases:
        _say("no test has such a path and name")
        return NONE_FOUND
    try:
        report = asyncio.run(run(suite, cases, modes, lanes=options.lanes, say=_tell))
    except EngineUnavailable as unavailable:
        _say(f"skipped: {unavailable}")
        return 0
    for line in lines(report, modes):
        _say(line)
    if options.json:
        file = Path(str(options.json).replace("{suite}", suite.name))
        file.write_text(json.dumps(as_json(report), indent=1, default=str), encoding="utf-8")
    return 1 if report.differences or report.log_errors else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _tell(progress: str) -> None:
    sys.stderr.write(f"{progress}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())

"""Other people's test runners: what is read of their reports, and what they are given in place of a download."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parity.runners import OFFLINE, outcomes

REPORT = """<testsuites><testsuite>
<testcase file="test_a.py" name="one[x]" time="0.1" />
<testcase file="test_a.py" name="two"><skipped message="no" /></testcase>
<testcase file="test_b.py" name="three"><failure message="x">text</failure><system-out>said</system-out></testcase>
<testcase file="test_b.py" name="four"><error message="x" /></testcase>
</testsuite></testsuites>"""

ASKING = """
import io, json, urllib3, zipfile
http = urllib3.PoolManager(retries=1)
archives = [
    "https://github.com/opensearch-project/OpenSearch/archive/main.zip",
    "https://api.github.com/repos/elastic/elasticsearch-clients-tests/zipball/8.15",
]
answers = [http.request("GET", url) for url in archives]
names = [zipfile.ZipFile(io.BytesIO(answer.data)).namelist() for answer in answers]
print(json.dumps([[answer.status for answer in answers], names]))
"""


def test_every_test_of_a_report_has_an_outcome(tmp_path: Path) -> None:
    """By the name that pytest takes to run it again."""
    report = tmp_path / "report.xml"
    report.write_text(REPORT, encoding="utf-8")
    assert {
        "test_a.py::one[x]": "passed",
        "test_a.py::two": "skipped",
        "test_b.py::three": "failure",
        "test_b.py::four": "error",
    } == outcomes(report, "")


def test_a_runner_that_did_not_run_says_why(tmp_path: Path) -> None:
    """With the end of what it printed."""
    with pytest.raises(RuntimeError, match="no module"):
        outcomes(tmp_path / "missing.xml", "no module")


def test_a_runner_gets_the_suites_that_lie_here(tmp_path: Path) -> None:
    """Laid out as in the archive that it asks for."""
    pytest.importorskip("urllib3")
    for name in (
        "opensearch-rest-api-spec/test/search/10_a.yml",
        "elasticsearch-clients-tests/8.15/tests/get/10_b.yml",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True)
        file.write_text("---\n", encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(OFFLINE), "RERANK_TEST_SUITES": str(tmp_path)}
    answer = subprocess.run([sys.executable, "-c", ASKING], env=environment, capture_output=True, text=True, check=True)
    assert [
        [200, 200],
        [
            ["OpenSearch-main/rest-api-spec/src/main/resources/rest-api-spec/test/search/10_a.yml"],
            ["elasticsearch-clients-tests/tests/get/10_b.yml"],
        ],
    ] == json.loads(answer.stdout)

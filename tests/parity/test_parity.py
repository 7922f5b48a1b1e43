"""The short form of `make parity`: some of OpenSearch's own tests, direct and through the proxy in every mode."""

import asyncio

import pytest

from tests.engines.nodes import EngineUnavailable
from tests.parity.modes import MODES
from tests.parity.player import Kind
from tests.parity.report import Report, Verdict
from tests.parity.run import run
from tests.parity.suites import SUITES
from tests.parity.table import lines
from tests.parity.yaml_tests import load

pytestmark = pytest.mark.engine

FILES = (
    "bulk/40_source.yml",
    "count/20_query_string.yml",
    "explain/10_basic.yml",
    "get/50_with_headers.yml",
    "index/10_with_id.yml",
    "index/15_without_id.yml",
    "mget/10_basic.yml",
    "msearch/10_basic.yml",
    "msearch/11_status.yml",
    "msearch/20_typed_keys.yml",
    "pit/10_basic.yml",
    "scroll/11_clear.yml",
    "search/100_stored_fields.yml",
    "search/20_default_values.yml",
    "search/210_rescore_explain.yml",
    "search/400_combined_fields.yml",
    "search/400_max_score.yml",
    "search/50_multi_match.yml",
    "search/60_query_string.yml",
    "search/70_response_filtering.yml",
    "search/issue9606.yml",
    "search.aggregation/200_top_hits_metric.yml",
    "search.highlight/20_fvh.yml",
    "search.inner_hits/10_basic.yml",
    "search_pipeline/10_basic.yml",
    "suggest/40_typed_keys.yml",
    "update/80_source_filtering.yml",
)
"""Chosen for what they call; they take about half a minute."""


@pytest.fixture(scope="module")
def report() -> Report:
    """What a run over these files finds."""
    suite = SUITES["opensearch"]
    if absence := suite.absence():
        pytest.skip(absence)
    cases = load(suite.root, FILES)
    try:
        return asyncio.run(run(suite, cases, list(MODES.values()), say=lambda _: None))
    except EngineUnavailable as unavailable:
        pytest.skip(f"opensearch: {unavailable}")


@pytest.mark.parametrize("mode", MODES)
def test_the_proxy_answers_as_the_engine_does(report: Report, mode: str) -> None:
    """No outcome and no byte differs without an explanation."""
    found = [each for each in report.differences if each.mode == mode]
    assert not found, "\n".join(lines(report, [MODES[mode]]))


def test_enough_was_compared(report: Report) -> None:
    """Tests that do not run differ in nothing."""
    assert report.direct[Kind.PASSED] >= 40
    assert report.failed_direct == []
    for tally in report.tallies.values():
        assert tally.plays[Verdict.IDENTICAL] + tally.plays[Verdict.EXPLAINED] > 0.9 * tally.plays.total()
        assert tally.same_state.total() >= 60


def test_every_mode_did_what_it_is_for(report: Report) -> None:
    """Searches were left alone, reranked, or degraded."""
    markers = {mode: tally.markers for mode, tally in report.tallies.items()}
    assert set(markers["A"]) == {"skipped; reason=off"}
    assert markers["B"]["applied"] >= 10
    assert markers["E"]["applied"] == markers["B"]["applied"]
    assert markers["C"]["degraded; reason=model"] == markers["B"]["applied"]
    assert markers["D"]["degraded; reason=deadline"] == markers["B"]["applied"]


def test_no_proxy_logged_an_error(report: Report) -> None:
    """A broken promise that nobody saw is still one."""
    assert report.log_errors == []

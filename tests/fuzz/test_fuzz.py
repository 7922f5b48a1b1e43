"""Whatever is asked in whatever form, the proxy answers what the engine answers.

The short form is part of `make test`; `make fuzz N=100000` plays as many cases as it is told and says what it saw.
"""

import logging
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.fuzz.arena import Arena
from tests.fuzz.campaign import Campaign
from tests.fuzz.effort import EXAMPLES, SECONDS, SEED
from tests.fuzz.shelves import indices

SHORT = 300
"""Cases per engine that fit into the tests of every day."""


class Errors(logging.Handler):
    """Keeps what the program logs as an error: none of these requests is one."""

    def __init__(self) -> None:
        """Have seen none."""
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the first of them."""
        if len(self.seen) < 20:
            self.seen.append(self.format(record))


@pytest.fixture
def errors() -> Iterator[Errors]:
    """Errors that the program logs; everything else that it logs is kept away from pytest, which would store it."""
    handler = Errors()
    loggers = [logging.getLogger(name) for name in ("sidecar", "connectors", "aiohttp")]
    for logger in loggers:
        logger.propagate = False
    for logger in loggers[:2]:
        logger.addHandler(handler)
    yield handler
    for logger in loggers:
        logger.propagate = True
        logger.removeHandler(handler)


@pytest.fixture(scope="module")
def sent() -> Counter[str]:
    """Requests that were sent so far, by engine."""
    return Counter()


@pytest.mark.timeout(SECONDS)
def test_direct_and_proxied_answers_agree(
    engine_url: str,
    errors: Errors,
    sent: Counter[str],
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Reranking that is off, fails, stalls or keeps the order changes nothing that is not explained."""
    engine = request.node.callspec.params["engine_url"]
    with indices(engine_url), Arena(engine_url) as arena:
        campaign = Campaign(arena, engine, SEED)
        campaign.run(EXAMPLES or SHORT)
    sent[engine] = campaign.requests
    report = "\n".join([*campaign.report(), f"requests sent in all: {sent.total()} ({dict(sent)})"])
    if EXAMPLES:
        with capsys.disabled():
            request.config.get_terminal_writer().line(f"\n{report}")
    assert not campaign.found, report
    assert not errors.seen, "\n\n".join(errors.seen)
    assert campaign.tally.counted > 0.9 * campaign.tally.cases, report

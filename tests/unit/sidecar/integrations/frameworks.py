"""What the frameworks' tests share."""

import pytest

SKIP_REASON = "{} is not installed: it is in the dependency group integrations"


def needs(module: str, package: str) -> None:
    """Skip a test module where a framework is not installed."""
    pytest.importorskip(module, reason=SKIP_REASON.format(package))

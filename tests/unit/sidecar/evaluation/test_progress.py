"""Progress bars: on a terminal alone."""

import pytest

from sidecar.evaluation.progress import bar


def test_nothing_is_printed_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """What is piped to a file has no bars in it."""
    with bar("queries", 2) as advance:
        advance(1)
        advance(1)
    assert ("", "") == tuple(capsys.readouterr())


def test_a_terminal_gets_a_bar_on_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that standard output stays for figures."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_INTERACTIVE", "1")
    with bar("queries", 2) as advance:
        advance(2)
    captured = capsys.readouterr()
    assert "" == captured.out
    assert "queries" in captured.err
    assert "2/2" in captured.err

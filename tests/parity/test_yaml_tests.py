"""Tests of reading YAML tests."""

from pathlib import Path

import pytest

from tests.parity.yaml_tests import load

TWO_TESTS = """
---
setup:
  - do: {indices.create: {index: books}}
---
teardown:
  - do: {indices.delete: {index: books}}
---
"first":
  - do: {search: {index: books}}
  - match: {hits.total: 0}
---
"second":
  - do: {bulk: {body: []}}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A suite of two files."""
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "10.yml").write_text(TWO_TESTS)
    (tmp_path / "info.yml").write_text('---\n"info":\n  - do: {info: {}}\n')
    return tmp_path


def test_every_test_of_a_file_has_its_setup_and_teardown(root: Path) -> None:
    """Both are said once and hold for all tests of the file."""
    first, second = load(root, ["search"])
    assert (first.name, second.name) == ("first", "second")
    assert first.setup == second.setup == (("do", {"indices.create": {"index": "books"}}),)
    assert first.teardown == (("do", {"indices.delete": {"index": "books"}}),)
    assert [word for word, _ in first.steps] == ["do", "match"]
    assert second.apis == {"indices.create", "bulk", "indices.delete"}


@pytest.mark.parametrize(
    ("paths", "name", "found"),
    [
        (("*",), "*", 3),
        (("search",), "*", 2),
        (("search/10.yml",), "*", 2),
        (("search/1*",), "sec*", 1),
        (("sear",), "*", 0),
    ],
)
def test_tests_are_chosen_by_path_and_name(root: Path, paths: tuple[str, ...], name: str, found: int) -> None:
    """A path is a file, a folder or a pattern."""
    assert len(load(root, paths, name)) == found


def test_scalars_are_those_of_json(root: Path) -> None:
    """YAML 1.1 would make dates, minutes, booleans and octal numbers of what the suites mean as text or decimal."""
    said = "[2016-01-01, 12:30, on, 010, 1e3, 1.5, .5, true, null, ~, -1, 1_000, 0x1F, '1']"
    (root / "info.yml").write_text(f'---\n"values":\n  - match: {said}\n')
    [case] = load(root, ["info.yml"])
    found = case.steps[0][1]
    assert found == ["2016-01-01", "12:30", "on", 10, 1000.0, 1.5, 0.5, True, None, None, -1, "1_000", "0x1F", "1"]

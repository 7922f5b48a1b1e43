"""Text files by line, compressed or not, and what is said of those that cannot be read."""

import gzip
from pathlib import Path

import pytest

from sidecar.errors import ConfigError
from sidecar.evaluation.files import lines, objects, write


def test_blank_lines_are_passed_over_and_numbers_stay(tmp_path: Path) -> None:
    """Line ends of either kind, and a byte order mark, are no part of a line."""
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone\r\n\n  \nfour".encode())
    assert [(1, "one"), (4, "four")] == list(lines(path))


def test_a_compressed_file_is_read_like_any_other(tmp_path: Path) -> None:
    """By its name."""
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"a": 1}\n'))
    assert [(1, {"a": 1})] == list(objects(path))


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.jsonl", b'{"a": 1}\n[1]\n'), ("a.jsonl", b'{"a": 1}\n{"a": \n'), ("a.jsonl", b'{"a": 1}\n"text"\n')],
)
def test_a_line_that_is_no_object_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    """With its number."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"a\.jsonl, line 2: "):
        list(objects(path))


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.gz", b"not compressed"), ("a.gz", gzip.compress(b"cut off" * 100)[:-9]), ("a.txt", b"\xff\xfe\xfd")],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    """Whatever is wrong with it."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"{name}: cannot be read: "):
        list(lines(path))
    with pytest.raises(ConfigError, match="missing: cannot be read: No such file"):
        list(lines(tmp_path / "missing"))


def test_writing_makes_the_folders(tmp_path: Path) -> None:
    """And says where it cannot."""
    write(tmp_path / "new" / "a.txt", "é")
    assert "é" == (tmp_path / "new" / "a.txt").read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="new: cannot be written: "):
        write(tmp_path / "new", "text")

"""Files of searches in every format, and lines that are none."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from sidecar.errors import ConfigError
from sidecar.replay import formats
from sidecar.replay.formats import NO_BODY, NO_QUERIES, UNKNOWN
from sidecar.replay.recorded import NO_SEARCH, NOT_JSON, TEMPLATE, Recording
from tests.unit.sidecar.experiments.test_observe_log import FOUND, WHEN
from tests.unit.sidecar.replay.test_slow_logs import ECS, PLAIN

TEA: dict[str, Any] = {"query": {"match": {"text": "tea"}}}


def read(folder: Path, *lines: Any, name: str = "requests.jsonl", index: str | None = None) -> Recording:
    """Return what a file of these lines has; values are written as JSON."""
    path = folder / name
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return formats.read([path], index=index)


def found(recording: Recording) -> list[tuple[str, Any]]:
    """Return targets and bodies."""
    return [(one.request.target, json.loads(one.request.body or b"null")) for one in recording.searches]


def test_a_file_of_requests(tmp_path: Path) -> None:
    """By method and path, or by index; a body may be text."""
    recording = read(
        tmp_path,
        {"method": "GET", "path": "/books/_search?size=3", "body": TEA, "id": 7, "took_ms": 12},
        {"index": "books", "params": {"routing": "a"}, "body": json.dumps(TEA)},
        {"path": "/_msearch", "body": '{"index": "c"}\n{"size": 4}\n'},
    )
    assert [("/books/_search?size=3", TEA), ("/books/_search?routing=a", TEA), ("/c/_search", {"size": 4})] == found(
        recording
    )
    assert ("7", 0.012) == (recording.searches[0].id, recording.searches[0].seconds)


def test_bodies_alone_need_an_index(tmp_path: Path) -> None:
    """Which is said on the command line."""
    assert [("/books/_search", TEA)] == found(read(tmp_path, TEA, index="books"))
    with pytest.raises(ConfigError, match="say its index with --index"):
        read(tmp_path, TEA)


def test_the_body_of_an_msearch(tmp_path: Path) -> None:
    """Header lines and search bodies in turns."""
    recording = read(tmp_path, {"index": "a"}, TEA, {}, TEA, {"index": "b", "routing": "x"}, {"size": 2})
    assert [("/a/_search", TEA), ("/_search", TEA), ("/b/_search?routing=x", {"size": 2})] == found(recording)


def test_an_observe_log(tmp_path: Path) -> None:
    """As the program writes it, with queries and without."""
    from sidecar.experiments.observe_log import line

    recording = read(tmp_path, line(FOUND, WHEN, has_queries=True), line(FOUND, WHEN, has_queries=False))
    assert [("/secret-index/_search?preference=_local", json.loads(FOUND.body))] == found(recording)
    assert 1 == recording.refused[NO_QUERIES].count


def test_slow_logs_in_one_file(tmp_path: Path) -> None:
    """Text and JSON of one search: its parts."""
    recording = read(tmp_path, PLAIN["opensearch"], json.dumps(ECS), name="slow.log")
    assert 1 == len(recording.searches)
    assert 2 == recording.lines


def test_an_access_log_has_what_stands_in_urls(tmp_path: Path) -> None:
    """Of nginx and of HAProxy."""
    recording = read(
        tmp_path,
        '10.0.0.1 - - [26/Nov/2026:10:00:00 +0000] "GET /books/_search?q=tea&size=3 HTTP/1.1" 200 512 "-" "curl"',
        "haproxy[7]: 10.0.0.1:4 [26/Nov/2026:10:00:00.1] in es/n1 0/0/1/2/3 200 512 - - ---- 1/1/0/0/0 0/0 "
        '"GET /_search?q=tea HTTP/1.1"',
        '10.0.0.1 - - [26/Nov/2026:10:00:00 +0000] "POST /books/_search HTTP/1.1" 200 512',
        '10.0.0.1 - - [26/Nov/2026:10:00:00 +0000] "DELETE /books HTTP/1.1" 200 21',
    )
    assert [("/books/_search?q=tea&size=3", None), ("/_search?q=tea", None)] == found(recording)
    assert {NO_BODY: 1, NO_SEARCH: 1} == {why: each.count for why, each in recording.refused.items()}


def test_a_recording_of_a_browser(tmp_path: Path) -> None:
    """Searches among other requests."""
    asked = {
        "method": "POST",
        "url": "https://es.example:9200/books/_search?pretty",
        "postData": {"text": json.dumps(TEA)},
    }
    entries = [
        {"request": asked, "time": 12.5, "startedDateTime": "2026-11-26T10:00:00.000Z"},
        {"request": {"method": "GET", "url": "https://es.example/favicon.ico"}},
        {},
    ]
    recording = read(tmp_path, {"log": {"entries": entries}}, name="a.har")
    assert [("/books/_search", TEA)] == found(recording)
    assert (0.0125, 2) == (recording.searches[0].seconds, recording.refused[NO_SEARCH].count)
    with pytest.raises(ConfigError, match="is no HAR file"):
        read(tmp_path, "{}", name="b.har")


def test_lines_that_cannot_be_replayed_are_counted_with_their_reason(tmp_path: Path) -> None:
    """And with the first place where it is so."""
    recording = read(
        tmp_path,
        {"index": "books", "body": TEA},
        "some words",
        {"some": "thing"},
        '{"index": "books", "body": {"qu',
        {"path": "/books/_search/template", "body": {"id": "a"}},
        {"path": "/books/_doc", "body": {}},
        "others",
        name="mixed.log",
    )
    assert {UNKNOWN: 3, NOT_JSON: 1, TEMPLATE: 1, NO_SEARCH: 1} == {
        why: each.count for why, each in recording.refused.items()
    }
    assert "mixed.log, line 2" == recording.refused[UNKNOWN].example
    assert 7 == recording.lines


def test_several_files_and_compressed_ones(tmp_path: Path) -> None:
    """Are one recording."""
    line = json.dumps({"index": "books", "body": TEA}).encode()
    (tmp_path / "a.jsonl").write_bytes(line)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(line))
    recording = formats.read([tmp_path / "a.jsonl", tmp_path / "b.jsonl.gz"])
    assert [2] == [one.count for one in recording.searches]
    assert "a.jsonl, b.jsonl.gz" == recording.name


@pytest.mark.parametrize(
    ("lines", "why"), [((), "has no lines"), (("words",), "nothing that can be replayed.*1 .*line 1")]
)
def test_a_file_without_a_search_is_refused(tmp_path: Path, lines: tuple[str, ...], why: str) -> None:
    """With the reasons."""
    with pytest.raises(ConfigError, match=why):
        read(tmp_path, *lines)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(ConfigError, match=r"missing\.log: cannot be read"):
        formats.read([tmp_path / "missing.log"])

"""The sample corpus of the demo: short articles, queries as people type them, and judgments, all written for it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

INDEX = "articles"
_HERE = Path(__file__).parent


def documents_path() -> Path:
    """Return the file of documents, one JSON object a line with `_id`, `title`, `text` and `topic`."""
    return _HERE / "documents.jsonl"


@cache
def size() -> int:
    """Return how many documents there are."""
    return len(documents_path().read_text(encoding="utf-8").splitlines())


@cache
def queries() -> dict[str, str]:
    """Return query texts by id, those first that show most."""
    lines = (_HERE / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    return {query["_id"]: query["text"] for query in map(json.loads, lines)}


@cache
def qrels() -> dict[str, dict[str, int]]:
    """Return grades by query id and document id."""
    grades: dict[str, dict[str, int]] = {}
    for line in (_HERE / "qrels.trec").read_text(encoding="utf-8").splitlines():
        query_id, _, document_id, grade = line.split()
        grades.setdefault(query_id, {})[document_id] = int(grade)
    return grades

"""Judgments from files: TREC qrels, BEIR's tab-separated ones, Quepid's CSV, and what was clicked.

Law: the format is told by the file's name and first line, and a line that does not fit it is refused with its number.
Grades are whole numbers; 1 and more is relevant, 0 and less judged and not relevant.

A click pair says that a document was clicked and, beside it, which one was passed over. A document is relevant (1) to
a query under which it was clicked at least as often as it was passed over, else judged and not relevant (0).

*Source:* `query 0 document grade` as trec_eval reads it; BEIR's `query-id corpus-id score`; Quepid's export and import
of ratings, `query,docid,rating`, whose queries are texts. Click pairs: Joachims 2002 (doi:10.1145/775047.775067).
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sidecar.errors import ConfigError
from sidecar.evaluation.files import lines

Qrels = Mapping[str, Mapping[str, int]]
"""Grades by query and document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgments:
    """The grades of a file."""

    qrels: Qrels
    #: queries are named by their text and not by an id
    is_by_text: bool = False


def read(path: Path) -> Judgments:
    """Return the judgments of a file.

    Raises:
        ConfigError: it cannot be read, or a line is no judgment.
    """
    if path.suffix == ".csv":
        rows = _clicks(path) if "clicked" in _heading(path) else _quepid(path)
        return Judgments(qrels=_collect(rows, path), is_by_text=True)
    return Judgments(qrels=_collect(_columns(path), path))


_Row = tuple[int, str, str, str]
"""Line number, query, document, grade."""


def _columns(path: Path) -> Iterator[_Row]:
    for number, line in lines(path):
        cells = line.split("\t") if "\t" in line else line.split()
        match [cell.strip() for cell in cells]:
            case [query, _, document, grade]:
                yield number, query, document, grade
            case [query, document, grade] if number > 1 or _is_number(grade):
                yield number, query, document, grade
            case [_, _, _] if number == 1:  # the heading of BEIR's files
                continue
            case _:
                raise ConfigError(f"{path}, line {number}: expected `query 0 document grade` or `query document grade`")


def _quepid(path: Path) -> Iterator[_Row]:
    rows = csv.reader(f"{line}\n" for _, line in lines(path))
    heading = [name.strip().lower().lstrip("\ufeff") for name in next(rows, [])]
    places = [heading.index(name) if name in heading else None for name in ("query", "docid", "rating")]
    for row in rows:
        if None in places or len(row) < len(heading):
            break
        query, document, grade = (row[place].strip() for place in places if place is not None)
        if grade:  # a document that nobody has rated yet
            yield rows.line_num, query, document, grade
    else:
        if None not in places:
            return
    raise ConfigError(f"{path}, line {rows.line_num}: expected the columns query, docid and rating")


def _heading(path: Path) -> list[str]:
    first = next((line for _, line in lines(path)), "")
    return [name.strip().lower().lstrip("\ufeff") for name in next(csv.reader([first]), [])]


def _clicks(path: Path) -> Iterator[_Row]:
    rows = csv.reader(f"{line}\n" for _, line in lines(path))
    heading = _heading(path)
    if "query" not in heading:
        raise ConfigError(f"{path}, line 1: expected the columns query, clicked and passed_over")
    balance: Counter[tuple[str, str]] = Counter()
    next(rows)
    for row in rows:
        cells = dict(zip(heading, (cell.strip() for cell in row), strict=False))
        if not cells.get("query") or not cells.get("clicked"):
            raise ConfigError(f"{path}, line {rows.line_num}: a click needs a query and the document that was clicked")
        balance[cells["query"], cells["clicked"]] += 1
        if passed_over := cells.get("passed_over"):
            balance[cells["query"], passed_over] -= 1
    for (query, document), clicks in balance.items():
        yield 0, query, document, str(int(clicks >= 0))


def _collect(rows: Iterable[_Row], path: Path) -> Qrels:
    found: dict[str, dict[str, int]] = {}
    for number, query, document, grade in rows:
        if not _is_number(grade):
            raise ConfigError(f"{path}, line {number}: the grade must be a whole number, not {grade!r}")
        found.setdefault(query, {})[document] = int(float(grade))
    if not found:
        raise ConfigError(f"{path}: has no judgments")
    return found


def _is_number(text: str) -> bool:
    try:
        return float(text) == int(float(text))
    except (ValueError, OverflowError):
        return False

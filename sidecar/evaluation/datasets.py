"""A dataset: queries with their judgments, and the documents that are searched.

Law: the queries of a dataset are those that are searched and counted: where there are judgments, the queries with at
least one relevant document; what is left out is said.

*Source:* BEIR's layout: `corpus.jsonl`, `queries.jsonl`, `qrels/test.tsv`, each optionally compressed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from connectors.json_bytes import JsonObject
from sidecar import sample
from sidecar.errors import ConfigError
from sidecar.evaluation import judgments
from sidecar.evaluation.files import lines, objects
from sidecar.evaluation.judgments import Judgments, Qrels

SAMPLE: Final = "sample"
"""The name of the demo's own corpus, which is judged, too."""

_CORPUS: Final = ("corpus.jsonl", "corpus.jsonl.gz", "documents.jsonl", "documents.jsonl.gz")
_QUERIES: Final = ("queries.jsonl", "queries.jsonl.gz")
_QRELS: Final = ("qrels.trec", "qrels.trec.gz", "qrels/test.tsv", "qrels.tsv", "qrels.csv")
_USUAL_FIELDS: Final = ("title", "text")
_LOOKED_AT: Final = 1000
"""Documents from which the names of text fields are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What is evaluated on."""

    name: str
    #: texts of the queries that are searched, by id
    queries: Mapping[str, str]
    #: their judgments; None where there are none
    qrels: Qrels | None
    corpus: Path | None
    #: what was left out, in words
    notes: tuple[str, ...] = ()

    def limited(self, count: int | None) -> Dataset:
        """Return the dataset with its first `count` queries; all of them for None."""
        if count is None or count >= len(self.queries):
            return self
        kept = dict(islice(self.queries.items(), count))
        qrels = None if self.qrels is None else {query: self.qrels[query] for query in kept}
        note = f"the first {count} of {len(self.queries)} queries"
        return Dataset(name=self.name, queries=kept, qrels=qrels, corpus=self.corpus, notes=(*self.notes, note))


def load(folder: str | None, qrels: Path | None = None, *, relevant_from: int = 1) -> Dataset:
    """Return the dataset of a folder (`sample` is the demo's) under the judgments of `qrels` or else its own.

    Raises:
        ConfigError: a file is missing or makes no sense, or no query is left.
    """
    root = _root(folder)
    texts = _first(root, _QUERIES)
    judged = qrels or _first(root, _QRELS)
    queries = {} if texts is None else _read_queries(texts)
    given = None if judged is None else judgments.read(judged)
    notes: list[str] = []
    if given is not None and given.is_by_text:
        queries, given = _by_id(queries, given, notes)
    if not queries:
        where = (
            f"{root} has no {_QUERIES[0]}" if root is not None else "give --dataset FOLDER, or ratings by --qrels CSV"
        )
        raise ConfigError(f"--dataset: {where}")
    if given is not None:
        queries = _judged(queries, given.qrels, relevant_from, notes)
    return Dataset(
        name=_name(folder, root, qrels),
        queries=queries,
        qrels=None if given is None else {query: given.qrels[query] for query in queries},
        corpus=_first(root, _CORPUS),
        notes=tuple(notes),
    )


def unjudged(folder: str | None, queries: Path | None = None) -> Dataset:
    """Return all queries of a folder (`sample` is the demo's), or those of the file `queries`, without judgments.

    A file's lines are objects with `_id` and `text`, or, where its name ends in .tsv, an id, a tab and a text.

    Raises:
        ConfigError: a file is missing or makes no sense.
    """
    root = _root(folder)
    texts = queries or _first(root, _QUERIES)
    if texts is None:
        where = "give --dataset FOLDER, or --queries FILE" if root is None else f"{root} has no {_QUERIES[0]}"
        raise ConfigError(f"--dataset: {where}")
    found = _read_table(texts) if ".tsv" in texts.suffixes else _read_queries(texts)
    if not found:
        raise ConfigError(f"{texts}: has no queries")
    return Dataset(name=_name(folder, root, queries), queries=found, qrels=None, corpus=_first(root, _CORPUS))


def documents(corpus: Path) -> Iterator[tuple[str, JsonObject]]:
    """Yield the ids and the documents of a corpus file, without their ids.

    Raises:
        ConfigError: it cannot be read, or a line is no document with an `_id`.
    """
    for number, document in objects(corpus):
        id = document.pop("_id", None)
        if not isinstance(id, str | int) or isinstance(id, bool) or id == "":
            raise ConfigError(f"{corpus}, line {number}: the document needs an _id")
        yield str(id), document


def text_fields(some: Iterable[JsonObject]) -> tuple[str, ...]:
    """Return which fields of these documents hold text: `title` and `text` where they do, else all with strings."""
    names = dict.fromkeys(
        name for document in islice(some, _LOOKED_AT) for name, value in document.items() if isinstance(value, str)
    )
    return tuple(name for name in _USUAL_FIELDS if name in names) or tuple(names)


def _root(folder: str | None) -> Path | None:
    root = sample.documents_path().parent if folder == SAMPLE else Path(folder) if folder is not None else None
    if root is not None and not root.is_dir():
        raise ConfigError(f"--dataset: {root} is no folder")
    return root


def _name(folder: str | None, root: Path | None, file: Path | None) -> str:
    if folder == SAMPLE:
        return SAMPLE
    return root.resolve().name if root is not None else str(file)


def _first(root: Path | None, names: tuple[str, ...]) -> Path | None:
    if root is None:
        return None
    return next((root / name for name in names if (root / name).is_file()), None)


def _read_queries(path: Path) -> dict[str, str]:
    queries: dict[str, str] = {}
    for number, query in objects(path):
        id, text = query.get("_id"), query.get("text")
        if id is None or not isinstance(text, str) or not text.strip():
            raise ConfigError(f"{path}, line {number}: a query needs _id and text")
        queries[str(id)] = text
    return queries


def _read_table(path: Path) -> dict[str, str]:
    queries: dict[str, str] = {}
    for number, line in lines(path):
        id, tab, text = line.partition("\t")
        if not tab or not id.strip() or not text.strip():
            raise ConfigError(f"{path}, line {number}: expected an id, a tab and the text of a query")
        queries[id.strip()] = text.strip()
    return queries


def _by_id(queries: dict[str, str], given: Judgments, notes: list[str]) -> tuple[dict[str, str], Judgments]:
    """Return queries and judgments by id where the judgments name queries by their text."""
    queries = queries or {f"q{number}": text for number, text in enumerate(given.qrels, start=1)}
    by_text = {text.strip(): grades for text, grades in given.qrels.items()}
    found = {id: by_text[text.strip()] for id, text in queries.items() if text.strip() in by_text}
    unknown = len(by_text.keys() - {text.strip() for text in queries.values()})
    if unknown:
        notes.append(f"{unknown} judged query texts are not among the queries and left out")
    return queries, Judgments(qrels=found)


def _judged(queries: Mapping[str, str], qrels: Qrels, relevant_from: int, notes: list[str]) -> dict[str, str]:
    relevant = {query for query, grades in qrels.items() if any(grade >= relevant_from for grade in grades.values())}
    unknown = len(relevant - queries.keys())
    if unknown:
        notes.append(f"{unknown} judged queries have no text and are left out")
    barren = len((queries.keys() & qrels.keys()) - relevant)
    if barren:
        notes.append(f"{barren} judged queries have no relevant document and are left out")
    kept = {query: text for query, text in queries.items() if query in relevant}
    if not kept:
        raise ConfigError("--qrels: no query of the dataset has a relevant document")
    return kept

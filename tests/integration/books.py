"""The documents that the integration tests search: a small library with every kind of field that matters.

Its one law: BM25's order and the order by length differ, so that a reranked page cannot be mistaken for the engine's,
and no two texts are equally long, so that each order is total.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.request import Request, urlopen

BOOKS = 30

MAPPING: Mapping[str, Any] = {
    "settings": {"number_of_shards": 1, "number_of_replicas": 0},
    "mappings": {
        "dynamic": "strict",
        "properties": {
            "title": {"type": "text", "copy_to": "everything", "fields": {"raw": {"type": "keyword"}}},
            "body": {"type": "text", "copy_to": "everything", "fields": {"simple": {"type": "text"}}},
            "everything": {"type": "text"},
            "note": {"type": "text", "store": True},
            "shelf": {"type": "keyword"},
            "n": {"type": "integer"},
            "price": {"type": "double"},
            "published": {"type": "date"},
            "author": {"properties": {"name": {"type": "text"}, "country": {"type": "keyword"}}},
            "chapters": {"type": "nested", "properties": {"heading": {"type": "text"}, "page": {"type": "integer"}}},
            "exotic": {"type": "object", "enabled": False},
        },
    },
}

ODD_JSON = (
    rb'{ "integer":12345678901234567890, "exponent" : 1E+2 ,"zero":-0.0, "long":0.1000000000000000055511151231257827,'
    rb' "surrogate":"\ud800", "escaped":"\u00e4\/", "spaced" : [ 1 ,2,  3 ], "empty":{ } }'
)
"""What no parser gives back as it was."""


def book(n: int) -> bytes:
    """Return document `n`: the more often it says "tea" the higher BM25 ranks it, and the longer it is."""
    body = " ".join(["tea"] * (n % 10 + 1) + ["leaves and water"] * (n % 7) + [f"word{n}"] * (2 * n))
    fields = {
        "title": f"Book {n} about {'black' if n % 2 else 'green'} tea",
        "body": body,
        "note": f"A note on tea, number {n}",
        "shelf": f"shelf-{n % 3}",
        "n": n,
        "price": n + 0.5,
        "published": f"20{n:02d}-01-15",
        "author": {"name": f"Author {n} of tea", "country": ["jp", "cn", "in"][n % 3]},
        "chapters": [{"heading": f"Tea chapter {n}", "page": 1}, {"heading": "Afterword", "page": n + 10}],
    }
    text = json.dumps(fields, separators=(", ", ":")).encode()
    return text[:-1] + b' ,  "exotic":' + ODD_JSON + b" }"


def texts_of(*paths: str) -> dict[str, str]:
    """Return by `_id` the text that a model sees of these fields of the library."""
    documents = [json.loads(book(n)) for n in range(BOOKS)]
    return {str(n): " ".join(text_at(document, path) for path in paths) for n, document in enumerate(documents)}


def text_at(document: Any, path: str) -> str:
    """Return what stands at a dotted path, the elements of arrays joined by spaces."""
    for name in path.split("."):
        document = [element[name] for element in document] if isinstance(document, list) else document[name]
    return " ".join(document) if isinstance(document, list) else str(document)


def put_library(engine_url: str, index: str) -> None:
    """Create the index and fill it; it can be searched when this returns."""
    call(engine_url, "PUT", f"/{index}", MAPPING)
    lines = b"".join(json.dumps({"index": {"_id": str(n)}}).encode() + b"\n" + book(n) + b"\n" for n in range(BOOKS))
    answer = call(engine_url, "POST", f"/{index}/_bulk?refresh=true", lines)
    assert not answer["errors"], [item for item in answer["items"] if item["index"]["status"] >= 300]


def put_documents(
    engine_url: str, index: str, documents: Sequence[Mapping[str, Any]], mapping: Mapping[str, Any] | None = None
) -> None:
    """Create an index with documents whose `_id`s count from 0."""
    if mapping is not None:
        call(engine_url, "PUT", f"/{index}", mapping)
    lines = [line for n, document in enumerate(documents) for line in ({"index": {"_id": str(n)}}, document)]
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    answer = call(engine_url, "POST", f"/{index}/_bulk?refresh=true", body)
    assert not answer["errors"], answer


def call(engine_url: str, method: str, target: str, body: Mapping[str, Any] | bytes | None = None) -> Any:
    """Ask the engine something in passing, without the program and without an event loop."""
    content = json.dumps(body).encode() if isinstance(body, Mapping) else body
    kind = "application/json" if isinstance(body, Mapping) else "application/x-ndjson"
    headers = {} if content is None else {"Content-Type": kind}
    with urlopen(Request(engine_url + target, data=content, headers=headers, method=method)) as answer:
        received = answer.read()
    return json.loads(received) if received else None

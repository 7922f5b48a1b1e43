"""The indices of the fuzz tests: the library of the integration tests, and a small index of everything awkward."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.error import HTTPError

from tests.fuzz.urls import LIBRARY, SHELVES
from tests.integration.books import call, put_library

_PROPERTIES: Final[Mapping[str, Any]] = {
    "title": {"type": "text"},
    "body": {"type": "text"},
    "tags": {"type": "text"},
    "n": {"type": "integer", "ignore_malformed": True},
    "shelf": {"type": "keyword", "ignore_above": 5},
    "place": {"type": "geo_point"},
    "published": {"type": "date"},
}
_VECTOR: Final = {"type": "dense_vector", "dims": 2, "similarity": "l2_norm"}

_DOCUMENTS: Final = (
    rb'{"title":"Green tea","body":"tea tea tea","n":1,"vector":[1,2]}',
    rb'{"title":"Green tea","body":"tea tea tea","n":1,"vector":[1,2]}',
    rb'{"title":["Black tea","Tea"],"body":"tea","tags":["tea","black"],"vector":[2,1]}',
    rb'{"title":null,"body":"tea leaves","n":[1,2]}',
    rb'{"body":"","title":"tea","published":"2015-01-01"}',
    rb'{"title":"Tea","n":"three"}',
    rb'{"title":"Tea","shelf":"longer than five"}',
    rb'{"title":"tea","a.b":{"c":1},"unmapped":{"deep":["tea"]}}',
    rb'{"title":"te\u0301a \ud83c\udf75 tea \ud800","body":"tea \u2028 tea"}',
    rb'{"place":{"lat":35.0,"lon":135.7},"title":"Tea in Kyoto","shelf":"east"}',
    rb"{}",
    rb'{ "title" : "tea" , "body":"water water water" }',
)
"""Equal ones, arrays, nulls, ignored values, unmapped objects, characters of every kind, nothing at all."""


@contextmanager
def indices(engine_url: str) -> Iterator[None]:
    """Fill both indices and their alias; they are gone afterwards."""
    _remove(engine_url)
    put_library(engine_url, LIBRARY)
    is_elasticsearch = "tagline" in (info := call(engine_url, "GET", "/")) and "for Search" in info["tagline"]
    properties = {**_PROPERTIES, "vector": _VECTOR} if is_elasticsearch else _PROPERTIES
    mapping = {
        "settings": {"number_of_shards": 2, "number_of_replicas": 0},
        "mappings": {"dynamic": False, "properties": properties},
    }
    call(engine_url, "PUT", f"/{SHELVES}", mapping)
    heads = [{"_id": f"s{n}", **({"routing": "east"} if n == 9 else {})} for n in range(len(_DOCUMENTS))]
    lines = [
        json.dumps({"index": head}).encode() + b"\n" + text + b"\n"
        for head, text in zip(heads, _DOCUMENTS, strict=True)
    ]
    answer = call(engine_url, "POST", f"/{SHELVES}/_bulk?refresh=true", b"".join(lines))
    assert not answer["errors"], answer
    call(engine_url, "PUT", f"/{LIBRARY}/_alias/fuzz-books", {})
    try:
        yield
    finally:
        _remove(engine_url)


def _remove(engine_url: str) -> None:
    for name in (LIBRARY, SHELVES):
        try:
            call(engine_url, "DELETE", f"/{name}")
        except HTTPError as error:
            error.close()
            if error.code != 404:
                raise

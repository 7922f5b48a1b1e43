"""The embedded engine answers as Elasticsearch does: the same documents, the same requests, two answers compared.

Its one law: the same hits in the same order, scores to a relative 1e-5, the same totals, aggregations and errors. What
the embedded engine leaves out it refuses with status 400 and says so. Statistics are compared on a merged index.
"""

import asyncio
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from connectors.base import SearchRequest
from connectors.embedded import EmbeddedConnector
from sidecar import sample
from tests.integration.books import call
from tests.unit.connectors.embedded.corpus import MAPPING, RandomQueries, documents

TOLERANCE = 1e-5
SCORES = ("_score", "max_score", "sort")
PASSING = frozenset(
    {"took", "node", "index_uuid", "uuid", "creation_date", "line", "col", "caused_by", "failed_shards"}
)
"""Members that say when and where, and where in its input Elasticsearch's parser stood."""

JSON = (("Content-Type", "application/json"),)
SEARCH = "/@corpus/_search"
TEA = {"match": {"body": "tea garden"}}
ALL = {"match_all": {}}

Json = dict[str, Any]
Case = tuple[str, str, Any]
"""Method, target and body of a request; `@corpus`, `@sample` and `@changed` stand for the names of indices."""


@dataclass(frozen=True)
class Answer:
    """What an engine answered."""

    status: int
    content: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.content)


@dataclass(frozen=True)
class Pair:
    """Both engines, with the same indices."""

    elasticsearch: str
    embedded: EmbeddedConnector
    names: Mapping[str, str]
    runner: asyncio.Runner

    def ask(self, method: str, target: str, body: Any = None) -> tuple[Answer, Answer]:
        """Send the same request to both."""
        return self.ask_real(method, target, body), self.ask_embedded(method, target, body)

    def ask_real(self, method: str, target: str, body: Any = None) -> Answer:
        """Send a request to Elasticsearch."""
        content = self._named(body if isinstance(body, str) else json.dumps(body)).encode()
        request = Request(
            self.elasticsearch + self._named(target),
            data=None if body is None else content,
            headers={} if body is None else dict(JSON),
            method=method,
        )
        try:
            with urlopen(request) as answer:
                return Answer(answer.status, answer.read())
        except HTTPError as error:
            with error:
                return Answer(error.code, error.read())

    def ask_embedded(self, method: str, target: str, body: Any = None) -> Answer:
        """Send a request to the embedded engine."""
        content = self._named(body if isinstance(body, str) else json.dumps(body)).encode()
        request = SearchRequest(
            method=method, target=self._named(target), headers=JSON, body=b"" if body is None else content
        )
        answer = self.runner.run(self.embedded.search(request))
        return Answer(answer.status, answer.body)

    def _named(self, text: str) -> str:
        for name, actual in self.names.items():
            text = text.replace(f"@{name}", actual)
        return text


@pytest.fixture(scope="module")
def pair(elasticsearch_url: str, new_index_name: Callable[[], str]) -> Iterator[Pair]:
    """Both engines with the made-up corpus, the sample articles, and an index that grew in three steps."""
    names = {name: f"{name}-{new_index_name()}" for name in ("corpus", "sample", "changed")}
    runner = asyncio.Runner()
    both = Pair(elasticsearch=elasticsearch_url, embedded=EmbeddedConnector(), names=names, runner=runner)
    articles = [json.loads(line) for line in sample.documents_path().read_text(encoding="utf-8").splitlines()]
    _create(both, "corpus", MAPPING)
    _fill(both, "corpus", documents())
    _create(both, "sample", {"settings": MAPPING["settings"]})
    _fill(both, "sample", [{key: value for key, value in one.items() if key != "_id"} for one in articles])
    _create(both, "changed", MAPPING)
    _fill_and_change(both)
    all_three = ",".join(names.values())
    for step in ("_refresh", "_forcemerge?max_num_segments=1", "_refresh"):
        call(elasticsearch_url, "POST", f"/{all_three}/{step}")
    with runner:
        yield both
    call(elasticsearch_url, "DELETE", f"/{all_three}")


def _create(pair: Pair, index: str, body: Mapping[str, Any]) -> None:
    assert [200, 200] == [answer.status for answer in pair.ask("PUT", f"/@{index}", dict(body))]


def _fill(pair: Pair, index: str, sources: Sequence[Json], first: int = 0) -> None:
    lines = [line for n, one in enumerate(sources, first) for line in ({"index": {"_id": str(n)}}, one)]
    real, embedded = pair.ask("POST", f"/@{index}/_bulk?refresh=true", "".join(json.dumps(one) + "\n" for one in lines))
    assert [] == differences(real.json, embedded.json)
    assert not real.json["errors"]


def _fill_and_change(pair: Pair) -> None:
    """Bring both to the same documents: the embedded engine in steps with searches in between, the real one at once.

    Elasticsearch keeps what was deleted in its statistics until a merge, and for a while even then.
    """
    last = {"id": "5", "source": documents(200)[150]}
    sources = [(str(n), one) for n, one in enumerate(documents(120))]
    for first in (0, 40, 80):
        for document_id, source in sources[first : first + 40]:
            pair.ask_embedded("PUT", f"/@changed/_doc/{document_id}", source)
        pair.ask_embedded("POST", "/@changed/_search", {"query": TEA})
    pair.ask_embedded("PUT", f"/@changed/_doc/{last['id']}", last["source"])
    pair.ask_embedded("DELETE", "/@changed/_doc/7")
    left = [(document_id, source) for document_id, source in sources if document_id not in ("5", "7")]
    lines = [line for one, source in [*left, tuple(last.values())] for line in ({"index": {"_id": one}}, source)]
    pair.ask_real("POST", "/@changed/_bulk", "".join(json.dumps(line) + "\n" for line in lines))


def search_cases() -> dict[str, Case]:
    """Return the searches of the corpus by name."""
    bodies = {f"query {name}": {"query": query, "size": 30} for name, query in QUERIES.items()} | BODIES
    return {name: ("POST", SEARCH, body) for name, body in bodies.items()} | CALLS


def _match(text: Any, field: str = "body", **more: Any) -> Json:
    return {"match": {field: {"query": text, **more}}}


def _multi(text: str, *fields: str, **more: Any) -> Json:
    return {"multi_match": {"query": text, **({"fields": list(fields)} if fields else {}), **more}}


def _string(text: str, *fields: str, **more: Any) -> Json:
    return {"query_string": {"query": text, **({"fields": list(fields)} if fields else {}), **more}}


def _simple(text: str, *fields: str, **more: Any) -> Json:
    return {"simple_query_string": {"query": text, **({"fields": list(fields)} if fields else {}), **more}}


QUERIES: Mapping[str, Json] = {
    "match": TEA,
    "match, all words": _match("tea river stone", operator="and"),
    "match, all words and a minimum": _match("tea river stone", operator="and", minimum_should_match="1"),
    "match, two words": _match("tea river stone house", minimum_should_match=2),
    "match, 75 % of the words": _match("tea river stone house", minimum_should_match="75%"),
    "match, all but a quarter": _match("tea river stone house", minimum_should_match="-25%"),
    "match, a minimum with conditions": _match("tea river stone house", minimum_should_match="2<-25% 9<-3"),
    "match, more words than there are": _match("tea river", minimum_should_match=5),
    "match, one word and a minimum": _match("tea", minimum_should_match=5),
    "match, boosted": _match("tea garden", boost=2.5),
    "match, a word twice": _match("tea tea garden"),
    "match, a sparse field": _match("tea garden", "note"),
    "match, several values": _match("tea garden", "places"),
    "match, a field of copies": _match("garden 東京", "everything"),
    "match, a dynamic field": _match("tea black", "grown.list"),
    "match, other scripts": _match("café NAÏVE 東京 STRASSE"),
    "match, punctuation": _match("e.g. U.S.A 3.14 wifi-router foo_bar O'Neill's"),
    "match, a number": _match(3.14),
    "match, nothing": _match(""),
    "match, everything for nothing": _match("...", zero_terms_query="all"),
    "match, keyword": _match("red", "tags"),
    "match, boolean": _match("true", "is_open"),
    "match, integer": _match("17", "n"),
    "match, date": _match("2007-08-08", "published"),
    "match, no such field": _match("tea", "nope"),
    "match, lenient": _match("tea", "n", lenient=True),
    "best fields": _multi("tea garden", "title^3", "body", "note^0.5"),
    "best fields, tie breaker": _multi("tea garden", "title^3", "body", tie_breaker=0.3),
    "best fields, all words": _multi("tea garden", "title", "body", operator="and"),
    "most fields": _multi("tea garden", "title", "title.twin^2", "body", type="most_fields"),
    "phrase in fields": _multi("black tea", "title^2", "body", type="phrase"),
    "all fields": _multi("tea garden", "*"),
    "all fields by default": _multi("17"),
    "patterns of fields": _multi("tea garden", "tit*^2", "title^3", "body"),
    "a field twice": _multi("tea garden", "title^2", "title^3", "body"),
    "bool": {
        "bool": {
            "must": [{"match": {"body": "tea"}}],
            "should": [{"match": {"title": "garden"}}],
            "filter": {"term": {"is_open": True}},
            "must_not": [{"term": {"tags": "red"}}],
        }
    },
    "bool, two of three": {"bool": {"should": [_match("tea"), _match("garden", "title")], "minimum_should_match": 2}},
    "bool, filter only": {"bool": {"filter": [TEA]}},
    "bool, must not only": {"bool": {"must_not": [_match("garden")], "minimum_should_match": 1}},
    "bool, empty": {"bool": {}},
    "dis max": {"dis_max": {"queries": [_match("tea"), _match("garden", "title")], "tie_breaker": 0.7, "boost": 1.2}},
    "constant score": {"constant_score": {"filter": TEA, "boost": 3.5}},
    "boosting": {"boosting": {"positive": TEA, "negative": _match("tea", "title"), "negative_boost": 0.2}},
    "phrase": {"match_phrase": {"body": "black tea"}},
    "phrase of three": {"match_phrase": {"body": "tea leaves water"}},
    "phrase, not across values": {"match_phrase": {"places": "tea tea"}},
    "term": {"term": {"body": "tea"}},
    "term, upper case": {"term": {"body": "Tea"}},
    "term, keyword": {"term": {"tags": {"value": "Old", "boost": 2}}},
    "term, empty keyword": {"term": {"title.raw": ""}},
    "term, too long a keyword": {"term": {"code": "abcdefgh"}},
    "term, between integers": {"term": {"n": 17.5}},
    "term, a whole day": {"term": {"published": "2007-08-08"}},
    "term, id": {"term": {"_id": "17"}},
    "term, index": {"term": {"_index": "@corpus"}},
    "terms": {"terms": {"tags": ["red", "Old"], "boost": 2}},
    "terms, text": {"terms": {"body": ["tea", "garden"]}},
    "range, integer": {"range": {"n": {"gt": 9.5, "lte": "12.5"}}},
    "range, double": {"range": {"price": {"gte": 10, "lt": 20, "boost": 2}}},
    "range, float": {"range": {"rating": {"gte": 2.1}}},
    "range, dates rounded down and up": {"range": {"published": {"gt": "2005-06-06", "lte": "2007-08-08"}}},
    "range, years": {"range": {"published": {"gte": "2005", "lt": "2007"}}},
    "range, keyword": {"range": {"tags": {"gte": "b", "lt": "h"}}},
    "prefix": {"prefix": {"body": "conn"}},
    "prefix, keyword": {"prefix": {"tags": {"value": "re", "boost": 2}}},
    "exists": {"exists": {"field": "note"}},
    "exists, object": {"exists": {"field": "grown"}},
    "exists, not indexed": {"exists": {"field": "secret"}},
    "ids": {"ids": {"values": ["7", "3", "nope"]}},
    "none": {"match_none": {}},
    "query string": _string("+tea garden -river", "title^2", "body"),
    "query string, a run of words": _string("tea garden river", "title^2", "body"),
    "query string, operators": _string("(tea OR garden) AND NOT river", "title^2", "body"),
    "query string, fields": _string('title:"black tea" author.name:(garden river) n:17^3'),
    "query string, default and": _string("tea garden", "title", "body", default_operator="and"),
    "query string, a minimum": _string("tea garden river", default_field="body", minimum_should_match=2),
    "query string, exists": _string("_exists_:note AND title:*"),
    "query string, everything": _string("*:*"),
    "simple": _simple('tea +"black tea" | (garden -river)', "title^2", "body"),
    "simple, not": _simple("tea -garden", "title^2", "body"),
    "simple, what makes no sense": _simple("(tea) + | -garden) - \\+", "title", "body"),
    "simple, a minimum": _simple("tea garden river", "title", "body", minimum_should_match=2),
}

BODIES: Mapping[str, Json] = {
    "no body": {},
    "page": {"query": TEA, "from": 5, "size": 7},
    "page beyond the end": {"query": TEA, "from": 5000},
    "no hits": {"query": TEA, "size": 0},
    "sort by a number": {"sort": [{"n": "desc"}], "size": 5},
    "sort by a sparse number": {"sort": ["rating", "n"], "size": 40},
    "sort, missing first": {"sort": [{"rating": {"order": "desc", "missing": "_first"}}], "size": 40},
    "sort by strings": {"sort": ["tags", {"n": "desc"}], "size": 40},
    "sort, missing strings": {"sort": [{"code": "desc"}, "n"], "size": 80},
    "sort by date": {"sort": ["published"]},
    "sort by boolean": {"sort": ["is_open", "n"]},
    "sort by score": {"query": TEA, "sort": ["_score"]},
    "sort by score and number": {"query": TEA, "sort": ["_score", "n"]},
    "sort, least score first": {"query": TEA, "sort": [{"_score": "asc"}]},
    "sort with scores": {"query": TEA, "sort": ["n"], "track_scores": True},
    "sort by an unmapped field": {"sort": [{"nope": {"unmapped_type": "long"}}, "n"]},
    "after a number": {"sort": ["n"], "search_after": [50], "size": 5},
    "after a string": {"sort": ["tags", "n"], "search_after": ["blue", 10], "size": 5},
    "after a date": {"sort": ["published"], "search_after": ["2010-01-01T00:00:00.000Z"], "size": 5},
    "after a missing number": {"sort": ["rating", "n"], "search_after": ["Infinity", 190], "size": 5},
    "after a score": {"query": TEA, "sort": ["_score", "n"], "search_after": [0.5, 3], "size": 5},
    "min score": {"query": TEA, "min_score": 0.5},
    "exact total": {"query": TEA, "track_total_hits": True, "size": 2},
    "total up to 10": {"query": TEA, "track_total_hits": 10, "size": 2},
    "total up to 0": {"query": TEA, "track_total_hits": 0, "size": 2},
    "no total": {"query": TEA, "track_total_hits": False, "size": 2},
    "no source": {"query": TEA, "_source": False},
    "parts of the source": {"query": TEA, "_source": ["title", "author.*"]},
    "source with and without": {"query": TEA, "_source": {"includes": ["a*", "title"], "excludes": ["*.country"]}},
    "source of objects": {"sort": "n", "_source": ["grown.l*"], "size": 3},
    "fields": {
        "query": TEA,
        "_source": False,
        "fields": ["t*", "n", "published", "is_open", "rating", "grown.*", "_id"],
    },
    "fields with ignored values": {"_source": False, "fields": [{"field": "code"}], "size": 30},
    "versions": {"query": TEA, "version": True, "seq_no_primary_term": True, "_source": False},
    "no stored fields": {"query": TEA, "stored_fields": "_none_"},
    "no stored fields but the id": {"query": TEA, "stored_fields": []},
    "post filter": {
        "query": TEA,
        "post_filter": {"term": {"is_open": True}},
        "aggs": {"open": {"terms": {"field": "is_open"}}},
        "size": 3,
    },
    "terms": {"size": 0, "aggs": {"t": {"terms": {"field": "tags", "size": 2}}}},
    "terms by key": {
        "size": 0,
        "aggs": {"t": {"terms": {"field": "tags", "order": {"_key": "desc"}}, "meta": {"a": 1}}},
    },
    "terms of every type": {
        "size": 0,
        "aggs": {
            field: {"terms": {"field": field, "size": 3}}
            for field in ("n", "rating", "price", "is_open", "published", "author.country", "grown.flag", "nope")
        },
    },
    "terms of terms": {
        "size": 0,
        "aggs": {
            "c": {
                "terms": {"field": "author.country"},
                "aggs": {"p": {"avg": {"field": "price"}}, "t": {"terms": {"field": "tags", "size": 1}}},
            }
        },
    },
    "metrics": {
        "query": TEA,
        "size": 0,
        "aggs": {
            f"{kind} {field}": {kind: {"field": field}}
            for kind in ("min", "max", "sum", "avg", "stats", "value_count", "cardinality")
            for field in ("n", "price", "published", "is_open", "nope")
        },
    },
    "metrics of nothing": {
        "query": {"match_none": {}},
        "size": 0,
        "aggs": {kind: {kind: {"field": "n"}} for kind in ("min", "sum", "avg", "stats", "value_count")},
    },
}

CALLS: Mapping[str, Case] = {
    "q": ("GET", f"{SEARCH}?q=tea%20garden", None),
    "q, all words in a field": ("GET", f"{SEARCH}?q=tea%20garden&df=title&default_operator=AND&size=3&from=1", None),
    "q over the body's query": ("POST", f"{SEARCH}?q=river&size=3", {"query": TEA}),
    "sort parameter": ("GET", f"{SEARCH}?sort=rating:desc,n", None),
    "source parameters": ("GET", f"{SEARCH}?_source_includes=a*&_source_excludes=*.name", None),
    "filter path": ("GET", f"{SEARCH}?filter_path=hits.total,hits.hits._source.t*", None),
    "filter path, excluding": ("GET", f"{SEARCH}?filter_path=-hits.hits._source,-took", None),
    "filter path, anywhere": ("GET", f"{SEARCH}?filter_path=**._score", None),
    "total as integer": ("GET", f"{SEARCH}?rest_total_hits_as_int=true&size=1", None),
    "typed keys": (
        "POST",
        f"{SEARCH}?typed_keys=true&size=0",
        {
            "aggs": {
                "t": {"terms": {"field": "tags"}, "aggs": {"a": {"avg": {"field": "n"}}}},
                "n": {"terms": {"field": "n", "size": 1}},
                "r": {"terms": {"field": "rating", "size": 1}},
                "nope": {"terms": {"field": "nope"}},
            }
        },
    ),
    "two indices": ("POST", "/@corpus,@sample/_search", {"query": _multi("tea water"), "size": 100}),
    "indices by pattern": ("POST", "/@cor*,@sample/_search", {"size": 3}),
    "one index of two fails": ("POST", "/@corpus,@sample/_search", {"sort": "n", "size": 3}),
    "a missing index, ignored": ("POST", "/@nope,@corpus/_search?ignore_unavailable=true", {"size": 1}),
    "no index": ("POST", "/@nope*/_search", {}),
    "changed index": ("POST", "/@changed/_search", {"query": _multi("tea garden river"), "size": 120}),
    "keyword in a changed index": ("POST", "/@changed/_search", {"query": {"term": {"tags": "red"}}, "size": 120}),
    "count": ("POST", "/@corpus/_count", {"query": TEA}),
    "count by q": ("GET", "/@corpus,@sample/_count?q=tea", None),
    "document": ("GET", "/@corpus/_doc/9", None),
    "missing document": ("GET", "/@corpus/_doc/nope", None),
    "part of a document": ("GET", "/@corpus/_doc/5?_source=title", None),
    "source of a document": ("GET", "/@corpus/_source/9?_source_includes=t*", None),
    "existing document": ("HEAD", "/@corpus/_doc/9", None),
    "mget": ("POST", "/@corpus/_mget?_source=title", {"ids": ["1", "nope"]}),
    "mget over indices": (
        "POST",
        "/_mget",
        {"docs": [{"_index": "@sample", "_id": "1", "_source": False}, {"_index": "@nope", "_id": "1"}]},
    ),
    "field capabilities": ("GET", "/@corpus/_field_caps?fields=t*,n,secret,author.*,_id", None),
    "field capabilities of two": ("GET", "/@corpus,@sample/_field_caps?fields=title,text", None),
    "mapping": ("GET", "/@corpus,@sample/_mapping", None),
    "table": ("GET", "/_cat/count/@corpus?h=count", None),
    "msearch": (
        "POST",
        "/@corpus/_msearch?filter_path=responses.hits,responses.status,responses.error.type",
        '{}\n{"query":{"match":{"body":"tea"}},"size":2}\n{"index":"@nope"}\n{}\n{"index":["@sample"]}\n{"size":1}\n',
    ),
    "bulk": (
        "POST",
        "/@sample/_bulk",
        '{"create":{"_id":"1"}}\n{}\n{"delete":{"_id":"nope"}}\n{"index":{"_id":""}}\n{}\n{"index":{"_index":"Upper","_id":"1"}}\n{}\n',
    ),
}

ERRORS: Mapping[str, Case] = {
    "unknown query": ("POST", SEARCH, {"query": {"nope": {}}}),
    "unknown key": ("POST", SEARCH, {"nope": 1}),
    "unknown option": ("POST", SEARCH, {"query": _match("tea", nope=1)}),
    "two fields": ("POST", SEARCH, {"query": {"match": {"a": "x", "b": "y"}}}),
    "no text": ("POST", SEARCH, {"query": {"match": {"a": {}}}}),
    "no query": ("POST", SEARCH, {"query": "tea"}),
    "query string": ("POST", SEARCH, {"query": _string("tea OR")}),
    "open parenthesis": ("POST", SEARCH, {"query": _string("(tea")}),
    "no number": ("POST", SEARCH, {"query": {"term": {"n": "x"}}}),
    "no number among fields": ("POST", SEARCH, {"query": _multi("tea", "n", "body")}),
    "no date": ("POST", SEARCH, {"query": {"range": {"published": {"gte": "yesterday"}}}}),
    "not indexed": ("POST", SEARCH, {"query": _match("tea", "secret")}),
    "no lists in ranges": ("POST", SEARCH, {"query": {"range": {"n": 5}}}),
    "sort by text": ("POST", SEARCH, {"sort": "title"}),
    "sort by an id": ("POST", SEARCH, {"sort": "_id"}),
    "sort by nothing known": ("POST", SEARCH, {"sort": "nope"}),
    "sort order": ("POST", SEARCH, {"sort": [5]}),
    "search after without sort": ("POST", SEARCH, {"search_after": [1]}),
    "search after, too many": ("POST", SEARCH, {"sort": "n", "search_after": [1, 2]}),
    "search after, no number": ("POST", SEARCH, {"sort": "n", "search_after": ["x"]}),
    "search after and from": ("POST", SEARCH, {"sort": "n", "search_after": [1], "from": 5}),
    "page too far": ("POST", SEARCH, {"from": 9_999, "size": 2}),
    "negative size": ("POST", SEARCH, {"size": -1}),
    "no size": ("POST", SEARCH, {"size": "x"}),
    "total as integer and counted up to": ("GET", f"{SEARCH}?rest_total_hits_as_int=true&track_total_hits=5", None),
    "aggregation of text": ("POST", SEARCH, {"aggs": {"t": {"terms": {"field": "body"}}}}),
    "average of strings": ("POST", SEARCH, {"aggs": {"a": {"avg": {"field": "tags"}}}}),
    "two aggregations in one": ("POST", SEARCH, {"aggs": {"a": {"avg": {"field": "n"}, "min": {"field": "n"}}}}),
    "source kept out and asked for": ("POST", SEARCH, {"stored_fields": "_none_", "_source": True}),
    "unknown parameter": ("GET", f"{SEARCH}?nope=1", None),
    "missing index": ("GET", "/@nope/_search", None),
    "missing index among others": ("GET", "/@nope,@corpus/_count", None),
    "count with more than a query": ("POST", "/@corpus/_count", {"size": 1}),
    "no array": ("POST", SEARCH, "[]"),
    "blank body": ("POST", SEARCH, "  "),
    "missing source": ("GET", "/@corpus/_source/nope", None),
    "new document that is old": ("PUT", "/@corpus/_create/1", {"n": 1}),
    "operation": ("PUT", "/@corpus/_doc/1?op_type=nope", {"n": 1}),
    "index that exists": ("PUT", "/@corpus", {}),
    "index name, upper case": ("PUT", "/Upper", None),
    "index name, underscore": ("PUT", "/_upper", None),
    "index name, comma": ("PUT", "/a,b", None),
    "index name, hash": ("PUT", "/a%23b", None),
    "index name, dots": ("PUT", "/..", None),
    "another type": ("PUT", "/@corpus/_mapping", {"properties": {"n": {"type": "keyword"}}}),
    "no fields": ("GET", "/@corpus/_field_caps", None),
    "no documents": ("POST", "/@corpus/_mget", {"ids": []}),
    "unknown action": ("POST", "/@corpus/_bulk", '{"nope":{}}\n{}\n'),
    "action that is no object": ("POST", "/@corpus/_bulk", '{"index":5}\n{}\n'),
    "bulk without an index": ("POST", "/_bulk", '{"index":{}}\n{}\n'),
    "bulk without an end": ("POST", "/@corpus/_bulk", '{"index":{}}\n{}'),
    "empty bulk": ("POST", "/@corpus/_bulk", "\n"),
    "msearch header": ("POST", "/_msearch", '{"nope":1}\n{}\n'),
    "msearch body": ("POST", "/_msearch", '{}\n{"query":{"nope":{}}}\n'),
}
"""Errors with the same status, type and reason."""

OTHER_WORDS: Mapping[str, Case] = {
    "cut off": ("POST", SEARCH, '{"size":'),
    "no JSON": ("POST", SEARCH, "nope"),
    "a key twice": ("POST", SEARCH, '{"size":1,"size":2}'),
    "unknown clause": ("POST", SEARCH, {"query": {"bool": {"nope": []}}}),
    "negative boost": ("POST", SEARCH, {"query": _match("tea", boost=-1)}),
    "unknown operator": ("POST", SEARCH, {"query": _match("tea", operator="nope")}),
    "document that is none": ("PUT", "/@corpus/_doc/x", "[1]"),
    "document that is cut off": ("PUT", "/@corpus/_doc/x", '{"a":'),
    "document with a key twice": ("PUT", "/@corpus/_doc/x", '{"a":1,"a":2}'),
    "text for a number": ("PUT", "/@corpus/_doc/x", {"n": "tea"}),
    "object for a text": ("PUT", "/@corpus/_doc/x", {"title": {"a": 1}}),
    "value for an object": ("PUT", "/@corpus/_doc/x", {"author": 5}),
    "metadata in a document": ("PUT", "/@corpus/_doc/x", {"_id": "x"}),
    "field without a name": ("PUT", "/@corpus/_doc/x", {"": 1}),
    "too deep": ("PUT", "/@corpus/_doc/x", '{"a":' * 21 + "1" + "}" * 21),
    "too many fields": ("PUT", "/@sample/_doc/x", {f"f{n}": n for n in range(1001)}),
    "unknown type": ("PUT", "/@corpus/_mapping", {"properties": {"z": {"type": "nope"}}}),
    "unknown analyzer": ("PUT", "/@corpus/_mapping", {"properties": {"z": {"type": "text", "analyzer": "nope"}}}),
}
"""Errors with the same status and type, but a reason of their own: places in a text, the words of a Java class."""

REFUSED: Mapping[str, Case] = {
    "fuzzy": ("POST", SEARCH, {"query": _match("tea", fuzziness="AUTO")}),
    "wildcard": ("POST", SEARCH, {"query": {"wildcard": {"title": "te*"}}}),
    "function score": ("POST", SEARCH, {"query": {"function_score": {"query": TEA}}}),
    "cross fields": ("POST", SEARCH, {"query": _multi("tea", "title", "body", type="cross_fields")}),
    "phrase with slop": ("POST", SEARCH, {"query": {"match_phrase": {"body": {"query": "black tea", "slop": 2}}}}),
    "wildcard in a query string": ("POST", SEARCH, {"query": _string("te*")}),
    "range in a query string": ("POST", SEARCH, {"query": _string("n:[1 TO 5]")}),
    "prefix in a simple query string": ("POST", SEARCH, {"query": _simple("te*", "title")}),
    "date math": ("POST", SEARCH, {"query": {"range": {"published": {"gte": "now-1d"}}}}),
    "histogram": ("POST", SEARCH, {"aggs": {"h": {"histogram": {"field": "n", "interval": 5}}}}),
    "collapse": ("POST", SEARCH, {"collapse": {"field": "author.country"}}),
    "rescore": ("POST", SEARCH, {"rescore": {"query": {"rescore_query": TEA}}}),
    "suggest": ("POST", SEARCH, {"suggest": {"s": {"text": "tee", "term": {"field": "title"}}}}),
    "explain": ("POST", SEARCH, {"explain": True}),
    "sort mode": ("POST", SEARCH, {"sort": [{"tags": {"mode": "max"}}]}),
    "scroll": ("POST", f"{SEARCH}?scroll=1m", {}),
    "dfs over two indices": ("POST", "/@corpus,@sample/_search?search_type=dfs_query_then_fetch", {"query": TEA}),
    "update": ("POST", "/@changed/_bulk", '{"update":{"_id":"1"}}\n{"doc":{}}\n'),
    "yaml": ("GET", f"{SEARCH}?format=yaml", None),
}
"""What Elasticsearch answers and the embedded engine does not know."""


@pytest.mark.parametrize("case", search_cases().values(), ids=search_cases())
def test_both_give_the_same_answer(pair: Pair, case: Case) -> None:
    """Status and body agree; ids stand in the same order but for equal scores."""
    real, embedded = pair.ask(*case)
    assert (real.status, True) == (embedded.status, real.status in (200, 404))
    if case[1].startswith("/_cat") or case[0] == "HEAD":
        assert real.content == embedded.content
    else:
        assert [] == differences(real.json, embedded.json)


@pytest.mark.parametrize("case", ERRORS.values(), ids=ERRORS)
def test_both_refuse_in_the_same_words(pair: Pair, case: Case) -> None:
    """Status, type and reason of an error agree."""
    real, embedded = pair.ask(*case)
    assert 400 <= real.status < 500
    assert (real.status, _error(real)) == (embedded.status, _error(embedded))


@pytest.mark.parametrize("case", OTHER_WORDS.values(), ids=OTHER_WORDS)
def test_both_refuse(pair: Pair, case: Case) -> None:
    """Status and type of an error agree; the embedded engine gives a reason, too."""
    real, embedded = pair.ask(*case)
    kind, _ = _error(real)
    assert (400, kind) == (real.status, kind) == (embedded.status, _error(embedded)[0])
    assert _error(embedded)[1]


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_it_does_not_know_it_refuses_by_name(pair: Pair, case: Case) -> None:
    """Where Elasticsearch has an answer the embedded engine has a 400 that names itself, never another answer."""
    real, embedded = pair.ask(*case)
    assert (200, 400) == (real.status, embedded.status)
    assert "the embedded engine" in _error(embedded)[1]


@pytest.mark.parametrize("seed", range(2))
def test_random_queries_find_the_same(pair: Pair, seed: int) -> None:
    """Whatever clauses are put together, the same documents match, with the same scores."""
    queries = RandomQueries(seed)
    _compare_many(pair, [queries.clause() for _ in range(50)])


@pytest.mark.parametrize("seed", range(2))
def test_random_words_find_the_same(pair: Pair, seed: int) -> None:
    """Whatever is written in the query language, the same documents match, with the same scores."""
    queries = RandomQueries(seed)
    texts = [queries.words() for _ in range(30)]
    _compare_many(pair, [_string(text, "title^2", "body") for text in texts])
    _compare_many(pair, [_string(text, "title^2", "body", default_operator="and") for text in texts])
    _compare_many(pair, [_string(text, default_field="body", minimum_should_match="2") for text in texts])
    _compare_many(pair, [_simple(text.replace("*", "x"), "title", "body") for text in texts])


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param(lambda text: _match(text, "text"), id="match"),
        pytest.param(lambda text: _multi(text, "title^2", "text"), id="best fields"),
        pytest.param(lambda text: _multi(text), id="all fields"),
        pytest.param(lambda text: _multi(text, "title", "text", type="most_fields"), id="most fields"),
        pytest.param(lambda text: _simple(text, "title", "text", default_operator="and"), id="all words"),
        pytest.param(
            lambda text: {"bool": {"must": _match(text, "text"), "should": {"match_phrase": {"text": text}}}}, id="bool"
        ),
    ],
)
def test_sample_queries_find_the_same(pair: Pair, shape: Callable[[str], Json]) -> None:
    """The queries of the demo rank its articles alike."""
    _compare_many(pair, [shape(text) for text in sample.queries().values()], index="sample")


def _compare_many(pair: Pair, queries: Sequence[Json], index: str = "corpus") -> None:
    lines = [line for query in queries for line in ({}, {"query": query, "size": 500, "_source": False})]
    body = "".join(json.dumps(line) + "\n" for line in lines)
    real, embedded = pair.ask("POST", f"/@{index}/_msearch", body)
    assert 200 == real.status == embedded.status
    answers = zip(queries, real.json["responses"], embedded.json["responses"], strict=True)
    assert [] == [(query, found) for query, ours, theirs in answers if (found := differences(ours, theirs))]


def _error(answer: Answer) -> tuple[str, str]:
    """Return type and reason of the first cause, less what differs from run to run."""
    error = answer.json["error"]
    if isinstance(error, str):
        return "", error
    cause = error["root_cause"][0]
    uuid = cause.get("index_uuid", "-")
    return cause["type"], cause["reason"].replace(uuid, "").split(": [failed to parse")[0]


def differences(real: Any, embedded: Any, path: str = "") -> list[str]:
    """Return where two answers differ, as far as it matters."""
    if isinstance(real, dict) and isinstance(embedded, dict):
        names = [name for name in dict.fromkeys([*real, *embedded]) if name not in PASSING]
        return [
            found
            for name in names
            for found in (
                differences(real[name], embedded[name], f"{path}.{name}")
                if name in real and name in embedded
                else [f"{path}.{name}: only in {'Elasticsearch' if name in real else 'the embedded engine'}"]
            )
        ]
    if isinstance(real, list) and isinstance(embedded, list):
        if path.endswith(".hits.hits"):
            embedded = _equal_scores_in_order_of(real, embedded)
        pairs = zip(real, embedded, strict=False)
        lengths = [] if len(real) == len(embedded) else [f"{path}: {len(real)} and {len(embedded)} elements"]
        return lengths + [
            found for place, (a, b) in enumerate(pairs) for found in differences(a, b, f"{path}[{place}]")
        ]
    return [] if _same(real, embedded, path) else [f"{path}: {real!r:.200} and {embedded!r:.200}"]


def _same(real: Any, embedded: Any, path: str) -> bool:
    if type(real) is not type(embedded):
        return False
    if isinstance(real, float):
        is_score = any(name in path.rpartition(".")[2] for name in SCORES)
        return math.isclose(real, embedded, rel_tol=TOLERANCE if is_score else 1e-12)
    return bool(real == embedded)


def _equal_scores_in_order_of(real: Sequence[Json], embedded: Sequence[Json]) -> list[Json]:
    """Return the second hits with each run of equal scores in the order in which the first hits have it."""
    places = {_identity(hit): place for place, hit in enumerate(real)}
    runs: list[list[Json]] = []
    for hit in embedded:
        if runs and _is_tied(runs[-1][-1], hit):
            runs[-1].append(hit)
        else:
            runs.append([hit])
    return [hit for run in runs for hit in sorted(run, key=lambda hit: places.get(_identity(hit), len(places)))]


def _identity(hit: Json) -> tuple[Any, Any]:
    return hit.get("_index"), hit.get("_id")


def _is_tied(before: Json, hit: Json) -> bool:
    scores = before.get("_score"), hit.get("_score")
    return None not in scores and math.isclose(*scores, rel_tol=TOLERANCE)

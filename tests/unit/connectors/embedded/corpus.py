"""A made-up corpus with every kind of field that the embedded engine knows, and random queries over it.

Its one law: everything is drawn from a seeded generator, so that every run sees the same documents and queries.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]

MAPPING: Mapping[str, Any] = {
    "settings": {"number_of_shards": 1, "number_of_replicas": 0},
    "mappings": {
        "properties": {
            "title": {
                "type": "text",
                "copy_to": "everything",
                "fields": {"twin": {"type": "text"}, "raw": {"type": "keyword"}},
            },
            "body": {"type": "text", "copy_to": ["everything"]},
            "everything": {"type": "text"},
            "note": {"type": "text"},
            "places": {"type": "text"},
            "tags": {"type": "keyword"},
            "code": {"type": "keyword", "ignore_above": 4},
            "n": {"type": "integer"},
            "big": {"type": "long"},
            "price": {"type": "double"},
            "rating": {"type": "float"},
            "published": {"type": "date"},
            "is_open": {"type": "boolean"},
            "secret": {"type": "text", "index": False},
            "author": {"properties": {"name": {"type": "text"}, "country": {"type": "keyword"}}},
        }
    },
}
"""Fields of every type; `grown.*` comes by dynamic mapping."""

WORDS = [
    "tea",
    "leaves",
    "water",
    "black",
    "green",
    "garden",
    "river",
    "stone",
    "running",
    "runs",
    "runner",
    "connected",
    "connection",
    "caresses",
    "library",
    "the",
    "of",
    "and",
    "to",
    "in",
    "house",
    "market",
    "café",
    "naïve",
    "straße",
    "東京",
    "wifi-router",
    "3.14",
    "2024-01-15",
    "e.g.",
    "U.S.A.",
    "O'Neill's",
    "foo_bar",
    "x86",
]

TEXT_FIELDS = ("title", "title.twin", "body", "everything", "note", "places", "author.name", "grown.text", "grown.list")


def documents(count: int = 200) -> list[Json]:
    """Return documents of which some have no `note`, `places`, `rating`, `code`, `secret` or `grown`."""
    generator = random.Random(11)
    weights = [1 / rank for rank in range(1, len(WORDS) + 1)]

    def text(shortest: int, longest: int) -> str:
        return " ".join(generator.choices(WORDS, weights, k=generator.randint(shortest, longest)))

    found = []
    for n in range(count):
        document: Json = {
            "title": text(2, 6) if n % 11 else "",
            "body": text(5, 60),
            "tags": generator.sample(["red", "blue", "green", "Old", "new"], generator.randint(1, 3)),
            "n": n,
            "big": 10**15 + n,
            "price": round(generator.uniform(0, 100), 2),
            "published": f"20{n % 25:02d}-{n % 12 + 1:02d}-{n % 28 + 1:02d}T{n % 24:02d}:30:00Z",
            "is_open": n % 3 == 0,
            "author": {"name": text(1, 3), "country": generator.choice(["jp", "cn", "in"])},
        }
        document |= {"note": text(1, 8)} if n % 5 == 0 else {}
        document |= {"places": [text(1, 4) for _ in range(generator.randint(1, 3))]} if n % 4 == 0 else {}
        document |= {"rating": round(generator.uniform(0, 5), 1)} if n % 7 == 0 else {}
        document |= {"code": generator.choice(["ab", "abc", "abcdefgh"])} if n % 3 == 0 else {}
        document |= {"secret": text(1, 2)} if n % 6 == 0 else {}
        document |= {"empty": None} if n % 10 == 0 else {}
        document |= {"grown": grown(n, [text(2, 5), text(1, 2), text(1, 2)])} if n % 9 == 0 else {}
        found.append(document)
    return found


def grown(n: int, texts: Sequence[str]) -> Json:
    """Return an object that dynamic mapping has to find types for."""
    return {
        "text": texts[0],
        "list": list(texts[1:]),
        "number": n / 2,
        "whole": n,
        "day": f"2020-01-{n % 28 + 1:02d}",
        "flag": True,
    }


class RandomQueries:
    """Draws queries: nested clauses, and texts in the two query languages."""

    def __init__(self, seed: int) -> None:
        """Begin at a seed."""
        self._draw = random.Random(seed)

    def clause(self, depth: int = 0) -> Json:
        """Return a query of clauses, at most a few levels deep."""
        kind = self._draw.random()
        if depth > 2 or kind < 0.3:
            return self._text()
        if kind < 0.75:
            return {"bool": self._bool(depth)}
        if kind < 0.85:
            queries = [self.clause(depth + 1), self.clause(depth + 1)]
            return {"dis_max": {"queries": queries, "tie_breaker": self._draw.choice([0.0, 0.3])}}
        if kind < 0.92:
            return {"constant_score": self._boosted({"filter": self.clause(depth + 1)})}
        boosting = {"positive": self.clause(depth + 1), "negative": self._filter(), "negative_boost": 0.2}
        return {"boosting": self._boosted(boosting)}

    def words(self, depth: int = 0) -> str:
        """Return a text in Lucene's query language."""
        parts = []
        for n in range(self._draw.randint(1, 4)):
            parts.append(self._draw.choice([" ", " ", " ", " AND ", " OR ", " && "]) if n else "")
            parts.append(self._draw.choice(["", "", "", "+", "-", "NOT "]))
            is_nested = depth < 2 and self._draw.random() < 0.25
            parts.append(f"({self.words(depth + 1)})" if is_nested else self._draw.choice(_PIECES))
        return "".join(parts)

    def _text(self) -> Json:
        text, kind = self._draw.choice(_TEXTS), self._draw.random()
        if kind < 0.4:
            return {"match": {self._draw.choice(TEXT_FIELDS): self._with_minimum({"query": text, **self._operator()})}}
        if kind < 0.55:
            return {"match_phrase": {self._draw.choice(TEXT_FIELDS): self._boosted({"query": text})}}
        fields = [f"{field}^{self._draw.choice([0.3, 1, 2])}" for field in self._draw.sample(_FIELDS, 3)]
        if kind < 0.7:
            return {"multi_match": {"query": text, "type": "phrase", "fields": fields}}
        style = self._draw.choice(["best_fields", "most_fields"])
        return {"multi_match": self._with_minimum({"query": text, "type": style, "fields": fields, **self._operator()})}

    def _bool(self, depth: int) -> Json:
        body: Json = {}
        for name in ("must", "should", "filter", "must_not"):
            if self._draw.random() < 0.5:
                number = self._draw.randint(1, 3)
                body[name] = [
                    self.clause(depth + 1) if self._draw.random() < 0.7 else self._filter() for _ in range(number)
                ]
        return self._with_minimum(body)

    def _filter(self) -> Json:
        return self._draw.choice(_FILTERS)

    def _operator(self) -> Json:
        return {"operator": self._draw.choice(["or", "and"])}

    def _boosted(self, body: Json) -> Json:
        return {**body, "boost": self._draw.choice([0.5, 2, 3.3])} if self._draw.random() < 0.3 else body

    def _with_minimum(self, body: Json) -> Json:
        minimum = self._draw.choice(["1", "2", "-1", "50%", "-30%", "2<75%", 3])
        return self._boosted({**body, "minimum_should_match": minimum} if self._draw.random() < 0.3 else body)


_FIELDS = (*TEXT_FIELDS, "tit*", "*")
_TEXTS = (
    "tea",
    "garden",
    "river stone",
    "black tea",
    "running runs",
    "the of",
    "東京 tea",
    "wifi-router",
    "U.S.A. x86",
    "",
)
_PIECES = (
    *(
        "tea",
        "garden",
        "river",
        "stone",
        "leaves",
        "wifi-router",
        "the",
        "tea^2",
        '"tea leaves"',
        "nope:x",
        "n:17",
        "*",
    ),
    *("title:tea", "title:(tea stone)", 'body:"black tea"', "tags:red", "...", "\\+tea", "_exists_:note", "title:*"),
)
_FILTERS: tuple[Json, ...] = (
    {"term": {"tags": "red"}},
    {"term": {"author.country": {"value": "jp", "boost": 2}}},
    {"term": {"is_open": True}},
    {"terms": {"n": list(range(20, 120))}},
    {"range": {"price": {"gte": 20, "lt": 80}}},
    {"range": {"published": {"gte": "2005-03", "lte": "2015-06-07"}}},
    {"exists": {"field": "note"}},
    {"prefix": {"body": "ri"}},
    {"ids": {"values": [str(n) for n in range(0, 200, 3)]}},
    {"match": {"code": "ab"}},
    {"match_all": {}},
)

"""The official Elasticsearch client against the sidecar: only the URL differs from what you have.

python examples/drop_in_elasticsearch.py [URL OF THE SIDECAR]
"""

import sys
from typing import Any

from elasticsearch import Elasticsearch

URL = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:9280"
QUERY = {"multi_match": {"query": "difference between a virus and a bacterium", "fields": ["title", "text"]}}


def show(answer: Any) -> None:
    print("X-Rerank:", answer.meta.headers["X-Rerank"])
    for hit in answer["hits"]["hits"]:
        print(f"{hit['_score']:8.4f}  {hit['_source']['title']}")


with Elasticsearch(URL) as client:
    show(client.search(index="articles", query=QUERY, size=5))
    # The engine's own order, for this one request: headers travel with .options().
    show(client.options(headers={"X-Rerank": "off"}).search(index="articles", query=QUERY, size=5))

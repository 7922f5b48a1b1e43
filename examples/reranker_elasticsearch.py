"""Your own Elasticsearch client with reranking in it: no proxy, the same keywords, the same answers.

python examples/reranker_elasticsearch.py [URL OF THE ENGINE]
"""

import sys
from typing import Any

from elasticsearch import Elasticsearch

from sidecar import Reranker

URL = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:9200"
QUERY = {"multi_match": {"query": "difference between a virus and a bacterium", "fields": ["title", "text"]}}


def show(answer: Any) -> None:
    print("X-Rerank:", answer.meta.headers["X-Rerank"])
    for hit in answer["hits"]["hits"]:
        print(f"{hit['_score']:8.4f}  {hit['_source']['title']}")


# No deadline: nobody waits for this program. The model is loaded once, when the block is entered.
with Elasticsearch(URL) as client, Reranker(client, "offline", window=15, deadline_ms=0) as reranker:
    show(reranker.search(index="articles", query=QUERY, size=5))
    show(reranker.search(index="articles", query=QUERY, size=5, rerank=False))  # the engine's own order
    print(reranker.count(index="articles")["count"], "documents")  # everything else is the client's

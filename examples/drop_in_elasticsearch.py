"""The official Elasticsearch client against the sidecar: only the URL differs from what you have.

python examples/drop_in_elasticsearch.py [URL]
"""

import sys

from elasticsearch import Elasticsearch

url = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:9280"

with Elasticsearch(url) as client:
    query = {"multi_match": {"query": "how do vaccines work", "fields": ["title", "text"]}}
    answer = client.search(index="articles", query=query, size=5)
    print("X-Rerank:", answer.meta.headers["x-rerank"])
    for hit in answer["hits"]["hits"]:
        print(f"{hit['_score']:.4f}  {hit['_source']['title']}")

    # one request of its own mind: headers travel with .options()
    bare = client.options(headers={"X-Rerank": "off"}).search(index="articles", query=query, size=5)
    print("X-Rerank:", bare.meta.headers["x-rerank"])
    for hit in bare["hits"]["hits"]:
        print(f"{hit['_score']:.4f}  {hit['_source']['title']}")

"""The official OpenSearch client against the sidecar: only the URL differs from what you have.

python examples/drop_in_opensearch.py [URL OF THE SIDECAR]
"""

import sys

from opensearchpy import OpenSearch

URL = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:9280"

with OpenSearch(URL) as client:
    body = {
        "query": {"multi_match": {"query": "difference between a virus and a bacterium", "fields": ["title", "text"]}},
        "size": 5,
        "ext": {"rerank": {"window": 20, "explain": True}},  # read by the sidecar, never seen by the engine
    }
    answer = client.search(index="articles", body=body)
    for hit in answer["hits"]["hits"]:
        was = hit["_rerank"]["first_stage_rank"]
        print(f"{hit['_score']:.4f}  was {was:>2}  {hit['_source']['title']}")

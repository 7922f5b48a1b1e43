"""Your own asynchronous OpenSearch client with reranking in it: two searches in one request, each with its ranks.

python examples/reranker_opensearch.py [URL OF THE ENGINE]
"""

import asyncio
import sys
from typing import Any

from opensearchpy import AsyncOpenSearch

from sidecar import AsyncReranker

URL = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:9200"


def search(words: str) -> dict[str, Any]:
    return {"query": {"multi_match": {"query": words, "fields": ["title", "text"]}}, "size": 3}


async def main() -> None:
    settings: Any = {"window": 15, "deadline_ms": 0}
    async with AsyncOpenSearch(URL) as client, AsyncReranker(client, "offline", **settings) as reranker:
        searches = [{}, search("why is the sky blue"), {}, search("difference between a virus and a bacterium")]
        answer = await reranker.msearch(index="articles", body=searches, rerank={"explain": True})
        for found in answer["responses"]:
            for hit in found["hits"]["hits"]:
                print(f"{hit['_score']:.4f}  was {hit['_rerank']['first_stage_rank']:>2}  {hit['_source']['title']}")


asyncio.run(main())

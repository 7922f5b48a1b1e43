"""Reranking in Python, without a proxy: an engine, a scorer, and the two together.

python examples/connector_api.py [ENGINE_URL]
"""

import asyncio
import sys

from connectors import SearchRequest, connect
from sidecar import Policy, RerankingConnector, RerankOptions, load_scorer


async def main(url: str) -> None:
    scorer = await load_scorer("offline")
    async with await connect(url) as engine:
        reranked = RerankingConnector(engine, scorer, Policy(defaults=RerankOptions(window=50, deadline=0)))
        request = SearchRequest.build(
            index="articles", body={"query": {"match": {"text": "why is the sky blue"}}, "size": 3}
        )
        for name, connector in (("before", engine), ("after", reranked)):
            answer = (await connector.search(request)).raise_for_status()
            print(name, [hit.source["title"] for hit in answer.hits if hit.source])
    await scorer.aclose()


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://localhost:9200"))

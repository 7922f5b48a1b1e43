"""Reranking in Python, without a proxy: an engine, a scorer, and the two together.

python examples/connector_api.py [URL OF THE ENGINE]
"""

import asyncio
import sys
from contextlib import aclosing

from connectors import SearchRequest, connect
from sidecar import Policy, RerankingConnector, RerankOptions, load_scorer

URL = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:9200"


async def main() -> None:
    body = {"query": {"match": {"text": "why is the sky blue"}}, "size": 3}
    request = SearchRequest.build(index="articles", body=body)
    options = RerankOptions(window=50, deadline=0)  # no deadline: nobody waits for this program

    async with aclosing(await load_scorer("offline")) as scorer, await connect(URL) as engine:
        reranked = RerankingConnector(engine, scorer, Policy(defaults=options))  # an engine, like the one it wraps
        for name, connector in (("before", engine), ("after", reranked)):
            answer = (await connector.search(request)).raise_for_status()
            print(name)
            for hit in answer.hits:
                print(f"{hit.score:8.4f}  {hit.source['title'] if hit.source else hit.id}")


asyncio.run(main())

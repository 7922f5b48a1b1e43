"""A scorer of your own: anything that turns a query and texts into numbers.

python examples/own_scorer.py [ENGINE_URL]
"""

import asyncio
import sys
from collections.abc import Sequence

from connectors import SearchRequest, connect
from sidecar import ModelFacts, RerankingConnector


class SharedWords:
    """Scores by the share of the query's words that a text has."""

    def describe(self) -> ModelFacts:
        return ModelFacts(
            name="shared-words", revision="1", kind="cross-encoder", max_length=512, recommended_fusion="linear"
        )

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        words = set(query.lower().split())
        return [len(words & set(text.lower().split())) / len(words) for text in texts]

    async def aclose(self) -> None:
        pass


async def main(url: str) -> None:
    async with await connect(url) as engine:
        reranked = RerankingConnector(engine, SharedWords())
        body = {"query": {"match": {"text": "why is the sky blue"}}, "size": 3}
        answer = (await reranked.search(SearchRequest.build(index="articles", body=body))).raise_for_status()
        print([hit.source["title"] for hit in answer.hits if hit.source])


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://localhost:9200"))

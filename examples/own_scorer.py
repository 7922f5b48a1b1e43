"""A scorer of your own: anything that turns a query and texts into numbers.

python examples/own_scorer.py [URL OF THE ENGINE]
"""

import asyncio
import sys
from collections.abc import Sequence

from connectors import SearchRequest, connect
from sidecar import ModelFacts, RerankingConnector

URL = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:9200"


class SharedWords:
    """Scores by the share of the query's words that a text has."""

    def describe(self) -> ModelFacts:
        return ModelFacts(
            name="shared-words", revision="1", kind="cross-encoder", max_length=512, recommended_fusion="model_only"
        )

    async def score(self, query: str, texts: Sequence[str], *, deadline: float | None = None) -> list[float]:
        words = set(query.lower().split())
        return [len(words & set(text.lower().split())) / len(words) for text in texts]

    async def aclose(self) -> None:
        """There is nothing to close."""


async def main() -> None:
    async with await connect(URL) as engine:
        reranked = RerankingConnector(engine, SharedWords())
        body = {"query": {"match": {"text": "why is the sky blue"}}, "size": 3}
        headers = {"X-Rerank-Explain": "true"}
        answer = await reranked.search(SearchRequest.build(index="articles", body=body, headers=headers))
        for hit in answer.raise_for_status().hits:
            said = hit.value["_rerank"]
            print(f"{said['model_score']:.1f}  was {said['first_stage_rank']:>2}  {said['text'][:80]}")


asyncio.run(main())

"""Real clients of rerank APIs, outside of the tests' process: `python -m tests.program.rerank_clients URL KEY NAME …`.

Prints what each client made of its answer as a line of JSON: `name`, `order` (the indices as it gives them), `scores`
and, where it gives any, `documents`; or type and text of the exception that it raised, as `error` and `message`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

QUERY = "how do bees tell each other where food is"
DOCUMENTS = [
    "Bananas are yellow.",
    "A returning bee dances to tell the others where it found flowers.",
    "Bees make honey from nectar.",
]
MODEL = "cross-encoder/ms-marco-MiniLM-L6-v2"

Report = dict[str, Any]


def cohere_v1(url: str, key: str) -> Report:
    """Cohere's SDK, version 1: objects, documents back."""
    import cohere

    client = cohere.Client(api_key=key, base_url=url)
    documents: list[Any] = [DOCUMENTS[0], {"text": DOCUMENTS[1], "title": "Dance"}, DOCUMENTS[2]]
    answer = client.rerank(query=QUERY, documents=documents, model=MODEL, top_n=2, return_documents=True)
    assert answer.id
    assert answer.meta is not None
    assert answer.meta.api_version is not None
    assert answer.meta.api_version.version == "1"
    texts = [result.document.text if result.document else None for result in answer.results]
    return reported(answer.results, documents=texts)


def cohere_v2(url: str, key: str) -> Report:
    """Cohere's SDK, version 2."""
    import cohere

    client = cohere.ClientV2(api_key=key, base_url=url)
    answer = client.rerank(query=QUERY, documents=DOCUMENTS, model=MODEL, max_tokens_per_doc=4096)
    return reported(answer.results)


def cohere_async(url: str, key: str) -> Report:
    """Cohere's SDK without blocking."""
    import asyncio

    import cohere

    async def ask() -> Report:
        async with cohere.AsyncClientV2(api_key=key, base_url=url) as client:
            answer = await client.rerank(query=QUERY, documents=DOCUMENTS, model=MODEL, top_n=1)
            return reported(answer.results)

    return asyncio.run(ask())


def litellm_as(provider: str, path: str = "", **options: Any) -> Callable[[str, str], Report]:
    """Return what asks LiteLLM as a client of one of its providers."""

    def ask(url: str, key: str) -> Report:
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
        import litellm

        answer = litellm.rerank(
            model=f"{provider}/{MODEL}",
            query=QUERY,
            documents=DOCUMENTS,
            api_base=url + path,
            api_key=key,
            **options,
        )
        results = answer.results or []
        documents = [(result.get("document") or {}).get("text") for result in results]
        return {
            "order": [result["index"] for result in results],
            "scores": [result["relevance_score"] for result in results],
            "documents": documents if any(documents) else None,
        }

    return ask


def voyage(url: str, key: str) -> Report:
    """Voyage's SDK."""
    import voyageai

    client = voyageai.Client(api_key=key, base_url=f"{url}/v1")
    answer = client.rerank(QUERY, DOCUMENTS, model="rerank-2.5", top_k=2)
    assert answer.total_tokens > 0
    return reported(answer.results, documents=[result.document for result in answer.results])


def voyage_all(url: str, key: str) -> Report:
    """Voyage's SDK with its defaults."""
    import voyageai

    return reported(voyageai.Client(api_key=key, base_url=f"{url}/v1").rerank(QUERY, DOCUMENTS, "rerank-2.5").results)


def hub_similarity(url: str, key: str) -> Report:
    """huggingface_hub's client: the task that it has for a sentence and others."""
    from huggingface_hub import InferenceClient

    scores = InferenceClient(model=f"{url}/rerank", token=key).sentence_similarity(QUERY, DOCUMENTS)
    return {"order": sorted(range(len(scores)), key=lambda index: -scores[index]), "scores": sorted(scores)[::-1]}


def hub_session(url: str, key: str) -> Report:
    """huggingface_hub's session with TEI's body, which is how its users reach a reranker."""
    from huggingface_hub import get_session

    body = {"query": QUERY, "texts": DOCUMENTS, "return_text": True}
    answer = get_session().post(f"{url}/rerank", json=body, headers={"Authorization": f"Bearer {key}"})
    answer.raise_for_status()
    ranks = answer.json()
    return {
        "order": [rank["index"] for rank in ranks],
        "scores": [rank["score"] for rank in ranks],
        "documents": [rank["text"] for rank in ranks],
    }


def curl(url: str, key: str) -> Report:
    """The call of the model card."""
    import subprocess

    body = json.dumps({"model": MODEL, "query": QUERY, "documents": DOCUMENTS})
    command = ["curl", "-sS", f"{url}/v1/rerank", "-H", f"Authorization: Bearer {key}", "-d", body]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    if "results" not in answer:
        raise RuntimeError(answer["message"])
    results = answer["results"]
    return {
        "order": [result["index"] for result in results],
        "scores": [result["relevance_score"] for result in results],
    }


CLIENTS: dict[str, tuple[str | None, Callable[[str, str], Report]]] = {
    "cohere v1": ("cohere", cohere_v1),
    "cohere v2": ("cohere", cohere_v2),
    "cohere async": ("cohere", cohere_async),
    "litellm cohere": ("litellm", litellm_as("cohere")),
    "litellm cohere chunks": ("litellm", litellm_as("cohere", max_chunks_per_doc=4, top_n=2)),
    "litellm hosted_vllm": ("litellm", litellm_as("hosted_vllm")),
    "litellm jina_ai": ("litellm", litellm_as("jina_ai")),
    "litellm huggingface": ("litellm", litellm_as("huggingface")),
    "litellm infinity": ("litellm", litellm_as("infinity", "/_rerank/infinity")),
    "litellm voyage": ("litellm", litellm_as("voyage", "/_rerank/voyage")),
    "litellm voyage top_n": ("litellm", litellm_as("voyage", top_n=2)),
    "voyageai": ("voyageai", voyage),
    "voyageai defaults": ("voyageai", voyage_all),
    "huggingface_hub similarity": ("huggingface_hub", hub_similarity),
    "huggingface_hub session": ("huggingface_hub", hub_session),
    "curl": (None, curl),
}
"""The package that a client needs, and what asks it."""


def reported(results: Sequence[Any], **more: Any) -> Report:
    """Return the report of results with an index and a score."""
    return {
        "order": [result.index for result in results],
        "scores": [result.relevance_score for result in results],
        **more,
    }


def main(url: str, key: str, *names: str) -> None:
    """Ask with each of some clients, and print the reports."""
    for name in names:
        try:
            report = CLIENTS[name][1](url, key)
        except Exception as error:  # noqa: BLE001  # what a client raises is what is looked at
            report = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps({"name": name, **report}), flush=True)  # noqa: T201  # for whoever started this


if __name__ == "__main__":
    main(*sys.argv[1:])

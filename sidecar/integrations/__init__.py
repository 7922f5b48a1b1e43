"""Where Python programs already are: the official clients with reranking, LangChain, LlamaIndex, Haystack.

    from sidecar import AsyncReranker

    async with AsyncReranker(es, "cross-encoder/ms-marco-MiniLM-L6-v2", window=50) as reranker:
        answer = await reranker.search(index="books", query={"match": {"text": "why is the sky blue"}})

    client.py                                around somebody's own client of Elasticsearch or OpenSearch:
      nodes.py, elasticsearch.py, opensearch.py   its nodes, behind which the pipeline stands
    langchain.py, llamaindex.py, haystack.py  rerank texts that come from elsewhere:
      texts.py, fields.py                         the pipeline's steps over given texts, and their settings
    scorers.py, background.py                the model, by name or URL, for callers in any thread and any loop

Law: nothing here ranks. Searches go through `RerankingConnector`, texts through the steps that it is made of.
"""

"""LangChain: a retriever over an index whose hits are reranked, and documents from elsewhere reranked with one model.

pip install "rerank-sidecar[langchain,offline]"
python examples/langchain_retriever.py [URL OF THE ENGINE] [MODEL, OR URL OF A SCORER]
"""

import sys

from elasticsearch import Elasticsearch
from langchain_core.documents import Document

from sidecar import Reranker
from sidecar.integrations.langchain import SidecarRerank, SidecarRetriever

URL = sys.argv[1] if len(sys.argv) > 1 else "http://localhost:9200"
MODEL = sys.argv[2] if len(sys.argv) > 2 else "offline"

with Elasticsearch(URL) as client, Reranker(client, MODEL, window=15, deadline_ms=0) as reranker:
    retriever = SidecarRetriever(
        reranker=reranker, index_name="articles", search_fields=["title", "text"], content_field="text", k=3
    )
    for document in retriever.invoke("why is the sky blue"):
        print(f"{document.metadata['_score']:.4f}  {document.metadata['title']}")

    # The base_compressor of a ContextualCompressionRetriever, here called by hand; `scorer`: the model is loaded once.
    compressor = SidecarRerank(model=reranker.scorer, top_n=2, template="{title}. {page_content}")
    documents = [
        Document(page_content="They are yellow and grow in bunches.", metadata={"title": "Bananas"}),
        Document(page_content="It is the capital and lies on the Seine.", metadata={"title": "Paris"}),
        Document(page_content="It is the capital and lies on the Spree.", metadata={"title": "Berlin"}),
    ]
    for document in compressor.compress_documents(documents, "capital of France"):
        print(f"{document.metadata['relevance_score']:.4f}  {document.metadata['title']}")
